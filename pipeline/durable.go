package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"tickproc/engine"
	"tickproc/internal/vfs"
	"tickproc/journal"
	"tickproc/tick"
	"tickproc/writer/spool"
)

// durable keeps what the shards are given and what they have become, so that a
// process that was killed goes on where it was:
//
//	packets ─► log (ring on tmpfs, segments on disk) ─► shard ─► rows ─► spool
//	                                                      └► snapshots
//	restart:   newest snapshot ─► shard ◄─ the log behind it;  rows that the spool lacks ─► spool
type durable struct {
	system *system
	dir    *dataDir
	config *Config
	logger *slog.Logger
	rows   rowStore
	run    lastRun
	build  string
	kept   *journal.Snapshots
	newest *journal.Snapshot // nil: there is none

	logs      []*journal.Log // by shard
	closing   sync.Mutex     // guards closed
	closed    bool
	drain     context.CancelFunc
	draining  sync.WaitGroup
	snapshots *snapshots
	holding   sync.Mutex                                                        // of holdFeeds
	recovered func(shard int, generation, end uint64)                           // likewise
	logged    func(shard int, generation uint64, batch []tick.Unit, end uint64) // nil: nobody listens
}

// rowStore is a sink that keeps rows beyond the process.
type rowStore interface {
	// Marks says up to where in each shard's log every row is kept, as of the start.
	Marks() map[uint16]spool.Mark
	// Checkpoint makes durable what was written, and then calls done with up to
	// where that covers the logs, on another goroutine.
	Checkpoint(done func(covered []spool.ShardMark, err error))
}

// openDurable reads what the last process left. The number of shards is that of
// its logs, whatever the configuration says: resize changes it afterwards.
func openDurable(dir *dataDir, config *Config, logger *slog.Logger, rows rowStore) (*durable, error) {
	d := &durable{dir: dir, config: config, logger: logger, rows: rows}
	var err error
	if memory := d.memoryDir(); memory != "" {
		// Before a ring of a process that was killed is believed.
		if err := vfs.CheckOwn(memory); err != nil {
			return nil, fmt.Errorf("%w: journal.memory_dir: %w", ErrInput, err)
		}
	}
	if d.run, err = dir.readLastRun(); err != nil {
		return nil, err
	}
	if d.build, err = dir.buildID(); err != nil {
		return nil, fmt.Errorf("the program cannot be named: %w", err)
	}
	if err := vfs.MakeDir(dir.fs, dir.join("journal")); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if err := d.findSnapshot(); err != nil {
		return nil, err
	}
	if d.run.Generation == 0 {
		d.run = lastRun{Generation: 1, Shards: config.ShardCount(cores()), Build: d.build}
		if err := dir.writeLastRun(d.run); err != nil {
			return nil, fmt.Errorf("data_dir: %w", err)
		}
	}
	return d, nil
}

// findSnapshot looks for the newest snapshot. It says which logs are live: a
// process may have been killed between beginning new ones and noting that.
func (d *durable) findSnapshot() (err error) {
	if d.kept, err = journal.OpenSnapshots(d.dir.fs, d.dir.path); err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	var passed []journal.PassedOver
	if d.newest, passed, err = d.kept.Newest(); err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	for _, p := range passed {
		d.logger.Error("a snapshot cannot be used, an older one or the log stands in", "snapshot", p.Number, "error", p.Err)
	}
	if d.newest == nil {
		if d.run.Generation > 1 {
			return fmt.Errorf("%w: data_dir %s: %w", ErrInput, d.dir.path, errNoBeginning)
		}
		return nil
	}
	extra, err := extraOf(&d.newest.Manifest)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	if extra.Generation < d.run.Generation {
		return fmt.Errorf("%w: data_dir %s: %w; snapshot %d is of logs that are gone", ErrInput, d.dir.path, errNoBeginning, d.newest.Manifest.Number)
	}
	if d.run.Generation != 0 && d.run.Generation < extra.Generation { // killed before that was noted
		d.run.Generation, d.run.Shards = extra.Generation, extra.Shards
		if err := d.dir.writeLastRun(d.run); err != nil {
			return fmt.Errorf("data_dir: %w", err)
		}
	}
	d.run.Generation, d.run.Shards = extra.Generation, extra.Shards
	if err := d.removeOlder(); err != nil { // killed before they were gone
		return fmt.Errorf("data_dir: %w", err)
	}
	return d.reachRows()
}

