package engine

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tickproc/tick"
)

// A world is a set of venues that tell the truth, and lines to us that lose,
// double, delay and break it. The shard reads along, so that its commands are
// answered; the tape is what it was given.
type world struct {
	t         testing.TB
	random    *rand.Rand
	shard     *Shard
	markets   []*market
	now       int64
	harm      int // percent of the messages that something happens to; in calm times 0
	harmUntil int64
	flying    []flight
	tape      []tick.Unit
	rows      []tick.Unit
	// read is called after each packet, with what the shard said about it.
	read func(packet, rows []tick.Unit)
}

// flight is a packet on its way to us.
type flight struct {
	at     int64
	line   uint16
	packet []tick.Unit
	done   func()
}

// market is the truth of one instrument.
type market struct {
	w      *world
	def    tick.Instrument
	up     bool
	upAt   int64
	offset int64 // the venue's clock minus ours
	trades []truthTrade
	books  []truthBook // one an update id, the first of id 0
	told   uint64      // update id that the stream has told
	inLine [4]int64    // when the last packet of a line arrives: lines keep their order
}

type truthTrade struct {
	id          uint64
	ts          int64
	price, size int64
	sell        bool
	market      bool // no liquidation or the like, which consume ids only
	delivered   bool
}

// truthBook is both sides, best first, and what changed since the one before.
type truthBook struct {
	bids, asks []tick.Level
	change     tick.Level
	bid        bool
}

// Lines of an instrument.
const (
	lineTrades = 1 + iota
	lineDepth
	lineREST
	lineCount
)

func newWorld(t testing.TB, random *rand.Rand, options Options, defs ...tick.Instrument) *world {
	w := &world{t: t, random: random, shard: NewShard(options), now: midnight + int64(time.Hour), read: func([]tick.Unit, []tick.Unit) {}}
	for _, def := range defs {
		m := &market{w: w, def: def, offset: int64(random.IntN(2)) * int64(200*time.Millisecond)}
		m.books = []truthBook{{bids: []tick.Level{{Price: 1000, Size: 5}}, asks: []tick.Level{{Price: 1010, Size: 5}}}}
		w.markets = append(w.markets, m)
		for line := range uint16(lineCount) {
			if line > 0 {
				w.give(m.catalog(line))
			}
		}
	}
	return w
}

func (m *market) header(line uint16) tick.Header {
	return tick.Header{Line: 10*uint16(m.def.ID) + line, Instrument: m.def.ID, ReceiveNanos: m.w.now}
}

func (m *market) catalog(line uint16) []tick.Unit {
	p, err := tick.AppendCatalog(nil, m.header(line), m.def)
	if err != nil {
		m.w.t.Fatal(err)
	}
	return p
}

// run lets time pass.
func (w *world) run(span time.Duration) {
	for end := w.now + int64(span); w.now < end; {
		w.now += 1 + int64(w.random.IntN(int(8*time.Millisecond)))/1e6*1e6
		if w.now >= w.harmUntil {
			if w.harm > 0 {
				w.harm = 0
			} else {
				w.harm = []int{1, 5, 30}[w.random.IntN(3)]
			}
			w.harmUntil = w.now + int64(w.random.IntN(int(5*time.Second)))
		}
		w.land()
		m := w.markets[w.random.IntN(len(w.markets))]
		switch n := w.random.IntN(100); {
		case n < 45:
			m.trade()
		case n < 90:
			m.update()
		case n < 92:
			w.give(tickPacket(w.now))
		case w.harm > 0 && n < 93 && w.random.IntN(3) == 0:
			m.toggle()
		case w.harm > 0 && n == 93:
			c := tick.AllChannels[w.random.IntN(tick.ChannelCount)]
			if m.up && m.def.Channels.Has(c) {
				w.give(m.event(tick.KindGap, c, tick.ReasonOverload))
			}
		case !m.up && (m.upAt == 0 || w.now > m.upAt+int64(time.Second)):
			m.toggle()
		}
	}
}

