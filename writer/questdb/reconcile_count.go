package questdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// group is the rows of a part that share the symbols of their keys.
type group struct {
	rows  []*keptRow
	newer bool // some have a version that is not acknowledged
	totals
}

// totals are what a SELECT of count and sums gives.
type totals struct {
	count, ts, longs int64
	sums, sizes      [reconciledMax]float64 // sizes: of absolute values
}

func (t *totals) add(row *keptRow, values int) {
	t.count++
	t.ts += row.ts % tsModulus
	t.longs += row.longs
	for i, v := range row.values[:values] {
		if !math.IsNaN(v) {
			t.sums[i] += v
			t.sizes[i] += math.Abs(v)
		}
	}
}

// part compares the rows of [from, to).
func (x *tableReconciliation) part(ctx context.Context, from, to int64) error {
	kept, err := x.kept(from, to)
	if err != nil {
		return err
	}
	groups := map[string]*group{}
	for _, row := range kept {
		if !row.acked {
			continue
		}
		g := groups[row.group]
		if g == nil {
			g = &group{}
			groups[row.group] = g
		}
		g.rows = append(g.rows, row)
		g.newer = g.newer || row.newer
		g.add(row, len(x.values))
	}
	if len(groups) == 0 {
		return nil
	}
	have, err := x.count(ctx, from, to)
	if err != nil {
		return err
	}
	h := x.hour(from)
	for name, g := range groups {
		h.Kept += g.count
		for i := range x.values {
			h.Sums[i].Kept += g.sums[i]
		}
		if has := have[name]; !g.newer && x.equal(&g.totals, &has) {
			for i := range x.values {
				h.Sums[i].Found += has.sums[i]
			}
			delete(groups, name)
		}
	}
	return x.look(ctx, h, groups, have, from, to)
}

func (x *tableReconciliation) hour(at int64) *ReconcileHour {
	at -= at % hour
	if x.hours[at] == nil {
		h := &ReconcileHour{Table: x.table.name, Hour: time.Unix(0, at).UTC()}
		for _, c := range x.values {
			h.Sums = append(h.Sums, ReconcileSum{Column: c.name})
		}
		x.hours[at] = h
	}
	return x.hours[at]
}

// count asks QuestDB for the totals of [from, to), by the symbols of the key.
func (x *tableReconciliation) count(ctx context.Context, from, to int64) (map[string]totals, error) {
	what := x.names()[:x.symbols]
	what = append(what, "count()", fmt.Sprintf("sum(ts::long %% %d)", tsModulus))
	longs := []string{"0L"}
	for _, c := range x.keys[x.symbols:] {
		if c.kind == long {
			longs = append(longs, fmt.Sprintf("%s %% %d", c.name, keyModulus))
		}
	}
	what = append(what, "sum("+strings.Join(longs, " + ")+")")
	for i := range x.values {
		what = append(what, "nsum("+valueOf(&x.values[i])+")")
	}
	r, err := x.client.Query(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(what, ", "), x.table.name, within(from, to)))
	if missingTable(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	have := map[string]totals{}
	for i := range r.Rows {
		var names []string
		for j := range x.symbols {
			names = append(names, r.Text(i, j))
		}
		n := x.symbols
		t := totals{count: r.Int(i, n), ts: r.Int(i, n+1), longs: r.Int(i, n+2)}
		for j := range x.values {
			if v := r.float(i, n+3+j); !math.IsNaN(v) {
				t.sums[j] = v
			}
		}
		have[strings.Join(names, keySeparator)] = t
	}
	return have, nil
}

func (x *tableReconciliation) names() (names []string) {
	for _, c := range x.keys {
		names = append(names, c.name)
	}
	return names
}

func valueOf(c *column) string {
	if c.kind == boolean {
		return "CASE WHEN " + c.name + " THEN 1.0 ELSE 0.0 END"
	}
	if c.kind == nanos {
		return c.name + "::long::double"
	}
	return c.name + "::double"
}

func within(from, to int64) string { return "ts >= " + moment(from) + " AND ts < " + moment(to) }

func missingTable(err error) bool {
	return errors.Is(err, ErrSQL) && strings.Contains(err.Error(), "does not exist")
}

// equal: counts and remainders exactly, sums of floats but for the order of their terms.
func (x *tableReconciliation) equal(a, b *totals) bool {
	if a.count != b.count || a.ts != b.ts || a.longs != b.longs {
		return false
	}
	for i := range x.values {
		if math.Abs(a.sums[i]-b.sums[i]) > 1e-9*a.sizes[i] {
			return false
		}
	}
	return true
}
