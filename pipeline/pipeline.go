// Package pipeline puts the product together: configuration, assembly of
// feeds, shards and sinks, replay, the demo, and an orderly end.
//
//	config ─► feeds ─(one ring a line and shard)─► shards ─(one ring a shard)─► writer ─► sinks
//	            ▲                                    │
//	            └── commands: books, missed trades ──┘
package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/ringbuf"
	"tickproc/tick"
	"tickproc/writer"
	"tickproc/writer/questdb"
	"tickproc/writer/shm"
)

const (
	// rowRingUnits is the queue from a shard to the writer, which never waits.
	rowRingUnits = 1 << 16
	// healthRingUnits is the queue of the lines' health to the writer.
	healthRingUnits = 1 << 12
	// commandRingUnits is the queue of commands to the feeds.
	commandRingUnits = 1 << 12
	// restRingUnits is the queue of a REST line to a shard: a few snapshots.
	restRingUnits = 1 << 14
	// imageMessages is how many images may wait for a reader of a shard.
	imageMessages = 1 << 12
)

// system is an assembled pipeline.
type system struct {
	*around
	config       *Config
	logger       *slog.Logger
	begunNanos   int64 // all that this process receives is of later
	adapter      func(venue string) (feeds.Adapter, bool)
	routes       feeds.Routes
	drivers      []*engine.Driver
	records      []*recordLine  // by shard
	durable      *durable       // nil: nothing outlives the process
	watch        *questdb.Watch // nil: nobody asks the database
	shared       *shm.Writer    // nil: no other process is shown anything
	health       *ringbuf.Ring  // rows that no shard made
	commanded    *ringbuf.Waker
	writer       *writer.Writer
	writing      sync.WaitGroup
	beginWriting sync.Once
	status       *status
	latency      *latencies // nil: nothing is measured
	clock        hostClock
	compared     lineComparison
	lines        int                   // numbers that are given away
	named        map[symbolOf]struct{} // symbols that feeds list by name

	reload reloading

	// The mutex guards what changes when instruments are listed or a configuration
	// is loaded at run time. Nothing that a packet passes takes it.
	mu          sync.Mutex
	options     engine.Options                // of the shards, as they are or soon will be
	feeds       []*venueFeed                  // the slice is replaced, never changed
	canaries    map[string]*feeds.Canary      // by venue; replaced, never changed
	instruments []*tick.Instrument            // by id, as introduced
	states      []tick.State                  // by id, as the catalog last said
	feedOf      []*venueFeed                  // by id; nil = nobody carries it now
	known       map[symbolOf]*tick.Instrument // of an earlier process, or of a feed that was removed
	unused      []uint32                      // ids that an earlier process gave to nobody
	claims      map[symbolOf]*venueFeed       // who carries a symbol
	shown       *shown                        // nil = no metrics
}

// venueFeed is one entry of feeds: in the configuration.
type venueFeed struct {
	venue   string
	number  int          // as metrics show it: the place in the configuration of the start, or a later number
	place   atomic.Int32 // in the configuration now
	config  *Feed        // as it was begun
	feed    *feeds.Feed
	listing *listing

	end   context.CancelFunc // set by begin
	ended chan struct{}      // closed when its last packet is in a ring and the rings are closed
	over  atomic.Bool        // ended is closed, or about to be

	mu sync.Mutex // guards what follows: it grows at run time
	// inputs are its rings by line, then shard.
	inputs []lineRings
	// waiting says what keeps it from carrying all that it should, "" = nothing.
	waiting string
}

type lineRings struct {
	line  uint16
	name  string
	rings []*ringbuf.Ring
}

func (f *venueFeed) rings() []lineRings {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inputs
}

func (f *venueFeed) wait(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = why
}

func (f *venueFeed) waits() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting
}

// newSystem assembles shards and a writer; feeds are added by addFeeds before run.
func newSystem(config *Config, logger *slog.Logger, sinks ...writer.Sink) *system {
	return newSystemIn(machine, config, logger, sinks...)
}

