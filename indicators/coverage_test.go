package indicators

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestCoverageBounds(t *testing.T) {
	t.Parallel()
	var c Coverage
	f := func(start, end int64, want bool) {
		t.Helper()
		if got := c.Complete(start, end); got != want {
			t.Errorf("Complete(%d, %d) = %v", start, end, got)
		}
	}
	f(math.MinInt64, math.MaxInt64, true)
	c.Lose(10, 20)
	f(0, 10, true) // the end of a row is not in it
	f(0, 11, false)
	f(20, 30, false) // the end of a loss is
	f(21, 30, true)
	c.Lose(100, math.MaxInt64)
	f(90, 100, true)
	f(1_000_000, 2_000_000, false)
	c.Lose(95, math.MaxInt64) // lost again before it was found
	f(90, 100, false)
	c.Close(150)
	f(150, 160, false)
	f(151, 160, true)
	c.Close(500) // nothing is open
	f(151, 160, true)
	c.Restore(95, 150)
	f(90, 160, true)
	f(0, 30, false)
}

// Two losses of the same moment miss different trades.
func TestRepairOfOneLossLeavesTheOther(t *testing.T) {
	t.Parallel()
	var c Coverage
	c.Lose(10, 10)
	c.Lose(10, 10)
	c.Lose(5, 12)
	c.Restore(10, 10)
	c.Restore(5, 12)
	if c.Complete(10, 11) {
		t.Error("the second loss went with the first")
	}
	c.Restore(10, 10)
	if !c.Complete(0, 100) {
		t.Error("all were repaired")
	}
}

func TestTimesThatStepBack(t *testing.T) {
	t.Parallel()
	var c Coverage
	c.Lose(100, math.MaxInt64)
	c.Close(90)
	if c.Complete(90, 91) || c.Complete(100, 101) || !c.Complete(101, 200) {
		t.Error("a loss that ends before it began is the time between")
	}
}

// With more losses than it can tell apart, coverage errs to one side only.
func TestFullCoverageNeverForgetsALoss(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var c Coverage
	var model []loss
	overlaps := func(start, end int64) bool {
		return slices.ContainsFunc(model, func(l loss) bool { return l.from < end && l.to >= start })
	}
	merged := false
	for range 3000 {
		from := random.Int64N(10_000)
		switch random.IntN(5) {
		case 0, 1:
			l := loss{from, from + random.Int64N(30)}
			c.Lose(l.from, l.to)
			model = append(model, l)
		case 2:
			c.Lose(from, math.MaxInt64)
			if i := slices.IndexFunc(model, func(l loss) bool { return l.to == math.MaxInt64 }); i >= 0 {
				model[i].from = min(model[i].from, from)
			} else {
				model = append(model, loss{from, math.MaxInt64})
			}
		case 3:
			c.Close(from)
			if i := slices.IndexFunc(model, func(l loss) bool { return l.to == math.MaxInt64 }); i >= 0 {
				model[i] = loss{min(model[i].from, from), max(model[i].from, from)}
			}
		case 4:
			if len(model) > 0 {
				i := random.IntN(len(model))
				c.Restore(model[i].from, model[i].to)
				model = slices.Delete(model, i, i+1)
			}
		}
		merged = merged || len(model) > lossesMax
		for range 20 {
			start := random.Int64N(11_000)
			end := start + 1 + random.Int64N(50)
			if complete := c.Complete(start, end); complete && overlaps(start, end) || !merged && !complete && !overlaps(start, end) {
				t.Fatalf("Complete(%d, %d) = %v with losses %v", start, end, complete, model)
			}
		}
		state := c.AppendState(nil)
		var back Coverage
		if rest, err := back.LoadState(append(state, 1, 2)); err != nil || len(rest) != 2 || back != c {
			t.Fatalf("round trip: %v, rest %d", err, len(rest))
		}
	}
	if !merged {
		t.Error("the list was never full")
	}
}

// Merging must not take the open loss, whose end is told only later.
func TestFullCoverageSparesTheOpenLoss(t *testing.T) {
	t.Parallel()
	for place := range 3 {
		var c Coverage
		var all []loss
		for i := range int64(lossesMax + 10) {
			if i == int64(place) {
				c.Lose(0, math.MaxInt64)
			}
			l := loss{1000 + 10*i, 1005 + 10*i}
			c.Lose(l.from, l.to)
			all = append(all, l)
		}
		c.Close(50)
		for _, l := range all {
			if c.Complete(l.from, l.to) {
				t.Errorf("open loss at %d: %v was forgotten", place, l)
			}
		}
		if c.Complete(50, 60) || !c.Complete(60, 1000) || !c.Complete(5000, 6000) {
			t.Errorf("open loss at %d: it does not end where it was closed", place)
		}
	}
}
