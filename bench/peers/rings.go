package main

import (
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v4"

	"tickproc/bench"
	"tickproc/tick"
)

// ringLines are xsync's queue of one producer and one consumer beside our ring;
// the channel is a line of bench.
func ringLines() []bench.Measurement {
	return []bench.Measurement{
		needsTwo(against("ring/hop", "xsync SPSC", 0, func(r *bench.Run, s *bench.Sample) error {
			there, back := xsync.NewSPSCQueue[tick.Unit](1024), xsync.NewSPSCQueue[tick.Unit](1024)
			var stop atomic.Bool
			r.Pinned(func() {
				r.Batches(s, bench.Work{Batch: 32, Do: func(n int) int {
					for range n / 2 {
						for !there.TryEnqueue(tick.Unit{}) {
						}
						for {
							if _, ok := back.TryDequeue(); ok {
								break
							}
						}
					}
					return n
				}})
				stop.Store(true)
			}, func() {
				for !stop.Load() {
					if u, ok := there.TryDequeue(); ok {
						back.TryEnqueue(u)
					}
				}
			})
			return nil
		})),
		needsTwo(against("ring/many", "xsync SPSC", 0, func(r *bench.Run, s *bench.Sample) error {
			queue := xsync.NewSPSCQueue[tick.Unit](1 << 15)
			var stop atomic.Bool
			r.Pinned(func() {
				r.Batches(s, bench.Work{Batch: 4096, Do: func(n int) int {
					for left := n; left > 0; {
						if u, ok := queue.TryDequeue(); ok {
							kept += int64(u[0])
							left--
						}
					}
					return n
				}})
				stop.Store(true)
			}, func() {
				for u := (tick.Unit{}); !stop.Load(); {
					if queue.TryEnqueue(u) {
						u[0]++
					}
				}
			})
			return nil
		})),
	}
}

func needsTwo(m bench.Measurement) bench.Measurement {
	m.Cores = 2
	return m
}
