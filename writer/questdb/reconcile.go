package questdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"tickproc/internal/vfs"
	"tickproc/writer/spool"
)

// ReconcileOptions say which spool is compared, and with which QuestDB.
type ReconcileOptions struct {
	URL string // default http://127.0.0.1:9000
	Credentials
	SpoolDir      string
	DeadLetterDir string        // rows in its file are excused; "" = none
	From, To      time.Time     // of ts, To exclusive; zero = no bound
	Timeout       time.Duration // of one statement; default 5 minutes
	// Depth of table book; default 10.
	Depth int
}

// ReconcileReport is what Reconcile found.
type ReconcileReport struct {
	Hours []ReconcileHour // by table and hour; those without kept rows are left out
	// Waiting rows are in the spool and not acknowledged: nothing is said of them.
	Waiting int64
	// Unreadable bytes of the spool were passed over.
	Unreadable int64
	// Moving tables: their rows are being sent again, so that what is missing may
	// be on its way.
	Moving []string
}

// ReconcileHour is one table's rows of one hour of ts. A row is a key, however
// often it was written.
type ReconcileHour struct {
	Table   string
	Hour    time.Time
	Kept    int64 // in the spool, and acknowledged by QuestDB
	Missing int64 // of them, not in the table
	Older   int64 // of them, in the table as they were before, or with other values
	// Excused rows are not as the spool has them either, for a known reason: they
	// were refused and are in the dead letters, or are older than the table's TTL.
	Excused  int64
	Sums     []ReconcileSum // over the kept rows
	Examples []string       // of missing and older rows, at most a few
}

// ReconcileSum is a column's sum, as the spool and as the table have it.
type ReconcileSum struct {
	Column      string
	Kept, Found float64
}

// Totals sums the hours.
func (r *ReconcileReport) Totals() (kept, missing, older, excused int64) {
	for _, h := range r.Hours {
		kept, missing, older, excused = kept+h.Kept, missing+h.Missing, older+h.Older, excused+h.Excused
	}
	return kept, missing, older, excused
}

// reconciled are the columns beside the key that are summed and compared, by
// table. What a table is for is among them, not all that it has.
var reconciled = [tableCount][]string{
	tableTrades: {"price", "size"}, tableQuotes: {"bid", "bid_size", "ask", "ask_size"}, tableBook: {"bid0", "bid_size0", "ask0", "ask_size0"},
	tableBars: {"volume", "trades"}, tableWindows: {"volume", "trades"}, tableGaps: {"ts_end", "lost", "repaired"}, tableHealth: {"frames", "bytes"},
	tableInstruments: {"tick", "lot"}, tableFunding: {"mark", "index_price", "rate"}, tableOpenInterest: {"size"},
	tableLiquidations: {"price", "size"}, tableStatus: nil, tableNbbo: {"bid", "bid_size", "ask", "ask_size"},
}

const (
	reconciledMax = 4 // columns of one table
	// A part of an hour that is compared at once has about this many rows, which
	// bounds the memory: a row takes some 300 bytes.
	reconcileRows = 200_000
	reconcileStep = int64(time.Minute) // the least part
	hour          = int64(time.Hour)
	// Remainders, so that sums of 64 bits do not overflow.
	tsModulus, keyModulus = int64(time.Second), int64(1_000_000_007)
)

