package ops

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"
)

// Latency is the distribution of one series over the last while.
type Latency struct {
	Labels []string // values, in the order of the label names
	// Count and SumNanos are of all that was ever counted.
	Count    uint64
	SumNanos float64
	// Recent is how many values the quantiles are of; they are in ns.
	Recent              uint64
	P50, P99, P999, Max int64
}

// Latencies shows what read returns as one summary each: quantiles 0.5, 0.99,
// 0.999 and 1 in seconds, none where nothing came lately. A series appears with
// its first value. read is called by each scrape, on any goroutine.
func (r *Registry) Latencies(name, help string, labels []string, read func() []Latency) {
	r.add(name, latencies{prometheus.NewDesc(name, help, labels, nil), read})
}

type latencies struct {
	desc *prometheus.Desc
	read func() []Latency
}

func (x latencies) Describe(out chan<- *prometheus.Desc) { out <- x.desc }

func (x latencies) Collect(out chan<- prometheus.Metric) {
	for _, l := range x.read() {
		quantiles := map[float64]float64{0.5: seconds(l.P50), 0.99: seconds(l.P99), 0.999: seconds(l.P999), 1: seconds(l.Max)}
		if l.Recent == 0 {
			for q := range quantiles {
				quantiles[q] = math.NaN()
			}
		}
		out <- prometheus.MustNewConstSummary(x.desc, l.Count, l.SumNanos/1e9, quantiles, l.Labels...)
	}
}