// reachRows goes back to where the spool still has the rows. A snapshot is
// committed when it has those before it: if it has not, it was moved away or its
// files were cut, and the log can make them again.
func (d *durable) reachRows() error {
	marks := d.rows.Marks()
	has := func(m *journal.Manifest) bool {
		for _, log := range m.Logs {
			if mark := marks[uint16(log.Shard)]; mark.Epoch != d.run.Generation || mark.Position < log.Position {
				return false
			}
		}
		return true
	}
	if has(&d.newest.Manifest) {
		return nil
	}
	newest := d.newest.Manifest.Number
	checked, err := journal.CheckSnapshots(d.dir.fs, d.dir.path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	for _, c := range checked {
		if c.Err != nil || !has(&c.Manifest) {
			continue
		}
		if extra, err := extraOf(&c.Manifest); err == nil && extra.Generation == d.run.Generation {
			d.newest = c.Snapshot
			d.logger.Error("the spool lacks rows from before the newest snapshot: an older one is taken, and they are made again", "newest", newest, "taken", c.Number)
			return nil
		}
	}
	if d.run.Generation == 1 && d.fromBeginning() {
		d.newest = nil
		d.logger.Error("the spool lacks rows from before the newest snapshot: the logs are read from their beginning, and they are made again", "newest", newest)
		return nil
	}
	d.logger.Error("the spool lacks rows from before the newest snapshot, and neither an older one nor the logs' beginning is there to make them again: those that QuestDB does not have are lost, and lie in no gap (tickproc verify tells of bars that miss trades)",
		"snapshot", newest)
	return nil
}

// fromBeginning reports whether every log is there from its first batch on.
func (d *durable) fromBeginning() bool {
	for shard := range d.run.Shards {
		if first, err := journal.First(d.dir.fs, d.logOptions(shard, 0).Dir, shard); err != nil || first > 0 {
			return false
		}
	}
	return true
}

// errNoBeginning: logs of a later generation mean nothing without the snapshot
// that they begin with.
var errNoBeginning = errors.New("the logs begin with a snapshot, and no snapshot of theirs can be used: bring the folder snapshots back from a copy, or " + beginAnew)

// beginAnew is the remedy where there is no other.
const beginAnew = "begin with another data_dir, which knows nothing of what was not seen since this one's end: that lies in no gap, and gaps that are open stay so"

// recover makes the shards what they were, and everything that comes from here
// on logged. The writer runs.
func (d *durable) recover(s *system) error {
	d.system = s
	if err := d.keepOptions(); err != nil {
		return err
	}
	configs, err := d.dir.allOptions()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	shards, marks := make([]recoveredShard, len(s.drivers)), d.rows.Marks()
	d.each(func(i int) { shards[i] = d.recoverShard(i, configs, marks[uint16(i)]) })
	var faults []error
	for i := range shards {
		faults = append(faults, shards[i].err)
		d.logs = append(d.logs, shards[i].log)
	}
	if err := errors.Join(faults...); err != nil {
		return errors.Join(err, d.closeLogs())
	}
	d.tell(shards)
	d.compare(shards)
	if d.recovered != nil {
		for i := range shards {
			d.recovered(i, d.run.Generation, shards[i].end)
		}
	}
	d.snapshots = newSnapshots(d)
	holes := slices.ContainsFunc(shards, func(r recoveredShard) bool { return r.hole })
	if d.beyond(shards, marks) || holes {
		if err := d.newGeneration(); err != nil {
			return errors.Join(err, d.closeLogs())
		}
	}
	d.drive()
	for i, driver := range s.drivers {
		if err := d.begin(i, driver); err != nil {
			return errors.Join(err, d.close())
		}
	}
	return nil
}

// appendTo is how a shard's driver logs.
func (d *durable) appendTo(i int) func(batch []tick.Unit) uint64 {
	log, tell, generation := d.logs[i], d.logged, d.run.Generation
	if tell == nil {
		return log.Append
	}
	return func(batch []tick.Unit) uint64 {
		end := log.Append(batch)
		if end != 0 {
			tell(i, generation, batch, end)
		}
		return end
	}
}

// each does something for every shard, for all at once where it may.
func (d *durable) each(do func(shard int)) {
	var all sync.WaitGroup
	for i := range d.system.drivers {
		if d.dir.hand != nil {
			do(i)
		} else {
			all.Go(func() { do(i) })
		}
	}
	all.Wait()
}

// drive has everything logged that comes from here on, and the logs written.
func (d *durable) drive() {
	for i, driver := range d.system.drivers {
		driver.Log, driver.Epoch = d.appendTo(i), d.run.Generation
	}
	d.startDraining()
}

func (d *durable) startDraining() {
	if d.dir.hand != nil {
		return
	}
	var drain context.Context
	drain, d.drain = context.WithCancel(context.Background())
	for _, log := range d.logs {
		d.draining.Go(func() { log.Run(drain) })
	}
}

// recoveredShard is what became of one.
type recoveredShard struct {
	log     *journal.Log
	found   journal.Found
	from    uint64 // the snapshot's position; 0 without one
	loaded  uint64 // hash of the state that was loaded
	packets int
	// hole: behind end there is damage, and nothing behind that was applied.
	hole    bool
	end     uint64        // of what was applied
	loading time.Duration // the state, and where the log begins
	reading time.Duration // the log, into the shard
	err     error
}

// errHole ends the reading of a log.
var errHole = errors.New("a part of the log is missing")

// recoverShard loads a shard, and applies the log behind under the configurations
// that it names.
func (d *durable) recoverShard(i int, configs map[optionsHash]engine.Options, mark spool.Mark) (r recoveredShard) {
	started := time.Now()
	driver, newest := d.system.drivers[i], d.newest
	var at journal.LogPosition
	if newest != nil {
		var there bool
		if at, there = newest.Manifest.Log(i); !there {
			r.err = fmt.Errorf("%w: snapshot %d does not have shard %d of %d", ErrInput, newest.Manifest.Number, i, len(d.system.drivers))
			return r
		}
		r.from = at.Position
	}
	o := d.logOptions(i, r.from)
	o.Expect = at.Identity
	r.log, r.found, r.err = journal.Open(o)
	switch {
	case errors.Is(r.err, journal.ErrAnotherLog):
		r.err = fmt.Errorf("%w: snapshot %d and the log of shard %d do not belong together: %w: bring the files of %s back that do, or %s",
			ErrInput, newest.Manifest.Number, i, r.err, d.dir.path, beginAnew)
		return r
	case errors.Is(r.err, syscall.ENOSPC):
		r.err = fmt.Errorf("%w: %w: make room on that disk (journal: segment and reserve say how much a log takes) and start again: nothing is seen until then", ErrInput, r.err)
		return r
	case r.err != nil:
		r.err = fmt.Errorf("%w: %w", ErrInput, r.err)
		return r
	case newest == nil && (r.found.First > 0 || d.run.Generation > 1):
		r.err = fmt.Errorf("%w: shard %d: no snapshot can be used, and the log does not reach back to its beginning: bring a snapshot back, or %s", ErrInput, i, beginAnew)
		return r
	}
	if newest != nil {
		shard, err := loadState(newest, i)
		if err != nil {
			r.err = fmt.Errorf("%w: %w", ErrInput, err)
			return r
		}
		driver.Shard, d.system.compared[i] = shard, shard.CountLines(d.system.comparedLines())
		r.loaded = shard.StateHash()
	}
	for hash, o := range configs {
		driver.Shard.Learn(hash, o)
	}
	if r.err = driver.Introduce(); r.err != nil {
		return r
	}
	driver.Epoch = d.run.Generation
	kept := uint64(0) // the rows up to here need not be made again
	if d.run.Build == d.build && mark.Epoch == d.run.Generation {
		kept = mark.Position
	}
	loaded := time.Now()
	r.loading, r.end = loaded.Sub(started), r.from
	if newest == nil {
		r.end = r.found.First
	}
	r.err = r.log.Read(r.end, func(position uint64, batch []tick.Unit) error {
		if position != r.end {
			return errHole
		}
		if err := d.dir.knowsNamed(i, batch, configs); err != nil {
			return err
		}
		r.end = position + 1 + uint64(len(batch))
		r.packets += driver.Recover(batch, r.end, r.end > kept)
		return nil
	})
	r.reading = time.Since(loaded)
	if errors.Is(r.err, errHole) || r.err == nil && r.end < r.found.End {
		// A definition, or a line's finer scale, may be what is missing: packets
		// behind it would be read wrongly.
		r.hole, r.err = true, nil
	}
	return r
}

// tell says what was recovered.
func (d *durable) tell(shards []recoveredShard) {
	for i, r := range shards {
		switch {
		case r.found.New:
			d.logger.Info("a new log", "shard", i)
			continue
		case r.found.Clean:
			d.logger.Info("the last run ended cleanly", "shard", i)
		default:
			d.logger.Info("the last run did not end cleanly", "shard", i)
		}
		d.logger.Info("recovered", "shard", i, "snapshot_position", r.from, "packets", r.packets, "loading", r.loading.Round(time.Millisecond).String(),
			"reading", r.reading.Round(time.Millisecond).String(), "packets_per_second", int64(float64(r.packets)/max(r.reading.Seconds(), 1e-6)), "state", hashText(d.system.drivers[i].Shard.StateHash()))
		if r.found.RingLost {
			d.logger.Error("the part of the log in memory is gone: up to the sync window before the end may be missing, and lies in gaps", "shard", i)
		}
		for _, x := range r.found.Cuts {
			d.logger.Warn("the log ended within a batch, which was cut off", "shard", i, "where", x.String())
		}
		for _, x := range r.found.Covered {
			d.logger.Warn("the log was damaged on disk, and is written anew from memory: nothing is missing, but look at the disk", "shard", i, "where", x.String())
		}
		for _, x := range r.found.Damages {
			d.logger.Error("the log is damaged, what is missing lies in gaps", "shard", i, "where", x.String())
		}
		if r.hole {
			d.logger.Error("what was logged behind the damage is not applied: the interval from there on lies in gaps", "shard", i, "applied_to", r.end, "log_ends", r.found.End)
		}
	}
}

// compare looks whether the state that was loaded is the one that was written.
// A hash is of the build that made it.
func (d *durable) compare(shards []recoveredShard) {
	if d.newest == nil || d.newest.Manifest.Build != d.build {
		return
	}
	extra, _ := extraOf(&d.newest.Manifest) // it was read before
	var sum uint64
	for _, r := range shards {
		sum += r.loaded
	}
	if extra.StateHash != "" && extra.StateHash != hashText(sum) {
		d.logger.Error("BUG: the state that was loaded is not the one that was written", "snapshot", d.newest.Manifest.Number, "loaded", hashText(sum), "written", extra.StateHash)
	}
}

// beyond reports that the spool has rows of places that a log does not reach.
func (d *durable) beyond(shards []recoveredShard, marks map[uint16]spool.Mark) (some bool) {
	for i, r := range shards {
		mark := marks[uint16(i)]
		if mark.Epoch != d.run.Generation || mark.Position <= r.found.End {
			continue
		}
		some = true
		if r.found.New {
			d.logger.Error("the spool has rows of a log that is gone, and of which no snapshot is left: what was not seen since they were made lies in no gap, and gaps that are open stay so",
				"shard", i, "rows_end", mark.Position)
		} else {
			d.logger.Error("the log ends before the rows that were made of it: the power failed, and what is missing lies in gaps",
				"shard", i, "log_ends", r.found.End, "rows_end", mark.Position)
		}
	}
	return some
}

// newGeneration begins new logs with a snapshot of what the shards are: no place
// of a log may have two meanings. Until the snapshot counts, the old ones do.
func (d *durable) newGeneration() error {
	if err := d.closeLogs(); err != nil {
		return err
	}
	d.logs, d.closed = nil, false
	d.run.Generation++
	// What a killed process left of an attempt.
	for _, left := range []string{d.dir.join("journal", fmt.Sprint(d.run.Generation)), d.logOptions(0, 0).RingDir} {
		if left == "" {
			continue // the rings are not in a folder of their own
		}
		if err := vfs.RemoveAll(d.dir.fs, left); err != nil {
			return err
		}
	}
	if h := d.dir.hand; h != nil {
		h.forget(d.run.Generation)
	}
	for i, driver := range d.system.drivers {
		log, _, err := journal.Open(d.logOptions(i, 0))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		d.logs = append(d.logs, log)
		driver.Log, driver.Epoch = d.appendTo(i), d.run.Generation
	}
	d.startDraining()
	defer d.stopDraining()
	if _, err := d.snapshots.takeStopped(context.Background()); err != nil {
		return err
	}
	if err := d.dir.writeLastRun(d.run); err != nil {
		return err
	}
	return d.removeOlder()
}

// removeOlder removes the logs of generations that are over.
func (d *durable) removeOlder() error {
	dir := d.dir.join("journal")
	entries, err := d.dir.fs.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if n, bad := strconv.ParseUint(e.Name, 10, 64); bad == nil && n < d.run.Generation {
			err = errors.Join(err, vfs.RemoveAll(d.dir.fs, filepath.Join(dir, e.Name)))
		}
	}
	return err
}

