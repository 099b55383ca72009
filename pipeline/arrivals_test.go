package pipeline

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"tickproc/engine"
	"tickproc/tick"
)

// arrivals watches in what order the shards of a run take packets. A recording
// goes by receive time; a run goes by arrival, which is the same unless the
// machine stops a goroutine between the stamp and the ring. What was overtaken
// there may rightly come to other rows.
type arrivals struct {
	mu        sync.Mutex
	overtaken map[uint32]bool // instruments
	late      map[uint32][]latePacket
}

// latePacket was read late: at is the venue's time.
type latePacket struct{ at, lag int64 }

// tooLate is how long after the venue's time a packet is read late: enough for a
// quote on another socket to overtake it.
const tooLate = int64(20e6)

func newArrivals() *arrivals {
	return &arrivals{overtaken: map[uint32]bool{}, late: map[uint32][]latePacket{}}
}

// slack is for how long a shard's clock waits for packets that are on their way.
const slack = int64(10e6)

// watch sees all that a driver takes; it must not run yet.
func (a *arrivals) watch(d *engine.Driver) {
	if d.Log != nil {
		return
	}
	type at struct {
		receive int64
		line    uint16
	}
	var now, taken int64
	newest := map[uint32][]at{}
	d.Log = func(batch []tick.Unit) uint64 {
		for p := batch; len(p) > 0; p = p[tick.PacketUnits(&p[0]):] {
			h := p[0].Header()
			now = max(now, h.ReceiveNanos)
			switch {
			case h.Kind == tick.KindUp, h.Kind == tick.KindDown, h.Kind == tick.KindGap, h.Kind.Channel() != 0:
			default:
				continue
			}
			if past := h.Kind == tick.KindSnapshot || h.Flags&(tick.FlagBackfill|tick.FlagFetched) != 0 || h.ExchangeNanos == 0; !past && h.ReceiveNanos > h.ExchangeNanos+tooLate {
				a.mu.Lock()
				a.late[h.Instrument] = append(a.late[h.Instrument], latePacket{h.ExchangeNanos, h.ReceiveNanos - h.ExchangeNanos})
				a.mu.Unlock()
			}
			lines := newest[h.Instrument]
			i := slices.IndexFunc(lines, func(x at) bool { return x.line == h.Line })
			if i < 0 {
				i, lines = len(lines), append(lines, at{line: h.Line})
				newest[h.Instrument] = lines
			}
			lines[i].receive = h.ReceiveNanos
			if h.ReceiveNanos < now-slack || slices.ContainsFunc(lines, func(x at) bool { return x.receive > h.ReceiveNanos }) {
				a.mu.Lock()
				a.overtaken[h.Instrument] = true
				a.mu.Unlock()
			}
		}
		taken += int64(len(batch))
		return uint64(taken)
	}
}

// overtook says that a gap is of quotes that lay unread in a socket when the first
// one of another socket was read: they are behind it then, and quotes never go
// back. Such a gap is as long as they lay there, and one more quote takes.
func (l *lab) overtook(g *tick.GapRow) bool {
	const about, quote = int64(time.Second), int64(500 * time.Millisecond)
	return g.Channel == tick.ChannelQuotes && g.Reason == tick.ReasonReconnect &&
		slices.ContainsFunc(l.arrivals.late[g.Instrument], func(x latePacket) bool {
			return x.at > g.TsNanos-about && x.at < g.EndNanos+about && g.EndNanos-g.TsNanos <= x.lag+quote
		})
}

// agreesWithRecording compares a run with what its recording gave; of chooses
// what of either.
func (l *lab) agreesWithRecording(again *ledger, of func(*ledger) *ledger) {
	l.t.Helper()
	var overtaken []string
	for _, id := range slices.Sorted(maps.Keys(l.arrivals.overtaken)) {
		in := l.ledger.instruments[id]
		overtaken = append(overtaken, in.Venue+" "+in.Symbol)
	}
	if len(overtaken) > 0 {
		l.t.Logf("not compared, because this machine was too busy to take their packets in the order of receiving: %v", overtaken)
	}
	agree(l.t, "run and replay", of(l.ledger).without(overtaken), of(again).without(overtaken))
}

func whole(l *ledger) *ledger { return l }

// without is the ledger but for some instruments, and for the best offers of all
// venues if there are such.
func (l *ledger) without(names []string) *ledger {
	if len(names) == 0 {
		return l
	}
	return l.only(func(e *entry) bool { return e.table != "nbbo" && !slices.Contains(names, e.venue+" "+e.symbol) })
}

// only is the ledger with some rows alone.
func (l *ledger) only(which func(*entry) bool) *ledger {
	some := newLedger()
	for _, e := range l.order {
		if which(e) {
			some.rows[e.key], some.order = e, append(some.order, e)
		}
	}
	return some
}

// The watch tells which instrument's packets were overtaken, and no other.
func TestArrivals(t *testing.T) {
	a, d := newArrivals(), engine.Driver{}
	l := lab{arrivals: a}
	a.watch(&d)
	f := func(kind tick.Kind, instrument uint32, line uint16, at int64, want ...uint32) {
		t.Helper()
		packet := make([]tick.Unit, 1)
		h := packet[0].Header()
		h.Kind, h.Instrument, h.Line, h.ReceiveNanos = kind, instrument, line, at
		d.Log(packet)
		if have := slices.Sorted(maps.Keys(a.overtaken)); !slices.Equal(have, want) {
			t.Errorf("overtaken: %v, want %v", have, want)
		}
	}
	f(tick.KindTrade, 1, 1, 1000)
	f(tick.KindTrade, 2, 1, 1005)
	f(tick.KindTrade, 1, 2, 1004)             // of another instrument alone
	f(tick.KindTick, 0, 0, 2000+slack)        // nothing is told of time
	f(tick.KindTrade, 2, 1, 2000)             // just in time
	f(tick.KindTrade, 2, 1, 1999, 2)          // behind the shard's clock
	f(tick.KindTrade, 1, 2, 3000+slack, 2)    // the newest of all
	f(tick.KindTrade, 1, 1, 2999+slack, 1, 2) // behind the other line

	quotes := func(from, to int64) *tick.GapRow {
		g := &tick.GapRow{EndNanos: to, Channel: tick.ChannelQuotes, Reason: tick.ReasonReconnect}
		g.Instrument, g.TsNanos = 1, from
		return g
	}
	read := func(at, lag int64) {
		packet := make([]tick.Unit, 1)
		h := packet[0].Header()
		h.Kind, h.Instrument, h.ExchangeNanos, h.ReceiveNanos = tick.KindTrade, 1, at, at+lag
		d.Log(packet)
	}
	read(20e9, tooLate)
	read(30e9, tooLate+1)
	if l.overtook(quotes(20e9, 21e9)) {
		t.Error("nothing was read late there")
	}
	if g := quotes(30e9-1, 30e9+1); !l.overtook(g) {
		t.Error("a packet was read late there")
	} else if g.Channel = tick.ChannelDepth; l.overtook(g) {
		t.Error("depth is merged by ids")
	}
	if l.overtook(quotes(30e9, 30e9+tooLate+501e6)) {
		t.Error("no packet lay unread for so long")
	}
}
