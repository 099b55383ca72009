package engine

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tickproc/tick"
)

// Up to three lines carry a market without ids. Sockets die without a word, are
// noticed at some time or end otherwise, and open anew; at times the process is
// killed, and does not know which of them were dead. Whatever happened on the
// market is a row, or lies in a gap; and no bar that lacks a trade says complete.
func TestDeadLinesVouchForNothing(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	stored, gaps, inVain := 0, 0, 0
	for range 150 {
		x := newDying(t, random)
		x.run()
		stored, gaps, inVain = stored+x.stored, gaps+x.inGaps, inVain+x.inVain
	}
	t.Logf("%d messages stored, %d of them inside a gap; %d lost, and inside one", stored, inVain, gaps)
	if gaps < 400 || inVain > stored/4 {
		t.Errorf("%d messages stored, %d of them inside a gap; %d lost, and inside one", stored, inVain, gaps)
	}
}

// dying is that market.
type dying struct {
	t                      testing.TB
	random                 *rand.Rand
	shard                  *Shard
	now                    int64
	lines                  []dyingLine
	flying                 []flight
	happened               []happening
	rows                   map[happening]bool
	gaps                   map[dyingGap]interval
	bars                   map[int64]bool // by start: complete
	tape                   []tick.Unit
	stored, inGaps, inVain int
}

type happening struct {
	channel tick.Channels
	ts      int64
}

type dyingGap struct {
	channel tick.Channels
	ts      int64
	ord     uint32
}

type dyingLine struct {
	up, dead bool
	told     bool  // that it is up
	upAt     int64 // the venue's word arrives, after what it is the word of
	heard    int64
	order    int64 // when its last packet arrives
	dialAt   int64
	number   uint16
}

const dyingLatency = 100 * time.Millisecond

const dyingChannels = tick.ChannelTrades | tick.ChannelQuotes | tick.ChannelLiquidations

func newDying(t testing.TB, random *rand.Rand) *dying {
	x := &dying{t: t, random: random, shard: NewShard(Options{Intervals: []time.Duration{time.Second}}), now: midnight + int64(time.Hour),
		lines: make([]dyingLine, 2+random.IntN(2)), rows: map[happening]bool{}, gaps: map[dyingGap]interval{}, bars: map[int64]bool{}}
	def := define(0, "BTC")
	def.TradeIDs, def.Channels, def.Sync.QuoteIDs = tick.TradeIDUUID, dyingChannels, false
	p, err := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: x.now}, def)
	if err != nil {
		t.Fatal(err)
	}
	x.give(p)
	for i := range x.lines {
		x.lines[i].number = uint16(i)
	}
	return x
}

func (x *dying) run() {
	r := x.random
	x.step(true)
	quiet := r.IntN(3) == 0 // so that pings are all there is for long
	end := x.now + int64(40*time.Second)
	for x.now < end {
		calm := x.now > end-int64(3*time.Second)
		x.now += 1 + r.Int64N(int64(60*time.Millisecond))
		x.arrive(x.now)
		if !quiet || r.IntN(40) == 0 {
			x.happen()
		}
		if !calm && r.IntN(300) == 0 {
			x.restart()
		}
		x.step(calm)
	}
	x.happen()
	x.arrive(x.now + int64(time.Second))
	x.shard.Finish()
	x.look()
	x.check()
}

// step lets sockets open, die, be heard and end.
func (x *dying) step(calm bool) {
	r := x.random
	for i := range x.lines {
		l := &x.lines[i]
		switch {
		case !l.up && x.now >= l.dialAt:
			l.up, l.dead, l.told, l.upAt = true, false, false, x.now+int64(dyingLatency)
			l.order = max(l.order, l.upAt)
		case !l.up:
		case !l.told:
			if x.now >= l.upAt {
				x.raise(l)
			}
		case l.dead && (calm || r.IntN(60) == 0):
			x.end(l, tick.ReasonSilence)
		case !l.dead && !calm && r.IntN(150) == 0:
			l.dead = true
			x.drop(l)
		case !l.dead && !calm && r.IntN(300) == 0:
			x.end(l, tick.ReasonDisconnect)
		case !l.dead && r.IntN(10) == 0:
			l.heard = x.now // a pong, behind all that was sent
			x.arriveOf(l)
		}
	}
}

// raise tells that a line is up, before its first message.
func (x *dying) raise(l *dyingLine) {
	if !l.told {
		l.told, l.heard = true, x.now
		x.events(tick.KindUp, l, tick.ReasonNone)
	}
}

// drop loses what is on its way.
func (x *dying) drop(l *dyingLine) {
	x.flying = slices.DeleteFunc(x.flying, func(f flight) bool { return f.line == l.number })
}

func (x *dying) end(l *dyingLine, reason tick.Reason) {
	x.drop(l)
	x.events(tick.KindDown, l, reason)
	l.up, l.dialAt = false, x.now+x.random.Int64N(int64(2*time.Second))
}

func (x *dying) events(kind tick.Kind, l *dyingLine, reason tick.Reason) {
	for _, c := range tick.AllChannels {
		if dyingChannels.Has(c) {
			p := tick.AppendEvent(nil, tick.Header{Kind: kind, Line: l.number, ReceiveNanos: x.now}, c, reason)
			if kind == tick.KindDown {
				p[0].Event().HeardNanos = l.heard
			}
			x.give(p)
		}
	}
}

