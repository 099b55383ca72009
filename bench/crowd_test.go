package bench

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"time"

	"tickproc/feeds/binance"
	"tickproc/feeds/venues"
	"tickproc/tick"
)

// crowdSpec says what crowd to make: a function of the spec alone.
type crowdSpec struct {
	instruments int
	levels      int // a side; 0 = 150, which generated sessions have
	lines       int // that share the instruments; 0 = 1
	shards      int // of which this is one; 0 = 1
	shard       int
	packets     int               // a lap, about; 0 = crowdPackets
	uuids       bool              // trade ids are random
	channels    tick.Channels     // 0 = trades, quotes and depth
	rate        func(int) float64 // packets a second by rank from 0; nil = crowdRate
}

const (
	crowdPackets = 1 << 18
	crowdLevels  = 150
	deltaLevels  = 10
)

// crowdRate is a few busy instruments and many thin ones: what a market's
// symbols are, by rank.
func crowdRate(rank int) float64 { return max(1, 300/float64(rank+1)) }

// crowd is many instruments' packets, in order of time: half of what happens
// are trades, the other half a quote and the delta of ten levels behind it. It
// goes round in laps. A lap ends with the books of its beginning, so that no
// lap needs a snapshot.
type crowd struct {
	opening []tick.Unit // definitions, subscriptions and books
	lap     []tick.Unit
	count   int // of packets in it
	at      int // of the next unit
	// What a lap adds.
	nanos         int64
	trades, books []uint64 // by instrument
	laps          uint64
}

// member is an instrument of a crowd while it is made.
type member struct {
	id          uint32
	line        uint16
	random      *rand.Rand
	middle      int        // index of the best bid; the best ask is behind it
	sides       [2][]int32 // sizes by index of a price, bids and asks
	first       [2][]int32 // those of the beginning
	trade, book uint64     // ids
}

const (
	crowdWander = 20 // how far the middle may go
	crowdPrice  = 1_000_000
	crowdBegin  = 1000 // first ids
	crowdLag    = int64(5 * time.Millisecond)
)

func newCrowd(spec crowdSpec) *crowd {
	spec.levels, spec.lines, spec.packets = cmp.Or(spec.levels, crowdLevels), cmp.Or(spec.lines, 1), cmp.Or(spec.packets, crowdPackets)
	spec.shards, spec.channels = cmp.Or(spec.shards, 1), cmp.Or(spec.channels, tick.ChannelTrades|tick.ChannelQuotes|tick.ChannelDepth)
	if spec.rate == nil {
		spec.rate = crowdRate
	}
	random := rand.New(rand.NewPCG(uint64(spec.instruments), uint64(spec.shard)))
	c := &crowd{trades: make([]uint64, spec.instruments), books: make([]uint64, spec.instruments)}
	begin := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC).UnixNano()
	all, sum := make([]*member, spec.instruments), 0.0
	sums := make([]float64, spec.instruments)
	for i := range all {
		all[i] = newMember(uint32(i), uint16(i%spec.lines)+1, spec.levels, random)
		c.open(all[i], &spec, begin)
		sum += spec.rate(i*spec.shards + spec.shard)
		sums[i] = sum
	}
	now := float64(begin)
	for c.count < spec.packets {
		m := all[sort.SearchFloat64s(sums, random.Float64()*sum)]
		// Half of what happens are two packets.
		now += random.ExpFloat64() / sum * 1.5e9
		if trade := random.IntN(2) == 0; trade && spec.channels.Has(tick.ChannelTrades) {
			c.addTrade(m, int64(now), spec.uuids)
		} else if spec.channels.Has(tick.ChannelDepth) {
			c.addDepth(m, int64(now), m.change())
		} else {
			c.count++ // it is of a channel that nobody wants
		}
	}
	for _, m := range all {
		now += 1000
		c.addDepth(m, int64(now), m.back())
		c.trades[m.id], c.books[m.id] = m.trade-crowdBegin, m.book-crowdBegin
	}
	if !spec.channels.Has(tick.ChannelDepth) {
		c.lap = slices.Collect(func(yield func(tick.Unit) bool) {
			for p := c.lap; len(p) > 0; p = p[tick.PacketUnits(&p[0]):] {
				if p[0].KindOf() == tick.KindTrade && !yield(p[0]) {
					return
				}
			}
		})
	}
	c.nanos = int64(now) - begin + 1000
	return c
}

