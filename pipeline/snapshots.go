package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"tickproc/journal"
	"tickproc/tick"
	"tickproc/writer/spool"
)

// snapshots writes down what the shards are, so that a restart need not read
// their logs from the beginning:
//
//	barrier into every log ─► states, as the shards come by ─► logs and rows on disk up to there ─► commit
//
// A snapshot counts only when everything that it stands on is durable: then
// what lies before it in the logs is of no more use.
type snapshots struct {
	d       *durable
	streams []*stateStream // by shard
	mu      sync.Mutex     // one at a time
	// running ends before the drivers do: what still waits for them then gives up.
	running context.Context
	end     context.CancelFunc
}

// snapshotPatience bounds each step of a snapshot that waits for somebody.
const snapshotPatience = 30 * time.Second

// manifestExtra is what a snapshot's manifest says of ours.
type manifestExtra struct {
	Generation uint64 `json:"generation"` // of the logs
	Shards     int    `json:"shards"`
	// StateHash is the state of all shards, where they stood still: a start that
	// loads the snapshot must come to the same.
	StateHash string `json:"state_hash,omitempty"`
}

// extraOf reads what a manifest says of ours.
func extraOf(m *journal.Manifest) (extra manifestExtra, err error) {
	if err = json.Unmarshal(m.Extra, &extra); err != nil {
		err = fmt.Errorf("snapshot %d: %w", m.Number, err)
	}
	return extra, err
}

// newSnapshots makes every shard write its state at barriers. The drivers do not
// run yet.
func newSnapshots(d *durable) *snapshots {
	x := &snapshots{d: d}
	x.running, x.end = context.WithCancel(context.Background())
	for _, driver := range d.system.drivers {
		stream := newStateStream(driver.Logged, driver.Waker.Wake)
		driver.Shard.SnapshotTo(stream, 0)
		x.streams = append(x.streams, stream)
	}
	return x
}

// run takes one again and again until end, and one at once where another build
// ran before.
func (x *snapshots) run() {
	if x.d.run.Build != x.d.build {
		x.tryTake()
	}
	for x.running.Err() == nil {
		x.d.dir.pace.Wait(x.running, x.d.config.Snapshots.Every.Std())
		if x.running.Err() == nil {
			x.tryTake()
		}
	}
}

// now takes one while the drivers run.
func (x *snapshots) now(ctx context.Context) (number uint64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(x.running, cancel)()
	return x.take(ctx, x.d.system.barrier)
}

func (x *snapshots) tryTake() {
	if _, err := x.now(x.running); err != nil && x.running.Err() == nil {
		x.d.logger.Error("no snapshot could be taken, the last one stands", "error", err)
	}
}

// barrier asks a running shard for its state.
func (s *system) barrier(shard int, u tick.Unit) bool { return s.records[shard].write(u) }

// barrierNow asks a shard whose driver does not run.
func (s *system) barrierNow(shard int, u tick.Unit) bool {
	u.Header().ReceiveNanos = s.around.now()
	d := s.drivers[shard]
	if !d.Record([]tick.Unit{u}) {
		return false
	}
	d.Shard.SaveAll()
	return true
}

// takeStopped takes one of shards whose drivers do not run.
func (x *snapshots) takeStopped(ctx context.Context) (number uint64, err error) {
	return x.takeOf(ctx, x.d.system.barrierNow, x.d.system.stateHash)
}

// stateHash is that of all shards together; their drivers do not run.
func (s *system) stateHash() string {
	var sum uint64
	for _, d := range s.drivers {
		sum += d.Shard.StateHash()
	}
	return hashText(sum)
}

// hashText is a state's hash as people and files have it.
func hashText(sum uint64) string { return fmt.Sprintf("%016x", sum) }

// take takes one and returns its number. ask brings a barrier to a shard.
func (x *snapshots) take(ctx context.Context, ask func(shard int, barrier tick.Unit) bool) (number uint64, err error) {
	return x.takeOf(ctx, ask, func() string { return "" })
}

