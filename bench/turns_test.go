package bench

import (
	"errors"
	"regexp"
	"testing"
)

// The floor measures for all, once a round; a line that is asked for alone brings
// it, and what it could not measure no line has.
func TestTurns(t *testing.T) {
	t.Parallel()
	rounds := 0
	lines := func(err error) []Measurement {
		all := new(turns)
		return []Measurement{
			{Name: "floor", What: "a test", Unit: "thing", Run: all.measure("floor", func(*Run, *turns) error {
				rounds++
				all.found["floor"], all.found["a"], all.found["b"] = []int64{10}, []int64{20, 20}, []int64{30}
				all.notes["b"] = "of b"
				return err
			})},
			{Name: "a", What: "a test", Unit: "thing", Floor: "floor", Run: all.take("a")},
			{Name: "b", What: "a test", Unit: "thing", Floor: "floor", Run: all.take("b")},
		}
	}
	r := do(t, t.Context(), Options{Measurements: lines(nil), Rounds: 3, Only: regexp.MustCompile("^[ab]$")})
	if rounds != 3 {
		t.Errorf("measured %d times in 3 rounds", rounds)
	}
	for i, want := range []Result{{Samples: 3, P50: 10}, {Samples: 6, P50: 20}, {Samples: 3, P50: 30, Note: "of b"}} {
		if have := r.Lines[i]; have.Samples != want.Samples || int(have.P50+0.5) != int(want.P50) || have.Note != want.Note || have.Batch != 1 {
			t.Errorf("%s: %+v", have.Name, have)
		}
	}
	r = do(t, t.Context(), Options{Measurements: lines(errors.New("no memory")), Rounds: 1})
	for _, line := range r.Lines {
		if line.Skipped != "no memory" || line.Samples != 0 {
			t.Errorf("%+v", line)
		}
	}
}
