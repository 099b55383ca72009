package questdb

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tickproc/internal/questdbserver"
)

// The server is killed and restarted in mid-stream, then replaced by an empty
// one, then its tables are dropped under the sink. It would create tables by
// itself, which must never be what happens. After the kill nothing is lost or
// doubled; after a wipe everything later than the wipe is there, deduplicated.
func TestServerComesAndGoes(t *testing.T) {
	server := questdbserver.NewForTest(t, "QDB_LINE_AUTO_CREATE_NEW_TABLES=true", "QDB_LINE_AUTO_CREATE_NEW_COLUMNS=true")
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

// QuestDB refuses numbers its columns cannot hold: the named rows are set
// aside, their neighbours arrive.
func TestRealServerNamesTheRow(t *testing.T) {
	server, c := database(t)
	dir := t.TempDir()
	s := newSink(t, server.URL(), func(o *Options) { o.Numbers, o.DeadLetterDir = "decimal", dir })
	var x tape
	x.define(t, btc, start)
	s.Write(x.take())
	until(t, "the table is there", func() bool { return len(query(t, c, "SELECT 1 FROM tables() WHERE table_name = 'trades'")) == 1 })
	query(t, c, "DROP TABLE trades")
	// Nothing we write is too large for our own columns, so this one is narrower ...
	query(t, c, "CREATE TABLE trades (ts TIMESTAMP_NS, venue SYMBOL, symbol SYMBOL, id VARCHAR, price DECIMAL(38,18), size DECIMAL(38,18), late LONG) TIMESTAMP(ts) PARTITION BY HOUR WAL DEDUP UPSERT KEYS(ts, venue, symbol, id)")
	trades(t, s, 3)
	until(t, "the misfit is seen", func() bool { return s.Stats.Tables[tableTrades].SchemaFails.Load() > 0 || s.Stats.Tables[tableTrades].Refusals.Load() > 0 })
	// ... and no row is blamed for it.
	if n := s.Stats.Tables[tableTrades].Quarantined.Load(); n != 0 {
		t.Errorf("%d rows quarantined for the table's fault", n)
	}
	query(t, c, "DROP TABLE trades")
	closes(t, s)
	reads(t, c, "SELECT id FROM trades ORDER BY ts", "0\n1\n2")
}
