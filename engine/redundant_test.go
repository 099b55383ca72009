package engine

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tickproc/tick"
)

// A true market whose every message two lines carry, each with losses,
// doubles, delays and disconnects of its own. Whatever is called valid is true;
// and while one line at a time is whole, nothing breaks and no trade is missed.
func TestTwoLinesTruth(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]tick.SyncRule{
		"range over REST": rules["spot"], "chain over REST": rules["futures"], "counter in-band": rules["streamed"],
		"chain in-band": rules["linked"], "no ids": rules["plain"], "whole books": rules["images"],
	} {
		for _, bounded := range []bool{true, false} {
			what := name + ", one whole line"
			if !bounded {
				what = name + ", no mercy"
			}
			t.Run(what, func(t *testing.T) {
				t.Parallel()
				random := seeded(t)
				for range 3 {
					newRedundant(t, random, rule, bounded).run()
				}
			})
		}
	}
}

const (
	lineA = 1 + iota
	lineB
	lineOfREST
)

// redundant is a market and the two lines.
type redundant struct {
	t       testing.TB
	random  *rand.Rand
	rule    tick.SyncRule
	bounded bool
	shard   *Shard
	in      *instrument
	now     int64
	books   []truthBook // by update id
	updates uint64
	trades  []int // rows of each trade, by id from 1
	flying  []flight
	order   [4]int64 // when the last packet of a line arrives
	up      [3]bool
	since   [3]int64 // when the line came up
	whole   uint16   // the line that loses nothing, where faults are bounded
	tape    []tick.Unit
	rows    []tick.Unit
	// begun: the book has been valid since; valid counts messages after which it was.
	begun       bool
	valid       int
	gaps, broke int
	resyncs     int
	quoteTs     int64
	bids, asks  [200]tick.Level
	echo        *echo // follows
}

func newRedundant(t testing.TB, random *rand.Rand, rule tick.SyncRule, bounded bool) *redundant {
	x := &redundant{t: t, random: random, rule: rule, bounded: bounded, shard: NewShard(Options{BookEvery: 100 * time.Millisecond}),
		now: midnight + int64(time.Hour), whole: lineA, echo: newEcho(t)}
	x.shard.follows = true
	x.books = []truthBook{{bids: []tick.Level{{Price: 1000, Size: 5}}, asks: []tick.Level{{Price: 1010, Size: 5}}}}
	def := define(0, "BTC")
	def.Sync = rule
	p, err := tick.AppendCatalog(nil, tick.Header{Line: lineA, ReceiveNanos: x.now}, def)
	if err != nil {
		t.Fatal(err)
	}
	x.give(p)
	x.in = x.shard.instruments[0]
	x.connect(lineA)
	x.connect(lineB)
	return x
}

func (x *redundant) header(line uint16, exchange int64) tick.Header {
	return tick.Header{Line: line, ExchangeNanos: exchange, ReceiveNanos: x.now}
}

func (x *redundant) eachChannel(kind tick.Kind, line uint16, reason tick.Reason) {
	for _, c := range []tick.Channels{tick.ChannelTrades, tick.ChannelQuotes, tick.ChannelDepth} {
		h := x.header(line, 0)
		h.Kind = kind
		x.give(tick.AppendEvent(nil, h, c, reason))
	}
}

func (x *redundant) connect(line uint16) {
	x.up[line], x.since[line] = true, x.now
	x.eachChannel(tick.KindUp, line, tick.ReasonNone)
	x.snapshot(line)
}

func (x *redundant) disconnect(line uint16) {
	x.up[line] = false
	x.flying = slices.DeleteFunc(x.flying, func(f flight) bool { return f.line == line })
	x.eachChannel(tick.KindDown, line, tick.ReasonDisconnect)
}

// snapshot sends the whole book in-band, where the venue does.
func (x *redundant) snapshot(line uint16) {
	if x.rule.Snapshot != tick.SnapshotInBand || !x.up[line] {
		return
	}
	b := x.books[x.updates]
	x.fly(line, 0, depthPacket(x.header(line, x.now), tick.KindSnapshot, x.updates, x.updates, 0, b.bids, b.asks))
}

func (x *redundant) fly(line uint16, latency time.Duration, p []tick.Unit) {
	at := max(x.now+int64(latency), x.order[line])
	x.order[line] = at
	p[0].Header().Line = line
	x.flying = append(x.flying, flight{at: at, line: line, packet: p})
}

// tell sends a message on both lines, through whatever happens to each.
func (x *redundant) tell(c tick.Channels, make func() []tick.Unit) {
	for line := uint16(lineA); line <= lineB; line++ {
		if !x.up[line] {
			continue
		}
		latency := time.Duration(1+x.random.IntN(60)) * time.Millisecond
		harmed := x.random.IntN(12) == 0 && !(x.bounded && (line == x.whole || x.now-x.since[x.whole] < int64(400*time.Millisecond)))
		if harmed && x.random.IntN(2) == 0 {
			if x.rule.Sequence == tick.SequenceNone || x.random.IntN(2) == 0 {
				h := x.header(line, 0)
				h.Kind = tick.KindGap
				x.fly(line, latency, tick.AppendEvent(nil, h, c, tick.ReasonOverload))
			}
			continue
		}
		x.fly(line, latency, make())
		if harmed && x.rule.Sequence != tick.SequenceNone {
			x.fly(line, latency, make())
		}
	}
}

