package engine

import (
	"math"

	"tickproc/internal/state"
	"tickproc/tick"
)

// consolidated is the best bid and offer over all instruments of a shard that
// trade the same base and quote asset in the same way.
//
//	quotes, else the valid book's top, of each ─► prices as they are, sizes in the base asset ─► best of each side ─► a row a change
//
// An instrument counts while it trades, its quotes or book are known to be the
// venue's, and the last message of either is younger than Options.NbboStale.
// All times are ours: the venues' clocks differ by more than their quotes live.
type consolidated struct {
	shard *Shard
	// members in the order in which they were introduced. The first one's id
	// stands in the rows, and its place in the heap of deadlines is the group's.
	members  []*instrument
	arrivals uint64 // changes of an offer so far

	begun     bool // a row was written
	shown     best // by the last row
	writtenAt int64
	pendingAt int64 // when the change that waits is written
	ord       ordinal
	savedAt   uint64 // the barrier for which it is written
}

// contribution is what an instrument brings to its group.
type contribution struct {
	seenAt   int64 // receive time of its last message of quotes or depth; 0 = none
	counts   bool
	bid, ask offer
}

// offer is the best level of one side, in units that all venues share; size 0
// where there is none.
type offer struct {
	price, size             int64
	priceDigits, sizeDigits uint8
	arrival                 uint64 // orders offers by when they became what they are
	// What it was made of, so that it is made once.
	level    tick.Level
	contract tick.Number
	scale    [2]uint8
}

// best is what a row says.
type best struct {
	bid, ask offer
	// Places in members, where the size is not 0.
	bidder, asker int
	venues        int
}

// baseDigits are the decimal places at most that a size in the base asset keeps.
const baseDigits = 12

type groupKey struct {
	base, quote string
	of          tick.InstrumentType
}

// join adds an instrument to its group. Futures and options have none: what
// expires apart is not the same thing. Nor have instruments without a catalog,
// of which nobody knows what they are.
func (s *Shard) join(in *instrument) {
	key, some := s.groupOf(in)
	if !some {
		return
	}
	g := s.groups[key]
	if g == nil {
		g = &consolidated{shard: s, members: []*instrument{in}, pendingAt: never, savedAt: s.saving.epoch}
		s.addGroup(g)
	} else {
		s.saveGroup(g)
		g.members = append(g.members, in)
	}
	in.group = g
	in.contribute()
	g.update()
}

// groupOf returns which group an instrument belongs to, if any.
func (s *Shard) groupOf(in *instrument) (key groupKey, some bool) {
	def := &in.def
	if !s.options.Nbbo || def.Base == "" || def.Quote == "" || def.Type != tick.TypeSpot && def.Type != tick.TypePerpetual {
		return groupKey{}, false
	}
	return groupKey{def.Base, def.Quote, def.Type}, true
}

// addGroup takes in a group that has its first member.
func (s *Shard) addGroup(g *consolidated) {
	key, _ := s.groupOf(g.members[0])
	if s.groups == nil {
		s.groups = map[groupKey]*consolidated{}
	}
	s.groups[key] = g
	s.groupList = append(s.groupList, g)
}

// consolidate carries what a packet changed into the instrument's group, and
// reports whether it was anything.
//
// hot: per packet, 0 allocs; O(members) where the best of a side changed.
func (in *instrument) consolidate(h *tick.Header) (changed bool) {
	switch {
	case h.Kind == tick.KindQuote, h.Kind == tick.KindDepth,
		h.Kind == tick.KindSnapshot && in.def.Sync.Snapshot != tick.SnapshotREST: // a fetched book says nothing of the stream
		in.contribution.seenAt = max(in.contribution.seenAt, h.ReceiveNanos)
	}
	if changed = in.contribute(); changed {
		in.group.update()
	}
	return changed
}

// contribute brings the contribution up to date, and reports whether the best
// of the group may be another.
func (in *instrument) contribute() (changed bool) {
	x := &in.contribution
	bid, ask, counts := in.top()
	if !counts {
		bid, ask = tick.Level{}, tick.Level{}
	}
	changed = counts != x.counts
	x.counts = counts
	changed = in.offer(&x.bid, bid) || changed
	return in.offer(&x.ask, ask) || changed
}

