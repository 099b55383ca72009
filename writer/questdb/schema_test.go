package questdb

import (
	"errors"
	"strings"
	"testing"
)

// Tables are there before the first row, with the declared layout.
func TestTablesAreCreatedAtStart(t *testing.T) {
	server, c := database(t)
	s := newSink(t, server.URL(), func(o *Options) {
		o.PartitionBy = map[string]string{"quotes": "DAY"}
		o.TTL = map[string]string{"*": "30 DAYS", "bars": "5 YEARS"}
	})
	if err := s.CheckSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	closes(t, s)
	reads(t, c, `SELECT table_name, designatedTimestamp, partitionBy, walEnabled, dedup, ttlValue, ttlUnit FROM tables() WHERE table_type = 'T' ORDER BY table_name`, `
		bars ts DAY true true 5 YEAR
		book ts HOUR true true 30 DAY
		feed_health ts DAY true true 30 DAY
		funding ts DAY true true 30 DAY
		gaps ts DAY true true 30 DAY
		instruments ts DAY true true 30 DAY
		liquidations ts DAY true true 30 DAY
		nbbo ts HOUR true true 30 DAY
		open_interest ts DAY true true 30 DAY
		quotes ts DAY true true 30 DAY
		status ts DAY true true 30 DAY
		trades ts HOUR true true 30 DAY
		windows ts DAY true true 30 DAY`)
	reads(t, c, `SELECT "column" FROM table_columns('book') WHERE upsertKey`, "ts\nvenue\nsymbol\nseq\nord")
	reads(t, c, `SELECT "column" FROM table_columns('nbbo') WHERE upsertKey`, "ts\nsymbol\ntype\nord")
	reads(t, c, `SELECT symbolCapacity FROM table_columns('trades') WHERE "column" = 'symbol'`, "8192")
	reads(t, c, `SELECT view_name, view_status FROM views() ORDER BY view_name`, "book_arrays valid\nlate_trades valid")
}

