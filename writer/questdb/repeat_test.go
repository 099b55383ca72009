package questdb

import (
	"testing"

	"tickproc/tick"
)

// Rows that are computed again from the same packets bring back what is missing,
// and neither an earlier version nor a gap that is open again over what stands.
func TestRepeatOfTheSame(t *testing.T) {
	server, c := database(t)
	const whole, final = tick.RowFinal | tick.RowComplete, tick.RowFinal
	run := func(repeat Repeat, rows func(x *tape)) *Sink {
		t.Helper()
		s := newSink(t, server.URL(), func(o *Options) { o.Repeat = repeat })
		var x tape
		x.define(t, btc, start)
		rows(&x)
		s.Write(x.take())
		closes(t, s)
		conserved(t, s)
		return s
	}
	bars := func(want string) {
		t.Helper()
		reads(t, c, "SELECT minute(ts), complete, final, rev, trades FROM bars ORDER BY ts", want)
	}
	gaps := func(want string) {
		t.Helper()
		reads(t, c, "SELECT ord, ts_end IS NOT NULL, repaired, backfill FROM gaps ORDER BY ord", want)
	}
	gap := func(x *tape, ord uint32, end int64, flags tick.RowFlags, backfill tick.Backfill) {
		g := x.row(tick.RowGap, 0, start).GapRow()
		g.Channel, g.Reason, g.Ord, g.EndNanos, g.Flags, g.Backfill = tick.ChannelTrades, tick.ReasonDisconnect, ord, end, flags, backfill
	}
	run(RepeatNone, func(x *tape) {
		x.barOf(0, whole, 0, 10)
		x.barOf(0, whole, 1, 11) // a late trade
		x.barOf(1, whole, 0, 20)
		x.barOf(1, final, 1, 20) // a loss that came to light
		gap(x, 0, start+5, tick.RowRepaired, tick.BackfillWhole)
		gap(x, 1, start+6, 0, tick.BackfillPending)
		gap(x, 2, 0, 0, tick.BackfillNone)
	})
	gaps("0 true true whole\n1 true false pending\n2 false false null")
	stood := "0 true true 1 11\n1 false true 1 20"
	bars(stood)

	// A period that ends between the versions.
	s := run(RepeatSame, func(x *tape) {
		x.barOf(0, whole, 0, 10)
		x.barOf(1, whole, 0, 20)
		gap(x, 0, 0, 0, tick.BackfillNone)
		gap(x, 0, start+5, 0, tick.BackfillPending)
		gap(x, 1, 0, 0, tick.BackfillNone)
		gap(x, 2, 0, 0, tick.BackfillNone)
	})
	bars(stood)
	gaps("0 true true whole\n1 true false pending\n2 false false null")
	if n := s.Stats.Tables[tableGaps].Outranked.Load(); n != 3 {
		t.Errorf("%d gaps were outranked, want 3", n)
	}
	// The whole of it, and more than was known.
	run(RepeatSame, func(x *tape) {
		x.barOf(0, whole, 0, 10)
		x.barOf(0, whole, 1, 11)
		x.barOf(1, whole, 0, 20)
		x.barOf(1, final, 1, 20)
		x.barOf(2, whole, 0, 30)
		gap(x, 2, 0, 0, tick.BackfillNone)
		gap(x, 2, start+7, tick.RowRepaired, tick.BackfillNone)
	})
	bars(stood + "\n2 true true 0 30")
	gaps("0 true true whole\n1 true false pending\n2 true true null")

	// Corrected rows win where they claim as much, whatever their number of trades
	// and corrections, and nowhere else.
	s = run(RepeatCorrected, func(x *tape) {
		x.barOf(0, whole, 0, 9)
		x.barOf(1, whole, 0, 19)
		x.barOf(2, final, 0, 31)
		x.barOf(3, 0, 0, 1)
	})
	bars("0 true true 0 9\n1 true true 0 19\n2 true true 0 30\n3 false false 0 1")
	if n := s.Stats.Tables[tableBars].Outranked.Load(); n != 1 {
		t.Errorf("%d bars were outranked, want 1", n)
	}
}
