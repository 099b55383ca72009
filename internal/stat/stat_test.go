package stat

import "testing"

func TestEveryValueLiesInItsBucket(t *testing.T) {
	for ns := int64(0); ns < 1<<40; ns += 1 + ns/7 {
		i := bucketOf(ns)
		if ns > UpperBound(i) || (i > 0 && ns <= UpperBound(i-1)) {
			t.Fatalf("%d counted in bucket %d: (%d, %d]", ns, i, UpperBound(i-1), UpperBound(i))
		}
	}
}

func TestQuantile(t *testing.T) {
	var h Histogram
	for ns := int64(1); ns <= 1000; ns++ {
		h.Observe(ns, 1)
	}
	buckets, sum := h.Snapshot()
	if sum != 500500 {
		t.Errorf("sum %d", sum)
	}
	for q, want := range map[float64]int64{0.5: 500, 0.99: 990, 1: 1000} {
		got := Quantile(&buckets, q)
		if got < want || got > want*5/4 {
			t.Errorf("quantile %g: %d, want about %d", q, got, want)
		}
	}
}
