package questdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"tickproc/internal/vfs"
	"tickproc/writer/spool"
)

// look compares the rows of groups key by key.
func (x *tableReconciliation) look(ctx context.Context, h *ReconcileHour, groups map[string]*group, have map[string]totals, from, to int64) error {
	var missing, older []*keptRow
	for first := true; len(groups) > 0; first = false {
		found, err := x.found(ctx, groups, have, from, to)
		if err != nil {
			return err
		}
		unclear := map[string]*group{} // there some are older
		for name, g := range groups {
			sums := totals{}
			before, stale := len(missing), []*keptRow(nil)
			for _, row := range g.rows {
				stands, there := found[row.key]
				if there {
					sums.add(&stands, len(x.values))
				}
				switch {
				case !there:
					missing = append(missing, row)
				case !row.newer && x.stale(row, &stands):
					stale = append(stale, row)
				}
			}
			if len(stale) > 0 {
				// A newer version, or a resend, may have come since the spool was read.
				// What was older twice, and had no newer version then, is older.
				moved, err := x.moved(stale)
				if err != nil {
					return err
				}
				stale = slices.DeleteFunc(stale, func(r *keptRow) bool { return moved || r.newer })
			}
			if first && len(stale) > 0 {
				missing = missing[:before]
				unclear[name] = g
				continue
			}
			older = append(older, stale...)
			for i := range x.values {
				h.Sums[i].Found += sums.sums[i]
			}
		}
		if groups = unclear; len(groups) > 0 {
			// A resend that has just begun shows in the acked position when that is
			// written down next.
			timer := time.NewTimer(2 * spool.DefaultSyncInterval)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
		}
	}
	return x.differ(ctx, h, missing, older)
}

// One query for all groups reads rows that are not asked for, many cost a round
// trip each.
const (
	groupsApart = 8
	rowsAtOnce  = 20_000
)

