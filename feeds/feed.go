package feeds

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"tickproc/internal/clock"
	"tickproc/internal/stat"
	"tickproc/tick"
)

// Defaults of Options, and of what a Profile leaves open.
const (
	DefaultBackoffMin = 250 * time.Millisecond
	DefaultBackoffMax = 30 * time.Second
	DefaultAckTimeout = 10 * time.Second
	DefaultStopWait   = time.Second
	DefaultCoverWait  = 30 * time.Second
	DefaultOverlap    = 500 * time.Millisecond
	DefaultSpin       = time.Second
	DefaultFrameLimit = 16 << 20
	DefaultBodyLimit  = 64 << 20
)

const restLineName = "rest"

// Options make a Feed. Adapter, Subscriptions and NewOutput are required.
type Options struct {
	Adapter Adapter
	// Subscriptions name the instruments, whose ids are set, and their channels.
	Subscriptions []Subscription
	// WSURL and RESTURL override the venue's addresses, see OverrideURL; "" = not.
	WSURL, RESTURL string
	// Lines are the websocket addresses of redundant lines: every socket is opened
	// once for each, and the first arrival of a message wins. "" = WSURL. Nil = one
	// line.
	Lines []string
	// NextLine numbers a line, in the order of New and Add. Default: from 0.
	NextLine func() uint16
	// NewOutput makes the output of a line, once a line, within New and Add. The
	// line closes it when it ends.
	NewOutput func(line LineInfo) *Output
	// Canary is told of signs that the venue changes its protocol; nil = nobody is.
	Canary *Canary
	Logger *slog.Logger // nil = silent
	// Backfill bounds the fetching of trades that were missed.
	Backfill BackfillOptions
	// Recorder captures raw frames; nil = off. Run runs it.
	Recorder *Recorder
	// Read says how sockets are read.
	Read ReadOptions
	// Compression offers permessage-deflate. Default off: it costs the reader
	// more time than it saves on the wire.
	Compression bool

	BackoffMin time.Duration // first wait before a reconnect or retry; default DefaultBackoffMin
	BackoffMax time.Duration // longest; default DefaultBackoffMax
	AckTimeout time.Duration // for a subscription without answer and data; default DefaultAckTimeout
	StopWait   time.Duration // for the venue to close a socket that we part from; default DefaultStopWait
	Life       time.Duration // of a socket before it is changed for a new one; default the venue's
	Overlap    time.Duration // for which two sockets deliver a stream before one is closed; default DefaultOverlap
	CoverWait  time.Duration // for a second connection to take over before a planned end; default DefaultCoverWait

	// TLS is for sockets; nil = the system's certificates.
	TLS  *tls.Config
	Dial DialFunc          // nil = the network; for sockets and, without HTTP, requests
	HTTP http.RoundTripper // nil = one over Dial

	// Now is the clock, ns since the epoch; default the process clock.
	Now func() int64
	// Random returns a number below n; default the process's.
	Random func(n int64) int64
}

// ReadOptions say how sockets are read. The zero ReadOptions wait by the
// runtime's poller, and stamp frames when they are complete.
type ReadOptions struct {
	// Cores are for sockets that are read without waiting: each, in the order in
	// which they are planned, takes one, to which its thread is pinned. Sockets
	// beyond them, and the bridge, wait.
	Cores []int
	// Spin is how long such a socket is looked at in vain before it is waited for;
	// default DefaultSpin.
	Spin time.Duration
	// KernelStamps makes the kernel's receive stamps receive times, where they can
	// be.
	KernelStamps bool
}

// LineInfo describes a line before it starts.
type LineInfo struct {
	Line        uint16
	Name        string // the connection's, "bridge" or "rest"
	Instruments []*tick.Instrument
	// Any: the line may carry every instrument of the feed, also those added later.
	Any bool
	// REST: it carries answers to requests, which come now and then.
	REST bool
}

