package simulation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tickproc/pipeline"
	"tickproc/tick"
)

// process is one life of the service.
type process struct {
	b         *pipeline.ByHand
	fs        *power
	links     []*link
	started   bool
	startedAt int64
	stopping  bool
	appends   int    // to its logs, until it dies; 0 = it does not
	busy      bool   // a snapshot is being taken
	unkept    uint64 // its spool's count, as of the last look
}

const (
	stallShards = iota
	stallCarry
	stallSpool
	stallDrain
	stallable
)

// clock is the process's: it never steps while one lives.
func (w *world) clock() int64 { return w.now + w.skew }

// every lets an actor act for as long as the process lives, with jitter.
func (w *world) every(p *process, stall int, d time.Duration, do func()) {
	var again func()
	again = func() {
		if w.process != p {
			return
		}
		if stall < 0 || w.now >= w.stalled[stall] {
			do()
		}
		wait := between(w.schedule, d/2, d*3/2)
		if w.marketStops {
			wait *= 4 // little happens any more
		}
		w.after(wait, again)
	}
	w.after(between(w.schedule, 0, d), again)
}

// begin starts a process.
func (w *world) begin() {
	if w.process != nil {
		return
	}
	p := &process{fs: &power{FS: w.disk, lies: w.lyingSync}}
	if f := w.nextDeath; f != nil {
		w.nextDeath = nil
		p.fs.left, p.fs.after = 1+int64(f.pick%120), f.pick&(1<<40) != 0
		w.deathIn(p, f)
	}
	w.process, w.known = p, map[symbolOf]bool{}
	w.tally.Lives++
	w.note("start", "")
	config := *w.config
	config.Feeds = slices.Clone(w.config.Feeds)
	b, err := pipeline.OpenByHand(&config, pipeline.World{FS: p.fs, Memory: w.memory.of, Forget: w.memory.forget, Now: w.clock, Pace: &w.loop,
		Random: w.chance.Int64N, Identity: func() uint64 { w.ids++; return w.ids<<32 | 7 }, Database: w.database, Build: "simulated", Logger: w.quiet, Batch: w.batch})
	if err != nil {
		w.startFailed(p, err)
		return
	}
	p.b = b
	b.OnAppend(w.logs)
	b.OnRecovered(w.recovered)
	for _, run := range b.Senders {
		w.start(run)
	}
	w.every(p, -1, 5*time.Millisecond, w.poll)
	w.every(p, stallCarry, 16*time.Millisecond, b.Carry)
	w.every(p, stallSpool, 20*time.Millisecond, func() {
		b.Spool.WriteNow()
		if b.Spool.Stats.Down.Load() > 0 {
			w.diskless = append(w.diskless, w.now)
		}
		if n := b.Spool.Stats.Unkept.Load(); n > p.unkept {
			p.unkept, w.unkeptTill = n, w.now
		}
		if b.Spool.SyncWanted() {
			b.Spool.SyncNow()
		}
	})
	w.every(p, stallSpool, time.Second, b.Spool.SyncNow)
	w.every(p, stallDrain, 12*time.Millisecond, func() {
		for i := range b.Shards() {
			b.Drain(i)
		}
	})
	w.start(func() {
		if err := b.Start(func(venue string) ([]tick.Instrument, error) { return w.catalogs[venue], nil }); err != nil {
			w.after(0, func() {
				if w.process == p {
					w.startFailed(p, err)
				}
			})
			return
		}
		p.started, p.startedAt = true, w.now
		w.cutAt = 0
		w.forgotten()
		w.note("started", "")
		w.serve(p)
	})
}

// startFailed: the service ends with an error, and is started again.
func (w *world) startFailed(p *process, err error) {
	w.note("failed", err.Error())
	if !w.diskTroubled() {
		w.violate("start", "refused without a fault of the disk: %v", err)
	}
	w.end(false, 500*time.Millisecond)
}

func (w *world) diskTroubled() bool {
	for _, until := range w.diskFaults {
		if until != 0 && w.now < until+int64(time.Second) {
			return true
		}
	}
	return false
}

// serve begins the work of a process that has recovered.
func (w *world) serve(p *process) {
	w.note("state", w.states(p.b))
	for _, f := range p.b.Feeds {
		for _, l := range f.Links {
			k := &link{w: w, p: p, venue: f.Venue, l: l}
			p.links = append(p.links, k)
			k.dial(0)
		}
		w.every(p, -1, 12*time.Millisecond, func() { w.rest(p, f) })
	}
	w.every(p, stallShards, 5*time.Millisecond, func() {
		for i := range p.b.Shards() {
			for range 64 {
				if !p.b.Step(i) {
					break
				}
			}
		}
		p.b.Dispatch()
		for _, k := range p.links {
			k.talk()
		}
	})
}

func (w *world) states(b *pipeline.ByHand) string {
	var text strings.Builder
	for i := range b.Shards() {
		fmt.Fprintf(&text, "%d/%d %016x ", b.Generation(), b.Applied(i), b.Shard(i).StateHash())
	}
	return text.String()
}

// flush makes what a line wrote visible a moment later: in between a process
// may die.
func (w *world) flush(k *link) {
	w.after(between(w.schedule, 0, 200*time.Microsecond), func() {
		if k.alive() {
			k.l.Flush()
		}
	})
}

// end is the end of a process that does not see it coming.
func (w *world) end(cut bool, away time.Duration) {
	p := w.process
	if p == nil {
		return
	}
	w.process = nil
	p.fs.dead = true
	if p.started {
		w.ranTill = w.now
	}
	w.kill()
	for _, k := range p.links {
		if k.client != nil {
			k.client.Leave()
			k.client = nil
			w.unheard(k)
		}
	}
	w.disk = w.disk.Crash(cut)
	w.setDisk()
	if cut {
		w.memory = newMemory(w.memory.boot + 1)
		if w.cutAt == 0 {
			w.cutAt = w.ranTill // a start that failed did not drain anything
		}
		w.tally.PowerCuts++
	} else {
		w.tally.Kills++
	}
	if n := stream(w.o.Seed, fmt.Sprint("clock ", w.tally.Lives)); n.IntN(6) == 0 {
		w.skew = n.Int64N(int64(4*time.Second)) - int64(2*time.Second)
	}
	w.note("end", fmt.Sprintf("cut %v", cut))
	w.after(away, w.begin)
}

// snapshot takes one, if none is being taken.
func (w *world) snapshot() {
	p := w.process
	if p == nil || !p.started || p.busy || p.stopping {
		return
	}
	p.busy = true
	w.start(func() {
		err := p.b.Snapshot(context.Background())
		p.busy = false
		if err == nil {
			w.tally.Snapshots++
		}
		w.note("snapshot", fmt.Sprint(err))
	})
}

// stopCleanly stops the process as its user would.
func (w *world) stopCleanly(away time.Duration) {
	p := w.process
	if p == nil || !p.started || p.busy || p.stopping {
		return
	}
	p.stopping = true
	for _, k := range p.links {
		if k.client != nil {
			k.client.Leave()
			k.client = nil
			w.unheard(k)
			k.l.Ended(tick.ReasonStopped)
		}
	}
	w.note("stop", "")
	w.start(func() {
		ctx, cancel := w.Timeout(context.Background(), 20*time.Second)
		defer cancel()
		err := p.b.Stop(ctx)
		w.note("stopped", fmt.Sprint(err))
		w.after(0, func() {
			if w.process == p {
				w.end(false, away)
			}
		})
	})
}