func newSystemIn(a *around, config *Config, logger *slog.Logger, sinks ...writer.Sink) *system {
	rowUnits, commandUnits, healthUnits, images := rowRingUnits, commandRingUnits, healthRingUnits, imageMessages
	if a.hand != nil { // who drives it carries all away at once
		rowUnits, commandUnits, healthUnits, images = 1<<10, 1<<8, 1<<6, 1<<6
	}
	s := &system{around: a, config: config, logger: logger, begunNanos: a.now(), adapter: adapterOf, options: config.engineOptions(), health: ringbuf.New(healthUnits),
		commanded: ringbuf.NewWaker(ringbuf.Park), canaries: map[string]*feeds.Canary{},
		named: map[symbolOf]struct{}{}, claims: map[symbolOf]*venueFeed{}}
	policy := config.waitPolicy()
	rows := []*ringbuf.Ring{s.health}
	pinned := &threads{}
	if config.Pin {
		pinned = config.threads(cores(), thisMachine())
	}
	for i := range config.ShardCount(cores()) {
		d := &engine.Driver{Shard: engine.NewShard(s.options), Waker: ringbuf.NewWaker(policy),
			Rows: ringbuf.New(rowUnits), Commands: ringbuf.New(commandUnits),
			Images: ringbuf.NewBroadcast(images, engine.ImageUnits), Core: pinned.shardCore(i)}
		d.Pin = d.Core != noCore
		d.Unpinned = func(err error) {
			logger.Warn("the shard's thread is not pinned: it competes for its core; let the process use that core (taskset, the container's cpu set), or say pin: false",
				"shard", i, "error", err)
		}
		d.Number, d.Now = uint16(i), a.now
		if a.hand != nil {
			d.Pause = a.hand.carry
		}
		d.Commands.SetWaker(s.commanded)
		records := newRecordLine(d.Waker, a.now)
		s.records = append(s.records, records)
		d.Attach(records.ring)
		rows = append(rows, d.Rows)
		s.drivers = append(s.drivers, d)
		s.compared = append(s.compared, d.Shard.CountLines(s.comparedLines()))
	}
	if a.hand == nil {
		s.latency = newLatencies()
		for _, d := range s.drivers {
			d.Latency = s.latency.driver()
		}
		s.clock.look()
	}
	s.reload.current = config
	s.take(config)
	// Rows may wait for a batch anyway: the writer parks.
	s.writer = writer.New(rows, ringbuf.NewWaker(ringbuf.Park), sinks...)
	s.status = newStatus(s)
	return s
}

// take notes the venues of a configuration, and which symbols are listed by
// name, and are therefore of no pattern.
func (s *system) take(config *Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.canaries, s.named = maps.Clone(s.canaries), map[symbolOf]struct{}{}
	if s.canaries == nil {
		s.canaries = map[string]*feeds.Canary{}
	}
	for i := range config.Feeds {
		f := &config.Feeds[i]
		if s.canaries[f.Venue] == nil {
			s.canaries[f.Venue] = feeds.NewCanary(s.logger.With("venue", f.Venue))
		}
		for _, name := range f.names() {
			s.named[symbolOf{f.Venue, strings.ToUpper(name)}] = struct{}{}
		}
	}
}

// venueFeeds returns the feeds that run, or will.
func (s *system) venueFeeds() []*venueFeed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.feeds
}

func (s *system) venueCanaries() map[string]*feeds.Canary {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.canaries
}

func (s *system) engineOptions() engine.Options {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.options
}

// addInstrument gives an instrument its id, its shard and its feed. One that an
// earlier process knew keeps what it had: its rows and its state bear it.
func (s *system) addInstrument(in tick.Instrument, f *venueFeed) *tick.Instrument {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := symbolOf{in.Venue, strings.ToUpper(in.Symbol)}
	s.claims[key] = f
	if earlier := s.known[key]; earlier != nil {
		known := new(*earlier) // others may be reading the earlier one
		s.known[key], s.instruments[earlier.ID] = known, known
		known.Tick, known.Lot, known.ContractSize = in.Tick, in.Lot, in.ContractSize
		known.State, known.ExpiryNanos, known.Channels = in.State, in.ExpiryNanos, in.Channels
		s.states[known.ID], s.feedOf[known.ID] = in.State, f
		s.latency.instrument(known.ID, in.Venue)
		return known
	}
	if n := len(s.unused); n > 0 {
		in.ID, s.unused = s.unused[0], s.unused[1:]
	} else {
		in.ID = s.grow()
	}
	s.instruments[in.ID], s.states[in.ID], s.feedOf[in.ID] = &in, in.State, f
	s.routes.Set(in.ID, shardOf(in.Underlying, len(s.drivers)))
	s.latency.instrument(in.ID, in.Venue)
	return &in
}

// grow makes room for one more instrument.
func (s *system) grow() (id uint32) {
	id = uint32(len(s.instruments))
	s.instruments, s.states, s.feedOf = append(s.instruments, &tick.Instrument{ID: id}), append(s.states, tick.StateUnknown), append(s.feedOf, nil)
	return id
}

