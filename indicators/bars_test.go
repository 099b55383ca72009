package indicators

import (
	"math"
	"testing"
	"time"

	"tickproc/tick"
)

var secondBars = BarsSpec{Interval: time.Second, Grace: 250 * time.Millisecond, Lateness: 10 * time.Second}

func TestBarClosesByTimeWithoutANextTrade(t *testing.T) {
	t.Parallel()
	s := newStory(t, secondBars)
	s.deadlineIs(math.MaxInt64)
	s.advance(0)
	s.trade(100, 50, 3)
	s.trade(200, 70, -1)
	s.trade(300, 40, 1)
	s.trade(999, 60, -2)
	s.deadline(1250)
	s.advance(1249)
	s.advance(1250, "bar 12:00:00 50 70 40 60 7=4+3 380 n=4 rev0 final complete")
	s.deadlineIs(math.MaxInt64)
	s.advance(60_000)
}

func TestTradeExactlyAtTheEndBelongsToTheNextBar(t *testing.T) {
	t.Parallel()
	s := newStory(t, secondBars)
	s.trade(0, 50, 1)
	s.trade(1000, 60, 1)
	s.advance(1250, "bar 12:00:00 50 50 50 50 1=1+0 50 n=1 rev0 final complete")
	s.advance(2250, "bar 12:00:01 60 60 60 60 1=1+0 60 n=1 rev0 final complete")
}

func TestTradeWithinTheGraceCausesNoRevision(t *testing.T) {
	t.Parallel()
	s := newStory(t, secondBars)
	s.trade(500, 50, 1)
	s.trade(1100, 60, 1) // of the next bar
	s.advance(1200)
	s.trade(999, 70, 1)
	s.advance(1250, "bar 12:00:00 50 70 50 70 2=2+0 120 n=2 rev0 final complete")
}

func TestFirstAndLastTradeAreToldByTimeAndID(t *testing.T) {
	t.Parallel()
	s := newStory(t, secondBars)
	s.tradeID(500, 12, 52, 1)
	s.tradeID(500, 13, 53, 1)
	s.tradeID(500, 11, 51, 1)
	s.advance(1250, "bar 12:00:00 51 53 51 53 3=3+0 156 n=3 rev0 final complete")
	s.in.Trade(&Trade{TsNanos: at(500), ID: tick.ID{Hi: 1}, Price: 54, Size: 1})
	s.advance(1250, "bar 12:00:00 51 54 51 54 4=4+0 210 n=4 rev1 final complete")
}

func TestLateTradesReviseTheirBarOnceAnAdvance(t *testing.T) {
	t.Parallel()
	s := newStory(t, secondBars)
	s.trade(500, 50, 1)
	s.advance(1250, "bar 12:00:00 50 50 50 50 1=1+0 50 n=1 rev0 final complete")
	s.trade(5500, 90, 1)
	s.trade(400, 40, 1)
	s.trade(600, 60, 1)
	s.deadlineIs(math.MinInt64)
	s.advance(5600, "bar 12:00:00 40 60 40 60 3=3+0 150 n=3 rev1 final complete")
	s.deadline(6250)
	s.trade(700, 70, -1)
	s.advance(6300,
		"bar 12:00:00 40 70 40 70 4=3+1 220 n=4 rev2 final complete",
		"bar 12:00:05 90 90 90 90 1=1+0 90 n=1 rev0 final complete")
}

func TestLateTradeOpensABarOfItsOwnInASilence(t *testing.T) {
	t.Parallel()
	s := newStory(t, secondBars)
	s.trade(500, 50, 1)
	s.trade(5500, 90, 1)
	s.advance(7000,
		"bar 12:00:00 50 50 50 50 1=1+0 50 n=1 rev0 final complete",
		"bar 12:00:05 90 90 90 90 1=1+0 90 n=1 rev0 final complete")
	s.trade(3500, 70, 1)
	s.deadline(4250) // over: at once
	s.advance(7000, "bar 12:00:03 70 70 70 70 1=1+0 70 n=1 rev0 final complete")
}

