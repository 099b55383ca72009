package indicators

import (
	"math"
	"testing"
	"time"
)

var threeSeconds = WindowSpec{Span: 3 * time.Second, Step: time.Second, Grace: 250 * time.Millisecond, Lateness: 10 * time.Second}

func TestSlidingWindowMovesByItsStep(t *testing.T) {
	t.Parallel()
	s := newStory(t, threeSeconds)
	s.deadlineIs(math.MaxInt64)
	s.trade(0, 50, 1)
	s.trade(1000, 60, 2) // exactly at an end: not in the window that ends there
	s.deadline(1250)
	s.advance(1249)
	s.advance(1250, "window 12:00:01 1 50 n=1 rev0 final complete")
	s.deadline(2250)
	s.advance(4250,
		"window 12:00:02 3 170 n=2 rev0 final complete",
		"window 12:00:03 3 170 n=2 rev0 final complete",
		"window 12:00:04 2 120 n=1 rev0 final complete")
	s.deadlineIs(math.MaxInt64) // the window is empty from here on
	s.advance(60_000)
	s.trade(60_500, 70, 1)
	s.deadline(61_250)
	s.advance(61_250, "window 12:01:01 1 70 n=1 rev0 final complete")
}

func TestLateTradeRevisesTheWindowsThatHoldIt(t *testing.T) {
	t.Parallel()
	s := newStory(t, threeSeconds)
	s.trade(500, 50, 1)
	s.trade(4500, 60, 1)
	s.advance(5250,
		"window 12:00:01 1 50 n=1 rev0 final complete",
		"window 12:00:02 1 50 n=1 rev0 final complete",
		"window 12:00:03 1 50 n=1 rev0 final complete",
		"window 12:00:05 1 60 n=1 rev0 final complete")
	s.trade(1500, 70, 1)
	s.trade(1600, 71, 1)
	s.deadlineIs(math.MinInt64)
	s.advance(5250,
		"window 12:00:02 3 191 n=3 rev1 final complete",
		"window 12:00:03 3 191 n=3 rev1 final complete",
		"window 12:00:04 2 141 n=2 rev0 final complete") // it was empty before
	s.deadline(6250)
	s.advance(6250, "window 12:00:06 1 60 n=1 rev0 final complete")
}

func TestSpanThatIsNoMultipleOfTheStep(t *testing.T) {
	t.Parallel()
	s := newStory(t, WindowSpec{Span: 1500 * time.Millisecond, Step: time.Second})
	s.trade(1499, 50, 1)
	s.trade(1500, 60, 1)
	s.advance(3000, "window 12:00:02 2 110 n=2 rev0 final complete",
		"window 12:00:03 1 60 n=1 rev0 final complete") // [1.5 s, 3 s)

	s = newStory(t, WindowSpec{Span: time.Second, Step: 3 * time.Second})
	s.trade(1000, 50, 1) // in no window
	s.trade(2000, 60, 1)
	s.trade(3000, 70, 1)
	s.advance(9000, "window 12:00:03 1 60 n=1 rev0 final complete")
	s.deadlineIs(math.MaxInt64)
}

func TestWindowIsCompleteOverItsWholeSpan(t *testing.T) {
	t.Parallel()
	s := newStory(t, threeSeconds)
	s.coverage.Lose(math.MinInt64, at(999))
	s.trade(1500, 50, 1)
	s.advance(4250,
		"window 12:00:02 1 50 n=1 rev0 final",
		"window 12:00:03 1 50 n=1 rev0 final",
		"window 12:00:04 1 50 n=1 rev0 final complete")
	s.coverage.Restore(math.MinInt64, at(999))
	s.coverage.Lose(math.MinInt64, at(-1000))
	s.revise(-100_000, 999,
		// 12:00:02 stays as it is: it begins at 11:59:59, which is lost
		"window 12:00:03 1 50 n=1 rev1 final complete")
}

func TestOpenWindowsAtTheEnd(t *testing.T) {
	t.Parallel()
	s := newStory(t, threeSeconds)
	s.trade(500, 50, 1)
	s.trade(2500, 60, 1)
	s.advance(1250, "window 12:00:01 1 50 n=1 rev0 final complete")
	s.finish("window 12:00:02 1 50 n=1 rev0", "window 12:00:03 2 110 n=2 rev0")
	s.advance(2250, "window 12:00:02 1 50 n=1 rev0 final complete")
}

func TestWindowSpecFaults(t *testing.T) {
	t.Parallel()
	f := func(spec WindowSpec, want string) {
		t.Helper()
		err := spec.Validate()
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%+v: %v, want %q", spec, err, want)
		}
	}
	f(threeSeconds, "")
	f(WindowSpec{}, "")
	f(WindowSpec{Span: 5 * time.Second, Step: 7 * time.Second}, "")
	f(WindowSpec{Step: 7 * time.Second}, "vwap step 7s of the session: must divide 24h, so that a row falls on midnight")
	f(WindowSpec{Span: -1, Step: -1, Grace: -1}, "vwap span -1ns: must be above 0, or 0 for the session\n"+
		"vwap step -1ns: must be above 0\ngrace -1ns: must not be below 0")
	f(WindowSpec{Span: time.Second + time.Nanosecond}, "vwap span 1.000000001s with step 1s and lateness 0s: "+
		"more than 1000000 buckets of 1ns would be held; use a longer step, one that divides the span, or less lateness")
}

func TestForgottenTradeLeavesWindowsAlone(t *testing.T) {
	t.Parallel()
	s := newStory(t, threeSeconds)
	for ms := int64(500); ms < 30_000; ms += 1000 {
		s.trade(ms, 50, 1)
	}
	var out Out
	s.in.Advance(at(29_250), &out)
	s.trade(700, 70, 1) // its bucket is forgotten
	s.deadline(30_250)
	s.trade(17_000, 70, 1) // its bucket is held, but of its windows only one still whole
	s.advance(29_250, "window 12:00:20 4 220 n=4 rev1 final complete")
}

// Revise moves the window back, and in a silence nothing moves it forth again
// before its buckets are forgotten.
func TestWindowDoesNotStandOnForgottenBuckets(t *testing.T) {
	t.Parallel()
	s := newStory(t, threeSeconds)
	s.trade(500, 50, 1)
	var out Out
	s.in.Advance(at(9000), &out)
	s.coverage.Lose(at(0), at(100))
	s.in.Revise(at(0), at(100), &out)
	s.advance(60_000)
	cursorHolds(t, s.in.(*SlidingVWAP))
	s.trade(60_500, 70, 1)
	s.advance(61_250, "window 12:01:01 1 70 n=1 rev0 final complete")
}
