package bybit

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/book"
	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/tick"
)

var labStart = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

func newExchange(t *testing.T, venue string, o sim.Options) *sim.Exchange {
	t.Helper()
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	t.Logf("seed %d", o.Seed)
	o.Venues = []sim.Venue{{Name: venue, Dialect: Dialect(venue), DepthEvery: 20 * time.Millisecond}} // more faults in less time
	e, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// client keeps what the frames of a venue say, the way a shard does.
type client struct {
	t           testing.TB
	adapter     feeds.Adapter
	instruments []*tick.Instrument
	decoder     feeds.Decoder
	books       []*book.Sync
	ordinal     uint64
	units       []tick.Unit
	refused     int // frames

	trades, quotes, marks, interests, liquidations int
	// images are the tops of books after each message that left one valid.
	images []image
	up     map[uint32]tick.Channels
	quoted []sim.Quote
	told   []told
	failed error
}

type image struct {
	instrument uint32
	id         uint64
	nanos      int64
	bids, asks []tick.Level
}

type told struct {
	kind       tick.Kind
	instrument uint32
	unit       tick.Unit
}

// newClient knows the dialect's default symbols at the digits of the truth.
func newClient(t testing.TB, venue string, e *sim.Exchange) *client {
	adapter, _ := New(venue)
	c := &client{t: t, adapter: adapter, up: map[uint32]tick.Channels{}}
	for i, truth := range e.Truth() {
		in := adapter.Instrument(truth.Symbol)
		in.ID, in.PriceDigits, in.SizeDigits = uint32(i), truth.PriceDigits, truth.SizeDigits
		c.instruments = append(c.instruments, &in)
		s := book.NewSync(in.Sync, in.PriceDigits, in.SizeDigits)
		s.Up()
		c.books = append(c.books, s)
	}
	c.decoder = adapter.NewDecoder(nil, feeds.NewTable(c.instruments))
	return c
}

func (c *client) topics() []string {
	var all []string
	for _, in := range c.instruments {
		for _, m := range []string{"publicTrade.", "orderbook.1.", "orderbook.50.", "tickers.", "allLiquidation."} {
			if c.adapter.Channels().Has(tick.ChannelFunding) || m != "tickers." && m != "allLiquidation." {
				all = append(all, m+in.Symbol)
			}
		}
	}
	return all
}

func (c *client) BeforeDelta(*tick.Depth) {}
func (c *client) AfterDelta(*tick.Depth)  {}

func (c *client) frame(frame []byte) {
	if frame == nil || c.failed != nil {
		return
	}
	c.ordinal++
	units, _, err := c.decoder.Decode(c.units[:0], frame, feeds.Stamp{Line: 1, Ordinal: c.ordinal, ReceiveNanos: int64(c.ordinal)})
	c.units = units
	if err != nil {
		c.refused++
		return
	}
	if c.failed = fault(units); c.failed != nil {
		return
	}
	c.take(units)
}

// take takes packets of a line.
func (c *client) take(units []tick.Unit) {
	for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
		p := units[:tick.PacketUnits(&units[0])]
		h := p[0].Header()
		switch h.Kind {
		case tick.KindSnapshot, tick.KindDepth:
			s := c.books[h.Instrument]
			if h.Kind == tick.KindSnapshot {
				s.Snapshot(p, c)
			} else {
				s.Delta(p, c)
			}
			if s.IsValid() {
				m := image{instrument: h.Instrument, id: s.LastID(), nanos: h.ExchangeNanos}
				var top [sim.TruthDepth]tick.Level
				m.bids = slices.Clone(top[:s.Book.Bids.CopyBest(top[:])])
				m.asks = slices.Clone(top[:s.Book.Asks.CopyBest(top[:])])
				c.images = append(c.images, m)
			}
		case tick.KindQuote:
			l := tick.Levels(p)
			c.quoted = append(c.quoted, sim.Quote{ID: p[0].Depth().LastID, TimeNanos: h.ExchangeNanos, Bid: l[0], Ask: l[1]})
			c.told = append(c.told, told{h.Kind, h.Instrument, p[0]})
		case tick.KindTrade, tick.KindMark, tick.KindOpenInterest, tick.KindLiquidation:
			c.told = append(c.told, told{h.Kind, h.Instrument, p[0]})
		case tick.KindUp:
			c.up[h.Instrument] |= p[0].Event().Channel
		case tick.KindDown:
			c.up[h.Instrument] &^= p[0].Event().Channel
		case tick.KindCatalog:
		default:
			c.failed = fmt.Errorf("kind %d", h.Kind)
		}
	}
}