// start takes snapshots while the drivers run, until end is called.
func (d *durable) start() (end func()) {
	var taking sync.WaitGroup
	taking.Go(d.snapshots.run)
	return func() {
		d.snapshots.end()
		taking.Wait()
	}
}

// giveUpAfter lets drivers that wait for a log which nobody empties end, unless
// the returned function is called before.
func (d *durable) giveUpAfter(patience time.Duration) (ended func()) {
	timer := time.AfterFunc(patience, func() {
		d.logger.Error("the logs take nothing: what still waits for them is not applied", "reasons", d.troubles())
		if err := d.close(); err != nil {
			d.logger.Error("the logs do not end cleanly", "error", err)
		}
	})
	return func() { timer.Stop() }
}

// finish writes down what the shards have become. The drivers have ended.
func (d *durable) finish() {
	if d.closed {
		return // they took nothing
	}
	if _, err := d.snapshots.takeStopped(context.Background()); err != nil {
		d.logger.Error("no last snapshot could be taken: the next start reads more of the log", "error", err)
	}
}

// begin logs and applies what a restart means to a shard, and what it is
// configured to do from here on.
func (d *durable) begin(i int, driver *engine.Driver) error {
	now := d.dir.now()
	packets := driver.Shard.AppendRestart(nil, now)
	packets, u := tick.AppendUnits(packets, 1)
	*u[0].Config() = tick.Config{Header: tick.Header{Kind: tick.KindConfig, ReceiveNanos: now}, Hash: hashOptions(d.system.engineOptions())}
	if !driver.Record(packets) {
		return d.logClosed(i)
	}
	if err := d.logs[i].Acknowledge(); err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	return nil
}

