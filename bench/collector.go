package bench

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"tickproc/tick"
)

// collectEvery is how often the collector is made to run. The path gives it no
// reason to: it allocates nothing.
const collectEvery = 5 * time.Millisecond

// collectorLines show what the garbage collector does to single frames: the
// path with everything on, each frame a sample, while the collector runs again
// and again over all that this process has.
func collectorLines() []Measurement {
	const quiet = "everything/trades/binance-spot/single"
	return []Measurement{
		{Name: quiet, What: "trade frame with everything on, each by itself, two looks at the clock included", Unit: "frame", Floor: "floor/clock/ours",
			Run: func(r *Run, s *Sample) error { return everything(r, s, spot, tick.ChannelTrades, 1) }},
		{Name: quiet + "/gc", What: "the same while the garbage collector runs all the time", Unit: "frame", Floor: quiet,
			Run: func(r *Run, s *Sample) error {
				var before debug.GCStats
				debug.ReadGCStats(&before)
				stop, done := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(done)
					tick := time.NewTicker(collectEvery)
					defer tick.Stop()
					for {
						select {
						case <-stop:
							return
						case <-tick.C:
							runtime.GC()
						}
					}
				}()
				err := everything(r, s, spot, tick.ChannelTrades, 1)
				close(stop)
				<-done
				s.NoAllocs = true // the collector's own
				var after debug.GCStats
				debug.ReadGCStats(&after)
				n := int(min(after.NumGC-before.NumGC, int64(len(after.Pause))))
				pauses := slices.Clone(after.Pause[:n]) // the newest first
				slices.Sort(pauses)
				if n > 0 {
					s.Note = fmt.Sprintf("in the last round %d collections, pauses p50 %v, p99 %v, max %v", after.NumGC-before.NumGC, pauses[n/2], pauses[n*99/100], pauses[n-1])
				}
				return err
			}},
	}
}