// top is the best level of both sides, and whether it counts.
func (in *instrument) top() (bid, ask tick.Level, counts bool) {
	if in.disabled || in.shard.now >= in.contribution.seenAt+int64(in.shard.options.NbboStale) {
		return
	}
	switch in.def.State {
	case tick.StateUnknown, tick.StateTrading, tick.StateRestricted:
	default:
		return // nobody can trade at it
	}
	if q := &in.quote; q.written && in.def.Channels.Has(tick.ChannelQuotes) && !in.channels[tick.ChannelQuotes.Index()].gap.open {
		return q.bid, q.ask, true
	}
	if in.sample.announced && in.sync.IsValid() {
		return in.sync.Book.Bids.Best(), in.sync.Book.Asks.Best(), true
	}
	return
}

// offer makes x the level in shared units, and reports whether it is another.
func (in *instrument) offer(x *offer, level tick.Level) (changed bool) {
	scale := [2]uint8{in.priceDigits, in.sizeDigits}
	if x.level == level && x.scale == scale && x.contract == in.def.ContractSize {
		return false
	}
	was := *x
	*x = offer{arrival: was.arrival, level: level, contract: in.def.ContractSize, scale: scale}
	if level.Size > 0 {
		x.price, x.priceDigits = level.Price, in.priceDigits
		x.size, x.sizeDigits = in.baseSize(level)
	}
	if x.same(&was) {
		return false
	}
	in.group.arrivals++
	x.arrival = in.group.arrivals
	return true
}

func (x *offer) same(y *offer) bool {
	if x.size == 0 || y.size == 0 {
		return x.size == y.size
	}
	return tick.CompareScaled(x.price, x.priceDigits, y.price, y.priceDigits) == 0 &&
		tick.CompareScaled(x.size, x.sizeDigits, y.size, y.sizeDigits) == 0
}

// baseSize is the level's size in the base asset: a contract is worth so much
// of it, or, inverse, so much of the quote asset, at the level's price. It has as
// many decimal places as the exact product, but at most baseDigits, a quotient
// just as many, and both fewer where int64 does not hold more; it is rounded to
// them once, half to even. What is unknown or rounds to nothing is 0: no offer.
func (in *instrument) baseSize(level tick.Level) (size int64, digits uint8) {
	contract := in.def.ContractSize
	if in.def.Type == tick.TypeSpot && contract.Mantissa == 0 {
		contract.Mantissa = 1
	}
	if contract.Mantissa <= 0 || in.def.Inverse && level.Price <= 0 {
		return 0, 0
	}
	exact := int(in.sizeDigits) + int(contract.Digits)
	places, shift, by := min(exact, baseDigits), -exact, uint64(1)
	if in.def.Inverse {
		places, shift, by = baseDigits, int(in.priceDigits)-exact, uint64(level.Price)
	}
	for ; places >= 0; places-- {
		hi, lo, ok := tick.MulDiv(uint64(level.Size), uint64(contract.Mantissa), shift+places, by)
		if ok && hi == 0 && lo <= math.MaxInt64 {
			return int64(lo), uint8(places)
		}
	}
	return 0, 0
}

// better reports whether x goes before y on a side: by price, then the larger,
// then the one that stands longer. sign is 1 for bids, -1 for asks.
func (x *offer) better(y *offer, sign int) bool {
	if y.size == 0 {
		return x.size > 0
	}
	if x.size == 0 {
		return false
	}
	if c := sign * tick.CompareScaled(x.price, x.priceDigits, y.price, y.priceDigits); c != 0 {
		return c > 0
	}
	if c := tick.CompareScaled(x.size, x.sizeDigits, y.size, y.sizeDigits); c != 0 {
		return c > 0
	}
	return x.arrival < y.arrival
}

// find looks for the best of all members.
func (g *consolidated) find() (b best) {
	bid, ask := &b.bid, &b.ask
	for i, in := range g.members {
		x := &in.contribution
		if !x.counts {
			continue
		}
		b.venues++
		if x.bid.better(bid, 1) {
			bid, b.bidder = &x.bid, i
		}
		if x.ask.better(ask, -1) {
			ask, b.asker = &x.ask, i
		}
	}
	b.bid, b.ask = *bid, *ask
	return b
}

func (b *best) same(o *best) bool {
	return b.venues == o.venues && b.bidder == o.bidder && b.asker == o.asker && b.bid.same(&o.bid) && b.ask.same(&o.ask)
}

