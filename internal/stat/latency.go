package stat

import (
	"math/bits"
	"sync/atomic"

	"tickproc/internal/ordered"
)

// The buckets of a Latency are log-linear, as in HdrHistogram: values below
// subBuckets have one each, and every power of two above is cut into subBuckets
// of equal width. So a bucket's width is at most 1/subBuckets of what it counts.
const (
	subBits    = 5
	subBuckets = 1 << subBits
	topBit     = 41 // values from 1 << (topBit+1) ns, 73 minutes, count as just below it
)

// latencyBuckets is the number of buckets of a Latency.
const latencyBuckets = (topBit - subBits + 2) * subBuckets

// Latency counts nanoseconds, from 1 ns to more than an hour, with a relative
// error of at most 1/32: a quantile is never told below the true value, and no
// more than 1/32 above it. It takes 9.7 kB, of which a steady latency touches
// some cache lines; a Histogram is smaller and coarser. Counting is one addition:
// an atomic one, so that any goroutine may count, or a plain one (ObserveAlone)
// where one goroutine counts.
type Latency struct {
	buckets [latencyBuckets]atomic.Uint64
}

// Observe counts ns, n times. Negative values count as 0.
//
// hot: per batch and run of packets, 0 allocs.
func (h *Latency) Observe(ns int64, n uint64) { h.buckets[latencyBucket(ns)].Add(n) }

// ObserveAlone is Observe where one goroutine alone counts.
//
// hot: per batch and run of packets, 0 allocs.
func (h *Latency) ObserveAlone(ns int64, n uint64) { ordered.Add(&h.buckets[latencyBucket(ns)], n) }

func latencyBucket(ns int64) int {
	if ns < subBuckets {
		return int(max(ns, 0))
	}
	top := bits.Len64(uint64(ns)) - 1
	return min((top-subBits+1)<<subBits|int(uint64(ns)>>(top-subBits)&(subBuckets-1)), latencyBuckets-1)
}

// latencyUpper is the largest value that bucket i counts.
func latencyUpper(i int) int64 {
	if i < subBuckets {
		return int64(i)
	}
	return int64(subBuckets+i%subBuckets+1)<<(i/subBuckets-1) - 1
}

// Touch writes to every page, so that counting maps none.
func (h *Latency) Touch() {
	for i := 0; i < latencyBuckets; i += 64 {
		h.buckets[i].Add(0)
	}
}

// Buckets are the counts of a Latency, copied, or of several added up.
type Buckets [latencyBuckets]uint64

// Snapshot copies the counts.
func (h *Latency) Snapshot() (b Buckets) {
	h.AddTo(&b)
	return b
}

// AddTo adds the counts to b.
func (h *Latency) AddTo(b *Buckets) {
	for i := range h.buckets {
		b[i] += h.buckets[i].Load()
	}
}

// Count is how many values were counted.
func (b *Buckets) Count() (n uint64) {
	for _, x := range b {
		n += x
	}
	return n
}

// Sum is the sum of all values, each taken for the middle of its bucket: off by
// 1/64 at most.
func (b *Buckets) Sum() (sum float64) {
	for i, n := range b {
		if n > 0 {
			sum += float64(n) * (float64(latencyLower(i)) + float64(latencyUpper(i))) / 2
		}
	}
	return sum
}

func latencyLower(i int) int64 {
	if i == 0 {
		return 0
	}
	return latencyUpper(i-1) + 1
}

// Add adds others.
func (b *Buckets) Add(other *Buckets) {
	for i := range b {
		b[i] += other[i]
	}
}

// Sub takes earlier counts off.
func (b *Buckets) Sub(earlier *Buckets) {
	for i := range b {
		b[i] -= earlier[i]
	}
}

// Quantile returns the upper bound of the bucket that holds the q-quantile,
// 0 ≤ q ≤ 1, and 0 when nothing was counted.
func (b *Buckets) Quantile(q float64) int64 {
	total := b.Count()
	want := uint64(q * float64(total))
	var seen uint64
	for i, n := range b {
		seen += n
		if n > 0 && seen > want || seen == total && n > 0 {
			return latencyUpper(i)
		}
	}
	return 0
}

// Signed counts nanoseconds of either sign: a one-way time between two clocks
// is below zero where they differ by more than it, and is shown as it is.
type Signed struct{ below, above Latency }

// Observe counts ns, n times.
func (s *Signed) Observe(ns int64, n uint64) {
	if ns < 0 {
		s.below.Observe(-ns, n)
	} else {
		s.above.Observe(ns, n)
	}
}

// ObserveAlone is Observe where one goroutine alone counts.
func (s *Signed) ObserveAlone(ns int64, n uint64) {
	if ns < 0 {
		s.below.ObserveAlone(-ns, n)
	} else {
		s.above.ObserveAlone(ns, n)
	}
}

// SignedBuckets are the counts of a Signed.
type SignedBuckets struct{ Below, Above Buckets }

// AddTo adds the counts to b.
func (s *Signed) AddTo(b *SignedBuckets) {
	s.below.AddTo(&b.Below)
	s.above.AddTo(&b.Above)
}

// Touch writes to every page.
func (s *Signed) Touch() {
	s.below.Touch()
	s.above.Touch()
}

// Add adds others.
func (b *SignedBuckets) Add(other *SignedBuckets) {
	b.Below.Add(&other.Below)
	b.Above.Add(&other.Above)
}

// Sub takes earlier counts off.
func (b *SignedBuckets) Sub(earlier *SignedBuckets) {
	b.Below.Sub(&earlier.Below)
	b.Above.Sub(&earlier.Above)
}

// Count is how many values were counted.
func (b *SignedBuckets) Count() uint64 { return b.Below.Count() + b.Above.Count() }

// Sum is the sum of all values, off by 1/64 of that of their magnitudes at most.
func (b *SignedBuckets) Sum() float64 { return b.Above.Sum() - b.Below.Sum() }

// Quantile is Buckets.Quantile, of values of either sign.
func (b *SignedBuckets) Quantile(q float64) int64 {
	below, total := b.Below.Count(), b.Count()
	want := uint64(q * float64(total))
	if want >= below && b.Above.Count() > 0 {
		return b.Above.rank(want - below)
	}
	if below == 0 {
		return 0
	}
	// From the lowest on: the largest magnitude comes first.
	return -b.Below.rank(below - 1 - min(want, below-1))
}

// rank is the upper bound of the bucket of the value that has n below it, or of
// the largest.
func (b *Buckets) rank(n uint64) int64 {
	var seen uint64
	last := 0
	for i, c := range b {
		if c > 0 {
			last = i
		}
		if seen += c; seen > n {
			return latencyUpper(i)
		}
	}
	return latencyUpper(last)
}
