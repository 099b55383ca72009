package pipeline

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"tickproc/engine"
	"tickproc/internal/vfs"
	"tickproc/journal"
	"tickproc/tick"
)

// logSource is the logs, snapshots and configurations of a data folder as they
// are now, perhaps those of a running process. It changes nothing.
//
//	snapshot before a time ─► shards ◄─ each one's log from there on
type logSource struct {
	d         *durable
	snapshots []*journal.Snapshot // whole ones of the live logs, newest first
	options   map[optionsHash]engine.Options
	unread    []error // of configurations
	logger    *slog.Logger
}

func openLogSource(config *Config, logger *slog.Logger) (*logSource, error) {
	if _, err := os.Stat(config.DataDir); err != nil {
		return nil, fmt.Errorf("%w: data_dir: %w", ErrInput, err)
	}
	x := &logSource{d: &durable{dir: &dataDir{path: config.DataDir, around: machine}, config: config}, logger: logger}
	var err error
	if x.d.run, err = x.d.dir.readLastRun(); err != nil {
		return nil, err
	}
	if x.d.run.Generation == 0 {
		return nil, fmt.Errorf("%w: %s has no log: name the data_dir of a service that runs, or ran, with journal: enabled", ErrInput, config.DataDir)
	}
	if x.options, x.unread, err = x.d.dir.readOptions(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return x, x.findSnapshots()
}

// findSnapshots reads the snapshots. As at a start the newest says which logs
// are live.
func (x *logSource) findSnapshots() error {
	if _, err := os.Stat(x.d.dir.join("snapshots")); err != nil {
		return nil // none was taken yet
	}
	checked, err := journal.CheckSnapshots(vfs.OS, x.d.dir.path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	for _, c := range checked {
		var extra manifestExtra
		if c.Err == nil {
			extra, c.Err = extraOf(&c.Manifest)
		}
		switch {
		case c.Err != nil:
			x.logger.Warn("a snapshot cannot be used", "snapshot", c.Number, "error", c.Err)
		case len(x.snapshots) == 0:
			x.d.run.Generation, x.d.run.Shards = extra.Generation, extra.Shards
			x.snapshots = append(x.snapshots, c.Snapshot)
		case extra.Generation == x.d.run.Generation:
			x.snapshots = append(x.snapshots, c.Snapshot)
		}
	}
	return nil
}

// logStart is from where on the logs are read.
type logStart struct {
	snapshot uint64 // 0: the logs' beginning
	now      int64  // the latest logical now of its shards
	shards   []logShard
}

// logShard is a shard as it was at a place of its log.
type logShard struct {
	shard *engine.Shard
	at    uint64
	log   *journal.View
}

// start makes the shards what they were before a time; the zero time is as far
// back as the logs reach.
func (x *logSource) start(before time.Time) (*logStart, error) {
	var oldest *logStart
	if before.IsZero() {
		// The beginning is the best start, and the oldest snapshot stands in for it.
		s, err := x.beginning()
		if err != nil || s != nil {
			return s, err
		}
	}
	for i := range x.snapshots {
		s := x.snapshots[i]
		if before.IsZero() {
			s = x.snapshots[len(x.snapshots)-1-i]
		}
		at, err := x.load(s)
		if err != nil {
			return nil, err
		}
		if before.IsZero() || at.now < before.UnixNano() {
			return at, x.open(at)
		}
		oldest = at
	}
	s, err := x.beginning()
	switch {
	case err != nil || s != nil:
		return s, err
	case oldest == nil:
		return nil, fmt.Errorf("%w: %s: the logs do not reach back to their beginning and there is no whole snapshot: bring one back", ErrInput, x.d.dir.path)
	}
	return nil, fmt.Errorf("%w: --from %s: the logs of %s reach back to %s: say --from at or after that", ErrInput,
		before.UTC().Format(time.RFC3339Nano), x.d.dir.path, time.Unix(0, oldest.now+1).UTC().Format(time.RFC3339Nano))
}

// beginning starts with the logs' first packets; nil if they are gone.
func (x *logSource) beginning() (*logStart, error) {
	if x.d.run.Generation > 1 {
		return nil, nil // such logs begin with a snapshot
	}
	s := &logStart{shards: make([]logShard, x.d.run.Shards)}
	for i := range s.shards {
		s.shards[i].shard = engine.NewShard(x.d.config.engineOptions()) // the first record tells what was live
	}
	if err := x.open(s); err != nil {
		return nil, err
	}
	for i := range s.shards {
		if s.shards[i].log.First > 0 {
			return nil, nil
		}
	}
	return s, nil
}

// load starts with a snapshot.
func (x *logSource) load(from *journal.Snapshot) (*logStart, error) {
	s := &logStart{snapshot: from.Manifest.Number, shards: make([]logShard, x.d.run.Shards)}
	for i := range s.shards {
		at, there := from.Manifest.Log(i)
		if !there {
			return nil, fmt.Errorf("%w: snapshot %d does not have shard %d of %d", ErrInput, s.snapshot, i, len(s.shards))
		}
		shard, err := loadState(from, i)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInput, err)
		}
		s.shards[i] = logShard{shard: shard, at: at.Position}
		s.now = max(s.now, shard.Now())
	}
	return s, nil
}

