package pipeline

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"tickproc/feeds/sim"
	"tickproc/internal/questdbserver"
	"tickproc/ops"
	"tickproc/writer"
	"tickproc/writer/questdb"
)

// DemoOptions start the demo.
type DemoOptions struct {
	Out      io.Writer
	Terminal bool // Out is one: redraw in place
	// Size of the terminal, asked for at each drawing; nil = no limits.
	Size    func() (columns, lines int)
	For     time.Duration // 0 = until ctx ends
	QuestDB string        // a running one; "" = start one
	Dir     string        // QuestDB's data and the log; "" = temporary
	Seed    uint64
	Faults  bool
}

// demoFaults strike often enough that a short run meets most kinds, and seldom
// enough that most books are valid most of the time. Not among them:
//
//   - half-open: nobody can tell it from a quiet market within a short run;
//   - huge, bomb: they take the memory of the machine that shows the demo;
//   - alter: where books have no checksum nobody can know; incidents do it where
//     they have;
//   - constant-checksum: while it lasts, a venue without ids loses messages
//     unnoticed, and so would the comparison find.
var demoFaults = sim.Faults{
	// By message.
	sim.FaultDrop: 0.001, sim.FaultDuplicate: 0.001, sim.FaultReorder: 0.0005, sim.FaultGarbage: 0.0005, sim.FaultTruncate: 0.0002,
	sim.FaultLateTrade: 0.001, sim.FaultDuplicateTrade: 0.002, sim.FaultExtraField: 0.0005,
	// By subscription, by handshake and by request.
	sim.FaultRefuse: 0.01, sim.FaultUnknown: 0.005, sim.FaultRateLimit: 0.005, sim.FaultSilent: 0.002, sim.FaultHandshakeLimit: 0.02,
	sim.FaultRESTError: 0.1, sim.FaultRESTSlow: 0.05, sim.FaultRESTGarbage: 0.05,
	// By minute and venue.
	sim.FaultDisconnect: 1, sim.FaultClose: 0.5, sim.FaultSlow: 0.5, sim.FaultShutdown: 0.5, sim.FaultDropFrame: 1, sim.FaultResnapshot: 1,
	sim.FaultRestart: 0.3, sim.FaultMaintenance: 0.2, sim.FaultQuiet: 0.5, sim.FaultStaleDepth: 0.5, sim.FaultHalt: 0.5,
}

const (
	demoDrainTime = 15 * time.Second
	incidentEvery = 2 * time.Second
	catalogEvery  = 3 * time.Second // far below what a real venue would take kindly
	drawEvery     = 500 * time.Millisecond
	lineEvery     = 5 * time.Second // where Out is no terminal
)

