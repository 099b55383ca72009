package kraken

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/url"
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
		DepthEvery: 20 * time.Millisecond, Resolution: time.Microsecond, Lag: 2 * time.Millisecond,
		TradesTogether: 20,
		IdleMax:        time.Minute,
		Connects:       []sim.Budget{{N: 150, Per: 10 * time.Minute}},
		Weight:         sim.Budget{N: 60, Per: time.Minute},
	}
}

func (dialect) Open(path string, _ url.Values) (sim.Opening, bool) {
	return sim.Opening{}, path == "/v2"
}

// Greet sends the status of the trading engine.
func (dialect) Greet(c *sim.Conn) { c.Send(systemFrame(c, "online")) }

func systemFrame(c *sim.Conn, system string) []byte {
	return fmt.Appendf(nil, `{"channel":"status","type":"update","data":[{"version":"2.0.10","system":%q,"api_version":"v2","connection_id":%d,"upcoming_maintenance":[],"emergency":[]}]}`,
		system, 13834774380200032777+uint64(c.Number()))
}

// Notice: the venue announces maintenance and nothing else.
func (dialect) Notice(c *sim.Conn, n sim.Notice) []byte {
	if n == sim.NoticeMaintenance {
		return systemFrame(c, "maintenance")
	}
	return nil
}

// Beat is sent when nothing else is.
func (dialect) Beat(c *sim.Conn) { c.Send([]byte(`{"channel":"heartbeat"}`)) }

// depths are those that a book can be asked for at.
var depths = map[string]int{"10": 10, "25": 25, "100": 100, "500": 500, "1000": 1000}

// Stream reads names of ours: trade:BTC/USD, ticker:BTC/USD:bbo, book:BTC/USD:1000,
// instrument.
func (dialect) Stream(_ any, name string) (sim.StreamSpec, bool) {
	parts := append(strings.Split(name, ":"), "", "")
	spec := sim.StreamSpec{Symbol: parts[1]}
	switch parts[0] {
	case "trade":
		spec.Channel = tick.ChannelTrades
	case "ticker":
		spec.Channel = tick.ChannelQuotes
		if parts[2] == "trades" {
			spec.Hears = tick.ChannelTrades
		}
	case "book":
		spec.Channel, spec.Depth = tick.ChannelDepth, depths[parts[2]]
		return spec, spec.Depth > 0
	case "instrument":
		spec.Channel = sim.ChannelStatus
	default:
		return spec, false
	}
	return spec, true
}

// dialogue is a request, and the answer to it.
type dialogue struct {
	c      *sim.Conn
	method string
	id     json.RawMessage
}

// Request serves subscribe, unsubscribe and ping.
func (d dialect) Request(c *sim.Conn, text []byte) {
	var r struct {
		Method string          `json:"method"`
		ID     json.RawMessage `json:"req_id"`
		Params struct {
			Channel  string
			Symbol   []string
			Depth    json.RawMessage
			Trigger  string `json:"event_trigger"`
			Snapshot *bool
		} `json:"params"`
	}
	a := dialogue{c: c}
	if json.Unmarshal(text, &r) != nil {
		a.refuse("", "Malformed request")
		return
	}
	a.method, a.id = r.Method, r.ID
	if r.Method == "ping" {
		c.Send(fmt.Appendf(nil, `{"method":"pong"%s,%s}`, a.number(), a.times()))
		return
	}
	if r.Method != "subscribe" && r.Method != "unsubscribe" {
		a.refuse("", "Unsupported method")
		return
	}
	p := &r.Params
	depth := "10"
	if p.Depth != nil {
		depth = string(p.Depth)
	}
	if p.Trigger == "" {
		p.Trigger = "trades"
	}
	suffix, more := "", "" // of the stream's name, and of the answer
	switch p.Channel {
	case "trade":
	case "ticker":
		suffix, more = ":"+p.Trigger, `"event_trigger":"`+p.Trigger+`",`
	case "book":
		if depths[depth] == 0 {
			a.refuse("", "Subscription depth not supported")
			return
		}
		suffix, more = ":"+depth, `"depth":`+depth+`,`
	case "instrument":
		p.Symbol = []string{""}
	default:
		a.refuse("", "Subscription channel not supported")
		return
	}
	// Trades alone do not tell their last unless they are asked to.
	whole := p.Channel != "trade"
	if p.Snapshot != nil {
		whole = *p.Snapshot
	}
	for _, symbol := range p.Symbol {
		name := p.Channel
		if symbol != "" {
			name += ":" + symbol + suffix
		}
		if r.Method == "unsubscribe" {
			if c.Unsubscribe(name) {
				a.accept(p.Channel, more, symbol)
			} else {
				a.refuse(symbol, "Subscription Not Found")
			}
			continue
		}
		s, outcome := c.Subscribe(name)
		switch outcome {
		case sim.Subscribed:
			c.BeatEvery, c.BeatIdle = time.Second, true
			a.accept(p.Channel, more+`"snapshot":`+strconv.FormatBool(whole)+`,`, symbol)
			if whole {
				c.SendSnapshot(s)
			}
		case sim.Already:
			a.refuse(symbol, "Already subscribed")
		case sim.Refused:
			a.refuse(symbol, "Subscription not available")
		case sim.RateLimited:
			a.refuse(symbol, "Exceeded msg rate")
		default:
			a.refuse(symbol, "Currency pair not supported "+symbol)
		}
	}
}