func (x *redundant) update() {
	from := x.updates
	width := 1 + x.random.IntN(3)
	if x.rule.Sequence == tick.SequenceCounter {
		width = 1
	}
	var bids, asks []tick.Level
	for range width {
		b := x.books[x.updates].next(x.random)
		x.books = append(x.books, b)
		x.updates++
		if b.bid {
			bids = append(bids, b.change)
		} else {
			asks = append(asks, b.change)
		}
	}
	if b := x.books[x.updates]; x.rule.Snapshot == tick.SnapshotEvery {
		bids, asks = b.bids, b.asks
	}
	at := x.now
	x.tell(tick.ChannelDepth, func() []tick.Unit {
		return depthPacket(x.header(0, at), tick.KindDepth, from+1, x.updates, from, bids, asks)
	})
	b := x.books[x.updates]
	x.tell(tick.ChannelQuotes, func() []tick.Unit {
		return depthPacket(x.header(0, at), tick.KindQuote, x.updates, x.updates, 0, b.bids[:1], b.asks[:1])
	})
}

func (x *redundant) trade() {
	x.trades = append(x.trades, 0)
	at, id := x.now, uint64(len(x.trades))
	x.tell(tick.ChannelTrades, func() []tick.Unit {
		return tradePacket(x.header(0, at), id, tick.Level{Price: 1000, Size: int64(id)})
	})
}

func (x *redundant) run() {
	for range 2500 {
		x.now += int64(1+x.random.IntN(8)) * 1e6
		x.land()
		switch n := x.random.IntN(100); {
		case n < 30:
			x.trade()
		case n < 80:
			x.update()
		case n == 80:
			x.give(tickPacket(x.now))
		case n < 83:
			x.toggle()
		case n == 83 && x.random.IntN(4) == 0:
			x.rescale()
		}
	}
	for range 50 {
		x.now += 10e6
		x.land()
	}
	x.finish()
}

// toggle breaks or mends a line, or makes the other one the whole one.
func (x *redundant) toggle() {
	line := uint16(lineA + x.random.IntN(2))
	if x.now-x.since[x.whole] < int64(400*time.Millisecond) {
		return
	}
	if !x.up[line] {
		x.connect(line)
		return
	}
	if !x.bounded {
		if x.random.IntN(3) == 0 {
			x.disconnect(line)
		}
		return
	}
	settled := x.now-x.since[line] > int64(400*time.Millisecond) && (!x.in.standsBy() || x.in.sync.IsValid() && x.in.validStandby() >= 0)
	switch {
	case line == x.whole:
	case settled && x.random.IntN(2) == 0:
		if x.in.standsBy() && slices.ContainsFunc(x.flying, func(f flight) bool {
			return f.line == line && f.packet[0].KindOf() == tick.KindGap
		}) {
			return // a loss that is still on its way
		}
		x.whole = line
		// From here on it loses nothing; the other one may, once what this one lost
		// until now has come by it.
		x.settle()
	default:
		x.disconnect(line)
	}
}

// settle lets all that is on its way arrive.
func (x *redundant) settle() {
	x.now += int64(300 * time.Millisecond)
	x.land()
}

func (x *redundant) rescale() {
	if x.in.sizeDigits > 4 {
		return
	}
	// Lines keep their scale and are multiplied up, but for one that never speaks.
	x.give(tick.AppendRescale(nil, x.header(77, 0), x.in.priceDigits, x.in.sizeDigits+1))
}

func (x *redundant) land() {
	slices.SortStableFunc(x.flying, func(a, b flight) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.line, b.line)) })
	for len(x.flying) > 0 && x.flying[0].at <= x.now {
		f := x.flying[0]
		x.flying = x.flying[1:]
		f.packet[0].Header().ReceiveNanos = f.at
		x.give(f.packet)
		slices.SortStableFunc(x.flying, func(a, b flight) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.line, b.line)) })
	}
}

func (x *redundant) give(p []tick.Unit) {
	x.tape = append(x.tape, p...)
	x.shard.Apply(p)
	rows := x.shard.TakeRows()
	x.echo.take(rows)
	x.echo.compare(x.shard)
	rows = forTables(rows)
	x.rows = append(x.rows, rows...)
	eachRow(rows, x.look)
	eachRow(x.shard.TakeCommands(), x.answer)
	if x.in == nil {
		return
	}
	if shown := x.in.sample.announced; shown {
		x.begun = true
		x.valid++
		if !x.in.sync.IsValid() {
			x.fail("a broken book is shown")
		}
		x.in.sync.Book.Check()
		id := x.in.sync.LastID()
		bids, asks := x.bids[:], x.asks[:]
		bids, asks = bids[:x.in.sync.Book.Bids.CopyBest(bids)], asks[:x.in.sync.Book.Asks.CopyBest(asks)]
		x.compare("the book", id, bids, asks, x.in.sizeDigits)
	}
}