// open looks at the logs from a start on.
func (x *logSource) open(s *logStart) error {
	for i := range s.shards {
		l := &s.shards[i]
		o := x.d.logOptions(i, l.at)
		var err error
		if l.log, err = journal.Inspect(o); err != nil {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		for _, damage := range l.log.Damages {
			if o.OnDamage == journal.Refuse {
				return fmt.Errorf("%w: %w", ErrInput, &journal.DamagedError{Damages: l.log.Damages})
			}
			x.logger.Warn("the log is damaged, what is missing is left out", "shard", i, "where", damage.String())
		}
		if len(x.unread) > 0 {
			if err := x.d.dir.knowsOptions(i, l.log, l.at, x.options); err != nil {
				return err
			}
		}
		for hash, options := range x.options {
			l.shard.Learn(hash, options)
		}
	}
	return nil
}

// period is what lies between two times of a shard's log, in the log's order: it
// begins with the first packet that was received at or after from, and ends
// ahead of the first at or after to. Records that do not move a shard's time are
// of the same side as what is before them. 0 = no bound.
type period struct {
	from, to    int64
	begun, over bool
}

func newPeriod(from, to time.Time) period {
	nanos := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixNano()
	}
	p := period{from: nanos(from), to: nanos(to)}
	p.begun = p.from == 0
	return p
}

// cut divides a batch into what is ahead of the period and what is in it.
func (p *period) cut(batch []tick.Unit) (ahead, in []tick.Unit) {
	begin := 0
	for at := 0; at < len(batch); at += tick.PacketUnits(&batch[at]) {
		h := batch[at].Header()
		moves := movesTime(h.Kind)
		p.begun = p.begun || moves && h.ReceiveNanos >= p.from
		switch {
		case p.to != 0 && moves && h.ReceiveNanos >= p.to:
			p.over = true
			return batch[:begin], batch[begin:at]
		case !p.begun:
			begin = at + tick.PacketUnits(&batch[at])
		}
	}
	return batch[:begin], batch[begin:]
}

// movesTime reports whether a packet's receive time becomes logical now.
func movesTime(kind tick.Kind) bool {
	return kind != tick.KindBarrier && kind != tick.KindConfig && kind != tick.KindClockStep
}

// tickAt is a packet that tells the time.
func tickAt(nanos int64) []tick.Unit {
	var u tick.Unit
	*u.Header() = tick.Header{Kind: tick.KindTick, ReceiveNanos: nanos}
	return []tick.Unit{u}
}
