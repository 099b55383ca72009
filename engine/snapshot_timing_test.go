package engine

import (
	"slices"
	"testing"

	"tickproc/tick"
)

// withBook is an instrument in the midst of its life, with so many levels a side.
func withBook(levels int) *Shard {
	s := newStream(tick.TradeIDContiguous)
	b := &s.shard.instruments[0].sync.Book
	for i := range int64(levels) {
		b.Bids.Set(9_000-i, 1+i%7)
		b.Asks.Set(11_000+i, 1+i%7)
	}
	return s.shard
}

// withParts is one of which a snapshot of so many levels is half received.
func withParts(levels int) *Shard {
	s := withBook(50)
	h := tick.Header{Line: 3, ReceiveNanos: s.Now(), Flags: tick.FlagFirst}
	for done := 0; done < levels; {
		n := min(levels-done, tick.MaxLevels)
		side := make([]tick.Level, n)
		for i := range side {
			side[i] = tick.Level{Price: int64(1 + done + i), Size: 1}
		}
		p := depthPacket(h, tick.KindSnapshot, 1, 1, 0, side, nil)
		p[0].Header().Flags = h.Flags
		s.Apply(p)
		h.Flags, done = 0, done+n
	}
	return s
}

// The writing of one instrument: what an event waits for at most. One op is a
// snapshot of a shard that has one.
func BenchmarkSnapshotEncode(b *testing.B) {
	f := func(name string, s *Shard) {
		b.Run(name, func(b *testing.B) {
			x := &nothing{}
			s.SnapshotTo(x, 1<<30)
			barrier := barrierPacket(1)
			s.Apply(barrier)
			x.bytes = 0
			b.ReportAllocs()
			for b.Loop() {
				s.Apply(barrier)
			}
			b.ReportMetric(float64(x.bytes)/float64(b.N), "bytes")
		})
	}
	f("100 levels", withBook(50))
	f("1,000 levels", withBook(500))
	f("44,000 levels", withBook(22_000))
	f("44,000 levels in parts", withParts(44_000))
	f("8,192 random ids", newStream(tick.TradeIDInteger).shard)
}

func BenchmarkSnapshotLoad(b *testing.B) {
	f := func(name string, s *Shard) {
		b.Run(name, func(b *testing.B) {
			x := &shelf{}
			s.SnapshotTo(x, 1<<30)
			s.Apply(barrierPacket(1))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := LoadShard(slices.Values(x.items)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	f("100 levels", withBook(50))
	f("1,000 levels", withBook(500))
	f("44,000 levels", withBook(22_000))
	f("8,192 random ids", newStream(tick.TradeIDInteger).shard)
}
