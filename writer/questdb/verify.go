package questdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tickproc/indicators"
)

// VerifyOptions say what is verified.
type VerifyOptions struct {
	URL string // default http://127.0.0.1:9000
	Credentials
	From, To  time.Time     // bars that start in [From, To); zero = no bound
	Intervals []string      // "1m"; empty = all there are
	Timeout   time.Duration // of one statement; default 5 minutes
}

// VerifyReport is what Verify found, by venue, symbol and interval.
type VerifyReport struct {
	Rows []VerifyRow
}

// VerifyRow is one instrument's bars of one interval.
type VerifyRow struct {
	Venue, Symbol, Interval string
	Checked                 int64 // final, complete bars
	Differing               int64 // bars that are not what their trades make
	// Excused bars differ too, but gaps says that QuestDB never got all their trades.
	Excused  int64
	Examples []string // of differing bars, at most a few
}

// Totals sums the rows.
func (r *VerifyReport) Totals() (checked, differing, excused int64) {
	for _, row := range r.Rows {
		checked, differing, excused = checked+row.Checked, differing+row.Differing, excused+row.Excused
	}
	return checked, differing, excused
}

const (
	// The server sorts the trades of one slice at a time.
	verifySlice   = int64(time.Hour)
	differingMax  = 10_000 // a slice; more are counted without a look at gaps
	examplesMax   = 3
	settleTimeout = 30 * time.Second
	// Sums of float64 in another order differ in their last digits.
	verifyTolerance = "1e-9"
)

// Verify recomputes every final, complete bar from the trades that are not
// late, in QuestDB, and compares: open, high, low, close and the number of
// trades exactly, volumes, notional and vwap within 1e-9. Trades of one moment
// whose ids are random may stand in any order.
func Verify(ctx context.Context, o VerifyOptions) (*VerifyReport, error) {
	if o.URL == "" {
		o.URL = "http://127.0.0.1:9000"
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Minute
	}
	v := verification{client: NewClient(o.URL, o.Credentials, o.Timeout), rows: map[verifyKey]*VerifyRow{}, from: nanosMin, to: nanosMax}
	defer v.client.closeIdle()
	if !o.From.IsZero() {
		v.from = o.From.UnixNano()
	}
	if !o.To.IsZero() {
		v.to = o.To.UnixNano()
	}
	if err := v.begin(ctx); err != nil {
		return nil, err
	}
	intervals := o.Intervals
	if len(intervals) == 0 {
		all, err := v.client.Query(ctx, "SELECT DISTINCT interval FROM bars")
		if err != nil {
			return nil, err
		}
		for i := range all.Rows {
			intervals = append(intervals, all.Text(i, 0))
		}
	}
	for _, name := range intervals {
		if err := v.interval(ctx, name); err != nil {
			return nil, fmt.Errorf("verify %s bars: %w", name, err)
		}
	}
	return v.report(), nil
}

type verifyKey struct{ venue, symbol, interval string }

type verification struct {
	client   *Client
	from, to int64
	losses   []tradeLoss
	rows     map[verifyKey]*VerifyRow
}

// tradeLoss is an interval whose trades QuestDB did not get, both ends included.
type tradeLoss struct {
	venue, symbol string
	from, to      int64
}

// begin waits until SQL sees all rows, and reads the losses.
func (v *verification) begin(ctx context.Context) error {
	settle, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for _, table := range []string{"trades", "bars", "gaps"} {
		if err := v.client.Settle(settle, table); err != nil {
			return err
		}
	}
	lost, err := v.client.Query(ctx, "SELECT venue, symbol, ts::long, ts_end::long FROM gaps WHERE channel = 'trades' AND reason IN ('sink', 'rejected')")
	if errors.Is(err, ErrSQL) {
		return nil // no such table: nothing was reported lost
	}
	if err != nil {
		return err
	}
	for i := range lost.Rows {
		v.losses = append(v.losses, tradeLoss{lost.Text(i, 0), lost.Text(i, 1), lost.Int(i, 2), lost.Int(i, 3)})
	}
	return nil
}

// interval goes through the bars of one interval, slice by slice, past the
// times that have none.
func (v *verification) interval(ctx context.Context, name string) error {
	interval, err := indicators.ParseInterval(name)
	if err != nil {
		return err
	}
	nanos := int64(interval)
	step := nanos * max(1, verifySlice/nanos)
	for from := v.from; from < v.to; {
		next, err := v.client.Query(ctx, "SELECT min(ts)::long FROM bars WHERE "+barsWhere(name, from, v.to))
		if err != nil {
			return err
		}
		if len(next.Rows) == 0 || next.Int(0, 0) == 0 {
			return nil
		}
		start := next.Int(0, 0)
		// Slices end where bars do, so that no bar's trades are cut.
		from = start - start%step
		to := from + step
		if err := v.slice(ctx, name, nanos, from, to, max(from, v.from), min(to, v.to)); err != nil {
			return err
		}
		from = to
	}
	return nil
}

