package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/internal/pace"
	"tickproc/internal/vfs"
	"tickproc/journal"
	"tickproc/tick"
	"tickproc/writer/questdb"
	"tickproc/writer/spool"
)

// World is what a process that is driven by hand finds around it.
type World struct {
	FS vfs.FS
	// Memory is where the logs of a generation have their rings, Forget empties it.
	Memory func(generation uint64) journal.Memory
	Forget func(generation uint64)
	Now    func() int64 // ns since the epoch
	Pace   pace.Pace    // for what waits: Start, Snapshot, Stop, and the senders
	// Random returns a number below n, Identity one that was never returned before.
	Random   func(n int64) int64
	Identity func() uint64
	Database http.RoundTripper
	Build    string // names the program
	Logger   *slog.Logger
	// Batch bounds what a shard logs and applies at once, in units; 0 = the
	// driver's default.
	Batch int
}

// ByHand is the service without goroutines, sockets, files and clock: whoever
// has it decides what goes on and when, and one goroutine at a time uses it.
// What is real in it: protocols, shards, logs, snapshots, recovery, sink,
// spool, senders. What is not: the catalog comes as a value, and metrics,
// commands, reload and a bridge between sockets there are none.
//
//	Start ─► Feeds: frames, answers ─► Shard ─► Carry ─► WriteSpool, SyncSpool, Senders
//	              ◄── Dispatch ◄──────── │
//	                                     └► Drain, Snapshot
type ByHand struct {
	Feeds []*FeedByHand
	// Senders run until Stop ends them; the holder lets them.
	Senders []func()
	Sink    *questdb.Sink
	Spool   *spool.Spool

	config  *Config
	world   World
	around  *around
	system  *system
	durable *durable
}

// FeedByHand is a feed with the venue that it is of.
type FeedByHand struct {
	*feeds.ByHand
	Venue string
}

// OpenByHand opens what the last process left, up to the spool. The
// configuration is not changed and is used until the end.
func OpenByHand(config *Config, w World) (*ByHand, error) {
	b := &ByHand{config: config, world: w}
	b.around = &around{fs: w.FS, now: w.Now, pace: w.Pace, hand: &hand{memory: w.Memory, forget: w.Forget, identity: w.Identity, build: w.Build, carry: b.Carry}}
	if err := vfs.MakeDir(w.FS, config.DataDir); err != nil {
		return nil, err
	}
	dir := &dataDir{path: config.DataDir, unlock: func() {}, around: b.around}
	o := config.questDBOptions()
	o.Logger, o.SpoolDir, o.Spool = w.Logger, dir.join("spool"), config.spoolOptions()
	o.Spool.FS, o.Spool.Identity, o.Spool.FreeBytes = w.FS, w.Identity, -1
	o.Now, o.Pace, o.Transport, o.Random = w.Now, w.Pace, w.Database, w.Random
	var err error
	if b.Sink, err = questdb.New(o); err != nil {
		return nil, err
	}
	b.Senders, b.Spool = b.Sink.Senders()
	if b.durable, err = openDurable(dir, config, w.Logger, b.Sink); err != nil {
		return nil, err
	}
	shards := *config
	shards.Shards = AutoCount(b.durable.run.Shards)
	b.system = newSystemIn(b.around, &shards, w.Logger, b.Sink)
	b.system.durable = b.durable
	for _, d := range b.system.drivers {
		d.Batch = w.Batch
	}
	return b, nil
}

// Start recovers the shards, and plans the feeds of instruments by venue, as
// their catalogs have them. It waits by World.Pace for disk and spool, which
// the holder must let go on meanwhile.
func (b *ByHand) Start(catalogs func(venue string) ([]tick.Instrument, error)) error {
	if err := b.durable.recover(b.system); err != nil {
		return err
	}
	b.system.adopt()
	for i := range b.config.Feeds {
		if err := b.addFeed(&b.config.Feeds[i], i, catalogs); err != nil {
			return err
		}
	}
	for _, d := range b.system.drivers {
		d.Begin()
	}
	return nil
}

