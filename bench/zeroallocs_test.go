package bench

import (
	"testing"

	"tickproc/engine"
	"tickproc/ringbuf"
)

// The composed path allocates nothing over a whole session once it has been
// through one: decoding, the ring, the shard with all its indicators, rows,
// and the loss and resynchronisation of books where one lap ends and the next
// begins.
func TestComposedPathZeroAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	eachSession(t, func(t *testing.T, s *Session) {
		x, opening := newLaps(s)
		ring, shard := ringbuf.New(ringUnits), engine.NewShard(shardOptions())
		shard.Apply(opening)
		run := func() {
			for range s.Records {
				send(ring, x.next())
				ring.Publish()
				batch := ring.Poll()
				shard.Apply(batch)
				shard.TakeRows()
				shard.TakeCommands()
				ring.Release(len(batch))
			}
		}
		run() // with AllocsPerRun's own, two laps to grow in
		// One counted run, so that no allocation is lost in an average.
		if n := testing.AllocsPerRun(1, run); n != 0 {
			t.Errorf("%v allocations in %d records", n, len(s.Records))
		}
		once := replayDirect(s).Reports(1)
		for i, r := range shard.Reports(1) {
			if !r.Valid || r.TopDiffers > 0 || r.Counts.Trades != 3*once[i].Counts.Trades || r.Depth.Applied != 3*once[i].Depth.Applied {
				t.Errorf("%s: three laps are not three times one: %+v", r.Instrument.Symbol, r)
			}
		}
	})
}
