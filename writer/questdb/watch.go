package questdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Trouble is something that a server does to our tables, or does not, and that
// no answer to a row tells: a suspended table, for one, acknowledges rows that
// no query sees.
type Trouble struct {
	Table, Problem string
	Remedy         string // a statement, or what to look at
}

func (t Trouble) String() string {
	return fmt.Sprintf("QuestDB table %s %s: %s", t.Table, t.Problem, t.Remedy)
}

const (
	// watchEvery lets every trouble be known within ten seconds.
	watchEvery = 3 * time.Second
	// watchTimeout bounds each question.
	watchTimeout = 5 * time.Second
	// standingSpan is how long a table may have committed rows and apply none.
	standingSpan = 8 * time.Second
)

// Watch asks the server again and again what it makes of our tables.
type Watch struct {
	client *Client
	schema *schema
	tables []*table
	logger *slog.Logger
	lease  *lease // nil: nobody's

	// owner: Run
	applied map[string]int64 // writer transaction of the last look, by table
	moved   map[string]time.Time

	others   atomic.Int64
	mu       sync.Mutex
	troubles []Trouble
}

// NewWatch returns a watch of the tables that a sink of equal options writes for
// who.
func NewWatch(o Options, who Lease) *Watch {
	o.EnsureDefaults()
	w := &Watch{client: NewClient(o.URL, o.Credentials, watchTimeout), logger: o.Logger,
		applied: map[string]int64{}, moved: map[string]time.Time{}}
	w.schema = &schema{client: w.client, options: &o}
	for _, t := range tablesOf(o.Depth) {
		w.tables = append(w.tables, t)
	}
	if who.ID != "" {
		w.lease = newLease(who, &o, w.client)
		w.tables = append(w.tables, leaseTable)
	}
	return w
}

// Run looks until ctx ends, and then gives the lease back. A server that does
// not answer is the senders' to report: what was known of it stays.
func (w *Watch) Run(ctx context.Context) {
	defer w.client.closeIdle()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		if found, err := w.look(ctx, time.Now()); err == nil {
			w.note(found)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if w.lease != nil && w.lease.beat > 0 {
				// One that is not given back is nobody's a little later.
				_ = w.lease.write(context.WithoutCancel(ctx), false)
			}
			return
		}
	}
}

// Troubles returns what is wrong as of the last look. Any goroutine may ask.
func (w *Watch) Troubles() []Trouble {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.troubles
}

// Others returns how many other writers of the tables were alive at the last
// look. Any goroutine may ask.
func (w *Watch) Others() int64 { return w.others.Load() }

// note logs what is new and what is over.
func (w *Watch) note(found []Trouble) {
	w.mu.Lock()
	before := w.troubles
	w.troubles = found
	w.mu.Unlock()
	for _, t := range found {
		if !slices.ContainsFunc(before, t.same) {
			w.logger.Error("QuestDB: a table needs attention", "table", t.Table, "problem", t.Problem, "remedy", t.Remedy)
		}
	}
	for _, t := range before {
		if !slices.ContainsFunc(found, t.same) {
			w.logger.Info("QuestDB: no longer so", "table", t.Table, "problem", t.Problem)
		}
	}
}

// same ignores numbers in the text, which change from look to look.
func (t Trouble) same(o Trouble) bool { return t.Table == o.Table && t.Remedy == o.Remedy }

func (w *Watch) look(ctx context.Context, now time.Time) (found []Trouble, err error) {
	var others []Trouble
	if w.lease != nil {
		if others, err = w.lease.look(ctx); err != nil {
			return nil, err
		}
		w.others.Store(int64(len(w.lease.troubles())))
	}
	about, err := w.client.Query(ctx, "SELECT table_name, walEnabled, dedup FROM tables()")
	if err != nil {
		return nil, err
	}
	wal, err := w.client.Query(ctx, "SELECT name, suspended, writerTxn, sequencerTxn, errorMessage FROM wal_tables()")
	if err != nil {
		return nil, err
	}
	var there []string
	for _, t := range w.tables {
		if about.named(t.name) >= 0 {
			there = append(there, t.name)
		}
	}
	broken, err := w.schema.tornTables(ctx, there)
	if err != nil {
		return nil, err
	}
	for _, t := range w.tables {
		if t == leaseTable && w.lease.foreign {
			continue // what is to be done with it is said
		}
		add := func(problem, remedy string) { found = append(found, Trouble{t.name, problem, remedy}) }
		i := about.named(t.name)
		switch {
		case i < 0:
			add("is missing", "it is created again before its next row")
			continue
		case slices.Contains(broken, t.name):
			add(tornProblem, tornRemedy(t.name))
			continue
		case !about.True(i, 1) || !about.True(i, 2):
			// Why, and what helps, is for its columns to say: the server may have made
			// it of a row of ours, in the moment behind a DROP.
			var misfit *SchemaError
			switch _, err := w.schema.judge(ctx, t); {
			case errors.As(err, &misfit):
				add("does not take our rows: "+misfit.Problem, strings.Join(misfit.Repair, "; "))
			case err != nil && !errors.Is(err, errNoTable):
				return nil, err
			}
			if !about.True(i, 1) {
				continue
			}
		}
		i = wal.named(t.name)
		if i < 0 {
			continue
		}
		done, committed := wal.Int(i, 2), wal.Int(i, 3)
		if before, known := w.applied[t.name]; done >= committed || done != before || !known {
			w.applied[t.name], w.moved[t.name] = done, now
		}
		switch {
		case wal.True(i, 1):
			problem := "is suspended: it takes rows, and queries do not see them"
			if text := wal.Text(i, 4); text != "" {
				problem += " (" + text + ")"
			}
			add(problem, "ALTER TABLE "+t.name+" RESUME WAL")
		case now.Sub(w.moved[t.name]) >= standingSpan:
			add(fmt.Sprintf("is behind by %d transactions and applies none", committed-done), "look at QuestDB's log, and at its disk")
		}
	}
	return append(found, others...), nil
}

// named returns the row whose first cell is name, -1 if none is.
func (r *Result) named(name string) int {
	return slices.IndexFunc(r.Rows, func(row []any) bool { return row[0] == any(name) })
}