// compare holds all that was decoded against the truth: nothing else happened.
func (c *client) compare(e *sim.Exchange) {
	c.t.Helper()
	if c.failed != nil {
		c.t.Fatal(c.failed)
	}
	truths := e.Truth()
	for _, m := range c.images {
		truth := &truths[m.instrument]
		if !slices.ContainsFunc(truth.Books(m.id, m.nanos), func(b sim.Book) bool { return slices.Equal(b.Bids, m.bids) && slices.Equal(b.Asks, m.asks) }) {
			c.t.Fatalf("%s: the book at %d, %d is\n%v %v, the truth\n%+v", truth.Symbol, m.id, m.nanos, m.bids, m.asks, truth.Books(m.id, m.nanos))
		}
	}
	trades := make([]map[tick.ID]*sim.Trade, len(truths))
	for i := range truths {
		trades[i] = map[tick.ID]*sim.Trade{}
		for j := range truths[i].Trades {
			x := &truths[i].Trades[j]
			text := []byte(truths[i].TradeID(x))
			id, ok := uuid(text)
			if !ok {
				id.Lo, _ = uintOf(text)
			}
			trades[i][id] = x
		}
		if len(trades[i]) != len(truths[i].Trades) {
			c.t.Fatalf("%s: trade ids are not unique", truths[i].Symbol)
		}
	}
	const unknown = -1 << 62
	rates, interested := map[uint32]sim.Reference{}, map[uint32]bool{}
	quotes := c.quoted
	for _, m := range c.told {
		truth, u, h := &truths[m.instrument], &m.unit, m.unit.Header()
		switch m.kind {
		case tick.KindTrade:
			c.trades++
			tr := u.Trade()
			x := trades[m.instrument][tr.ID]
			if x == nil || x.Price != tr.Price || x.Size != tr.Size || x.TimeNanos != h.ExchangeNanos || x.Sell != (h.Flags&tick.FlagSell != 0) {
				c.t.Fatalf("%s: trade %+v, the truth %+v", truth.Symbol, tr, x)
			}
		case tick.KindQuote:
			c.quotes++
			q := quotes[0]
			quotes = quotes[1:]
			if !slices.Contains(truth.QuotesAt(q.ID, q.TimeNanos), q) {
				c.t.Fatalf("%s: quote %+v, the truth %+v", truth.Symbol, q, truth.QuotesAt(q.ID, q.TimeNanos))
			}
		case tick.KindMark:
			c.marks++
			mark := u.Mark()
			if _, told := rates[m.instrument]; !told {
				rates[m.instrument] = sim.Reference{FundingRate: unknown}
				continue // the snapshot: it stands between two that are told
			}
			if h.ExchangeNanos == labStart.UnixNano() {
				continue // the snapshot again, or overtaken
			}
			i := slices.IndexFunc(truth.References, func(r sim.Reference) bool { return r.TimeNanos == h.ExchangeNanos })
			if i < 0 {
				c.t.Fatalf("%s: a mark at %d", truth.Symbol, h.ExchangeNanos)
			}
			r := truth.References[i]
			exact := func(v int64, digits, to uint8) int64 { return v * tick.Pow10(to-digits) }
			if exact(mark.Mark, mark.PriceDigits, r.PriceDigits) != r.Mark || exact(mark.Index, mark.PriceDigits, r.PriceDigits) != r.Index {
				c.t.Fatalf("%s: mark %+v, the truth %+v", truth.Symbol, mark, r)
			}
			// What is absent has not changed, unless the message that told it was lost:
			// a ticker has no ids by which that could be seen.
			if last, ok := rates[m.instrument]; ok && last.FundingRate != unknown && len(e.FaultLog()) == 0 && mark.FundingRate == tick.Absent && r.NextFundingNanos != 0 && last.FundingRate != r.FundingRate {
				c.t.Fatalf("%s: the funding rate changed in silence to %d", truth.Symbol, r.FundingRate)
			}
			rates[m.instrument] = r
			if mark.FundingRate != tick.Absent && (exact(mark.FundingRate, mark.RateDigits, r.RateDigits) != r.FundingRate || int64(mark.NextFundingSeconds)*1e9 != r.NextFundingNanos) {
				c.t.Fatalf("%s: funding %+v, the truth %+v", truth.Symbol, mark, r)
			}
		case tick.KindOpenInterest:
			c.interests++
			o := u.OpenInterest()
			size := o.Size * tick.Pow10(truth.SizeDigits-o.SizeDigits)
			if first := !interested[m.instrument]; first || h.ExchangeNanos == labStart.UnixNano() {
				interested[m.instrument] = true
			} else if !slices.Contains(truth.OpenInterests, sim.OpenInterest{TimeNanos: h.ExchangeNanos, Size: size}) {
				c.t.Fatalf("%s: open interest %d of %+v, the truth %+v", truth.Symbol, size, o, truth.OpenInterests)
			}
		case tick.KindLiquidation:
			c.liquidations++
			l := u.Trade()
			want := sim.Liquidation{TimeNanos: h.ExchangeNanos, Price: l.Price, Size: l.Size, Sell: h.Flags&tick.FlagSell != 0}
			if !slices.Contains(truth.Liquidations, want) {
				c.t.Fatalf("%s: liquidation %+v, the truth %+v", truth.Symbol, want, truth.Liquidations)
			}
		}
	}
}

