package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tickproc/tick"
)

// Random true markets, seen through lines that lose, double, delay and break
// what they carry: whatever the shard says agrees with the truth.
func TestTruth(t *testing.T) {
	t.Parallel()
	f := func(name string, options Options, edit func(*tick.Instrument)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random, seen := seeded(t), seen{}
			def := define(0, "BTC")
			edit(&def)
			for range 3 {
				newTruth(t, random, options, def).check(&seen)
			}
			trades, depth := def.Channels.Has(tick.ChannelTrades), def.Channels.Has(tick.ChannelDepth)
			if trades && min(seen.trades, seen.missed, seen.repaired, seen.complete, seen.incomplete) < 5 || depth && min(seen.valid, seen.broken) < 10 {
				t.Errorf("too little happened to show anything: %+v", seen)
			}
		})
	}
	options := Options{Intervals: []time.Duration{time.Second, 5 * time.Second}, BookDepth: 5}
	carry, onChange := options, options
	carry.Carry, onChange.BookOnChange = true, true
	f("everything", options, func(*tick.Instrument) {})
	f("empty bars carry on", carry, func(in *tick.Instrument) { in.ID = 1 })
	f("every change of the book", onChange, func(*tick.Instrument) {})
	f("quotes from the book", onChange, func(in *tick.Instrument) { in.Channels = tick.ChannelDepth })
	f("a chain", options, func(in *tick.Instrument) { in.Sync = rules["futures"]; in.Channels &^= tick.ChannelQuotes })
	f("trades alone", options, func(in *tick.Instrument) { in.Channels = tick.ChannelTrades })
}

// seen counts what a test was about.
type seen struct{ trades, missed, repaired, complete, incomplete, valid, broken int }

// truth compares a world with what was said about it.
type truth struct {
	*world
	m      *market
	in     *instrument
	latest map[tick.Kind]latestRow
	trades map[uint64]int // rows by id
	gaps   map[gapKey]*tick.GapRow
	bars   map[barKey]*tick.BarRow
	seen   seen
	said   map[rowKey]string
}

// latestRow is what LATEST ON shows; of rows at equal times either may come.
type latestRow struct {
	ts                 int64
	saysValid, saysNot bool
}

type gapKey struct {
	ts      int64
	channel tick.Channels
	reason  tick.Reason
	ord     uint32
}

type barKey struct{ interval, start int64 }

type rowKey struct {
	kind tick.Kind
	ts   int64
	seq  uint64
	ord  uint32
}

func newTruth(t testing.TB, random *rand.Rand, options Options, def tick.Instrument) *truth {
	x := &truth{world: newWorld(t, random, options, def), latest: map[tick.Kind]latestRow{}, trades: map[uint64]int{},
		gaps: map[gapKey]*tick.GapRow{}, bars: map[barKey]*tick.BarRow{}, said: map[rowKey]string{}}
	x.m, x.in = x.markets[0], x.shard.instruments[def.ID]
	x.take(nil, x.rows)
	x.read = x.take
	return x
}

func (x *truth) check(sum *seen) {
	x.run(40 * time.Second)
	x.stop()
	x.checkTrades()
	x.checkBars()
	s := &x.seen
	*sum = seen{sum.trades + s.trades, sum.missed + s.missed, sum.repaired + s.repaired, sum.complete + s.complete,
		sum.incomplete + s.incomplete, sum.valid + s.valid, sum.broken + s.broken}
}

