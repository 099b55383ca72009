package coinbase

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tickproc/feeds/sim"
	"tickproc/tick"
)

// Dialect is how the simulated exchange speaks for a venue, nil for one that
// is not ours.
func Dialect(venue string) sim.Dialect {
	if venue != venueName {
		return nil
	}
	return dialect{}
}

// dialect shares nothing with the decoder, not even names: a common mistake
// would hide.
type dialect struct{ sim.Defaults }

func (dialect) Profile() sim.Profile {
	return sim.Profile{
		DepthEvery: 50 * time.Millisecond, Resolution: time.Microsecond, Lag: 30 * time.Millisecond,
		// Tickers come at trades, so that the market's own quotes are not theirs.
		OwnIDs: true, Numbered: true, TradesTogether: 20,
		FirstWithin: 5 * time.Second, IdleMax: 90 * time.Second,
		Messages: []sim.Budget{{N: 8, Per: time.Second}}, Connects: []sim.Budget{{N: 8, Per: time.Second}},
		Weight: sim.Budget{N: 600, Per: time.Minute},
	}
}

func (dialect) Open(path string, _ url.Values) (sim.Opening, bool) {
	return sim.Opening{}, path == "/" || path == ""
}

// dataChannels are the names of channels in data frames, by their names in
// requests. Those without a channel of ours are taken and silent here.
var dataChannels = map[string]tick.Channels{
	"level2": tick.ChannelDepth, "market_trades": tick.ChannelTrades, "ticker": tick.ChannelQuotes,
	"ticker_batch": 0, "candles": 0, "status": 0,
}

// batchNothing is how long a book is still before the venue sends a batch
// without changes.
const batchNothing = 200 * time.Millisecond

// Stream reads names of ours: level2:BTC-USD, heartbeats.
func (dialect) Stream(_ any, name string) (sim.StreamSpec, bool) {
	if name == "heartbeats" {
		return sim.StreamSpec{}, true
	}
	channel, symbol, _ := strings.Cut(name, ":")
	what, ok := dataChannels[channel]
	spec := sim.StreamSpec{Symbol: symbol, Channel: what}
	switch channel {
	case "level2":
		spec.QuietAfter = batchNothing
	case "ticker":
		spec.Hears = tick.ChannelTrades
	}
	return spec, ok && symbol != ""
}

// Request serves subscribe and unsubscribe of one channel. A product that is
// unknown spoils the request: nothing of it is taken.
func (d dialect) Request(c *sim.Conn, text []byte) {
	var r struct {
		Type     string
		Products []string `json:"product_ids"`
		Channel  string
	}
	if json.Unmarshal(text, &r) != nil || r.Type != "subscribe" && r.Type != "unsubscribe" {
		complain(c, "subscribe or unsubscribe required")
		return
	}
	names := []string{"heartbeats"}
	if r.Channel != "heartbeats" {
		if _, known := dataChannels[r.Channel]; !known {
			complain(c, "authentication failure") // the venue's word for it
			return
		}
		names = nil
		for _, product := range r.Products {
			names = append(names, r.Channel+":"+bookOf(c.Market(), product))
		}
	}
	if r.Type == "unsubscribe" {
		if len(names) == 0 {
			names = slices.DeleteFunc(c.Streams(), func(have string) bool { return !strings.HasPrefix(have, r.Channel+":") })
		}
		for _, name := range names {
			c.Unsubscribe(name)
		}
		d.list(c)
		return
	}
	var taken []*sim.Stream
	for _, name := range names {
		s, outcome := c.Subscribe(name)
		switch outcome {
		case sim.Subscribed:
			taken = append(taken, s)
			continue
		case sim.Already:
			continue
		}
		for _, s := range taken {
			c.Unsubscribe(s.Name)
		}
		switch outcome {
		case sim.UnknownSymbol:
			_, product, _ := strings.Cut(name, ":")
			complain(c, "Failed to subscribe: "+product+" is not a valid product")
		case sim.RateLimited:
			complain(c, "rate limit exceeded")
		default:
			complain(c, "Failed to subscribe")
		}
		return
	}
	// What stands comes before the answer.
	for _, s := range taken {
		if s.Name == "heartbeats" {
			c.BeatEvery = time.Second
		} else {
			c.SendSnapshot(s)
		}
	}
	d.list(c)
}