func run(e *sim.Exchange, from, d time.Duration) {
	for at := from; at <= from+d; at += 7 * time.Millisecond {
		e.Step(labStart.Add(at))
	}
}

// What the market did is what the decoder gives: every trade, quote, book,
// mark, open interest and liquidation, and nothing else.
func TestDecodeOfEncodeIsTheTruth(t *testing.T) {
	t.Parallel()
	for _, venue := range Venues() {
		e := newExchange(t, venue, sim.Options{Levels: 40})
		e.Step(labStart)
		c := newClient(t, venue, e)
		if err := e.Tap(venue, c.topics(), c.frame); err != nil {
			t.Fatal(err)
		}
		run(e, 7*time.Millisecond, 10*time.Second)
		first := e.Truth()[0].Symbol
		if c.adapter.Channels().Has(tick.ChannelLiquidations) {
			for _, sell := range []bool{true, false} {
				if err := e.Liquidate(venue, first, 5, sell); err != nil {
					t.Fatal(err)
				}
			}
		}
		e.Stop()
		c.compare(e)
		trades, quotes, references, interests, liquidations := 0, 0, 0, 0, 0
		for i, truth := range e.Truth() {
			// The first quote was before anybody listened.
			trades, quotes = trades+len(truth.Trades), quotes+len(truth.Quotes)-1
			references, interests, liquidations = references+len(truth.References), interests+len(truth.OpenInterests), liquidations+len(truth.Liquidations)
			if s := c.books[i]; !s.IsValid() || s.Counts.Gaps+s.Counts.Duplicate+s.Counts.Unsynced != 0 || s.Counts.Applied == 0 {
				t.Errorf("%s %s: %+v", venue, truth.Symbol, s.Counts)
			}
		}
		distinct := map[sim.Quote]bool{} // the first level is repeated where it is quiet
		for _, q := range c.quoted {
			distinct[q] = true
		}
		n := 0 // snapshots of tickers come on top
		if c.adapter.Channels().Has(tick.ChannelFunding) {
			n = len(c.instruments)
		}
		if c.refused != 0 || c.trades != trades || trades == 0 || len(distinct) != quotes || quotes == 0 || c.marks != references+n || c.interests != interests+n ||
			c.liquidations != liquidations || (n > 0) != (references > 0 && interests > 0 && liquidations >= 2) {
			t.Errorf("%s: %d refused, %d of %d trades, %d of %d quotes, %d of %d marks, %d of %d open interests, %d of %d liquidations", venue, c.refused,
				c.trades, trades, len(distinct), quotes, c.marks, references+n, c.interests, interests+n, c.liquidations, liquidations)
		}
	}
}

