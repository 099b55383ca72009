package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

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

// The longest and the 99.9th of a thousand waits for Apply of a batch of 16
// packets of as many instruments, while a snapshot is open and while none is.
// One op is a batch.
func BenchmarkSnapshotWait(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		s := NewShard(Options{Intervals: []time.Duration{time.Second, time.Minute}, Windows: full.Windows})
		x := &nothing{}
		s.SnapshotTo(x, 0)
		now := midnight
		var side [2][]tick.Level
		for i := range int64(50) {
			side[0] = append(side[0], tick.Level{Price: 1000 - i, Size: 5})
			side[1] = append(side[1], tick.Level{Price: 1001 + i, Size: 5})
		}
		for id := range uint32(n) {
			p, _ := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: now}, define(id, fmt.Sprint("S", id)))
			h := tick.Header{Line: 1, Instrument: id, ReceiveNanos: now, ExchangeNanos: now}
			p = append(p, depthPacket(h, tick.KindDepth, 1, 1, 0, nil, nil)...)
			p = append(p, depthPacket(h, tick.KindSnapshot, 0, 0, 0, side[0], side[1])...)
			s.Apply(p)
		}
		update, trade, batch := uint64(1), uint64(0), []tick.Unit(nil)
		next := func() {
			batch = batch[:0]
			for i := range 16 {
				now += 1e3
				h := tick.Header{Line: 1, Instrument: uint32((update*16 + uint64(i)*7919) % uint64(n)), ReceiveNanos: now, ExchangeNanos: now}
				if i%4 == 0 {
					trade++
					batch = append(batch, tradePacket(h, trade, tick.Level{Price: 1000, Size: 1})...)
				} else {
					batch = append(batch, depthPacket(h, tick.KindQuote, 0, 0, 0, side[0][:1], side[1][:1])...)
				}
			}
			update++
		}
		measure := func(open bool) func(b *testing.B) {
			return func(b *testing.B) {
				var waits []int64
				barrier := barrierPacket(1)
				b.ReportAllocs()
				for b.Loop() {
					next()
					if open && !s.saving.open {
						s.Apply(barrier)
					}
					from := time.Now()
					s.Apply(batch)
					waits = append(waits, time.Since(from).Nanoseconds())
					s.TakeRows()
					s.TakeCommands()
				}
				slices.Sort(waits)
				b.ReportMetric(float64(waits[len(waits)/2]), "p50-ns")
				b.ReportMetric(float64(waits[len(waits)*999/1000]), "p99.9-ns")
				b.ReportMetric(float64(waits[len(waits)-1]), "max-ns")
			}
		}
		b.Run(fmt.Sprintf("%d instruments/none", n), measure(false))
		b.Run(fmt.Sprintf("%d instruments/open", n), measure(true))
	}
}