func (o *Options) ensureDefaults() {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&o.BackoffMin, DefaultBackoffMin)
	set(&o.BackoffMax, DefaultBackoffMax)
	set(&o.AckTimeout, DefaultAckTimeout)
	set(&o.StopWait, DefaultStopWait)
	set(&o.CoverWait, DefaultCoverWait)
	set(&o.Overlap, DefaultOverlap)
	set(&o.Read.Spin, DefaultSpin)
	set(&o.Backfill.MaxAge, DefaultBackfillAge)
	if o.Backfill.MaxTrades == 0 {
		o.Backfill.MaxTrades = DefaultBackfillTrades
	}
	if o.NextLine == nil {
		next := uint16(0)
		o.NextLine = func() uint16 { next++; return next - 1 }
	}
	if len(o.Lines) == 0 {
		o.Lines = []string{""}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		o.Dial = networkDial
	}
	if o.Now == nil {
		o.Now = clock.Nanos
	}
}

func networkDial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: handshakeTimeout}
	return d.DialContext(ctx, network, address)
}

func bodyLimitOf(p Profile) int64 {
	if p.BodyLimit == 0 {
		return DefaultBodyLimit
	}
	return p.BodyLimit
}

// Feed runs one venue: its planned connections, the bridge that stands in for
// one of them while it changes sockets, and its REST worker, each a line with
// its own rings.
type Feed struct {
	options  Options
	profile  Profile
	rest     *restWorker
	bridge   *bridge
	client   *http.Client
	connects *rate.Limiter
	inBand   bool // snapshots come on the stream
	hold     *hold

	mu          sync.Mutex // guards the rest: lines are added at run time, rarely
	connections []*connection
	stats       []*LineStats
	introduced  map[uint32]bool
	additions   int
	cores       int // of Options.Read that sockets have
	lines       sync.WaitGroup
	ctx         context.Context // of Run; nil before
}