// Reconcile compares what the spool keeps, and QuestDB acknowledged, with what
// QuestDB has:
//
//	spool ─► last version of each key ─► count, sums by time and symbol ─┬─ equal: done
//	QuestDB ─► SELECT count(), sum() … GROUP BY symbol ──────────────────┴─ else: key by key
//
// The spool covers its edges in part only, and others may have written rows of
// the same hours: there counts differ though nothing is missing, so that the
// keys themselves are looked for. It reads only, and works beside a service that
// writes: rows it has not yet acknowledged are left out, and a value that is
// newer than the spool's was is no difference.
func Reconcile(ctx context.Context, o ReconcileOptions) (*ReconcileReport, error) {
	o.URL = cmp.Or(o.URL, "http://127.0.0.1:9000")
	o.Timeout, o.Depth = cmp.Or(o.Timeout, 5*time.Minute), cmp.Or(o.Depth, 10)
	r := &reconciliation{o: o, client: NewClient(o.URL, o.Credentials, o.Timeout), from: nanosMin, to: nanosMax, report: &ReconcileReport{}}
	defer r.client.closeIdle()
	if !o.From.IsZero() {
		r.from = o.From.UnixNano()
	}
	if !o.To.IsZero() {
		r.to = o.To.UnixNano()
	}
	var err error
	if r.view, err = spool.OpenView(vfs.OS, o.SpoolDir, TableNames()); err != nil {
		return nil, err
	}
	defer r.view.Close()
	letters, err := readLetters(o.DeadLetterDir)
	if err != nil {
		return nil, err
	}
	for i, t := range tablesOf(o.Depth) {
		x := &tableReconciliation{reconciliation: r, index: i, table: t, refused: map[string]bool{}, hours: map[int64]*ReconcileHour{}, expired: math.MinInt64}
		x.describe()
		for _, l := range letters {
			if l.Table == t.name {
				if row, ok := x.parse(l.Line); ok {
					x.refused[row.key] = true
				}
			}
		}
		if err := x.run(ctx); err != nil {
			return nil, fmt.Errorf("table %s: %w", t.name, err)
		}
		for _, at := range slices.Sorted(maps.Keys(x.hours)) {
			r.report.Hours = append(r.report.Hours, *x.hours[at])
		}
	}
	return r.report, nil
}