// stop ends all, as at the end of a capture.
func (w *world) stop() {
	for _, m := range w.markets {
		for _, c := range tick.AllChannels {
			if m.def.Channels.Has(c) {
				w.give(m.event(tick.KindDown, c, tick.ReasonStopped))
			}
		}
	}
	w.give(tickPacket(w.now + int64(time.Minute)))
}

// land gives the shard what has arrived.
func (w *world) land() {
	for {
		slices.SortStableFunc(w.flying, func(a, b flight) int {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.line, b.line))
		})
		if len(w.flying) == 0 || w.flying[0].at > w.now {
			return
		}
		f := w.flying[0]
		w.flying = w.flying[1:]
		f.packet[0].Header().ReceiveNanos = f.at
		f.done()
		w.give(f.packet)
	}
}

func (w *world) give(packet []tick.Unit) {
	w.tape = append(w.tape, packet...)
	w.shard.Apply(packet)
	rows := w.shard.TakeRows()
	w.rows = append(w.rows, rows...)
	w.read(packet, rows)
	eachRow(w.shard.TakeCommands(), func(row []tick.Unit) {
		r := row[0].Resync()
		w.markets[slices.IndexFunc(w.markets, func(m *market) bool { return m.def.ID == r.Instrument })].answer(r.Epoch)
	})
}

// fly sends a packet on a line.
func (m *market) fly(line int, latency time.Duration, packet []tick.Unit, done func()) {
	w := m.w
	at := max(w.now+int64(latency)/1e6*1e6, m.inLine[line])
	if latency < 100*time.Millisecond {
		m.inLine[line] = at
	}
	w.flying = append(w.flying, flight{at, packet[0].Header().Line, packet, done})
}

// send sends a message of a stream, through whatever happens to it.
func (m *market) send(line int, packet []tick.Unit, done func()) {
	r := m.w.random
	latency := time.Duration(1+r.IntN(15)) * time.Millisecond
	if !m.up {
		return
	}
	if r.IntN(100) >= m.w.harm {
		m.fly(line, latency, packet, done)
		return
	}
	switch n := r.IntN(10); {
	case n < 4: // lost
	case n < 6: // twice
		m.fly(line, latency, packet, done)
		m.fly(line, latency+time.Duration(r.IntN(int(3*time.Second))), slices.Clone(packet), done)
	case n < 9: // overtaken by others
		m.fly(line, 100*time.Millisecond+time.Duration(r.IntN(int(2*time.Second))), packet, done)
	default: // too late
		m.fly(line, 9*time.Second+time.Duration(r.IntN(int(6*time.Second))), packet, done)
	}
}

func (m *market) event(kind tick.Kind, c tick.Channels, reason tick.Reason) []tick.Unit {
	line := uint16(lineDepth)
	if c == tick.ChannelTrades {
		line = lineTrades
	}
	h := m.header(line)
	h.Kind = kind
	return tick.AppendEvent(nil, h, c, reason)
}

// toggle breaks the connections, or mends them. What was on its way is lost.
func (m *market) toggle() {
	kind, reason := tick.KindUp, tick.ReasonNone
	if m.up {
		kind, reason = tick.KindDown, tick.ReasonDisconnect
		m.w.flying = slices.DeleteFunc(m.w.flying, func(f flight) bool {
			return f.packet[0].Header().Instrument == m.def.ID && f.line%10 != lineREST
		})
	}
	m.up, m.upAt = !m.up, m.w.now
	for _, c := range tick.AllChannels {
		if m.def.Channels.Has(c) {
			m.w.give(m.event(kind, c, reason))
		}
	}
}

// venueNow is the venue's clock, at its resolution.
func (m *market) venueNow() int64 { return (m.w.now + m.offset) / 1e6 * 1e6 }

