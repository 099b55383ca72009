package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"tickproc/feeds"
	"tickproc/internal/clock"
	"tickproc/internal/hardware"
	"tickproc/ops"
	"tickproc/tick"
	"tickproc/writer"
	"tickproc/writer/questdb"
)

// RunOptions start the service.
type RunOptions struct {
	Config  *Config
	Logger  *slog.Logger
	Version string
	// Path is the file that Config was read from, for Reload.
	Path string
	// Reload makes the service load Path again; nil = never.
	Reload <-chan os.Signal
}

// schemaPatience is how long the start waits for QuestDB's tables. A database
// that is away is no reason to miss the market.
const schemaPatience = 5 * time.Second

// Run runs the service until ctx ends, then delivers what was accepted.
func Run(ctx context.Context, o RunOptions) error {
	dir, err := openDataDir(o.Config.DataDir)
	if err != nil {
		return err
	}
	defer dir.close()
	options := o.Config.questDBOptions()
	options.Logger, options.DeadLetterDir = o.Logger, o.Config.DataDir
	options.SpoolDir, options.Spool = dir.join("spool"), o.Config.spoolOptions()
	database, err := questdb.New(options)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	if err := checkTables(ctx, database, o.Logger); err != nil {
		return errors.Join(err, database.Close(ctx))
	}
	database.Start()
	o.Logger.Info("starting", "version", o.Version, "instance", o.Config.Instance, "questdb", maskURL(o.Config.QuestDB.URL))
	return serve(ctx, o, database, database, dir)
}

// deliver waits until QuestDB has what was accepted, but not for ever.
func deliver(ctx context.Context, database *questdb.Sink) error {
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := database.Close(drain); err != nil {
		return fmt.Errorf("%w: %w", ErrDependency, err)
	}
	if n := database.Left(); n > 0 {
		return fmt.Errorf("%w: %d rows wait in the spool for QuestDB: the next start delivers them", ErrDependency, n)
	}
	return nil
}

// checkTables refuses to start on tables that cannot take our rows.
func checkTables(ctx context.Context, database *questdb.Sink, logger *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, schemaPatience)
	defer cancel()
	err := database.CheckSchema(ctx)
	switch {
	case errors.Is(err, questdb.ErrSchema):
		return fmt.Errorf("%w: %w", ErrDependency, err)
	case err != nil:
		logger.Warn("QuestDB does not answer: going on, rows wait in the spool", "error", err)
	}
	return nil
}

// RecordOnly records raw frames until ctx ends, without a database.
func RecordOnly(ctx context.Context, o RunOptions) error {
	config := *o.Config
	config.Record.Enabled = On
	o.Config = &config
	o.Logger.Info("recording", "version", o.Version, "dir", config.recordDir())
	return serve(ctx, o, writer.NewMemory(0), nil, nil)
}