func (x *redundant) answer(row []tick.Unit) {
	r := row[0].Resync()
	x.resyncs++
	latency := time.Duration(5+x.random.IntN(100)) * time.Millisecond
	if x.rule.Snapshot == tick.SnapshotREST {
		id := x.updates - min(x.updates, uint64(x.random.IntN(5)))
		b := x.books[id]
		x.fly(lineOfREST, latency, depthPacket(x.header(lineOfREST, 0), tick.KindSnapshot, id, id, r.Epoch, b.bids, b.asks))
		return
	}
	if r.Line != lineA && r.Line != lineB {
		x.fail("a resync of line %d", r.Line)
	}
	x.snapshot(r.Line)
}

// look reads a row.
func (x *redundant) look(row []tick.Unit) {
	switch u := &row[0]; u.KindOf() {
	case tick.RowTrade:
		x.trades[u.TradeRow().ID.Lo-1]++
	case tick.RowBook:
		b, levels := u.BookRow(), tick.RowLevels(row)
		if b.Flags&tick.RowValid == 0 {
			if x.begun {
				x.broke++
			}
			return
		}
		if b.Source != tick.TimeEstimate {
			x.compare(rowText(row, ""), b.Seq, levels[:b.Bids], levels[b.Bids:], b.SizeDigits)
		}
	case tick.RowQuote:
		q := u.QuoteRow()
		if q.Flags&tick.RowValid == 0 {
			return
		}
		x.compare(rowText(row, ""), q.Seq, []tick.Level{{Price: q.Bid, Size: q.BidSize}}, []tick.Level{{Price: q.Ask, Size: q.AskSize}}, q.SizeDigits)
		if q.TsNanos < x.quoteTs {
			x.fail("a quote of before: %s", rowText(row, ""))
		}
		x.quoteTs = q.TsNanos
	case tick.RowGap:
		if g := u.GapRow(); x.begun && g.Channel != tick.ChannelTrades && g.EndNanos == 0 {
			x.gaps++
			if x.bounded {
				x.fail("a gap: %s", rowText(row, ""))
			}
		}
	}
}

func (x *redundant) compare(what string, id uint64, bids, asks []tick.Level, sizeDigits uint8) {
	x.t.Helper()
	same := func(got, want []tick.Level) bool {
		for i := range got {
			if i >= len(want) || got[i].Price != want[i].Price || got[i].Size != want[i].Size*tick.Pow10(sizeDigits) {
				return false
			}
		}
		return true
	}
	if want := x.books[id]; !same(bids, want.bids) || !same(asks, want.asks) || len(bids) == 0 {
		x.fail("%s at %d:\n%v %v, the true book is\n%v %v", what, id, bids, asks, want.bids, want.asks)
	}
}

func (x *redundant) fail(format string, args ...any) {
	x.t.Helper()
	from := max(0, len(packetsOf(x.tape))-40)
	for _, p := range packetsOf(x.tape)[from:] {
		h := p[0].Header()
		switch h.Kind {
		case tick.KindDepth, tick.KindSnapshot:
			x.t.Logf("%s line %d kind %d ids %d..%d after %d", clockText(h.ReceiveNanos), h.Line, h.Kind, p[0].Depth().FirstID, p[0].Depth().LastID, p[0].Depth().PrevID)
		case tick.KindUp, tick.KindDown, tick.KindGap:
			x.t.Logf("%s line %d kind %d of %s", clockText(h.ReceiveNanos), h.Line, h.Kind, p[0].Event().Channel)
		}
	}
	x.t.Fatalf(clockText(x.shard.Now())+": "+format, args...)
}

func (x *redundant) finish() {
	if x.valid < 500 || x.in.counts.Copies < 100 || !x.bounded && x.broke < 2 && x.rule.Snapshot != tick.SnapshotEvery {
		x.fail("too little happened: valid %d, broke %d, %d copies", x.valid, x.broke, x.in.counts.Copies)
	}
	if x.bounded {
		if x.broke > 0 {
			x.fail("it broke %d times", x.broke)
		}
		for i, n := range x.trades {
			if n != 1 {
				x.fail("trade %d is there %d times", i+1, n)
			}
		}
		if x.in.counts.DuplicateTrades > 0 && x.rule.Sequence == tick.SequenceNone {
			x.fail("%d copies are called the venue's duplicates", x.in.counts.DuplicateTrades)
		}
	}
	again := NewShard(x.shard.options)
	again.CountLines(3)
	again.Apply(x.tape)
	var rows, want bytes.Buffer
	for _, u := range again.TakeRows() {
		rows.WriteString(string(appendWords(nil, u)))
	}
	for _, u := range x.rows {
		want.WriteString(string(appendWords(nil, u)))
	}
	if again.StateHash() != x.shard.StateHash() || !bytes.Equal(rows.Bytes(), want.Bytes()) {
		x.fail("the same tape, something else")
	}
}

func appendWords(dst []byte, u tick.Unit) []byte {
	for _, w := range u {
		for i := range 8 {
			dst = append(dst, byte(w>>(8*i)))
		}
	}
	return dst
}
