package bench

import (
	"fmt"

	"tickproc/engine"
	"tickproc/tick"
)

// pathLines are a frame's way from memory to what is current of it, in one
// goroutine: decoder and shard alone, then all that a running service does with
// it before rows leave.
func pathLines() (all []Measurement) {
	for _, venue := range recordedVenues {
		all = append(all, Measurement{Name: "path/trades/" + venue, What: "trade frame in memory → bars, VWAP, windows current; no log", Unit: "frame",
			Floor: "floor/copy/trades/" + venue, Aim: atMost(150), Run: func(r *Run, s *Sample) error { return frameToState(r, s, venue, tick.ChannelTrades, false) }})
		all = append(all, Measurement{Name: "everything/trades/" + venue, What: "the same with everything on: ring, driver with its clock, log on tmpfs, nbbo, rows in their ring", Unit: "frame",
			Floor: "path/trades/" + venue, Aim: atMost(150), Run: func(r *Run, s *Sample) error { return everything(r, s, venue, tick.ChannelTrades, 0) }})
	}
	for _, venue := range recordedVenues {
		all = append(all, Measurement{Name: "path/depth/" + venue, What: "depth frame in memory → book current; no log", Unit: "frame",
			Floor: "floor/copy/depth/" + venue, Aim: depthAim(venue), Run: func(r *Run, s *Sample) error { return frameToState(r, s, venue, tick.ChannelDepth, false) }})
		all = append(all, Measurement{Name: "path/depth/" + venue + "/level", What: "the same, a level", Unit: "level",
			Aim: atMost(30), Run: func(r *Run, s *Sample) error { return frameToState(r, s, venue, tick.ChannelDepth, true) }})
		all = append(all, Measurement{Name: "everything/depth/" + venue, What: "depth frame with everything on", Unit: "frame",
			Floor: "path/depth/" + venue, Aim: depthAim(venue), Run: func(r *Run, s *Sample) error { return everything(r, s, venue, tick.ChannelDepth, 0) }})
	}
	return all
}

// depthAim is meant for frames of 40 levels: those of the spot market have about
// as many.
func depthAim(venue string) Aim {
	if venue == spot {
		return atMost(1200)
	}
	return Aim{}
}

// frameToState goes round a session of one channel.
func frameToState(r *Run, s *Sample, venue string, channel tick.Channels, perLevel bool) error {
	f, err := r.Frames(venue, channel)
	if err != nil {
		return err
	}
	x, opening := newLaps(f.Session)
	shard := engine.NewShard(shardOptions())
	shard.Apply(opening)
	step := func() []tick.Unit {
		packets := x.next()
		shard.Apply(packets)
		shard.TakeRows()
		shard.TakeCommands()
		return packets
	}
	for range 2 * len(x.records) { // buffers grow in the first lap, and where the second begins
		step()
	}
	r.Batches(s, Work{
		Ready: func(n int) { x.skip(n, func() { step() }) },
		Do: func(n int) int {
			units := 0
			for range n {
				packets := step()
				if perLevel {
					units += int(packets[0].Depth().LevelCount)
				}
			}
			if perLevel {
				return units
			}
			return n
		}})
	return stands(shard, channel)
}

// skip makes sure that the next n records are of the steady part of a lap:
// where a lap ends and its books begin anew, nothing is measured.
func (x *laps) skip(n int, step func()) {
	for x.left() < n && x.at > 0 {
		step()
	}
	for x.at < x.steady {
		step()
	}
}

// stands fails unless every book is the venue's and every trade counted:
// figures of a path that drops its input are worth nothing.
func stands(shard *engine.Shard, channel tick.Channels) error {
	for _, r := range shard.Reports(1) {
		switch {
		case channel.Has(tick.ChannelDepth) && (!r.Valid || r.Depth.Applied == 0):
			return fmt.Errorf("BUG: the book of %s is not valid (%v) at the end, %d messages applied", r.Instrument.Symbol, r.Reason, r.Depth.Applied)
		case channel.Has(tick.ChannelTrades) && r.Counts.Trades == 0:
			return fmt.Errorf("BUG: no trade of %s was counted", r.Instrument.Symbol)
		case r.TopDiffers > 0:
			return fmt.Errorf("BUG: the book of %s differed %d times from the venue's quotes", r.Instrument.Symbol, r.TopDiffers)
		}
	}
	return nil
}
