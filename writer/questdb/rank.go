package questdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tickproc/tick"
)

// A bar or window may be computed twice: live and from a capture, before and
// after a restart. An upsert takes the later row, which may be the worse one:
// the first interval of a run is incomplete, the last not final. So a row that
// could be worse is guarded: before it is sent the present row of its key is
// read, and the worse of the two is dropped.

// guard is a row to be looked at before it is sent.
type guard struct {
	start, end int // its line in the batch
	key        rankKey
	rank       rank
}

type rankKey struct {
	venue, symbol, name string
	ts                  int64
}

// rank orders rows of one key.
type rank struct {
	complete, final bool
	rev, trades     int64
}

// betterThan: complete, then final, then later corrected, then of more trades.
func (a rank) betterThan(b rank) bool {
	switch {
	case a.complete != b.complete:
		return a.complete
	case a.final != b.final:
		return a.final
	case a.rev != b.rev:
		return a.rev > b.rev
	}
	return a.trades > b.trades
}

// rankNames is the key column of each ranked table.
var rankNames = map[int]string{tableBars: "interval", tableWindows: "name"}

// guard notes the row that was encoded at start if a better one may stand.
func (l *lane) guard(x *source, ts int64, start int) {
	var g guard
	switch l.index {
	case tableBars:
		b := x.bar()
		g.key.name, g.rank = x.intervalName(b.IntervalNanos), rank{rev: int64(b.Rev), trades: int64(b.Trades)}
	case tableWindows:
		w := x.window()
		g.key.name, g.rank = x.windowName(), rank{rev: int64(w.Rev), trades: int64(w.Trades)}
	default:
		return
	}
	g.rank.complete, g.rank.final = x.has(tick.RowComplete), x.has(tick.RowFinal)
	if g.rank.complete && g.rank.final && g.rank.rev == 0 {
		return // nothing is better
	}
	g.key.venue, g.key.symbol, g.key.ts = x.in.Venue, x.in.Symbol, ts
	g.start, g.end = start, l.size()
	l.guards = append(l.guards, g)
}

// ranker decides about guarded rows.
// owner: the table's sender.
type ranker struct {
	table  *table
	name   string // key column
	client *Client
	// settled: rows of earlier runs are visible to SQL.
	settled bool
	// outranked are keys whose row of this run was dropped. A correction of any
	// other key corrects our own row and always replaces it, also by less.
	outranked map[rankKey]struct{}
}

const (
	outrankedMax = 1 << 16 // forgotten at once beyond: only the next corrections are looked at less closely
	lookupMax    = 100     // times a query, which travels in a URL
	settleMax    = 5 * time.Second
)

// sift returns the batch's lines without those of worse rows, and how many
// were dropped. An error changes nothing.
func (r *ranker) sift(ctx context.Context, b *batch) (lines []byte, dropped int, err error) {
	var ask []int64
	for _, g := range b.guards {
		if r.questions(g) {
			ask = append(ask, g.key.ts)
		}
	}
	if len(ask) == 0 {
		return b.lines, 0, nil
	}
	present, err := r.present(ctx, ask)
	if err != nil {
		return nil, 0, err
	}
	if len(r.outranked) > outrankedMax {
		clear(r.outranked)
	}
	kept, at := b.lines[:0], 0
	for _, g := range b.guards {
		stands, ok := present[g.key]
		if !ok || !r.questions(g) || !stands.betterThan(g.rank) {
			delete(r.outranked, g.key)
			continue
		}
		r.outranked[g.key] = struct{}{}
		kept = append(kept, b.lines[at:g.start]...)
		at = g.end
		dropped++
	}
	return append(kept, b.lines[at:]...), dropped, nil
}

func (r *ranker) questions(g guard) bool {
	_, outranked := r.outranked[g.key]
	return g.rank.rev == 0 || outranked
}

// present reads the ranks that stand at the given times.
func (r *ranker) present(ctx context.Context, times []int64) (map[rankKey]rank, error) {
	if err := r.settle(ctx); err != nil {
		return nil, err
	}
	found := map[rankKey]rank{}
	slices.Sort(times)
	times = slices.Compact(times)
	for len(times) > 0 {
		n := min(len(times), lookupMax)
		var list []string
		for _, ts := range times[:n] {
			list = append(list, moment(ts))
		}
		times = times[n:]
		rows, err := r.client.Query(ctx, fmt.Sprintf("SELECT ts, venue, symbol, %s, complete, final, rev, trades FROM %s WHERE ts IN (%s)",
			r.name, r.table.name, strings.Join(list, ", ")))
		if err != nil {
			return nil, err
		}
		for i := range rows.Rows {
			ts, err := time.Parse(time.RFC3339Nano, rows.Text(i, 0))
			if err != nil {
				return nil, fmt.Errorf("QuestDB names the time %q: %w", rows.Text(i, 0), err)
			}
			found[rankKey{rows.Text(i, 1), rows.Text(i, 2), rows.Text(i, 3), ts.UnixNano()}] =
				rank{rows.True(i, 4), rows.True(i, 5), rows.Int(i, 6), rows.Int(i, 7)}
		}
	}
	return found, nil
}

// settle waits, once, until SQL sees what an earlier run was acknowledged.
func (r *ranker) settle(ctx context.Context) error {
	if r.settled {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, settleMax)
	defer cancel()
	err := r.client.Settle(ctx, r.table.name)
	if err == nil || errors.Is(err, ErrBehind) {
		// A table that stays behind keeps no row back.
		r.settled = true
		return nil
	}
	return err
}