// bookOf is the product in whose book another trades: BTC-USDC in BTC-USD.
func bookOf(m *sim.Market, product string) string {
	if dollars, ok := strings.CutSuffix(product, "-USDC"); ok && m.Instrument(product) == nil {
		return dollars + "-USD"
	}
	return product
}

// complain says what is wrong. Such frames have no number.
func complain(c *sim.Conn, message string) {
	text, _ := json.Marshal(message)
	c.Send(fmt.Appendf(nil, `{"type":"error","message":%s}`, text))
}

// TooFast complains and parts.
func (dialect) TooFast(c *sim.Conn) {
	complain(c, "rate limit exceeded")
	c.Close()
}

// list answers with all that the connection has.
func (dialect) list(c *sim.Conn) {
	have := map[string][]string{}
	for _, name := range c.Streams() {
		channel, product, cut := strings.Cut(name, ":")
		if !cut {
			product = channel
		}
		have[channel] = append(have[channel], product)
	}
	text, _ := json.Marshal(have)
	control(c, "subscriptions", `{"subscriptions":`+string(text)+`}`)
}

// Beat: the venue counts the seconds since its server began.
func (dialect) Beat(c *sim.Conn) {
	now := c.Market().NowNanos()
	seconds := now / 1e9 % 1_000_000
	control(c, "heartbeats", fmt.Sprintf(`{"current_time":"%s m=+%d.%09d","heartbeat_counter":%d}`,
		time.Unix(0, now).UTC().Format("2006-01-02 15:04:05.999999999 -0700 MST"), seconds, now%1e9, seconds))
}

func control(c *sim.Conn, channel, event string) {
	c.Send(append(append(enveloped(nil, c, channel, string(rfc3339(nil, c.Market().NowNanos()))), event...), `]}`...))
}

// enveloped begins a frame with the connection's next number.
func enveloped(dst []byte, c *sim.Conn, channel, at string) []byte {
	dst = append(dst, `{"channel":"`+channel+`","timestamp":"`+at+`","sequence_num":`...)
	dst = strconv.AppendUint(dst, c.NextNumber(), 10)
	return append(dst, `,"events":[`...)
}

// rfc3339 writes a time as the venue does: without zeros at its end.
func rfc3339(dst []byte, nanos int64) []byte {
	return time.Unix(0, nanos).UTC().AppendFormat(dst, time.RFC3339Nano)
}

// Wrap puts a stream's text, which is the time of sending, a space, and an
// event, into a numbered frame.
func (dialect) Wrap(dst []byte, c *sim.Conn, s *sim.Stream, body []byte) []byte {
	at, event, _ := bytes.Cut(body, []byte(" "))
	channel := map[tick.Channels]string{tick.ChannelDepth: "l2_data", tick.ChannelTrades: "market_trades", tick.ChannelQuotes: "ticker"}[s.Channel]
	return append(append(enveloped(dst, c, channel, string(at)), event...), `]}`...)
}

// text appends parts of the venue's JSON.
type text struct {
	dst []byte
	in  *sim.Instrument
}

func (w *text) raw(s string) { w.dst = append(w.dst, s...) }

// decimal writes a number in quotes without zeros at its end.
func (w *text) decimal(key string, x int64, digits uint8) {
	s := tick.FormatScaled(x, digits)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	w.raw(key + `"` + s + `"`)
}

func (w *text) price(key string, x int64) { w.decimal(key, x, w.in.PriceDigits) }
func (w *text) size(key string, x int64)  { w.decimal(key, x, w.in.SizeDigits) }

func (w *text) time(key string, nanos int64) {
	w.raw(key + `"`)
	w.dst = rfc3339(w.dst, nanos)
	w.raw(`"`)
}

// begin writes the time of sending.
func (w *text) begin(nanos int64) {
	w.dst = rfc3339(w.dst, nanos)
	w.raw(" ")
}

func (d dialect) Render(dst []byte, s *sim.Stream, e *sim.Event) []byte {
	w := text{dst, s.Instrument}
	w.begin(e.SendNanos)
	switch s.Channel {
	case tick.ChannelDepth:
		// The venue sorts neither sides nor prices.
		s.Counter++
		w.book("update", e.Bids, e.Asks, e.TimeNanos, s.Counter%3 == 0)
		// Books are found by their time; the id tells those of one time apart.
		s.NoteBook(e.LastID, e.TimeNanos)
	case tick.ChannelTrades:
		w.trades("update", e.Trades)
	case tick.ChannelQuotes:
		w.ticker("update", e.Trades[len(e.Trades)-1].Price)
		s.NoteQuote(0, e.SendNanos)
	default:
		return dst
	}
	return w.dst
}

