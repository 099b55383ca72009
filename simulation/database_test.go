package simulation

import (
	"testing"
	"time"
)

// Rows are upserted by the keys of the table's DDL, are shown a little later,
// and the newest are gone when a host loses them.
func TestDatabase(t *testing.T) {
	t.Parallel()
	l := &loop{now: int64(time.Hour)}
	d := newDatabase(l, stream(1, "database"))
	if status, _ := d.write([]byte("trades,venue=okx id=\"1\" 5\n")); status != 400 {
		t.Errorf("a table that is not there: status %d", status)
	}
	if _, err := d.query("CREATE TABLE IF NOT EXISTS trades (ts TIMESTAMP_NS, venue SYMBOL CAPACITY 256, id VARCHAR) TIMESTAMP(ts) PARTITION BY HOUR WAL DEDUP UPSERT KEYS(ts, venue, id)"); err != nil {
		t.Fatal(err)
	}
	post := func(lines string) {
		t.Helper()
		if status, body := d.write([]byte(lines)); status != 204 {
			t.Fatalf("status %d %s", status, body)
		}
	}
	post("trades,venue=a\\ b id=\"1\",price=2.5,late=f 5\ntrades,venue=okx id=\"1\",n=7i 5\n")
	post("trades,venue=okx id=\"1\",n=8i 5\n")
	d.settle()
	rows := d.all("trades")
	if len(rows) != 2 || rows[0].text("venue") != "a b" || rows[1].integer("n") != 8 || rows[0].ts != 5 {
		t.Fatalf("%d rows: %+v", len(rows), rows)
	}
	if price, ok := rows[0].float("price"); !ok || price != 2.5 || rows[0].truth("late") {
		t.Errorf("%+v", rows[0])
	}
	l.now += int64(time.Minute)
	post("trades,venue=okx id=\"2\" 6\n")
	d.restart(time.Second, 0)
	if d.settle(); len(d.all("trades")) != 2 {
		t.Errorf("%d rows after the newest were lost", len(d.all("trades")))
	}
	if d.wipe(); d.all("trades") != nil {
		t.Error("rows of a server that is another one")
	}
}
