package sim

import (
	"slices"
	"testing"
)

func TestHistoryForgets(t *testing.T) {
	t.Parallel()
	h := history[int]{limit: 4}
	for i := range 11 {
		h.add(i)
		if *h.last() != i {
			t.Fatalf("last %d, want %d", *h.last(), i)
		}
	}
	if got := h.all(); !slices.Equal(got, []int{7, 8, 9, 10}) || h.forgotten != 7 || h.back(4) != nil || *h.back(3) != 7 {
		t.Fatalf("%v, forgot %d", got, h.forgotten)
	}
}
