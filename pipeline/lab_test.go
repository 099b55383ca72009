package pipeline

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"tickproc/feeds/sim"
	"tickproc/tick"
)

// lab is a running pipeline, the simulated exchanges that feed it, and the
// ledger of what it wrote.
type lab struct {
	t        *testing.T
	exchange *sim.Exchange
	config   *Config
	system   *system
	ledger   *ledger
	arrivals *arrivals
	log      *logText
	stop     context.CancelFunc
	stopped  chan struct{}
}

// logText collects what is logged.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) has(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), part)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func textLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// newExchange starts simulated exchanges that end with the test.
func newExchange(t *testing.T, o sim.Options) *sim.Exchange {
	t.Helper()
	if o.PingEvery == 0 {
		o.PingEvery = 100 * time.Millisecond // the truth soon knows what was read
	}
	if len(o.Venues) == 0 {
		for _, venue := range Venues() {
			o.Venues = append(o.Venues, simVenue(venue))
		}
	}
	exchange, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := exchange.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(exchange.Close)
	return exchange
}

// feedsOf configures a feed for each simulated venue with its symbols.
func feedsOf(exchange *sim.Exchange) []Feed {
	var all []Feed
	for _, truth := range exchange.Truth() { // venue by venue
		if n := len(all); n == 0 || all[n-1].Venue != truth.Venue {
			all = append(all, Feed{Venue: truth.Venue, WSURL: exchange.WSURL(truth.Venue), RESTURL: exchange.RESTURL(truth.Venue)})
		}
		f := &all[len(all)-1]
		f.Symbols = append(f.Symbols, truth.Symbol)
	}
	return all
}

// newLab runs a pipeline on exchanges; edit may change the configuration.
func newLab(t *testing.T, exchange *sim.Exchange, edit func(*Config)) *lab {
	t.Helper()
	return newLabWith(t, exchange, edit, func(*system) {})
}

// newLabWith is newLab; prepare sees the system before it runs.
func newLabWith(t *testing.T, exchange *sim.Exchange, edit func(*Config), prepare func(*system)) *lab {
	t.Helper()
	l := &lab{t: t, exchange: exchange, config: DefaultConfig(), ledger: newLedger(), arrivals: newArrivals(), log: &logText{}, stopped: make(chan struct{})}
	l.config.Feeds = feedsOf(exchange)
	l.config.Shards = 2
	if edit != nil {
		edit(l.config)
	}
	l.config.EnsureDefaults()
	l.system = newSystem(l.config, textLogger(l.log), l.ledger)
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	if err := l.system.addFeeds(ctx); err != nil {
		t.Fatal(err)
	}
	prepare(l.system)
	for _, d := range l.system.drivers {
		l.arrivals.watch(d)
	}
	go func() {
		defer close(l.stopped)
		l.system.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-l.stopped
		if t.Failed() {
			t.Logf("faults: %+v\nlog:\n%s", exchange.FaultLog(), l.log)
		}
	})
	return l
}

// await polls until something is so.
func await(t *testing.T, what string, within time.Duration, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !so(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain until %s", within, what)
		}
		pause()
	}
}

// pause gives other goroutines a moment, without saying how long.
func pause() {
	timer := time.NewTimer(time.Millisecond)
	<-timer.C
	runtime.Gosched()
}

func (l *lab) image(in *tick.Instrument) (valid bool, trades uint64) {
	x := l.system.status.image(in.ID)
	return x.Valid, x.Trades
}

// invalid lists the books that are not valid now.
func (l *lab) invalid() (names []string) {
	for _, in := range l.system.carried() {
		if valid, _ := l.image(in); !valid {
			names = append(names, in.Venue+" "+in.Symbol)
		}
	}
	return names
}

func (l *lab) awaitValid() {
	l.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for len(l.invalid()) > 0 {
		if time.Now().After(deadline) {
			l.t.Fatalf("books still not valid: %v\n%s", l.invalid(), l.log)
		}
		pause()
	}
}

// awaitEvents waits until the markets have made n more messages.
func (l *lab) awaitEvents(n uint64) {
	l.t.Helper()
	events := func() (sum uint64) {
		for _, s := range l.exchange.Stats() {
			sum += s.Events
		}
		return sum
	}
	until := events() + n
	await(l.t, "the markets have moved on", time.Minute, func() bool { return events() >= until })
}

// inject waits for a connection that the fault can strike.
func (l *lab) inject(f sim.Fault) {
	l.t.Helper()
	await(l.t, "fault "+f.Kind.String()+" finds a connection", 30*time.Second, func() bool { return l.exchange.Inject(f) == nil })
}

// finish lets the exchanges tell everything that they know, then ends the
// pipeline as SIGTERM does.
func (l *lab) finish() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := l.exchange.Drain(ctx); err != nil {
		l.t.Error(err)
	}
	l.stop()
	select {
	case <-l.stopped:
	case <-time.After(30 * time.Second):
		l.t.Fatal("the pipeline did not end")
	}
}

