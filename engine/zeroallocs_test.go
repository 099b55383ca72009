package engine

import (
	"testing"
	"time"

	"tickproc/indicators"
	"tickproc/tick"
)

// full is what a shard does at most: bars from a second to a day, a sliding
// window and the session.
var full = Options{Intervals: []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour},
	Windows: []indicators.WindowSpec{{Span: time.Minute, Step: time.Second}, {}}}

// stream makes packets of one instrument in an endless round, a millisecond
// apart, and gives them to a shard.
type stream struct {
	shard  *Shard
	now    int64
	trades uint64
	update uint64
	trade  []tick.Unit
	quote  []tick.Unit
	depth  []tick.Unit
	single [1]tick.Unit
	count  int64
	rows   func(rows []tick.Unit) // takes them, if set
}

// newStream warms up: minutes have passed, and windows are full.
func newStream(ids tick.TradeIDKind) *stream {
	def := define(0, "BTC")
	def.TradeIDs = ids
	s := &stream{shard: NewShard(full), now: midnight}
	h := tick.Header{Line: 1, ReceiveNanos: s.now, ExchangeNanos: s.now}
	catalog, _ := tick.AppendCatalog(nil, h, def)
	s.shard.Apply(catalog)
	bid, ask := []tick.Level{{Price: 9_900, Size: 1}}, []tick.Level{{Price: 10_100, Size: 1}}
	s.trade = tradePacket(h, 0, bid[0])
	s.quote = depthPacket(h, tick.KindQuote, 0, 0, 0, bid, ask)
	levels := make([]tick.Level, 10)
	s.depth = depthPacket(h, tick.KindDepth, 0, 0, 0, levels[:5], levels[5:])
	s.onDepth()
	s.shard.Apply(depthPacket(h, tick.KindSnapshot, 0, 0, 0, bid, ask))
	for range 100_000 {
		s.onTrade()
		s.onQuote()
		s.onDepth()
	}
	return s
}

func (s *stream) give(p []tick.Unit) {
	s.now += 1e6
	h := p[0].Header()
	h.ReceiveNanos, h.ExchangeNanos = s.now, s.now-5e6
	s.shard.Apply(p)
	rows := s.shard.TakeRows()
	s.shard.TakeCommands()
	if s.rows != nil {
		s.rows(rows)
	}
}

func (s *stream) onTrade() {
	s.trades++
	t := s.trade[0].Trade()
	t.ID.Lo, t.Price, t.Size = s.trades, 10_000+int64(s.trades%7), 1+int64(s.trades%5)
	s.give(s.trade)
}

// onQuote changes the best of the quotes, as of the update that was told last.
func (s *stream) onQuote() {
	s.quote[0].Depth().LastID = s.update
	b := &s.shard.instruments[0].sync.Book
	l := tick.Levels(s.quote)
	l[0], l[1] = b.Bids.Best(), b.Asks.Best()
	s.give(s.quote)
}

// onDepth sets five levels a side, some of which it removes again.
func (s *stream) onDepth() {
	s.update++
	d := s.depth[0].Depth()
	d.FirstID, d.LastID = s.update, s.update
	for i := range 5 {
		at := int64((s.update*uint64(i+3) + uint64(i)) % 90)
		size := int64(s.update % 4)
		tick.Levels(s.depth)[i] = tick.Level{Price: 9_901 + at, Size: size}
		tick.Levels(s.depth)[5+i] = tick.Level{Price: 10_099 - at, Size: size}
	}
	s.give(s.depth)
}

// alone gives a packet of one unit, of a kind of which each is another number.
func (s *stream) alone(kind tick.Kind, fill func(u *tick.Unit, n int64)) {
	s.count++
	s.single[0] = tick.Unit{}
	*s.single[0].Header() = tick.Header{Kind: kind, Line: 1}
	fill(&s.single[0], s.count)
	s.give(s.single[:])
}

func (s *stream) onMark() {
	s.alone(tick.KindMark, func(u *tick.Unit, n int64) {
		m := u.Mark()
		m.Mark, m.Index, m.FundingRate, m.PriceDigits = n, tick.Absent, n%3, uint8(n%9)
	})
}

func (s *stream) onInterest() {
	s.alone(tick.KindOpenInterest, func(u *tick.Unit, n int64) { u.OpenInterest().Size = n })
}

func (s *stream) onForced() {
	s.alone(tick.KindLiquidation, func(u *tick.Unit, n int64) { u.Trade().Price, u.Trade().Size = n, n })
}

func TestShardZeroAllocs(t *testing.T) {
	skipUnderRace(t)
	f := func(name string, s *stream, packet func()) {
		t.Helper()
		if n := testing.AllocsPerRun(20_000, packet); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if r := s.shard.Reports(0)[0]; !r.Valid || r.TopDiffers > 0 || r.Counts.LateTrades+r.Counts.DuplicateTrades > 0 {
			t.Errorf("%s: not the stream it should be: %+v", name, r)
		}
	}
	s := newStream(tick.TradeIDContiguous)
	f("trade", s, s.onTrade)
	f("quote", s, s.onQuote)
	f("depth", s, s.onDepth)
	f("round", s, func() { s.onTrade(); s.onQuote(); s.onDepth() })
	f("funding", s, s.onMark)
	f("open interest", s, s.onInterest)
	f("liquidation", s, s.onForced)
	s = newStream(tick.TradeIDInteger)
	f("trade without order", s, s.onTrade)
}
