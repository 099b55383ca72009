package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"tickproc/engine"
	"tickproc/feeds/sim"
	"tickproc/tick"
	"tickproc/writer/questdb"
)

// settleTime is how long QuestDB may take to show what it has committed.
const settleTime = 30 * time.Second

// tradeLag is how much older than the start of the exchanges a first trade, or
// the bar with it, may be.
const tradeLag = time.Second

// differencesShown bounds the differences that are printed, a kind.
const differencesShown = 5

// compare compares QuestDB with the simulator's truth:
//
//	trades          each that reached a socket is stored once and as it was, every other lies inside a gap
//	bars            final and complete ones are those of the true trades that came
//	book, quotes    what said valid is what the venue told under that id, or at that time
//	funding, open_interest, liquidations, status
//	                no row of what never happened; none is missing but inside a gap, and where a fault took it
//	nbbo            each is what the stored quotes of its group make it (compare_nbbo.go)
func (d *demo) compare(ctx context.Context) error {
	c := &comparison{client: questdb.NewClient(d.url, d.config.credentials(), 0), out: d.options.Out,
		from: d.started.Add(-tradeLag).UnixNano(), truth: d.exchange.Truth(), faults: d.exchange.FaultLog(), wait: d.wait}
	return c.all(ctx, d.config.engineOptions())
}

// all compares everything.
func (c *comparison) all(ctx context.Context, options engine.Options) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime+2*time.Minute)
	defer cancel()
	c.shown = map[string]int{}
	for _, table := range questdb.TableNames() {
		if err := c.client.Settle(ctx, table); err != nil {
			return fmt.Errorf("%w: %w", ErrDependency, err)
		}
	}
	fmt.Fprintf(c.out, "\nQuestDB against the simulator's truth\n%s\n", comparedHead)
	for i := range c.truth {
		if err := c.symbol(ctx, &c.truth[i]); err != nil {
			return fmt.Errorf("%w: %w", ErrDependency, err)
		}
	}
	if err := c.consolidated(ctx, options); err != nil {
		return fmt.Errorf("%w: %w", ErrDependency, err)
	}
	if c.differences > 0 {
		fmt.Fprintf(c.out, "%d differences\n", c.differences)
		return fmt.Errorf("QuestDB and the simulator's truth: %w", ErrDifference)
	}
	fmt.Fprintln(c.out, "no difference")
	return nil
}

type comparison struct {
	client *questdb.Client
	out    io.Writer
	from   int64 // rows before it are of an earlier run
	truth  []sim.Truth
	faults []sim.FaultRecord
	// killed: the process was, and what its sockets then held it never saw.
	killed bool
	// wait is the longest that a packet waited between its receive time and its
	// shard, in ns.
	wait        int64
	differences int
	shown       map[string]int
	notes       []string
}

// differ notes one difference.
func (c *comparison) differ(t *sim.Truth, kind, format string, args ...any) {
	c.differs(t.Venue+" "+t.Symbol, kind, format, args...)
}

func (c *comparison) differs(of, kind, format string, args ...any) {
	c.differences++
	if c.shown[kind]++; c.shown[kind] <= differencesShown {
		c.notes = append(c.notes, fmt.Sprintf("  DIFFERS %s %s: %s", of, kind, fmt.Sprintf(format, args...)))
	}
}

// tell prints the differences noted since it was last called.
func (c *comparison) tell() {
	for _, note := range c.notes {
		fmt.Fprintln(c.out, note)
	}
	c.notes = nil
}

func (c *comparison) query(ctx context.Context, t *sim.Truth, columns, table, more string) (*questdb.Result, error) {
	return c.client.Query(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE venue = '%s' AND symbol = '%s' AND ts >= %d::timestamp_ns %s ORDER BY ts",
		columns, table, t.Venue, t.Symbol, c.from, more))
}

// tally are the rows of an instrument that were compared.
type tally struct {
	asked, stored, inGaps                   int // trades
	bars, books, quotes                     int
	funding, interest, liquidations, status int

	unheard map[int64]bool // trades that a fault took, and of which nothing tells
}

var comparedHead = fmt.Sprintf("%-14s %-17s %7s %7s %7s %5s %6s %7s %5s %5s %5s %6s %5s %6s",
	"VENUE", "SYMBOL", "TRADES", "STORED", "IN GAPS", "BARS", "BOOKS", "QUOTES", "FUND", "OI", "LIQ", "STATUS", "GAPS", "DIFFER")

