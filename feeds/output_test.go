package feeds

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tickproc/ringbuf"
	"tickproc/tick"
)

// packet makes a packet of one unit, or a depth with levels.
func packet(kind tick.Kind, instrument uint32, ordinal uint64, levels int) []tick.Unit {
	p := make([]tick.Unit, tick.DepthUnits(levels))
	d := p[0].Depth()
	d.Header = Stamp{Ordinal: ordinal, ReceiveNanos: int64(ordinal)}.Header(kind, instrument, 0)
	d.LevelCount = uint16(levels)
	if kind == tick.KindTrade {
		p[0].Trade().ID.Lo = ordinal
		p[0].Trade().Price, p[0].Trade().Size = 1, 1
	}
	return p
}

// contents takes everything out of a ring.
func contents(r *ringbuf.Ring) (all []string) {
	for p := r.Poll(); p != nil; p = r.Poll() {
		n := tick.PacketUnits(&p[0])
		all = append(all, packetText(p[:n]))
		r.Release(n)
	}
	return all
}

func oneRing(units int, o OutputOptions) (*Output, *ringbuf.Ring) {
	ring, routes := ringbuf.New(units), &Routes{}
	routes.Set(1, 0)
	routes.Set(2, 0)
	return NewOutput([]*ringbuf.Ring{ring}, routes, o), ring
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestOutputSendsEachInstrumentToItsShard(t *testing.T) {
	rings := []*ringbuf.Ring{ringbuf.New(16), ringbuf.New(16)}
	routes := &Routes{}
	routes.Set(4, 1)
	routes.Set(9, 0)
	out := NewOutput(rings, routes, OutputOptions{})
	out.Write(slices.Concat(packet(tick.KindTrade, 4, 1, 0), packet(tick.KindTrade, 9, 1, 0), packet(tick.KindQuote, 4, 1, 2)))
	if rings[0].Poll() != nil || rings[1].Poll() != nil {
		t.Error("visible before Flush")
	}
	out.Flush()
	same(t, contents(rings[0]), "0.1 trade 9 1")
	same(t, contents(rings[1]), "0.1 trade 4 1", "0.1 quote 4 0")
}

func TestOverloadDropsDepthAndTellsOfItFirst(t *testing.T) {
	out, ring := oneRing(8, OutputOptions{OverloadWait: time.Nanosecond})
	for i := range uint64(8) {
		out.Write(packet(tick.KindTrade, 1, i+1, 0))
	}
	// The ring is full: depth and quotes are dropped, one gap a channel remembers them.
	out.Write(packet(tick.KindDepth, 1, 9, 0))
	out.Write(packet(tick.KindDepth, 1, 10, 0))
	out.Write(packet(tick.KindQuote, 1, 11, 2))
	if !out.Owes() {
		t.Fatal("no gap owed")
	}
	// Room comes: the gaps precede every later packet, with the stamp of the first loss.
	if got := len(contents(ring)); got != 8 {
		t.Fatalf("%d packets in the ring", got)
	}
	out.Write(packet(tick.KindDepth, 1, 12, 0))
	out.Write(packet(tick.KindTrade, 2, 13, 0))
	out.Flush()
	same(t, contents(ring), "0.9 gap 1 depth overload 2", "0.11 gap 1 quotes overload 1", "0.12 depth 1 0 0", "0.13 trade 2 13")
	if d, q := out.Stats.DroppedDepth.Load(), out.Stats.DroppedQuotes.Load(); d != 2 || q != 1 {
		t.Errorf("dropped %d depth, %d quotes", d, q)
	}
	if out.Stats.BlockedNanos.Load() == 0 {
		t.Error("no time blocked")
	}
}

func TestFlushAlonePaysAnOwedGap(t *testing.T) {
	out, ring := oneRing(2, OutputOptions{OverloadWait: time.Nanosecond})
	out.Write(packet(tick.KindTrade, 1, 1, 0))
	out.Write(packet(tick.KindTrade, 1, 2, 0))
	out.Write(packet(tick.KindDepth, 1, 3, 0))
	contents(ring)
	out.Flush()
	same(t, contents(ring), "0.3 gap 1 depth overload 1")
	if out.Owes() {
		t.Error("still owes")
	}
}

func TestFragmentsAfterALostOneAreDropped(t *testing.T) {
	out, ring := oneRing(2, OutputOptions{OverloadWait: time.Nanosecond})
	fragment := func(ordinal uint64, flags tick.Flags) []tick.Unit {
		p := packet(tick.KindDepth, 1, ordinal, 0)
		p[0].Header().Flags = flags
		return p
	}
	out.Write(packet(tick.KindTrade, 1, 1, 0))
	out.Write(packet(tick.KindTrade, 1, 2, 0))
	out.Write(fragment(3, tick.FlagFirst)) // dropped
	contents(ring)
	out.Write(fragment(3, 0)) // there is room again, but its beginning is gone
	out.Write(fragment(3, tick.FlagLast))
	out.Flush()
	same(t, contents(ring), "0.3 gap 1 depth overload 1")
	out.Write(fragment(4, tick.FlagFirst|tick.FlagLast))
	out.Flush()
	same(t, contents(ring), "0.4 depth 1 0 0")
}

func TestTradesWaitForRoom(t *testing.T) {
	out, ring := oneRing(4, OutputOptions{OverloadWait: time.Nanosecond})
	const n = 1000
	go func() {
		for i := range uint64(n) {
			out.Write(packet(tick.KindTrade, 1, i+1, 0))
		}
		out.Close()
	}()
	got := 0
	for !ring.Done() {
		got += len(contents(ring))
	}
	if got != n || out.Stats.Abandoned.Load() != 0 {
		t.Errorf("%d trades of %d, %d abandoned", got, n, out.Stats.Abandoned.Load())
	}
}

func TestAbortEndsTheWait(t *testing.T) {
	abort := make(chan struct{})
	close(abort)
	out, ring := oneRing(2, OutputOptions{Abort: abort})
	for i := range uint64(3) {
		out.Write(packet(tick.KindTrade, 1, i+1, 0))
	}
	out.Close()
	same(t, contents(ring), "0.1 trade 1 1", "0.2 trade 1 2")
	if out.Stats.Abandoned.Load() != 1 {
		t.Error("the third trade is not counted")
	}
}

// Whatever the shards do, the depth of an instrument either arrives, or a gap
// stands before what comes after it; and no trade is lost.
func TestOverloadNeverLosesSilently(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		out, ring := oneRing(8, OutputOptions{OverloadWait: time.Nanosecond})
		nextDepth := map[uint32]uint64{1: 1, 2: 1} // what the shard expects
		var sent [3]uint64
		trades, tradesSeen := 0, 0
		take := func() {
			for p := ring.Poll(); p != nil; p = ring.Poll() {
				n := tick.PacketUnits(&p[0])
				switch h := p[0].Header(); h.Kind {
				case tick.KindTrade:
					tradesSeen++
				case tick.KindGap:
					nextDepth[h.Instrument] = 0
				case tick.KindDepth:
					if want := nextDepth[h.Instrument]; want != 0 && p[0].Depth().LastID != want {
						t.Fatalf("instrument %d: depth %d without a gap, want %d", h.Instrument, p[0].Depth().LastID, want)
					}
					nextDepth[h.Instrument] = p[0].Depth().LastID + 1
				}
				ring.Release(n)
			}
		}
		for i := range uint64(100) {
			in := uint32(1 + random.IntN(2))
			if random.IntN(8) == 0 {
				// Room for it must be sure: nobody else reads the ring meanwhile.
				out.Flush()
				take()
				out.Flush()
				take()
				out.Write(packet(tick.KindTrade, in, i, 0))
				trades++
			} else {
				sent[in]++
				p := packet(tick.KindDepth, in, i, random.IntN(5))
				p[0].Depth().LastID = sent[in]
				out.Write(p)
			}
			switch random.IntN(12) {
			case 0:
				out.Flush()
			case 1:
				take()
			}
		}
		out.Flush()
		take()
		out.Flush()
		take()
		for in, next := range nextDepth {
			if next != 0 && next != sent[in]+1 {
				t.Fatalf("instrument %d: the end is missing without a gap", in)
			}
		}
		if trades != tradesSeen || out.Owes() {
			t.Fatalf("%d trades of %d", tradesSeen, trades)
		}
	}
}