// take reads rows as they come.
func (x *truth) take(packet, rows []tick.Unit) {
	eachRow(rows, func(row []tick.Unit) {
		row = slices.Clone(row)
		u, r := &row[0], row[0].RowHeader()
		switch row[0].KindOf() {
		case tick.RowTrade:
			x.tradeRow(u.TradeRow())
		case tick.RowGap:
			g := u.GapRow()
			if g.EndNanos != 0 && g.EndNanos < g.TsNanos {
				x.fail("ends before it begins: %s", rowText(row, ""))
			}
			x.gaps[gapKey{r.TsNanos, g.Channel, g.Reason, r.Ord}] = g
		case tick.RowBar:
			b := u.BarRow()
			x.bars[barKey{b.IntervalNanos, r.TsNanos}] = b
		case tick.RowBook:
			x.bookRow(row)
		case tick.RowQuote:
			x.quoteRow(row)
		}
	})
	x.checkLatest(tick.RowBook, x.in.sample.announced)
	if x.in.quote.fromBook {
		x.checkLatest(tick.RowQuote, x.in.sample.announced)
	} else if x.m.def.Channels.Has(tick.ChannelQuotes) && x.in.channels[tick.ChannelQuotes.Index()].gap.open && x.latest[tick.RowQuote].saysValid {
		x.fail("the latest quote says valid")
	}
	if x.in.sample.announced && !x.in.sync.IsValid() {
		x.fail("a broken book is shown")
	}
}

func (x *truth) fail(format string, args ...any) {
	x.t.Helper()
	x.t.Fatalf("%s: %s", clockText(x.shard.Now()), fmt.Sprintf(format, args...))
}

// checkLatest: the latest row never says valid of a book that is not, and says
// it of one that is.
func (x *truth) checkLatest(kind tick.Kind, valid bool) {
	x.t.Helper()
	l, any := x.latest[kind]
	if any && (l.saysValid && !valid || l.saysNot && valid) {
		x.fail("the latest row of kind %d says valid %v, not %v; the book is %v", kind, l.saysValid, l.saysNot, valid)
	}
}

func (x *truth) note(row []tick.Unit, seq uint64) {
	r := row[0].RowHeader()
	key := rowKey{r.Kind, r.TsNanos, seq, r.Ord}
	text := rowText(row, "")
	if was := x.said[key]; was != "" && was != text { // a quote that came twice is said twice
		x.fail("%s takes the place of %s", text, was)
	}
	x.said[key] = text
	says := r.Flags&tick.RowValid != 0
	switch l := x.latest[r.Kind]; {
	case r.TsNanos > l.ts:
		x.latest[r.Kind] = latestRow{r.TsNanos, says, !says}
	case r.TsNanos == l.ts:
		x.latest[r.Kind] = latestRow{r.TsNanos, l.saysValid || says, l.saysNot || !says}
	}
}

// bookRow: whoever says valid shows the true book at that id.
func (x *truth) bookRow(row []tick.Unit) {
	b := row[0].BookRow()
	x.note(row, b.Seq)
	if b.Flags&tick.RowValid == 0 {
		x.seen.broken++
		return
	}
	x.seen.valid++
	id := b.Seq
	if b.Source == tick.TimeEstimate {
		id = x.in.sync.LastID()
	}
	want, levels := x.m.books[id], tick.RowLevels(row)
	bids, asks := levels[:b.Bids], levels[b.Bids:]
	if depth := x.in.sample.depth; !slices.Equal(bids, want.bids[:min(depth, len(want.bids))]) || !slices.Equal(asks, want.asks[:min(depth, len(want.asks))]) {
		x.fail("%s: the true book is %v %v", rowText(row, ""), want.bids, want.asks)
	}
}

func (x *truth) quoteRow(row []tick.Unit) {
	q := row[0].QuoteRow()
	x.note(row, q.Seq)
	if q.Flags&tick.RowValid == 0 {
		return
	}
	id := q.Seq
	if q.Source == tick.TimeEstimate {
		id = x.in.sync.LastID()
	}
	want := x.m.books[id]
	if want.bids[0] != (tick.Level{Price: q.Bid, Size: q.BidSize}) || want.asks[0] != (tick.Level{Price: q.Ask, Size: q.AskSize}) {
		x.fail("%s: the true best is %v %v", rowText(row, ""), want.bids[0], want.asks[0])
	}
}

func (x *truth) tradeRow(r *tick.TradeRow) {
	want := x.m.trades[r.ID.Lo-100]
	x.trades[want.id]++
	if r.TsNanos != want.ts || r.Price != want.price || r.Size != want.size || (r.Flags&tick.RowSell != 0) != want.sell || !want.market {
		x.fail("%+v: the true trade is %+v", r, want)
	}
}