func (d *durable) logClosed(i int) error {
	return fmt.Errorf("%w: the log of shard %d takes nothing: %s", ErrInput, i, d.logs[i].Status().Reason)
}

// keepOptions makes the configuration of the shards known to whoever reads the
// log later.
func (d *durable) keepOptions() error {
	if err := d.dir.keepOptions(d.system.engineOptions()); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	return nil
}

// logOptions are those of a shard's log.
func (d *durable) logOptions(shard int, from uint64) journal.Options {
	c := &d.config.Journal
	o := journal.Options{Dir: d.dir.join("journal", fmt.Sprint(d.run.Generation)), Shard: shard,
		RingBytes: roundUp(int64(c.Memory)), SegmentBytes: int64(c.Segment) &^ (tick.UnitSize - 1), ReserveBytes: int64(c.Reserve) &^ (tick.UnitSize - 1), SyncEvery: c.Sync.Std(),
		RetainBytes: int64(c.Keep), RetainAge: c.KeepFor.Std(), From: from}
	if c.Damage == "skip" {
		o.OnDamage = journal.Skip
	}
	o.FS, o.Now = d.dir.fs, d.dir.now
	if h := d.dir.hand; h != nil {
		o.Memory, o.NewIdentity = h.memory(d.run.Generation), func() journal.Identity { return journal.Identity(h.identity()) }
	} else if memory := d.memoryDir(); memory != "" {
		o.RingDir = filepath.Join(memory, fmt.Sprint(d.run.Generation))
	} else {
		o.RingOnDisk = true
	}
	o.OnState = func(s journal.Status) {
		d.holdFeeds()
		switch s.State {
		case journal.Healthy:
			d.logger.Info("the log is written again", "shard", shard)
		case journal.Behind:
			d.logger.Warn("the disk is slower than the market", "shard", shard, "reason", s.Reason)
		default:
			d.logger.Error("the log cannot be written", "shard", shard, "state", s.State.String(), "reason", s.Reason)
		}
	}
	return o
}