// symbol compares one instrument.
func (c *comparison) symbol(ctx context.Context, t *sim.Truth) error {
	before := c.differences
	gaps, err := c.gaps(ctx, t)
	if err != nil {
		return err
	}
	n := &tally{}
	for _, part := range []func(context.Context, *sim.Truth, missing, *tally) error{
		c.trades, c.bars, c.books, c.quotes, c.funding, c.openInterest, c.liquidations, c.status} {
		if err := part(ctx, t, gaps, n); err != nil {
			return err
		}
	}
	all := 0
	for _, g := range gaps {
		all += len(g)
	}
	fmt.Fprintf(c.out, "%-14s %-17s %7d %7d %7d %5d %6d %7d %5d %5d %5d %6d %5d %6d\n", t.Venue, t.Symbol, n.asked, n.stored, n.inGaps,
		n.bars, n.books, n.quotes, n.funding, n.interest, n.liquidations, n.status, all, c.differences-before)
	c.tell()
	return nil
}

// interval is a closed interval of the venue's clock, in ns.
type interval struct{ from, to int64 }

// missing are the intervals, by channel, in which a channel was not seen.
type missing map[string][]interval

func (c *comparison) gaps(ctx context.Context, t *sim.Truth) (missing, error) {
	r, err := c.query(ctx, t, "ts::long, ts_end::long, channel", "gaps", "")
	if err != nil {
		return nil, err
	}
	all := missing{}
	for i := range r.Rows {
		g := interval{r.Int(i, 0), r.Int(i, 1)}
		if r.Rows[i][1] == nil {
			g.to = math.MaxInt64
		}
		all[r.Text(i, 2)] = append(all[r.Text(i, 2)], g)
	}
	return all, nil
}

func within(gaps []interval, at int64) bool {
	for _, g := range gaps {
		if at >= g.from && at <= g.to {
			return true
		}
	}
	return false
}

// faultReach is how far a fault may strike from the message that it took: the
// simulator notes the time of its step, and of dropped frames that of the
// first.
const faultReach = 2 * time.Second

// struck reports whether a fault of a kind befell messages of a channel near
// a time.
func (c *comparison) struck(t *sim.Truth, channel tick.Channels, at int64, kinds ...sim.FaultKind) bool {
	for _, f := range c.faults {
		if f.Venue != t.Venue || f.Symbol != "" && f.Symbol != t.Symbol || f.Channel != 0 && !f.Channel.Has(channel) {
			continue
		}
		for _, kind := range kinds {
			lasts := slices.Contains(unsubscribed, kind) && f.TimeNanos <= at
			if kind == f.Kind && (lasts || time.Duration(f.TimeNanos-at).Abs() <= faultReach) {
				return true
			}
		}
	}
	return false
}

// losers are the faults that take messages, without a trace where these have
// no ids. What is held back goes with its socket, if that ends first.
var losers = []sim.FaultKind{sim.FaultDrop, sim.FaultTruncate, sim.FaultDropFrame, sim.FaultSilent, sim.FaultLateTrade, sim.FaultReorder}

// unsubscribed are those of which nobody knows for how long they last: a silent
// subscription stays so, a refused one is asked for again later and later. A
// channel of several streams, of which one is refused, is none that is not seen.
var unsubscribed = []sim.FaultKind{sim.FaultSilent, sim.FaultRefuse, sim.FaultUnknown, sim.FaultRateLimit}

// missed reports whether there was a reason not to have a message that was
// sent at a time: the channel was not asked for, lay in a gap, or a fault took it.
func (c *comparison) missed(t *sim.Truth, gaps missing, channel tick.Channels, at int64) bool {
	since := t.SubscribedNanos[channel.Index()]
	return since == 0 || at < since || within(gaps[channel.String()], at) || c.struck(t, channel, at, losers...)
}

