package bench

import (
	"runtime"
	"testing"
	"time"
)

// meter turns laps over a session into figures of one frame (packet, trade).
// On a shared machine cpu-ns is the one to compare: it is the processor time
// of all goroutines, the collector's included, and does not count who else had
// the core.
type meter struct {
	b       *testing.B
	mallocs uint64
	cpu     time.Duration
}

// startMeter begins to measure; frames of bytes are one lap of the benchmark's loop.
func startMeter(b *testing.B, bytes int64) *meter {
	b.Helper()
	b.SetBytes(bytes)
	runtime.GC() // what came before must not be collected at our expense
	m := &meter{b: b, mallocs: mallocs(), cpu: cpuTime()}
	b.ResetTimer()
	return m
}

// stop reports; perLap is how many of unit ("frame") a lap has.
func (m *meter) stop(perLap int, unit string) {
	elapsed, cpu := m.b.Elapsed(), cpuTime()-m.cpu
	n := float64(perLap) * float64(m.b.N)
	m.b.ReportMetric(0, "ns/op") // a lap's time says nothing
	m.b.ReportMetric(float64(elapsed.Nanoseconds())/n, "ns/"+unit)
	m.b.ReportMetric(float64(cpu.Nanoseconds())/n, "cpu-ns/"+unit)
	m.b.ReportMetric(n/elapsed.Seconds(), unit+"s/s")
	m.b.ReportMetric(float64(mallocs()-m.mallocs)/n, "allocs/"+unit)
}