func barsWhere(name string, from, to int64) string {
	return fmt.Sprintf("interval = %s AND final = true AND complete = true AND ts >= %s AND ts < %s", literal(name), moment(from), moment(to))
}

// slice compares the bars that start in [barsFrom, barsTo) with the trades of
// [from, to).
func (v *verification) slice(ctx context.Context, name string, nanos, from, to, barsFrom, barsTo int64) error {
	compared := comparison(name, nanos, from, to, barsFrom, barsTo)
	counts, err := v.client.Query(ctx, compared+" SELECT venue, symbol, count(), sum(differs) FROM compared GROUP BY venue, symbol")
	if err != nil {
		return err
	}
	differing := int64(0)
	for i := range counts.Rows {
		row := v.row(verifyKey{counts.Text(i, 0), counts.Text(i, 1), name})
		row.Checked += counts.Int(i, 2)
		differing += counts.Int(i, 3)
	}
	if differing == 0 {
		return nil
	}
	if differing > differingMax {
		for i := range counts.Rows {
			v.row(verifyKey{counts.Text(i, 0), counts.Text(i, 1), name}).Differing += counts.Int(i, 3)
		}
	}
	tied, err := v.tied(ctx, compared, name, nanos, from, to)
	if err != nil {
		return err
	}
	what := "open, high, low, close, volume, notional, vwap, trades, buy_volume, sell_volume"
	found, err := v.client.Query(ctx, fmt.Sprintf("%s SELECT venue, symbol, start, %s, t_open, t_high, t_low, t_close, t_volume, t_notional, t_notional / t_volume, t_trades, t_buy, t_sell "+
		"FROM compared WHERE differs = 1 ORDER BY start, venue, symbol LIMIT %d", compared, what, differingMax))
	if err != nil {
		return err
	}
	names := strings.Split(what, ", ")
	for i := range found.Rows {
		row := v.row(verifyKey{found.Text(i, 0), found.Text(i, 1), name})
		start := found.Int(i, 2)
		// Where these are all, they are what is counted: a bar of a service that runs
		// may have differed a moment ago.
		if differing <= differingMax {
			row.Differing++
		}
		if v.excused(row.Venue, row.Symbol, start, start+nanos) {
			row.Differing--
			row.Excused++
			continue
		}
		if tied[tiedBar{verifyKey{row.Venue, row.Symbol, name}, start}] {
			row.Differing--
			continue
		}
		if len(row.Examples) < examplesMax {
			row.Examples = append(row.Examples, example(names, found.Rows[i], start))
		}
	}
	return nil
}

// tiedBar is a bar by its start.
type tiedBar struct {
	verifyKey
	start int64
}

// tied returns the differing bars whose open and close are prices of their
// first and last moment, where trades have random ids: of one moment these are
// told in order, but no column keeps it.
func (v *verification) tied(ctx context.Context, compared, name string, nanos, from, to int64) (map[tiedBar]bool, error) {
	r, err := v.client.Query(ctx, compared+fmt.Sprintf(`, unordered AS (
 SELECT venue, symbol, ts, ts::long / %[1]d * %[1]d start, price FROM trades WHERE late = false AND ts >= %[2]s AND ts < %[3]s AND strpos(id, '-') > 0
), ends AS (
 SELECT venue, symbol, start, min(ts) lo, max(ts) hi FROM unordered
), tied AS (
 SELECT c.venue venue, c.symbol symbol, c.start start, max(CASE WHEN u.ts = e.lo AND u.price = c.open THEN 1 ELSE 0 END) opens,
  max(CASE WHEN u.ts = e.hi AND u.price = c.close THEN 1 ELSE 0 END) closes
 FROM compared c JOIN ends e ON c.venue = e.venue AND c.symbol = e.symbol AND c.start = e.start
 JOIN unordered u ON c.venue = u.venue AND c.symbol = u.symbol AND c.start = u.start
 WHERE c.differs = 1 AND c.other = 0
) SELECT venue, symbol, start FROM tied WHERE opens = 1 AND closes = 1`, nanos, moment(from), moment(to)))
	if err != nil {
		return nil, err
	}
	tied := map[tiedBar]bool{}
	for i := range r.Rows {
		tied[tiedBar{verifyKey{r.Text(i, 0), r.Text(i, 1), name}, r.Int(i, 2)}] = true
	}
	return tied, nil
}

