package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/bits"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/internal/hardware"
	"tickproc/tick"
	"tickproc/writer/shm"
)

// busySymbol is the traffic of one of the busiest instruments (BTCUSDT on a
// calm day, recorded sessions of August 2024), in messages a second. An
// estimate for disk space has to assume busy symbols.
var busySymbol = struct{ trades, quotes float64 }{trades: 60, quotes: 190}

// rowBytes is the sum of a row's column widths in QuestDB (time, long and
// double 8, symbol 4, boolean 1, a trade's id with its index 26) at a book
// depth of 10. QuestDB allocates columns by the page: small partitions take more.
var rowBytes = map[string]float64{"trades": 71, "quotes": 77, "book": 370, "bars": 141, "windows": 62}

// CheckOptions say what to check.
type CheckOptions struct {
	Config *Config
	// Catalog: ask the venues for their instruments, so that names are verified
	// and patterns resolved.
	Catalog bool
	Logger  *slog.Logger // nil = silent
	// Machine is what threads are planned for; nil = this one.
	Machine *hardware.Cores
}

// Check prints what a valid configuration means: itself with all defaults,
// the sockets it would open, and what it would write. It fails with
// ErrDependency where a venue does not tell its instruments, and with
// ErrDifference where it does not know what is configured.
func Check(ctx context.Context, w io.Writer, o CheckOptions) error {
	c := o.Config
	fmt.Fprintf(w, "# effective configuration\n%s\n", c.Effective())
	plans, err := plan(ctx, o)
	if err != nil {
		return err
	}
	of := o.Machine
	if of == nil {
		of = thisMachine()
	}
	if err := c.threads(cores(), of).print(w); err != nil {
		return err
	}
	t := c.Runtime.tune(os.LookupEnv, hardware.MemoryLimit())
	for _, note := range t.notes {
		fmt.Fprintln(w, "  "+note)
	}
	fmt.Fprintln(w, "\n# sockets")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VENUE\tENDPOINT\tSOCKETS\tSYMBOLS\tSYMBOLS/SOCKET\tSTREAMS/SOCKET\tMESSAGES/SOCKET\tURL")
	symbols, unknown := 0, 0
	for _, p := range plans {
		symbols += len(p.subscriptions)
		unknown += len(p.remarks)
		if err := p.endpoints(table); err != nil {
			return err
		}
	}
	table.Flush()
	for _, p := range plans {
		fmt.Fprintln(w)
		for _, line := range p.notes() {
			fmt.Fprintln(w, line)
		}
	}
	shared := c.printShm(w)
	fmt.Fprintf(w, "\n# rows, if every symbol were as busy as the busiest (%.0f trades and %.0f quotes a second); most are not\n", busySymbol.trades, busySymbol.quotes)
	fmt.Fprintln(table, "TABLE\tROWS/S\tGB/DAY\t")
	estimate := c.estimate(symbols)
	for _, name := range []string{"trades", "quotes", "book", "bars", "windows"} {
		rate := estimate[name]
		fmt.Fprintf(table, "%s\t%.1f\t%.2f\t\n", name, rate, rate*rowBytes[name]*86400/1e9)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if shared != nil {
		return fmt.Errorf("%w: %w", ErrInput, shared)
	}
	if unknown > 0 {
		return fmt.Errorf("symbols and the venues' catalogs: %w: %d of them", ErrDifference, unknown)
	}
	return nil
}

// printShm says where the shards would be shown, and what keeps them from it.
func (c *Config) printShm(w io.Writer) error {
	if c.Shm.Enabled != On {
		return nil
	}
	o := c.shmOptions(c.ShardCount(cores()))
	free, err := shm.Look(o)
	fmt.Fprintf(w, "\n# shared memory\n%s: %.1f MB", o.Dir, float64(o.Bytes())/1e6)
	if err != nil {
		fmt.Fprintf(w, "\n  NOT POSSIBLE: %v\n", err)
		return err
	}
	fmt.Fprintf(w, " of %.1f MB that are free there, in memory; tickproc tail prints it\n", float64(free)/1e6)
	if _, err := os.Stat(o.Dir); err != nil {
		fmt.Fprintln(w, "  the folder is not there yet: a start makes it")
	}
	return nil
}

// feedPlan is what a feed would carry, and how.
type feedPlan struct {
	config        *Feed
	adapter       feeds.Adapter
	resolved      bool // by the venue's catalog
	subscriptions []feeds.Subscription
	connections   []feeds.Connection
	remarks       []remark
}

// plan resolves the symbols of all feeds.
func plan(ctx context.Context, o CheckOptions) ([]*feedPlan, error) {
	// Without metrics, databases and sockets a system is cheap, and resolves as
	// the one that runs does.
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &system{config: o.Config, logger: logger, named: map[symbolOf]struct{}{}, claims: map[symbolOf]*venueFeed{}, drivers: make([]*engine.Driver, 1)}
	s.take(o.Config)
	var plans []*feedPlan
	told := make([]news, len(o.Config.Feeds))
	if o.Catalog {
		var fetching sync.WaitGroup
		for i := range told {
			f := &o.Config.Feeds[i]
			adapter, _ := adapterOf(f.Venue)
			fetching.Go(func() {
				told[i] = fetchNews(ctx, adapter, f, feeds.CatalogOptions{Deadline: f.CatalogTimeout.Std(), Logger: logger})
			})
		}
		fetching.Wait()
		var away []error
		for i := range told {
			if told[i].err != nil {
				away = append(away, told[i].err)
			}
		}
		if len(away) > 0 {
			return nil, fmt.Errorf("%w: %w", ErrDependency, errors.Join(away...))
		}
	}
	for i := range o.Config.Feeds {
		f := &o.Config.Feeds[i]
		adapter, ok := adapterOf(f.Venue)
		if !ok {
			panic("BUG: a checked configuration names an unknown venue")
		}
		p := &feedPlan{config: f, adapter: adapter, resolved: o.Catalog}
		l := newListing(s, &venueFeed{venue: f.Venue, number: i, config: f}, adapter, nil)
		var chosen []carried
		chosen, p.remarks = l.choose(told[i])
		p.subscriptions = l.take(chosen)
		p.connections = adapter.Plan(p.subscriptions)
		plans = append(plans, p)
	}
	return plans, nil
}

// load is what one socket carries.
type load struct{ symbols, streams, messages int }

func (p *feedPlan) load(c *feeds.Connection) (l load) {
	names := map[uint32]bool{}
	for _, all := range [][]feeds.Subscription{c.Streams, c.Subscriptions} {
		for _, s := range all {
			names[s.Instrument.ID] = true
			l.streams += bits.OnesCount8(uint8(s.Channels))
		}
	}
	l.symbols = len(names)
	l.messages = len(c.Greetings) + len(p.adapter.Subscribe(c, c.Subscriptions, len(c.Greetings)))
	return l
}

// endpoints prints a line for each address; of its sockets the fullest.
func (p *feedPlan) endpoints(w io.Writer) error {
	for i := 0; i < len(p.connections); {
		first := &p.connections[i]
		name := first.Name[:max(0, strings.LastIndexByte(first.Name, '-'))]
		var urls []string
		for line := range max(1, len(p.config.WSURLs)) {
			url, err := feeds.OverrideURL(first.URL, p.config.wsURL(line))
			if err != nil {
				return fmt.Errorf("%w: %w", ErrInput, err)
			}
			urls = append(urls, url)
		}
		symbols, sockets, most := 0, 0, load{}
		for ; i < len(p.connections) && p.connections[i].URL == first.URL; i++ {
			l := p.load(&p.connections[i])
			symbols += l.symbols
			sockets++
			most = load{max(most.symbols, l.symbols), max(most.streams, l.streams), max(most.messages, l.messages)}
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", p.config.Venue, name, sockets*p.config.LineCount(), symbols,
			most.symbols, most.streams, most.messages, strings.Join(urls, " "))
	}
	return nil
}

// notes say what the plan means for the feed.
func (p *feedPlan) notes() []string {
	venue, profile := p.config.Venue, p.adapter.Profile()
	lines := []string{fmt.Sprintf("# %s: %s, %s", venue, plural(len(p.subscriptions), "symbol"), p.config.channels(p.adapter.Channels()))}
	note := func(format string, arguments ...any) { lines = append(lines, "  "+fmt.Sprintf(format, arguments...)) }
	for _, r := range p.remarks {
		note("NOT FOUND: %s", r)
	}
	if patterns := p.config.patterns(); !p.resolved && len(patterns) > 0 {
		note("and what the patterns match: %s; --catalog asks the venue, and shows it", strings.Join(patterns, " "))
	}
	if len(p.connections) == 0 {
		return lines
	}
	most, messages := load{}, 0
	var took time.Duration
	for i := range p.connections {
		l := p.load(&p.connections[i])
		messages += l.messages
		most = load{max(most.symbols, l.symbols), max(most.streams, l.streams), max(most.messages, l.messages)}
		// Connects follow one another; each socket then talks at its own pace.
		talk := time.Duration(max(0, l.messages-1)) * profile.MessageInterval
		took = max(took, time.Duration((i+1)*p.config.LineCount()-1)*profile.ConnectInterval+talk)
	}
	redundant := p.config.LineCount() > 1
	sockets := len(p.connections) * p.config.LineCount()
	if redundant {
		note("each stream comes by %d sockets: the loss of one hurts no symbol", p.config.LineCount())
	} else {
		note("the loss of one socket hurts at most %d of %s", most.symbols, plural(len(p.subscriptions), "symbol"))
	}
	note("subscribed after %s at the earliest: %s, %s, within the venue's limits", rounded(took),
		plural(sockets, "connect"), plural(messages*p.config.LineCount(), "message"))
	if profile.StreamsPerSocket > 0 && most.streams > profile.StreamsPerSocket {
		note("TOO MANY: %d streams on a socket, and the venue takes %d", most.streams, profile.StreamsPerSocket)
	}
	if profile.RequestsPerHour > 0 {
		note("%d of %d requests an hour and socket are needed to subscribe", most.messages, profile.RequestsPerHour)
	}
	return append(lines, p.weights()...)
}

// weights are the REST requests that books and the catalog take.
func (p *feedPlan) weights() (lines []string) {
	note := func(format string, arguments ...any) { lines = append(lines, "  "+fmt.Sprintf(format, arguments...)) }
	books := 0
	for _, s := range p.subscriptions {
		if r, ok := p.adapter.SnapshotRequest(s.Instrument); ok && s.Channels.Has(tick.ChannelDepth) {
			books += r.Weight
		}
	}
	budget := p.adapter.Profile().WeightPerMinute
	if books > 0 && budget > 0 {
		note("REST: snapshots of all books take %d of %d weight a minute: %s at least", books, budget,
			rounded(time.Duration(books)*time.Minute/time.Duration(budget)))
	}
	refresh := 0
	for _, r := range p.adapter.CatalogRequests() {
		refresh += r.Weight
	}
	if p.config.TopByVolume > 0 {
		for _, r := range p.adapter.VolumeRequests() {
			refresh += r.Weight
		}
	}
	note("REST: the catalog takes %d weight each %s", refresh, p.config.CatalogRefresh)
	polls := 0.0
	for _, s := range p.subscriptions {
		for _, poll := range p.adapter.Polls(s.Instrument) {
			if s.Channels.Has(poll.Channel) && poll.Every > 0 {
				polls += float64(poll.Request.Weight) * float64(time.Minute) / float64(poll.Every)
			}
		}
	}
	if polls > 0 {
		note("REST: what is polled takes %.0f weight a minute", polls)
	}
	return lines
}

func rounded(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

// estimate is rows a second by table, at the most.
func (c *Config) estimate(symbols int) map[string]float64 {
	n := float64(symbols)
	rates := map[string]float64{"trades": n * busySymbol.trades, "quotes": n * busySymbol.quotes, "book": n / c.Book.Every.Std().Seconds()}
	for _, interval := range c.Bars.Intervals {
		rates["bars"] += n / interval.Std().Seconds()
	}
	for _, w := range c.Windows.VWAP {
		rates["windows"] += n / w.Step.Std().Seconds()
	}
	if c.Windows.Session == "utc-day" {
		rates["windows"] += n
	}
	return rates
}
