package book

import (
	"slices"
	"testing"

	"tickproc/tick"
)

// Levels that come best first and lie behind all others are taken at once, and
// no others: the rest is set one by one, where later entries win.
func TestPutBehind(t *testing.T) {
	t.Parallel()
	f := func(sign int64, have, put []tick.Level, want ...tick.Level) {
		t.Helper()
		levels := append(farLevels(nil), have...)
		taken := levels.putBehind(put, sign)
		if taken != (want != nil) {
			t.Errorf("taken: %v", taken)
		}
		if !taken {
			want = have
		}
		if !slices.Equal(levels, want) || levels.fault(sign) != "" {
			t.Errorf("%v, want %v; %s", levels, want, levels.fault(sign))
		}
	}
	l := func(price int64) tick.Level { return tick.Level{Price: price, Size: 1} }
	list := func(prices ...int64) (out []tick.Level) {
		for _, p := range prices {
			out = append(out, l(p))
		}
		return out
	}
	f(1, nil, list(9, 8, 7), l(7), l(8), l(9))
	f(-1, nil, list(7, 8, 9), l(9), l(8), l(7))
	f(1, list(10, 11), list(9, 8), l(8), l(9), l(10), l(11))
	f(1, list(10, 11), list(10, 8))
	f(1, list(10, 11), list(12, 8))
	f(1, nil, list(8, 9))
	f(1, nil, list(8, 8))
	f(1, nil, list(8)) // one is set as any other
	f(1, nil, []tick.Level{l(9), {Price: 8}})
	f(1, nil, []tick.Level{l(9), {Price: 8, Size: -1}})
}

// A whole book of a venue that sends 44,000 levels comes in fragments, and in
// time that grows with them, not with their square.
func TestPutBehindInFragments(t *testing.T) {
	t.Parallel()
	s, levels := NewSide(false), []tick.Level{}
	for i := range int64(22_000) {
		levels = append(levels, tick.Level{Price: 100 + 3*i, Size: 1 + i})
	}
	for rest := range slices.Chunk(levels, 4000) {
		if s.setAll(rest) != 0 || s.misses != 0 {
			t.Fatal("levels of a snapshot were set one by one")
		}
	}
	if !slices.Equal(s.all(), levels) {
		t.Fatal("the levels of a snapshot are others")
	}
}