// Demo runs the product on this machine alone: a QuestDB, simulated exchanges
// and the pipeline between them. It ends everything that it started.
func Demo(ctx context.Context, o DemoOptions) error {
	dir, err := demoDir(&o)
	if err != nil {
		return err
	}
	defer dir.remove()

	url, stop, err := demoQuestDB(ctx, &o, dir.path)
	if err != nil {
		return err
	}
	defer stop()

	log, err := os.Create(filepath.Join(dir.path, "tickproc.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	logger, err := ops.NewLogger(log, "text", "info")
	if err != nil {
		return err
	}

	started := time.Now()
	exchange, err := startExchange(ctx, o.Seed, o.Faults)
	if err != nil {
		return err
	}
	defer exchange.Close()

	config := DefaultConfig()
	config.DataDir, config.QuestDB.URL = dir.path, url
	config.Feeds = simFeeds(exchange)
	config.Shm.Enabled = On
	d := &demo{options: o, config: config, exchange: exchange, started: started, url: url}
	if err := d.run(ctx, logger); err != nil {
		return err
	}
	if d.shared != nil {
		text, err := d.shared.summary()
		fmt.Fprintln(o.Out, text)
		if err != nil {
			return err
		}
	}
	switch {
	case url == "" && o.For > 0:
		return fmt.Errorf("%w: without QuestDB nothing could be compared", ErrDependency)
	case o.For == 0 || ctx.Err() != nil:
		return nil
	}
	return d.compare(context.WithoutCancel(ctx))
}

// startExchange starts simulated exchanges of all venues.
func startExchange(ctx context.Context, seed uint64, faults bool) (*sim.Exchange, error) {
	options := sim.Options{Seed: seed, PingEvery: time.Second}
	for _, venue := range Venues() {
		options.Venues = append(options.Venues, simVenue(venue))
	}
	if faults {
		options.Faults = demoFaults
	}
	exchange, err := sim.New(options)
	if err != nil {
		return nil, err
	}
	return exchange, exchange.Start(ctx)
}

// simFeeds configures a feed for every simulated venue, with all that the venue
// has: also what is listed while the demo runs.
func simFeeds(exchange *sim.Exchange) []Feed {
	var all []Feed
	for _, venue := range Venues() {
		f := Feed{Venue: venue, WSURL: exchange.WSURL(venue), RESTURL: exchange.RESTURL(venue), Channels: []string{AllChannels},
			CatalogRefresh: Duration(catalogEvery)}
		for _, s := range simVenue(venue).Dialect.DefaultSymbols() {
			f.Symbols = append(f.Symbols, s.Name)
		}
		f.Symbols = append(f.Symbols, listedBase+"*")
		all = append(all, f)
	}
	c := &Config{Feeds: all}
	c.EnsureDefaults()
	return c.Feeds
}

// listedBase is the base asset of what is listed while the demo runs.
const listedBase = "NEW"

// incidents lets happen what no rate does: a wrong message where a checksum
// tells, a finer tick, a listing, a delisting; venue by venue until ctx ends.
func (d *demo) incidents(ctx context.Context, s *system, logger *slog.Logger) {
	ticker := time.NewTicker(incidentEvery)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, venue := range Venues() {
			dialect := simVenue(venue).Dialect
			symbols := dialect.DefaultSymbols()
			first, last := symbols[0].Name, symbols[len(symbols)-1].Name
			var err error
			switch {
			case s.verifies(venue):
				err = d.exchange.Inject(sim.Fault{Kind: sim.FaultAlter, Venue: venue})
			case n == 0:
				err = d.exchange.List(venue, sim.Symbol{Name: strings.Replace(first, "BTC", listedBase, 1)})
			case n == 2:
				var spec sim.Spec
				if spec, err = dialect.Spec(first); err == nil {
					err = d.exchange.SetTick(venue, first, 5*spec.Tick, spec.PriceDigits+1)
				}
			case n == 5:
				err = d.exchange.Delist(venue, last)
			}
			if err != nil {
				logger.Warn("incident", "error", err)
			}
		}
	}
}

// verifies reports whether a venue's books carry checksums that are checked, as
// those that agreed show.
func (s *system) verifies(venue string) bool {
	for _, in := range s.carried() {
		if in.Venue == venue {
			x := s.status.image(in.ID)
			return x.Checksums > 0 && !x.ChecksumAbsent && !x.ChecksumConstant && x.Valid
		}
	}
	return false
}

// workDir is the demo's folder; a temporary one is removed at the end.
type workDir struct {
	path      string
	temporary bool
}

func demoDir(o *DemoOptions) (workDir, error) {
	if o.Dir != "" {
		return workDir{path: o.Dir}, os.MkdirAll(o.Dir, 0o755)
	}
	path, err := os.MkdirTemp("", "tickproc-demo-")
	return workDir{path, true}, err
}

func (d workDir) remove() {
	if d.temporary {
		os.RemoveAll(d.path)
	}
}

// demoQuestDB returns the address of a QuestDB, "" where there is no way to
// run one, and what ends it.
func demoQuestDB(ctx context.Context, o *DemoOptions, dir string) (url string, stop func(), err error) {
	if o.QuestDB != "" {
		return o.QuestDB, func() {}, nil
	}
	fmt.Fprintf(o.Out, "starting QuestDB %s (the first time it is fetched, which takes a moment)\n", questdbserver.Version)
	server, err := questdbserver.Start(ctx, questdbserver.Options{Dir: filepath.Join(dir, "questdb"),
		Env:    []string{"QDB_CAIRO_O3_PARTITION_SPLIT_MIN_SIZE=4194304"}, // docs/decisions/questdb-load.md
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	switch {
	case err == nil:
		return server.URL(), server.Stop, nil
	case ctx.Err() != nil:
		return "", nil, fmt.Errorf("%w: stopped before QuestDB was up", ErrDependency)
	}
	fmt.Fprintf(o.Out, "QuestDB is not running (%v): rows are counted in memory only\n", err)
	return "", func() {}, nil
}

// demo is a running demo.
type demo struct {
	options  DemoOptions
	config   *Config
	exchange *sim.Exchange
	started  time.Time // before the exchanges
	url      string
	memory   *writer.Memory
	database *questdb.Sink
	shared   *demoReader // nil: nothing is shown to other processes
	wait     int64       // the longest that a packet waited for its shard, in ns
}

// run runs the pipeline until ctx ends or the time is over, then drains it.
func (d *demo) run(ctx context.Context, logger *slog.Logger) error {
	d.memory = writer.NewMemory(0)
	sinks := []writer.Sink{d.memory}
	last := &lastRows{}
	sinks = append(sinks, last)
	if d.url != "" {
		options := d.config.questDBOptions()
		options.Logger, options.DeadLetterDir = logger, d.config.DataDir
		var err error
		if d.database, err = questdb.New(options); err != nil {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		if err := d.database.CheckSchema(ctx); err != nil {
			return fmt.Errorf("%w: %w", ErrDependency, err)
		}
		d.database.Start()
		sinks = append(sinks, d.database)
	}
	books := &lastBooks{}
	s := newSystem(d.config, logger, append(sinks, books)...)
	if err := s.addFeeds(ctx); err != nil {
		return err
	}
	defer d.share(s, books, logger)()
	feeding, stopFeeds := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFeeds()
	var running sync.WaitGroup
	running.Go(func() { s.run(feeding) })

	happening, calm := context.WithCancel(ctx)
	var incidents sync.WaitGroup
	if d.options.Faults {
		incidents.Go(func() { d.incidents(happening, s, logger) })
	}
	d.show(ctx, s, last)
	calm()
	incidents.Wait()

	// Everything that reaches a socket must be in the comparison: the exchanges
	// fall silent and are heard to the end before the sockets are closed.
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), demoDrainTime)
	defer cancel()
	if err := d.exchange.Drain(drain); err != nil {
		logger.Warn("draining the exchanges", "error", err)
	}
	if d.shared != nil {
		d.shared.look() // a stop makes books invalid
	}
	stopFeeds()
	running.Wait()
	if d.database != nil {
		delivery, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if err := d.database.Close(delivery); err != nil {
			return fmt.Errorf("%w: %w", ErrDependency, err)
		}
	}
	d.wait = s.latency.longestWait()
	d.summary(s)
	return nil
}

// show draws until ctx ends or the time is over.
func (d *demo) show(ctx context.Context, s *system, last *lastRows) {
	var over <-chan time.Time
	if d.options.For > 0 {
		timer := time.NewTimer(d.options.For)
		defer timer.Stop()
		over = timer.C
	}
	every := lineEvery
	if d.options.Terminal {
		every = drawEvery
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	screen := ops.Screen{W: d.options.Out, Size: d.options.Size}
	view := newViewer(s, last, d.database)
	if !d.options.Terminal {
		for _, line := range d.hints() {
			fmt.Fprintln(d.options.Out, line)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case <-ticker.C:
			v := view.view()
			if d.options.Terminal {
				v.Header = d.hints()
				v.Footer = []string{"", "Ctrl-C ends everything."}
				screen.Draw(v)
				continue
			}
			for _, line := range v.Lines() {
				fmt.Fprintln(d.options.Out, line)
			}
		}
	}
}

// hints tell where to look.
func (d *demo) hints() []string {
	var tail []string
	if d.shared != nil {
		tail = []string{"another process sees it too: tickproc tail --dir " + d.config.shmDir()}
	}
	if d.url == "" {
		return append(tail, "rows are counted in memory only")
	}
	return append([]string{
		"QuestDB console: " + d.url + "/   paste there:",
		"  SELECT * FROM nbbo WHERE symbol = 'BTC-USDT' AND type = 'spot' LIMIT -20;",
		"  SELECT * FROM funding LATEST ON ts PARTITION BY venue, symbol;",
		"  SELECT * FROM bars WHERE interval = '1s' AND symbol = 'BTCUSDT' LIMIT -20;",
		"  SELECT * FROM book LATEST ON ts PARTITION BY venue, symbol;",
		"  SELECT * FROM gaps LIMIT -20;",
	}, tail...)
}

// summary says what the run did.
func (d *demo) summary(s *system) {
	out := d.options.Out
	fmt.Fprintf(out, "\nran for %s\n", time.Since(d.started).Round(100*time.Millisecond))
	fmt.Fprintf(out, "%-14s %-17s %8s %8s %8s %6s %8s %10s\n", "VENUE", "SYMBOL", "TRADES", "QUOTES", "DEPTH", "GAPS", "RESYNCS", "TOP AGREED")
	for _, in := range s.carried() {
		x := s.status.image(in.ID)
		fmt.Fprintf(out, "%-14s %-17s %8d %8d %8d %6d %8d %10d\n", in.Venue, in.Symbol, x.Trades, x.Quotes, x.Depth, x.Gaps, x.Resyncs, x.TopAgrees)
	}
	faults := map[string]int{}
	for _, f := range d.exchange.FaultLog() {
		faults[f.Kind.String()]++
	}
	fmt.Fprintf(out, "faults injected: %s\n", counted(faults))
	fmt.Fprintf(out, "rows: %s\n", d.rows())
}

// Sim serves simulated exchanges until ctx ends, and prints a configuration
// that connects to them.
func Sim(ctx context.Context, out io.Writer, seed uint64, faults bool) error {
	exchange, err := startExchange(ctx, seed, faults)
	if err != nil {
		return err
	}
	defer exchange.Close()
	fmt.Fprintln(out, "feeds:")
	for _, f := range simFeeds(exchange) {
		fmt.Fprintf(out, "  - venue: %s\n    symbols: [", f.Venue)
		for i, symbol := range f.Symbols {
			if i > 0 {
				fmt.Fprint(out, ", ")
			}
			fmt.Fprintf(out, "'%s'", symbol)
		}
		fmt.Fprintf(out, "]\n    channels: [%s]\n    ws_url: %s\n    rest_url: %s\n", AllChannels, f.WSURL, f.RESTURL)
	}
	<-ctx.Done()
	return nil
}
