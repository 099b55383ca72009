package stat

import (
	"sync"
	"testing"
)

func TestGroupsOfIDs(t *testing.T) {
	t.Parallel()
	var g Groups
	if len(g.Load()) != 0 {
		t.Error("groups of nothing")
	}
	g.Set(3, 1)
	early := g.Load()
	g.Set(0, 2)
	g.Set(3, 4)
	if table := g.Load(); len(table) != 4 || table[0] != 2 || table[1] != NoGroup || table[3] != 4 {
		t.Errorf("%v", table)
	}
	if early[0] != NoGroup || early[3] != 1 {
		t.Errorf("a reader's table changed: %v", early)
	}
}

func TestGridGrowsWhileItIsCounted(t *testing.T) {
	t.Parallel()
	var g Grid
	g.Grow(1)
	var counting sync.WaitGroup
	counting.Go(func() {
		for range 1000 {
			cells := g.Load()
			cells[len(cells)-1].Observe(5, 1)
		}
	})
	for n := range 8 {
		g.Grow(n)
	}
	counting.Wait()
	var b Buckets
	for _, cell := range g.Load() {
		cell.AddTo(&b)
	}
	if len(g.Load()) != 7 || b.Count() != 1000 {
		t.Errorf("%d cells, %d counted", len(g.Load()), b.Count())
	}
}