// A first level that does not change is told again every three seconds, with
// the id and the matching time that it had.
func TestQuietQuotesAreRepeated(t *testing.T) {
	t.Parallel()
	for _, venue := range Venues() {
		e := newExchange(t, venue, sim.Options{Levels: 40})
		e.Step(labStart)
		c := newClient(t, venue, e)
		if err := e.Inject(sim.Fault{Kind: sim.FaultQuiet, Venue: venue, Symbol: c.instruments[0].Symbol, For: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if err := e.Tap(venue, []string{"orderbook.1." + c.instruments[0].Symbol}, c.frame); err != nil {
			t.Fatal(err)
		}
		run(e, 7*time.Millisecond, 10*time.Second)
		if len(c.quoted) != 4 || len(slices.Compact(slices.Clone(c.quoted))) != 1 {
			t.Errorf("%s: %+v", venue, c.quoted)
		}
		c.compare(e)
		// A finer tick leaves the price what it was.
		raw := []string{}
		if err := e.Tap(venue, []string{"orderbook.1." + c.instruments[0].Symbol}, func(frame []byte) { raw = append(raw, bestBid(frame)) }); err != nil {
			t.Fatal(err)
		}
		spec, err := Dialect(venue).Spec(c.instruments[0].Symbol)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.SetTick(venue, c.instruments[0].Symbol, 5*spec.Tick, spec.PriceDigits+1); err != nil {
			t.Fatal(err)
		}
		run(e, 10*time.Second+7*time.Millisecond, 10*time.Second)
		for _, price := range raw[1:] {
			if was, err := tick.ParseNumber([]byte(raw[0])); err != nil || len(raw) < 3 {
				t.Errorf("%s: %q, %v", venue, raw, err)
			} else if is, err := tick.ParseNumber([]byte(price)); err != nil || is != was {
				t.Errorf("%s: the bid is told as %s, and was %s", venue, price, raw[0])
			}
		}
	}
}

// bestBid is the text of the first bid of a frame.
func bestBid(frame []byte) string {
	_, rest, _ := strings.Cut(string(frame), `"b":[["`)
	price, _, _ := strings.Cut(rest, `"`)
	return price
}

// Whatever is lost, doubled, exchanged, damaged or begun anew on the way: a
// book that says it is valid is the venue's at that id.
func TestFaultsAreNoticed(t *testing.T) {
	t.Parallel()
	for _, venue := range Venues() {
		e := newExchange(t, venue, sim.Options{Levels: 40, Faults: sim.Faults{
			sim.FaultDrop: 0.01, sim.FaultDuplicate: 0.01, sim.FaultReorder: 0.01, sim.FaultGarbage: 0.005, sim.FaultTruncate: 0.005, sim.FaultExtraField: 0.01}})
		e.Step(labStart)
		c := newClient(t, venue, e)
		if err := e.Tap(venue, c.topics(), c.frame); err != nil {
			t.Fatal(err)
		}
		var gaps, duplicates, restarts uint64
		for round := range 20 {
			run(e, time.Duration(round)*time.Second+7*time.Millisecond, time.Second-7*time.Millisecond)
			kind := sim.FaultResnapshot // what a new subscription brings
			if round%5 == 4 {
				kind = sim.FaultRestart
				restarts++
			}
			for _, in := range c.instruments {
				f := sim.Fault{Kind: kind, Venue: venue, Symbol: in.Symbol, Channel: tick.ChannelDepth}
				if kind == sim.FaultRestart {
					f.Symbol, f.Channel = "", 0
				}
				if err := e.Inject(f); err != nil {
					t.Fatal(err)
				}
				if kind == sim.FaultRestart {
					break
				}
			}
		}
		e.Stop()
		c.compare(e)
		for _, s := range c.books {
			gaps, duplicates = gaps+s.Counts.Gaps, duplicates+s.Counts.Duplicate
		}
		struck := map[sim.FaultKind]int{}
		for _, r := range e.FaultLog() {
			struck[r.Kind]++
		}
		if gaps == 0 || duplicates == 0 || c.refused == 0 || len(c.images) < 100 || struck[sim.FaultRestart] != int(restarts) {
			t.Errorf("%s: %d gaps, %d duplicates, %d frames refused, %d images, faults %v", venue, gaps, duplicates, c.refused, len(c.images), struck)
		}
	}
}

// One fault at a time befalls one depth message: it is noticed just there.
func TestEachFaultIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	f := func(kind sim.FaultKind, check func(before, after book.Counts, valid bool) bool) {
		t.Helper()
		for _, venue := range Venues() {
			e := newExchange(t, venue, sim.Options{Levels: 40})
			e.Step(labStart)
			c := newClient(t, venue, e)
			if err := e.Tap(venue, c.topics(), c.frame); err != nil {
				t.Fatal(err)
			}
			run(e, 7*time.Millisecond, 2*time.Second)
			before := c.books[0].Counts
			if !c.books[0].IsValid() || before.Applied == 0 {
				t.Fatalf("%s: no book to begin with", venue)
			}
			if err := e.Inject(sim.Fault{Kind: kind, Venue: venue, Symbol: c.instruments[0].Symbol, Channel: tick.ChannelDepth}); err != nil {
				t.Fatal(err)
			}
			run(e, 2100*time.Millisecond, 2*time.Second)
			if after := c.books[0].Counts; !check(before, after, c.books[0].IsValid()) {
				t.Errorf("%s, %s: before %+v, after %+v, valid %v", venue, kind, before, after, c.books[0].IsValid())
			}
			c.compare(e)
		}
	}
	f(sim.FaultDrop, func(before, after book.Counts, valid bool) bool { return !valid && after.Gaps == before.Gaps+1 })
	f(sim.FaultReorder, func(before, after book.Counts, valid bool) bool { return !valid && after.Gaps == before.Gaps+1 })
	f(sim.FaultDuplicate, func(before, after book.Counts, valid bool) bool {
		return valid && after.Gaps == 0 && after.Duplicate == before.Duplicate+1
	})
	f(sim.FaultTruncate, func(before, after book.Counts, valid bool) bool { return !valid && after.Gaps == before.Gaps+1 })
	f(sim.FaultResnapshot, func(before, after book.Counts, valid bool) bool {
		return valid && after.Gaps == 0 && after.SnapshotsApplied == before.SnapshotsApplied+1
	})
	f(sim.FaultExtraField, func(before, after book.Counts, valid bool) bool { return valid && after.Gaps == 0 })
	// After a restart of the venue books go on from 1, without a gap.
	f(sim.FaultRestart, func(before, after book.Counts, valid bool) bool {
		return valid && after.Gaps == 0 && after.SnapshotsApplied == before.SnapshotsApplied+1 && after.Applied > before.Applied
	})
}

// The requests of the plan are served, and answered in words that name them.
func TestDialogue(t *testing.T) {
	t.Parallel()
	for _, venue := range Venues() {
		e := newExchange(t, venue, sim.Options{Seed: 7})
		e.Step(labStart)
		server := httptest.NewServer(e.Handler(venue))
		defer server.Close()
		category := strings.TrimPrefix(venue, "bybit-")
		ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http")+"/v5/public/"+category, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		c := newClient(t, venue, e)
		// ask sends a text and returns the answer, and what the frames ahead of it were.
		ask := func(text string) (feeds.Notice, string) {
			t.Helper()
			if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
				t.Fatal(err)
			}
			ws.SetReadDeadline(time.Now().Add(10 * time.Second))
			for {
				_, frame, err := ws.ReadMessage()
				if err != nil {
					t.Fatal(err)
				}
				_, notice, err := c.decoder.Decode(nil, frame, feeds.Stamp{})
				if err != nil {
					t.Fatalf("%s: %v", frame, err)
				}
				if notice.Kind != feeds.NoticeNone {
					return notice, string(frame)
				}
			}
		}
		refused := func(request int, wantText, sent string) {
			t.Helper()
			if n, frame := ask(sent); n != (feeds.Notice{Kind: feeds.NoticeRefused, Request: request, Text: wantText}) {
				t.Errorf("%s: %s is answered %s: %+v", venue, sent, frame, n)
			}
		}
		symbol := c.instruments[0].Symbol
		subscription := []feeds.Subscription{{Instrument: c.instruments[0], Channels: c.adapter.Channels()}}
		requests := c.adapter.Subscribe(nil, subscription, 4)
		if n, frame := ask(string(requests[0].Text)); n != (feeds.Notice{Kind: feeds.NoticeAck, Request: 4}) || len(requests) != 1 {
			t.Errorf("%s: %s: %+v", venue, frame, n)
		}
		// The book is sent behind the answer, and its deltas follow it.
		ws.SetReadDeadline(time.Now().Add(10 * time.Second))
		for c.books[0].Counts.SnapshotsApplied == 0 {
			_, frame, err := ws.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			c.frame(frame)
		}
		if n, frame := ask(string(c.adapter.Profile().PingText)); n.Kind != feeds.NoticePong {
			t.Errorf("%s: a ping is answered %s", venue, frame)
		}
		refused(4, "error:already subscribed,topic:publicTrade."+symbol, string(requests[0].Text))
		unknown := map[bool]string{true: "Invalid symbol :[orderbook.1000.NOPEUSDT]", false: "error:handler not found,topic:orderbook.1000.NOPEUSDT"}[venue == "bybit-spot"]
		refused(2, unknown, `{"op":"subscribe","args":["orderbook.1000.NOPEUSDT"],"req_id":"3"}`)
		refused(2, "error:handler not found,topic:orderbook.30."+symbol, `{"op":"subscribe","args":["orderbook.30.`+symbol+`"],"req_id":"3"}`)
		refused(-1, "error:invalid op", `{"op":"nope"}`)
		refused(-1, "Failed to decode incoming data", `hello`)

		// Of a request with a bad topic nothing is taken: the same without it is no repetition.
		other := c.instruments[1].Symbol
		refused(5, unknown, `{"op":"subscribe","args":["publicTrade.`+other+`","orderbook.1000.NOPEUSDT"],"req_id":"6"}`)
		if n, frame := ask(`{"op":"subscribe","args":["publicTrade.` + other + `"],"req_id":"7"}`); n != (feeds.Notice{Kind: feeds.NoticeAck, Request: 6}) {
			t.Errorf("%s: %s: %+v", venue, frame, n)
		}
		eleven := `{"op":"subscribe","args":["` + strings.Join(slices.Repeat([]string{"kline.1." + symbol}, 11), `","`) + `"],"req_id":"8"}`
		if venue == "bybit-spot" {
			refused(7, "args size >10", eleven)
		}
		refused(8, map[bool]string{true: "args size >10", false: "args length >21000"}[venue == "bybit-spot"],
			`{"op":"subscribe","args":["`+strings.Join(slices.Repeat([]string{strings.Repeat("x", 1000)}, 22), `","`)+`"],"req_id":"9"}`)

		// A book that is had anew: unsubscribed and subscribed again.
		depth := []feeds.Subscription{{Instrument: c.instruments[0], Channels: tick.ChannelDepth}}
		for i, requests := range [][]feeds.SubscribeRequest{c.adapter.Unsubscribe(nil, depth, 20), c.adapter.Subscribe(nil, depth, 21)} {
			if n, frame := ask(string(requests[0].Text)); n != (feeds.Notice{Kind: feeds.NoticeAck, Request: 20 + i}) {
				t.Errorf("%s: %s: %+v", venue, frame, n)
			}
		}
		for _, kind := range []sim.FaultKind{sim.FaultRefuse, sim.FaultUnknown, sim.FaultRateLimit} {
			if err := e.Inject(sim.Fault{Kind: kind, Venue: venue, Channel: tick.ChannelTrades}); err != nil {
				t.Fatal(err)
			}
			if n, frame := ask(`{"op":"subscribe","args":["publicTrade.` + c.instruments[2].Symbol + `"],"req_id":"30"}`); n.Kind != feeds.NoticeRefused || n.Request != 29 {
				t.Errorf("%s, %s: %s", venue, kind, frame)
			}
		}
		if _, answer, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http")+"/v5/public/option", nil); err == nil || answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s: another path: %v", venue, err)
		}
	}
}

