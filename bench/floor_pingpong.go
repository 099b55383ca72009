package bench

import (
	"sync/atomic"
)

// counterLine is a counter on cache lines of its own: x86 fetches them in
// pairs, and some lines have 128 bytes.
type counterLine struct {
	_ [128]byte
	atomic.Uint64
	_ [120]byte
}

// ended is the count that ends an echo.
const ended = ^uint64(0)

// echo stores in answer what comes in question, until that is ended.
func echo(question, answer *atomic.Uint64) {
	for seen := uint64(0); ; {
		if x := question.Load(); x != seen {
			if x == ended {
				return
			}
			seen = x
			answer.Store(x)
		}
	}
}

const notPinned = "threads could not be tied to cores of their own: the system moves them"

func pingPongFloors() []Measurement {
	pingPong := func(r *Run, s *Sample, batch int) error {
		var there, back counterLine
		x := uint64(0)
		pinned := r.Pinned(func() {
			r.Batches(s, Work{Batch: batch, Do: func(n int) int {
				for range n / 2 {
					x++
					there.Store(x)
					for back.Load() != x {
					}
				}
				return n
			}})
			there.Store(ended)
		}, func() { echo(&there.Uint64, &back.Uint64) })
		if !pinned {
			s.Note = notPinned
		}
		return nil
	}
	return []Measurement{
		{Name: "floor/hop", What: "cache-line ping-pong of two spinning, pinned threads, one way: no message can be handed over quicker", Unit: "hop", Cores: 2,
			Run: func(r *Run, s *Sample) error { return pingPong(r, s, 32) }},
		{Name: "floor/hop/single", What: "the same, each round trip by itself and halved: its tail is the machine's, not ours", Unit: "hop", Floor: "floor/clock/time.Now", Cores: 2,
			Run: func(r *Run, s *Sample) error { return pingPong(r, s, 2) }},
	}
}
