package okx

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"tickproc/feeds"
	"tickproc/tick"
)

// requestBytes bounds one request: the venue closes the socket of one that is
// too long, and names no bound but 64 KiB for all of a socket.
const requestBytes = 4096

// arg names a stream on the wire.
type arg struct {
	Channel string `json:"channel"`
	Type    string `json:"instType,omitempty"`
	Symbol  string `json:"instId,omitempty"`
}

// control is a message to the venue; its answers carry the same id.
type control struct {
	ID   string            `json:"id"`
	Op   string            `json:"op"`
	Args []json.RawMessage `json:"args"`
}

// Names of instrument types on the wire.
const (
	wireSpot    = "SPOT"
	wireSwap    = "SWAP"
	wireFutures = "FUTURES"
)

// Plan puts the streams of an instrument that an endpoint serves on one socket.
func (venue) Plan(subscriptions []feeds.Subscription) []feeds.Connection {
	var wanted []feeds.Subscription
	for _, s := range subscriptions {
		if !isDerivative(s.Instrument) {
			s.Channels &^= derived
		}
		wanted = append(wanted, s)
	}
	return feeds.Spread(endpoints, venue{}.Profile(), wanted, func(s feeds.Subscription) int { return len(args(s)) + 1 })
}

// args are the streams on the wire of a subscription, but for liquidations,
// which all instruments of a type share.
func args(s feeds.Subscription) (all []arg) {
	in := s.Instrument
	add := func(channel tick.Channels, kind streamKind, symbol string) {
		if s.Channels.Has(channel) {
			all = append(all, arg{Channel: kind.String(), Symbol: symbol})
		}
	}
	add(tick.ChannelTrades, streamTrades, in.Symbol)
	add(tick.ChannelQuotes, streamQuotes, in.Symbol)
	add(tick.ChannelDepth, streamDepth, in.Symbol)
	if !isDerivative(in) {
		return all
	}
	if in.Type == tick.TypePerpetual {
		add(tick.ChannelFunding, streamFunding, in.Symbol)
	}
	add(tick.ChannelFunding, streamMark, in.Symbol)
	add(tick.ChannelFunding, streamIndex, indexOf(in))
	add(tick.ChannelOpenInterest, streamOpenInterest, in.Symbol)
	return all
}

// indexOf names the index of a derivative: BTC-USD of BTC-USD-SWAP and
// BTC-USD-241227.
func indexOf(in *tick.Instrument) string {
	if in.Base != "" && in.Quote != "" {
		return in.Base + "-" + in.Quote
	}
	return indexOfSymbol(in.Symbol)
}

func indexOfSymbol(symbol string) string {
	if i := strings.IndexByte(symbol, '-'); i >= 0 {
		if j := strings.IndexByte(symbol[i+1:], '-'); j >= 0 {
			return symbol[:i+1+j]
		}
	}
	return symbol
}

func (venue) Subscribe(_ *feeds.Connection, streams []feeds.Subscription, first int) []feeds.SubscribeRequest {
	return requests("subscribe", streams, nil, first)
}

// Unsubscribe keeps what other instruments of the connection share: an index,
// the liquidations of a type.
func (venue) Unsubscribe(c *feeds.Connection, streams []feeds.Subscription, first int) []feeds.SubscribeRequest {
	kept := map[arg]bool{}
	if c != nil {
		for _, s := range c.Subscriptions {
			for _, gone := range streams {
				if gone.Instrument.ID == s.Instrument.ID {
					s.Channels &^= gone.Channels
				}
			}
			for _, a := range args(s) {
				kept[a] = true
			}
			if forcedOrders(s) {
				kept[arg{Channel: streamLiquidations.String(), Type: wireType(s.Instrument.Type)}] = true
			}
		}
	}
	return requests("unsubscribe", streams, kept, first)
}

func forcedOrders(s feeds.Subscription) bool {
	return isDerivative(s.Instrument) && s.Channels.Has(tick.ChannelLiquidations)
}

// requests writes the messages for streams without what is kept. The streams
// of an instrument stay together; what several share is named once.
func requests(op string, streams []feeds.Subscription, kept map[arg]bool, first int) []feeds.SubscribeRequest {
	var all []feeds.SubscribeRequest
	var texts []json.RawMessage
	var wants []feeds.Subscription
	size := 0
	end := func(answers int) {
		if len(texts) > 0 {
			text := marshal(control{ID: strconv.Itoa(first + len(all) + 1), Op: op, Args: texts})
			all = append(all, feeds.SubscribeRequest{Text: text, Streams: wants, Answers: answers})
		}
		texts, wants, size = nil, nil, 0
	}
	named := map[arg]bool{}
	for _, s := range streams {
		var own []json.RawMessage
		bytes := 0
		for _, a := range args(s) {
			if !named[a] && !kept[a] {
				named[a] = true
				own = append(own, marshal(a))
				bytes += len(own[len(own)-1]) + 1
			}
		}
		if size+bytes > requestBytes-overhead {
			end(len(texts))
		}
		if s.Channels &^= tick.ChannelLiquidations; len(own) > 0 {
			texts, wants, size = append(texts, own...), append(wants, s), size+bytes
		}
	}
	end(len(texts))
	// One answer speaks for all instruments of a type.
	for _, kind := range []tick.InstrumentType{tick.TypePerpetual, tick.TypeFuture} {
		a := arg{Channel: streamLiquidations.String(), Type: wireType(kind)}
		if kept[a] {
			continue
		}
		for _, s := range streams {
			if forcedOrders(s) && s.Instrument.Type == kind {
				wants = append(wants, feeds.Subscription{Instrument: s.Instrument, Channels: tick.ChannelLiquidations})
			}
		}
		if len(wants) > 0 {
			texts = append(texts, marshal(a))
		}
		end(0)
	}
	return all
}

// overhead is what a request takes beside its arguments.
const overhead = len(`{"id":"1234567890","op":"unsubscribe","args":[]}`)

func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("BUG: names do not marshal: " + err.Error())
	}
	return text
}

func wireType(t tick.InstrumentType) string {
	switch t {
	case tick.TypePerpetual:
		return wireSwap
	case tick.TypeFuture:
		return wireFutures
	}
	return wireSpot
}

// Streams reads a sent subscribe message. The URL subscribes nothing. What is
// asked for by index or by type names no instrument.
func (venue) Streams(_ string, sent []byte) (all []feeds.Stream, request int) {
	var c struct {
		ID   any
		Op   string
		Args []struct{ Channel, InstID string }
	}
	if err := json.Unmarshal(sent, &c); err != nil || c.Op != "subscribe" {
		return nil, -1
	}
	for _, a := range c.Args {
		s := feeds.Stream{Symbol: a.InstID, Channel: kindOf([]byte(a.Channel)).ofInstrument()}
		if s.Symbol != "" && s.Channel != 0 && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	// Others than we may number their messages otherwise.
	request = -1
	if id, ok := c.ID.(string); ok {
		request = requestOf([]byte(id))
	}
	return all, request
}

// requestOf reads the number of a request from its id; -1 if it is none of ours.
func requestOf(id []byte) int {
	if len(id) == 0 || len(id) > 9 || id[0] == '0' {
		return -1
	}
	n := 0
	for _, c := range id {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n - 1
}
