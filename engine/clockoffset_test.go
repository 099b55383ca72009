package engine

import (
	"slices"
	"testing"
)

// Against all observations: the estimate is one of them, no smaller than any of
// the last half window, and as large as the two last halves that saw something.
func TestClockOffset(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for range 200 {
		var c clockOffset
		if c.nanos() != 0 {
			t.Fatal("an estimate from nothing")
		}
		type seen struct{ d, at int64 }
		var all []seen
		var halves [][]int64
		begin, now := int64(0), int64(1e18)
		for range 300 {
			now += int64(random.IntN(3e8))
			if random.IntN(30) == 0 {
				now += int64(random.IntN(3e10)) // a quiet time
			}
			if random.IntN(30) == 0 { // our clock is set
				by := int64(random.IntN(1e10)) - 5e9
				c.step(by)
				now, begin = now+by, begin+by
				for i := range all {
					all[i].d, all[i].at = all[i].d-by, all[i].at+by
				}
				for _, h := range halves {
					for i := range h {
						h[i] -= by
					}
				}
			}
			d := int64(random.IntN(1e9)) - 5e8
			c.observe(now+d, now)
			all = append(all, seen{d, now})
			if len(halves) == 0 || now >= begin+offsetWindow/2 {
				halves, begin = append(halves, nil), now
			}
			last := len(halves) - 1
			halves[last] = append(halves[last], d)
			if want := slices.Max(slices.Concat(halves[max(last-1, 0):]...)); c.nanos() != want {
				t.Fatalf("%d, want %d of %v", c.nanos(), want, halves)
			}
			for _, x := range all {
				if x.at > now-offsetWindow/2 && x.d > c.nanos() {
					t.Fatalf("%d is below %d, seen %d ns ago", c.nanos(), x.d, now-x.at)
				}
			}
		}
	}
}

// Nothing is known before the first packet, also after our clock was set.
func TestClockOffsetBeforeTheFirst(t *testing.T) {
	t.Parallel()
	var c clockOffset
	c.step(1e9)
	if c.nanos() != 0 {
		t.Error(c.nanos())
	}
	c.observe(5, 8)
	if c.nanos() != -3 {
		t.Error(c.nanos())
	}
}
