package kraken

import (
	"encoding/json"

	"tickproc/feeds"
	"tickproc/tick"
)

// channels are what we subscribe, by their place in a req_id.
var channels = [...]struct {
	channel tick.Channels
	name    string // the venue's
}{
	{tick.ChannelTrades, "trade"},
	{tick.ChannelQuotes, "ticker"},
	{tick.ChannelDepth, "book"},
}

// channelOf returns the channel of the venue's name, and its place from 1; 0
// for those that we do not subscribe.
func channelOf(name []byte) (tick.Channels, int) {
	for i := range channels {
		if channels[i].name == string(name) {
			return channels[i].channel, i + 1
		}
	}
	return 0, 0
}

// A req_id holds the request's number from 1 and, in its last decimal digit,
// the place of the channel from 1: a refusal names the symbol, and not the
// channel.
func requestID(number, place int) int { return 10*(number+1) + place }

// requestOf reads a req_id: number -1, or channel 0, where it cannot be ours.
func requestOf(id uint64) (number int, channel tick.Channels) {
	if id < 10 || id >= 1<<31 {
		return -1, 0
	}
	if place := id % 10; place >= 1 && place <= uint64(len(channels)) {
		channel = channels[place-1].channel
	}
	return int(id/10) - 1, channel
}

// symbolsPerRequest bounds one request, whose text would otherwise meet the
// venue's unpublished limit of message size.
const symbolsPerRequest = 100

// Plan puts the channels of an instrument on one socket. On each we ask first
// for the changes of the pairs' trading states.
func (v *venue) Plan(subscriptions []feeds.Subscription) []feeds.Connection {
	endpoint := feeds.Endpoint{Name: "public", URL: socketURL, Channels: books}
	plan := feeds.Spread([]feeds.Endpoint{endpoint}, v.Profile(), subscriptions, func(s feeds.Subscription) int {
		n := 0
		for i := range channels {
			if s.Channels.Has(channels[i].channel) {
				n++
			}
		}
		return n
	})
	for i := range plan {
		states := control{Method: "subscribe", Params: params{Channel: "instrument", Snapshot: new(bool)}, ID: requestID(0, 0)}
		plan[i].Greetings = []feeds.SubscribeRequest{{Text: states.text()}}
	}
	return plan
}

// control is a request.
type control struct {
	Method string `json:"method"`
	Params params `json:"params"`
	ID     int    `json:"req_id"`
}

type params struct {
	Channel  string   `json:"channel"`
	Symbol   []string `json:"symbol,omitempty"`
	Depth    int      `json:"depth,omitempty"`
	Trigger  string   `json:"event_trigger,omitempty"`
	Snapshot *bool    `json:"snapshot,omitempty"`
}

func (c *control) text() []byte {
	text, err := json.Marshal(c)
	if err != nil {
		panic("BUG: a request does not marshal: " + err.Error())
	}
	return text
}

func (*venue) Subscribe(_ *feeds.Connection, streams []feeds.Subscription, first int) []feeds.SubscribeRequest {
	whole := true
	return requests(streams, first, func(number, place int, p params, wants []feeds.Subscription) feeds.SubscribeRequest {
		p.Snapshot = &whole
		c := control{Method: "subscribe", Params: p, ID: requestID(number, place)}
		return feeds.SubscribeRequest{Text: c.text(), Streams: wants, Answers: len(wants)}
	})
}

// Unsubscribe asks for no streams, and its first answer settles it: that a
// stream could not be ended is no reason to ask for it again.
func (*venue) Unsubscribe(_ *feeds.Connection, streams []feeds.Subscription, first int) []feeds.SubscribeRequest {
	return requests(streams, first, func(number, place int, p params, _ []feeds.Subscription) feeds.SubscribeRequest {
		c := control{Method: "unsubscribe", Params: p, ID: requestID(number, place)}
		return feeds.SubscribeRequest{Text: c.text()}
	})
}

// requests makes those about streams: a request is about one channel.
func requests(streams []feeds.Subscription, first int, write func(number, place int, p params, wants []feeds.Subscription) feeds.SubscribeRequest) []feeds.SubscribeRequest {
	var all []feeds.SubscribeRequest
	for i, c := range channels {
		p := params{Channel: c.name}
		switch c.channel {
		case tick.ChannelQuotes:
			p.Trigger = "bbo"
		case tick.ChannelDepth:
			p.Depth = depth
		}
		var wants []feeds.Subscription
		end := func() {
			if len(wants) > 0 {
				all = append(all, write(first+len(all), i+1, p, wants))
			}
			p.Symbol, wants = nil, nil
		}
		for _, s := range streams {
			if !s.Channels.Has(c.channel) {
				continue
			}
			if len(wants) == symbolsPerRequest {
				end()
			}
			p.Symbol = append(p.Symbol, s.Instrument.Symbol)
			wants = append(wants, feeds.Subscription{Instrument: s.Instrument, Channels: c.channel})
		}
		end()
	}
	return all
}

// Streams reads a sent subscription. Books of any depth and tickers of either
// trigger count.
func (*venue) Streams(_ string, sent []byte) (all []feeds.Stream, request int) {
	var c struct {
		Method string
		Params struct {
			Channel string
			Symbol  []string
		}
		ID any `json:"req_id"`
	}
	if json.Unmarshal(sent, &c) != nil || c.Method != "subscribe" {
		return nil, -1
	}
	channel, _ := channelOf([]byte(c.Params.Channel))
	if channel == 0 {
		return nil, -1
	}
	for _, symbol := range c.Params.Symbol {
		all = append(all, feeds.Stream{Symbol: symbol, Channel: channel})
	}
	// Others than we may number their requests otherwise.
	id, _ := c.ID.(float64)
	number, asked := requestOf(uint64(max(id, 0)))
	if asked != channel {
		number = -1
	}
	return all, number
}