// New plans a feed and starts nothing. It fails on addresses and names that
// cannot be used.
func New(o Options) (*Feed, error) {
	o.ensureDefaults()
	profile := o.Adapter.Profile()
	if profile.FrameLimit == 0 {
		profile.FrameLimit = DefaultFrameLimit
	}
	if o.Life > 0 {
		profile.Life = o.Life
	}
	f := &Feed{options: o, profile: profile, client: newHTTPClient(o.Dial, o.HTTP), introduced: map[uint32]bool{}, hold: newHold(),
		connects: rate.NewLimiter(rate.Inf, 1)}
	if profile.ConnectInterval > 0 {
		f.connects = rate.NewLimiter(rate.Every(profile.ConnectInterval), 1)
	}
	_, left, faults := f.plan(o.Subscriptions, "")

	carried := carriedBy(&Connection{Streams: o.Subscriptions})
	any := o.Adapter.Instrument("ANY") // all of a venue's instruments are had the same way
	snapshot, fetched := o.Adapter.SnapshotRequest(&any)
	f.inBand = !fetched
	if fetched {
		if _, err := OverrideURL(snapshot.URL, o.RESTURL); err != nil {
			faults = append(faults, fmt.Errorf("rest_url: %w", err))
		}
	}
	f.rest = f.newRESTWorker(carried)
	f.rest.announce(left)
	f.stats = append(f.stats, f.rest.stats)
	if len(o.Lines) == 1 {
		// Redundant lines cover for each other.
		f.bridge = f.newBridge(carried)
		f.stats = append(f.stats, f.bridge.line.stats)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return f, nil
}

// plan makes the connections of subscriptions, of every line; suffix tells
// their names from those of earlier ones. left introduces the instruments that
// no socket carries, because all that is wanted of them is polled.
func (f *Feed) plan(subscriptions []Subscription, suffix string) (added []*connection, left []tick.Unit, faults []error) {
	channels := map[uint32]tick.Channels{}
	for _, s := range subscriptions {
		channels[s.Instrument.ID] |= s.Channels
	}
	introduce := func(dst *[]tick.Unit, instruments []*tick.Instrument) {
		for _, in := range instruments {
			if f.introduced[in.ID] {
				continue
			}
			f.introduced[in.ID] = true
			definition := *in
			definition.Channels = channels[in.ID]
			var err error
			if *dst, err = tick.AppendCatalog(*dst, tick.Header{}, definition); err != nil {
				faults = append(faults, fmt.Errorf("%s %s: %w", f.options.Adapter.Venue(), in.Symbol, err))
			}
		}
	}
	for i, address := range f.options.Lines {
		if address == "" {
			address = f.options.WSURL
		}
		plan := f.options.Adapter.Plan(subscriptions)
		for j := range plan {
			p := &plan[j]
			p.Name += suffix
			if i > 0 {
				p.Name += "/" + strconv.Itoa(i+1)
			}
			url, err := OverrideURL(p.URL, address)
			if err != nil {
				faults = append(faults, fmt.Errorf("ws_url: %w", err))
			}
			c := f.newConnection(LineInfo{Name: p.Name, Instruments: carriedBy(p)})
			c.bridge = func() *bridge { return f.bridge } // which comes after it
			if f.cores < len(f.options.Read.Cores) {
				c.core, c.reading.Spin = f.options.Read.Cores[f.cores], f.options.Read.Spin
				f.cores++
			}
			c.carry(p, url)
			introduce(&c.catalog, carriedBy(p))
			added = append(added, c)
			f.stats = append(f.stats, c.stats)
		}
	}
	f.connections = append(f.connections, added...)
	introduce(&left, carriedBy(&Connection{Streams: subscriptions}))
	return added, left, faults
}

// newConnection makes a line for sockets. What they carry is set by take.
func (f *Feed) newConnection(line LineInfo) *connection {
	line.Line = f.options.NextLine()
	table := NewTable(line.Instruments)
	table.Canary = f.options.Canary
	c := &connection{
		number: line.Line, profile: f.profile, adapter: f.options.Adapter, options: &f.options, connects: f.connects, hold: f.hold,
		table: table, out: f.options.NewOutput(line), trouble: trouble{log: lineLogger(&f.options, line.Line, line.Name)},
		backoff: backoff{min: f.options.BackoffMin, max: f.options.BackoffMax, chance: f.options.Random}, wishes: newWishes(), covered: make(chan struct{}, 1),
	}
	frame := make([]byte, readBuffer)
	clear(frame) // mapped now, not by the first frames
	c.frame = frame[:0]
	c.stats = &LineStats{Line: line.Line, Name: line.Name, Output: &c.out.Stats}
	if f.options.Read.KernelStamps {
		c.reading.Stamps, c.stats.KernelStamps = true, true
		var latency *stat.Latency
		if all := c.out.Latency(); all != nil {
			latency = &all.Socket
		}
		c.stamper = newStamper(&c.stats.Stamps, latency)
	}
	if f.options.Recorder != nil {
		c.recorder = f.options.Recorder.Line(line.Name)
		c.recorder.number.Store(int32(line.Line))
		c.recorder.kernel.Store(c.stamper != nil)
		c.stats.Recorder = &c.recorder.Stats
	}
	return c
}

func (f *Feed) newRESTWorker(carried []*tick.Instrument) *restWorker {
	o := &f.options
	line := LineInfo{Line: o.NextLine(), Name: restLineName, Instruments: carried, Any: true, REST: true}
	table := NewTable(carried)
	table.Canary = o.Canary
	w := &restWorker{
		number: line.Line, adapter: o.Adapter, instruments: map[uint32]*tick.Instrument{}, base: o.RESTURL, bodyLimit: bodyLimitOf(f.profile),
		client: f.client, hold: f.hold, out: o.NewOutput(line), table: table, trouble: trouble{log: lineLogger(o, line.Line, restLineName)},
		queue: newResyncs(o.BackoffMin, o.BackoffMax), budget: budgetOf(f.profile.WeightPerMinute),
		fetches: fetches{options: o.Backfill}, keyHeader: f.profile.KeyHeader,
		throttle: backoff{min: throttledMin, max: throttledMax, chance: o.Random}, chance: o.Random, now: o.Now, arrived: make(chan struct{}, 1),
	}
	w.queue.chance = o.Random
	for _, s := range o.Subscriptions {
		w.carry(s)
	}
	w.stats = &LineStats{Line: line.Line, Name: restLineName, Output: &w.out.Stats}
	if o.Recorder != nil {
		w.recorder = o.Recorder.Line(restLineName)
		w.recorder.number.Store(int32(line.Line))
		w.stats.Recorder = &w.recorder.Stats
	}
	return w
}

// carriedBy returns the instruments of a connection, each once, in the order
// of its streams.
func carriedBy(c *Connection) []*tick.Instrument {
	var carried []*tick.Instrument
	seen := map[uint32]bool{}
	add := func(subscriptions []Subscription) {
		for _, s := range subscriptions {
			if !seen[s.Instrument.ID] {
				seen[s.Instrument.ID] = true
				carried = append(carried, s.Instrument)
			}
		}
	}
	add(c.Streams)
	add(c.Subscriptions)
	return carried
}

// Run introduces the instruments, keeps all lines going until ctx ends, and
// returns when every line has said goodbye, written its last packets and
// closed its rings. It starts one goroutine a line, which may start a second
// one while its socket is open (the REST worker: up to restParallel), and one
// for the recorder; none outlives it.
func (f *Feed) Run(ctx context.Context) {
	defer f.client.CloseIdleConnections()
	var recording sync.WaitGroup
	stopRecording := make(chan struct{})
	if r := f.options.Recorder; r != nil {
		recording.Go(func() { r.run(stopRecording) })
	}
	f.mu.Lock()
	f.ctx = ctx
	f.lines.Go(func() { f.rest.run(ctx) }) // to the end of ctx, so that lines may be added until then
	if f.bridge != nil {
		f.lines.Go(func() { f.bridge.run(ctx) })
	}
	f.start(f.connections)
	f.mu.Unlock()
	<-ctx.Done()
	f.mu.Lock() // whoever is adding has added
	f.mu.Unlock()
	f.lines.Wait()
	close(stopRecording)
	recording.Wait()
}

// start starts connections.
func (f *Feed) start(connections []*connection) {
	// All definitions go ahead of all sockets: an instrument whose channels
	// come by several lines is introduced by one of them.
	for _, c := range connections {
		c.introduce()
	}
	for _, c := range connections {
		f.lines.Go(func() { c.run(f.ctx) })
	}
}

// ErrStopped says that a feed ended, or did not begin yet.
var ErrStopped = errors.New("the feed is not running")

// Add subscribes further instruments of a running feed on sockets of their
// own; those that are open are not touched. The new lines' outputs are made on
// the calling goroutine; any may call it.
func (f *Feed) Add(subscriptions []Subscription) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx == nil || f.ctx.Err() != nil {
		return ErrStopped
	}
	f.additions++
	added, left, faults := f.plan(subscriptions, "+"+strconv.Itoa(f.additions))
	if len(faults) > 0 {
		panic("BUG: an address was good in New and is not in Add: " + errors.Join(faults...).Error())
	}
	f.rest.announce(left)
	f.rest.add(subscriptions)
	f.start(added)
	return nil
}