// restart kills the process: what the sockets knew of their life is gone.
func (x *dying) restart() {
	shelf := &shelf{}
	x.shard.SnapshotTo(shelf, 0)
	x.shard.Apply(barrierPacket(1))
	x.shard.SaveAll()
	x.shard = shelf.load(x.t)
	x.give(x.shard.AppendRestart(nil, x.now))
	x.flying = nil
	for i := range x.lines {
		x.lines[i].up, x.lines[i].dialAt = false, x.now+x.random.Int64N(int64(2*time.Second))
	}
}

// happen makes something happen on the market, and sends it to whoever listens.
func (x *dying) happen() {
	r, now := x.random, x.now
	var p []tick.Unit
	h := tick.Header{ExchangeNanos: now}
	var c tick.Channels
	switch n := r.IntN(5); {
	case n < 3:
		c, p = tick.ChannelTrades, tradePacket(h, r.Uint64(), tick.Level{Price: 100, Size: 1})
		p[0].Trade().ID.Hi = r.Uint64()
	case n < 4:
		c = tick.ChannelQuotes
		price := 1 + r.Int64N(1e9) // so that each is a change
		p = depthPacket(h, tick.KindQuote, 0, 0, 0, []tick.Level{{Price: price, Size: 1}}, []tick.Level{{Price: price + 1, Size: 1}})
	default:
		c, p = tick.ChannelLiquidations, tradePacket(h, 0, tick.Level{Price: 100, Size: 1})
		p[0].Header().Kind = tick.KindLiquidation
	}
	x.happened = append(x.happened, happening{c, now})
	for i := range x.lines {
		l := &x.lines[i]
		if !l.up || l.dead {
			continue
		}
		l.order = max(l.order, now+r.Int64N(int64(dyingLatency)))
		copied := slices.Clone(p)
		copied[0].Header().Line = l.number
		x.flying = append(x.flying, flight{at: l.order, line: l.number, packet: copied})
	}
	slices.SortStableFunc(x.flying, func(a, b flight) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.line, b.line)) })
}

// arrive lets come what is due.
func (x *dying) arrive(until int64) {
	for len(x.flying) > 0 && x.flying[0].at <= until {
		f := x.flying[0]
		x.flying = x.flying[1:]
		x.deliver(f, f.at)
	}
	x.now = max(x.now, until)
}

// arriveOf lets come all that a line was sent, at once.
func (x *dying) arriveOf(l *dyingLine) {
	for _, f := range slices.Clone(x.flying) {
		if f.line == l.number {
			x.deliver(f, x.now)
		}
	}
	x.drop(l)
	l.order = x.now
}

func (x *dying) deliver(f flight, at int64) {
	now := x.now
	x.now = at
	x.raise(&x.lines[f.line])
	x.now = now
	f.packet[0].Header().ReceiveNanos = at
	x.lines[f.line].heard = max(x.lines[f.line].heard, at)
	x.give(f.packet)
}

func (x *dying) give(p []tick.Unit) {
	x.tape = append(x.tape, p...)
	x.shard.Apply(p)
	x.look()
	x.shard.TakeCommands()
}

func (x *dying) look() {
	eachRow(x.shard.TakeRows(), func(row []tick.Unit) {
		switch u := &row[0]; u.KindOf() {
		case tick.RowTrade:
			x.rows[happening{tick.ChannelTrades, u.RowHeader().TsNanos}] = true
		case tick.RowQuote:
			x.rows[happening{tick.ChannelQuotes, u.RowHeader().TsNanos}] = true
		case tick.RowLiquidation:
			x.rows[happening{tick.ChannelLiquidations, u.RowHeader().TsNanos}] = true
		case tick.RowGap:
			g := u.GapRow()
			end := g.EndNanos
			if end == 0 {
				end = never
			}
			x.gaps[dyingGap{g.Channel, g.TsNanos, g.Ord}] = interval{g.TsNanos, end}
		case tick.RowBar:
			x.bars[u.RowHeader().TsNanos] = u.BarRow().Flags&tick.RowComplete != 0
		}
	})
}

func (x *dying) check() {
	for _, h := range x.happened {
		inside := false
		for key, g := range x.gaps {
			inside = inside || key.channel == h.channel && h.ts >= g.ts && h.ts <= g.end
		}
		bar := h.ts - h.ts%int64(time.Second)
		switch stored := x.rows[h]; {
		case stored && inside:
			x.stored, x.inVain = x.stored+1, x.inVain+1
		case stored:
			x.stored++
		case !inside:
			x.fail(h, "is neither stored nor in a gap")
		case h.channel == tick.ChannelTrades && x.bars[bar]:
			x.fail(h, "is not stored, and its bar is complete")
		default:
			x.inGaps++
		}
	}
	again := NewShard(x.shard.options)
	again.Apply(x.tape)
	again.Finish()
	if again.StateHash() != x.shard.StateHash() {
		x.t.Fatal("the same tape, another state")
	}
}

func (x *dying) fail(h happening, what string) {
	x.t.Helper()
	at := func(ns int64) float64 { return float64(ns-midnight-int64(time.Hour)) / 1e9 }
	for _, p := range packetsOf(x.tape) {
		switch h := p[0].Header(); h.Kind {
		case tick.KindUp, tick.KindDown:
			e := p[0].Event()
			if e.Channel == tick.ChannelTrades {
				x.t.Logf("%.3f line %d kind %d heard %.3f %v", at(h.ReceiveNanos), h.Line, h.Kind, at(e.HeardNanos), e.Reason)
			}
		}
	}
	for key, g := range x.gaps {
		if key.channel == h.channel {
			x.t.Logf("gap %.3f to %.3f", at(g.ts), at(g.end))
		}
	}
	x.t.Fatalf("%s at %.3f %s", h.channel, at(h.ts), what)
}