func (b *ByHand) addFeed(c *Feed, place int, catalogs func(string) ([]tick.Instrument, error)) error {
	s := b.system
	adapter, ok := adapterOf(c.Venue)
	if !ok {
		panic("BUG: a checked configuration names an unknown venue")
	}
	all, err := catalogs(c.Venue)
	if err != nil {
		return err
	}
	f := &venueFeed{venue: c.Venue, number: place, config: c}
	var subscriptions []feeds.Subscription
	for i := range all {
		if in := all[i]; slices.Contains(c.Symbols, in.Symbol) {
			in.Channels = c.channelsOf(adapter.Channels(), &in)
			subscriptions = append(subscriptions, feeds.Subscription{Instrument: s.addInstrument(in, f), Channels: in.Channels})
		}
	}
	if len(subscriptions) == 0 {
		return fmt.Errorf("%s: its catalog has none of %v", c.Venue, c.Symbols)
	}
	o := c.feedOptions(s.engineOptions().LineHold)
	o.Adapter, o.Subscriptions, o.NextLine = adapter, subscriptions, s.nextLine
	o.Logger, o.Canary = s.logger, s.venueCanaries()[f.venue]
	o.Now, o.Random = b.world.Now, b.world.Random
	o.NewOutput = func(line feeds.LineInfo) *feeds.Output { return s.newOutput(f, line) }
	h, err := feeds.NewByHand(o)
	if err != nil {
		return err
	}
	f.feed = h.Feed
	s.feeds = append(s.feeds, f)
	b.Feeds = append(b.Feeds, &FeedByHand{h, c.Venue})
	return nil
}

// Shards is how many there are.
func (b *ByHand) Shards() int { return len(b.system.drivers) }

// Shard returns one for looking at.
func (b *ByHand) Shard(i int) *engine.Shard { return b.system.drivers[i].Shard }

// Applied is up to where a shard's log is applied.
func (b *ByHand) Applied(i int) uint64 { return b.system.drivers[i].Logged() }

// Generation is that of the logs.
func (b *ByHand) Generation() uint64 { return b.durable.run.Generation }

// Step lets a shard do one thing; false: there is nothing to do, or no room in
// its log, where a driver would wait.
func (b *ByHand) Step(i int) bool {
	d, log := b.system.drivers[i], b.durable.logs[i]
	if log.Room() <= log.MaxBatch() {
		return false
	}
	worked, _ := d.Step()
	return worked
}

// OnAppend has what shards log told, with the position behind it, before it
// is applied. Call it after Start or, to hear all, before.
func (b *ByHand) OnAppend(tell func(shard int, generation uint64, batch []tick.Unit, end uint64)) {
	b.durable.logged = tell
}

// OnRecovered has the end of each shard's log told, when the shard is what it
// was there.
func (b *ByHand) OnRecovered(tell func(shard int, generation, end uint64)) {
	b.durable.recovered = tell
}

// Fresh returns a shard as it is before its first packet, which knows all
// configurations that a log may name.
func (b *ByHand) Fresh(int) *engine.Shard {
	shard := engine.NewShard(b.system.engineOptions())
	configs, err := b.durable.dir.allOptions()
	if err != nil {
		panic("BUG: they were read a moment ago: " + err.Error())
	}
	for hash, o := range configs {
		shard.Learn(hash, o)
	}
	return shard
}

// Carry takes rows to the sink.
func (b *ByHand) Carry() { b.system.writer.Carry(b.world.Now()) }

// Dispatch takes the shards' commands to the feeds.
func (b *ByHand) Dispatch() { b.system.dispatchSome() }

// Drain takes a shard's log to the disk; false: it is not open yet.
func (b *ByHand) Drain(i int) bool {
	if i >= len(b.durable.logs) || b.durable.logs[i] == nil || b.durable.closed {
		return false
	}
	b.durable.logs[i].Drain(b.world.Now())
	return true
}

// Troubles says why packets may not reach the disk.
func (b *ByHand) Troubles() []string { return b.durable.troubles() }

// Snapshot takes one. It waits by World.Pace.
func (b *ByHand) Snapshot(ctx context.Context) error {
	_, err := b.durable.snapshots.now(ctx)
	return err
}

// Image returns what an instrument's shard last published of it.
func (b *ByHand) Image(venue, symbol string) (engine.Image, bool) {
	b.system.status.read()
	for _, in := range b.system.carried() {
		if in.Venue == venue && in.Symbol == symbol {
			return b.system.status.image(in.ID), true
		}
	}
	return engine.Image{}, false
}

// Stop ends the process cleanly: what was read becomes rows, a last snapshot is
// taken, and what the database does not take stays in the spool. The holder has
// ended the sockets and lets disk, spool and senders go on meanwhile.
func (b *ByHand) Stop(ctx context.Context) error {
	for i := range b.system.drivers {
		for b.Step(i) {
			b.Carry()
		}
	}
	b.durable.finish()
	for _, d := range b.system.drivers {
		d.Shard.Finish()
		d.Flush()
		b.Carry()
	}
	return errors.Join(b.durable.close(), b.Sink.Close(ctx))
}
