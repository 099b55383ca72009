package bench

import (
	"time"

	"tickproc/internal/clock"
)

// kept is where results go that nobody reads, so that no compiler can leave out
// what made them.
var kept uint64

func clockFloors() []Measurement {
	return []Measurement{
		{Name: "floor/clock/time.Now", What: "reading the system's clock", Unit: "call", Run: func(r *Run, s *Sample) error {
			r.Batches(s, Work{Do: func(n int) int {
				var last time.Time
				for range n {
					last = time.Now()
				}
				kept = uint64(last.Nanosecond())
				return n
			}})
			return nil
		}},
		{Name: "floor/clock/ours", What: "reading the product's clock: monotonic, in ns since the epoch", Unit: "call", Floor: "floor/clock/time.Now", Run: func(r *Run, s *Sample) error {
			r.Batches(s, Work{Do: func(n int) int {
				last := int64(0)
				for range n {
					last = clock.Nanos()
				}
				kept = uint64(last)
				return n
			}})
			return nil
		}},
	}
}
