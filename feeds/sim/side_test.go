package sim

import (
	"cmp"
	"slices"
	"testing"

	"tickproc/tick"
)

// slowTop is the n best levels of a map, found by sorting.
func slowTop(levels map[int64]int64, asks bool, n int) (out []tick.Level) {
	for p, q := range levels {
		out = append(out, tick.Level{Price: p, Size: q})
	}
	slices.SortFunc(out, func(a, b tick.Level) int {
		if asks {
			return cmp.Compare(a.Price, b.Price)
		}
		return cmp.Compare(b.Price, a.Price)
	})
	return out[:min(n, len(out))]
}

func TestSideAgainstMap(t *testing.T) {
	t.Parallel()
	r := newSource(1, "side")
	for _, asks := range []bool{false, true} {
		fast, slow := side{asks: asks}, map[int64]int64{}
		for range 3_000 {
			price, size := 1+r.Int64N(200), r.Int64N(4)
			fast.set(price, size)
			if slow[price] = size; size == 0 {
				delete(slow, price)
			}
			if fast.size(price) != size || len(fast.levels) != len(slow) {
				t.Fatalf("size %d of %d, %d levels of %d", fast.size(price), size, len(fast.levels), len(slow))
			}
			if top, want := fast.appendTop(nil, 5), slowTop(slow, asks, 5); !slices.Equal(top, want) {
				t.Fatalf("top %v, want %v", top, want)
			}
		}
	}
}
