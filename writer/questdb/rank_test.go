package questdb

import (
	"testing"

	"tickproc/tick"
)

// bar writes a bar of minute m with the given standing.
func (x *tape) barOf(m int, flags tick.RowFlags, rev uint32, trades uint64) {
	b := x.row(tick.RowBar, 0, start+int64(m)*60e9).BarRow()
	b.IntervalNanos, b.Flags, b.Rev, b.Trades = 60e9, flags, rev, trades
}

// Two runs compute the same bars. The second one's first is incomplete, its
// last is not final: neither replaces a better one, in any order.
func TestWorseRowNeverReplacesABetter(t *testing.T) {
	server, c := database(t)
	const whole, final = tick.RowFinal | tick.RowComplete, tick.RowFinal
	run := func(rows func(x *tape)) *Sink {
		t.Helper()
		s := newSink(t, server.URL(), nil)
		var x tape
		x.define(t, btc, start)
		rows(&x)
		s.Write(x.take())
		closes(t, s)
		conserved(t, s)
		return s
	}
	shows := func(want string) {
		t.Helper()
		reads(t, c, "SELECT minute(ts), complete, final, rev, trades FROM bars ORDER BY ts", want)
	}
	run(func(x *tape) {
		x.barOf(0, final, 0, 10) // a run begins
		x.barOf(1, whole, 0, 20)
		x.barOf(2, whole, 0, 30)
		x.barOf(3, 0, 0, 5) // and ends
	})
	shows("0 false true 0 10\n1 true true 0 20\n2 true true 0 30\n3 false false 0 5")
	s := run(func(x *tape) {
		x.barOf(1, final, 0, 19)           // begins later: incomplete, worse
		x.barOf(1, final, 1, 21)           // and its correction still is
		x.barOf(2, whole, 0, 30)           // the same
		x.barOf(3, whole, 0, 40)           // better
		x.barOf(4, tick.RowComplete, 0, 3) // new
	})
	if n := s.Stats.Tables[tableBars].Outranked.Load(); n != 2 {
		t.Errorf("%d rows outranked, want 2", n)
	}
	shows("0 false true 0 10\n1 true true 0 20\n2 true true 0 30\n3 true true 0 40\n4 true false 0 3")
	run(func(x *tape) {
		x.barOf(0, whole, 0, 11) // begins earlier: better
		x.barOf(3, 0, 0, 1)      // ends earlier: worse
		x.barOf(4, final, 0, 4)  // complete goes before final: worse
	})
	shows("0 true true 0 11\n1 true true 0 20\n2 true true 0 30\n3 true true 0 40\n4 true false 0 3")
	// A run corrects its own row even for the worse: a loss came to light.
	run(func(x *tape) {
		x.barOf(5, whole, 0, 50)
		x.barOf(5, final, 1, 49)
	})
	reads(t, c, "SELECT complete, rev, trades FROM bars WHERE minute(ts) = 5", "false 1 49")
	// The same run again ends the same.
	run(func(x *tape) {
		x.barOf(5, whole, 0, 50)
		x.barOf(5, final, 1, 49)
	})
	reads(t, c, "SELECT complete, rev, trades FROM bars WHERE minute(ts) = 5", "false 1 49")
}

// A long gap makes many guarded rows in one batch.
func TestManyGuardedRows(t *testing.T) {
	server, c := database(t)
	for run, trades := range []uint64{2, 1, 3} {
		s := newSink(t, server.URL(), nil)
		var x tape
		x.define(t, btc, start)
		for m := range 350 {
			x.barOf(m, tick.RowFinal, 0, trades)
		}
		s.Write(x.take())
		closes(t, s)
		if got, want := s.Stats.Tables[tableBars].Outranked.Load(), uint64([]int{0, 350, 0}[run]); got != want {
			t.Errorf("run %d: %d outranked, want %d", run, got, want)
		}
	}
	reads(t, c, "SELECT count(), min(trades), max(trades) FROM bars", "350 3 3")
}

func TestWindowsHaveRanks(t *testing.T) {
	server, c := database(t)
	for _, trades := range []uint64{5, 4} { // of two incomplete ones the one of more trades stays
		s := newSink(t, server.URL(), nil)
		var x tape
		x.define(t, btc, start)
		w := x.row(tick.RowWindow, 0, start).WindowRow()
		w.Flags, w.Trades = tick.RowFinal, trades
		s.Write(x.take())
		closes(t, s)
	}
	reads(t, c, "SELECT trades FROM windows", "5")
}
