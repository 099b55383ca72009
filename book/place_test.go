package book

import (
	"math"
	"testing"

	"tickproc/tick"
)

// ladder returns n levels of a bid side, worst first, so far apart, the best at best.
func ladder(n int, best, apart int64) (out []tick.Level) {
	for i := range int64(n) {
		out = append(out, tick.Level{Price: best - (int64(n)-1-i)*apart, Size: 1})
	}
	return out
}

// The window is as large as the levels near the best price are many, and its
// step is theirs.
func TestPlace(t *testing.T) {
	t.Parallel()
	f := func(what string, levels []tick.Level, known uint64, wantStep uint64, wantSlots int) {
		t.Helper()
		for _, sign := range []int64{1, -1} {
			s, at := Side{sign: sign}, 0
			for _, l := range levels {
				at = s.far.add(at, tick.Level{Price: l.Price * sign, Size: l.Size}, sign)
			}
			base, g, slots := s.place(known)
			if slots != wantSlots || g.step != wantStep {
				t.Errorf("%s, sign %d: %d slots of %d, want %d of %d", what, sign, slots, g.step, wantSlots, wantStep)
				continue
			}
			if slots == 0 {
				continue
			}
			anchor := levels[len(levels)-1-anchorRank].Price
			if at := g.count(uint64(anchor - base)); at != uint64(slots-slots/8-1) {
				t.Errorf("%s: the anchor lies in slot %d of %d", what, at, slots)
			}
		}
	}
	f("empty", nil, 0, 0, 0)
	f("a few", ladder(levelsMin-1, 1000, 1), 0, 0, 0)
	f("few, side by side", ladder(levelsMin, 1000, 1), 0, 1, 256)
	f("in steps of 50", ladder(1000, 1e6, 50), 0, 50, 1024)
	f("in steps of 50, which were finer before", ladder(1000, 1e6, 50), 10, 10, 8192)
	f("more than the largest holds", ladder(44_000, 1e6, 1), 0, 1, slotsMax)
	f("below 0", ladder(1000, 20, 5), 0, 5, 1024)

	sparse := func(n int, apart int64) []tick.Level {
		out := ladder(n, 1e9, apart)
		for i := 0; i < n; i += 2 {
			out[i].Price-- // so that the step is 1
		}
		return out
	}
	f("apart", sparse(1000, 30), 0, 1, slotsMax)
	f("too far apart for the memory", sparse(1000, 100), 0, 0, 0)
	f("few and far apart", sparse(60, 50), 0, 0, 0)

	ahead := append(ladder(500, 10_000, 1), tick.Level{Price: 5e6, Size: 1}, tick.Level{Price: 9e6, Size: 1})
	f("two far ahead of all others", ahead, 0, 1, 512)

	ahead = append(ladder(500, 10_000, 10), tick.Level{Price: 5e6 + 1, Size: 1})
	f("one far ahead that is odd", ahead, 0, 10, 512)

	odd := append([]tick.Level{{Price: 3, Size: 1}}, ladder(500, 1e9, 1000)...)
	f("an odd one out of reach", odd, 0, 1000, 512)
	odd = ladder(500, 1e9, 1000)
	odd[300].Price += 250
	f("an odd one within", odd, 0, 250, 2048)

	f("prices that cannot be", ladder(100, math.MaxInt64, 1), 0, 0, 0)
	f("steps that cannot be", ladder(100, 1<<60, 1<<50), 0, 0, 0)
	f("no two prices closer than", ladder(100, 1<<60, 1<<40), 0, 1<<40, 256)
}