// The catalog and the volumes that the adapter asks for are those of the market.
func TestDialectREST(t *testing.T) {
	t.Parallel()
	for _, venue := range Venues() {
		e := newExchange(t, venue, sim.Options{Seed: 3})
		e.Step(labStart)
		handler, adapter := e.Handler(venue), adapterOf(venue)
		get := func(address string) []byte {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, u.RequestURI(), nil))
			if answer.Code != http.StatusOK {
				t.Fatalf("%s: status %d: %s", address, answer.Code, answer.Body)
			}
			return answer.Body.Bytes()
		}
		catalog := func() map[string]tick.Instrument {
			all := map[string]tick.Instrument{}
			for _, r := range adapter.CatalogRequests() {
				page, err := adapter.ParseCatalog(get(r.URL))
				if err != nil {
					t.Fatal(err)
				}
				for _, in := range page {
					if _, twice := all[in.Symbol]; twice {
						t.Errorf("%s: %s stands in two lists", venue, in.Symbol)
					}
					all[in.Symbol] = in
				}
			}
			return all
		}
		truths, all := e.Truth(), catalog()
		for _, truth := range truths {
			spec, err := Dialect(venue).Spec(truth.Symbol)
			in := all[truth.Symbol]
			step, _ := in.Tick.Scaled(truth.PriceDigits)
			lot, _ := in.Lot.Scaled(truth.SizeDigits)
			if err != nil || in.Base != spec.Base || in.Quote != spec.Quote || in.Type != spec.Type || in.Inverse != spec.Inverse || in.ExpiryNanos != spec.ExpiryNanos ||
				in.ContractSize != (tick.Number{Mantissa: 1}) || in.State != tick.StateTrading || step != spec.Tick || lot != spec.Lot {
				t.Errorf("%s: %+v, the truth %+v", venue, in, spec)
			}
		}
		if len(all) != len(truths) {
			t.Errorf("%s: %d instruments of %d", venue, len(all), len(truths))
		}
		volumes, err := adapter.ParseVolumes(get(adapter.VolumeRequests()[0].URL))
		if err != nil || len(volumes) != len(truths) {
			t.Errorf("%s: volumes %v, %v", venue, volumes, err)
		}
		for symbol, v := range volumes {
			if v <= 0 {
				t.Errorf("%s: %s traded %v", venue, symbol, v)
			}
		}

		first, last := truths[0].Symbol, truths[len(truths)-1].Symbol
		set := func(symbol string, state tick.State) {
			t.Helper()
			if err := e.SetState(venue, symbol, state); err != nil {
				t.Fatal(err)
			}
		}
		set(first, tick.StatePreOpen)
		set(last, tick.StateSettling)
		all = catalog()
		if venue == "bybit-spot" { // whose catalog has what trades, and nothing else
			if len(all) != len(truths)-2 {
				t.Errorf("%s: %d instruments", venue, len(all))
			}
		} else if all[first].State != tick.StatePreOpen || all[last].State != tick.StateSettling || len(all) != len(truths) {
			t.Errorf("%s: %s is %v, %s is %v", venue, first, all[first].State, last, all[last].State)
		}
		if _, err := adapter.ParseCatalog(get("/v5/market/instruments-info?category=option")); err == nil {
			t.Errorf("%s: the catalog of another category", venue)
		}
	}
}

