package questdb

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickproc/internal/questdbserver"
	"tickproc/tick"
)

// The server is killed and restarted in mid-stream, then replaced by an empty
// one, then its tables are dropped under the sink. It would create tables by
// itself, which must never be what happens. After the kill nothing is lost or
// doubled; after a wipe everything later than the wipe is there, deduplicated.
func TestServerComesAndGoes(t *testing.T) {
	server := questdbserver.NewForTest(t, "QDB_LINE_AUTO_CREATE_NEW_TABLES=true", "QDB_LINE_AUTO_CREATE_NEW_COLUMNS=true", "QDB_DEV_MODE_ENABLED=true")
	c := NewClient(server.URL(), Credentials{}, 20*time.Second)
	s := newSink(t, server.URL(), func(o *Options) { o.FlushRows = 500 })
	var x tape
	x.define(t, btc, start)
	s.Write(x.take())
	next := 0
	write := func(n int) {
		for range n {
			x.trade(0, start+int64(next)*1e6, uint64(next))
			next++
		}
		s.Write(x.take())
		s.Idle(s.o.Now() + 1e9)
	}
	acked := func() uint64 { return s.Stats.Tables[tableTrades].Acked.Load() }
	whole := func(from int) {
		t.Helper()
		until(t, "all rows are acknowledged", func() bool { s.Idle(s.o.Now() + 1e9); return acked() == uint64(next) })
		reads(t, c, "SELECT count(), count_distinct(id), min(id::long), max(id::long) FROM trades",
			fmt.Sprintf("%d %[1]d %d %d", next-from, from, next-1))
	}

	write(20_000)
	until(t, "some rows are acknowledged", func() bool { return acked() > 2000 })
	server.Kill()
	write(20_000)
	until(t, "the outage is seen", func() bool { return s.Stats.Tables[tableTrades].Unreachable.Load() > 0 })
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(1000)
	whole(0)

	// Another, empty database takes the place.
	server.Stop()
	gone := next
	if err := os.RemoveAll(filepath.Join(server.Dir(), "db")); err != nil {
		t.Fatal(err)
	}
	write(5000)
	until(t, "the outage is seen", func() bool { return s.Stats.Tables[tableTrades].Unreachable.Load() > 1 })
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole(gone)
	reads(t, c, "SELECT dedup FROM tables() WHERE table_name = 'trades'", "true")
	closes(t, s)
	conserved(t, s)

	// A suspended table takes rows and does not show them: who waits for them
	// is told why.
	query(t, c, "ALTER TABLE trades SUSPEND WAL")
	until(t, "it is suspended", func() bool { return errors.Is(c.Settle(t.Context(), "trades"), ErrBehind) })
	if err := c.Settle(t.Context(), "trades"); !strings.Contains(err.Error(), "ALTER TABLE trades RESUME WAL") {
		t.Error(err)
	}
	var log bytes.Buffer
	again, err := New(Options{URL: server.URL(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.CheckSchema(t.Context()); err != nil || !strings.Contains(log.String(), "RESUME WAL") {
		t.Errorf("%v, log %s", err, log.String())
	}
}

// Tables are dropped while the sink writes: they are created anew before the
// next row, with their keys.
func TestTablesAreDropped(t *testing.T) {
	server, c := database(t)
	s := newSink(t, server.URL(), nil)
	var x tape
	x.define(t, btc, start)
	x.trade(0, start, 1)
	s.Write(x.take())
	s.Idle(s.o.Now() + 1e9)
	until(t, "the row is acknowledged", func() bool { return s.Stats.Tables[tableTrades].Acked.Load() == 1 })
	wipe(t, c)
	x.trade(0, start+1, 2)
	x.quote(0, start+1, 1)
	s.Write(x.take())
	closes(t, s)
	reads(t, c, "SELECT id FROM trades", "2")
	reads(t, c, "SELECT seq FROM quotes", "1")
	reads(t, c, "SELECT table_name FROM tables() WHERE dedup ORDER BY table_name", "quotes\ntrades")
}

// QuestDB refuses a number that its column cannot hold: the named rows are
// set aside, their neighbours arrive, and gaps say so.
func TestRealServerNamesTheRow(t *testing.T) {
	server, c := database(t)
	dir := t.TempDir()
	s := newSink(t, server.URL(), func(o *Options) { o.Numbers, o.DeadLetterDir = "decimal", dir })
	var x tape
	x.define(t, btc, start)
	for i := range 300 {
		b := x.row(tick.RowBar, 0, start+int64(i)*1e9).BarRow()
		b.SizeDigits, b.IntervalNanos, b.Flags = 0, 1e9, tick.RowFinal|tick.RowComplete
		if i%100 == 7 {
			b.Volume = tick.Mul64(1e18, 1e6) // DECIMAL(38,18) has 20 places before the point
		}
	}
	s.Write(x.take())
	closes(t, s)
	conserved(t, s)
	reads(t, c, "SELECT count() FROM bars", "297")
	// One row or more, as the rejections came to be known.
	reads(t, c, "SELECT channel, reason, sum(lost), min(ts), max(ts_end) FROM gaps", `
		bars rejected 3 2024-08-08T00:00:07.000000000Z 2024-08-08T00:03:27.000000000Z`)
	letters, err := os.ReadFile(filepath.Join(dir, DeadLetterFile))
	if err != nil || strings.Count(string(letters), "cannot be converted to column type: DECIMAL(38,18)") != 3 {
		t.Errorf("%v\n%s", err, letters)
	}
}

// A table that was changed under the sink is at fault, and not its rows:
// they wait.
func TestChangedTableIsNoRowsFault(t *testing.T) {
	server, c := database(t)
	s := newSink(t, server.URL(), nil)
	st := &s.Stats.Tables[tableTrades]
	trades(t, s, 1)
	s.Idle(s.o.Now() + 1e9)
	until(t, "the row is acknowledged", func() bool { return st.Acked.Load() == 1 })
	query(t, c, "DROP TABLE trades")
	query(t, c, "CREATE TABLE trades (ts TIMESTAMP_NS, venue SYMBOL, symbol SYMBOL, id VARCHAR, price LONG, size DOUBLE, late BOOLEAN) TIMESTAMP(ts) PARTITION BY HOUR WAL DEDUP UPSERT KEYS(ts, venue, symbol, id)")
	trades(t, s, 3)
	s.Idle(s.o.Now() + 1e9)
	until(t, "the misfit is seen", func() bool { return st.SchemaFails.Load() > 0 })
	query(t, c, "DROP TABLE trades")
	closes(t, s)
	conserved(t, s)
	reads(t, c, "SELECT id FROM trades ORDER BY ts", "0\n1\n2")
	if n := st.Quarantined.Load(); n != 0 {
		t.Errorf("%d rows quarantined for the table's fault", n)
	}
}