// trades compares every trade. asked counts those since the stream was
// subscribed, with the few before that came all the same.
func (c *comparison) trades(ctx context.Context, t *sim.Truth, gaps missing, n *tally) error {
	r, err := c.query(ctx, t, "id, price, size, side, ts::long", "trades", "")
	if err != nil {
		return err
	}
	rows := map[string]int{}
	for i := range r.Rows {
		if id := r.Text(i, 0); rows[id] != 0 {
			c.differ(t, "trade", "id %s is stored twice", id)
		} else {
			rows[id] = i + 1
		}
	}
	n.stored = len(rows)
	adapter, _ := adapterOf(t.Venue)
	// Where ids are not contiguous nobody can know of a trade that a fault took.
	counted := adapter.Instrument(t.Symbol).TradeIDs == tick.TradeIDContiguous
	n.unheard = map[int64]bool{}
	for _, want := range t.Trades {
		id, at := t.TradeID(&want), want.TimeNanos
		i := rows[id] - 1
		delete(rows, id)
		since := t.SubscribedNanos[0] != 0 && at >= t.SubscribedNanos[0]
		if since || i >= 0 {
			n.asked++
		}
		if i < 0 {
			switch {
			case want.Delivered > 0 && !c.killed:
				c.differ(t, "trade", "id %s reached a socket and is not stored", id)
			case !since:
			case within(gaps[tick.ChannelTrades.String()], at):
				n.inGaps++
			case want.Delivered > 0:
				c.differ(t, "trade", "id %s at %d reached a socket, is not stored, and lies in no gap", id, at)
			case !counted && c.struck(t, tick.ChannelTrades, at, losers...):
				n.unheard[want.ID] = true
			default:
				c.differ(t, "trade", "id %s at %d is neither stored nor inside a gap", id, at)
			}
			continue
		}
		if !same64(r.Rows[i][1], want.Price, t.PriceDigits) || !same64(r.Rows[i][2], want.Size, t.SizeDigits) ||
			r.Text(i, 3) != sideName(want.Sell) || r.Int(i, 4) != at {
			c.differ(t, "trade", "id %s: stored %v, truth %s %s %s %d", id, r.Rows[i],
				tick.FormatScaled(want.Price, t.PriceDigits), tick.FormatScaled(want.Size, t.SizeDigits), sideName(want.Sell), at)
		}
		if want.Delivered == 0 && want.Doubtful == 0 {
			c.differ(t, "trade", "id %s is stored and never reached a socket", id)
		}
	}
	if t.Forgotten == 0 {
		for id := range rows {
			c.differ(t, "trade", "id %s is stored and never happened", id)
		}
	}
	return nil
}

func sideName(sell bool) string {
	if sell {
		return "sell"
	}
	return "buy"
}

// same64 compares a stored double with a scaled integer.
func same64(cell any, want int64, digits uint8) bool {
	have, ok := float(cell)
	return ok && have == float64(want)/float64(tick.Pow10(digits))
}

// float is a cell that is a number; ok is false for null.
func float(cell any) (v float64, ok bool) {
	n, ok := cell.(json.Number)
	if !ok {
		return 0, false
	}
	v, err := n.Float64()
	return v, err == nil
}

// bars recomputes every final, complete one-second bar.
func (c *comparison) bars(ctx context.Context, t *sim.Truth, _ missing, n *tally) error {
	r, err := c.query(ctx, t, "ts::long, open, high, low, close, volume, trades", "bars", "AND interval = '1s' AND final AND complete")
	if err != nil {
		return err
	}
	type bar struct{ open, high, low, close, volume, trades int64 }
	truth := map[int64]*bar{}
	for _, x := range t.Trades { // by id, which is by time
		if n.unheard[x.ID] {
			continue
		}
		start := x.TimeNanos / int64(time.Second) * int64(time.Second)
		b := truth[start]
		if b == nil {
			b = &bar{open: x.Price, high: x.Price, low: x.Price}
			truth[start] = b
		}
		b.high, b.low, b.close = max(b.high, x.Price), min(b.low, x.Price), x.Price
		b.volume += x.Size
		b.trades++
	}
	for i := range r.Rows {
		start := r.Int(i, 0)
		if t.Forgotten > 0 && start <= t.Trades[0].TimeNanos {
			continue
		}
		n.bars++
		b := truth[start]
		if b == nil {
			c.differ(t, "bar", "at %d: stored, and no trade happened", start)
			continue
		}
		row := r.Rows[i]
		volume, _ := float(row[5])
		want := float64(b.volume) / float64(tick.Pow10(t.SizeDigits))
		if !same64(row[1], b.open, t.PriceDigits) || !same64(row[2], b.high, t.PriceDigits) || !same64(row[3], b.low, t.PriceDigits) ||
			!same64(row[4], b.close, t.PriceDigits) || math.Abs(volume-want) > 1e-9*want || r.Int(i, 6) != b.trades {
			c.differ(t, "bar", "at %d: stored %v, truth %+v", start, row, *b)
		}
	}
	return nil
}