func newMember(id uint32, line uint16, levels int, random *rand.Rand) *member {
	m := &member{id: id, line: line, random: random, middle: levels + crowdWander, trade: crowdBegin, book: crowdBegin}
	for side := range m.sides {
		m.sides[side] = make([]int32, 2*(levels+crowdWander+1))
	}
	for i := range levels {
		m.sides[0][m.middle-i], m.sides[1][m.middle+1+i] = m.size(), m.size()
	}
	for side := range m.sides {
		m.first[side] = slices.Clone(m.sides[side])
	}
	return m
}

func (m *member) size() int32 { return 1 + m.random.Int32N(1_000_000) }

func (m *member) header(kind tick.Kind, ts int64) tick.Header {
	return tick.Header{Kind: kind, Flags: tick.FlagFirst | tick.FlagLast, Line: m.line, Instrument: m.id, Ordinal: 1, ExchangeNanos: ts, ReceiveNanos: ts + crowdLag}
}

// open appends what comes before a lap.
func (c *crowd) open(m *member, spec *crowdSpec, begin int64) {
	adapter, _ := venues.New(binance.Spot)
	def := adapter.Instrument(fmt.Sprintf("S%dUSDT", m.id))
	def.ID, def.Channels, def.PriceDigits, def.SizeDigits = m.id, spec.channels, 2, 5
	if spec.uuids {
		def.TradeIDs = tick.TradeIDUUID
	}
	var err error
	if c.opening, err = tick.AppendCatalog(c.opening, m.header(tick.KindCatalog, begin), def); err != nil {
		panic("BUG: " + err.Error())
	}
	for _, channel := range tick.AllChannels {
		if spec.channels.Has(channel) {
			c.opening = tick.AppendEvent(c.opening, m.header(tick.KindUp, begin), channel, tick.ReasonNone)
		}
	}
	if !spec.channels.Has(tick.ChannelDepth) {
		return
	}
	var sides [2][]tick.Level
	for i := range spec.levels {
		sides[0] = append(sides[0], m.level(0, m.middle-i))
		sides[1] = append(sides[1], m.level(1, m.middle+1+i))
	}
	h := m.header(tick.KindSnapshot, begin)
	h.Flags = tick.FlagFirst
	for left := sides; len(left[0])+len(left[1]) > 0; {
		bids := min(len(left[0]), tick.MaxLevels)
		asks := min(len(left[1]), tick.MaxLevels-bids)
		some := [2][]tick.Level{left[0][:bids], left[1][:asks]}
		left = [2][]tick.Level{left[0][bids:], left[1][asks:]}
		if len(left[0])+len(left[1]) == 0 {
			h.Flags |= tick.FlagLast
		}
		c.opening = appendLevels(c.opening, h, m.book, m.book, 0, some)
		h.Flags = 0
	}
}

func (m *member) level(side, i int) tick.Level {
	return tick.Level{Price: crowdPrice + int64(i), Size: int64(m.sides[side][i])}
}

func appendLevels(dst []tick.Unit, h tick.Header, first, last, previous uint64, sides [2][]tick.Level) []tick.Unit {
	n := len(sides[0]) + len(sides[1])
	dst, p := tick.AppendUnits(dst, tick.DepthUnits(n))
	d := p[0].Depth()
	d.Header, d.FirstID, d.LastID, d.PrevID, d.Bids, d.LevelCount = h, first, last, previous, uint16(len(sides[0])), uint16(n)
	copy(tick.Levels(p)[copy(tick.Levels(p), sides[0]):], sides[1])
	return dst
}

func (c *crowd) addTrade(m *member, ts int64, uuid bool) {
	var p []tick.Unit
	c.lap, p = tick.AppendUnits(c.lap, 1)
	t := p[0].Trade()
	t.Header = m.header(tick.KindTrade, ts/1e6*1e6)
	t.ReceiveNanos = ts + crowdLag
	m.trade++
	t.ID.Lo, t.Size = m.trade, int64(m.size())
	if uuid {
		t.ID.Hi = 1 + m.random.Uint64()>>1
	}
	side := m.random.IntN(2)
	t.Price = crowdPrice + int64(m.middle+side)
	if side == 0 {
		t.Flags |= tick.FlagSell
	}
	c.count++
}

