package questdb

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// A resend says in the log from when on, or that all that is kept is sent.
func TestResendSaysFromWhen(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s, err := New(Options{SpoolDir: t.TempDir(), Spool: SpoolOptions{FreeBytes: -1}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Now: func() int64 { return start }})
	if err != nil {
		t.Fatal(err)
	}
	x := s.senders[tableTrades]
	was := present{known: true, table: 1, txn: 7, started: 3}
	for _, c := range []struct {
		now  present
		want string
	}{
		{present{known: true, table: 2}, `from="all that is kept"`},
		{present{known: true, table: 1, txn: 6, started: 3}, `from="all that is kept"`},
		{present{known: true, table: 1, txn: 7, started: 4}, "from=2024-08-07T23:55:00Z"},
	} {
		log.Reset()
		s.complaints.keys = map[string]*complaint{}
		x.present = was
		x.compare(c.now)
		if !strings.Contains(log.String(), c.want) {
			t.Errorf("%+v: the log lacks %s:\n%s", c.now, c.want, log.String())
		}
	}
	s.spool.Close()
	s.unlock()
}

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