// own is the part of a WHERE that leaves out rows which no message stamped:
// what the venue told says nothing of those.
const own = "AND valid AND ts_source <> 'est'"

// at returns the time by which the venue may know a row: none where its
// messages bear none.
func at(r *questdb.Result, row, ts, source int) int64 {
	if r.Text(row, source) == "recv" {
		return 0
	}
	return r.Int(row, ts)
}

// books compares every book row that said valid with the books told under its
// id or, where the venue gives none, at its time. Where several were, any of
// them is right.
func (c *comparison) books(ctx context.Context, t *sim.Truth, _ missing, n *tally) error {
	var columns strings.Builder
	columns.WriteString("ts::long, seq, ts_source")
	for i := range sim.TruthDepth {
		fmt.Fprintf(&columns, ", bid%d, bid_size%d, ask%d, ask_size%d", i, i, i, i)
	}
	r, err := c.query(ctx, t, columns.String(), "book", own)
	if err != nil {
		return err
	}
	_, oldest := t.Oldest()
	for i := range r.Rows {
		ts, id := r.Int(i, 0), uint64(r.Int(i, 1))
		told := t.Books(id, at(r, i, 0, 2))
		switch {
		case len(told) == 0 && ts < oldest:
			continue // the truth has forgotten it
		case len(told) == 0:
			c.differ(t, "book", "id %d at %d is not one of the venue's", id, ts)
			continue
		}
		n.books++
		level := -1 // where the closest of them differs
		for _, book := range told {
			if level = max(level, sameBook(r.Rows[i][3:], &book, t)); level == sim.TruthDepth {
				break
			}
		}
		if level < sim.TruthDepth {
			c.differ(t, "book", "id %d at %d differs at level %d: stored %v, of %d told", id, ts, level, r.Rows[i][3+4*level:7+4*level], len(told))
		}
	}
	return nil
}

// sameBook returns the first level that differs, sim.TruthDepth for none.
func sameBook(cells []any, b *sim.Book, t *sim.Truth) int {
	for level := range sim.TruthDepth {
		if at := cells[4*level:]; !sameLevel(at[0], at[1], b.Bids, level, t) || !sameLevel(at[2], at[3], b.Asks, level, t) {
			return level
		}
	}
	return sim.TruthDepth
}

func sameLevel(price, size any, side []tick.Level, i int, t *sim.Truth) bool {
	if i >= len(side) {
		return price == nil && size == nil
	}
	return same64(price, side[i].Price, t.PriceDigits) && same64(size, side[i].Size, t.SizeDigits)
}

// quotes compares every quote with what the venue told under its id or, where
// it gives none, at its time; where it gives no time either, with all that it
// ever told.
func (c *comparison) quotes(ctx context.Context, t *sim.Truth, _ missing, n *tally) error {
	r, err := c.query(ctx, t, "ts::long, seq, ts_source, bid, bid_size, ask, ask_size", "quotes", own+" AND src = 'venue'")
	if err != nil {
		return err
	}
	for i := range r.Rows {
		ts, id, when := r.Int(i, 0), uint64(r.Int(i, 1)), at(r, i, 0, 2)
		told := t.Quotes
		if id != 0 || when != 0 {
			told = t.QuotesAt(id, when)
		}
		switch {
		case len(told) == 0 && (len(t.Quotes) == 0 || ts < t.Quotes[0].TimeNanos):
			continue
		case len(told) == 0:
			c.differ(t, "quote", "id %d at %d is not one of the venue's", id, ts)
			continue
		}
		n.quotes++
		row, right := r.Rows[i][3:], false
		for _, q := range told {
			right = right || same64(row[0], q.Bid.Price, t.PriceDigits) && same64(row[1], q.Bid.Size, t.SizeDigits) &&
				same64(row[2], q.Ask.Price, t.PriceDigits) && same64(row[3], q.Ask.Size, t.SizeDigits)
		}
		if !right {
			c.differ(t, "quote", "id %d at %d: stored %v, truth %+v", id, ts, row, told[:min(3, len(told))])
		}
	}
	return nil
}
