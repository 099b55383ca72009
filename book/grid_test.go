package book

import (
	"math"
	"testing"
)

// Multiples are counted, and everything else is beyond every limit, also
// differences that are below 0.
func TestGrid(t *testing.T) {
	t.Parallel()
	f := func(step, x uint64) {
		t.Helper()
		g := newGrid(step)
		n, multiple := x/step, x%step == 0
		if got := g.count(x); multiple && got != n || !multiple && got <= math.MaxUint64/step {
			t.Errorf("%d in steps of %d: %d, want %d of them, and that it fits: %v", x, step, got, n, multiple)
		}
	}
	for step := uint64(1); step <= 130; step++ {
		for x := range uint64(400) {
			f(step, x)
			f(step, -x)
		}
	}
	random := seeded(t)
	for range 100_000 {
		step := random.Uint64() >> random.IntN(64)
		x := random.Uint64() >> random.IntN(64)
		f(max(step, 1), x)
		f(max(step, 1), x-x%max(step, 1))
	}
	if g := newGrid(0); g.step != 0 || g.count(5) != 0 {
		t.Error("no step")
	}
}