// change changes ten levels, most of them near the middle.
func (m *member) change() (sides [2][]tick.Level) {
	set := func(side, i int, size int32) {
		for _, l := range sides[side] {
			if l.Price == crowdPrice+int64(i) {
				return
			}
		}
		m.sides[side][i] = size
		sides[side] = append(sides[side], m.level(side, i))
	}
	begin := len(m.sides[0])/2 - 1
	switch n := m.random.IntN(6); {
	case n == 0 && m.middle < begin+crowdWander:
		m.middle++
		set(1, m.middle, 0)
		set(0, m.middle, m.size())
		set(1, m.middle+1, m.size())
	case n == 1 && m.middle > begin-crowdWander:
		m.middle--
		set(0, m.middle+1, 0)
		set(1, m.middle+1, m.size())
		set(0, m.middle, m.size())
	}
	reach := begin - crowdWander
	for len(sides[0])+len(sides[1]) < deltaLevels {
		rank, side := int(m.random.ExpFloat64()*8), m.random.IntN(2)
		if rank >= reach {
			continue
		}
		size := m.size()
		if rank > 0 && m.random.IntN(4) == 0 {
			size = 0
		}
		set(side, m.middle-rank+side*(2*rank+1), size)
	}
	return sides
}

// back changes what differs from the beginning.
func (m *member) back() (sides [2][]tick.Level) {
	m.middle = len(m.sides[0])/2 - 1
	for side := range m.sides {
		for i, size := range m.first[side] {
			if m.sides[side][i] != size {
				m.sides[side][i] = size
				sides[side] = append(sides[side], m.level(side, i))
			}
		}
	}
	return sides
}

func (c *crowd) addDepth(m *member, ts int64, sides [2][]tick.Level) {
	first := m.book + 1
	m.book += 3
	c.lap = appendLevels(c.lap, m.header(tick.KindQuote, ts), m.book, m.book, 0, [2][]tick.Level{{m.level(0, m.middle)}, {m.level(1, m.middle+1)}})
	c.lap = appendLevels(c.lap, m.header(tick.KindDepth, ts), first, m.book, 0, sides)
	c.count += 2
}

// next copies about units of packets to dst, which has room for a large packet
// more, and returns how many packets they are.
func (c *crowd) next(dst []tick.Unit, units int) (got []tick.Unit, packets int) {
	got = dst[:0]
	for len(got) < units {
		n := tick.PacketUnits(&c.lap[c.at])
		got = append(got, c.lap[c.at:c.at+n]...)
		c.shift(got[len(got)-n:])
		packets++
		if c.at += n; c.at == len(c.lap) {
			c.at, c.laps = 0, c.laps+1
		}
	}
	return got, packets
}

// shift makes a packet of the first lap one of this.
func (c *crowd) shift(p []tick.Unit) {
	h := p[0].Header()
	h.ExchangeNanos += int64(c.laps) * c.nanos
	h.ReceiveNanos += int64(c.laps) * c.nanos
	if h.Kind == tick.KindTrade {
		t := p[0].Trade()
		t.ID.Lo += c.laps * c.trades[h.Instrument]
		return
	}
	d, by := p[0].Depth(), c.laps*c.books[h.Instrument]
	d.FirstID, d.LastID = d.FirstID+by, d.LastID+by
}

// A crowd is a market that tells the truth: every book stands after several
// laps, agrees with every quote, and no trade is missed or told twice.
func TestCrowdTellsTheTruth(t *testing.T) {
	t.Parallel()
	for _, spec := range []crowdSpec{
		{instruments: 1, packets: 5000},
		{instruments: 50, packets: 20_000, lines: 4},
		{instruments: 30, packets: 5000, shards: 2, shard: 1},
		{instruments: 1, packets: 5000, levels: 22_000},
		{instruments: 3, packets: 5000, uuids: true},
		{instruments: 2, packets: 5000, levels: 20},
	} {
		c := newCrowd(spec)
		shard := newCrowdShard(c)
		for c.laps < 3 {
			packets, _ := c.next(nil, 1)
			shard.Apply(packets)
			shard.TakeRows()
			shard.TakeCommands()
		}
		total := uint64(0)
		for i, r := range shard.Reports(1) {
			total += r.Counts.Trades
			if !r.Valid || r.TopDiffers > 0 || r.TopAgrees < 3 || r.Depth.Gaps > 0 || r.Counts.Trades != 3*c.trades[i] || r.Counts.Gaps > 3 || r.Counts.DuplicateTrades > 0 {
				t.Errorf("%d instruments: %s: valid %v (%v), top agrees %d, differs %d; trades of a lap %d, %+v, %+v",
					spec.instruments, r.Instrument.Symbol, r.Valid, r.Reason, r.TopAgrees, r.TopDiffers, c.trades[i], r.Counts, r.Depth)
			}
		}
		if total == 0 {
			t.Errorf("%+v: no trades", spec)
		}
	}
}
