package ops

import (
	"math"
	"runtime/metrics"

	"github.com/prometheus/client_golang/prometheus"
)

// gcPauses is every time for which the collector stopped the world, as Go
// counts it.
const gcPauses = "/sched/pauses/total/gc:seconds"

// GCPauses shows how long the garbage collector stopped everything, with bounds
// about a factor of two apart, from about 1 µs to about 1 s.
func (r *Registry) GCPauses(name string) {
	r.add(name, pauses{prometheus.NewDesc(name, "How long the garbage collector stopped the world.", nil, nil)})
}

type pauses struct{ desc *prometheus.Desc }

func (p pauses) Describe(out chan<- *prometheus.Desc) { out <- p.desc }

func (p pauses) Collect(out chan<- prometheus.Metric) {
	sample := []metrics.Sample{{Name: gcPauses}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return // a later Go may have dropped it
	}
	count, sum, shown := folded(sample[0].Value.Float64Histogram())
	out <- prometheus.MustNewConstHistogram(p.desc, count, sum, shown)
}

// folded keeps those bounds of Go's that are the first at or above each power of
// two of a microsecond, so that they stay exact. The sum takes each pause for
// the middle of its bucket.
func folded(h *metrics.Float64Histogram) (count uint64, sum float64, shown map[float64]uint64) {
	shown = map[float64]uint64{}
	next := 1e-6
	for i, n := range h.Counts {
		low, high := h.Buckets[i], h.Buckets[i+1]
		count += n
		switch {
		case math.IsInf(low, -1):
			low = high
		case math.IsInf(high, 1):
			high = low
		}
		sum += float64(n) * (low + high) / 2
		if bound := h.Buckets[i+1]; bound >= next && next < 2 && !math.IsInf(bound, 1) {
			shown[bound] = count
			for next <= bound {
				next *= 2
			}
		}
	}
	return count, sum, shown
}