func TestLongIntervalIsRevisedAcrossItsEnd(t *testing.T) {
	t.Parallel()
	s := newStory(t, BarsSpec{Interval: time.Hour, Grace: 250 * time.Millisecond, Lateness: 10 * time.Second})
	hour := time.Hour.Milliseconds()
	s.trade(5, 50, 1)
	s.trade(hour-1, 51, 1)
	s.advance(hour+250, "bar 12:00:00 50 51 50 51 2=2+0 101 n=2 rev0 final complete")
	s.trade(hour+8000, 60, 1)
	s.trade(hour-500, 70, 1)
	s.advance(hour+9000, "bar 12:00:00 50 70 50 51 3=3+0 171 n=3 rev1 final complete")
}

// A trade that is older than the engine promised finds its bar forgotten:
// what it opens must not pass for the whole bar, nor for a correction of it.
func TestForgottenBarIsNeverCalledCompleteOrRevised(t *testing.T) {
	t.Parallel()
	s := newStory(t, secondBars)
	for ms := int64(500); ms < 30_000; ms += 1000 {
		s.trade(ms, 50, 1)
	}
	var out Out
	s.in.Advance(at(40_000), &out)
	s.trade(700, 70, 1)
	s.advance(40_000, "bar 12:00:00 70 70 70 70 1=1+0 70 n=1 rev0 final")
	// Set back far enough, the clock keeps it for a while.
	s.trade(20_700, 70, 1)
	s.advance(25_000, "bar 12:00:20 70 70 70 70 1=1+0 70 n=1 rev0 final")
	s.trade(20_800, 80, 1)
	s.advance(25_000, "bar 12:00:20 70 80 70 80 2=2+0 150 n=2 rev0 final")
}

func TestTradesFarAheadOfTheClockWaitForIt(t *testing.T) {
	t.Parallel()
	s := newStory(t, secondBars)
	for ms := int64(100_500); ms > 0; ms -= 1000 {
		s.trade(ms, 50, 1)
	}
	s.advance(500)
	s.advance(1250, "bar 12:00:00 50 50 50 50 1=1+0 50 n=1 rev0 final complete")
	var out Out
	s.in.Advance(at(200_000), &out)
	if bars, _ := parse(t, out.Rows); len(bars) != 100 {
		t.Errorf("%d bars, want 100", len(bars))
	}
}

func TestCarryGivesFlatBarsFromTheFirstTradeOn(t *testing.T) {
	t.Parallel()
	spec := secondBars
	spec.Carry = true
	s := newStory(t, spec)
	s.advance(0)
	s.deadlineIs(math.MaxInt64)
	s.trade(500, 50, 2)
	s.trade(3500, 60, 1)
	s.deadline(1250)
	s.advance(1250, "bar 12:00:00 50 50 50 50 2=2+0 100 n=1 rev0 final complete")
	s.deadline(2250)
	s.advance(5250,
		"bar 12:00:01 50 50 50 50 0=0+0 0 n=0 rev0 final complete",
		"bar 12:00:02 50 50 50 50 0=0+0 0 n=0 rev0 final complete",
		"bar 12:00:03 60 60 60 60 1=1+0 60 n=1 rev0 final complete",
		"bar 12:00:04 60 60 60 60 0=0+0 0 n=0 rev0 final complete")
	// A late trade turns a flat bar into a real one, and moves those behind it.
	s.trade(1500, 55, 1)
	s.advance(5250,
		"bar 12:00:01 55 55 55 55 1=1+0 55 n=1 rev1 final complete",
		"bar 12:00:02 55 55 55 55 0=0+0 0 n=0 rev1 final complete")
	// One older than the first bar fills what lies between.
	s.trade(-2500, 40, 1)
	s.advance(5250,
		"bar 11:59:57 40 40 40 40 1=1+0 40 n=1 rev0 final complete",
		"bar 11:59:58 40 40 40 40 0=0+0 0 n=0 rev0 final complete",
		"bar 11:59:59 40 40 40 40 0=0+0 0 n=0 rev0 final complete")
}