// accept and refuse write keys in alphabetical order, as the venue does.
func (a *dialogue) accept(channel, more, symbol string) {
	if symbol != "" {
		symbol = fmt.Sprintf(`"symbol":%q`, symbol)
	}
	result := strings.TrimSuffix(fmt.Sprintf(`"channel":%q,%s%s`, channel, more, symbol), ",")
	a.c.Send(fmt.Appendf(nil, `{"method":%q%s,"result":{%s},"success":true,%s}`, a.method, a.number(), result, a.times()))
}

func (a *dialogue) refuse(symbol, why string) {
	if symbol != "" {
		symbol = fmt.Sprintf(`,"symbol":%q`, symbol)
	}
	text, _ := json.Marshal(why)
	a.c.Send(fmt.Appendf(nil, `{"error":%s,"method":%q%s,"success":false%s,%s}`, text, a.method, a.number(), symbol, a.times()))
}

func (a *dialogue) number() string {
	if a.id == nil {
		return ""
	}
	return `,"req_id":` + string(a.id)
}

func (a *dialogue) times() string {
	now := a.c.Market().NowNanos()
	return `"time_in":"` + string(stampOf(nil, now)) + `","time_out":"` + string(stampOf(nil, now+38_000)) + `"`
}

// stampOf writes a time as the venue does.
func stampOf(dst []byte, nanos int64) []byte {
	return time.Unix(0, nanos).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
}

// Render writes an event with the fields, order and digits of the venue.
func (d dialect) Render(dst []byte, s *sim.Stream, e *sim.Event) []byte {
	w := wireText{dst, e.Instrument}
	switch s.Channel {
	case tick.ChannelTrades:
		w.trades("update", e.Trades)
	case tick.ChannelQuotes:
		q := sim.Quote{TimeNanos: e.TimeNanos}
		if e.Channel == tick.ChannelQuotes {
			q.Bid, q.Ask = e.Bids[0], e.Asks[0]
		} else {
			q = e.Instrument.Quote()
		}
		w.ticker("update", q)
	case tick.ChannelDepth:
		bids := e.Bids
		// Now and then a price changes twice in a message: the last change counts.
		if s.Counter++; s.Counter%8 == 0 && len(bids) > 0 {
			bids = append([]tick.Level{{Price: bids[0].Price, Size: bids[0].Size + e.Instrument.Lot}}, bids...)
		}
		w.book("update", s, bids, e.Asks, e.TimeNanos)
	case sim.ChannelStatus:
		w.pairs("update", []*sim.Instrument{e.Instrument})
	}
	return w.dst
}

func (d dialect) Snapshot(dst []byte, s *sim.Stream) ([]byte, []sim.Trade) {
	w := wireText{dst, s.Instrument}
	switch s.Channel {
	case tick.ChannelTrades:
		last := s.Instrument.LastTrades(50)
		if len(last) > 0 {
			w.trades("snapshot", last)
		}
		return w.dst, last
	case tick.ChannelQuotes:
		w.ticker("snapshot", s.Instrument.Quote())
	case tick.ChannelDepth:
		bids, asks := s.Book()
		w.book("snapshot", s, bids, asks, s.BookNanos())
	case sim.ChannelStatus:
		w.pairs("snapshot", s.Market().Instruments())
	}
	return w.dst, nil
}

// wireText appends parts of the venue's JSON.
type wireText struct {
	dst []byte
	in  *sim.Instrument
}

func (w *wireText) raw(text string) { w.dst = append(w.dst, text...) }

func (w *wireText) price(key string, x int64) {
	w.dst = tick.AppendScaled(append(w.dst, key...), x, w.in.PriceDigits)
}

func (w *wireText) size(key string, x int64) {
	w.dst = tick.AppendScaled(append(w.dst, key...), x, w.in.SizeDigits)
}

func (w *wireText) time(nanos int64) {
	w.dst = append(stampOf(append(w.dst, `"timestamp":"`...), nanos), '"')
}

func (w *wireText) head(channel, kind string) {
	w.raw(`{"channel":"` + channel + `","type":"` + kind + `","data":[`)
}

