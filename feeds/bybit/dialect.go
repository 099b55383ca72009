package bybit

import (
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
// is not ours. It shares nothing with the decoder: a common mistake would hide.
func Dialect(venue string) sim.Dialect {
	switch venue {
	case "bybit-spot", "bybit-linear", "bybit-inverse":
		return &dialect{venue: venue, category: strings.TrimPrefix(venue, "bybit-")}
	}
	return nil
}

// dialect is that of one of the three public sockets.
type dialect struct {
	sim.Defaults
	venue, category string
}

func (d *dialect) spot() bool    { return d.category == "spot" }
func (d *dialect) inverse() bool { return d.category == "inverse" }

func (d *dialect) Profile() sim.Profile {
	return sim.Profile{
		DepthEvery: 200 * time.Millisecond, Lag: 4 * time.Millisecond,
		OwnIDs: true, RestartKeeps: true, TradesTogether: 50,
		IdleMax:  time.Minute,
		Connects: []sim.Budget{{N: 500, Per: 5 * time.Minute}},
		Weight:   sim.Budget{N: 600, Per: 5 * time.Second},
	}
}

func (d *dialect) Open(path string, _ url.Values) (sim.Opening, bool) {
	return sim.Opening{}, path == "/v5/public/"+d.category
}

// Stream reads topics. Candles and the ticker of spot are taken, and silent.
func (d *dialect) Stream(_ any, topic string) (spec sim.StreamSpec, ok bool) {
	parts := strings.Split(topic, ".")
	spec.Symbol = parts[len(parts)-1]
	switch {
	case len(parts) == 3 && parts[0] == "orderbook" && parts[1] == "1":
		spec.Channel, spec.QuietAfter = tick.ChannelQuotes, 3*time.Second
	case len(parts) == 3 && parts[0] == "orderbook" && slices.Contains([]string{"50", "200", "1000"}, parts[1]):
		spec.Channel, spec.Deletes = tick.ChannelDepth, true
		spec.Depth, _ = strconv.Atoi(parts[1])
	case len(parts) == 2 && parts[0] == "publicTrade":
		spec.Channel = tick.ChannelTrades
	case len(parts) == 2 && parts[0] == "tickers" && !d.spot():
		spec.Channel = tick.ChannelFunding | tick.ChannelOpenInterest
	case len(parts) == 2 && parts[0] == "allLiquidation" && !d.spot():
		spec.Channel = tick.ChannelLiquidations
	case len(parts) == 2 && parts[0] == "tickers", len(parts) == 3 && parts[0] == "kline":
	default:
		return sim.StreamSpec{}, false
	}
	return spec, true
}

const (
	argsMax       = 10     // of one request on spot
	charactersMax = 21_000 // of all topics of a connection
)

// request is what a client sends.
type request struct {
	ReqID *string  `json:"req_id"`
	Op    string   `json:"op"`
	Args  []string `json:"args"`
}

// Request serves subscribe, unsubscribe and ping.
func (d *dialect) Request(c *sim.Conn, text []byte) {
	var r request
	if err := json.Unmarshal(text, &r); err != nil {
		d.answer(c, &r, false, "Failed to decode incoming data")
		return
	}
	switch r.Op {
	case "ping":
		d.answer(c, &r, true, "pong")
	case "subscribe":
		d.subscribe(c, &r)
	case "unsubscribe":
		for _, topic := range r.Args {
			c.Unsubscribe(topic)
		}
		d.answer(c, &r, true, d.done(r.Op))
	default:
		d.answer(c, &r, false, "error:invalid op")
	}
}

// done is what the venue says of a request that it took.
func (d *dialect) done(op string) string {
	if d.spot() {
		return op
	}
	return ""
}

// answer writes success, ret_msg, conn_id, req_id and op, in this order. Spot
// leaves out a req_id that was not given.
func (d *dialect) answer(c *sim.Conn, r *request, success bool, message string) {
	text := func(s string) []byte {
		b, _ := json.Marshal(s)
		return b
	}
	out := fmt.Appendf(nil, `{"success":%t,"ret_msg":%s,"conn_id":"simulated-%d"`, success, text(message), c.Number())
	switch {
	case r.ReqID != nil:
		out = fmt.Appendf(out, `,"req_id":%s`, text(*r.ReqID))
	case !d.spot():
		out = append(out, `,"req_id":""`...)
	}
	c.Send(fmt.Appendf(out, `,"op":%s}`, text(r.Op)))
}

// subscribe takes all topics or none, and sends the books behind its answer.
func (d *dialect) subscribe(c *sim.Conn, r *request) {
	characters := 0
	for _, topic := range append(c.Streams(), r.Args...) {
		characters += len(topic)
	}
	switch {
	case len(r.Args) == 0:
		d.answer(c, r, false, "error:args is empty")
		return
	case d.spot() && len(r.Args) > argsMax:
		d.answer(c, r, false, "args size >10")
		return
	case characters > charactersMax:
		d.answer(c, r, false, "args length >21000")
		return
	}
	var taken []*sim.Stream
	for _, topic := range r.Args {
		s, outcome := c.Subscribe(topic)
		if outcome == sim.Subscribed {
			taken = append(taken, s)
			continue
		}
		for _, s := range taken {
			c.Unsubscribe(s.Name)
		}
		d.answer(c, r, false, d.refusal(outcome, topic))
		return
	}
	d.answer(c, r, true, d.done(r.Op))
	for _, s := range taken {
		c.SendSnapshot(s)
	}
}

func (d *dialect) refusal(outcome sim.Outcome, topic string) string {
	switch {
	case outcome == sim.Already:
		return "error:already subscribed,topic:" + topic
	case outcome == sim.UnknownSymbol && d.spot():
		return "Invalid symbol :[" + topic + "]"
	case outcome == sim.UnknownStream || outcome == sim.UnknownSymbol:
		return "error:handler not found,topic:" + topic
	case outcome == sim.RateLimited:
		return "error:too many requests,topic:" + topic
	}
	return "error:request not authorized,topic:" + topic
}

// counted begins the ids of a topic anywhere but at 1, which means a restart.
func counted(s *sim.Stream) {
	if s.Counter == 0 {
		s.Counter = 1_000_000 + sim.NameHash(s.Name)%1_000_000_000
	}
	s.Counter++
}

// Of a stream's state is kept, as values:
type (
	shownBook  struct{ id uint64 } // the market's id of the book that u names
	shownQuote struct {
		bid, ask tick.Level
		digits   uint8 // of the prices, which a change of tick leaves as they are here
		nanos    int64
	}
	shownFunding struct{ rate, next int64 }
)

// quoteNow is the first level as it stands.
func quoteNow(in *sim.Instrument) shownQuote {
	return shownQuote{in.Bids(1)[0], in.Asks(1)[0], in.PriceDigits, in.TimeNanos()}
}

// at gives a quote with its prices at digits; they only grow.
func (q shownQuote) at(digits uint8) shownQuote {
	by := tick.Pow10(digits - q.digits)
	q.bid.Price, q.ask.Price, q.digits = q.bid.Price*by, q.ask.Price*by, digits
	return q
}

// Render writes an event.
func (d *dialect) Render(dst []byte, s *sim.Stream, e *sim.Event) []byte {
	w := d.writer(dst, s)
	switch e.Channel {
	case tick.ChannelDepth:
		counted(s)
		s.State = shownBook{e.LastID}
		s.NoteBook(s.Counter, e.TimeNanos)
		w.book("delta", e.Bids, e.Asks, e.LastID, e.TimeNanos, e.SendNanos)
	case tick.ChannelQuotes:
		counted(s)
		s.State = shownQuote{e.Bids[0], e.Asks[0], s.Instrument.PriceDigits, e.TimeNanos}
		s.NoteQuote(s.Counter, e.TimeNanos)
		w.book("snapshot", e.Bids, e.Asks, e.LastID, e.TimeNanos, e.SendNanos)
	case tick.ChannelTrades:
		w.trades(e)
	case tick.ChannelFunding:
		r := &e.Reference
		told, _ := s.State.(shownFunding)
		w.ticker("delta")
		w.reference(r)
		if now := (shownFunding{r.FundingRate, r.NextFundingNanos}); now != told {
			w.funding(r)
			s.State = now
		}
		w.closeTicker(e.SendNanos)
	case tick.ChannelOpenInterest:
		w.ticker("delta")
		w.interest(e.OpenInterest)
		w.closeTicker(e.SendNanos)
	case tick.ChannelLiquidations:
		w.liquidation(&e.Liquidation, e.SendNanos)
	}
	return w.dst
}

// Snapshot writes the whole of a stream that has it; its u is that of the
// message before, if the stream stands where that left it.
func (d *dialect) Snapshot(dst []byte, s *sim.Stream) ([]byte, []sim.Trade) {
	w := d.writer(dst, s)
	now := s.Market().CutNanos()
	switch s.Channel {
	case tick.ChannelDepth:
		if is := (shownBook{s.BookID()}); s.State != is {
			counted(s)
			s.State = is
		}
		w.wholeBook(now)
	case tick.ChannelQuotes:
		is := quoteNow(s.Instrument)
		told, _ := s.State.(shownQuote)
		if told = told.at(is.digits); told.bid != is.bid || told.ask != is.ask {
			counted(s)
			s.State = is
			s.NoteQuote(s.Counter, is.nanos)
		}
		w.quote(now)
	case tick.ChannelFunding | tick.ChannelOpenInterest:
		r := s.Instrument.Reference()
		s.State = shownFunding{r.FundingRate, r.NextFundingNanos}
		w.ticker("snapshot")
		w.raw(`,"tickDirection":"PlusTick","price24hPcnt":"0.001455"`)
		w.price(`,"lastPrice":"`, s.Instrument.Bids(1)[0].Price)
		w.raw(`"`)
		w.reference(&r)
		w.interest(s.Instrument.OpenInterest())
		w.raw(`,"fundingIntervalHour":"8","fundingCap":"0.005"`)
		w.funding(&r)
		w.raw(`,"preOpenPrice":"","preQty":"","curPreListingPhase":""`)
		w.closeTicker(now)
	}
	return w.dst, nil
}

// Quiet repeats the first level with the id and the matching time it had.
func (d *dialect) Quiet(dst []byte, s *sim.Stream) []byte {
	if _, told := s.State.(shownQuote); !told {
		return dst
	}
	w := d.writer(dst, s)
	w.quote(s.Market().CutNanos())
	return w.dst
}

// Restart begins the ids of books anew.
func (d *dialect) Restart(dst []byte, s *sim.Stream) []byte {
	w := d.writer(dst, s)
	now := s.Market().CutNanos()
	switch s.Channel {
	case tick.ChannelDepth:
		s.Counter, s.State = 1, shownBook{s.BookID()}
		w.wholeBook(now)
	case tick.ChannelQuotes:
		s.Counter = 1
		s.State = quoteNow(s.Instrument)
		s.NoteQuote(s.Counter, s.Instrument.TimeNanos())
		w.quote(now)
	}
	return w.dst
}

// TradeID is a long number that spot counts for all symbols together, and a
// UUID elsewhere.
func (d *dialect) TradeID(in *sim.Instrument, id int64) string {
	if d.spot() {
		return strconv.FormatUint(2_290_000_000_000_000_000+sim.NameHash(in.Name)%1_000_000*1_000_000_000+uint64(id), 10)
	}
	return sim.UUID(in.Name, id)
}

// writer appends parts of the venue's JSON about a stream's instrument.
type writer struct {
	dst []byte
	d   *dialect
	s   *sim.Stream
	in  *sim.Instrument
}

func (d *dialect) writer(dst []byte, s *sim.Stream) *writer {
	return &writer{dst: dst, d: d, s: s, in: s.Instrument}
}

func (w *writer) raw(text string) { w.dst = append(w.dst, text...) }

func (w *writer) integer(before string, x int64) {
	w.dst = strconv.AppendInt(append(w.dst, before...), x, 10)
}

func (w *writer) millis(before string, nanos int64) { w.integer(before, nanos/int64(time.Millisecond)) }

func (w *writer) scaled(before string, x int64, digits uint8) {
	w.dst = tick.AppendScaled(append(w.dst, before...), x, digits)
}

func (w *writer) price(before string, x int64) { w.scaled(before, x, w.in.PriceDigits) }
func (w *writer) size(before string, x int64)  { w.scaled(before, x, w.in.SizeDigits) }

// trim takes away the zeros behind the point that a number from a place on ends in.
func (w *writer) trim(from int) {
	if !slices.Contains(w.dst[from:], '.') {
		return
	}
	for w.dst[len(w.dst)-1] == '0' {
		w.dst = w.dst[:len(w.dst)-1]
	}
	if last := len(w.dst) - 1; w.dst[last] == '.' {
		w.dst = w.dst[:last]
	}
}

// wholeBook writes what the stream's clients show, and tells the truth of it.
func (w *writer) wholeBook(now int64) {
	s := w.s
	s.NoteBook(s.Counter, s.BookNanos())
	bids, asks := s.Book()
	w.book("snapshot", bids, asks, s.BookID(), s.BookNanos(), now)
}

// quote writes the first level as it was last told.
func (w *writer) quote(now int64) {
	q := w.s.State.(shownQuote).at(w.in.PriceDigits)
	w.book("snapshot", []tick.Level{q.bid}, []tick.Level{q.ask}, w.in.UpdateID(), q.nanos, now)
}

// book writes an orderbook message. Spot names its time ahead of its type.
func (w *writer) book(kind string, bids, asks []tick.Level, seq uint64, matched, sent int64) {
	sent = max(sent, matched)
	w.raw(`{"topic":"` + w.s.Name + `"`)
	if w.d.spot() {
		w.millis(`,"ts":`, sent)
		w.raw(`,"type":"` + kind + `"`)
	} else {
		w.raw(`,"type":"` + kind + `"`)
		w.millis(`,"ts":`, sent)
	}
	w.raw(`,"data":{"s":"` + w.in.Name + `"`)
	w.levels(`,"b":[`, bids)
	w.levels(`,"a":[`, asks)
	w.integer(`,"u":`, int64(w.s.Counter))
	w.integer(`,"seq":`, int64(seq))
	w.millis(`},"cts":`, matched)
	w.raw(`}`)
}

// levels are written as short as can be on spot, with all digits elsewhere;
// what is gone has the size 0.
func (w *writer) levels(key string, levels []tick.Level) {
	w.raw(key)
	number := func(before string, x int64, digits uint8) {
		w.raw(before)
		from := len(w.dst)
		w.scaled("", x, digits)
		if w.d.spot() || x == 0 {
			w.trim(from)
		}
	}
	for i, l := range levels {
		if i > 0 {
			w.raw(`,`)
		}
		number(`["`, l.Price, w.in.PriceDigits)
		number(`","`, l.Size, w.in.SizeDigits)
		w.raw(`"]`)
	}
	w.raw(`]`)
}

func side(sell bool) string {
	if sell {
		return "Sell"
	}
	return "Buy"
}

func (w *writer) trades(e *sim.Event) {
	w.raw(`{"topic":"` + w.s.Name + `"`)
	if w.d.spot() {
		w.millis(`,"ts":`, e.SendNanos)
		w.raw(`,"type":"snapshot","data":[`)
	} else {
		w.millis(`,"type":"snapshot","ts":`, e.SendNanos)
		w.raw(`,"data":[`)
	}
	for i := range e.Trades {
		t := &e.Trades[i]
		if i > 0 {
			w.raw(`,`)
		}
		id := w.d.TradeID(w.in, t.ID)
		if w.d.spot() {
			w.millis(`{"i":"`+id+`","T":`, t.TimeNanos)
			w.price(`,"p":"`, t.Price)
			w.size(`","v":"`, t.Size)
			w.integer(`","S":"`+side(t.Sell)+`","seq":`, int64(w.in.UpdateID()))
			w.raw(`,"s":"` + w.in.Name + `","BT":false,"RPI":false}`)
			continue
		}
		w.millis(`{"T":`, t.TimeNanos)
		w.size(`,"s":"`+w.in.Name+`","S":"`+side(t.Sell)+`","v":"`, t.Size)
		w.price(`","p":"`, t.Price)
		w.integer(`","L":"PlusTick","i":"`+id+`","BT":false,"RPI":false,"seq":`, int64(w.in.UpdateID()))
		w.raw(`}`)
	}
	w.raw(`]}`)
}

// ticker begins one; closeTicker ends it.
func (w *writer) ticker(kind string) {
	w.raw(`{"topic":"` + w.s.Name + `","type":"` + kind + `","data":{"symbol":"` + w.in.Name + `"`)
}

func (w *writer) reference(r *sim.Reference) {
	w.scaled(`,"markPrice":"`, r.Mark, r.PriceDigits)
	w.scaled(`","indexPrice":"`, r.Index, r.PriceDigits)
	w.raw(`"`)
}

// funding is empty where a contract expires.
func (w *writer) funding(r *sim.Reference) {
	if r.NextFundingNanos == 0 {
		w.raw(`,"nextFundingTime":"","fundingRate":""`)
		return
	}
	w.millis(`,"nextFundingTime":"`, r.NextFundingNanos)
	w.scaled(`","fundingRate":"`, r.FundingRate, r.RateDigits)
	w.raw(`"`)
}

func (w *writer) interest(contracts int64) {
	w.size(`,"openInterest":"`, contracts)
	w.raw(`"`)
}

func (w *writer) closeTicker(sent int64) {
	w.integer(`},"cs":`, int64(w.in.UpdateID()))
	w.millis(`,"ts":`, sent)
	w.raw(`}`)
}

// liquidation writes the side of the position that was closed.
func (w *writer) liquidation(l *sim.Liquidation, sent int64) {
	position := "Sell"
	if l.Sell {
		position = "Buy"
	}
	w.millis(`{"topic":"`+w.s.Name+`","type":"snapshot","ts":`, sent)
	w.millis(`,"data":[{"T":`, l.TimeNanos)
	w.size(`,"s":"`+w.in.Name+`","S":"`+position+`","v":"`, l.Size)
	w.price(`","p":"`, l.Price)
	w.raw(`"}]}`)
}
