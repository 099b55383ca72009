package questdb

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

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
		w := x.window(start)
		w.Flags, w.Trades = tick.RowFinal, trades
		s.Write(x.take())
		closes(t, s)
	}
	reads(t, c, "SELECT trades FROM windows", "5")
}

// What a guard needs is read from the line as the encoder writes it.
func TestGuardsAreReadFromLines(t *testing.T) {
	t.Parallel()
	for _, numbers := range []string{"double", "decimal"} {
		s := idleSink(t, numbers)
		var x tape
		odd := btc
		odd.Symbol = `A B,C=D\E`
		x.define(t, odd, start)
		x.barOf(0, tick.RowFinal|tick.RowComplete, 0, 5) // of before this run
		x.barOf(1, tick.RowFinal, 3, 10)
		x.barOf(2, tick.RowFinal|tick.RowComplete, 0, 20)
		w := x.window(start + 5)
		w.Flags, w.Trades, w.Rev = tick.RowComplete, 1<<40, 7
		s.Write(x.take())
		f := func(table int, wanted func(rank, int64) bool, want ...guard) {
			t.Helper()
			lines := s.lanes[table].take(nil)
			got := guards(lines, rankNames[table], wanted)
			for i := range got {
				if line := string(lines[got[i].start:got[i].end]); line[len(line)-1] != '\n' {
					t.Errorf("line %q", line)
				}
				got[i].start, got[i].end = 0, 0
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
			for i := 0; i < len(lines); i += 7 { // torn lines are no guards of another key
				guards(lines[i:], rankNames[table], everyRow)
			}
		}
		r := &ranker{versions: func(map[rankKey]bool) (map[rankKey][]rank, error) { return nil, nil }, startedNanos: start + 120e9}
		f(tableBars, r.couldBeWorse, guard{key: rankKey{odd.Venue, odd.Symbol, "1m", start}, rank: rank{final: true, complete: true, trades: 5}},
			guard{key: rankKey{odd.Venue, odd.Symbol, "1m", start + 60e9}, rank: rank{final: true, rev: 3, trades: 10}})
		f(tableWindows, everyRow, guard{key: rankKey{odd.Venue, odd.Symbol, "vwap_60s_1s", start + 5}, rank: rank{complete: true, rev: 7, trades: 1 << 40}})
	}
}

// One key's rows of several runs go to a table that may lose its newest rows, or
// all, and be sent everything again from any place on. Compared with the end
// when nothing was lost: no run's correction is undone, and no worse row of
// another run stands.
func TestResendEndsTheSame(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		other := rank{complete: random.IntN(2) == 0, final: true, trades: int64(1 + random.IntN(3))} // of another run
		var ours []rank                                                                              // the spool's, in order
		for rev := range 1 + random.IntN(3) {
			ours = append(ours, rank{complete: random.IntN(2) == 0, final: true, rev: int64(rev), trades: int64(5 + random.IntN(3))})
		}
		send := func(stands *rank, rows []rank, again, outranked bool) (*rank, bool) {
			for _, row := range rows {
				v := sends
				if stands != nil {
					v = judge(row, *stands, again, outranked, false)
				}
				if v == depends {
					own := slices.Contains(ours, *stands)
					v = sends
					if own && stands.rev > row.rev || !own && stands.betterThan(row) {
						v = drops
					}
				}
				if v == sends {
					stands, outranked = &row, false
				} else if stands != nil && !slices.Contains(ours, *stands) {
					outranked = true
				}
			}
			return stands, outranked
		}
		var first *rank
		if random.IntN(2) == 0 {
			first = &other
		}
		want, _ := send(first, ours, false, false)
		for lost := range len(ours) + 1 { // the table as it was after so many of ours
			had, _ := send(first, ours[:lost], false, false)
			got, _ := send(had, ours, true, false)
			if *got != *want {
				t.Fatalf("other %v %+v, ours %+v: had %+v, ends with %+v, want %+v", first != nil, other, ours, had, got, want)
			}
			twice, _ := send(got, ours, true, false)
			if *twice != *want {
				t.Fatalf("other %v %+v, ours %+v: sent twice ends with %+v, want %+v", first != nil, other, ours, twice, want)
			}
		}
	}
}