// Announce writes catalog and status packets about instruments of the feed, in
// order, by way of the REST worker's line, which stamps them. Any goroutine
// may call it; it never blocks.
func (f *Feed) Announce(packets []tick.Unit) { f.rest.announce(packets) }

// Resync asks for a snapshot of an instrument's book that answers epoch.
// Any goroutine may call it; it never blocks. At most one request an
// instrument is in flight; a newer epoch replaces one that waits. Failures are
// retried for as long as the feed runs. An answer that comes when a newer
// epoch was asked for is dropped. One that overtakes that wish bears its own
// epoch: the shard refuses it.
//
// Where the venue sends snapshots in-band, the depth of the instrument is
// subscribed anew on line, or on one that carries it; epoch says nothing then.
func (f *Feed) Resync(instrument uint32, epoch uint64, line uint16) {
	if !f.inBand {
		f.rest.ask(instrument, epoch)
		return
	}
	if c := f.carrier(instrument, line); c != nil {
		c.wishes.add(instrument)
	}
}

// carrier returns the connection of an instrument's depth: that of the line,
// else one that is up, else any; nil if there is none.
func (f *Feed) carrier(instrument uint32, line uint16) *connection {
	f.mu.Lock()
	defer f.mu.Unlock()
	var best *connection
	for _, c := range f.connections {
		if !c.carries(instrument, tick.ChannelDepth) {
			continue
		}
		if c.number == line {
			return c
		}
		if state, _ := c.stats.State(); best == nil || state == LineUp {
			best = c
		}
	}
	return best
}

// Stats returns the numbers of every line, in the order in which the lines
// came. Elements stay the same; any goroutine may read them at any time.
func (f *Feed) Stats() []*LineStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.stats)
}
