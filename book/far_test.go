package book

import (
	"slices"
	"testing"

	"tickproc/tick"
)

// all returns the levels, worst first.
func (f *farLevels) all() (out []tick.Level) {
	for _, b := range f.blocks {
		out = append(out, f.in(b)...)
	}
	return out
}

// Blocks hold what one slice would, while they are split, joined and cut; and
// however many levels have come and gone, they stay more than a third full.
func TestFarLevels(t *testing.T) {
	t.Parallel()
	for _, sign := range []int64{1, -1} {
		random := seeded(t)
		var far farLevels
		var plain sortedLevels
		prices := int64(400)
		for i := range 20_000 {
			if i%2000 == 0 {
				prices = 50 + random.Int64N(3000)
			}
			switch n := random.IntN(200); {
			case n == 0:
				drop := random.IntN(1 + far.count/4)
				far.dropWorst(drop, sign)
				plain = slices.Delete(plain, 0, drop)
			case n == 1:
				key := (random.Int64N(prices) - 100) * sign
				at := far.cut(key, sign)
				for i, b := range far.blocks {
					if levels := far.in(b); i < at != (levels[len(levels)-1].Price*sign < key) || i >= at != (b.worst >= key) {
						t.Fatalf("cut at %d: block %d of %d begins with %d", key, i, len(far.blocks), b.worst)
					}
				}
			default:
				price, size := random.Int64N(prices)-100, random.Int64N(2)*int64(1+i)
				if far.set(price, size, sign) != plain.set(price, size, sign) {
					t.Fatalf("setting %d to %d: they disagree whether it existed", price, size)
				}
			}
			if i%20 != 0 {
				continue
			}
			if fault := far.fault(sign); fault != "" || !slices.Equal(far.all(), plain) {
				t.Fatalf("%s: %v, want %v", fault, far.all(), plain)
			}
		}
		for range 3 * prices { // as many changes as let blocks be joined again
			price := random.Int64N(prices) - 100
			far.set(price, 0, sign)
			far.set(price, 1, sign)
		}
		if len(far.blocks) > 2 && far.count*3 < len(far.blocks)*blockSize {
			t.Errorf("%d levels in %d blocks", far.count, len(far.blocks))
		}
	}
}

// Levels that come best first and lie behind all others are taken at once, and
// no others: the rest is set one by one, where later entries win.
func TestPutBehind(t *testing.T) {
	t.Parallel()
	f := func(sign int64, have, put []tick.Level, want ...tick.Level) {
		t.Helper()
		var far farLevels
		for _, l := range have {
			far.set(l.Price, l.Size, sign)
		}
		taken := far.putBehind(put, sign)
		if taken != (want != nil) {
			t.Errorf("taken: %v", taken)
		}
		if !taken {
			want = have
		}
		if got := far.all(); !slices.Equal(got, want) || far.fault(sign) != "" {
			t.Errorf("%v, want %v; %s", got, want, far.fault(sign))
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
