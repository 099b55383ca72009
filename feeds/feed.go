package feeds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"tickproc/tick"
)

// Defaults of Options, and of what a Profile leaves open.
const (
	DefaultBackoffMin = 250 * time.Millisecond
	DefaultBackoffMax = 30 * time.Second
	DefaultAckTimeout = 10 * time.Second
	DefaultStopWait   = time.Second
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
	// FirstLine is the number of the first connection; connection i is line
	// FirstLine+i, and the REST worker comes after the last connection.
	FirstLine uint16
	// NewOutput makes the output of a line, once a line, within New. The line
	// closes it when it ends.
	NewOutput func(line LineInfo) *Output
	Logger    *slog.Logger // nil = silent
	// Canary is told of signs that the venue changes its protocol; nil = nobody is.
	Canary *Canary
	// Recorder captures raw frames; nil = off. Run runs it.
	Recorder *Recorder
	// Compression offers permessage-deflate. Default off: it costs the reader
	// more time than it saves on the wire.
	Compression bool

	BackoffMin time.Duration // first wait before a reconnect or retry; default DefaultBackoffMin
	BackoffMax time.Duration // longest; default DefaultBackoffMax
	AckTimeout time.Duration // for a subscription without answer and data; default DefaultAckTimeout
	StopWait   time.Duration // for the venue to close a socket that we part from; default DefaultStopWait

	Dial DialFunc          // nil = the network; for sockets and, without HTTP, requests
	HTTP http.RoundTripper // nil = one over Dial
}

// LineInfo describes a line before it starts.
type LineInfo struct {
	Line        uint16
	Name        string // the connection's, or "rest"
	Instruments []*tick.Instrument
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
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		o.Dial = networkDial
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

// Feed runs one venue: its planned connections and its REST worker, each a
// line with its own rings.
type Feed struct {
	connections []*connection
	rest        *restWorker
	recorder    *Recorder
	client      *http.Client
	stats       []*LineStats
	inBand      bool // snapshots come on the stream
	growth      growth
}

// New plans a feed and starts nothing. It fails on addresses and names that
// cannot be used.
func New(o Options) (*Feed, error) {
	o.ensureDefaults()
	profile := o.Adapter.Profile()
	if profile.FrameLimit == 0 {
		profile.FrameLimit = DefaultFrameLimit
	}
	plan := o.Adapter.Plan(o.Subscriptions)
	if last := int(o.FirstLine) + len(plan); last > math.MaxUint16 {
		return nil, fmt.Errorf("%s: line number %d beyond %d: use fewer symbols", o.Adapter.Venue(), last, math.MaxUint16)
	}
	f := &Feed{recorder: o.Recorder, client: newHTTPClient(o.Dial, o.HTTP)}
	f.growth.options = o

	all := map[uint32]*tick.Instrument{}
	channels := map[uint32]tick.Channels{}
	for _, s := range o.Subscriptions {
		all[s.Instrument.ID] = s.Instrument
		channels[s.Instrument.ID] |= s.Channels
	}
	connects := rate.NewLimiter(rate.Inf, 1)
	if profile.ConnectInterval > 0 {
		connects = rate.NewLimiter(rate.Every(profile.ConnectInterval), 1)
	}
	var faults []error
	introduced := map[uint32]bool{}
	for i := range plan {
		p := &plan[i]
		url, err := OverrideURL(p.URL, o.WSURL)
		if err != nil {
			faults = append(faults, fmt.Errorf("ws_url: %w", err))
		}
		number := o.FirstLine + uint16(i)
		carried := carriedBy(p)
		var catalog []tick.Unit
		for _, in := range carried {
			if introduced[in.ID] {
				continue
			}
			introduced[in.ID] = true
			definition := *in
			definition.Channels = channels[in.ID]
			if catalog, err = tick.AppendCatalog(catalog, tick.Header{Line: number}, definition); err != nil {
				faults = append(faults, fmt.Errorf("%s %s: %w", o.Adapter.Venue(), in.Symbol, err))
			}
		}
		c := &connection{
			number: number, plan: p, url: url, profile: profile, adapter: o.Adapter, options: &o, connects: connects,
			catalog: catalog, table: NewTable(carried),
			out:     o.NewOutput(LineInfo{Line: number, Name: p.Name, Instruments: carried}),
			trouble: trouble{log: lineLogger(&o, number, p.Name)},
			backoff: backoff{min: o.BackoffMin, max: o.BackoffMax}, wishes: newWishes(),
		}
		c.stats = &LineStats{Line: number, Name: p.Name, Output: &c.out.Stats}
		c.session, c.stats.Streams = newSession(p)
		if o.Recorder != nil {
			c.recorder = o.Recorder.Line(p.Name)
			c.stats.Recorder = &c.recorder.Stats
		}
		f.connections = append(f.connections, c)
		f.stats = append(f.stats, c.stats)
	}

	number := o.FirstLine + uint16(len(plan))
	carried := carriedBy(&Connection{Streams: o.Subscriptions})
	if len(carried) > 0 {
		r, ok := o.Adapter.SnapshotRequest(carried[0])
		f.inBand = !ok
		if ok {
			if _, err := OverrideURL(r.URL, o.RESTURL); err != nil {
				faults = append(faults, fmt.Errorf("rest_url: %w", err))
			}
		}
	}
	w := &restWorker{
		number: number, adapter: o.Adapter, instruments: all, base: o.RESTURL, bodyLimit: bodyLimitOf(profile),
		client: f.client, out: o.NewOutput(LineInfo{Line: number, Name: restLineName, Instruments: carried}),
		table: NewTable(carried), trouble: trouble{log: lineLogger(&o, number, restLineName)},
		queue: newResyncs(o.BackoffMin, o.BackoffMax), budget: budgetOf(profile.WeightPerMinute),
		throttle: backoff{min: throttledMin, max: throttledMax}, arrived: make(chan struct{}, 1),
	}
	w.stats = &LineStats{Line: number, Name: restLineName, Output: &w.out.Stats}
	if o.Recorder != nil {
		w.recorder = o.Recorder.Line(restLineName)
		w.stats.Recorder = &w.recorder.Stats
	}
	f.rest = w
	f.stats = append(f.stats, w.stats)
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return f, nil
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
	// All definitions go ahead of all sockets: an instrument whose channels
	// come by several lines is introduced by one of them.
	for _, c := range f.connections {
		c.introduce()
	}
	var lines, recording sync.WaitGroup
	stopRecording := make(chan struct{})
	if f.recorder != nil {
		recording.Go(func() { f.recorder.run(stopRecording) })
	}
	for _, c := range f.connections {
		lines.Go(func() { c.run(ctx) })
	}
	lines.Go(func() { f.rest.run(ctx) })
	f.runAdded(ctx)
	lines.Wait()
	f.growth.running.Wait()
	close(stopRecording)
	recording.Wait()
}

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
	if c := f.child(instrument); c != nil {
		c.Resync(instrument, epoch, line)
		return
	}
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
	var best *connection
	for _, c := range f.connections {
		if c.session.find(instrument, tick.ChannelDepth.Index()) == nil {
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

// Stats returns the numbers of every line: of those that there were at first,
// the REST worker's last, and then of those that were added. The elements stay
// the same; any goroutine may read them at any time.
func (f *Feed) Stats() []*LineStats {
	f.growth.mu.Lock()
	defer f.growth.mu.Unlock()
	return append(f.stats[:len(f.stats):len(f.stats)], f.growth.stats...)
}
