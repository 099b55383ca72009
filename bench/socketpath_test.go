package bench

import (
	"context"
	"testing"

	"tickproc/internal/hardware"
	"tickproc/pipeline"
)

// BenchmarkSocketToRing is a frame at a time over a plain websocket on loopback,
// from the kernel's receive stamp until its packet is visible in the ring, and a
// bare read of the same bytes in turns with it. beyond-p50-ns is what is ours.
func BenchmarkSocketToRing(b *testing.B) {
	for _, busy := range []bool{false, true} {
		name := "netpoll"
		if busy {
			name = "busy"
		}
		b.Run(name, func(b *testing.B) {
			const rounds = 10
			cores := hardware.ReadCores().Allowed
			o := pipeline.SocketPathOptions{Rounds: rounds, Busy: busy}
			if len(cores) > 0 {
				o.Core = cores[len(cores)-1]
			}
			b.ResetTimer()
			o.Frames = max(1, b.N/rounds)
			r, err := pipeline.MeasureSocketPath(context.Background(), o)
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			for q, name := range map[float64]string{0.5: "p50", 0.99: "p99"} {
				b.ReportMetric(float64(r.Bare.Quantile(q)), "bare-"+name+"-ns")
				b.ReportMetric(float64(r.Packet.Quantile(q)), name+"-ns")
				b.ReportMetric(float64(r.Packet.Quantile(q)-r.Bare.Quantile(q)), "beyond-"+name+"-ns")
			}
			b.ReportMetric(float64(r.Unstamped), "unstamped")
		})
	}
}
