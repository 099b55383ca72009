package questdb

import "testing"

// What the sender expects of the server is what the server has: a post is one
// transaction, also with new symbols, and of rows that are there already.
func TestAPostIsOneTransaction(t *testing.T) {
	server, c := database(t)
	s := newSink(t, server.URL(), func(o *Options) {
		spooled(t.TempDir())(o)
		o.FlushRows = 1000
	})
	for round := range 3 {
		trades(t, s, 5000)
		if round == 1 {
			var x tape
			x.define(t, perp, start)
			for id := range 1500 {
				x.trade(1, start+int64(id), uint64(id))
			}
			s.Write(x.take())
		}
		until(t, "nothing waits", func() bool { s.Idle(s.o.Now() + 1e9); return s.spool.State().Empty })
		for _, table := range []int{tableTrades, tableInstruments} {
			r, err := c.Query(t.Context(), "SELECT sequencerTxn FROM wal_tables() WHERE name = "+literal(TableNames()[table]))
			if err != nil {
				t.Fatal(err)
			}
			if p := decodePresent(s.spool.Note(table)); !p.known || p.started == 0 || p.txn != r.Int(0, 0) || p.txn == 0 {
				t.Errorf("%s: expected %+v, the server has %d", TableNames()[table], p, r.Int(0, 0))
			}
		}
	}
	closes(t, s)
}
