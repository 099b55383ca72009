package main

import (
	"fmt"

	"github.com/emirpasic/gods/trees/redblacktree"
	"github.com/tidwall/btree"

	"tickproc/bench"
)

// book is a side that others would write.
type book interface {
	set(price, size int64) // size 0 removes
	best() (price, size int64)
}

// level of a B-tree.
type level struct{ price, size int64 }

// treeBook is a side on tidwall/btree, best first, without its locks and with a
// hint where the last change was.
type treeBook struct {
	tree *btree.BTreeG[level]
	hint btree.PathHint
}

func newTreeBook(bids bool) *treeBook {
	less := func(a, b level) bool { return a.price < b.price }
	if bids {
		less = func(a, b level) bool { return a.price > b.price }
	}
	return &treeBook{tree: btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})}
}

func (b *treeBook) set(price, size int64) {
	if size == 0 {
		b.tree.DeleteHint(level{price: price}, &b.hint)
	} else {
		b.tree.SetHint(level{price, size}, &b.hint)
	}
}

func (b *treeBook) best() (int64, int64) {
	l, _ := b.tree.Min()
	return l.price, l.size
}

// redBlackBook is a side on emirpasic/gods.
type redBlackBook struct{ tree *redblacktree.Tree }

func newRedBlackBook(bids bool) *redBlackBook {
	sign := int64(1)
	if bids {
		sign = -1
	}
	return &redBlackBook{redblacktree.NewWith(func(a, b any) int {
		switch x, y := a.(int64)*sign, b.(int64)*sign; {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})}
}

func (b *redBlackBook) set(price, size int64) {
	if size == 0 {
		b.tree.Remove(price)
	} else {
		b.tree.Put(price, size)
	}
}

func (b *redBlackBook) best() (int64, int64) {
	n := b.tree.Left()
	if n == nil {
		return 0, 0
	}
	return n.Key.(int64), n.Value.(int64)
}

// sliceBook is a side as a slice that is searched from its best end: what one
// writes first.
type sliceBook struct {
	levels []level
	bids   bool
}

func (b *sliceBook) set(price, size int64) {
	i := 0
	for i < len(b.levels) && b.levels[i].price != price && (b.levels[i].price > price) == b.bids {
		i++
	}
	found := i < len(b.levels) && b.levels[i].price == price
	switch {
	case found && size != 0:
		b.levels[i].size = size
	case found:
		b.levels = append(b.levels[:i], b.levels[i+1:]...)
	case size != 0:
		b.levels = append(b.levels, level{})
		copy(b.levels[i+1:], b.levels[i:])
		b.levels[i] = level{price, size}
	}
}

func (b *sliceBook) best() (int64, int64) {
	if len(b.levels) == 0 {
		return 0, 0
	}
	return b.levels[0].price, b.levels[0].size
}

// bookKinds are the sides that are compared. least is by how much ours is meant
// to be faster; 0 = nothing is meant.
var bookKinds = []struct {
	name  string
	least float64
	make  func(bids bool) book
}{
	{"tidwall/btree", 3, func(bids bool) book { return newTreeBook(bids) }},
	{"emirpasic/gods red-black tree", 0, func(bids bool) book { return newRedBlackBook(bids) }},
	{"slice, linear", 0, func(bids bool) book { return &sliceBook{bids: bids} }},
}

func bookLines() (all []bench.Measurement) {
	for _, levels := range []int{400, 5000} {
		for _, kind := range bookKinds {
			ours := fmt.Sprintf("book/%d", levels)
			all = append(all, against(ours, kind.name, kind.least, func(r *bench.Run, s *bench.Sample) error {
				begin, ops := bench.BookOps(levels)
				sides := [2]book{kind.make(true), kind.make(false)}
				set := func(op *bench.BookOp) {
					if op.Bid {
						sides[0].set(op.Price, op.Size)
					} else {
						sides[1].set(op.Price, op.Size)
					}
				}
				for i := range begin {
					set(&begin[i])
				}
				next := 0
				r.Batches(s, bench.Work{Do: func(n int) int {
					for range n {
						set(&ops[next])
						bid, bidSize := sides[0].best()
						ask, askSize := sides[1].best()
						kept += bid + bidSize + ask + askSize
						if next++; next == len(ops) {
							next = 0
						}
					}
					return n
				}})
				return nil
			}))
		}
	}
	return all
}
