package engine

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tickproc/internal/hardware"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// BenchmarkHandOffLatency is what one hand-off takes between two pinned threads that
// do nothing but look: half of a message there and one back. p50 of runs of
// trips, so that a thread that loses its core does not count. Beside the ring
// stand the least that two cores can do, one word in one cache line, and a slot
// whose sequence number lies beside its data.
func BenchmarkHandOffLatency(b *testing.B) {
	if runtime.NumCPU() < 2 {
		b.Skip("needs two cores")
	}
	b.Run("line", func(b *testing.B) {
		var there, back struct {
			_ [128]byte
			n atomic.Uint64
			_ [128]byte
		}
		latency(b, func(i uint64) {
			for there.n.Load() != i {
			}
			back.n.Store(i)
		}, func(i uint64) {
			there.n.Store(i)
			for back.n.Load() != i {
			}
		})
	})
	b.Run("slot", func(b *testing.B) {
		there, back := newSlotRing(1024), newSlotRing(1024)
		latency(b, func(i uint64) { back.put(i, there.take(i)) }, func(i uint64) {
			there.put(i, i)
			if back.take(i) != i {
				panic("BUG: another message")
			}
		})
	})
	b.Run("ring", func(b *testing.B) {
		there, back := ringbuf.New(1024), ringbuf.New(1024)
		put := func(r *ringbuf.Ring, i uint64) {
			r.Reserve(1)[0] = tick.Unit{i}
			r.Commit(1)
			r.Publish()
		}
		take := func(r *ringbuf.Ring) uint64 {
			for {
				if got := r.Poll(); got != nil {
					i := got[0][0]
					r.Release(1)
					return i
				}
			}
		}
		latency(b, func(uint64) { put(back, take(there)) }, func(i uint64) {
			put(there, i)
			if take(back) != i {
				panic("BUG: another message")
			}
		})
	})
}

// slotRing has a sequence number in each slot's own line.
type slotRing struct {
	slots []struct {
		seq  atomic.Uint64
		data [7]uint64
	}
}

func newSlotRing(n int) *slotRing {
	r := &slotRing{}
	r.slots = append(r.slots, make([]struct {
		seq  atomic.Uint64
		data [7]uint64
	}, n)...)
	return r
}

func (r *slotRing) put(i, data uint64) {
	s := &r.slots[i%uint64(len(r.slots))]
	s.data = [7]uint64{data}
	s.seq.Store(i)
}

func (r *slotRing) take(i uint64) uint64 {
	s := &r.slots[i%uint64(len(r.slots))]
	for s.seq.Load() != i {
	}
	return s.data[0]
}

// latency runs answer on one core and ask on another, both for 1, 2, 3, …
func latency(b *testing.B, answer, ask func(i uint64)) {
	const tripsAtOnce = 50
	trips := uint64(b.N) * tripsAtOnce
	took := make([]time.Duration, 0, b.N)
	// Goroutines that end without unlocking take their pinned threads with them.
	var ended sync.WaitGroup
	ended.Go(func() {
		runtime.LockOSThread()
		_ = hardware.Pin(1) // without, it measures what it can
		for i := uint64(1); i <= trips; i++ {
			answer(i)
		}
	})
	ended.Go(func() {
		runtime.LockOSThread()
		_ = hardware.Pin(0)
		for i := uint64(1); i <= trips; {
			from := time.Now()
			for range tripsAtOnce {
				ask(i)
				i++
			}
			took = append(took, time.Since(from))
		}
	})
	ended.Wait()
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/(2*tripsAtOnce), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/(2*tripsAtOnce), "p99-ns")
}
