package binance

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tickproc/feeds/sim"
	"tickproc/tick"
)

// Names of the venues.
const (
	Spot  = "binance-spot"
	USDM  = "binance-usdm"
	COINM = "binance-coinm"
)

// Dialect is how the simulated exchange speaks for a venue, nil for one that
// is not ours.
func Dialect(venue string) sim.Dialect {
	switch venue {
	case Spot, USDM, COINM:
		return &dialect{venue: venue}
	}
	return nil
}

// streamsMax is the limit of streams on a connection.
const streamsMax = 1024

// dialect is that of the spot, USD-M and COIN-M markets.
type dialect struct {
	sim.Defaults
	venue string
}

// socketMode is how one socket speaks.
type socketMode struct {
	combined bool   // frames name their stream
	tier     string // first element of the path where the venue splits its streams
}

// anyTier stands for both of USD-M's public tiers.
const anyTier = "*"

func (d *dialect) futures() bool { return d.venue != Spot }

func (d *dialect) Profile() sim.Profile {
	p := sim.Profile{
		DepthEvery: 100 * time.Millisecond, Lag: 3 * time.Millisecond,
		PingEvery: 20 * time.Second, PongWithin: time.Minute,
		AgeMax: 24 * time.Hour, AgeNotice: 10 * time.Minute,
		StreamsMax: streamsMax, TakesUnknown: true,
		Messages: []sim.Budget{{N: 5, Per: time.Second}}, Connects: []sim.Budget{{N: 300, Per: 5 * time.Minute}},
		Weight: sim.Budget{N: 6000, Per: time.Minute}, WeightHeader: "X-Mbx-Used-Weight-1m",
		TapMode: socketMode{combined: true, tier: anyTier},
	}
	if d.futures() {
		p.IDHoles = 120 // ids are shared by all symbols there
		p.PingEvery, p.PongWithin = 3*time.Minute, 10*time.Minute
		p.Messages[0].N, p.Weight.N = 10, 2400
	}
	switch d.venue {
	case USDM:
		p.DepthEvery = 50 * time.Millisecond
	case COINM:
		p.DepthEvery, p.Lag = 10*time.Millisecond, 12*time.Millisecond
	}
	return p
}

// Open knows /ws, /ws/<streams>, /stream and /stream?streams=<streams>; on
// USD-M behind /public or /market, as its untiered paths are retired.
func (d *dialect) Open(path string, query url.Values) (o sim.Opening, ok bool) {
	mode := socketMode{}
	if d.venue == USDM {
		tier, rest, cut := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if !cut || tier != "public" && tier != "market" {
			return o, false
		}
		mode.tier, path = tier, "/"+rest
	}
	split := func(list string) []string {
		return slices.DeleteFunc(strings.Split(list, "/"), func(s string) bool { return s == "" })
	}
	if path == "/stream" {
		mode.combined = true
		return sim.Opening{Mode: mode, Streams: split(query.Get("streams"))}, true
	}
	if list, found := strings.CutPrefix(path, "/ws"); found && (list == "" || list[0] == '/') {
		return sim.Opening{Mode: mode, Streams: split(list)}, true
	}
	return o, false
}

// depthSpeeds are the suffixes of a diff stream; "" is the venue's default.
var depthSpeeds = map[string][]string{
	Spot:  {"", "100ms", "1000ms"},
	USDM:  {"", "0ms", "100ms", "500ms"},
	COINM: {"", "0ms", "100ms", "500ms"},
}

// Stream reads names like btcusdt@depth@100ms. All others of the venue
// (aggTrade, kline …) and the wrong tier are silent.
func (d *dialect) Stream(mode any, name string) (spec sim.StreamSpec, ok bool) {
	low, kind, _ := strings.Cut(name, "@")
	kind, speed, _ := strings.Cut(kind, "@")
	if low != strings.ToLower(low) {
		return spec, false
	}
	tier := "public"
	switch {
	case kind == "trade" && speed == "":
		spec.Channel = tick.ChannelTrades
	case kind == "bookTicker" && speed == "":
		spec.Channel = tick.ChannelQuotes
	case kind == "depth" && slices.Contains(depthSpeeds[d.venue], speed):
		spec.Channel = tick.ChannelDepth
	case d.futures() && kind == "markPrice" && (speed == "" || speed == "1s"):
		spec.Channel, tier = tick.ChannelFunding, "market"
	case d.futures() && kind == "forceOrder" && speed == "":
		spec.Channel, tier = tick.ChannelLiquidations, "market"
	default:
		return spec, false
	}
	if have := mode.(socketMode).tier; d.venue == USDM && have != tier && have != anyTier {
		return spec, false
	}
	spec.Symbol = strings.ToUpper(low)
	return spec, true
}

