package engine

import (
	"slices"
	"testing"

	"tickproc/tick"
)

// Against a sorted list: whoever is at the top is the earliest, of equal ones
// that of the lowest id, and everyone knows its place.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for range 50 {
		var h deadlines
		var all []*instrument
		for range 500 {
			if len(all) == 0 || random.IntN(10) == 0 {
				x := &instrument{def: tick.Instrument{ID: uint32(len(all))}, key: int64(random.IntN(20))}
				all = append(all, x)
				h.push(x)
			} else {
				x := all[random.IntN(len(all))]
				x.key = int64(random.IntN(20))
				h.fix(x)
			}
			first := slices.MinFunc(all, func(a, b *instrument) int {
				if a.key != b.key {
					return int(a.key - b.key)
				}
				return int(a.def.ID) - int(b.def.ID)
			})
			if h[0].in != first {
				t.Fatalf("%d at %d is first, want %d at %d", h[0].id, h[0].key, first.def.ID, first.key)
			}
			for i, x := range h {
				if x.in.place != i || x.key != x.in.key || x.id != x.in.def.ID {
					t.Fatalf("at %d: %+v; its instrument is at %d, due at %d", i, x, x.in.place, x.in.key)
				}
			}
		}
	}
}
