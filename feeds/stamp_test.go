package feeds

import (
	"math/rand/v2"
	"testing"
	"time"

	"tickproc/internal/stat"
)

// A kernel's stamp is the receive time of a frame if it can be; whatever else
// it says, receive times never go back, and each frame counts once.
func TestKernelStampsAreUsedWhereTheyCanBe(t *testing.T) {
	t.Parallel()
	var stats StampStats
	var latency stat.Latency
	step, stamp := time.Duration(0), int64(0)
	s := newStamper(&stats, &latency)
	s.stepped = func() time.Duration { return step }
	s.opened(func() int64 { return stamp }, 0)
	const ms = int64(time.Millisecond)
	base := int64(1_700_000_000_000_000_000)
	f := func(what string, at, now, want int64, kernel bool) {
		t.Helper()
		stamp = at
		if at != 0 {
			stamp += base
		}
		if have, is := s.receive(base + now); have != base+want || is != kernel {
			t.Errorf("%s: %d ns, kernel %t", what, have-base, is)
		}
	}
	f("the kernel begins late", 0, 1*ms, 1*ms, false)
	f("a fresh one", 2*ms-400, 2*ms, 2*ms-400, true)
	f("of the same segment", 2*ms-400, 2*ms+50, 2*ms-400, true)
	f("the reader was held up", 3*ms, 9*ms, 9*ms, false)
	f("then frames of the same read", 3*ms, 9*ms+10, 9*ms+10, false)
	f("it caught up, behind what was used", 9*ms, 9*ms+20, 9*ms+20, false)
	f("and is ahead again", 10*ms, 10*ms+30, 10*ms, true)
	f("of the future", 12*ms, 11*ms, 11*ms, false)
	f("it goes back", 8*ms, 13*ms, 13*ms, false)
	f("of long ago", 14*ms, 20_000*ms, 20_000*ms, false)
	f("an hour later all is well", 3_600_000*ms, 3_600_000*ms+1, 3_600_000*ms, true)
	// What lay in the socket before it was said to be open is of then.
	s.opened(s.socket, base+3_600_001*ms)
	f("ahead of the opening", 3_600_001*ms-9, 3_600_001*ms+1, 3_600_001*ms+1, false)
	if k, l, x, n := stats.Kernel.Load(), stats.Late.Load(), stats.Strange.Load(), stats.None.Load(); k != 4 || l != 4 || x != 3 || n != 1 {
		t.Errorf("kernel %d, late %d, strange %d, none %d", k, l, x, n)
	}
	b := latency.Snapshot()
	if b.Count() != 8 || b.Quantile(1) < 6*ms {
		t.Errorf("%d measured, %d at most", b.Count(), b.Quantile(1))
	}

	// The wall clock is stepped, and ours is not: a second later that is known.
	step = -time.Hour
	now := 3_602_000 * ms
	f("after a step back", now-int64(time.Hour)-100, now, now-100, true)
}

func TestStamperZeroAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := newStamper(new(StampStats), new(stat.Latency))
	now := int64(1e18)
	s.opened(func() int64 { return now - 100 }, 0)
	if n := testing.AllocsPerRun(1000, func() { now += 1e6; s.receive(now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever the kernel says and however the clocks are moved: receive times never
// go back and are never of the future, a stamp is used as it is or not at all,
// and each frame is judged once.
func TestReceiveTimesNeverGoBack(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	var stats StampStats
	step, stamp := time.Duration(0), int64(0)
	s := newStamper(&stats, nil)
	s.stepped = func() time.Duration { return step }
	s.opened(func() int64 { return stamp }, 0)
	now, last := int64(1e18), int64(0)
	const frames = 20_000
	for range frames {
		now += r.Int64N(1 << r.IntN(32))
		switch r.IntN(20) {
		case 0:
			step = time.Duration(r.Int64N(int64(time.Hour))) - 30*time.Minute
		case 1:
			s.opened(s.socket, now)
		case 2:
			stamp = 0
		case 3:
			stamp = r.Int64()
		default:
			stamp = now - r.Int64N(1<<r.IntN(36)) + int64(step)
		}
		at, kernel := s.receive(now)
		if at < last || at > now {
			t.Fatalf("received at %d, now %d, before at %d", at, now, last)
		}
		if kernel && (at != stamp-s.step || now-at > stampLate) || !kernel && at != now {
			t.Fatalf("received at %d, kernel %t, stamp %d, stepped by %d, now %d", at, kernel, stamp, s.step, now)
		}
		last = at
	}
	if n := stats.Kernel.Load() + stats.Late.Load() + stats.Strange.Load() + stats.None.Load(); n != frames || stats.Kernel.Load() < frames/10 {
		t.Errorf("%d of %d judged, %d of the kernel", n, frames, stats.Kernel.Load())
	}
}