func (d dialect) Snapshot(dst []byte, s *sim.Stream) ([]byte, []sim.Trade) {
	w := text{dst, s.Instrument}
	now := s.Market().CutNanos()
	switch s.Channel {
	case tick.ChannelDepth:
		bids, asks := s.Book()
		w.begin(now)
		w.book("snapshot", bids, asks, s.BookNanos(), false)
		s.NoteBook(s.BookID(), s.BookNanos())
	case tick.ChannelTrades:
		last := s.Instrument.LastTrades(100)
		if len(last) > 0 {
			w.begin(now)
			w.trades("snapshot", last)
		}
		return w.dst, last
	case tick.ChannelQuotes:
		last := s.Instrument.Tick * s.Instrument.Start
		if t := s.Instrument.LastTrades(1); len(t) > 0 {
			last = t[0].Price
		}
		w.begin(now)
		w.ticker("snapshot", last)
		s.NoteQuote(0, now)
	}
	return w.dst, nil
}

// Quiet is a batch in which nothing changed.
func (dialect) Quiet(dst []byte, s *sim.Stream) []byte {
	w := text{dst, s.Instrument}
	w.begin(s.Market().CutNanos())
	w.book("update", nil, nil, 0, false)
	return w.dst
}

func (w *text) book(kind string, bids, asks []tick.Level, nanos int64, asksFirst bool) {
	w.raw(`{"type":"` + kind + `","product_id":"` + w.in.Name + `","updates":[`)
	comma := ""
	side := func(name string, levels []tick.Level) {
		for _, l := range levels {
			w.raw(comma + `{"side":"` + name + `"`)
			w.time(`,"event_time":`, nanos)
			w.price(`,"price_level":`, l.Price)
			w.size(`,"new_quantity":`, l.Size)
			w.raw(`}`)
			comma = ","
		}
	}
	if asksFirst {
		// One bid, all asks, the other bids.
		n := min(1, len(bids))
		side("bid", bids[:n])
		side("offer", asks)
		side("bid", bids[n:])
	} else {
		side("bid", bids)
		side("offer", asks)
	}
	w.raw(`]}`)
}

// trades stand newest first, with the side of the order that rested.
func (w *text) trades(kind string, trades []sim.Trade) {
	w.raw(`{"type":"` + kind + `","trades":[`)
	for i := range trades {
		t := &trades[len(trades)-1-i]
		if i > 0 {
			w.raw(`,`)
		}
		w.raw(`{"product_id":"` + w.in.Name + `","trade_id":"` + strconv.FormatInt(t.ID, 10) + `"`)
		w.price(`,"price":`, t.Price)
		w.size(`,"size":`, t.Size)
		w.time(`,"time":`, t.TimeNanos)
		resting := "SELL"
		if t.Sell {
			resting = "BUY"
		}
		w.raw(`,"side":"` + resting + `"}`)
	}
	w.raw(`]}`)
}

// ticker tells the best bid and offer as they stand, and the last price.
func (w *text) ticker(kind string, last int64) {
	start := w.in.Tick * w.in.Start
	w.raw(`{"type":"` + kind + `","tickers":[{"type":"ticker","product_id":"` + w.in.Name + `"`)
	w.price(`,"price":`, last)
	w.size(`,"volume_24_h":`, dayVolume(w.in))
	w.price(`,"low_24_h":`, start*9/10)
	w.price(`,"high_24_h":`, start*11/10)
	w.price(`,"low_52_w":`, start/2)
	w.price(`,"high_52_w":`, start*2)
	w.raw(`,"price_percent_chg_24_h":"-0.27303411671707"`)
	bid, ask := w.in.Bids(1)[0], w.in.Asks(1)[0]
	w.price(`,"best_bid":`, bid.Price)
	w.price(`,"best_ask":`, ask.Price)
	w.size(`,"best_bid_quantity":`, bid.Size)
	w.size(`,"best_ask_quantity":`, ask.Size)
	w.raw(`}]}`)
}

// dayVolume is what was traded in 24 hours: it only serves to rank.
func dayVolume(in *sim.Instrument) int64 { return in.Lot * in.OrderLots * 10_000 }