func adapterOf(venue string) feeds.Adapter {
	a, _ := New(venue)
	return a
}

// Frames have the keys of the venue's, in its order.
func TestFramesHaveTheVenuesShape(t *testing.T) {
	t.Parallel()
	shapes := map[string]map[string]string{
		"spot": {
			"orderbook": "topic ts type data.s data.b data.a data.u data.seq cts", "publicTrade": "topic ts type data.i data.T data.p data.v data.S data.seq data.s data.BT data.RPI",
		},
		"contracts": {
			"orderbook": "topic type ts data.s data.b data.a data.u data.seq cts", "publicTrade": "topic type ts data.T data.s data.S data.v data.p data.L data.i data.BT data.RPI data.seq",
			"allLiquidation": "topic type ts data.T data.s data.S data.v data.p",
		},
	}
	for _, venue := range Venues() {
		want := shapes["contracts"]
		if venue == "bybit-spot" {
			want = shapes["spot"]
			// The book's shape is the recorded one.
			if got := keysOf(t, linesOf(t, recordedBooks[0].path)[1]); got != want["orderbook"] {
				t.Errorf("recorded: %s", got)
			}
		}
		e := newExchange(t, venue, sim.Options{Seed: 5})
		e.Step(labStart)
		c := newClient(t, venue, e)
		seen := map[string]int{}
		e.Tap(venue, c.topics(), func(frame []byte) {
			if frame == nil {
				return
			}
			var m struct{ Topic string }
			if err := json.Unmarshal(frame, &m); err != nil {
				t.Errorf("%s: %v", frame, err)
			}
			name, _, _ := strings.Cut(m.Topic, ".")
			seen[name]++
			if keys, known := want[name]; known && keysOf(t, frame) != keys {
				t.Errorf("%s: %s: keys %s", venue, frame, keysOf(t, frame))
			}
		})
		run(e, 7*time.Millisecond, 3*time.Second)
		for name := range want {
			if name != "allLiquidation" && seen[name] == 0 {
				t.Errorf("%s: no %s", venue, name)
			}
		}
	}
}