func TestOutputZeroAllocs(t *testing.T) {
	out, ring := oneRing(64, OutputOptions{})
	p := slices.Concat(packet(tick.KindTrade, 1, 1, 0), packet(tick.KindDepth, 2, 1, 9))
	zeroAllocs(t, func() {
		out.Write(p)
		out.Flush()
		for q := ring.Poll(); q != nil; q = ring.Poll() {
			ring.Release(len(q))
		}
	})
}

// zeroAllocs fails if f allocates after a first call.
func zeroAllocs(t *testing.T, f func()) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	f()
	if n := testing.AllocsPerRun(1000, f); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}

// Instruments are listed while lines run: who reads the routes meanwhile finds
// every route that was set before, and the newest as soon as it is set.
func TestRoutesGrowWhileTheyAreRead(t *testing.T) {
	t.Parallel()
	const instruments = 3000
	var routes Routes
	var set atomic.Int64 // how many are
	var readers sync.WaitGroup
	routes.Set(0, 0)
	set.Store(1)
	for range 2 {
		readers.Go(func() {
			for n := set.Load(); n < instruments; n = set.Load() {
				for _, id := range []int64{0, n / 2, n - 1} {
					if have := routes.Shard(uint32(id)); have != int(id%7) {
						t.Errorf("instrument %d: shard %d, want %d", id, have, id%7)
						return
					}
				}
				runtime.Gosched()
			}
		})
	}
	for id := int64(1); id < instruments; id++ {
		routes.Set(uint32(id), int(id%7))
		set.Store(id + 1)
	}
	readers.Wait()
	routes.Set(5, 3) // a replaced one, too
	if routes.Shard(5) != 3 || routes.Shard(4) != 4 {
		t.Errorf("replaced: %d, beside it: %d", routes.Shard(5), routes.Shard(4))
	}
}

func TestRoutesZeroAllocs(t *testing.T) {
	var routes Routes
	routes.Set(9, 1)
	if n := testing.AllocsPerRun(1000, func() { routes.Shard(9) }); n != 0 {
		t.Errorf("%v allocations a look", n)
	}
}

func TestRoutesOfAnUnknownInstrumentIsABug(t *testing.T) {
	t.Parallel()
	var routes Routes
	panics := func(instrument uint32) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("instrument %d has a route", instrument)
			}
		}()
		routes.Shard(instrument)
	}
	panics(0) // nothing is routed
	routes.Set(9, 1)
	panics(7) // one behind it is
	panics(10)
}