// captures are the files that the pipeline recorded.
func (l *lab) captures() []string {
	l.t.Helper()
	files, err := filepath.Glob(filepath.Join(l.config.Record.Dir, "*.gz"))
	if err != nil || len(files) == 0 {
		l.t.Fatalf("no captures in %s: %v", l.config.Record.Dir, err)
	}
	slices.Sort(files)
	return files
}

// checked counts what was compared with the truth, so that a test can ask
// that it was not nothing.
type checked struct{ stored, inGaps, bars, windows, books, quotes int }

// check compares the ledger with what the exchanges know to be true.
func (l *lab) check() (total checked) {
	l.t.Helper()
	for _, truth := range l.exchange.Truth() {
		n := checkTruth(l.t, l.ledger, &truth)
		total.stored += n.stored
		total.inGaps += n.inGaps
		total.bars += n.bars
		total.windows += n.windows
		total.books += n.books
		total.quotes += n.quotes
	}
	return total
}

func checkTruth(t *testing.T, l *ledger, truth *sim.Truth) (n checked) {
	t.Helper()
	wrong := func(format string, args ...any) {
		t.Helper()
		t.Errorf(truth.Venue+" "+truth.Symbol+": "+format, args...)
	}
	rows := func(kind tick.Kind) []*entry { return l.of(truth.Venue, truth.Symbol, kind) }

	var gaps []interval
	for _, e := range rows(tick.RowGap) {
		if g := e.units[0].GapRow(); g.Channel == tick.ChannelTrades {
			end := g.EndNanos
			if end == 0 {
				end = math.MaxInt64
			}
			gaps = append(gaps, interval{g.TsNanos, end})
		}
	}

	// Every trade that reached a socket once and as it was, every other in a gap.
	stored := map[string]*entry{}
	for _, e := range rows(tick.RowTrade) {
		id := idText(e.catalog.TradeIDs, e.units[0].TradeRow().ID)
		if stored[id] != nil {
			wrong("trade %s is stored under two keys", id)
		}
		stored[id] = e
	}
	n.stored = len(stored)
	for _, want := range truth.Trades {
		id := truth.TradeID(&want)
		e := stored[id]
		at := want.TimeNanos
		if e == nil {
			switch {
			case want.Delivered > 0:
				wrong("trade %d reached a socket and is not stored", want.ID)
			case within(gaps, at):
				n.inGaps++
			case truth.SubscribedNanos[0] != 0 && at >= truth.SubscribedNanos[0]:
				wrong("trade %+v is neither stored nor in a gap: %v, subscribed at %d", want, gaps, truth.SubscribedNanos[0])
			}
			continue
		}
		delete(stored, id)
		r := e.units[0].TradeRow()
		if r.TsNanos != at || !exact(r.Price, r.PriceDigits).Equal(exact(want.Price, truth.PriceDigits)) ||
			!exact(r.Size, r.SizeDigits).Equal(exact(want.Size, truth.SizeDigits)) || e.has(tick.RowSell) != want.Sell {
			wrong("trade %d is stored as %s %s, truth %+v", want.ID, e.key, e.value, want)
		}
		if want.Delivered == 0 && want.Doubtful == 0 {
			wrong("trade %d is stored and never reached a socket", want.ID)
		}
	}
	if truth.Forgotten > 0 {
		t.Fatal("the truth has forgotten trades: raise History")
	}
	for id := range stored {
		wrong("trade %s is stored and never happened", id)
	}

	for _, e := range rows(tick.RowBar) {
		if e.has(tick.RowFinal) && e.has(tick.RowComplete) {
			n.bars++
			if want := trueBar(truth, e.units[0].BarRow()); want != "" {
				wrong("%s is %s, truth %s", e.key, e.value, want)
			}
		}
	}
	for _, e := range rows(tick.RowWindow) {
		r := e.units[0].WindowRow()
		if r.SpanNanos == int64(slidingSpan) && e.has(tick.RowFinal) && e.has(tick.RowComplete) {
			n.windows++
			sums := sumTrades(truth, r.TsNanos-int64(slidingSpan), r.TsNanos)
			if !r.Volume.Decimal(r.SizeDigits).Equal(sums.volume) || r.Trades != sums.trades ||
				!r.Notional.Decimal(r.PriceDigits+r.SizeDigits).Equal(sums.notional) {
				wrong("%s is %s, truth %+v", e.key, e.value, sums)
			}
		}
	}

	// By the id that the venue gives, or by its time.
	at := func(r *tick.RowHeader) int64 {
		if r.Source == tick.TimeReceive {
			return 0
		}
		return r.TsNanos
	}
	for _, e := range rows(tick.RowBook) {
		r := e.units[0].BookRow()
		if !e.has(tick.RowValid) || e.estimated() {
			continue
		}
		told := truth.Books(r.Seq, at(&r.RowHeader))
		if len(told) == 0 {
			wrong("book %d at %d: none of the venue's", r.Seq, r.TsNanos)
			continue
		}
		n.books++
		levels := tick.RowLevels(e.units)
		if !slices.ContainsFunc(told, func(b sim.Book) bool {
			return sameLevels(r, levels[:r.Bids], truth, b.Bids) && sameLevels(r, levels[r.Bids:], truth, b.Asks)
		}) {
			wrong("book %d at %d: %s, truth %v", r.Seq, r.TsNanos, e.value, told)
		}
	}
	for _, e := range rows(tick.RowQuote) {
		r := e.units[0].QuoteRow()
		if !e.has(tick.RowValid) || e.has(tick.RowFromBook) || e.estimated() {
			continue
		}
		told := truth.QuotesAt(r.Seq, at(&r.RowHeader))
		if len(told) == 0 {
			wrong("quote %d at %d: none of the venue's", r.Seq, r.TsNanos)
			continue
		}
		n.quotes++
		price, size := func(v int64) decimal.Decimal { return exact(v, r.PriceDigits) }, func(v int64) decimal.Decimal { return exact(v, r.SizeDigits) }
		if !slices.ContainsFunc(told, func(q sim.Quote) bool {
			return price(r.Bid).Equal(exact(q.Bid.Price, truth.PriceDigits)) && size(r.BidSize).Equal(exact(q.Bid.Size, truth.SizeDigits)) &&
				price(r.Ask).Equal(exact(q.Ask.Price, truth.PriceDigits)) && size(r.AskSize).Equal(exact(q.Ask.Size, truth.SizeDigits))
		}) {
			wrong("quote %d at %d: %s, truth %+v", r.Seq, r.TsNanos, e.value, told)
		}
	}
	return n
}