// adopt takes over the instruments that the shards had before a restart. Until a
// feed carries them nobody does.
func (s *system) adopt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = map[symbolOf]*tick.Instrument{}
	for shard, d := range s.drivers {
		for _, in := range d.Shard.Definitions() {
			for int(in.ID) >= len(s.instruments) {
				s.grow()
			}
			s.instruments[in.ID], s.states[in.ID] = &in, in.State
			s.known[symbolOf{in.Venue, strings.ToUpper(in.Symbol)}] = &in
			s.routes.Set(in.ID, shard)
		}
	}
	for id, in := range s.instruments {
		if in.Venue == "" { // it was given away and never reached a log
			s.unused = append(s.unused, uint32(id))
		}
	}
}

// carried returns the instruments that a feed carries, by id.
func (s *system) carried() (all []*tick.Instrument) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, in := range s.instruments {
		if s.feedOf[id] != nil {
			all = append(all, in)
		}
	}
	return all
}

// nextLine numbers the lines of all feeds, in New and at run time.
func (s *system) nextLine() uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines > math.MaxUint16 {
		panic("BUG: more lines than packets can name")
	}
	s.lines++
	return uint16(s.lines - 1)
}

// instrument returns that of an id.
func (s *system) instrument(id uint32) *tick.Instrument {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.instruments[id]
}

// carriers returns the feeds of all instruments so far, by id.
func (s *system) carriers() []*venueFeed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.feedOf)
}

// carrier returns the feed of an instrument, nil if nobody carries it.
func (s *system) carrier(id uint32) *venueFeed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.feedOf[id]
}

// state is what the venue's catalog last said of an instrument.
func (s *system) state(instrument uint32) tick.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.states[instrument]
}

func (s *system) setState(instrument uint32, state tick.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[instrument] = state
}

// claimed reports whether a symbol that a pattern of a feed matches belongs to
// another feed of the venue, or is listed by name: a row must have one origin.
func (s *system) claimed(symbol string, f *venueFeed) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := symbolOf{f.venue, strings.ToUpper(symbol)}
	if _, byName := s.named[key]; byName {
		return true
	}
	other := s.claims[key]
	return other != nil && other != f
}

// newOutput makes the rings of a line to its shards. A line that may carry
// instruments that come later has one to every shard; so a shard has an input
// for as long as there is a feed.
func (s *system) newOutput(f *venueFeed, line feeds.LineInfo) *feeds.Output {
	rings, units := make([]*ringbuf.Ring, len(s.drivers)), s.config.Rings.Units
	if line.REST && s.hand == nil {
		units = restRingUnits
	}
	for shard := range rings {
		carries := slices.ContainsFunc(line.Instruments, func(in *tick.Instrument) bool { return s.routes.Shard(in.ID) == shard })
		if carries || line.Any {
			rings[shard] = ringbuf.New(units)
			rings[shard].SetWaker(s.drivers[shard].Waker)
			s.drivers[shard].Attach(rings[shard])
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inputs = append(f.inputs, lineRings{line: line.Line, name: line.Name, rings: rings})
	o := feeds.OutputOptions{Now: s.now}
	if !line.REST { // its times are of requests
		o.Latency = s.latency.line(f)
	}
	return feeds.NewOutput(rings, &s.routes, o)
}

// addFeed plans the sockets of one configured feed.
func (s *system) addFeed(f *venueFeed, adapter feeds.Adapter, subscriptions []feeds.Subscription, recorder *feeds.Recorder) error {
	o := f.config.feedOptions(s.engineOptions().LineHold)
	o.Adapter, o.Subscriptions, o.NextLine = adapter, subscriptions, s.nextLine
	o.Logger, o.Recorder, o.Canary = s.logger, recorder, s.venueCanaries()[f.venue]
	o.NewOutput = func(line feeds.LineInfo) *feeds.Output { return s.newOutput(f, line) }
	var err error
	if f.feed, err = feeds.New(o); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInput, f.venue, err)
	}
	s.mu.Lock()
	s.feeds = append(slices.Clip(s.feeds), f)
	s.mu.Unlock()
	if s.durable != nil {
		s.durable.holdFeeds()
	}
	return nil
}

// startWriting begins to carry rows to the sinks, unless it has begun: what is
// recovered has rows before run. It ends with the rings, so that nothing
// accepted is left behind.
func (s *system) startWriting() {
	s.beginWriting.Do(func() {
		s.writing.Go(func() { _ = s.writer.Run(context.Background()) })
	})
}

