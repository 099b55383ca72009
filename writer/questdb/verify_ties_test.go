package questdb

import (
	"fmt"
	"testing"
)

// Of trades of one moment with random ids any may be the first or the last;
// of trades with numbers the number tells. Nothing else is forgiven.
func TestVerifyKnowsTradesOfOneMoment(t *testing.T) {
	server, c := database(t)
	const a, b = "0a0a0a0a-0000-4000-8000-000000000001", "f0f0f0f0-0000-4000-8000-000000000002"
	f := func(idA, idB, open, high, close string, differs int64) {
		t.Helper()
		wipe(t, c)
		s := newSink(t, server.URL(), nil)
		if err := s.CheckSchema(t.Context()); err != nil {
			t.Fatal(err)
		}
		run := func(sql string) {
			t.Helper()
			if _, err := c.Query(t.Context(), sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
		for _, x := range [][2]string{{idA, "1.0"}, {idB, "2.0"}} {
			run(fmt.Sprintf("INSERT INTO trades (ts, venue, symbol, id, side, price, size, late) VALUES (%s, 'v', 's', '%s', 'buy', %s, 1.0, false)",
				moment(start+5), x[0], x[1]))
		}
		run(fmt.Sprintf("INSERT INTO bars (ts, venue, symbol, interval, open, high, low, close, volume, notional, vwap, trades, buy_volume, sell_volume, final, complete) "+
			"VALUES (%s, 'v', 's', '1s', %s, %s, 1.0, %s, 2.0, 3.0, 1.5, 2, 2.0, 0.0, true, true)", moment(start), open, high, close))
		if err := c.Settle(t.Context(), "trades"); err != nil {
			t.Fatal(err)
		}
		report, err := Verify(t.Context(), VerifyOptions{URL: server.URL()})
		if err != nil {
			t.Fatal(err)
		}
		if checked, differing, _ := report.Totals(); checked != 1 || differing != differs {
			t.Errorf("ids %s %s, bar %s %s %s: %d checked, %d differ, want %d: %+v", idA, idB, open, high, close, checked, differing, differs, report.Rows)
		}
	}
	f(a, b, "1.0", "2.0", "2.0", 0)
	f(a, b, "2.0", "2.0", "1.0", 0) // the other order
	f(a, b, "1.5", "2.0", "1.0", 1)
	f(a, b, "2.0", "2.5", "1.0", 1)
	f("7", "8", "2.0", "2.0", "1.0", 1)
	f("7", "8", "1.0", "2.0", "2.0", 0)
}
