package sim

import (
	"hash/fnv"
	"math"
	"math/rand/v2"

	"tickproc/tick"
)

// source is an instrument's random numbers: one each, so that adding one, or
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
	never      = math.MaxInt64
)

// newInstrument builds the opening book, levels a side around the first price.
func newInstrument(m *Market, sp Spec, rate float64) *Instrument {
	name := m.name + " " + sp.Name
	in := &Instrument{Spec: sp, State: tick.StateTrading, market: m, meanGap: 1e9 / rate,
		random: newSource(m.options.Seed, name), drift: newSource(m.options.Seed, name+" reference")}
	in.asks.asks = true
	in.updateID = 50_000_000_000 + in.random.Uint64N(1_000_000_000)
	in.tradeID = 3_000_000_000 + in.random.Int64N(1_000_000_000)
	for range m.options.Levels {
		in.bids.set(in.Tick*(in.Start-1-in.random.distance(in.ReachBits)), in.Lot*in.random.quantity(in.OrderLots))
		in.asks.set(in.Tick*(in.Start+1+in.random.distance(in.ReachBits)), in.Lot*in.random.quantity(in.OrderLots))
	}
	for i := range int64(levelsDeep) {
		in.bids.set(in.coldPrice(false, i), in.Lot*in.random.quantity(in.OrderLots))
		in.asks.set(in.coldPrice(true, i), in.Lot*in.random.quantity(in.OrderLots))
	}
	in.sentID = in.updateID
	in.truth.init(m.options.History)
	return in
}

// coldPrice is the i-th price that hardly ever trades: 6 % away and further.
func (in *Instrument) coldPrice(ask bool, i int64) int64 {
	away := in.Start * (6 + 2*i) / 100
	if ask {
		return in.Tick * (in.Start + away)
	}
	return in.Tick * (in.Start - away)
}

// begin sets the first times.
func (in *Instrument) begin(now int64) {
	in.timeNanos = in.market.cut(now)
	in.quoted = Quote{ID: in.updateID, TimeNanos: in.timeNanos, Bid: in.bids.best(), Ask: in.asks.best()}
	in.truth.quotes.add(in.quoted)
	in.nextNanos = now + in.gap()
	in.phaseNanos = now + in.random.Int64N(int64(in.market.depthEvery))
	in.flushNanos = never
	in.beginReference(now)
}

func (in *Instrument) gap() int64 { return 1 + int64(in.random.ExpFloat64()*in.meanGap) }

// due returns when the instrument next does something.
func (in *Instrument) due() int64 { return min(in.nextNanos, in.flushNanos, in.referenceNanos) }

// run does what is due first and hands its events out.
func (in *Instrument) run() {
	switch at := in.due(); at {
	case in.flushNanos:
		in.flushNanos += int64(in.market.depthEvery)
		if at >= in.staleUntil {
			in.flush(at)
		}
	case in.referenceNanos:
		in.refer(at)
	default:
		in.nextNanos += in.gap()
		if at >= in.quietUntil && in.State == tick.StateTrading {
			in.act(at)
		}
	}
}

// act is one event of the market: an order arrives, leaves, or trades.
func (in *Instrument) act(now int64) {
	r := in.random
	mine, other := &in.bids, &in.asks
	if r.IntN(2) == 1 {
		mine, other = other, mine
	}
	add := 55 // of 100 orders that arrive or leave
	switch levels := in.market.options.Levels; {
	case len(mine.levels) > levels+levelsDeep:
		add = 35
	case len(mine.levels) < levels/2:
		add = 85
	}
	switch what := r.IntN(100); {
	case what < 12:
		in.lean()
		taken := &in.asks
		if r.IntN(100) < 50-in.trend {
			taken = &in.bids
		}
		in.marketOrder(now, taken, in.Lot*r.quantity(in.OrderLots))
	case what < 14:
		i := r.Int64N(levelsDeep)
		// A cold price inside the market would cross it: the market has walked that far.
		if p := in.coldPrice(mine.asks, i); mine.key(p) < mine.key(other.best().Price) {
			in.change(now, mine, p, in.Lot*(r.quantity(in.OrderLots)-1))
		}
	case r.IntN(100) < add || len(mine.levels) <= levelsLeft:
		ticks := in.Tick * (1 + r.distance(in.ReachBits))
		price := other.best().Price - ticks
		if mine.asks {
			price = other.best().Price + ticks
		}
		// After a change of tick the other side may stand between two steps.
		if price -= price % in.Tick; price > 0 && mine.key(price) < mine.key(other.best().Price) {
			in.change(now, mine, price, mine.size(price)+in.Lot*r.quantity(in.OrderLots))
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
			left = l.Size / in.Lot / 2 * in.Lot
		}
		in.change(now, mine, l.Price, left)
	}
	in.quote(now)
}

// lean lets the market wander, and pulls it back when it is far from its start.
func (in *Instrument) lean() {
	if in.random.IntN(50) == 0 {
		in.trend = in.random.IntN(31) - 15
	}
	switch mid := in.mid() / in.Tick; {
	case mid > in.Start+in.Start/25:
		in.trend = -20
	case mid < in.Start-in.Start/25:
		in.trend = 20
	}
}

