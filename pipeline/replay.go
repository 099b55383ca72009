package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/internal/clock"
	"tickproc/ringbuf"
	"tickproc/tick"
	"tickproc/writer"
	"tickproc/writer/questdb"
)

// ReplayOptions say what to replay, and where to.
type ReplayOptions struct {
	Files []string
	// Venue of all files; "" = what each file says.
	Venue string
	// Speed is a multiple of real time; 0 = as fast as possible.
	Speed float64
	// Config gives bars, windows, book, limits, shards and QuestDB; its feeds
	// do not count.
	Config    *Config
	ToQuestDB bool
	Logger    *slog.Logger
	// Progress is called now and then with the share of the input done.
	Progress func(done float64)
}

// Replay runs captures through shards and sinks. The report depends on the
// captures and the options alone, but for its times. It is given beside an
// error where the replay itself went through.
func Replay(ctx context.Context, o ReplayOptions) (*ReplayReport, error) {
	r := newReplay(o)
	if err := r.open(); err != nil {
		return nil, err
	}
	defer r.close()
	sinks := []writer.Sink{r.totals}
	var database *questdb.Sink
	if o.ToQuestDB {
		var err error
		if database, err = openDatabase(ctx, o.Config, o.Logger, questdb.RepeatNone); err != nil {
			return nil, err
		}
		sinks = append(sinks, database)
	}
	report, err := r.run(ctx, sinks)
	if database != nil {
		if e := closeDatabase(ctx, database); err == nil {
			err = e
		}
	}
	return report, err
}

// replay is a run over captures: one goroutine reads and decodes, one a shard
// applies, one writes.
type replay struct {
	options     ReplayOptions
	engine      engine.Options
	totals      *tradeTotals
	files       []*replayFile
	lines       []*replayLine
	bytes       int64 // of all files
	tables      map[string]*venueTable
	instruments int
	routes      feeds.Routes
	drivers     []*engine.Driver
	out         *feeds.Output
	units       []tick.Unit
	frames      uint64
	errors      uint64
	firstError  error
	now         int64 // receive time of the record at hand
	ordinal     uint64
	started     time.Time
	firstRecv   int64
}

func newReplay(o ReplayOptions) *replay {
	return &replay{options: o, engine: o.Config.engineOptions(), totals: &tradeTotals{}, tables: map[string]*venueTable{}}
}

// run replays everything into sinks, which the caller closes.
func (r *replay) run(ctx context.Context, sinks []writer.Sink) (*ReplayReport, error) {
	shards := r.options.Config.ShardCount(cores())
	policy := r.options.Config.waitPolicy()
	rings := make([]*ringbuf.Ring, shards)
	var rows []*ringbuf.Ring
	for i := range rings {
		d := &engine.Driver{Shard: engine.NewShard(r.engine), Merge: true, Waker: ringbuf.NewWaker(policy), Rows: ringbuf.New(rowRingUnits)}
		rings[i] = ringbuf.New(r.options.Config.Rings.Units)
		rings[i].SetWaker(d.Waker)
		d.Inputs = []*ringbuf.Ring{rings[i]}
		r.drivers = append(r.drivers, d)
		rows = append(rows, d.Rows)
	}
	// A capture can wait, so that nothing is ever dropped for want of room.
	r.out = feeds.NewOutput(rings, &r.routes, feeds.OutputOptions{OverloadWait: 1 << 62})
	w := writer.New(rows, ringbuf.NewWaker(ringbuf.Park), sinks...)

	var sharding, writing sync.WaitGroup
	for _, d := range r.drivers {
		sharding.Go(func() { d.Run() })
	}
	var writeErr error
	writing.Go(func() { writeErr = w.Run(context.WithoutCancel(ctx)) })
	from := clock.Nanos()
	err := r.read(ctx)
	for _, ring := range rings {
		r.tick(ring)
	}
	r.out.Close()
	sharding.Wait()
	wall := float64(clock.Nanos()-from) / 1e9

	report := &ReplayReport{Frames: r.frames, WallSeconds: wall, FramesPerSecond: float64(r.frames) / wall, DecodeErrors: r.errors}
	var hash uint64
	var all []*engine.Shard
	for _, d := range r.drivers {
		hash += d.Shard.StateHash()
		all = append(all, d.Shard)
	}
	report.StateHash = hashText(hash)
	for _, f := range r.files {
		report.CaptureErrors += f.reader.Malformed
	}
	standing := standings(all)
	r.end()
	writing.Wait()
	report.Instruments = instrumentReports(standing, r.totals)
	switch {
	case err == nil:
		err = writeErr
	case r.frames == 0:
		return nil, err
	}
	if err == nil {
		err = r.unusable()
	}
	return report, err
}

// unusable says why the input was no market data at all, nil if it was, or if
// it was empty.
func (r *replay) unusable() error {
	for _, f := range r.files {
		if f.records == 0 && f.reader.Malformed > 0 {
			return fmt.Errorf("%w: %s is no capture: %s", ErrInput, f.path, f.reader.FirstMalformed)
		}
	}
	if r.frames == 0 || r.instruments > 0 {
		return nil
	}
	err := fmt.Errorf("%w: no market data in %d frames: say by --venue whose they are, one of %s", ErrInput, r.frames, strings.Join(Venues(), ", "))
	if r.firstError != nil {
		err = fmt.Errorf("%w; the first that could not be decoded: %w", err, r.firstError)
	}
	return err
}

// tick tells a shard the time of the end: what is due by then is written.
func (r *replay) tick(ring *ringbuf.Ring) {
	if r.now == 0 {
		return
	}
	r.out.Flush()
	var p [1]tick.Unit
	*p[0].Header() = tick.Header{Kind: tick.KindTick, ReceiveNanos: r.now}
	var backoff ringbuf.Backoff
	for !ring.Write(p[:]) {
		backoff.Pause()
	}
	ring.Publish()
}

// end says that every stream stopped, as the end of a run does, and writes
// what is open.
func (r *replay) end() {
	var stops []tick.Unit
	for _, l := range r.lines {
		stops = l.lower(stops, tick.ReasonStopped, r.stamp(l), 0)
	}
	for i, d := range r.drivers {
		for rest := stops; len(rest) > 0; rest = rest[1:] {
			if r.routes.Shard(rest[0].Header().Instrument) == i {
				d.Shard.Apply(rest[:1])
			}
		}
		d.Shard.Finish()
		d.Flush()
		d.Rows.Close()
	}
}

func (r *replay) stamp(l *replayLine) feeds.Stamp {
	return feeds.Stamp{Line: l.number, Ordinal: r.ordinal, ReceiveNanos: r.now}
}