// takeOf takes one whose state, once the barriers are there, has a hash.
func (x *snapshots) takeOf(ctx context.Context, ask func(shard int, barrier tick.Unit) bool, stateHash func() string) (number uint64, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	started := time.Now()
	w, err := x.d.kept.Begin()
	if err != nil {
		return 0, err
	}
	defer w.Abort()
	ctx, cancel := x.d.dir.pace.Timeout(ctx, snapshotPatience)
	defer cancel()
	var u tick.Unit
	u.Header().Kind = tick.KindBarrier
	u.Barrier().Number = w.Number()
	for i := range x.streams {
		if !ask(i, u) {
			return 0, errors.New("the shards end")
		}
	}
	extra := manifestExtra{Generation: x.d.run.Generation, Shards: len(x.streams), StateHash: stateHash()}
	m := journal.Manifest{CreatedNanos: x.d.dir.now(), Build: x.d.build, Config: hashOptions(x.d.system.engineOptions()).String()}
	if m.Extra, err = json.Marshal(extra); err != nil {
		return 0, err
	}
	bytes := 0
	for i := range x.streams {
		position, n, err := x.collect(ctx, i, w)
		if err != nil {
			return 0, fmt.Errorf("shard %d: %w", i, err)
		}
		bytes += n
		m.Logs = append(m.Logs, journal.LogPosition{Shard: i, Identity: x.d.logs[i].Identity(), Position: position})
	}
	if err := x.awaitDurable(ctx, m.Logs); err != nil {
		return 0, err
	}
	if err := w.Commit(m); err != nil {
		return 0, err
	}
	for i, log := range x.d.logs {
		keep, err := x.d.kept.KeepFrom(i, log.Identity())
		if err != nil {
			return 0, err
		}
		log.Retain(keep)
	}
	if x.d.run.Build != x.d.build {
		// What another build had made of the log before this place is behind it, and
		// what this one made of it again is on disk.
		x.d.run.Build = x.d.build
		if err := x.d.dir.writeLastRun(x.d.run); err != nil {
			return 0, err
		}
	}
	x.d.logger.Info("snapshot", "number", w.Number(), "bytes", bytes, "took", time.Since(started).Round(time.Millisecond).String())
	return w.Number(), nil
}

// collect writes a shard's state into the snapshot, and returns its place in
// the log.
func (x *snapshots) collect(ctx context.Context, i int, w *journal.SnapshotWriter) (position uint64, bytes int, err error) {
	file, err := w.File(stateFile(i))
	if err != nil {
		return 0, 0, err
	}
	begun := false
	for {
		c, some := x.streams[i].next()
		if !some {
			if x.d.dir.pace.Wait(ctx, 0, x.streams[i].more); ctx.Err() != nil {
				return 0, 0, fmt.Errorf("the state does not come: %w", ctx.Err())
			}
			continue
		}
		last := false
		if c.number == w.Number() { // else it is of one that was given up
			if c.first {
				begun, position = true, c.position
			}
			_, err = file.Write(c.items)
			bytes += len(c.items)
			last = c.last
		}
		x.streams[i].done(c)
		if err != nil {
			return 0, 0, err
		}
		if last && begun {
			return position, bytes, nil
		}
	}
}

// durableEvery is how often it is looked whether all is durable.
const durableEvery = 2 * time.Millisecond

// awaitDurable waits until logs and rows are on disk up to the snapshot.
func (x *snapshots) awaitDurable(ctx context.Context, logs []journal.LogPosition) error {
	for _, p := range logs {
		for x.d.logs[p.Shard].Synced() < p.Position {
			if x.d.dir.pace.Wait(ctx, durableEvery); ctx.Err() != nil {
				return fmt.Errorf("the log of shard %d does not reach the disk: %w", p.Shard, ctx.Err())
			}
		}
	}
	for {
		covered, err := x.checkpoint(ctx)
		if err != nil {
			return err
		}
		if x.covers(covered, logs) {
			return nil
		}
		// Rows are still on their way to the sink.
		if x.d.dir.pace.Wait(ctx, durableEvery); ctx.Err() != nil {
			return fmt.Errorf("the rows do not reach the spool: %w", ctx.Err())
		}
	}
}

func (x *snapshots) checkpoint(ctx context.Context) (covered []spool.ShardMark, err error) {
	type answer struct {
		covered []spool.ShardMark
		err     error
	}
	answers, done := make(chan answer, 1), make(chan struct{}, 1)
	x.d.rows.Checkpoint(func(covered []spool.ShardMark, err error) {
		answers <- answer{covered, err}
		done <- struct{}{}
	})
	if x.d.dir.pace.Wait(ctx, 0, done) < 0 {
		return nil, fmt.Errorf("the rows do not reach the disk: %w", ctx.Err())
	}
	a := <-answers
	return a.covered, a.err
}

func (x *snapshots) covers(covered []spool.ShardMark, logs []journal.LogPosition) bool {
	for _, p := range logs {
		there := false
		for _, m := range covered {
			there = there || int(m.Shard) == p.Shard && m.Epoch == x.d.run.Generation && m.Position >= p.Position
		}
		if !there {
			return false
		}
	}
	return true
}
