package questdb

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tickproc/internal/questdbserver"
)

// A real server does to our tables what nobody's answer to a row tells. Each is
// noticed at the next look, with what repairs it, and gone when it was repaired.
func TestWatch(t *testing.T) {
	t.Parallel()
	server := questdbserver.NewForTest(t, "QDB_DEV_MODE_ENABLED=true", "QDB_LINE_AUTO_CREATE_NEW_TABLES=true", "QDB_LINE_AUTO_CREATE_NEW_COLUMNS=true")
	c := NewClient(server.URL(), Credentials{}, 0)
	tables, err := New(Options{URL: server.URL(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if err := tables.CheckSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	start := time.Now()
	w := NewWatch(Options{URL: server.URL(), Logger: slog.New(slog.NewTextHandler(&log, nil))}, Lease{})
	// What alters a table is applied a moment after it was answered.
	look := func(want ...string) {
		t.Helper()
		until(t, fmt.Sprintf("the troubles are %q", want), func() bool {
			found, err := w.look(t.Context(), start)
			if err != nil {
				t.Fatal(err)
			}
			w.note(found)
			for i := range found {
				if i >= len(want) || !strings.Contains(found[i].String(), want[i]) {
					return false
				}
			}
			return len(found) == len(want)
		})
	}
	look()
	query(t, c, "ALTER TABLE trades SUSPEND WAL")
	look("table trades is suspended: it takes rows, and queries do not see them: ALTER TABLE trades RESUME WAL")
	look("table trades is suspended")
	query(t, c, "ALTER TABLE bars DEDUP DISABLE")
	look("table trades is suspended", "table bars does not take our rows: its dedup keys are (), want (ts, venue, symbol, interval): without them rows that are sent again would be doubled: ALTER TABLE bars DEDUP ENABLE UPSERT KEYS(ts, venue, symbol, interval)")
	query(t, c, w.Troubles()[0].Remedy)
	query(t, c, w.Troubles()[1].Remedy)
	look()
	query(t, c, "DROP TABLE gaps")
	look("table gaps is missing: it is created again before its next row")
	if err := tables.CheckSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	look()
	// Behind a DROP, a server as it comes makes a table of the next row: one
	// without ts, which no dedup keys could be given to.
	query(t, c, "DROP TABLE trades")
	look("table trades is missing")
	answer, err := http.Post(server.URL()+"/write", "text/plain", strings.NewReader(fmt.Sprintf("trades,venue=v,symbol=s id=\"1\",price=2.5 %d\n", time.Now().UnixNano())))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	look("table trades does not take our rows: it has no column ts: RENAME TABLE trades TO trades_old")
	var misfit *SchemaError
	if err := tables.CheckSchema(t.Context()); !errors.As(err, &misfit) || strings.Join(misfit.Repair, "; ") != w.Troubles()[0].Remedy {
		t.Errorf("the sender says %v, the watch %v", err, w.Troubles())
	}
	query(t, c, w.Troubles()[0].Remedy)
	look("table trades is missing")
	if err := tables.CheckSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	look()
	if n := strings.Count(log.String(), "a table needs attention"); n != 6 {
		t.Errorf("told %d times, want 6:\n%s", n, &log)
	}
	if n := strings.Count(log.String(), "no longer so"); n != 6 {
		t.Errorf("told %d times that it is over, want 6:\n%s", n, &log)
	}
}

// Rows that were committed and are not applied, look after look, are a trouble
// although the table is not suspended. A real server does not stand still on
// demand.
func TestWatchSeesStandstill(t *testing.T) {
	t.Parallel()
	applied := 7
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var rows []string
		for _, table := range tablesOf(10) {
			if strings.Contains(r.URL.Query().Get("query"), "wal_tables()") {
				done := 9
				if table.name == "trades" {
					done = applied
				}
				rows = append(rows, fmt.Sprintf(`["%s", false, %d, 9, ""]`, table.name, done))
			} else {
				rows = append(rows, fmt.Sprintf(`["%s", true, true]`, table.name))
			}
		}
		fmt.Fprintf(w, `{"columns": [], "dataset": [%s]}`, strings.Join(rows, ","))
	}))
	t.Cleanup(server.Close)
	w, start := NewWatch(Options{URL: server.URL}, Lease{}), time.Now()
	for look := range 6 {
		found, err := w.look(t.Context(), start.Add(time.Duration(look)*watchEvery))
		if err != nil {
			t.Fatal(err)
		}
		// It moves behind the first look and behind the fifth.
		if standing := len(found) > 0; standing != (look == 4) {
			t.Errorf("look %d: %v", look, found)
		}
		if look == 0 || look == 4 {
			applied++
		}
	}
}
