package sim

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"

	"tickproc/tick"
)

// event is one thing that a venue tells about an instrument. It and its
// levels belong to the symbol and live until its next event.
type event struct {
	symbol  *symbol
	channel tick.Channels // exactly one
	timeMs  int64         // matching time
	sendMs  int64         // when the venue wrote it

	firstID, lastID, prevID uint64 // quotes: lastID alone
	bids, asks              []tick.Level

	tradeID     int64
	price, size int64
	sell        bool
}

// source is a symbol's random numbers: one each, so that adding a symbol, or
// silencing one, leaves the others' markets as they were.
type source struct{ *rand.Rand }

func newSource(seed uint64, name string) *source {
	h := fnv.New64a()
	h.Write([]byte(name))
	return &source{rand.New(rand.NewPCG(seed, h.Sum64()))}
}

// distance returns a number below 2^bits; each halving is equally likely, so
// that most are small and some far.
func (r *source) distance(bits int) int64 {
	return r.Int64N(2 << r.IntN(bits))
}

// quantity returns a size in lots around the typical one.
func (r *source) quantity(lots int64) int64 {
	return 1 + r.Int64N(2*lots>>r.IntN(6)+1)
}

const (
	levelsDeep = 40 // cold levels a side, far from the market
	levelsLeft = 8  // market orders leave at least so many levels
)

// newSymbol builds the opening book, levels a side around the first price.
func newSymbol(v *venue, sp spec, rate float64, levels int) *symbol {
	s := &symbol{spec: sp, venue: v, random: newSource(v.options.Seed, v.name+" "+sp.name), meanGap: 1e9 / rate, holes: v.dialect.idHoles()}
	s.asks.asks = true
	s.updateID = 50_000_000_000 + s.random.Uint64N(1_000_000_000)
	s.tradeID = 3_000_000_000 + s.random.Int64N(1_000_000_000)
	for range levels {
		s.bids.set(s.tick*(s.start-1-s.random.distance(s.reachBits)), s.lot*s.random.quantity(s.orderLots))
		s.asks.set(s.tick*(s.start+1+s.random.distance(s.reachBits)), s.lot*s.random.quantity(s.orderLots))
	}
	for i := range int64(levelsDeep) {
		s.bids.set(s.coldPrice(false, i), s.lot*s.random.quantity(s.orderLots))
		s.asks.set(s.coldPrice(true, i), s.lot*s.random.quantity(s.orderLots))
	}
	s.sentID = s.updateID
	s.quotedBid, s.quotedAsk = s.bids.best(), s.asks.best()
	return s
}

// coldPrice is the i-th price that hardly ever trades: 6 % away and further.
func (s *symbol) coldPrice(ask bool, i int64) int64 {
	away := s.start * (6 + 2*i) / 100
	if ask {
		return s.tick * (s.start + away)
	}
	return s.tick * (s.start - away)
}

// begin sets the first times.
func (s *symbol) begin(now int64) {
	interval := int64(s.venue.depthEvery)
	s.nextNanos = now + s.gap()
	s.flushNanos = now + interval + s.random.Int64N(interval)
}

func (s *symbol) gap() int64 { return 1 + int64(s.random.ExpFloat64()*s.meanGap) }

// due returns when the symbol next does something.
func (s *symbol) due() int64 { return min(s.nextNanos, s.flushNanos) }

// run does what is due first and hands its events out.
func (s *symbol) run(emit func(*event)) {
	if s.flushNanos <= s.nextNanos {
		at := s.flushNanos
		s.flushNanos += int64(s.venue.depthEvery)
		if at >= s.staleUntil {
			s.flush(at, emit)
		}
		return
	}
	at := s.nextNanos
	s.nextNanos += s.gap()
	if at >= s.quietUntil {
		s.act(at, emit)
	}
}

// act is one event of the market: an order arrives, leaves, or trades.
func (s *symbol) act(now int64, emit func(*event)) {
	r := s.random
	mine, other := &s.bids, &s.asks
	if r.IntN(2) == 1 {
		mine, other = other, mine
	}
	add := 55 // of 100 orders that arrive or leave
	switch levels := s.venue.options.Levels; {
	case len(mine.levels) > levels+levelsDeep:
		add = 35
	case len(mine.levels) < levels/2:
		add = 85
	}
	switch what := r.IntN(100); {
	case what < 12:
		s.lean()
		taken := &s.asks
		if r.IntN(100) < 50-s.trend {
			taken = &s.bids
		}
		s.marketOrder(now, taken, s.lot*r.quantity(s.orderLots), emit)
	case what < 14:
		i := r.Int64N(levelsDeep)
		// A cold price inside the market would cross it: the market has walked that far.
		if p := s.coldPrice(mine.asks, i); mine.key(p) < mine.key(other.best().Price) {
			s.change(now, mine, p, s.lot*(r.quantity(s.orderLots)-1))
		}
	case r.IntN(100) < add || len(mine.levels) <= levelsLeft:
		ticks := s.tick * (1 + r.distance(s.reachBits))
		price := other.best().Price - ticks
		if mine.asks {
			price = other.best().Price + ticks
		}
		if price > 0 {
			s.change(now, mine, price, mine.size(price)+s.lot*r.quantity(s.orderLots))
		}
	default:
		n := len(mine.levels)
		rank := r.IntN(n)
		if r.IntN(2) == 0 {
			rank = int(min(r.distance(6), int64(n-1)))
		}
		l := mine.rank(rank)
		left := int64(0)
		if r.IntN(3) == 0 {
			left = l.Size / s.lot / 2 * s.lot
		}
		s.change(now, mine, l.Price, left)
	}
	s.quote(now, emit)
}