// keysOf joins the keys of a frame, those of its data or of the first of its
// list behind a point.
func keysOf(t testing.TB, frame []byte) string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(frame)))
	var keys []string
	token := func() json.Token {
		x, err := d.Token()
		if err != nil {
			t.Fatalf("%s: %v", frame, err)
		}
		return x
	}
	skip := func() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			t.Fatalf("%s: %v", frame, err)
		}
	}
	token()
	for d.More() {
		key := token().(string)
		if key != "data" {
			keys = append(keys, key)
			skip()
			continue
		}
		list := token() == json.Delim('[')
		if list {
			token()
		}
		for d.More() {
			keys = append(keys, "data."+token().(string))
			skip()
		}
		token()
		for list && d.More() {
			skip()
		}
		if list {
			token()
		}
	}
	return strings.Join(keys, " ")
}

// A name beside the table makes a plausible instrument; its type is what the
// adapter guesses of the name.
func TestDialectSpecs(t *testing.T) {
	t.Parallel()
	f := func(venue, name, base, quote string) {
		t.Helper()
		spec, err := Dialect(venue).Spec(name)
		if in := adapterOf(venue).Instrument(name); err != nil || spec.Name != name || spec.Base != base || spec.Quote != quote || spec.Type != in.Type || spec.Inverse != in.Inverse ||
			(spec.ExpiryNanos != 0) != (spec.Type == tick.TypeFuture) {
			t.Errorf("%s %s: %+v, %v", venue, name, spec, err)
		}
	}
	f("bybit-spot", "LINKUSDC", "LINK", "USDC")
	f("bybit-linear", "LINKUSDT", "LINK", "USDT")
	f("bybit-linear", "LINKPERP", "LINK", "USDC")
	f("bybit-linear", "ETHUSDT-26MAR27", "ETH", "USDT")
	f("bybit-inverse", "XRPUSD", "XRP", "USD")
	f("bybit-inverse", "XRPUSDH27", "XRP", "USD")
	for venue, name := range map[string]string{"bybit-spot": "BTCUSDT-26MAR27", "bybit-linear": "NOPE", "bybit-inverse": "BTCUSDT"} {
		if _, err := Dialect(venue).Spec(name); err == nil {
			t.Errorf("%s takes %s", venue, name)
		}
	}
	if Dialect("bybit") != nil {
		t.Error("bybit alone has no dialect")
	}
}