// requestID is what the venue takes as an id: an integer, a short string, or null.
var requestID = regexp.MustCompile(`^(null|-?\d{1,19}|"[A-Za-z0-9_-]{0,36}")$`)

// Request serves SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS.
func (d *dialect) Request(c *sim.Conn, text []byte) { c.Send(d.answer(c, text)) }

func (d *dialect) answer(c *sim.Conn, text []byte) []byte {
	id := json.RawMessage(nil)
	refuse := func(code int, format string, args ...any) []byte {
		message, _ := json.Marshal(fmt.Sprintf(format, args...))
		if id == nil {
			return fmt.Appendf(nil, `{"error":{"code":%d,"msg":%s}}`, code, message)
		}
		return fmt.Appendf(nil, `{"error":{"code":%d,"msg":%s},"id":%s}`, code, message, id)
	}
	if !json.Valid(text) {
		return refuse(3, "Invalid JSON: expected value at line 1 column 1")
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil {
		return refuse(2, "Invalid request: expected an object")
	}
	if !requestID.Match(fields["id"]) {
		return refuse(2, "Invalid request: request ID must be an unsigned integer")
	}
	id = fields["id"]
	var method string
	if json.Unmarshal(fields["method"], &method) != nil {
		return refuse(2, "Invalid request: missing field `method` at line 1 column %d", len(text))
	}
	var streams []string
	switch method {
	case "SUBSCRIBE", "UNSUBSCRIBE":
		if fields["params"] == nil {
			return refuse(2, "Invalid request: missing field `params` at line 1 column %d", len(text))
		}
		if json.Unmarshal(fields["params"], &streams) != nil {
			return refuse(2, "Invalid request: params must be an array of strings")
		}
	}
	switch method {
	case "SUBSCRIBE":
		if len(c.Streams())+len(streams) > streamsMax {
			return refuse(2, "Invalid request: too many streams, limit %d", streamsMax)
		}
		for _, name := range streams {
			switch _, outcome := c.Subscribe(name); outcome {
			case sim.Refused:
				return refuse(2, "Invalid request: stream %s is not available", name)
			case sim.RateLimited:
				return refuse(-1003, "Too many requests")
			}
		}
	case "UNSUBSCRIBE":
		for _, name := range streams {
			c.Unsubscribe(name)
		}
	case "LIST_SUBSCRIPTIONS":
		list, _ := json.Marshal(c.Streams())
		return fmt.Appendf(nil, `{"result":%s,"id":%s}`, list, id)
	default:
		return refuse(2, "Invalid request: unknown variant `%s`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column %d", method, len(text))
	}
	return fmt.Appendf(nil, `{"result":null,"id":%s}`, id)
}

// Notice announces the end of a connection.
func (d *dialect) Notice(c *sim.Conn, _ sim.Notice) []byte {
	return fmt.Appendf(nil, `{"e":"serverShutdown","E":%d}`, ms(c.Market().NowNanos()))
}

func (d *dialect) Wrap(dst []byte, c *sim.Conn, s *sim.Stream, body []byte) []byte {
	if !c.Mode.(socketMode).combined {
		return append(dst, body...)
	}
	dst = append(dst, `{"stream":"`...)
	dst = append(dst, s.Name...)
	dst = append(dst, `","data":`...)
	dst = append(dst, body...)
	return append(dst, '}')
}

// ms is a time on the wire.
func ms(nanos int64) int64 { return nanos / int64(time.Millisecond) }

// Render writes an event with the fields, order and digits of the venue.
func (d *dialect) Render(dst []byte, _ *sim.Stream, e *sim.Event) []byte {
	w := writer{dst, e.Instrument}
	spot, coin := d.venue == Spot, d.venue == COINM
	at, sent := ms(e.TimeNanos), ms(e.SendNanos)
	switch e.Channel {
	case tick.ChannelQuotes:
		switch {
		case coin:
			w.integer(`{"u":`, int64(e.LastID))
			w.raw(`,"e":"bookTicker"`)
		case spot:
			w.integer(`{"u":`, int64(e.LastID))
		default:
			w.raw(`{"e":"bookTicker"`)
			w.integer(`,"u":`, int64(e.LastID))
		}
		w.names(coin)
		w.price(`,"b":"`, e.Bids[0].Price)
		w.size(`","B":"`, e.Bids[0].Size)
		w.price(`","a":"`, e.Asks[0].Price)
		w.size(`","A":"`, e.Asks[0].Size)
		w.raw(`"`)
		if !spot {
			w.integer(`,"T":`, at)
			w.integer(`,"E":`, sent)
		}
	case tick.ChannelTrades:
		t := &e.Trades[0]
		at = ms(t.TimeNanos)
		w.integer(`{"e":"trade","E":`, sent)
		if !spot {
			w.integer(`,"T":`, at)
		}
		w.names(false) // also on COIN-M
		w.integer(`,"t":`, t.ID)
		w.price(`,"p":"`, t.Price)
		w.size(`","q":"`, t.Size)
		if spot {
			w.integer(`","T":`, at)
		} else {
			w.raw(`","X":"MARKET"`)
		}
		w.raw(`,"m":`)
		w.dst = strconv.AppendBool(w.dst, t.Sell)
		if spot {
			w.raw(`,"M":true`)
		}
	case tick.ChannelDepth:
		w.integer(`{"e":"depthUpdate","E":`, sent)
		if !spot {
			w.integer(`,"T":`, at)
		}
		w.names(coin)
		w.integer(`,"U":`, int64(e.FirstID))
		w.integer(`,"u":`, int64(e.LastID))
		if !spot {
			w.integer(`,"pu":`, int64(e.PrevID))
		}
		w.levels(`,"b":[`, e.Bids, !spot) // both sides ascend on futures
		w.levels(`,"a":[`, e.Asks, false)
	case tick.ChannelFunding:
		d.mark(&w, &e.Reference, sent)
	case tick.ChannelLiquidations:
		d.forced(&w, &e.Liquidation, sent)
	}
	w.raw(`}`)
	return w.dst
}

// mark writes a mark price update; contracts that expire have no funding.
func (d *dialect) mark(w *writer, r *sim.Reference, sent int64) {
	price := func(key string, x int64) { w.scaled(key, x, r.PriceDigits) }
	w.integer(`{"e":"markPriceUpdate","E":`, sent)
	w.names(false)
	price(`,"p":"`, r.Mark)
	if d.venue == COINM {
		price(`","P":"`, r.Index)
		price(`","i":"`, r.Index)
	} else {
		price(`","i":"`, r.Index)
		price(`","P":"`, r.Index)
	}
	if r.NextFundingNanos == 0 {
		w.raw(`","r":"","T":0`)
		return
	}
	w.scaled(`","r":"`, r.FundingRate, r.RateDigits)
	w.integer(`","T":`, ms(r.NextFundingNanos))
}

// forced writes a forced order, filled at once.
func (d *dialect) forced(w *writer, l *sim.Liquidation, sent int64) {
	side := "BUY"
	if l.Sell {
		side = "SELL"
	}
	w.integer(`{"e":"forceOrder","E":`, sent)
	w.raw(`,"o":{"s":"` + w.in.Name)
	if d.venue == COINM {
		w.raw(`","ps":"` + w.in.Alias)
	}
	w.raw(`","S":"` + side + `","o":"LIMIT","f":"IOC`)
	w.size(`","q":"`, l.Size)
	w.price(`","p":"`, l.Price)
	w.price(`","ap":"`, l.Price)
	w.raw(`","X":"FILLED`)
	w.size(`","l":"`, l.Size)
	w.size(`","z":"`, l.Size)
	w.integer(`","T":`, ms(l.TimeNanos))
	w.raw(`}`)
}

// writer appends parts of Binance's JSON.
type writer struct {
	dst []byte
	in  *sim.Instrument
}

func (w *writer) raw(text string) { w.dst = append(w.dst, text...) }

func (w *writer) integer(key string, x int64) {
	w.dst = strconv.AppendInt(append(w.dst, key...), x, 10)
}

func (w *writer) price(before string, x int64) {
	w.dst = tick.AppendScaled(append(w.dst, before...), x, w.in.PriceDigits)
}

func (w *writer) scaled(before string, x int64, digits uint8) {
	w.dst = tick.AppendScaled(append(w.dst, before...), x, digits)
}

func (w *writer) size(before string, x int64) {
	w.dst = tick.AppendScaled(append(w.dst, before...), x, w.in.SizeDigits)
}

// names writes the symbol, and its pair where the message has one.
func (w *writer) names(pair bool) {
	w.raw(`,"s":"`)
	w.raw(w.in.Name)
	if pair {
		w.raw(`","ps":"`)
		w.raw(w.in.Alias)
	}
	w.raw(`"`)
}

func (w *writer) levels(key string, levels []tick.Level, worstFirst bool) {
	w.raw(key)
	for i, l := range levels {
		if worstFirst {
			l = levels[len(levels)-1-i]
		}
		if i > 0 {
			w.raw(`,`)
		}
		w.price(`["`, l.Price)
		w.size(`","`, l.Size)
		w.raw(`"]`)
	}
	w.raw(`]`)
}