// serve runs feeds, shards, writer and the metrics endpoint until ctx ends. What
// outlives the process is in dir, which is nil if nothing does.
func serve(ctx context.Context, o RunOptions, sink writer.Sink, database *questdb.Sink, dir *dataDir) (err error) {
	var serving sync.WaitGroup
	defer serving.Wait()
	serveCtx, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	t := o.Config.Runtime.tune(os.LookupEnv, hardware.MemoryLimit())
	t.apply(o.Logger)
	for _, advice := range o.Config.threads(cores(), thisMachine()).advice {
		o.Logger.Warn(advice)
	}
	if database != nil {
		// The endpoint still answers: it shows how the delivery goes on.
		defer func() { err = errors.Join(err, deliver(ctx, database)) }()
	}
	s, err := newDurableSystem(o, sink, database, dir)
	if err != nil {
		return err
	}
	if dir != nil {
		options := o.Config.questDBOptions()
		options.Logger = o.Logger
		id, err := dir.lease()
		if err != nil {
			s.abandon()
			return fmt.Errorf("data_dir: %w", err)
		}
		s.watch = questdb.NewWatch(options, questdb.Lease{ID: id, Instance: o.Config.Instance})
		if captures := o.Config.recordDir(); captures != "" {
			k := captureKeeper{dir: captures, bytes: int64(o.Config.Record.Keep), age: o.Config.Record.KeepFor.Std(), logger: o.Logger}
			serving.Go(func() { k.run(serveCtx) })
		}
	}
	if err := s.addFeeds(ctx); err != nil {
		s.abandon()
		return err
	}
	if dir != nil {
		if err := s.share(); err != nil {
			s.abandon()
			return err
		}
	}
	if o.Config.Metrics.Listen != ListenNone {
		registry := ops.NewRegistry()
		s.register(registry, database)
		watch := &watchdog{system: s}
		server, err := ops.NewServer(ops.Options{Listen: o.Config.Metrics.Listen, AllowNonLoopback: o.Config.Metrics.Expose,
			Stuck: watch.stuck, NotReady: func() []string { return s.notReady(database) }}, registry)
		if err == nil {
			err = server.Start()
		}
		if err != nil {
			s.abandon()
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		o.Logger.Info("metrics", "url", "http://"+server.Addr()+"/metrics")
		serving.Go(func() {
			if err := server.Run(serveCtx); err != nil {
				o.Logger.Error("metrics endpoint ended", "error", err)
			}
		})
	}
	if dir != nil {
		control, err := ops.NewControl(dir.join(socketName), s.commands(database))
		if err != nil {
			o.Logger.Warn("the service takes no commands", "error", err)
		} else {
			serving.Go(func() {
				if err := control.Run(serveCtx); err != nil {
					o.Logger.Error("the service takes no more commands", "error", err)
				}
			})
		}
		serving.Go(func() { s.watch.Run(serveCtx) })
	}
	serving.Go(func() { s.reloadOn(serveCtx, o.Reload, o.Path) })
	o.Config.Runtime.lockMemory(o.Logger)
	s.run(ctx)
	if s.durable != nil {
		return s.durable.close()
	}
	return nil
}

// newDurableSystem assembles a system that is what the last process left, if
// there is a folder for that.
func newDurableSystem(o RunOptions, sink writer.Sink, rows rowStore, dir *dataDir) (*system, error) {
	if dir == nil || o.Config.Journal.Enabled != On {
		return newSystem(o.Config, o.Logger, sink), nil
	}
	durable, err := openDurable(dir, o.Config, o.Logger, rows)
	if err != nil {
		return nil, err
	}
	if dir.hand == nil {
		warnOfSlowMemory(o.Config.Journal.MemoryDir, o.Logger)
	}
	if err := durable.checkOptions(); err != nil {
		return nil, err
	}
	s := durable.assemble(o, sink, durable.run.Shards)
	s.startWriting()
	if err := durable.recover(s); err != nil {
		s.endWriting()
		return nil, err
	}
	if shards := o.Config.ShardCount(cores()); shards != durable.run.Shards {
		if s, err = durable.resize(s, o, sink, shards); err != nil {
			return nil, err
		}
	}
	s.adopt()
	return s, nil
}

// addFeeds fetches every venue's catalog, and plans every feed.
func (s *system) addFeeds(ctx context.Context) error {
	told := make([]news, len(s.config.Feeds))
	planned := make([]*venueFeed, len(s.config.Feeds))
	var fetching sync.WaitGroup
	for i := range s.config.Feeds {
		f := s.newFeed(&s.config.Feeds[i], i, i)
		planned[i] = f
		fetching.Go(func() { told[i] = f.listing.fetch(ctx) })
	}
	fetching.Wait()
	if ctx.Err() != nil {
		return nil // stopped before anything was begun
	}
	for i, f := range planned {
		if err := s.addFeed(f, f.listing.adapter, f.listing.begin(told[i]), f.listing.recorder); err != nil {
			return err
		}
		s.reload.running = append(s.reload.running, f)
	}
	s.reload.next = len(planned)
	return nil
}

// newFeed makes a feed of its configuration, which stands at place.
func (s *system) newFeed(c *Feed, place, number int) *venueFeed {
	adapter, ok := s.adapter(c.Venue)
	if !ok {
		panic("BUG: a checked configuration names an unknown venue")
	}
	var recorder *feeds.Recorder
	if dir := s.config.recordDir(); dir != "" {
		run := s.begunNanos
		if s.durable == nil {
			run = 0 // there is no log that the capture could be of
		}
		recorder = feeds.NewRecorder(feeds.RecorderOptions{Dir: dir, Venue: c.Venue, Run: run,
			RotateBytes: int64(s.config.Record.RotateSize), RotateEvery: s.config.Record.RotateEvery.Std(), Logger: s.logger})
	}
	f := &venueFeed{venue: c.Venue, number: number, config: c}
	f.place.Store(int32(place))
	f.listing = newListing(s, f, adapter, recorder)
	return f
}

// lagNotReady is the age of waiting rows beyond which the service is not doing its work.
const lagNotReady = 10 // seconds

// notReady says, a line each, why the service cannot do its work now.
func (s *system) notReady(database *questdb.Sink) []string {
	var why []string
	if s.durable != nil {
		why = append(why, s.durable.troubles()...)
	}
	if s.watch != nil {
		for _, t := range s.watch.Troubles() {
			why = append(why, t.String())
		}
	}
	for _, f := range s.venueFeeds() {
		if waiting := f.waits(); waiting != "" {
			why = append(why, f.venue+": "+waiting)
		}
	}
	why = append(why, summary("sockets not up", s.linesDown())...)
	why = append(why, summary("books not valid", s.booksInvalid())...)
	carriers := s.carriers()
	for _, f := range s.venueFeeds() {
		if f.waits() == "" && !slices.Contains(carriers, f) {
			why = append(why, f.venue+": the venue knows no symbol of feeds["+strconv.Itoa(int(f.place.Load()))+"]")
		}
	}
	if database != nil {
		if lag := lagSeconds(&database.Stats); lag > lagNotReady {
			why = append(why, fmt.Sprintf("QuestDB is %.0f s behind", lag))
		}
		if n := database.Spool().Down.Load(); n > 0 {
			text := fmt.Sprintf("the rows of %d tables cannot be written to the spool's disk", n)
			if err := database.SpoolDown(); err != nil {
				text += ": " + err.Error()
			}
			why = append(why, text)
		}
		if full := database.Spool().Permille.Load(); full >= spoolAlarm {
			why = append(why, fmt.Sprintf("the spool is %d %% full of rows that wait for QuestDB", full/10))
		}
	}
	return why
}

// spoolAlarm is how full the spool may be, in 1/1000, before somebody should know.
const spoolAlarm = 500

// reasonsShown bounds the lines of one kind, so that an answer about thousands
// of instruments can still be read.
const reasonsShown = 10

// summary is the reasons themselves where they are few; else how many they
// are, and the first.
func summary(what string, reasons []string) []string {
	if len(reasons) <= reasonsShown {
		return reasons
	}
	first := []string{fmt.Sprintf("%d %s, the first %d:", len(reasons), what, reasonsShown)}
	return append(first, reasons[:reasonsShown]...)
}

func (s *system) linesDown() (why []string) {
	for _, f := range s.venueFeeds() {
		for _, line := range f.feed.Stats() {
			if state, reason := line.State(); len(line.Streams) > 0 && state != feeds.LineUp {
				why = append(why, fmt.Sprintf("%s %s is %s (%s)", f.venue, line.Name, state, reason))
			}
		}
	}
	return why
}

// booksInvalid leaves out instruments that the venue does not trade now, whose
// books may have nothing to stand on.
func (s *system) booksInvalid() (why []string) {
	for _, in := range s.carried() {
		if state := s.state(in.ID); !in.Channels.Has(tick.ChannelDepth) || state != tick.StateUnknown && state != tick.StateTrading && state != tick.StateRestricted {
			continue
		}
		if image := s.status.image(in.ID); !image.Valid {
			why = append(why, fmt.Sprintf("%s %s: book not valid (%s)", in.Venue, in.Symbol, image.Reason))
		}
	}
	return why
}

// stuckAfter is how long a shard may leave packets lying.
const stuckAfter = int64(30 * time.Second)

// watchdog notices a shard that no longer moves.
type watchdog struct {
	system *system
	mu     sync.Mutex // probes may come on several goroutines
	seen   []uint64   // packets applied, by shard
	since  []int64    // when that was first seen
}

func (w *watchdog) stuck() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	drivers := w.system.drivers
	if d := w.system.durable; d != nil && len(d.troubles()) > 0 {
		w.seen = nil // it may wait for its log: a restart would make no room on the disk
		return ""
	}
	if w.seen == nil {
		w.seen, w.since = make([]uint64, len(drivers)), make([]int64, len(drivers))
	}
	now := clock.Nanos()
	for i, d := range drivers {
		waiting := slices.ContainsFunc(w.system.venueFeeds(), func(f *venueFeed) bool {
			return slices.ContainsFunc(f.rings(), func(in lineRings) bool { return in.rings[i] != nil && in.rings[i].Len() > 0 })
		})
		if n := d.Stats.Packets.Load(); n != w.seen[i] || !waiting || w.since[i] == 0 {
			w.seen[i], w.since[i] = n, now
		} else if now-w.since[i] > stuckAfter {
			return fmt.Sprintf("shard %d applies nothing while packets wait", i)
		}
	}
	return ""
}

// cores is how many goroutines can run at once.
func cores() int { return runtime.GOMAXPROCS(0) }

func thisMachine() *hardware.Cores {
	of := hardware.ReadCores()
	return &of
}