// example says what a bar has and what its trades make, where they differ in print.
func example(names []string, cells []any, start int64) string {
	text := time.Unix(0, start).UTC().Format(time.RFC3339Nano)
	for i, name := range names {
		bar, trades := cells[3+i], cells[3+len(names)+i]
		if fmt.Sprint(bar) != fmt.Sprint(trades) {
			text += fmt.Sprintf(" %s %v (trades make %v)", name, bar, trades)
		}
	}
	return text
}

// comparison is a WITH clause: bars beside what trades make of them.
//
// first and last take rows in the order of the subquery; it is by time, then
// by id as a number. Ids are text: whole numbers without leading zeros order as
// numbers by length, then text; ids of one length, as UUIDs, by text.
func comparison(name string, nanos, from, to, barsFrom, barsTo int64) string {
	near := func(bar, trades, scale string) string {
		return fmt.Sprintf("abs(%s::double - %s) > %s * %s", bar, trades, verifyTolerance, scale)
	}
	other := strings.Join([]string{
		"b.trades <> t.k", "b.high <> t.h", "b.low <> t.l",
		near("b.volume", "t.v", "abs(t.v)"), near("b.notional", "t.n", "abs(t.n)"),
		near("b.buy_volume", "t.bv", "abs(t.v)"), near("b.sell_volume", "t.sv", "abs(t.v)"),
		near("b.vwap", "t.n / t.v", "abs(t.n / t.v)"),
	}, " OR ")
	differs := "b.open <> t.o OR b.close <> t.c OR " + other
	return fmt.Sprintf(`WITH made AS (
 SELECT venue, symbol, ts::long / %[1]d * %[1]d start, first(price) o, max(price) h, min(price) l, last(price) c,
  sum(size::double) v, sum(price::double * size::double) n, count() k,
  sum(CASE WHEN side = 'buy' THEN size::double ELSE 0.0 END) bv, sum(CASE WHEN side = 'sell' THEN size::double ELSE 0.0 END) sv
 FROM (SELECT ts, venue, symbol, side, price, size, id FROM trades WHERE late = false AND ts >= %[2]s AND ts < %[3]s ORDER BY ts, length(id), id)
), shown AS (
 SELECT venue, symbol, ts::long start, open, high, low, close, volume, notional, vwap, trades, buy_volume, sell_volume FROM bars WHERE %[4]s
), compared AS (
 SELECT b.venue venue, b.symbol symbol, b.start start, b.open open, b.high high, b.low low, b.close close, b.volume volume, b.notional notional,
  b.vwap vwap, b.trades trades, b.buy_volume buy_volume, b.sell_volume sell_volume,
  t.o t_open, t.h t_high, t.l t_low, t.c t_close, t.v t_volume, t.n t_notional, t.k t_trades, t.bv t_buy, t.sv t_sell,
  CASE WHEN t.k IS NULL THEN CASE WHEN b.trades = 0 THEN 0 ELSE 1 END WHEN %[5]s THEN 1 ELSE 0 END differs,
  CASE WHEN t.k IS NULL OR %[6]s THEN 1 ELSE 0 END other
 FROM shown b LEFT JOIN made t ON b.venue = t.venue AND b.symbol = t.symbol AND b.start = t.start
)`, nanos, moment(from), moment(to), barsWhere(name, barsFrom, barsTo), differs, other)
}

func (v *verification) excused(venue, symbol string, from, to int64) bool {
	return slices.ContainsFunc(v.losses, func(l tradeLoss) bool {
		return l.venue == venue && l.symbol == symbol && l.from < to && (l.to >= from || l.to == 0)
	})
}

func (v *verification) row(key verifyKey) *VerifyRow {
	if v.rows[key] == nil {
		v.rows[key] = &VerifyRow{Venue: key.venue, Symbol: key.symbol, Interval: key.interval}
	}
	return v.rows[key]
}

func (v *verification) report() *VerifyReport {
	r := &VerifyReport{}
	for _, row := range v.rows {
		r.Rows = append(r.Rows, *row)
	}
	slices.SortFunc(r.Rows, func(a, b VerifyRow) int {
		x, _ := indicators.ParseInterval(a.Interval)
		y, _ := indicators.ParseInterval(b.Interval)
		return cmp.Or(strings.Compare(a.Venue, b.Venue), strings.Compare(a.Symbol, b.Symbol), cmp.Compare(x, y))
	})
	return r
}
