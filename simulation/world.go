// Package simulation runs the whole service against everything that it meets,
// in one goroutine and virtual time, from one seed:
//
//	market ─► venue's dialect ─► network ─► process ─► database
//	  │                                     │   ▲
//	  └► truth ─► checks ◄── rows           ▼   │ kill, power cut
//	                                      disk, memory
//
// The process is pipeline.ByHand, which is the product; all around it is
// simulated here. Whatever happens is a function of the seed: each component
// has a random stream of its own, so that leaving one fault out leaves the
// others as they were.
package simulation

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"

	"tickproc/feeds/sim"
	"tickproc/feeds/venues"
	"tickproc/internal/vfs"
	"tickproc/internal/vfs/simdisk"
	"tickproc/pipeline"
	"tickproc/tick"
)

// Options of a run.
type Options struct {
	Seed uint64
	// Unbounded: things go wrong to the end, and only what is wrong is looked
	// for; else they stop, and all must become good again.
	Unbounded bool
	Trace     io.Writer // nil = none
	// Without leaves out the faults of a name, to find the one that matters.
	Without []string
	// Mutation breaks the world where it should be right, so that the checks can
	// be seen to fail; "" = none.
	Mutation string
}

// Result is what came of it.
type Result struct {
	Seed       uint64
	Hash       uint64 // of all that happened
	Faults     []string
	Violations []string
	Virtual    time.Duration
	Settled    time.Duration // from the last fault until all was good
	Tally      Tally
}

// Tally counts what was looked at.
type Tally struct {
	Trades, InGaps, Bars, Books, Quotes, Gaps, Downs int
	Lives, Kills, PowerCuts, Snapshots, Recoveries   int
}

const (
	shardsMax = 2
	dataDir   = "/data"
	// settleMax is how long all may take to become good after the last fault: a
	// socket's and a subscription's longest waits, and three attempts at a backfill.
	settleMax = 150 * time.Second
)

// Add counts another run in.
func (t *Tally) Add(o Tally) {
	t.Trades, t.InGaps, t.Bars, t.Books, t.Quotes, t.Gaps, t.Downs = t.Trades+o.Trades, t.InGaps+o.InGaps, t.Bars+o.Bars, t.Books+o.Books, t.Quotes+o.Quotes, t.Gaps+o.Gaps, t.Downs+o.Downs
	t.Lives, t.Kills, t.PowerCuts, t.Snapshots, t.Recoveries = t.Lives+o.Lives, t.Kills+o.Kills, t.PowerCuts+o.PowerCuts, t.Snapshots+o.Snapshots, t.Recoveries+o.Recoveries
}

type pipelineFeed = pipeline.FeedByHand

// world is everything.
type world struct {
	loop
	o        Options
	began    int64
	exchange *sim.Exchange
	venues   []string
	catalogs map[string][]tick.Instrument // as of the start
	config   *pipeline.Config
	disk     *simdisk.Disk
	memory   *memory
	database *database
	process  *process // nil: none runs
	faults   []fault

	schedule, network, kills, chance *rand.Rand
	ids                              uint64
	offset                           time.Duration // the venues' clocks minus the true time
	skew                             int64         // our clock minus the true time

	slowTill, noDialTill, noRESTTill, stormTill int64
	stalled                                     [stallable]int64
	diskFaults                                  [faultKinds]int64 // until when
	nextDeath                                   *fault            // of the next process, within its disk
	marketStops                                 bool

	batch        int      // of shards, in units
	cutAt        int64    // when the power failed since the last start; 0 = it did not
	since        int64    // venue time of the first start of which anything was kept
	dbLostAt     int64    // when the database last lost rows
	diskless     []int64  // when the spool had no disk, and rows went to the database from memory alone
	unkept       []int64  // those before the database lost rows: nobody has them any more
	hinderedTill int64    // until when the disk, or who writes to it, last did not work
	flipped      bool     // a bit of the disk
	lyingSync    bool     // of a mutation
	forget       bool     // of a mutation: a batch is not remembered
	history      []logged // what shards logged, in the order in which it happened
	listens      map[channelOf]*listening
	downs        []down
	rejected     bool
	tally        Tally
	sum          uint64
	wrong        []string
	said         map[string]int
	quiet        *slog.Logger
}