func (in *Instrument) mid() int64 { return (in.bids.best().Price + in.asks.best().Price) / 2 }

// marketOrder takes size from a side, a trade for each resting order.
func (in *Instrument) marketOrder(now int64, from *side, size int64) {
	in.fills = in.fills[:0]
	for size > 0 && len(from.levels) > levelsLeft {
		l := from.best()
		fill := min(size, l.Size)
		for left := fill; left > 0; {
			part := left
			if lots := left / in.Lot; lots > 1 && in.random.IntN(3) == 0 {
				part = in.Lot * (1 + in.random.Int64N(lots-1))
			}
			left -= part
			in.trade(now, l.Price, part, !from.asks)
		}
		size -= fill
		in.change(now, from, l.Price, l.Size-fill)
	}
	in.tellTrades(now)
}

func (in *Instrument) trade(now int64, price, size int64, sell bool) {
	in.stamp(now)
	in.tradeID++
	in.fills = append(in.fills, Trade{ID: in.tradeID, TimeNanos: in.timeNanos, Price: price, Size: size, Sell: sell})
}

// tellTrades hands out what an order made.
func (in *Instrument) tellTrades(now int64) {
	if len(in.fills) == 0 {
		return
	}
	in.tell(now, Event{Channel: tick.ChannelTrades, Trades: in.fills})
}

// tell hands out an event at the matching time.
func (in *Instrument) tell(now int64, e Event) {
	e.Instrument, e.TimeNanos, e.SendNanos = in, in.timeNanos, max(in.market.cut(now), in.timeNanos)
	in.event = e
	in.market.deliver(&in.event)
}

// change sets a level under a new update id.
func (in *Instrument) change(now int64, of *side, price, size int64) {
	in.stamp(now)
	in.updateID++
	if holes := in.market.profile.IDHoles; holes > 0 {
		in.updateID += in.random.Uint64N(uint64(holes))
	}
	if in.pendingFirst == 0 {
		in.pendingFirst = in.updateID
		in.flushNanos = in.nextFlush(now)
	}
	of.set(price, size)
	i := 0
	if of.asks {
		i = 1
	}
	in.touched[i] = append(in.touched[i], price)
}

// nextFlush is the first time after now at which a depth message may come:
// nothing is due, and nothing costs time, while nothing changes.
func (in *Instrument) nextFlush(now int64) int64 {
	every := int64(in.market.depthEvery)
	past := (now - in.phaseNanos) % every
	if past < 0 {
		past += every
	}
	return now + every - past
}

// stamp moves the matching time, which lies a little before the send time.
func (in *Instrument) stamp(now int64) {
	v := in.market
	late := int64(0)
	if lag := int64(v.profile.Lag / v.profile.Resolution); lag > 1 {
		late = in.random.Int64N(lag) * int64(v.profile.Resolution)
	}
	in.timeNanos = max(in.timeNanos, v.cut(now)-late)
}

// quote tells the best bid and offer if they changed.
func (in *Instrument) quote(now int64) {
	bid, ask := in.bids.best(), in.asks.best()
	if bid.Price >= ask.Price {
		panic("BUG: simulated book crossed")
	}
	if bid == in.quoted.Bid && ask == in.quoted.Ask {
		return
	}
	in.quoted = Quote{ID: in.updateID, TimeNanos: in.timeNanos, Bid: bid, Ask: ask}
	in.changedBids = append(in.changedBids[:0], bid)
	in.changedAsk = append(in.changedAsk[:0], ask)
	in.tell(now, Event{Channel: tick.ChannelQuotes, LastID: in.updateID, Bids: in.changedBids, Asks: in.changedAsk})
}

// flush tells all changes since the last depth message, best prices first.
func (in *Instrument) flush(now int64) {
	if in.flushNanos = never; in.pendingFirst == 0 {
		return
	}
	in.changedBids = in.bids.appendChanged(in.changedBids[:0], in.touched[0])
	in.changedAsk = in.asks.appendChanged(in.changedAsk[:0], in.touched[1])
	first, prev := in.pendingFirst, in.sentID
	in.sentID, in.pendingFirst = in.updateID, 0
	in.touched[0], in.touched[1] = in.touched[0][:0], in.touched[1][:0]
	in.tell(now, Event{Channel: tick.ChannelDepth, FirstID: first, LastID: in.updateID, PrevID: prev, Bids: in.changedBids, Asks: in.changedAsk})
}

// last gives the instrument a last trade and empties its depth batch, so that
// a loss just before the end shows to who watches ids.
func (in *Instrument) last(now int64) {
	in.fills = in.fills[:0]
	l := in.asks.best()
	in.trade(now, l.Price, in.Lot, false)
	in.tellTrades(now)
	in.change(now, &in.asks, l.Price, l.Size-in.Lot)
	if len(in.asks.levels) == 0 {
		panic("BUG: simulated side ran empty")
	}
	in.quote(now)
	in.flush(now)
}

// cut is a time in the venue's clock and resolution.
func (v *Market) cut(now int64) int64 {
	resolution := int64(v.profile.Resolution)
	return (now + int64(v.options.ClockOffset)) / resolution * resolution
}
