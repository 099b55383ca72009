package bench

import (
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"tickproc/internal/clock"
	"tickproc/internal/hardware"
)

const (
	// Histograms hold picoseconds, so that a mean over a batch loses nothing: up
	// to 100 s, three digits.
	picosMax = int64(100e12)
	digits   = 3

	// A batch takes at least this long: the two looks at the clock around it, some
	// 40 ns each, are then 2 % of it at the most.
	batchNanos = 4000
	batchMax   = 1 << 14
)

// Sample is what a measurement found, over all rounds.
type Sample struct {
	picos *hdrhistogram.Histogram
	// Batch is the number of operations in a sample, whose value is their mean;
	// 0 = not yet decided.
	Batch   int
	ops     uint64 // operations, or levels …, that were counted for allocations
	mallocs uint64
	Note    string
	Frames  string // what was gone round
	// NoAllocs: what others allocate meanwhile cannot be told apart.
	NoAllocs bool
}

func newSample() *Sample { return &Sample{picos: hdrhistogram.New(1, picosMax, digits)} }

// Add notes that n operations took ns together.
func (s *Sample) Add(ns int64, n int) {
	if n <= 0 {
		return
	}
	// What is beyond the histogram counts as its largest value: never nothing.
	picos := min(max(ns, 0)*1000/int64(n), picosMax-1)
	if err := s.picos.RecordValue(picos); err != nil {
		panic("BUG: " + err.Error())
	}
}

// Work is an operation to be measured in batches.
type Work struct {
	// Do does n operations and returns how many units they are (levels, say).
	//
	// hot: it is called once a batch.
	Do func(n int) (units int)
	// Ready, if set, prepares the next n; its time is not measured.
	Ready func(n int)
	// Batch fixes the size of a batch; 0 = so many that it takes some µs.
	Batch int
}

// Batches measures work for the run's time, after a fifth of it to warm up.
func (r *Run) Batches(s *Sample, w Work) {
	if w.Ready == nil {
		w.Ready = func(int) {}
	}
	once := func(n int) (ns int64, units int) {
		w.Ready(n)
		from := clock.Nanos()
		units = w.Do(n)
		return clock.Nanos() - from, units
	}
	if s.Batch == 0 {
		s.Batch = w.Batch
	}
	for n := 1; s.Batch == 0; n *= 2 {
		best := int64(1 << 62)
		for range 5 { // the machine may be busy: the quickest of some counts
			ns, _ := once(n)
			best = min(best, ns)
		}
		if best >= batchNanos || n >= batchMax {
			s.Batch = n
		}
	}
	r.until(r.Time/5, func() { once(s.Batch) })
	units, before := uint64(0), mallocs()
	r.until(r.Time, func() {
		ns, n := once(s.Batch)
		s.Add(ns, n)
		units += uint64(n)
	})
	s.mallocs += mallocs() - before
	s.ops += units
}

// until repeats do for a time, at least once, and ends early with the run.
func (r *Run) until(d time.Duration, do func()) {
	end := clock.Nanos() + int64(d)
	for {
		do()
		if clock.Nanos() >= end || r.Stopped() {
			return
		}
	}
}

// Laps repeats a lap, which notes its own samples, for the run's time.
func (r *Run) Laps(lap func()) { r.until(r.Time, lap) }

// Pinned runs each function on a thread of its own, tied to a core of its own,
// and waits for all. It reports whether tying worked.
func (r *Run) Pinned(all ...func()) (pinned bool) {
	done := make(chan bool)
	for i, f := range all {
		go func() {
			runtime.LockOSThread() // for ever: a thread that is tied to a core is of no use to others
			ok := i < len(r.Cores) && hardware.Pin(r.Cores[i]) == nil
			f()
			done <- ok
		}()
	}
	pinned = true
	for range all {
		pinned = <-done && pinned
	}
	return pinned
}