// idText is a trade's id as the venue writes it.
func idText(kind tick.TradeIDKind, id tick.ID) string {
	if kind != tick.TradeIDUUID {
		return strconv.FormatUint(id.Lo, 10)
	}
	text := fmt.Sprintf("%016x%016x", id.Hi, id.Lo)
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

// slidingSpan is that of the first window of the default configuration.
const slidingSpan = time.Minute

func sameLevels(r *tick.BookRow, have []tick.Level, truth *sim.Truth, want []tick.Level) bool {
	if len(have) != min(len(want), sim.TruthDepth) {
		return false
	}
	for i := range have {
		if !exact(have[i].Price, r.PriceDigits).Equal(exact(want[i].Price, truth.PriceDigits)) ||
			!exact(have[i].Size, r.SizeDigits).Equal(exact(want[i].Size, truth.SizeDigits)) {
			return false
		}
	}
	return true
}

// tradeSums are of the true trades of an interval.
type tradeSums struct {
	trades                 uint64
	volume, buy, notional  decimal.Decimal
	open, high, low, close decimal.Decimal
}

// sumTrades sums the trades with from <= time < to, the slow way.
func sumTrades(truth *sim.Truth, from, to int64) (s tradeSums) {
	for _, x := range truth.Trades { // by id, which is by time
		if at := x.TimeNanos; at < from || at >= to {
			continue
		}
		price, size := exact(x.Price, truth.PriceDigits), exact(x.Size, truth.SizeDigits)
		if s.trades == 0 {
			s.open, s.high, s.low = price, price, price
		}
		s.high, s.low, s.close = decimal.Max(s.high, price), decimal.Min(s.low, price), price
		s.trades++
		s.volume, s.notional = s.volume.Add(size), s.notional.Add(price.Mul(size))
		if !x.Sell {
			s.buy = s.buy.Add(size)
		}
	}
	return s
}

// trueBar returns the bar as it should be, "" if it is.
func trueBar(truth *sim.Truth, r *tick.BarRow) string {
	s := sumTrades(truth, r.TsNanos, r.TsNanos+r.IntervalNanos)
	price := func(v int64) decimal.Decimal { return exact(v, r.PriceDigits) }
	if s.trades == r.Trades && price(r.Open).Equal(s.open) && price(r.High).Equal(s.high) && price(r.Low).Equal(s.low) && price(r.Close).Equal(s.close) &&
		r.Volume.Decimal(r.SizeDigits).Equal(s.volume) && r.BuyVolume.Decimal(r.SizeDigits).Equal(s.buy) &&
		r.SellVolume.Decimal(r.SizeDigits).Equal(s.volume.Sub(s.buy)) && r.Notional.Decimal(r.PriceDigits+r.SizeDigits).Equal(s.notional) {
		return ""
	}
	return strings.ReplaceAll(strings.TrimSpace(strings.Join([]string{s.open.String(), s.high.String(), s.low.String(), s.close.String(),
		s.volume.String(), s.notional.String(), s.buy.String()}, " ")), "  ", " ")
}
