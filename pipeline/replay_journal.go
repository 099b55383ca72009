package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"tickproc/engine"
	"tickproc/internal/clock"
	"tickproc/internal/stat"
	"tickproc/ringbuf"
	"tickproc/tick"
	"tickproc/writer"
	"tickproc/writer/questdb"
)

// JournalReplayOptions say which part of which logs to replay, and where to.
type JournalReplayOptions struct {
	// Config says where the logs are, and QuestDB. Bars, windows, books and limits
	// are those that were in force.
	Config *Config
	// From and To bound what is replayed, by receive time, [From, To). The zero
	// From is as far back as the logs reach, the zero To is their end.
	From, To  time.Time
	ToQuestDB bool
	Logger    *slog.Logger
	// Progress is called now and then with the share of the input done.
	Progress func(done float64)
}

// ReplayJournal runs the logs of a data folder through shards and sinks, as a
// recovery does, and changes nothing in the folder, which a process may be
// using. The rows are those that the logged packets gave when they came. What an
// orderly end wrote of open intervals is written again at the end of a log that
// was closed in order, and left out where a run in the middle of it ended: that
// run's successor wrote it better.
func ReplayJournal(ctx context.Context, o JournalReplayOptions) (*ReplayReport, error) {
	r := &journalReplay{options: o, totals: &tradeTotals{}}
	if err := r.open(); err != nil {
		return nil, err
	}
	sinks := []writer.Sink{r.totals}
	if !o.ToQuestDB {
		return r.run(ctx, sinks)
	}
	database, err := openDatabase(ctx, o.Config, o.Logger, questdb.RepeatSame)
	if err != nil {
		return nil, err
	}
	report, err := r.run(ctx, append(sinks, database))
	return report, errors.Join(err, closeDatabase(ctx, database))
}

// openDatabase makes a sink that is no service's: its rows wait in memory.
func openDatabase(ctx context.Context, config *Config, logger *slog.Logger, repeat questdb.Repeat) (*questdb.Sink, error) {
	options := config.questDBOptions()
	options.Logger, options.DeadLetterDir, options.Repeat = logger, config.DataDir, repeat
	database, err := questdb.New(options)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if err := database.CheckSchema(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDependency, err)
	}
	database.Start()
	return database, nil
}

func closeDatabase(ctx context.Context, database *questdb.Sink) error {
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := database.Close(drain); err != nil {
		return fmt.Errorf("%w: %w", ErrDependency, err)
	}
	return nil
}

// journalReplay is a run over logs: one goroutine a shard reads and applies, one
// writes.
type journalReplay struct {
	options JournalReplayOptions
	totals  *tradeTotals
	source  *logSource
	start   *logStart
	units   uint64       // to be read
	read    stat.Counter // units, in the order of no shard
}

func (r *journalReplay) open() (err error) {
	if r.source, err = openLogSource(r.options.Config, r.options.Logger); err != nil {
		return err
	}
	if r.start, err = r.source.start(r.options.From); err != nil {
		return err
	}
	for _, s := range r.start.shards {
		r.units += s.log.End - min(s.log.End, s.at)
	}
	return nil
}

// replayedShard is what became of one.
type replayedShard struct {
	packets     uint64
	frames      frameCount
	first, last int64 // receive times of what was replayed
	hash        uint64
	standing    []engine.Report
	err         error
}

func (r *journalReplay) run(ctx context.Context, sinks []writer.Sink) (*ReplayReport, error) {
	policy := r.options.Config.waitPolicy()
	drivers, rows := make([]*engine.Driver, len(r.start.shards)), []*ringbuf.Ring(nil)
	for i, s := range r.start.shards {
		drivers[i] = &engine.Driver{Shard: s.shard, Merge: true, Waker: ringbuf.NewWaker(policy), Rows: ringbuf.New(rowRingUnits)}
		rows = append(rows, drivers[i].Rows)
	}
	w := writer.New(rows, ringbuf.NewWaker(ringbuf.Park), sinks...)
	var sharding, writing sync.WaitGroup
	var writeErr error
	writing.Go(func() { writeErr = w.Run(context.WithoutCancel(ctx)) })
	from, done := clock.Nanos(), make([]replayedShard, len(drivers))
	for i, d := range drivers {
		sharding.Go(func() {
			done[i] = r.shard(ctx, &r.start.shards[i], d)
			d.Rows.Close()
		})
	}
	stop := r.progress()
	sharding.Wait()
	stop()
	writing.Wait()
	report := r.report(done, float64(clock.Nanos()-from)/1e9)
	faults := []error{writeErr}
	for i := range done {
		faults = append(faults, done[i].err)
	}
	return report, errors.Join(faults...)
}

