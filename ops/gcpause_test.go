package ops

import (
	"math"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
)

func TestFoldedPauses(t *testing.T) {
	t.Parallel()
	inf := math.Inf(1)
	h := &metrics.Float64Histogram{Buckets: []float64{-inf, 0, 0.9e-6, 1.1e-6, 1.2e-6, 1.9e-6, 2.2e-6, 5, inf}, Counts: []uint64{0, 1, 2, 3, 4, 5, 6, 7}}
	count, sum, shown := folded(h)
	if count != 28 || math.Abs(sum-(0.45e-6+2*1e-6+3*1.15e-6+4*1.55e-6+5*2.05e-6+6*(5+2.2e-6)/2+35)) > 1e-9 {
		t.Errorf("%d, sum %g", count, sum)
	}
	if len(shown) != 3 || shown[1.1e-6] != 3 || shown[2.2e-6] != 15 || shown[5] != 21 {
		t.Errorf("%v", shown)
	}
}

func TestGCPausesAreShown(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	r.GCPauses("tickproc_gc_pause_seconds")
	runtime.GC()
	_, body := get(t, "http://"+serve(t, Options{}, r)+"/metrics")
	have, buckets := samples(t, body), 0
	for name := range have {
		if strings.HasPrefix(name, "tickproc_gc_pause_seconds_bucket") {
			buckets++
		}
	}
	if have["tickproc_gc_pause_seconds_count"] < 1 || have["tickproc_gc_pause_seconds_sum"] <= 0 || buckets < 15 || buckets > 25 {
		t.Errorf("%v pauses of %v s, %d buckets", have["tickproc_gc_pause_seconds_count"], have["tickproc_gc_pause_seconds_sum"], buckets)
	}
}
