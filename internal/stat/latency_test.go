package stat

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestEveryLatencyLiesInItsBucket(t *testing.T) {
	t.Parallel()
	for ns := int64(0); ns < 1<<(topBit+1); ns += 1 + ns/257 {
		i := latencyBucket(ns)
		low, high := latencyLower(i), latencyUpper(i)
		if ns < low || ns > high {
			t.Fatalf("%d counted in bucket %d: [%d, %d]", ns, i, low, high)
		}
		if (high-low)*subBuckets > low && low >= subBuckets {
			t.Fatalf("bucket %d, [%d, %d], is wider than 1/%d", i, low, high, subBuckets)
		}
	}
	f := func(ns int64, want int) {
		t.Helper()
		if i := latencyBucket(ns); i != want {
			t.Errorf("%d counted in bucket %d, not %d", ns, i, want)
		}
	}
	f(-5, 0)
	f(0, 0)
	f(1<<(topBit+1)-1, latencyBuckets-1)
	f(1<<(topBit+1), latencyBuckets-1)
	f(math.MaxInt64, latencyBuckets-1)
}

// sorted is a Signed as anybody would write it: all values, in order.
type sorted []int64

func (s sorted) quantile(q float64) int64 {
	slices.Sort(s)
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

// The distributions that matter: narrow, over decades, with a far tail, of
// either sign. No quantile is told below the true value, nor more than 1/32 of
// it above.
func TestQuantilesAgainstSortedValues(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for name, draw := range map[string]func() int64{
		"narrow":         func() int64 { return 1000 + r.Int64N(50) },
		"over decades":   func() int64 { return int64(math.Exp(r.Float64() * 28)) },
		"far tail":       func() int64 { return int64(500 / (1e-7 + r.Float64())) },
		"small integers": func() int64 { return r.Int64N(70) },
		"constant":       func() int64 { return 4711 },
		"either sign":    func() int64 { return int64(r.NormFloat64() * 1e6) },
		"below zero":     func() int64 { return -1 - int64(math.Exp(r.Float64()*20)) },
	} {
		var all sorted
		var counted Signed
		sum, magnitudes := 0.0, 0.0
		for range 20_000 {
			x := draw()
			all = append(all, x)
			counted.Observe(x, 1)
			sum += float64(x)
			magnitudes += math.Abs(float64(x))
		}
		var b SignedBuckets
		counted.AddTo(&b)
		if b.Count() != uint64(len(all)) {
			t.Errorf("%s: %d counted", name, b.Count())
		}
		if math.Abs(b.Sum()-sum) > magnitudes/64 {
			t.Errorf("%s: sum %g, not %g", name, b.Sum(), sum)
		}
		for _, q := range []float64{0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1} {
			have, want := b.Quantile(q), all.quantile(q)
			// Away from zero, whatever the sign.
			if have*sign(want) < want*sign(want) || float64(have*sign(want)) > math.Abs(float64(want))*(1+1.0/32) {
				t.Errorf("%s: quantile %g is %d, not %d", name, q, have, want)
			}
			if all[0] >= 0 {
				if alone := b.Above.Quantile(q); alone != have {
					t.Errorf("%s: quantile %g is %d without a sign, %d with", name, q, alone, have)
				}
			}
		}
	}
}

func sign(x int64) int64 {
	if x < 0 {
		return -1
	}
	return 1
}

func TestWhatGrewBetweenTwoLooks(t *testing.T) {
	t.Parallel()
	var l Latency
	l.Touch()
	l.Observe(10, 3)
	before := l.Snapshot()
	if n := before.Count(); n != 3 {
		t.Errorf("%d counted", n)
	}
	l.Observe(20, 2)
	now := l.Snapshot()
	now.Sub(&before)
	if now.Count() != 2 || now.Quantile(0) != 20 || now.Quantile(1) != 20 || now.Sum() != 40 {
		t.Errorf("%d, %d to %d, sum %g", now.Count(), now.Quantile(0), now.Quantile(1), now.Sum())
	}
	var none Buckets
	if none.Quantile(0.5) != 0 || none.Sum() != 0 {
		t.Error("something of nothing")
	}
}

func TestLatencyZeroAllocs(t *testing.T) {
	var s Signed
	if n := testing.AllocsPerRun(100, func() { s.Observe(123, 1); s.Observe(-456, 2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLatencyObserve(b *testing.B) {
	var l Latency
	x := int64(1)
	for b.Loop() {
		x = x*1103515245 + 12345
		l.Observe(1000+x>>50&1023, 1)
	}
}
