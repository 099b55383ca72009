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