// shard replays one.
func (r *journalReplay) shard(ctx context.Context, s *logShard, d *engine.Driver) (out replayedShard) {
	p := newPeriod(r.options.From, r.options.To)
	if out.err = d.Introduce(); out.err != nil {
		return out
	}
	begun := false
	out.err = s.log.Read(s.at, func(position uint64, batch []tick.Unit) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.read.Add(uint64(1 + len(batch)))
		ahead, in := p.cut(batch)
		end := position + 1 + uint64(len(batch))
		d.Recover(ahead, end, false)
		if (p.begun || p.over) && !begun {
			begun = true
			d.Recover(tickAt(p.from-1), end, false) // what was due by then is of before
		}
		if len(in) > 0 {
			out.note(in)
			out.packets += uint64(d.Recover(in, end, true))
		}
		if p.over {
			return errPeriodOver
		}
		return nil
	})
	if errors.Is(out.err, errPeriodOver) {
		// What was due by then was written before the next packet was applied.
		out.err = nil
		d.Recover(tickAt(p.to-1), 0, true)
	}
	out.hash, out.standing = s.shard.StateHash(), s.shard.Reports(reportLevels)
	if out.err == nil && !p.over && s.log.Clean {
		s.shard.Finish()
		d.Flush()
	}
	return out
}

// note counts what is replayed.
func (x *replayedShard) note(batch []tick.Unit) {
	x.frames.note(batch)
	for ; len(batch) > 0; batch = batch[tick.PacketUnits(&batch[0]):] {
		h := batch[0].Header()
		if !movesTime(h.Kind) {
			continue
		}
		if x.first == 0 {
			x.first = h.ReceiveNanos
		}
		x.last = max(x.last, h.ReceiveNanos)
	}
}

// errPeriodOver ends a reading.
var errPeriodOver = errors.New("the period is over")

// frameCount counts the frames that gave the packets of a shard.
type frameCount struct {
	last   map[uint16]uint64 // by line
	frames uint64
}

func (c *frameCount) note(batch []tick.Unit) {
	if c.last == nil {
		c.last = map[uint16]uint64{}
	}
	for ; len(batch) > 0; batch = batch[tick.PacketUnits(&batch[0]):] {
		h := batch[0].Header()
		if h.Kind.Channel() != 0 && h.Ordinal != 0 && c.last[h.Line] != h.Ordinal {
			c.last[h.Line] = h.Ordinal
			c.frames++
		}
	}
}

// progress tells it until the returned function is called.
func (r *journalReplay) progress() (stop func()) {
	if r.options.Progress == nil || r.units == 0 {
		return func() {}
	}
	ended, telling := make(chan struct{}), sync.WaitGroup{}
	telling.Go(func() {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
				r.options.Progress(min(1, float64(r.read.Load())/float64(r.units)))
			}
		}
	})
	return func() {
		close(ended)
		telling.Wait()
	}
}

func (r *journalReplay) report(done []replayedShard, wall float64) *ReplayReport {
	report := &ReplayReport{WallSeconds: wall, Journal: &JournalReport{Snapshot: r.start.snapshot}}
	var hash uint64
	var first, last int64
	var standing []engine.Report
	for i := range done {
		x := &done[i]
		report.Frames += x.frames.frames
		report.Journal.Packets += x.packets
		hash += x.hash
		if x.first != 0 && (first == 0 || x.first < first) {
			first = x.first
		}
		last = max(last, x.last)
		standing = slices.Concat(standing, x.standing)
	}
	report.FramesPerSecond = float64(report.Frames) / wall
	report.StateHash = hashText(hash)
	report.Journal.From, report.Journal.To = momentText(first), momentText(last)
	report.Instruments = instrumentReports(standing, r.totals)
	return report
}
