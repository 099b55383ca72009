package stat

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Groups says which group (a venue) an id (an instrument) belongs to. Any
// goroutine may add to it; readers see a whole table, never a changing one.
type Groups struct {
	mu    sync.Mutex // one writer at a time
	table atomic.Pointer[[]uint8]
}

// NoGroup is what ids have that were not set.
const NoGroup = 255

// Set puts an id into a group below NoGroup.
func (g *Groups) Set(id uint32, group int) {
	if group < 0 || group >= NoGroup {
		panic("BUG: more groups than a table of groups takes")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	table := g.Load()
	if int(id) < len(table) {
		table = slices.Clone(table)
	}
	for int(id) >= len(table) {
		table = append(table, NoGroup) // beyond the end of every table that a reader has
	}
	table[id] = uint8(group)
	g.table.Store(&table)
}

// Load returns the groups by id.
//
// hot: per batch, 0 allocs.
func (g *Groups) Load() []uint8 {
	if table := g.table.Load(); table != nil {
		return *table
	}
	return nil
}

// Grid is a Latency for each group and each of some classes. It is made, and
// its pages are touched, by whoever makes room for a group.
type Grid struct {
	mu    sync.Mutex // one grows it at a time
	cells atomic.Pointer[[]*Latency]
}

// Grow makes the grid have at least n cells.
func (g *Grid) Grow(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	cells := slices.Clone(g.Load())
	for len(cells) < n {
		cell := new(Latency)
		cell.Touch()
		cells = append(cells, cell)
	}
	g.cells.Store(&cells)
}

// Load returns the cells.
//
// hot: per batch, 0 allocs.
func (g *Grid) Load() []*Latency {
	if cells := g.cells.Load(); cells != nil {
		return *cells
	}
	return nil
}