// checkTrades: what came is in trades once, all else inside a gap, and where
// gaps count they count right.
func (x *truth) checkTrades() {
	if !x.m.def.Channels.Has(tick.ChannelTrades) {
		return
	}
	first, last := -1, -1
	for i, w := range x.m.trades {
		if w.delivered && first < 0 {
			first = i
		}
		if w.delivered {
			last = i
		}
	}
	var lost, missing int64
	x.seen.trades = len(x.trades)
	for key, g := range x.gaps {
		if key.channel == tick.ChannelTrades {
			lost += max(g.Lost, 0)
			if repaired := g.Flags&tick.RowRepaired != 0; repaired != (g.Lost == 0) {
				x.fail("lost %d, repaired %v", g.Lost, repaired)
			} else if repaired {
				x.seen.repaired++
			}
		}
	}
	for i, w := range x.m.trades {
		want := 0
		if w.delivered && w.market {
			want = 1
		}
		if x.trades[w.id] != want {
			x.fail("%+v is in trades %d times", w, x.trades[w.id])
		}
		if w.delivered {
			continue
		}
		if i > first && i < last {
			missing++
		}
		if !x.inGap(w.ts) {
			x.fail("%+v is in no gap", w)
		}
	}
	if missing != lost && len(x.in.ids.holes) < holesMax/2 {
		x.checkBelowFirst(missing, lost, first)
	}
	x.seen.missed = int(missing)
}

// checkBelowFirst allows for ids below the first that came, which nobody counts.
func (x *truth) checkBelowFirst(missing, lost int64, lowest int) {
	uncounted := int64(0)
	for _, h := range x.in.ids.holes {
		if !h.counted {
			for id := max(h.from, uint64(lowest)+100); id <= h.to; id++ {
				uncounted++
			}
		}
	}
	if missing != lost+uncounted {
		x.fail("gaps count %d lost, and %d are missing, %d of them below the first", lost, missing, uncounted)
	}
}

func (x *truth) inGap(ts int64) bool {
	for key, g := range x.gaps {
		if key.channel == tick.ChannelTrades && key.ts <= ts && (g.EndNanos == 0 || ts <= g.EndNanos) {
			return true
		}
	}
	return false
}

// checkBars: a bar that is called complete is what the true trades make.
func (x *truth) checkBars() {
	for key, got := range x.bars {
		if got.Flags&tick.RowComplete == 0 {
			x.seen.incomplete++
			continue
		}
		x.seen.complete++
		if got.Flags&tick.RowFinal == 0 {
			x.fail("complete before it was over: %+v", got)
		}
		want := x.trueBar(key, got)
		want.RowHeader = got.RowHeader
		want.Rev = got.Rev
		if *got != want {
			x.fail("bar %d at %s:\n%+v, true is\n%+v", key.interval, clockText(key.start), *got, want)
		}
	}
}

// trueBar makes the bar anew from all true trades.
func (x *truth) trueBar(key barKey, got *tick.BarRow) tick.BarRow {
	b := tick.BarRow{IntervalNanos: key.interval, Low: math.MaxInt64}
	for _, w := range x.m.trades { // by id, which is by time
		if !w.market || w.ts < key.start || w.ts >= key.start+key.interval {
			continue
		}
		if b.Trades == 0 {
			b.Open = w.price
		}
		b.High, b.Low, b.Close = max(b.High, w.price), min(b.Low, w.price), w.price
		b.Trades++
		size := tick.Int128Of(w.size)
		b.Volume, b.Notional = b.Volume.Add(size), b.Notional.Add(tick.Mul64(w.price, w.size))
		if w.sell {
			b.SellVolume = b.SellVolume.Add(size)
		} else {
			b.BuyVolume = b.BuyVolume.Add(size)
		}
	}
	if b.Trades == 0 { // carried: whatever the price, flat
		b.Open, b.High, b.Low, b.Close = got.Open, got.Open, got.Open, got.Open
	}
	return b
}