// The clock ran ahead, flat bars went out and were forgotten, and then the
// interval had trades after all: its row is a revision.
func TestForgottenFlatBarIsRevised(t *testing.T) {
	t.Parallel()
	spec := secondBars
	spec.Carry = true
	s := newStory(t, spec)
	s.trade(500, 50, 2)
	var out Out
	s.in.Advance(at(60_250), &out)
	s.trade(10_500, 60, 1)
	out = Out{}
	s.in.Advance(at(60_250), &out)
	bars, _ := parse(t, out.Rows)
	if first := bars[0]; first.TsNanos != at(10_000) || first.Close != 60 || first.Trades != 1 || first.Rev != 1 {
		t.Errorf("%s", text(t, out.Rows))
	}
	// What is still held moves with it, what is forgotten cannot.
	for i, flat := range bars[1:] {
		if flat.TsNanos != at(50_000+int64(i)*1000) || flat.Close != 60 || flat.Rev != 1 {
			t.Errorf("%s", text(t, out.Rows))
		}
	}
	if len(bars) != 11 {
		t.Errorf("%d bars, want 11", len(bars))
	}
}

// A price that moves and comes back before Advance leaves the flat bars alone.
func TestFlatBarsComeAgainOnlyIfTheyChanged(t *testing.T) {
	t.Parallel()
	spec := secondBars
	spec.Carry = true
	s := newStory(t, spec)
	s.trade(500, 50, 1)
	s.advance(3250,
		"bar 12:00:00 50 50 50 50 1=1+0 50 n=1 rev0 final complete",
		"bar 12:00:01 50 50 50 50 0=0+0 0 n=0 rev0 final complete",
		"bar 12:00:02 50 50 50 50 0=0+0 0 n=0 rev0 final complete")
	s.trade(600, 60, 1)
	s.trade(700, 50, 1)
	s.advance(3250, "bar 12:00:00 50 60 50 50 3=3+0 160 n=3 rev1 final complete")
	s.trade(800, 70, 1)
	s.coverage.Lose(at(2000), at(2100))
	s.revise(2000, 2100, "bar 12:00:02 70 70 70 70 0=0+0 0 n=0 rev1 final")
	s.advance(3250,
		"bar 12:00:00 50 70 50 70 4=4+0 230 n=4 rev2 final complete",
		"bar 12:00:01 70 70 70 70 0=0+0 0 n=0 rev1 final complete")
}

func TestCarryThroughALongSilence(t *testing.T) {
	t.Parallel()
	spec := secondBars
	spec.Carry = true
	s := newStory(t, spec)
	s.trade(500, 50, 2)
	var out Out
	s.in.Advance(at(3_600_250), &out)
	bars, _ := parse(t, out.Rows)
	if len(bars) != 3600 {
		t.Fatalf("%d bars, want 3600", len(bars))
	}
	for i, b := range bars {
		if b.TsNanos != at(int64(i)*1000) || b.Close != 50 {
			t.Fatalf("bar %d: %+v", i, b)
		}
	}
	if held := s.in.(*Bars).held.count; held > int(spec.slots()) {
		t.Errorf("%d bars held after a silence", held)
	}
}

func TestFirstIntervalOfARunIsIncomplete(t *testing.T) {
	t.Parallel()
	s := newStory(t, secondBars)
	s.coverage.Lose(math.MinInt64, at(300))
	s.trade(500, 50, 1)
	s.trade(1500, 60, 1)
	s.advance(3000,
		"bar 12:00:00 50 50 50 50 1=1+0 50 n=1 rev0 final",
		"bar 12:00:01 60 60 60 60 1=1+0 60 n=1 rev0 final complete")
}

