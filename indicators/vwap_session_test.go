package indicators

import (
	"math"
	"testing"
	"time"
)

var session = WindowSpec{Step: time.Second, Grace: 250 * time.Millisecond, Lateness: 10 * time.Second}

const midnightMs = 12 * 3600 * 1000 // after noon

func TestSessionRunsFromMidnight(t *testing.T) {
	t.Parallel()
	s := newStory(t, session)
	s.trade(500, 50, 1)
	s.deadline(1250)
	s.advance(1249)
	s.advance(1250, "window 12:00:01 1 50 n=1 rev0 final complete")
	s.deadlineIs(math.MaxInt64) // nothing new, no row
	s.trade(5000, 60, 2)
	s.advance(7000, "window 12:00:06 3 170 n=2 rev0 final complete")
	s.trade(midnightMs-1, 70, 1)
	s.trade(midnightMs, 80, 1)
	s.advance(midnightMs+250, "window 00:00:00 4 240 n=3 rev0 final complete")
	s.advance(midnightMs+1250, "window 00:00:01 1 80 n=1 rev0 final complete")
}

func TestLateTradeCorrectsItsOwnDay(t *testing.T) {
	t.Parallel()
	s := newStory(t, session)
	s.trade(midnightMs-2500, 50, 1)
	s.trade(midnightMs-500, 60, 1)
	s.trade(midnightMs+500, 70, 1)
	s.advance(midnightMs+1250,
		"window 23:59:58 1 50 n=1 rev0 final complete",
		"window 00:00:00 2 110 n=2 rev0 final complete",
		"window 00:00:01 1 70 n=1 rev0 final complete")
	s.trade(midnightMs-1500, 55, 1) // its step had no row
	s.trade(midnightMs-1400, 56, 1)
	s.deadlineIs(math.MinInt64)
	s.advance(midnightMs+1250,
		"window 23:59:59 3 161 n=3 rev0 final complete",
		"window 00:00:00 4 221 n=4 rev1 final complete")
	s.trade(midnightMs+400, 71, 1)
	s.advance(midnightMs+1250, "window 00:00:01 2 141 n=2 rev1 final complete")
}

func TestSumOfTheDayOutlivesItsSteps(t *testing.T) {
	t.Parallel()
	s := newStory(t, session)
	for ms := int64(500); ms < 100_000; ms += 1000 {
		s.trade(ms, 10, 1)
		var out Out
		s.in.Advance(at(ms), &out)
	}
	if held := s.in.(*SessionVWAP).held.count; held > 12 {
		t.Errorf("%d steps held", held)
	}
	s.trade(90_500, 20, 1)
	var out Out
	s.in.Advance(at(100_250), &out)
	_, rows := parse(t, out.Rows)
	if last := rows[len(rows)-1]; len(rows) != 10 || last.Trades != 101 || last.Notional.Lo != 1020 {
		t.Errorf("%s", text(t, out.Rows))
	}
}

func TestFirstSessionOfARunIsIncomplete(t *testing.T) {
	t.Parallel()
	s := newStory(t, session)
	s.coverage.Lose(math.MinInt64, at(200))
	s.trade(500, 50, 1)
	s.trade(midnightMs+500, 60, 1)
	s.advance(midnightMs+1250,
		"window 12:00:01 1 50 n=1 rev0 final",
		"window 00:00:01 1 60 n=1 rev0 final complete")
}

func TestCoverageRevisesTheRestOfTheDay(t *testing.T) {
	t.Parallel()
	s := newStory(t, session)
	s.trade(500, 50, 1)
	s.trade(1500, 60, 1)
	s.trade(2500, 70, 1)
	s.coverage.Lose(at(1100), at(1200))
	s.advance(3250,
		"window 12:00:01 1 50 n=1 rev0 final complete",
		"window 12:00:02 2 110 n=2 rev0 final",
		"window 12:00:03 3 180 n=3 rev0 final")
	s.trade(2600, 80, 1) // late, and not yet in a row: it comes with the revision
	s.coverage.Restore(at(1100), at(1200))
	s.revise(1100, 1200,
		"window 12:00:02 2 110 n=2 rev1 final complete",
		"window 12:00:03 4 260 n=4 rev1 final complete")
	s.advance(3250)
}

func TestOpenSessionAtTheEnd(t *testing.T) {
	t.Parallel()
	s := newStory(t, session)
	s.trade(500, 50, 1)
	s.advance(1250, "window 12:00:01 1 50 n=1 rev0 final complete")
	s.trade(1500, 60, 1)
	s.trade(2500, 70, 1)
	s.finish("window 12:00:02 2 110 n=2 rev0", "window 12:00:03 3 180 n=3 rev0")
}

func TestForgottenTradeCountsInWhatIsHeldOfItsDay(t *testing.T) {
	t.Parallel()
	s := newStory(t, session)
	s.trade(500, 50, 1)
	s.trade(5500, 60, 1)
	s.trade(15_500, 70, 1)
	var out Out
	s.in.Advance(at(20_000), &out)
	s.trade(700, 80, 1)
	s.deadlineIs(math.MinInt64)
	s.advance(20_000, "window 12:00:16 4 260 n=4 rev1 final complete")
	s.trade(-midnightMs-1, 80, 1) // another day
	s.advance(20_000)
}