// lean lets the market wander, and pulls it back when it is far from its start.
func (s *symbol) lean() {
	if s.random.IntN(50) == 0 {
		s.trend = s.random.IntN(31) - 15
	}
	switch mid := (s.bids.best().Price + s.asks.best().Price) / 2 / s.tick; {
	case mid > s.start+s.start/25:
		s.trend = -20
	case mid < s.start-s.start/25:
		s.trend = 20
	}
}

// marketOrder takes size from a side, a trade for each resting order.
func (s *symbol) marketOrder(now int64, from *side, size int64, emit func(*event)) {
	for size > 0 && len(from.levels) > levelsLeft {
		l := from.best()
		fill := min(size, l.Size)
		for left := fill; left > 0; {
			part := left
			if lots := left / s.lot; lots > 1 && s.random.IntN(3) == 0 {
				part = s.lot * (1 + s.random.Int64N(lots-1))
			}
			left -= part
			s.trade(now, l.Price, part, !from.asks, emit)
		}
		size -= fill
		s.change(now, from, l.Price, l.Size-fill)
	}
}

func (s *symbol) trade(now int64, price, size int64, sell bool, emit func(*event)) {
	s.stamp(now)
	s.tradeID++
	s.event = event{symbol: s, channel: tick.ChannelTrades, timeMs: s.timeMs, sendMs: max(s.venue.ms(now), s.timeMs),
		tradeID: s.tradeID, price: price, size: size, sell: sell}
	emit(&s.event)
}

// change sets a level under a new update id.
func (s *symbol) change(now int64, of *side, price, size int64) {
	s.stamp(now)
	s.updateID++
	if s.holes > 0 {
		s.updateID += s.random.Uint64N(uint64(s.holes))
	}
	if s.pendingFirst == 0 {
		s.pendingFirst = s.updateID
	}
	of.set(price, size)
	i := 0
	if of.asks {
		i = 1
	}
	s.touched[i] = append(s.touched[i], price)
}

// stamp moves the matching time, which lies a little before the send time.
func (s *symbol) stamp(now int64) {
	s.timeMs = max(s.timeMs, s.venue.ms(now)-s.random.Int64N(s.venue.dialect.lagMs()))
}

// quote tells the best bid and offer if they changed.
func (s *symbol) quote(now int64, emit func(*event)) {
	bid, ask := s.bids.best(), s.asks.best()
	if bid.Price >= ask.Price {
		panic("BUG: simulated book crossed")
	}
	if bid == s.quotedBid && ask == s.quotedAsk {
		return
	}
	s.quotedBid, s.quotedAsk = bid, ask
	s.changedBids = append(s.changedBids[:0], bid)
	s.changedAsk = append(s.changedAsk[:0], ask)
	s.event = event{symbol: s, channel: tick.ChannelQuotes, timeMs: s.timeMs, sendMs: max(s.venue.ms(now), s.timeMs),
		lastID: s.updateID, bids: s.changedBids, asks: s.changedAsk}
	emit(&s.event)
}

// flush tells all changes since the last depth message, best prices first.
func (s *symbol) flush(now int64, emit func(*event)) {
	if s.pendingFirst == 0 {
		return
	}
	s.changedBids = s.bids.appendChanged(s.changedBids[:0], s.touched[0])
	s.changedAsk = s.asks.appendChanged(s.changedAsk[:0], s.touched[1])
	s.event = event{symbol: s, channel: tick.ChannelDepth, timeMs: s.timeMs, sendMs: max(s.venue.ms(now), s.timeMs),
		firstID: s.pendingFirst, lastID: s.updateID, prevID: s.sentID, bids: s.changedBids, asks: s.changedAsk}
	s.sentID, s.pendingFirst = s.updateID, 0
	s.touched[0], s.touched[1] = s.touched[0][:0], s.touched[1][:0]
	emit(&s.event)
}

// market is the instruments of one venue, run in the order of time.
type market struct {
	symbols []*symbol
	begun   bool
}

// step runs everything that is due until now, in ns since the epoch. The first
// step only starts the clock.
func (m *market) step(now int64, emit func(*event)) {
	if !m.begun {
		m.begun = true
		for _, s := range m.symbols {
			s.begin(now)
		}
		return
	}
	for {
		var next *symbol
		due := int64(math.MaxInt64)
		for _, s := range m.symbols {
			if d := s.due(); d < due {
				next, due = s, d
			}
		}
		if due > now || next == nil {
			return
		}
		next.run(emit)
	}
}

// finish gives every instrument a last trade and empties its depth batch, so
// that a loss just before the end shows to who watches ids.
func (m *market) finish(now int64, emit func(*event)) {
	if !m.begun {
		return
	}
	for _, s := range m.symbols {
		l := s.asks.best()
		s.trade(now, l.Price, s.lot, false, emit)
		s.change(now, &s.asks, l.Price, l.Size-s.lot)
		if len(s.asks.levels) == 0 {
			panic("BUG: simulated side ran empty")
		}
		s.quote(now, emit)
		s.flush(now, emit)
	}
}

// ms is a time of the market in the venue's clock, ms since the epoch.
func (v *venue) ms(now int64) int64 {
	return (now + int64(v.options.ClockOffset)) / int64(time.Millisecond)
}