// endWriting ends the writer of a system that never ran.
func (s *system) endWriting() {
	for _, d := range s.drivers {
		d.Rows.Close()
	}
	s.health.Close()
	s.writing.Wait()
}

// abandon ends a system that never ran.
func (s *system) abandon() {
	s.endSharing()
	if s.durable == nil {
		return
	}
	s.endWriting()
	if err := s.durable.close(); err != nil {
		s.logger.Error("the logs do not end cleanly", "error", err)
	}
}

// run keeps everything going until ctx ends and every packet that was read
// before has become rows and the rows were handed to the sinks.
func (s *system) run(ctx context.Context) {
	s.startWriting()
	var sharding, commanding, watching sync.WaitGroup
	stopBeating := s.beat()
	s.reload.open(ctx)
	for _, f := range s.venueFeeds() {
		f.begin(ctx)
	}
	for _, d := range s.drivers {
		sharding.Go(d.Run)
	}
	commanding.Go(s.dispatch)
	endSnapshots := func() {}
	if s.durable != nil {
		endSnapshots = s.durable.start()
	}
	stop := make(chan struct{})
	watching.Go(func() { s.status.run(stop) })

	<-ctx.Done()
	s.reload.close()
	for _, f := range s.venueFeeds() {
		<-f.ended
	}
	endSnapshots()
	for _, r := range s.records {
		r.close()
	}
	ended := func() {}
	if s.durable != nil {
		ended = s.durable.giveUpAfter(drainTime)
	}
	sharding.Wait()
	ended()
	if s.durable != nil {
		s.durable.finish()
	}
	for _, d := range s.drivers {
		d.Shard.Finish()
		d.Flush()
		d.Rows.Close()
		d.Commands.Close()
	}
	stopBeating()
	s.endSharing()
	commanding.Wait()
	close(stop)
	watching.Wait() // it writes the health rows
	s.health.Close()
	s.writing.Wait()
}

// begin starts a feed. It runs until ctx ends or end is called, and then until
// ended is closed.
func (f *venueFeed) begin(ctx context.Context) {
	ctx, f.end = context.WithCancel(ctx)
	f.ended = make(chan struct{})
	// The feed outlives its listing: nothing is added to one that has ended.
	feedCtx, endFeed := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { f.feed.Run(feedCtx) })
	running.Go(func() {
		f.listing.run(ctx)
		endFeed()
	})
	go func() {
		running.Wait()
		f.end()
		f.over.Store(true)
		close(f.ended)
	}()
}

// remove forgets a feed that has ended. Nobody carries its instruments now, but
// whoever does so later goes on with what they have become.
func (s *system) remove(f *venueFeed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[symbolOf]*tick.Instrument{}
	}
	for id, carrier := range s.feedOf {
		if in := s.instruments[id]; carrier == f {
			s.feedOf[id] = nil
			s.known[symbolOf{in.Venue, strings.ToUpper(in.Symbol)}] = in
		}
	}
	maps.DeleteFunc(s.claims, func(_ symbolOf, by *venueFeed) bool { return by == f })
	s.feeds = slices.DeleteFunc(slices.Clone(s.feeds), func(other *venueFeed) bool { return other == f })
}

// dispatch carries the shards' commands to the feeds.
func (s *system) dispatch() {
	for {
		switch some, done := s.dispatchSome(); {
		case done:
			return
		case !some:
			s.commanded.Wait(s.someCommand, 0)
		}
	}
}

// dispatchSome carries those that there are, and reports whether there were
// some, and whether none will come any more.
func (s *system) dispatchSome() (some, done bool) {
	done = true
	for _, d := range s.drivers {
		for batch := d.Commands.Poll(); len(batch) > 0; batch = d.Commands.Poll() {
			some = true
			for rest := batch; len(rest) > 0; rest = rest[tick.PacketUnits(&rest[0]):] {
				f := s.carrier(rest[0].RowHeader().Instrument)
				if f == nil {
					continue // an instrument of an earlier process
				}
				if rest[0].KindOf() == tick.CmdBackfill {
					f.feed.Backfill(rest[0].BackfillCommand())
					continue
				}
				r := rest[0].Resync()
				f.feed.Resync(r.Instrument, r.Epoch, r.Line)
			}
			d.Commands.Release(len(batch))
		}
		done = done && d.Commands.Done()
	}
	return some, done
}

// someCommand does not count a ring that ended beside ones that go on: nothing
// comes of it.
func (s *system) someCommand() bool {
	done := true
	for _, d := range s.drivers {
		if d.Commands.Len() > 0 {
			return true
		}
		done = done && d.Commands.Done()
	}
	return done
}