// found reads the rows of some groups of [from, to) from QuestDB, and perhaps
// those of others.
func (x *tableReconciliation) found(ctx context.Context, groups map[string]*group, have map[string]totals, from, to int64) (map[string]keptRow, error) {
	found := map[string]keptRow{}
	all := int64(0)
	for _, t := range have {
		all += t.count
	}
	if len(groups) > groupsApart || all <= rowsAtOnce {
		return found, x.read(ctx, found, "", all, from, to)
	}
	for name := range groups {
		where := ""
		for i, value := range strings.Split(name, keySeparator) {
			where += " AND " + x.keys[i].name + " = " + literal(value)
		}
		if err := x.read(ctx, found, where, have[name].count, from, to); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// read reads rows from QuestDB, count of them or about that.
func (x *tableReconciliation) read(ctx context.Context, found map[string]keptRow, where string, count, from, to int64) error {
	if count == 0 {
		return nil
	}
	what := append([]string{"ts::long"}, x.names()...)
	for i := range x.values {
		what = append(what, valueOf(&x.values[i]))
	}
	if x.ranked {
		what = append(what, "complete", "final", "rev", "trades")
	}
	keys := make([]string, len(x.keys))
	step := (to - from) / (count/reconcileRows + 1)
	for at := from; at < to; at += step {
		r, err := x.client.Query(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s%s", strings.Join(what, ", "), x.table.name, within(at, min(at+step, to)), where))
		if missingTable(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range r.Rows {
			row := keptRow{ts: r.Int(i, 0)}
			for j := range keys {
				keys[j] = r.Text(i, 1+j)
				if x.keys[j].kind == long {
					keys[j] = strconv.FormatInt(r.Int(i, 1+j), 10)
				}
			}
			n := 1 + len(keys)
			for j := range x.values {
				row.values[j] = r.float(i, n+j)
			}
			if n += len(x.values); x.ranked {
				row.rank = rank{r.True(i, n), r.True(i, n+1), r.Int(i, n+2), r.Int(i, n+3)}
			}
			x.identify(&row, keys)
			found[row.key] = row
		}
	}
	return nil
}

// stale reports that what stands is not the version that was acknowledged last.
// In a ranked table another run's better row may stand.
func (x *tableReconciliation) stale(row, stands *keptRow) bool {
	if x.ranked && row.rank != stands.rank {
		return row.rank.betterThan(stands.rank)
	}
	for i := range x.values {
		a, b := row.values[i], stands.values[i]
		if math.IsNaN(a) != math.IsNaN(b) || math.Abs(a-b) > 1e-9*math.Abs(a) {
			return !x.ranked // of equal rank: of another run, or of ours
		}
	}
	return false
}

// moved looks at the spool again: rows that have a newer version by now are
// marked, and true says that the table's rows are being sent again.
func (x *tableReconciliation) moved(rows []*keptRow) (bool, error) {
	now, err := spool.OpenView(vfs.OS, x.o.SpoolDir, TableNames())
	if err != nil {
		return false, err
	}
	defer now.Close()
	acked := x.view.Acked(x.index)
	if now.Acked(x.index) < acked || len(rows) == 0 {
		return now.Acked(x.index) < acked, nil
	}
	byKey := map[string]*keptRow{}
	for _, row := range rows {
		byKey[row.key] = row
	}
	_, err = now.Records(x.index, acked, func(k spool.KeptRecord, _ []byte) error {
		lines, err := now.Payload(&k)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, spool.ErrDamaged) {
			return nil
		}
		x.rows(lines, func(row keptRow) {
			if was := byKey[row.key]; was != nil {
				was.newer = true
			}
		})
		return err
	})
	return false, err
}

// differ counts rows that are not as they should be.
func (x *tableReconciliation) differ(ctx context.Context, h *ReconcileHour, missing, older []*keptRow) error {
	tell := func(row *keptRow, count *int64, what string) {
		if x.refused[row.key] || row.ts < x.expired {
			h.Excused++
			return
		}
		*count++
		if len(h.Examples) < examplesMax {
			h.Examples = append(h.Examples, what+" "+x.describeRow(row))
		}
	}
	if len(missing) > 0 && !x.asked {
		x.asked = true
		var err error
		if x.expired, err = x.expiry(ctx); err != nil {
			return err
		}
	}
	byKey := func(a, b *keptRow) int { return strings.Compare(a.key, b.key) }
	slices.SortFunc(missing, byKey) // the examples are the same each time
	slices.SortFunc(older, byKey)
	for _, row := range missing {
		tell(row, &h.Missing, "missing")
	}
	for _, row := range older {
		tell(row, &h.Older, "older")
	}
	return nil
}

func (x *tableReconciliation) describeRow(row *keptRow) string {
	text := time.Unix(0, row.ts).UTC().Format(time.RFC3339Nano)
	for i, value := range strings.Split(row.key, keySeparator)[1:] {
		text += " " + x.keys[i].name + "=" + value
	}
	return text
}

// expiry is the time before which the table's TTL may have dropped rows;
// math.MinInt64 without one.
func (x *tableReconciliation) expiry(ctx context.Context) (int64, error) {
	r, err := x.client.Query(ctx, "SELECT ttlValue, ttlUnit FROM tables() WHERE table_name = "+literal(x.table.name))
	if errors.Is(err, ErrSQL) || err == nil && (len(r.Rows) == 0 || r.Int(0, 0) == 0) {
		return math.MinInt64, nil
	}
	if err != nil {
		return 0, err
	}
	newest, err := x.client.Query(ctx, "SELECT max(ts)::long FROM "+x.table.name)
	if err != nil || len(newest.Rows) == 0 || newest.Int(0, 0) == 0 {
		return math.MinInt64, err
	}
	n, at := int(r.Int(0, 0)), time.Unix(0, newest.Int(0, 0)).UTC()
	switch unit := r.Text(0, 1); unit {
	case "HOUR":
		at = at.Add(-time.Duration(n) * time.Hour)
	case "DAY":
		at = at.AddDate(0, 0, -n)
	case "WEEK":
		at = at.AddDate(0, 0, -7*n)
	case "MONTH":
		at = at.AddDate(0, -n, 0)
	case "YEAR":
		at = at.AddDate(-n, 0, 0)
	default:
		return 0, fmt.Errorf("QuestDB names a TTL of %d %q", n, unit)
	}
	return at.UnixNano(), nil
}
