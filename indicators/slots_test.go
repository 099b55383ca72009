package indicators

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSlotsEqualASortedSlice(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newSlots[int64](4)
	var model []int64
	for range 20_000 {
		if start := random.Int64N(1000); len(model) > 60 || random.IntN(3) == 0 {
			n := random.IntN(len(model) + 1)
			s.drop(n)
			model = model[n:]
		} else {
			at, found := slices.BinarySearch(model, start)
			i, same := s.search(start)
			if i != at || same != found {
				t.Fatalf("search(%d) = %d, %v in %v", start, i, same, model)
			}
			if !found {
				if v := s.insert(i, start); *v != 0 {
					t.Fatal("a new value is not zero")
				}
				*s.at(i) = -start
				model = slices.Insert(slices.Clone(model), at, start)
			}
		}
		if s.count != len(model) {
			t.Fatalf("%d slots, want %d", s.count, len(model))
		}
		for i, start := range model {
			if s.start(i) != start || *s.at(i) != -start {
				t.Fatalf("slot %d: %d, %d; want %v", i, s.start(i), *s.at(i), model)
			}
		}
	}
}
