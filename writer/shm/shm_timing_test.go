package shm

import (
	"testing"

	"tickproc/tick"
	"tickproc/writer/shm/reader"
)

// BenchmarkPublish is what a message costs the shard, with its image and without.
func BenchmarkPublish(b *testing.B) {
	levels := make([]tick.Level, 20)
	for i := range levels {
		levels[i] = tick.Level{Price: int64(100 + i), Size: 1}
	}
	bids, asks := sides(levels, levels)
	for _, kind := range []struct {
		name string
		rows []tick.Unit
	}{{"trade", trade(3, 1)}, {"depth of 1", depth(3, 1, levels[:1], nil)}, {"depth of 40", depth(3, 1, levels, levels)}} {
		b.Run(kind.name, func(b *testing.B) {
			r := small(b, Options{RingBytes: 8 << 20}).Ring(0)
			b.ReportAllocs()
			for b.Loop() {
				r.Rows(kind.rows)
				r.End()
			}
		})
		b.Run(kind.name+", image", func(b *testing.B) {
			r := small(b, Options{RingBytes: 8 << 20}).Ring(0)
			b.ReportAllocs()
			for b.Loop() {
				r.Rows(kind.rows)
				r.Image(&Standing{Instrument: 3}, bids, asks)
				r.End()
			}
		})
		b.Run(kind.name+", and read", func(b *testing.B) {
			w := small(b, Options{RingBytes: 8 << 20})
			from := open(b, w.Dir()).Ring(0)
			r := w.Ring(0)
			var m reader.Message
			b.ReportAllocs()
			for b.Loop() {
				r.Rows(kind.rows)
				r.End()
				if !from.Next(&m) {
					b.Fatal("nothing")
				}
			}
		})
	}
}
