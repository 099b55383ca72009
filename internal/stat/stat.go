// Package stat holds the numbers that one goroutine writes and metrics read.
package stat

import (
	"math/bits"
	"sync/atomic"

	"tickproc/internal/ordered"
)

// Counter only rises.
type Counter struct{ v atomic.Uint64 }

// Add adds n.
func (c *Counter) Add(n uint64) { c.v.Add(n) }

// AddAlone adds n where one goroutine alone counts: without the processor's lock,
// which is most of what Add takes.
func (c *Counter) AddAlone(n uint64) { ordered.Add(&c.v, n) }

// Load returns the count.
func (c *Counter) Load() uint64 { return c.v.Load() }

// Gauge is a value that moves.
type Gauge struct{ v atomic.Int64 }

// Set stores x. Who finds it finds what the goroutine set before; what it loads
// afterwards may be older.
func (g *Gauge) Set(x int64) { ordered.StoreInt(&g.v, x) }

// Add moves the value by x.
func (g *Gauge) Add(x int64) { g.v.Add(x) }

// Max raises the value to x if that is larger. One writer.
func (g *Gauge) Max(x int64) {
	if x > g.v.Load() {
		g.Set(x)
	}
}

// Load returns the value.
func (g *Gauge) Load() int64 { return g.v.Load() }

// HistogramBuckets is the number of buckets of a Histogram: four a power of
// two, from 1 ns to more than an hour.
const HistogramBuckets = 4 * 43

// Histogram counts nanoseconds in buckets that are at most 25 % wide.
type Histogram struct {
	buckets [HistogramBuckets]atomic.Uint64
	sum     atomic.Int64
}

// Observe counts ns, n times. Negative values count as 0.
func (h *Histogram) Observe(ns int64, n uint64) {
	h.buckets[bucketOf(ns)].Add(n)
	h.sum.Add(ns * int64(n))
}

func bucketOf(ns int64) int {
	if ns < 4 {
		return int(max(ns, 0))
	}
	top := bits.Len64(uint64(ns)) - 1
	return min(4*(top-1)+int(uint64(ns)>>(top-2)&3), HistogramBuckets-1)
}

// UpperBound is the largest value that bucket i counts.
func UpperBound(i int) int64 {
	if i < 4 {
		return int64(i)
	}
	top := i/4 + 1
	return (int64(5+i%4) << (top - 2)) - 1
}

// Snapshot copies the buckets and the sum.
func (h *Histogram) Snapshot() (buckets [HistogramBuckets]uint64, sum int64) {
	for i := range h.buckets {
		buckets[i] = h.buckets[i].Load()
	}
	return buckets, h.sum.Load()
}

// Quantile returns the upper bound of the bucket that holds the q-quantile,
// 0 ≤ q ≤ 1, and 0 when nothing was counted.
func Quantile(buckets *[HistogramBuckets]uint64, q float64) int64 {
	var total uint64
	for _, n := range buckets {
		total += n
	}
	want := uint64(q * float64(total))
	var seen uint64
	for i, n := range buckets {
		seen += n
		if n > 0 && seen > want || seen == total && n > 0 {
			return UpperBound(i)
		}
	}
	return 0
}