// logged is a batch that a shard logged.
type logged struct {
	shard      int
	generation uint64
	end        uint64
	batch      []tick.Unit
	at         int64
}

// down is a time, in the venues' clock, in which nobody listened to a channel.
type down struct {
	stream   channelOf
	from, to int64
}

// channelOf is a channel of an instrument.
type channelOf struct {
	venue, symbol string
	channel       tick.Channels
}

// listening says how many sockets listen to a stream, and since when none does.
type listening struct {
	sockets int
	since   int64 // 0 = nobody ever did
}

// process is one life of the service.
type process struct {
	b         *pipeline.ByHand
	fs        *power
	links     []*link
	started   bool
	startedAt int64
	stopping  bool
	busy      bool // a snapshot is being taken
}

const (
	stallShards = iota
	stallCarry
	stallSpool
	stallDrain
	stallable
)

const clockOffsetMax = 200 * time.Millisecond

// newWorld builds it.
func newWorld(o Options) (*world, error) {
	w := &world{o: o, said: map[string]int{}, listens: map[channelOf]*listening{}, quiet: slog.New(slog.DiscardHandler)}
	if o.Trace != nil {
		w.quiet = slog.New(slog.NewTextHandler(traceWriter{w}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	setup := stream(o.Seed, "setup")
	w.now = time.Date(2026, 3, 14, 11, 59, 30, 0, time.UTC).UnixNano() + setup.Int64N(int64(time.Hour))
	w.began = w.now
	w.schedule, w.network, w.kills, w.chance = stream(o.Seed, "schedule"), stream(o.Seed, "network"), stream(o.Seed, "kills"), stream(o.Seed, "chance")
	w.database = newDatabase(&w.loop, stream(o.Seed, "database"))
	w.disk = simdisk.New(stream(o.Seed, "disk"), simdisk.Faults{})
	w.disk.Now = func() int64 { return w.now }
	w.memory = newMemory(1)
	if err := w.makeVenues(setup); err != nil {
		return nil, err
	}
	w.mutate()
	return w, nil
}

type traceWriter struct{ w *world }

func (t traceWriter) Write(p []byte) (int, error) {
	text := string(p)
	if i := strings.Index(text, "level="); i >= 0 {
		text = text[i:]
	}
	t.w.trace("log", strings.TrimSpace(text))
	return len(p), nil
}

func (w *world) trace(what, text string) {
	if w.o.Trace != nil {
		fmt.Fprintf(w.o.Trace, "%12.6f %-9s %s\n", float64(w.now-w.began)/1e9, what, text)
	}
}

// note is a thing that happened: it is part of what a seed repeats.
func (w *world) note(what, text string) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d %s %s", w.sum, w.now, what, text)
	w.sum = h.Sum64()
	w.trace(what, text)
}

// violate notes that something is wrong that must never be.
func (w *world) violate(kind, format string, args ...any) {
	if w.said[kind]++; w.said[kind] <= 5 {
		text := kind + ": " + fmt.Sprintf(format, args...)
		w.wrong = append(w.wrong, text)
		w.trace("WRONG", text)
	}
}

// makeVenues draws venues, their instruments and the configuration.
func (w *world) makeVenues(r *rand.Rand) error {
	names := venues.Names()
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	c := new(pipeline.Config)
	c.DataDir = dataDir
	c.Bars.Intervals = []pipeline.Duration{pipeline.Duration(time.Second), pipeline.Duration(5 * time.Second)}
	c.Windows.VWAP = []pipeline.VWAP{{Span: pipeline.Duration(10 * time.Second), Step: pipeline.Duration(time.Second)}}
	c.Shards = pipeline.AutoCount(1 + r.IntN(shardsMax))
	c.Journal.Memory = 64 << 10 << (2 * r.IntN(2))
	c.Journal.Segment, c.Journal.Reserve = c.Journal.Memory, c.Journal.Memory/2
	c.Journal.Keep, c.Journal.KeepFor = 2*c.Journal.Memory, pipeline.Duration(time.Hour)
	w.batch = int(c.Journal.Memory) / tick.UnitSize / 8
	c.Rings.Units = 1 << 10
	c.QuestDB.FlushRows = 100 + r.IntN(400)
	c.QuestDB.RequestTimeout = pipeline.Duration(2 * time.Second)
	if r.IntN(2) == 0 {
		c.Spool.Max = 64 << 20
	}
	w.offset = time.Duration(r.Int64N(int64(2*clockOffsetMax))) - clockOffsetMax
	o := sim.Options{Seed: w.o.Seed, Rate: 4 + 10*r.Float64(), Levels: 20 + r.IntN(20), History: 1 << 14,
		ClockOffset: w.offset}
	for _, name := range names[:1+r.IntN(2)] {
		dialect := venues.Dialect(name)
		symbols := dialect.DefaultSymbols()
		symbols = symbols[:min(len(symbols)-1, 1+r.IntN(2))]
		f := pipeline.Feed{Venue: name, Channels: []string{"trades", "quotes", "depth"}}
		if r.IntN(6) == 0 {
			f.Channels = []string{"trades", "depth"}
		}
		if r.IntN(8) == 0 {
			f.Channels = []string{pipeline.AllChannels}
		}
		if r.IntN(5) == 0 {
			f.Lines = 2
		}
		if r.IntN(6) == 0 {
			f.SocketLife = pipeline.Duration(between(r, 12*time.Second, 20*time.Second)) // sooner, and no budget of requests would do
		}
		for _, s := range symbols {
			f.Symbols = append(f.Symbols, s.Name)
		}
		c.Feeds = append(c.Feeds, f)
		w.venues = append(w.venues, name)
		o.Venues = append(o.Venues, sim.Venue{Name: name, Dialect: dialect, Symbols: symbols})
	}
	c.EnsureDefaults()
	w.config = c
	var err error
	w.exchange, err = sim.New(o)
	if err != nil {
		return err
	}
	w.catalogs = map[string][]tick.Instrument{}
	for _, name := range w.venues {
		if w.catalogs[name], err = w.catalog(name); err != nil {
			return err
		}
	}
	return nil
}

// catalog is what a venue lists.
func (w *world) catalog(venue string) ([]tick.Instrument, error) {
	adapter, _ := venues.New(venue)
	var all []tick.Instrument
	for _, request := range adapter.CatalogRequests() {
		u, err := url.Parse(request.URL)
		if err != nil {
			return nil, err
		}
		status, _, body, _, err := w.exchange.Get(venue, u)
		if err != nil || status != 200 {
			return nil, fmt.Errorf("%s: no catalog: %d %v", venue, status, err)
		}
		some, err := adapter.ParseCatalog(body)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

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
	w.process = p
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
	if end == 0 {
		// Nothing of an instrument is known, so that nobody can know that it was missed.
		w.since = w.now + int64(w.offset)
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

// end is the end of a process that does not see it coming.
func (w *world) end(cut bool, away time.Duration) {
	p := w.process
	if p == nil {
		return
	}
	w.process = nil
	p.fs.dead = true
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
			w.cutAt = w.now // what a start that failed had written is written again
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

// each does something for all that a link carries.
func (w *world) each(k *link, do func(channelOf, *listening)) {
	for _, s := range k.l.Carries() {
		for _, channel := range []tick.Channels{tick.ChannelTrades, tick.ChannelQuotes, tick.ChannelDepth} {
			if s.Channels.Has(channel) {
				key := channelOf{k.venue, s.Instrument.Symbol, channel}
				x := w.listens[key]
				if x == nil {
					x = &listening{}
					w.listens[key] = x
				}
				do(key, x)
			}
		}
	}
}

// heard notes that a socket is open, unheard that it is no more.
func (w *world) heard(k *link) {
	w.each(k, func(key channelOf, x *listening) {
		if x.sockets++; x.sockets == 1 && x.since != 0 {
			w.downs = append(w.downs, down{key, x.since, w.now + int64(w.offset)})
		}
	})
}

func (w *world) unheard(k *link) {
	w.each(k, func(_ channelOf, x *listening) {
		if x.sockets--; x.sockets == 0 {
			x.since = w.now + int64(w.offset)
		}
	})
}

// setDisk gives the disk the faults of now.
func (w *world) setDisk() {
	var f simdisk.Faults
	is := func(k faultKind) bool { return w.now < w.diskFaults[k] }
	if is(faultDiskWrite) {
		f.WriteError = 0.3
	}
	if is(faultDiskShort) {
		f.ShortWrite = 0.3
	}
	if is(faultDiskSync) {
		f.SyncError = 0.5
	}
	if is(faultDiskSyncDir) {
		f.SyncDirError = 0.5
	}
	if is(faultDiskCreate) {
		f.CreateError = 0.5
	}
	if is(faultDiskFull) {
		f.Capacity = w.disk.Used() + 4096
	}
	w.disk.SetFaults(f)
}

// deathIn lets a process die within its disk.
func (w *world) deathIn(p *process, f *fault) {
	w.note("dies", f.String())
	p.fs.cut = f.kind == faultPowerCutInDisk
}

// strike lets a fault happen.
func (w *world) strike(f fault) {
	if slices.Contains(w.o.Without, f.name()) {
		return
	}
	until := w.now + int64(f.span)
	p := w.process
	away := 100*time.Millisecond + time.Duration(f.pick%uint64(3*time.Second))
	switch f.kind {
	case faultReset:
		if p != nil && len(p.links) > 0 {
			p.links[f.pick%uint64(len(p.links))].reset()
		}
	case faultStorm:
		var again func()
		again = func() {
			if w.now < until {
				if w.process != nil {
					for _, k := range w.process.links {
						k.reset()
					}
				}
				w.after(between(w.network, 20*time.Millisecond, 500*time.Millisecond), again)
			}
		}
		again()
	case faultDial:
		w.noDialTill = max(w.noDialTill, until)
	case faultDelay:
		w.slowTill = max(w.slowTill, until)
	case faultREST:
		w.noRESTTill = max(w.noRESTTill, until)
	case faultVenue:
		v := sim.Fault{Kind: f.venue, Venue: w.venues[f.pick%uint64(len(w.venues))], For: f.span}
		if f.venue == sim.FaultHalfOpen {
			v.For = 0
		}
		if err := w.exchange.Inject(v); err != nil {
			return // nothing is there that it could befall
		}
	case faultKill, faultPowerCut:
		w.end(f.kind == faultPowerCut, away)
	case faultKillInDisk, faultPowerCutInDisk:
		if p == nil || f.pick&1 == 0 {
			w.nextDeath = &f
			w.end(f.kind == faultPowerCutInDisk, away)
		} else {
			p.fs.left, p.fs.after = 1+int64(f.pick%40), f.pick&(1<<40) != 0
			w.deathIn(p, &f)
		}
	case faultStop:
		w.stopCleanly(away)
	case faultStall:
		part := f.pick % stallable
		w.stalled[part] = max(w.stalled[part], until)
		if part == stallDrain {
			w.hinderedTill = max(w.hinderedTill, until)
		}
	case faultSnapshot:
		w.snapshot()
	case faultDiskWrite, faultDiskShort, faultDiskSync, faultDiskSyncDir, faultDiskCreate, faultDiskFull:
		w.diskFaults[f.kind] = max(w.diskFaults[f.kind], until)
		w.hinderedTill = max(w.hinderedTill, until)
		w.setDisk()
		w.at(until, w.setDisk)
	case faultFlip:
		w.flip(f.pick)
	case faultDBBusy, faultDBError, faultDBTimeout, faultDBLostReply:
		w.database.troubles = append(w.database.troubles, trouble{f.kind, w.now, until})
	case faultDBAway:
		w.database.downTill = max(w.database.downTill, until)
	case faultDBRestart:
		w.database.restart(0, f.span)
	case faultDBRestartLost:
		w.dbLostAt, w.unkept = w.now, w.diskless
		w.database.restart(time.Duration(f.pick%uint64(2*time.Second)), f.span)
	case faultDBWiped:
		w.dbLostAt, w.unkept = w.now, w.diskless
		w.database.wipe()
	case faultDBDropped:
		names := slices.Sorted(maps.Keys(w.database.tables))
		if len(names) > 0 {
			w.dbLostAt, w.unkept = w.now, w.diskless
			delete(w.database.tables, names[f.pick%uint64(len(names))])
		}
	case faultDBRejects:
		w.database.doomed, w.database.doomed0, w.database.till1 = uint32(f.pick), w.now, until
	}
	w.note("fault", f.String())
}

// flip turns a bit of a log, a snapshot or the spool.
func (w *world) flip(pick uint64) {
	var all []string
	var walk func(dir string)
	walk = func(dir string) {
		entries, _ := w.disk.List(dir)
		for _, e := range entries {
			name := dir + "/" + e.Name
			switch {
			case e.Dir:
				walk(name)
			case e.Size > 0 && (strings.HasSuffix(name, ".log") || strings.HasSuffix(name, ".seg") || strings.Contains(name, "/snapshots/")):
				all = append(all, name)
			}
		}
	}
	walk(dataDir)
	if len(all) == 0 {
		return
	}
	name := all[pick%uint64(len(all))]
	content, _ := vfs.ReadFile(w.disk, name, 1<<30)
	for len(content) > 0 && content[len(content)-1] == 0 {
		content = content[:len(content)-1] // what was never written
	}
	if len(content) == 0 {
		return
	}
	bit := int64(pick >> 20 % uint64(8*len(content)))
	w.flipped = true
	w.note("flip", fmt.Sprintf("%s bit %d of %d", name, bit, 8*len(content)))
	if err := w.disk.Flip(name, bit); err != nil {
		panic("BUG: " + err.Error())
	}
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

// run lets time pass until it is over or done says so.
func (w *world) run(until int64, done func() bool) bool {
	for {
		if done != nil && done() {
			return true
		}
		if !w.stepSafely(until) {
			return false
		}
	}
}

// stepSafely lets the next thing happen, which may be the end of the process.
func (w *world) stepSafely(until int64) (more bool) {
	defer func() {
		if x := recover(); x != nil {
			if _, ok := x.(death); !ok {
				panic(x)
			}
			w.task = nil
			more = true
			w.end(w.process.fs.cut, 50*time.Millisecond+between(w.kills, 0, 2*time.Second))
		}
	}()
	return w.step(until)
}

// good reports that all is as it should be.
func (w *world) good() (why string) {
	p := w.process
	if p == nil || !p.started {
		return "no process runs"
	}
	for _, f := range p.b.Feeds {
		for _, l := range f.Links {
			if l.State().String() != "up" {
				return f.Venue + " " + l.Name() + " is " + l.State().String()
			}
			if n := l.Silent(); n > 0 {
				return fmt.Sprintf("%s %s does not have %d of its streams", f.Venue, l.Name(), n)
			}
		}
	}
	for _, k := range p.links {
		if k.client != nil && k.client.HalfOpen() {
			return k.venue + " " + k.l.Name() + " is dead, and does not know it"
		}
	}
	for _, f := range w.config.Feeds {
		for _, symbol := range f.Symbols {
			if x, ok := p.b.Image(f.Venue, symbol); !ok || !x.Valid {
				return fmt.Sprintf("book of %s %s is not valid (%s)", f.Venue, symbol, x.Reason)
			}
		}
	}
	for _, why := range p.b.Troubles() {
		return why
	}
	if w.pendingBackfills() > 0 {
		return "trades are still being fetched"
	}
	return ""
}

// planOf is how long things go wrong in a seed, and which.
func planOf(seed uint64) (length time.Duration, faults []fault) {
	length = between(stream(seed, "length"), 6*time.Second, 16*time.Second)
	calm := stream(seed, "calm").IntN(90)
	return length, newPlan(frequencies, seed, 1500*time.Millisecond, length, calm)
}

// Run runs a seed.
func Run(o Options) (r Result, err error) {
	w, err := newWorld(o)
	if err != nil {
		return Result{}, err
	}
	length, faults := planOf(o.Seed)
	w.faults = faults
	if slices.ContainsFunc(w.faults, func(f fault) bool { return f.kind == faultFlip }) {
		w.config.Journal.Damage = "skip"
	}
	w.market()
	w.at(w.now, w.begin)
	for _, f := range w.faults {
		w.at(w.began+int64(f.at), func() { w.strike(f) })
	}
	over := w.began + int64(length)
	w.run(over, nil)
	w.calmDown()
	settled := w.settle(over)
	w.check()
	r = Result{Seed: o.Seed, Violations: w.wrong, Virtual: time.Duration(w.now - w.began), Settled: settled, Tally: w.tally}
	for _, f := range w.faults {
		r.Faults = append(r.Faults, f.String())
	}
	r.Hash = w.hash()
	w.kill()
	return r, nil
}

// market moves the venues.
func (w *world) market() {
	w.exchange.Step(time.Unix(0, w.now))
	var again func()
	again = func() {
		if !w.marketStops {
			w.exchange.Step(time.Unix(0, w.now))
			w.after(12*time.Millisecond, again)
		}
	}
	w.after(12*time.Millisecond, again)
}

// calmDown ends what goes wrong with disk and database, and, in bounded runs,
// with all else: whatever lasts.
func (w *world) calmDown() {
	w.diskFaults = [faultKinds]int64{}
	w.setDisk()
	w.nextDeath = nil
	if p := w.process; p != nil {
		p.fs.left = 0
	}
	w.stalled = [stallable]int64{}
	w.database.troubles, w.database.downTill, w.database.till1 = nil, 0, 0
	w.slowTill, w.noRESTTill = 0, 0
	if w.o.Mutation != "deaf" {
		w.noDialTill = 0
	}
	if w.o.Unbounded {
		w.marketStops = true
	} else {
		w.exchange.Calm()
	}
}

// noticedWithin is how long a database may have lost rows before a sender that
// is not refused looks.
const noticedWithin = 33 * time.Second

// settle waits until all is good, and all rows are where they belong.
func (w *world) settle(over int64) time.Duration {
	at := int64(0)
	when := func(every time.Duration, good func() bool) func() bool {
		return func() bool {
			if w.now < at {
				return false
			}
			at = w.now + int64(every)
			return good()
		}
	}
	settled := time.Duration(0)
	if !w.o.Unbounded {
		if !w.run(over+int64(settleMax), when(200*time.Millisecond, func() bool { return w.good() == "" })) {
			w.violate("liveness", "%v after the last fault: %s", settleMax, w.good())
		}
		settled = time.Duration(w.now - over)
		w.exchange.Finish()
		w.run(w.now+int64(3*time.Second), nil)
		w.marketStops = true
		// The last trades have closed gaps, too.
		if !w.run(w.now+int64(settleMax), when(100*time.Millisecond, func() bool {
			return w.process != nil && w.process.started && w.pendingBackfills() == 0
		})) {
			w.violate("liveness", "trades are not fetched %v after the last fault", settleMax)
		}
	}
	w.run(w.now+int64(time.Second), nil)
	w.run(w.dbLostAt+int64(noticedWithin), nil)
	if !w.run(w.now+int64(2*time.Minute), when(100*time.Millisecond, func() bool {
		p := w.process
		return p != nil && p.started && w.now >= p.startedAt+int64(time.Second) && p.b.Spool.State().Empty
	})) {
		w.violate("liveness", "rows wait two minutes after the last fault")
	}
	w.database.settle()
	return settled
}

// hash is one number for all that there is at the end.
func (w *world) hash() uint64 {
	h := fnv.New64a()
	fmt.Fprintln(h, w.sum, w.count, w.now, w.wrong)
	for _, name := range slices.Sorted(maps.Keys(w.database.tables)) {
		for _, r := range w.database.all(name) {
			io.WriteString(h, r.line)
		}
	}
	if w.process != nil && w.process.started {
		io.WriteString(h, w.states(w.process.b))
	}
	w.disk.Digest(h)
	return h.Sum64()
}
