package bench

import (
	"sync/atomic"
)

func storeFloors() []Measurement {
	return []Measurement{{Name: "floor/store", What: "atomic store to a line that another core reads all the time: what publishing costs", Unit: "store", Cores: 2,
		Run: func(r *Run, s *Sample) error {
			var line counterLine
			var stop atomic.Bool
			x := uint64(0)
			pinned := r.Pinned(func() {
				r.Batches(s, Work{Do: func(n int) int {
					for range n {
						x++
						line.Store(x)
					}
					return n
				}})
				stop.Store(true)
			}, func() {
				for !stop.Load() {
					line.Load()
				}
			})
			if !pinned {
				s.Note = notPinned
			}
			return nil
		}}}
}