func (w *wireText) trades(kind string, trades []sim.Trade) {
	w.head("trade", kind)
	for i := range trades {
		t := &trades[i]
		side, order := "buy", "limit"
		if t.Sell {
			side = "sell"
		}
		if t.ID%3 == 0 {
			order = "market"
		}
		if i > 0 {
			w.raw(`,`)
		}
		w.raw(`{"symbol":"` + w.in.Name + `","side":"` + side + `"`)
		w.price(`,"price":`, t.Price)
		w.size(`,"qty":`, t.Size)
		w.raw(`,"ord_type":"` + order + `","trade_id":` + strconv.FormatInt(t.ID, 10) + `,`)
		w.time(t.TimeNanos)
		w.raw(`}`)
	}
	w.raw(`]}`)
}

func (w *wireText) ticker(kind string, q sim.Quote) {
	last := w.in.Tick * w.in.Start
	if t := w.in.LastTrades(1); len(t) > 0 {
		last = t[0].Price
	}
	w.head("ticker", kind)
	w.raw(`{"symbol":"` + w.in.Name + `"`)
	w.price(`,"bid":`, q.Bid.Price)
	w.size(`,"bid_qty":`, q.Bid.Size)
	w.price(`,"ask":`, q.Ask.Price)
	w.size(`,"ask_qty":`, q.Ask.Size)
	w.price(`,"last":`, last)
	w.size(`,"volume":`, dayVolume(w.in))
	w.price(`,"vwap":`, w.in.Tick*w.in.Start)
	w.price(`,"low":`, w.in.Tick*w.in.Start*9/10)
	w.price(`,"high":`, w.in.Tick*w.in.Start*11/10)
	w.price(`,"change":`, last-w.in.Tick*w.in.Start)
	w.raw(`,"change_pct":-0.51,"trades":135262,`)
	w.time(q.TimeNanos)
	w.raw(`}]}`)
}

// dayVolume is what was traded in 24 hours: it only serves to rank.
func dayVolume(in *sim.Instrument) int64 { return in.Lot * in.OrderLots * 10_000 }

func (w *wireText) book(kind string, s *sim.Stream, bids, asks []tick.Level, nanos int64) {
	w.head("book", kind)
	w.raw(`{"symbol":"` + w.in.Name + `","bids":[`)
	w.levels(bids)
	w.raw(`],"asks":[`)
	w.levels(asks)
	w.raw(`],"checksum":` + strconv.FormatUint(uint64(w.checksum(s)), 10) + `,`)
	w.time(nanos)
	w.raw(`}]}`)
}

func (w *wireText) levels(levels []tick.Level) {
	for i, l := range levels {
		if i > 0 {
			w.raw(`,`)
		}
		w.price(`{"price":`, l.Price)
		w.size(`,"qty":`, l.Size)
		w.raw(`}`)
	}
}

// checksum is over the ten best asks and bids, each price and size as on the
// wire without the point and the zeros that it begins with.
func (w *wireText) checksum(s *sim.Stream) uint32 {
	if s.ConstantChecksum() {
		return 0
	}
	bids, asks := s.Top(10)
	var text strings.Builder
	for _, side := range [][]tick.Level{asks, bids} {
		for _, l := range side {
			text.WriteString(strings.TrimLeft(strings.Replace(tick.FormatScaled(l.Price, w.in.PriceDigits), ".", "", 1), "0"))
			text.WriteString(strings.TrimLeft(strings.Replace(tick.FormatScaled(l.Size, w.in.SizeDigits), ".", "", 1), "0"))
		}
	}
	return crc32.ChecksumIEEE([]byte(text.String()))
}

// pairs writes entries of the instrument channel.
func (w *wireText) pairs(kind string, all []*sim.Instrument) {
	w.raw(`{"channel":"instrument","type":"` + kind + `","data":{"assets":[],"pairs":[`)
	for i, in := range all {
		if i > 0 {
			w.raw(`,`)
		}
		step := func(x int64, digits uint8) string { return tick.FormatScaled(x, digits) }
		w.dst = fmt.Appendf(w.dst, `{"symbol":%q,"base":%q,"quote":%q,"status":%q,"qty_precision":%d,"qty_increment":%s,"price_precision":%d,"cost_precision":5,"marginable":false,"has_index":true,"cost_min":0.50,"tick_size":%s,"price_increment":%s,"qty_min":%s}`,
			in.Name, in.Base, in.Spec.Quote, statusOf(in.State), in.SizeDigits, step(1, in.SizeDigits), in.PriceDigits, step(in.Tick, in.PriceDigits), step(in.Tick, in.PriceDigits), step(in.Lot, in.SizeDigits))
	}
	w.raw(`]}}`)
}

// statusOf is the venue's word for what may be done with a pair.
func statusOf(state tick.State) string {
	switch state {
	case tick.StateTrading:
		return "online"
	case tick.StateRestricted:
		return "post_only"
	case tick.StatePreOpen:
		return "work_in_progress"
	case tick.StateDelisted:
		return "delisted"
	}
	return "maintenance"
}
