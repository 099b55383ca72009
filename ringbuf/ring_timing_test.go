package ringbuf

import (
	"fmt"
	"testing"

	"tickproc/tick"
)

// One packet of one unit from a producer goroutine to a consumer goroutine,
// which reads a word of it. Beside it the thing to beat: a Go channel of as
// many units, and for batches one of arrays, which costs two copies.
func BenchmarkHandOff(b *testing.B) {
	const units = 4096
	for _, batch := range []int{1, 16} {
		for _, p := range []struct {
			name   string
			policy Policy
		}{{"park", Park}, {"yield", Yield}, {"spin", Spin}} {
			b.Run(fmt.Sprintf("ring/%s/batch=%d", p.name, batch), func(b *testing.B) { handOffRing(b, units, batch, p.policy) })
		}
	}
	b.Run("channel/batch=1", func(b *testing.B) { handOffChannel(b, units) })
	b.Run("channel/batch=16", func(b *testing.B) { handOffChannelOfBatches(b, units) })
}

var sink uint64

func handOffRing(b *testing.B, units, batch int, policy Policy) {
	b.ReportAllocs()
	b.SetBytes(tick.UnitSize)
	r, w := New(units), NewWaker(policy)
	r.SetWaker(w)
	total := b.N
	b.ResetTimer()
	go func() {
		var backoff Backoff
		for i := range total {
			to := r.Reserve(1)
			for ; to == nil; to = r.Reserve(1) {
				backoff.Pause()
			}
			backoff.Reset()
			to[0] = tick.Unit{uint64(i)}
			r.Commit(1)
			if (i+1)%batch == 0 {
				r.Publish()
			}
		}
		r.Close()
	}()
	ready := func() bool { return r.Len() > 0 || r.Done() }
	sum := uint64(0)
	for !r.Done() {
		got := r.Poll()
		for i := range got {
			sum += got[i][0]
		}
		r.Release(len(got))
		if got == nil {
			w.Wait(ready, 0)
		}
	}
	sink = sum
}

func handOffChannel(b *testing.B, units int) {
	b.ReportAllocs()
	b.SetBytes(tick.UnitSize)
	c := make(chan tick.Unit, units)
	total := b.N
	b.ResetTimer()
	go func() {
		for i := range total {
			c <- tick.Unit{uint64(i)}
		}
		close(c)
	}()
	sum := uint64(0)
	for u := range c {
		sum += u[0]
	}
	sink = sum
}

func handOffChannelOfBatches(b *testing.B, units int) {
	b.ReportAllocs()
	b.SetBytes(tick.UnitSize)
	c := make(chan [16]tick.Unit, units/16)
	total := b.N
	b.ResetTimer()
	go func() {
		var batch [16]tick.Unit
		for i := range total {
			batch[i%16] = tick.Unit{uint64(i)}
			if i%16 == 15 {
				c <- batch
			}
		}
		close(c)
	}()
	sum := uint64(0)
	for batch := range c {
		for i := range batch {
			sum += batch[i][0]
		}
	}
	sink = sum
}

// One packet there and one back, each side with nothing to do until it comes:
// the latency of two wake-ups.
func BenchmarkRoundTrip(b *testing.B) {
	for _, p := range []struct {
		name   string
		policy Policy
	}{{"park", Park}, {"yield", Yield}, {"spin", Spin}} {
		b.Run("ring/"+p.name, func(b *testing.B) { roundTripRing(b, p.policy) })
	}
	b.Run("channel", roundTripChannel)
}

func roundTripRing(b *testing.B, policy Policy) {
	b.ReportAllocs()
	there, back := New(16), New(16)
	toEcho, toSender := NewWaker(policy), NewWaker(policy)
	there.SetWaker(toEcho)
	back.SetWaker(toSender)
	go func() {
		ready := func() bool { return there.Len() > 0 || there.Done() }
		for toEcho.Wait(ready, 0); !there.Done(); toEcho.Wait(ready, 0) {
			got := there.Poll()
			back.Write(got)
			back.Publish()
			there.Release(len(got))
		}
	}()
	ready := func() bool { return back.Len() > 0 }
	packet := make([]tick.Unit, 1)
	for b.Loop() {
		there.Write(packet)
		there.Publish()
		toSender.Wait(ready, 0)
		back.Release(len(back.Poll()))
	}
	there.Close()
}

func roundTripChannel(b *testing.B) {
	b.ReportAllocs()
	there, back := make(chan tick.Unit, 16), make(chan tick.Unit, 16)
	go func() {
		for u := range there {
			back <- u
		}
	}()
	for b.Loop() {
		there <- tick.Unit{}
		<-back
	}
	close(there)
}

// A whole cycle on one goroutine: what a packet costs without any wait.
func BenchmarkCycle(b *testing.B) {
	for _, units := range []int{1, 6} {
		b.Run(fmt.Sprintf("ring/units=%d", units), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(units) * tick.UnitSize)
			r, packet := New(4096), make([]tick.Unit, units)
			for b.Loop() {
				r.Write(packet)
				r.Publish()
				r.Release(len(r.Poll()))
			}
		})
	}
}

func BenchmarkBroadcast(b *testing.B) {
	for _, units := range []int{1, 6} {
		broadcast, message := NewBroadcast(1024, units), make([]tick.Unit, units)
		b.Run(fmt.Sprintf("publish/units=%d", units), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(units) * tick.UnitSize)
			for b.Loop() {
				broadcast.Publish(message)
			}
		})
		b.Run(fmt.Sprintf("publish and read/units=%d", units), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(units) * tick.UnitSize)
			r := broadcast.Reader()
			for b.Loop() {
				broadcast.Publish(message)
				r.Next(message)
			}
		})
	}
}
