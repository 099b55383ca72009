package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"tickproc/feeds/sim"
	"tickproc/tick"
	"tickproc/writer/questdb"
)

// settleTime is how long QuestDB may take to show what it has committed.
const settleTime = 30 * time.Second

// differencesShown bounds the differences that are printed, a kind.
const differencesShown = 5

// compare compares QuestDB with the simulator's truth: every trade that
// reached a socket is in trades exactly once and as it was; every other lies
// inside a gap; complete bars are those of the truth; books and quotes that
// said valid were the venue's.
func (d *demo) compare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime+time.Minute)
	defer cancel()
	c := &comparison{client: questdb.NewClient(d.url, d.config.credentials(), 0), out: d.options.Out,
		from: d.started.Add(-time.Minute).UnixNano(), shown: map[string]int{}}
	for _, table := range []string{"trades", "gaps", "bars", "book", "quotes"} {
		if err := c.client.Settle(ctx, table); err != nil {
			return fmt.Errorf("%w: %w", ErrDependency, err)
		}
	}
	fmt.Fprintf(c.out, "\nQuestDB against the simulator's truth\n%-14s %-13s %8s %8s %8s %8s %8s %8s %8s %8s\n",
		"VENUE", "SYMBOL", "TRADES", "STORED", "IN GAPS", "1s BARS", "BOOKS", "QUOTES", "GAP ROWS", "DIFFER")
	for _, truth := range d.exchange.Truth() {
		if err := c.symbol(ctx, &truth); err != nil {
			return fmt.Errorf("%w: %w", ErrDependency, err)
		}
	}
	if c.differences > 0 {
		fmt.Fprintf(c.out, "%d differences\n", c.differences)
		return fmt.Errorf("QuestDB and the simulator's truth: %w", ErrDifference)
	}
	fmt.Fprintln(c.out, "no difference")
	return nil
}

type comparison struct {
	client      *questdb.Client
	out         io.Writer
	from        int64 // rows before it are of an earlier run
	differences int
	shown       map[string]int
	notes       []string
}

// differ notes one difference.
func (c *comparison) differ(t *sim.Truth, kind, format string, args ...any) {
	c.differences++
	if c.shown[kind]++; c.shown[kind] <= differencesShown {
		c.notes = append(c.notes, fmt.Sprintf("  DIFFERS %s %s %s: %s", t.Venue, t.Symbol, kind, fmt.Sprintf(format, args...)))
	}
}

func (c *comparison) query(ctx context.Context, t *sim.Truth, columns, table, more string) (*questdb.Result, error) {
	return c.client.Query(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE venue = '%s' AND symbol = '%s' AND ts >= %d::timestamp_ns %s ORDER BY ts",
		columns, table, t.Venue, t.Symbol, c.from, more))
}

// symbol compares one instrument.
func (c *comparison) symbol(ctx context.Context, t *sim.Truth) error {
	before := c.differences
	gaps, err := c.gaps(ctx, t)
	if err != nil {
		return err
	}
	asked, stored, inGaps, err := c.trades(ctx, t, gaps)
	if err != nil {
		return err
	}
	bars, err := c.bars(ctx, t)
	if err != nil {
		return err
	}
	books, err := c.books(ctx, t)
	if err != nil {
		return err
	}
	quotes, err := c.quotes(ctx, t)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%-14s %-13s %8d %8d %8d %8d %8d %8d %8d %8d\n",
		t.Venue, t.Symbol, asked, stored, inGaps, bars, books, quotes, len(gaps), c.differences-before)
	for _, note := range c.notes {
		fmt.Fprintln(c.out, note)
	}
	c.notes = nil
	return nil
}

// interval is a closed interval of the venue's clock, in ns.
type interval struct{ from, to int64 }

