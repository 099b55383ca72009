// Package ops shows operators what the process does: metrics and health over
// HTTP on loopback, and the log.
//
//	stat.Counter, Gauge, Histogram ─► Registry ─► Server /metrics  ◄─ Prometheus
//	Options.Stuck, NotReady ────────────────────► Server /livez, /readyz
//	slog records ─► bounded per message ─► text on a terminal, else JSON
//
// The numbers belong to whoever counts; a scrape loads them atomically and
// costs the counting goroutine nothing. Everything here is for people and
// monitors: no data flows through it.
package ops

import (
	"regexp"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"tickproc/internal/stat"
)

// Registry is the set of metrics that a Server shows. A metric may be added
// at any time, by any goroutine.
//
// Metrics of one name must have the same help and the same label names, and
// differ in a label's value; anything else is a panic, because names and
// labels are ours.
type Registry struct{ all *prometheus.Registry }

// NewRegistry returns a registry of the Go runtime's and the process's own metrics.
func NewRegistry() *Registry {
	r := &Registry{prometheus.NewRegistry()}
	r.add("go_", collectors.NewGoCollector())
	r.add("process_", collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Counter shows c; name ends in _total.
func (r *Registry) Counter(name, help string, labels map[string]string, c *stat.Counter) {
	r.CounterFunc(name, help, labels, func() float64 { return float64(c.Load()) })
}

// CounterFunc shows what value returns, which only rises. Each scrape calls
// it, on any goroutine, at times on two at once; so with GaugeFunc.
func (r *Registry) CounterFunc(name, help string, labels map[string]string, value func() float64) {
	r.add(name, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, value))
}

// Gauge shows g.
func (r *Registry) Gauge(name, help string, labels map[string]string, g *stat.Gauge) {
	r.GaugeFunc(name, help, labels, func() float64 { return float64(g.Load()) })
}

// GaugeFunc shows what value returns.
func (r *Registry) GaugeFunc(name, help string, labels map[string]string, value func() float64) {
	r.add(name, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
}

// Histogram shows h, whose nanoseconds become seconds; name ends in _seconds.
func (r *Registry) Histogram(name, help string, labels map[string]string, h *stat.Histogram) {
	r.add(name, histogram{prometheus.NewDesc(name, help, nil, labels), h})
}

// The library allows any text in quotes, which no dashboard expects.
var plainName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func (r *Registry) add(name string, c prometheus.Collector) {
	if !plainName.MatchString(name) {
		panic("BUG: metric " + name + ": no plain name")
	}
	if err := r.all.Register(c); err != nil {
		panic("BUG: metric " + name + ": " + err.Error())
	}
}

// histogram shows every fourth bucket, a factor of two between them, from
// about 1 µs to about 17 s: what is below or above tells an operator nothing
// more, and each bucket is a series in somebody's database. The bounds are
// exact: the largest nanosecond that the buckets below them count.
type histogram struct {
	desc *prometheus.Desc
	from *stat.Histogram
}

var firstShown, lastShown = bucketBelow(1 << 10), bucketBelow(1 << 34)

// bucketBelow is the bucket that ends just below ns.
func bucketBelow(ns int64) int {
	for i := range stat.HistogramBuckets {
		if stat.UpperBound(i) == ns-1 {
			return i
		}
	}
	panic("BUG: no bucket ends at a power of two")
}

func (h histogram) Describe(out chan<- *prometheus.Desc) { out <- h.desc }

func (h histogram) Collect(out chan<- prometheus.Metric) {
	counts, sumNanos := h.from.Snapshot()
	shown := make(map[float64]uint64, (lastShown-firstShown)/4+1)
	var below uint64
	for i, n := range counts {
		below += n
		if i >= firstShown && i <= lastShown && (i-firstShown)%4 == 0 {
			shown[seconds(stat.UpperBound(i))] = below
		}
	}
	out <- prometheus.MustNewConstHistogram(h.desc, below, seconds(sumNanos), shown)
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }
