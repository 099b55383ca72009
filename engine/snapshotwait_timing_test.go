package engine

import (
	"fmt"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"tickproc/tick"
)

// How long Apply takes for a packet, and for a batch of 16 of as many
// instruments, while a snapshot is open and while none is: the best of several
// runs of one tape for each batch, because on a busy machine a single wait says
// more about the others. Instruments have books of 100 levels. One op is a tape.
func BenchmarkSnapshotWait(b *testing.B) {
	const batches, runs = 6000, 5
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for _, n := range []int{100, 10_000} {
		items := quietMarket(n)
		for _, size := range []int{1, 16} {
			tape := rounds(n, size, batches)
			for _, what := range []string{"none", "open"} {
				b.Run(fmt.Sprintf("%d instruments/batch of %d/%s", n, size, what), func(b *testing.B) {
					waits := make([]int64, batches)
					for i := range waits {
						waits[i] = 1 << 62
					}
					for b.Loop() {
						for range runs {
							b.StopTimer()
							debug.FreeOSMemory()
							s, err := LoadShard(slices.Values(items))
							if err != nil {
								b.Fatal(err)
							}
							b.StartTimer()
							sink := &nothing{buffer: make([]byte, 1<<20)}
							s.SnapshotTo(sink, 0)
							for i, batch := range tape {
								if what == "open" && !s.saving.open {
									s.Apply(barrierPacket(uint64(i)))
								}
								from := time.Now()
								s.Apply(batch)
								waits[i] = min(waits[i], time.Since(from).Nanoseconds())
								s.TakeRows()
								s.TakeCommands()
							}
						}
					}
					slices.Sort(waits)
					b.ReportMetric(float64(waits[batches/2]), "p50-ns")
					b.ReportMetric(float64(waits[batches*99/100]), "p99-ns")
					b.ReportMetric(float64(waits[batches*999/1000]), "p99.9-ns")
					b.ReportMetric(float64(waits[batches-1]), "max-ns")
				})
			}
		}
	}
}

// quietMarket is a snapshot of n instruments with 50 levels a side.
func quietMarket(n int) [][]byte {
	s := NewShard(Options{Intervals: []time.Duration{time.Second, time.Minute}, Windows: full.Windows})
	x := &shelf{}
	s.SnapshotTo(x, 0)
	bids, asks := fiftyLevels()
	for id := range uint32(n) {
		h := tick.Header{Line: 1, Instrument: id, ReceiveNanos: midnight, ExchangeNanos: midnight}
		p, _ := tick.AppendCatalog(nil, h, define(id, fmt.Sprint("S", id)))
		p = append(p, depthPacket(h, tick.KindDepth, 1, 1, 0, nil, nil)...)
		p = append(p, depthPacket(h, tick.KindSnapshot, 0, 0, 0, bids, asks)...)
		for i := range uint64(quoteIDs) {
			p = append(p, depthPacket(h, tick.KindQuote, i, i, 0, bids[:1], asks[:1])...)
		}
		s.Apply(p)
	}
	s.Apply(barrierPacket(1))
	s.SaveAll()
	return x.items
}

// quoteIDs fill the memory of the venue's quotes, the largest part of a small book.
const quoteIDs = 256

func fiftyLevels() (bids, asks []tick.Level) {
	for i := range int64(50) {
		bids = append(bids, tick.Level{Price: 1000 - i, Size: 5})
		asks = append(asks, tick.Level{Price: 1001 + i, Size: 5})
	}
	return bids, asks
}

// rounds are batches of so many packets, each of another instrument.
func rounds(n, size, batches int) (tape [][]tick.Unit) {
	bids, asks := fiftyLevels()
	now, place := midnight, 0
	for range batches {
		var batch []tick.Unit
		for range size {
			now += 1e5
			place++
			h := tick.Header{Line: 1, Instrument: uint32(place * 7919 % n), ReceiveNanos: now, ExchangeNanos: now}
			if place%4 == 0 {
				batch = append(batch, tradePacket(h, uint64(place), tick.Level{Price: 1000, Size: 1})...)
			} else {
				batch = append(batch, depthPacket(h, tick.KindQuote, quoteIDs, quoteIDs, 0, bids[:1], asks[:1])...)
			}
		}
		tape = append(tape, batch)
	}
	return tape
}
