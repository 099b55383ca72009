package simulation

import (
	"slices"
	"time"

	"tickproc/tick"
)

// logged is a batch that a shard logged.
type logged struct {
	shard      int
	generation uint64
	end        uint64
	batch      []tick.Unit
	at         int64
}

// logs is told what a shard is about to apply.
func (w *world) logs(shard int, generation uint64, batch []tick.Unit, end uint64) {
	if w.forget && len(w.history) > 50 {
		w.forget = false
		batch = batch[:tick.PacketUnits(&batch[0])]
		if batch[0].Header().Kind == tick.KindTrade {
			batch[0].Header().ExchangeNanos++
		}
	}
	w.history = append(w.history, logged{shard, generation, end, slices.Clone(batch), w.now})
	if p := w.process; p.appends > 0 {
		if p.appends--; p.appends == 0 {
			w.note("dies", "before it applies")
			p.fs.dead = true
			panic(death{})
		}
	}
}

// recovered is told where a shard's log ends, and compares the shard with one
// that was never interrupted.
func (w *world) recovered(shard int, generation, end uint64) {
	kept := w.history[:0]
	last := uint64(0)
	for _, x := range w.history {
		if x.shard == shard && (x.generation > generation || x.generation == generation && x.end > end) {
			if w.cutAt != 0 && x.at < w.cutAt-int64(syncWindow) && !w.hindered(x.at) {
				w.violate("window", "shard %d: what was logged %v before the power failed is lost", shard, time.Duration(w.cutAt-x.at))
			}
			continue
		}
		if x.shard == shard && x.generation == generation {
			last = x.end
		}
		kept = append(kept, x)
	}
	w.history = kept
	for _, in := range w.process.b.Shard(shard).Definitions() {
		w.known[symbolOf{in.Venue, in.Symbol}] = true
	}
	if last != end {
		w.violate("log", "shard %d of generation %d ends at %d, and what was logged up to there ends at %d", shard, generation, end, last)
	}
	shadow := w.process.b.Fresh(shard)
	for _, x := range w.history {
		if x.shard == shard {
			shadow.Apply(x.batch)
			shadow.TakeRows()
			shadow.TakeCommands()
		}
	}
	w.tally.Recoveries++
	if have, want := w.process.b.Shard(shard).StateHash(), shadow.StateHash(); have != want {
		w.violate("state", "shard %d at %d of generation %d: recovered %016x, uninterrupted %016x", shard, end, generation, have, want)
	}
}

// symbolOf names an instrument.
type symbolOf struct{ venue, symbol string }

// forgotten notes of which instruments a process knows nothing: so it cannot
// know that they were missed.
func (w *world) forgotten() {
	for _, f := range w.config.Feeds {
		for _, symbol := range f.Symbols {
			if key := (symbolOf{f.Venue, symbol}); !w.known[key] {
				w.since[key] = w.now + int64(w.offset)
			}
		}
	}
}

// syncWindow is what a power cut may take of a log: 20 ms, and how late its
// drainer may be here.
const syncWindow = 60 * time.Millisecond

// hindered reports that the disk, or who writes to it, did not do its work at
// some time since.
func (w *world) hindered(since int64) bool {
	if w.flipped {
		return true
	}
	return w.hinderedTill > since-int64(2*time.Second)
}
