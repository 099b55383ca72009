package bench

import (
	"sync/atomic"

	"tickproc/ringbuf"
	"tickproc/tick"
)

// ringLines are the handing over of packets of one unit.
func ringLines() []Measurement {
	return []Measurement{
		{Name: "ring/hop", What: "one packet through a ring, one way, two spinning, pinned threads", Unit: "hop", Floor: "floor/hop", Aim: timesFloor(1.5), Cores: 2, Run: ringHop},
		{Name: "ring/hop/parked", What: "one packet through a ring to a goroutine that sleeps, one way", Unit: "hop", Floor: "floor/channel/hop", Cores: 2, Run: ringParked},
		{Name: "ring/many", What: "packets through a ring, published 16 at a time, as many as go", Unit: "message", Floor: "floor/channel/many", Aim: TimesFaster(6), Cores: 2, Run: ringMany},
	}
}

func ringHop(r *Run, s *Sample) error {
	there, back := ringbuf.New(1024), ringbuf.New(1024)
	packet := []tick.Unit{{}}
	pinned := r.Pinned(func() {
		r.Batches(s, Work{Batch: 32, Do: func(n int) int {
			for range n / 2 {
				there.Write(packet)
				there.Publish()
				for back.Poll() == nil {
				}
				back.Release(1)
			}
			return n
		}})
		there.Close()
	}, func() {
		for !there.Done() {
			if got := there.Poll(); got != nil {
				back.Write(got[:1])
				back.Publish()
				there.Release(1)
			}
		}
	})
	if !pinned {
		s.Note = notPinned
	}
	return nil
}

func ringParked(r *Run, s *Sample) error {
	there, back := ringbuf.New(1024), ringbuf.New(1024)
	wakers := [2]*ringbuf.Waker{ringbuf.NewWaker(ringbuf.Park), ringbuf.NewWaker(ringbuf.Park)}
	there.SetWaker(wakers[0])
	back.SetWaker(wakers[1])
	packet := []tick.Unit{{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ready := func() bool { return there.Len() > 0 || there.Done() }
		for !there.Done() {
			if got := there.Poll(); got != nil {
				back.Write(got[:1])
				there.Release(1)
				back.Publish()
				continue
			}
			wakers[0].Wait(ready, 0)
		}
	}()
	ready := func() bool { return back.Len() > 0 }
	r.Batches(s, Work{Batch: 2, Do: func(n int) int {
		for range n / 2 {
			there.Write(packet)
			there.Publish()
			for back.Poll() == nil {
				wakers[1].Wait(ready, 0)
			}
			back.Release(1)
		}
		return n
	}})
	there.Close()
	<-done
	return nil
}

func ringMany(r *Run, s *Sample) error {
	ring := ringbuf.New(ringUnits)
	var stop atomic.Bool
	pinned := r.Pinned(func() {
		r.Batches(s, Work{Batch: channelBatch, Do: func(n int) int {
			for left := n; left > 0; {
				got := ring.Poll()
				got = got[:min(len(got), left)]
				for i := range got {
					kept += got[i][0]
				}
				ring.Release(len(got))
				left -= len(got)
			}
			return n
		}})
		stop.Store(true)
	}, func() {
		packet := []tick.Unit{{}}
		for n := uint64(1); !stop.Load(); {
			packet[0][0] = n
			if !ring.Write(packet) {
				continue
			}
			if n++; n%publishEvery == 0 {
				ring.Publish()
			}
		}
	})
	if !pinned {
		s.Note = notPinned
	}
	return nil
}