func TestCoverageRevisesWhatItChanged(t *testing.T) {
	t.Parallel()
	s := newStory(t, secondBars)
	s.trade(500, 50, 1)
	s.trade(1500, 60, 1)
	s.trade(2500, 70, 1)
	s.coverage.Lose(at(1000), at(1400))
	s.advance(3000,
		"bar 12:00:00 50 50 50 50 1=1+0 50 n=1 rev0 final complete",
		"bar 12:00:01 60 60 60 60 1=1+0 60 n=1 rev0 final")
	s.coverage.Restore(at(1000), at(1400))
	s.revise(1000, 1400, "bar 12:00:01 60 60 60 60 1=1+0 60 n=1 rev1 final complete")
	s.revise(1000, 1400)
	// A loss from the last millisecond of one bar to the first of the next but one.
	s.coverage.Lose(at(999), at(2000))
	s.revise(999, 2000,
		"bar 12:00:00 50 50 50 50 1=1+0 50 n=1 rev1 final",
		"bar 12:00:01 60 60 60 60 1=1+0 60 n=1 rev2 final")
	s.advance(3250, "bar 12:00:02 70 70 70 70 1=1+0 70 n=1 rev0 final")
}

func TestOpenBarsAtTheEndAreNotFinal(t *testing.T) {
	t.Parallel()
	spec := secondBars
	s := newStory(t, spec)
	s.trade(500, 50, 1)
	s.trade(1500, 60, 1)
	s.trade(4500, 90, 1)
	s.advance(1300, "bar 12:00:00 50 50 50 50 1=1+0 50 n=1 rev0 final complete")
	s.trade(600, 55, 1)
	s.finish(
		"bar 12:00:00 50 55 50 55 2=2+0 105 n=2 rev1 final complete",
		"bar 12:00:01 60 60 60 60 1=1+0 60 n=1 rev0",
		"bar 12:00:04 90 90 90 90 1=1+0 90 n=1 rev0")

	spec.Carry = true
	s = newStory(t, spec)
	s.trade(500, 50, 1)
	s.trade(2500, 60, 1)
	s.finish(
		"bar 12:00:00 50 50 50 50 1=1+0 50 n=1 rev0",
		"bar 12:00:01 50 50 50 50 0=0+0 0 n=0 rev0",
		"bar 12:00:02 60 60 60 60 1=1+0 60 n=1 rev0")
}

func TestDayBarsBreakAtMidnight(t *testing.T) {
	t.Parallel()
	s := newStory(t, BarsSpec{Interval: day, Grace: 250 * time.Millisecond, Lateness: 10 * time.Second})
	half := (12 * time.Hour).Milliseconds()
	s.trade(half-1, 50, 1)
	s.trade(half, 60, 1)
	s.advance(half+250, "bar 00:00:00 50 50 50 50 1=1+0 50 n=1 rev0 final complete")
	s.finish("bar 00:00:00 60 60 60 60 1=1+0 60 n=1 rev0")
}

func TestInverseBarsSumTheBaseAsset(t *testing.T) {
	t.Parallel()
	spec := secondBars
	spec.Inverse, spec.ContractSize, spec.PriceDigits = true, tick.Number{Mantissa: 100}, 1
	b := NewBars(spec, new(Coverage))
	b.Trade(&Trade{TsNanos: at(0), ID: tick.ID{Lo: 1}, Price: 600000, Size: 3}) // 3 × 100 / 60000 = 0.005
	b.Trade(&Trade{TsNanos: at(1), ID: tick.ID{Lo: 2}, Price: 30000, Size: 1})  // 100 / 3000 = 0.0333…
	var out Out
	b.Finish(&out)
	bars, _ := parse(t, out.Rows)
	if got := bars[0].InverseBase.Decimal(tick.InverseDigits).String(); got != "0.0383333333333333" {
		t.Errorf("base %s", got)
	}
}

func TestBarsSpecFaults(t *testing.T) {
	t.Parallel()
	f := func(spec BarsSpec, want string) {
		t.Helper()
		err := spec.Validate()
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%+v: %v, want %q", spec, err, want)
		}
	}
	f(secondBars, "")
	f(BarsSpec{Interval: time.Second}, "")
	f(BarsSpec{Grace: -1, Lateness: -1, Inverse: true}, "bar interval 0s: must be above 0\n"+
		"grace -1ns: must not be below 0\nlateness -1ns: must not be below 0\n"+
		"contract size 0 of an inverse instrument: must be above 0")
	f(BarsSpec{Interval: time.Nanosecond, Lateness: time.Second},
		"bar interval 1ns with lateness 1s: more than 1000000 bars would be held; use a longer interval or less lateness")
}
