package engine

import (
	"testing"

	"tickproc/tick"
)

// A packet through Apply with everything on: bars of four intervals, a sliding
// window, the session, samples, the check against quotes. One op is one packet.
func BenchmarkShard(b *testing.B) {
	f := func(name string, packet func(*stream)) {
		b.Run(name, func(b *testing.B) {
			s := newStream(tick.TradeIDContiguous)
			b.ReportAllocs()
			for b.Loop() {
				packet(s)
			}
		})
	}
	f("trade", (*stream).onTrade)
	f("quote", (*stream).onQuote)
	f("depth", (*stream).onDepth)
}

// A recorded-like mix of instruments in batches, as a driver gives them.
func BenchmarkShardTape(b *testing.B) {
	tape := manyMarkets(b, seeded(b), 20e9)
	packets := len(packetsOf(tape))
	b.ReportAllocs()
	for b.Loop() {
		s := NewShard(full)
		for rest := tape; len(rest) > 0; {
			n := 0
			for n < min(len(rest), batchUnits) {
				n += tick.PacketUnits(&rest[n])
			}
			s.Apply(rest[:n])
			s.TakeRows()
			s.TakeCommands()
			rest = rest[n:]
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*packets), "ns/packet")
}