// update writes what changed: at once where the last row is old enough or
// nothing counts any more, else when it is. A group of one says nothing that its
// quotes do not say.
func (g *consolidated) update() {
	if len(g.members) < 2 {
		return
	}
	s, b := g.shard, g.find()
	switch due := g.writtenAt + int64(s.options.NbboEvery); {
	case g.begun && b.same(&g.shown):
		g.pendingAt = never
	case !g.begun, b.venues == 0, s.now >= due:
		g.write(&b)
	default:
		g.pendingAt = due
	}
	s.hasten(g.members[0])
}

func (g *consolidated) write(b *best) {
	s := g.shard
	g.begun, g.shown, g.writtenAt, g.pendingAt = true, *b, s.now, never
	var u *tick.Unit
	s.rows, u = tick.NewRow(s.rows, tick.RowNbbo)
	r := u.NbboRow()
	r.Instrument, r.TsNanos, r.ReceiveNanos = g.members[0].def.ID, s.now, s.now
	r.Source, r.Ord, r.Venues = tick.TimeReceive, g.ord.next(s.now, 0), uint16(b.venues)
	if b.bid.size > 0 {
		r.Bid, r.BidSize, r.BidDigits, r.BidSizeDigits = b.bid.price, b.bid.size, b.bid.priceDigits, b.bid.sizeDigits
		r.BidInstrument = g.members[b.bidder].def.ID
	}
	if b.ask.size > 0 {
		r.Ask, r.AskSize, r.AskDigits, r.AskSizeDigits = b.ask.price, b.ask.size, b.ask.priceDigits, b.ask.sizeDigits
		r.AskInstrument = g.members[b.asker].def.ID
	}
	if b.venues > 0 {
		r.Flags |= tick.RowValid
	}
	if b.bid.size > 0 && b.ask.size > 0 && tick.CompareScaled(b.bid.price, b.bid.priceDigits, b.ask.price, b.ask.priceDigits) >= 0 {
		r.Flags |= tick.RowCrossed
	}
}

// leads reports whether the group's deadline is the instrument's.
func (in *instrument) leads() bool { return in.group != nil && in.group.members[0] == in }

// deadline is the receive time at which a change that waits is written, or a
// contribution is too old.
func (g *consolidated) deadline() int64 {
	at := g.pendingAt
	for _, in := range g.members {
		if in.contribution.counts {
			at = min(at, in.contribution.seenAt+int64(g.shard.options.NbboStale))
		}
	}
	return at
}

// fire acts on what is due at logical now, to the group or to one of its
// members.
func (g *consolidated) fire() {
	changed := g.shard.now >= g.pendingAt
	for _, in := range g.members {
		changed = in.contribute() || changed
	}
	if changed {
		g.update()
	}
}

// finish writes the change that waits.
func (g *consolidated) finish() {
	if g.pendingAt != never {
		b := g.find()
		g.write(&b)
	}
}

func (g *consolidated) stepClock(by int64) {
	for _, in := range g.members {
		if in.contribution.seenAt != 0 {
			in.contribution.seenAt += by
		}
	}
	if g.pendingAt != never {
		g.pendingAt += by
	}
	g.writtenAt += by
}

// code codes what the group knows beside its members and their contributions.
func (g *consolidated) code(c *state.Coder) {
	c.Bool(&g.begun)
	g.shown.bid.code(c)
	g.shown.ask.code(c)
	c.Int(&g.shown.bidder)
	c.Int(&g.shown.asker)
	c.Int(&g.shown.venues)
	c.Uint64(&g.arrivals)
	c.Int64s(&g.writtenAt, &g.pendingAt)
	g.ord.code(c)
}

func (x *contribution) code(c *state.Coder) {
	c.Int64(&x.seenAt)
	c.Bool(&x.counts)
	x.bid.code(c)
	x.ask.code(c)
}

// code codes an offer; what it was made of decides nothing and is no part of a
// hash, but saves making it again.
func (x *offer) code(c *state.Coder) {
	c.Int64s(&x.price, &x.size)
	state.Enum(c, &x.priceDigits, tick.MaxDigits)
	state.Enum(c, &x.sizeDigits, tick.MaxDigits)
	c.Uint64(&x.arrival)
	if c.Hashing() {
		return
	}
	codeLevel(c, &x.level)
	codeNumber(c, &x.contract)
	state.Byte(c, &x.scale[0])
	state.Byte(c, &x.scale[1])
}

func codeNumber(c *state.Coder, n *tick.Number) {
	c.Int64(&n.Mantissa)
	state.Byte(c, &n.Digits)
}