// memoryDir is where the rings of all generations are; "" where they are not in
// memory, or not in files.
func (d *durable) memoryDir() string {
	if d.dir.hand != nil {
		return ""
	}
	if _, err := os.Stat(d.config.Journal.MemoryDir); err != nil {
		return ""
	}
	return filepath.Join(d.config.Journal.MemoryDir, "tickproc-"+d.dir.name())
}

// roundUp is the next power of two.
func roundUp(n int64) int64 { return 1 << bits.Len64(uint64(n-1)) }

// troubles says, a line each, why packets may not reach the disk.
func (d *durable) troubles() (why []string) {
	for i, log := range d.logs {
		if s := log.Status(); s.State.Refuses() {
			why = append(why, fmt.Sprintf("log of shard %d: %s", i, s.Reason))
		}
	}
	return why
}

// close ends the logs. The drivers have ended.
func (d *durable) close() error {
	d.stopDraining()
	return d.closeLogs()
}

func (d *durable) stopDraining() {
	if d.drain != nil {
		d.drain()
		d.draining.Wait()
	}
}

// closeLogs closes them once.
func (d *durable) closeLogs() error {
	d.closing.Lock()
	defer d.closing.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	var faults []error
	for _, log := range d.logs {
		if log != nil {
			faults = append(faults, log.Close())
		}
	}
	// Rings are gone after a clean end; folders that hold others stay.
	if ring := d.logOptions(0, 0).RingDir; ring != "" && d.dir.hand == nil {
		_ = os.Remove(ring)
		_ = os.Remove(filepath.Dir(ring))
	}
	return errors.Join(faults...)
}