// trade trades a few times at once.
func (m *market) trade() {
	r := m.w.random
	for range 1 + r.IntN(3) {
		x := truthTrade{id: uint64(len(m.trades)) + 100, ts: m.venueNow(), price: 1000 + int64(r.IntN(20)), size: 1 + int64(r.IntN(9)),
			sell: r.IntN(2) == 0, market: r.IntN(20) > 0}
		m.trades = append(m.trades, x)
		h := m.header(lineTrades)
		h.ExchangeNanos = x.ts
		if x.sell {
			h.Flags |= tick.FlagSell
		}
		if !x.market {
			h.Flags |= tick.FlagNotMarket
		}
		n := len(m.trades) - 1
		m.send(lineTrades, tradePacket(h, x.id, tick.Level{Price: x.price, Size: x.size}), func() { m.trades[n].delivered = true })
	}
}

// newest is the newest update id.
func (m *market) newest() uint64 { return uint64(len(m.books) - 1) }

// update changes the book a few times, tells the changes in one message, and
// the new best as a quote.
func (m *market) update() {
	r := m.w.random
	for range 1 + r.IntN(3) {
		m.books = append(m.books, m.books[m.newest()].next(r))
	}
	var bids, asks []tick.Level
	for id := m.told + 1; id <= m.newest(); id++ {
		if b := m.books[id]; b.bid {
			bids = append(bids, b.change)
		} else {
			asks = append(asks, b.change)
		}
	}
	h := m.header(lineDepth)
	h.ExchangeNanos = m.venueNow()
	if m.w.harm > 0 && r.IntN(40) == 0 { // garbled
		bids = append(bids, tick.Level{Price: 2000, Size: 1})
	}
	if m.def.Channels.Has(tick.ChannelDepth) {
		m.send(lineDepth, depthPacket(h, tick.KindDepth, m.told+1, m.newest(), m.told, bids, asks), func() {})
	}
	m.told = m.newest()
	if b := m.books[m.told]; m.def.Channels.Has(tick.ChannelQuotes) {
		if m.def.ID%2 == 0 {
			h.ExchangeNanos = 0 // as Binance spot
		}
		m.send(lineDepth, depthPacket(h, tick.KindQuote, m.told, m.told, 0, b.bids[:1], b.asks[:1]), func() {})
	}
}

// next changes one level and keeps both sides filled and apart.
func (b truthBook) next(r *rand.Rand) truthBook {
	n := truthBook{bids: slices.Clone(b.bids), asks: slices.Clone(b.asks), bid: r.IntN(2) == 0}
	side, sign, limit := &n.bids, int64(-1), n.asks[0].Price-1
	if !n.bid {
		side, sign, limit = &n.asks, 1, n.bids[0].Price+1
	}
	// From well inside the side up to the other one.
	price := limit + sign*int64(r.IntN(15))
	i, found := slices.BinarySearchFunc(*side, price, func(l tick.Level, price int64) int { return cmp.Compare(sign*l.Price, sign*price) })
	switch {
	case found && len(*side) > 1 && r.IntN(2) == 0:
		*side = slices.Delete(*side, i, i+1)
		n.change = tick.Level{Price: price}
	case found:
		(*side)[i].Size = 1 + int64(r.IntN(99))
		n.change = (*side)[i]
	default:
		n.change = tick.Level{Price: price, Size: 1 + int64(r.IntN(99))}
		*side = slices.Insert(*side, i, n.change)
	}
	return n
}

// answer sends a book, mostly of a moment ago, sometimes from a cache.
func (m *market) answer(epoch uint64) {
	r := m.w.random
	age := r.IntN(5)
	if r.IntN(5) == 0 {
		age = r.IntN(100)
	}
	id := m.newest() - min(m.newest(), uint64(age))
	b := m.books[id]
	packet := depthPacket(m.header(lineREST), tick.KindSnapshot, id, id, epoch, b.bids, b.asks)
	m.fly(lineREST, 5*time.Millisecond+time.Duration(r.IntN(int(800*time.Millisecond))), packet, func() {})
}