// A table that does not fit is refused with statements; those, run as they
// stand, make it fit.
func TestMisfitIsRefusedWithItsRepair(t *testing.T) {
	server, c := database(t)
	s, err := New(Options{URL: server.URL(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	f := func(ddl, problem, repair string) {
		t.Helper()
		wipe(t, c)
		query(t, c, "DROP TABLE IF EXISTS trades_old")
		query(t, c, ddl)
		for _, settle := range []string{"trades", "bars"} {
			if err := c.Settle(t.Context(), settle); err != nil {
				t.Fatal(err)
			}
		}
		err := s.CheckSchema(t.Context())
		var misfit *SchemaError
		if !errors.Is(err, ErrSchema) || !errors.As(err, &misfit) {
			t.Errorf("%s: %v", ddl, err)
			return
		}
		if !strings.Contains(misfit.Problem, problem) || !strings.Contains(err.Error(), repair) {
			t.Errorf("%s: %v\nwant problem %s, repair %s", ddl, err, problem, repair)
		}
		if strings.Contains(repair, "restart") {
			return
		}
		for _, statement := range misfit.Repair {
			query(t, c, statement)
		}
		if err := c.Settle(t.Context(), "trades"); err != nil {
			t.Fatal(err)
		}
		if err := s.CheckSchema(t.Context()); err != nil {
			t.Errorf("after the repair: %v", err)
		}
	}
	columns := "ts TIMESTAMP_NS, venue SYMBOL, symbol SYMBOL, id VARCHAR, side SYMBOL, price DOUBLE, size DOUBLE, late BOOLEAN, recv_ts TIMESTAMP_NS"
	tail := " TIMESTAMP(ts) PARTITION BY HOUR WAL"
	keys := " DEDUP UPSERT KEYS(ts, venue, symbol, id)"
	f("CREATE TABLE trades ("+columns+")"+tail, "dedup keys are ()", "ALTER TABLE trades DEDUP ENABLE UPSERT KEYS(ts, venue, symbol, id)")
	f("CREATE TABLE trades ("+columns+")"+tail+" DEDUP UPSERT KEYS(ts, venue, symbol)", "dedup keys are (ts, venue, symbol)", "ALTER TABLE trades DEDUP ENABLE UPSERT KEYS(ts, venue, symbol, id)")
	f("CREATE TABLE trades ("+strings.Replace(columns, "id VARCHAR, ", "", 1)+")"+tail+" DEDUP UPSERT KEYS(ts, venue, symbol)",
		"dedup keys", "ALTER TABLE trades ADD COLUMN IF NOT EXISTS id VARCHAR; ALTER TABLE trades DEDUP ENABLE")
	f("CREATE TABLE trades ("+strings.Replace(columns, "price DOUBLE", "price DECIMAL(38,18)", 1)+")"+tail+keys,
		"column price is DECIMAL(38,18), want DOUBLE", "RENAME TABLE trades TO trades_old")
	f("CREATE TABLE trades ("+strings.Replace(columns, "ts TIMESTAMP_NS", "ts TIMESTAMP", 1)+")"+tail+keys,
		"column ts is TIMESTAMP, want TIMESTAMP_NS", "RENAME TABLE trades TO trades_old")
	f("CREATE TABLE trades ("+columns+", other TIMESTAMP_NS) TIMESTAMP(other) PARTITION BY HOUR WAL", "not its designated", "RENAME")
	f("CREATE TABLE trades (at TIMESTAMP_NS) TIMESTAMP(at) PARTITION BY HOUR WAL", "no column ts", "RENAME")
	f("CREATE VIEW trades AS (SELECT 1 x)", "a view", "DROP VIEW trades")
	f("CREATE TABLE trades ("+columns+") TIMESTAMP(ts) PARTITION BY HOUR BYPASS WAL", "no WAL", "restart")
	wipe(t, c)
}

// A missing column that is no key is added, a user's own column is left alone.
func TestColumnsAreAdded(t *testing.T) {
	server, c := database(t)
	query(t, c, "CREATE TABLE trades (ts TIMESTAMP_NS, venue SYMBOL, symbol SYMBOL, id VARCHAR, price DOUBLE, mine LONG) TIMESTAMP(ts) PARTITION BY HOUR WAL DEDUP UPSERT KEYS(ts, venue, symbol, id)")
	query(t, c, "INSERT INTO trades VALUES ('2024-08-07', 'v', 's', '1', 2.5, 7)")
	s := newSink(t, server.URL(), nil)
	trades(t, s, 1)
	closes(t, s)
	reads(t, c, "SELECT id, side, price, size, late, mine FROM trades", `
		1 null 2.5 null false 7
		0 buy 100.0 0.001 false null`)
}

// Tables that an older version made get the columns that they have not.
func TestOlderTablesGrow(t *testing.T) {
	server, c := database(t)
	query(t, c, "CREATE TABLE feed_health (ts TIMESTAMP_NS, venue SYMBOL, line SYMBOL, up BOOLEAN, frames LONG) TIMESTAMP(ts) PARTITION BY DAY WAL DEDUP UPSERT KEYS(ts, venue, line)")
	query(t, c, "CREATE TABLE instruments (ts TIMESTAMP_NS, venue SYMBOL, symbol SYMBOL, base SYMBOL) TIMESTAMP(ts) PARTITION BY DAY WAL DEDUP UPSERT KEYS(ts, venue, symbol)")
	s := newSink(t, server.URL(), nil)
	var x tape
	oneOfEach(t, &x)
	s.Write(x.take())
	closes(t, s)
	reads(t, c, "SELECT first, second, missed, lead_ns, recv_src FROM feed_health", "7 8 9 -10 kernel")
	reads(t, c, "SELECT state, expiry FROM instruments ORDER BY ts LIMIT 1", "trading null")
}

// Rows wait while a table does not fit, and go when the user has repaired it.
func TestRowsWaitForTheRepair(t *testing.T) {
	server, c := database(t)
	query(t, c, "CREATE TABLE trades (ts TIMESTAMP_NS, venue SYMBOL, symbol SYMBOL, id VARCHAR) TIMESTAMP(ts) PARTITION BY HOUR WAL")
	s := newSink(t, server.URL(), nil)
	trades(t, s, 3)
	until(t, "the table was refused", func() bool { return s.Stats.Tables[tableTrades].SchemaFails.Load() > 0 })
	query(t, c, "ALTER TABLE trades DEDUP ENABLE UPSERT KEYS(ts, venue, symbol, id)")
	closes(t, s)
	reads(t, c, "SELECT count() FROM trades", "3")
	conserved(t, s)
}