func readLetters(dir string) ([]DeadLetter, error) {
	if dir == "" {
		return nil, nil
	}
	letters, _, err := DeadLetters(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return letters, err
}

type reconciliation struct {
	o        ReconcileOptions
	client   *Client
	view     *spool.View
	from, to int64
	report   *ReconcileReport
}

// tableReconciliation is the work on one table.
type tableReconciliation struct {
	*reconciliation
	index   int
	table   *table
	keys    []column // beside ts: symbols first, by which rows are grouped
	symbols int      // how many of them are symbols
	values  []column
	ranked  bool
	refused map[string]bool // keys of dead letters
	records []reconcileRecord
	minutes map[int64]int64 // estimated rows, by minute
	hours   map[int64]*ReconcileHour
	expired int64 // rows before may be gone by TTL; math.MinInt64 = not asked
	asked   bool  // for expired
}

// reconcileRecord is a record of the spool, and which times are in it.
type reconcileRecord struct {
	spool.KeptRecord
	from, to int64
	waiting  bool
	damaged  bool
}

// keptRow is a row as a line has it.
type keptRow struct {
	key    string // ts and keys
	ts     int64
	group  string                 // the symbols of the key
	longs  int64                  // remainders of its integers, summed
	values [reconciledMax]float64 // NaN = null
	rank   rank
	acked  bool
	newer  bool // there is a version that is not acknowledged
}

func (x *tableReconciliation) describe() {
	for _, kind := range []bool{true, false} {
		for _, c := range x.table.columns {
			if c.key && c.kind != designated && (c.kind == symbol) == kind {
				x.keys = append(x.keys, c)
				if kind {
					x.symbols++
				}
			}
		}
	}
	for _, name := range reconciled[x.index] {
		i := slices.IndexFunc(x.table.columns, func(c column) bool { return c.name == name })
		x.values = append(x.values, x.table.columns[i])
	}
	_, x.ranked = rankNames[x.index]
}

const keySeparator = "\x00"

// parse reads a line.
func (x *tableReconciliation) parse(line string) (row keptRow, ok bool) {
	var keys [8]string
	for i := range row.values {
		row.values[i] = math.NaN()
	}
	ok = scanLine(line, func(name, value string) {
		if name == "ts" {
			row.ts, _ = strconv.ParseInt(value, 10, 64)
			return
		}
		for i := range x.keys {
			if x.keys[i].name == name {
				keys[i] = value
			}
		}
		for i := range x.values {
			if x.values[i].name == name {
				row.values[i] = parseValue(value)
			}
		}
	})
	if !ok {
		return row, false
	}
	x.identify(&row, keys[:len(x.keys)])
	if x.ranked {
		row.rank, _ = rankOf([]byte(line))
	}
	return row, true
}

// parseValue reads a number or a truth.
func parseValue(text string) float64 {
	switch text {
	case "t":
		return 1
	case "f":
		return 0
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

func (x *tableReconciliation) identify(row *keptRow, keys []string) {
	ts := strconv.FormatInt(row.ts, 10)
	row.key = ts + keySeparator + strings.Join(keys, keySeparator)
	symbols := len(keys[0])
	for _, text := range keys[1:x.symbols] {
		symbols += len(keySeparator) + len(text)
	}
	row.group = row.key[len(ts)+len(keySeparator):][:symbols]
	for i, text := range keys[x.symbols:] {
		if x.keys[x.symbols+i].kind == long {
			v, _ := strconv.ParseInt(text, 10, 64)
			row.longs += v % keyModulus
		}
	}
}

func (x *tableReconciliation) run(ctx context.Context) error {
	if err := x.find(); err != nil {
		return err
	}
	if len(x.records) == 0 {
		return nil
	}
	settle, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := x.client.Settle(settle, x.table.name); err != nil {
		return err
	}
	for _, p := range x.parts() {
		if err := x.part(ctx, p[0], p[1]); err != nil {
			return err
		}
	}
	if moved, err := x.moved(nil); err != nil {
		return err
	} else if moved {
		x.report.Moving = append(x.report.Moving, x.table.name)
	}
	return nil
}

// find lists the records, and which times they have rows of.
func (x *tableReconciliation) find() error {
	acked := x.view.Acked(x.index)
	x.minutes = map[int64]int64{}
	unreadable, err := x.view.Records(x.index, 0, func(k spool.KeptRecord, meta []byte) error {
		r := reconcileRecord{KeptRecord: k, waiting: k.Offset >= acked, from: math.MaxInt64, to: math.MinInt64}
		note := func(from, to, rows int64) {
			r.from, r.to = min(r.from, from), max(r.to, to)
			first, last := max(from, x.from)/reconcileStep, min(to, x.to-1)/reconcileStep
			for at := first; at <= last; at++ {
				x.minutes[at*reconcileStep] += rows/(last-first+1) + 1
			}
		}
		spans, err := decodeSpans(meta)
		if err != nil || len(spans) == 0 { // tables whose loss is only counted have none
			lines, err := x.payload(&r)
			if err != nil {
				return err
			}
			x.rows(lines, func(row keptRow) { note(row.ts, row.ts, 1) })
		}
		for _, s := range spans {
			note(s.from, s.to, s.rows)
		}
		if r.waiting {
			x.report.Waiting += int64(k.Rows)
		}
		x.records = append(x.records, r)
		return nil
	})
	x.report.Unreadable += unreadable
	return err
}

// payload is nil where there is none any more, or it is damaged.
func (x *tableReconciliation) payload(r *reconcileRecord) ([]byte, error) {
	if r.damaged {
		return nil, nil
	}
	lines, err := x.view.Payload(&r.KeptRecord)
	switch {
	case errors.Is(err, spool.ErrDamaged):
		r.damaged = true
		x.report.Unreadable += r.End - r.Offset
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	}
	return lines, err
}

func (x *tableReconciliation) rows(lines []byte, f func(keptRow)) {
	for text := range strings.Lines(view(lines)) {
		if row, ok := x.parse(strings.TrimSuffix(text, "\n")); ok {
			f(row)
		}
	}
}

// parts are times [from, to) within an hour that have rows, not too many.
func (x *tableReconciliation) parts() (parts [][2]int64) {
	rows := int64(0)
	for _, at := range slices.Sorted(maps.Keys(x.minutes)) {
		n := len(parts)
		if rows += x.minutes[at]; n == 0 || rows > reconcileRows || parts[n-1][0]/hour != at/hour {
			parts = append(parts, [2]int64{max(at, x.from), 0})
			rows, n = x.minutes[at], n+1
		}
		parts[n-1][1] = min(at+reconcileStep, x.to)
	}
	return parts
}

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

// kept is the last acknowledged version of each key of [from, to).
func (x *tableReconciliation) kept(from, to int64) (map[string]*keptRow, error) {
	kept := map[string]*keptRow{}
	for i := range x.records {
		r := &x.records[i]
		if r.to < from || r.from >= to {
			continue
		}
		lines, err := x.payload(r)
		if err != nil {
			return nil, err
		}
		x.rows(lines, func(row keptRow) {
			if row.ts < from || row.ts >= to {
				return
			}
			was := kept[row.key]
			switch {
			case r.waiting && was != nil:
				was.newer = true
			case r.waiting:
				row.newer = true
				kept[row.key] = &row
			default:
				row.acked = true
				kept[row.key] = &row
			}
		})
	}
	return kept, nil
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
		groups = unclear
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