func (c *comparison) gaps(ctx context.Context, t *sim.Truth) ([]interval, error) {
	r, err := c.query(ctx, t, "ts::long, ts_end::long", "gaps", "AND channel = 'trades'")
	if err != nil {
		return nil, err
	}
	var all []interval
	for i := range r.Rows {
		g := interval{r.Int(i, 0), r.Int(i, 1)}
		if r.Rows[i][1] == nil {
			g.to = math.MaxInt64
		}
		all = append(all, g)
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

// trades compares every trade. asked counts those since the stream was
// subscribed, with the few before that came all the same.
func (c *comparison) trades(ctx context.Context, t *sim.Truth, gaps []interval) (asked, stored, inGaps int, err error) {
	r, err := c.query(ctx, t, "id, price, size, side, ts::long", "trades", "")
	if err != nil {
		return 0, 0, 0, err
	}
	rows := map[string]int{}
	for i := range r.Rows {
		if id := r.Text(i, 0); rows[id] != 0 {
			c.differ(t, "trade", "id %s is stored twice", id)
		} else {
			rows[id] = i + 1
		}
	}
	stored = len(rows)
	for _, want := range t.Trades {
		id, at := t.TradeID(&want), want.TimeNanos
		i := rows[id] - 1
		delete(rows, id)
		since := t.SubscribedNanos[0] != 0 && at >= t.SubscribedNanos[0]
		if since || i >= 0 {
			asked++
		}
		if i < 0 {
			switch {
			case want.Delivered > 0:
				c.differ(t, "trade", "id %s reached a socket and is not stored", id)
			case !since:
			case within(gaps, at):
				inGaps++
			default:
				c.differ(t, "trade", "id %s at %d is neither stored nor inside a gap", id, at)
			}
			continue
		}
		side := "buy"
		if want.Sell {
			side = "sell"
		}
		if !same64(r.Rows[i][1], want.Price, t.PriceDigits) || !same64(r.Rows[i][2], want.Size, t.SizeDigits) ||
			r.Text(i, 3) != side || r.Int(i, 4) != at {
			c.differ(t, "trade", "id %s: stored %v, truth %s %s %s %d", id, r.Rows[i],
				tick.FormatScaled(want.Price, t.PriceDigits), tick.FormatScaled(want.Size, t.SizeDigits), side, at)
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
	return asked, stored, inGaps, nil
}

// same64 compares a stored double with a scaled integer.
func same64(cell any, want int64, digits uint8) bool {
	n, ok := cell.(json.Number)
	if !ok {
		return false
	}
	have, err := n.Float64()
	return err == nil && have == float64(want)/float64(tick.Pow10(digits))
}

// bars recomputes every final, complete one-second bar.
func (c *comparison) bars(ctx context.Context, t *sim.Truth) (compared int, err error) {
	r, err := c.query(ctx, t, "ts::long, open, high, low, close, volume, trades", "bars", "AND interval = '1s' AND final AND complete")
	if err != nil {
		return 0, err
	}
	type bar struct{ open, high, low, close, volume, trades int64 }
	truth := map[int64]*bar{}
	for _, x := range t.Trades { // by id, which is by time
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
		compared++
		b := truth[start]
		if b == nil {
			c.differ(t, "bar", "at %d: stored, and no trade happened", start)
			continue
		}
		row := r.Rows[i]
		volume, _ := row[5].(json.Number).Float64()
		want := float64(b.volume) / float64(tick.Pow10(t.SizeDigits))
		if !same64(row[1], b.open, t.PriceDigits) || !same64(row[2], b.high, t.PriceDigits) || !same64(row[3], b.low, t.PriceDigits) ||
			!same64(row[4], b.close, t.PriceDigits) || math.Abs(volume-want) > 1e-9*want || r.Int(i, 6) != b.trades {
			c.differ(t, "bar", "at %d: stored %v, truth %+v", start, row, *b)
		}
	}
	return compared, nil
}

// books compares every book row that said valid with the book at its id.
func (c *comparison) books(ctx context.Context, t *sim.Truth) (compared int, err error) {
	columns := "seq"
	for i := range sim.TruthDepth {
		columns += fmt.Sprintf(", bid%d, bid_size%d, ask%d, ask_size%d", i, i, i, i)
	}
	r, err := c.query(ctx, t, columns, "book", "AND valid AND seq > 0")
	if err != nil {
		return 0, err
	}
	for i := range r.Rows {
		id := uint64(r.Int(i, 0))
		bids, asks, ok := t.BookAt(id)
		if !ok {
			if oldest, _ := t.Oldest(); id >= oldest {
				c.differ(t, "book", "id %d is not one of the venue's", id)
			}
			continue
		}
		compared++
		for level := range sim.TruthDepth {
			cells := r.Rows[i][1+4*level:]
			if !sameLevel(cells[0], cells[1], bids, level, t) || !sameLevel(cells[2], cells[3], asks, level, t) {
				c.differ(t, "book", "id %d differs at level %d: stored %v", id, level, cells[:4])
				break
			}
		}
	}
	return compared, nil
}

func sameLevel(price, size any, side []tick.Level, i int, t *sim.Truth) bool {
	if i >= len(side) {
		return price == nil && size == nil
	}
	return same64(price, side[i].Price, t.PriceDigits) && same64(size, side[i].Size, t.SizeDigits)
}

// quotes compares every quote with what the venue told under its id.
func (c *comparison) quotes(ctx context.Context, t *sim.Truth) (compared int, err error) {
	r, err := c.query(ctx, t, "seq, bid, bid_size, ask, ask_size", "quotes", "AND valid AND seq > 0")
	if err != nil {
		return 0, err
	}
	for i := range r.Rows {
		q, ok := t.QuoteAt(uint64(r.Int(i, 0)))
		if !ok {
			if len(t.Quotes) > 0 && uint64(r.Int(i, 0)) >= t.Quotes[0].ID {
				c.differ(t, "quote", "id %d is not one of the venue's", r.Int(i, 0))
			}
			continue
		}
		compared++
		row := r.Rows[i]
		if !same64(row[1], q.Bid.Price, t.PriceDigits) || !same64(row[2], q.Bid.Size, t.SizeDigits) ||
			!same64(row[3], q.Ask.Price, t.PriceDigits) || !same64(row[4], q.Ask.Size, t.SizeDigits) {
			c.differ(t, "quote", "id %d: stored %v, truth %+v", q.ID, row, q)
		}
	}
	return compared, nil
}
