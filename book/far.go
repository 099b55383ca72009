package book

import (
	"slices"

	"tickproc/tick"
)

// farLevels are the levels outside the window, or all of a side that has none,
// from worst to best. They lie in blocks of a few, so that a change moves few:
//
//	blocks  worst: 100, 3 levels   worst: 107, 2 levels   worst: 131, 4 levels
//	          │                      │                      └► 131 135 136 139
//	          └► 100 102 105         └► 107 120
//
// Blocks lie in one piece of memory, in any order.
type farLevels struct {
	blocks []farBlock // from worst to best, none empty
	slab   [][blockSize]tick.Level
	free   []int32 // places in slab without a block
	count  int     // levels
}

type farBlock struct {
	worst int64 // key (price × sign) of its first level
	at    int32 // slab[at]
	n     int32 // levels
}

const (
	blockSize = 32
	// blockFill is how many levels a new block of many gets: with room for more.
	blockFill = 28
	// blockFew: a block with fewer goes into its neighbour, where they fit.
	blockFew = 8
)

// in returns a block's levels.
func (f *farLevels) in(b farBlock) []tick.Level {
	return f.slab[b.at][:b.n]
}

// set makes the level at price hold size; 0 removes it. It reports whether
// the level existed.
func (f *farLevels) set(price, size, sign int64) bool {
	key := price * sign
	i := f.blockOf(key)
	if i < 0 {
		if size != 0 {
			f.add(0, tick.Level{Price: price, Size: size}, sign)
		}
		return false
	}
	levels := f.in(f.blocks[i])
	at := search(levels, key, sign)
	found := at < len(levels) && levels[at].Price == price
	switch {
	case found && size != 0:
		levels[at].Size = size
	case found:
		copy(levels[at:], levels[at+1:])
		f.shrink(i, at, sign)
	case size != 0:
		if len(levels) == blockSize {
			f.split(i, blockSize/2, sign)
			if at > blockSize/2 {
				i, at = i+1, at-blockSize/2
			}
		}
		b := &f.blocks[i]
		levels = f.slab[b.at][:b.n+1]
		copy(levels[at+1:], levels[at:])
		levels[at] = tick.Level{Price: price, Size: size}
		if b.n++; at == 0 {
			b.worst = key
		}
		f.count++
	}
	return found
}

// blockOf returns the block in which key is, or belongs; −1 if there is none.
func (f *farLevels) blockOf(key int64) int {
	blocks, lo := f.blocks, 0
	for n := uint(len(blocks)); n > 1; {
		half := n >> 1
		if blocks[lo+int(half)].worst <= key {
			lo += int(half)
		}
		n -= half
	}
	return lo - 1 + min(len(blocks), 1)
}

// search returns where key is among levels, or belongs.
func search(levels []tick.Level, key, sign int64) int {
	lo := 0
	for n := uint(len(levels)); n > 0; {
		half := (n + 1) >> 1
		if levels[lo+int(half)-1].Price*sign < key {
			lo += int(half)
		}
		n -= half
	}
	return lo
}

// shrink takes the level out of a block that was at, and what follows was moved.
func (f *farLevels) shrink(i, at int, sign int64) {
	f.count--
	f.blocks[i].n--
	b := f.blocks[i]
	if b.n == 0 {
		f.removeBlocks(i, i+1)
		return
	}
	if at == 0 {
		f.blocks[i].worst = f.in(b)[0].Price * sign
	}
	if b.n < blockFew {
		if i+1 < len(f.blocks) && b.n+f.blocks[i+1].n <= blockFill {
			f.join(i)
		} else if i > 0 && b.n+f.blocks[i-1].n <= blockFill {
			f.join(i - 1)
		}
	}
}

// join moves the levels of the block after the i-th into that.
func (f *farLevels) join(i int) {
	from := f.in(f.blocks[i+1])
	have := f.blocks[i].n
	f.blocks[i].n += int32(len(from))
	copy(f.in(f.blocks[i])[have:], from)
	f.removeBlocks(i+1, i+2)
}

// split moves the levels of the i-th block, from the at-th on, into one after it.
func (f *farLevels) split(i, at int, sign int64) {
	f.insertBlock(i + 1)
	from := f.in(f.blocks[i])[at:]
	f.blocks[i].n = int32(at)
	f.blocks[i+1].n, f.blocks[i+1].worst = int32(len(from)), from[0].Price*sign
	copy(f.in(f.blocks[i+1]), from)
}

// insertBlock makes a block, still without levels, before the i-th.
func (f *farLevels) insertBlock(i int) {
	if len(f.free) == 0 {
		have := len(f.slab)
		if len(f.slab) == cap(f.slab) {
			f.growSlab(1 + have/8)
		}
		f.free = append(f.free, int32(have))
		f.slab = f.slab[:have+1]
	}
	last := len(f.free) - 1
	f.blocks = append(f.blocks, farBlock{})
	copy(f.blocks[i+1:], f.blocks[i:])
	f.blocks[i] = farBlock{at: f.free[last]}
	f.free = f.free[:last]
}

// removeBlocks forgets the blocks from the i-th up to the j-th.
func (f *farLevels) removeBlocks(i, j int) {
	for _, b := range f.blocks[i:j] {
		f.free = append(f.free, b.at)
	}
	f.blocks = append(f.blocks[:i], f.blocks[j:]...)
}

// cut returns the block before which all levels worse than key lie, and no
// others; a block that holds some of both becomes two.
func (f *farLevels) cut(key, sign int64) int {
	i := f.blockOf(key)
	if i < 0 {
		return 0
	}
	at := search(f.in(f.blocks[i]), key, sign)
	switch at {
	case 0:
		return i
	case int(f.blocks[i].n):
		return i + 1
	}
	f.split(i, at, sign)
	return i + 1
}

// grow makes room for n levels that are added, and for two blocks to be cut
// where a window may be laid.
func (f *farLevels) grow(n int) {
	blocks := (n + blockFill - 1) / blockFill
	if n >= levelsMin {
		blocks += 2
	}
	f.blocks = slices.Grow(f.blocks, blocks)
	f.growSlab(blocks - len(f.free))
}

// growSlab makes room for so many more blocks, and no more: append would make
// it twice as large.
func (f *farLevels) growSlab(blocks int) {
	if blocks > cap(f.slab)-len(f.slab) {
		f.slab = append(make([][blockSize]tick.Level, 0, len(f.slab)+blocks), f.slab...)
	}
}

// add puts a level that is better than all before the i-th block, and worse
// than all in it, and returns where the next better one goes.
func (f *farLevels) add(i int, l tick.Level, sign int64) int {
	if i == 0 || f.blocks[i-1].n >= blockFill {
		f.insertBlock(i)
		i++
	}
	b := &f.blocks[i-1]
	if b.n == 0 {
		b.worst = l.Price * sign
	}
	f.slab[b.at][b.n] = l
	b.n++
	f.count++
	return i
}

// build takes levels, worst first, where there are none yet.
func (f *farLevels) build(levels []tick.Level, sign int64) {
	f.grow(len(levels))
	for some := range slices.Chunk(levels, blockFill) {
		f.insertBlock(len(f.blocks))
		b := &f.blocks[len(f.blocks)-1]
		b.worst, b.n = some[0].Price*sign, int32(len(some))
		copy(f.in(*b), some)
	}
	f.count = len(levels)
}

// putBehind takes levels that come best first and are all worse than what is
// there, as those of a snapshot do: to look for the place of each would take
// longer. It reports whether they are such.
func (f *farLevels) putBehind(levels []tick.Level, sign int64) bool {
	if len(levels) < 2 || f.count > 0 && levels[0].Price*sign >= f.blocks[0].worst {
		return false
	}
	for i, l := range levels {
		if l.Size <= 0 || i > 0 && l.Price*sign >= levels[i-1].Price*sign {
			return false
		}
	}
	f.grow(len(levels))
	at := 0
	for i := len(levels) - 1; i >= 0; i-- {
		at = f.add(at, levels[i], sign)
	}
	return true
}

// dropWorst removes the n worst levels.
func (f *farLevels) dropWorst(n int, sign int64) {
	f.count -= n
	i := 0
	for ; n > 0 && int(f.blocks[i].n) <= n; i++ {
		n -= int(f.blocks[i].n)
	}
	f.removeBlocks(0, i)
	if n > 0 {
		levels := f.in(f.blocks[0])
		copy(levels, levels[n:])
		f.blocks[0].n -= int32(n)
		f.blocks[0].worst = levels[0].Price * sign
	}
}

// best returns the best level, zero where there is none.
func (f *farLevels) best() tick.Level {
	if f.count == 0 {
		return tick.Level{}
	}
	b := f.blocks[len(f.blocks)-1]
	return f.slab[b.at][b.n-1]
}

// clear forgets all levels.
func (f *farLevels) clear() {
	f.removeBlocks(0, len(f.blocks))
	f.count = 0
}

// farWalk goes from the best level to the worst.
type farWalk struct{ block, left int } // the block after the one at hand, and what is left of that

func (f *farLevels) walk() farWalk { return farWalk{block: len(f.blocks)} }

func (f *farLevels) next(x *farWalk) (tick.Level, bool) {
	if x.left == 0 {
		if x.block == 0 {
			return tick.Level{}, false
		}
		x.block--
		x.left = int(f.blocks[x.block].n)
	}
	x.left--
	return f.slab[f.blocks[x.block].at][x.left], true
}

// copyNext copies the next levels into dst, best first, and returns how many.
func (f *farLevels) copyNext(x *farWalk, dst []tick.Level) int {
	for n := range dst {
		l, some := f.next(x)
		if !some {
			return n
		}
		dst[n] = l
	}
	return len(dst)
}

// orderFault says what is wrong with levels that should come worst first, ""
// if nothing is.
func orderFault(levels []tick.Level, sign int64) string {
	for i, l := range levels {
		if l.Size <= 0 {
			return "book holds a level without size"
		}
		if i > 0 && l.Price*sign <= levels[i-1].Price*sign {
			return "book side out of order"
		}
	}
	return ""
}

// fault says what is wrong, "" if nothing is.
func (f *farLevels) fault(sign int64) string {
	count := 0
	for i, b := range f.blocks {
		levels := f.in(b)
		count += len(levels)
		switch fault := orderFault(levels, sign); {
		case fault != "":
			return fault
		case len(levels) == 0 || b.worst != levels[0].Price*sign:
			return "book block does not know its worst level"
		case i+1 < len(f.blocks) && levels[len(levels)-1].Price*sign >= f.blocks[i+1].worst:
			return "book side out of order"
		}
	}
	if count != f.count || len(f.blocks)+len(f.free) != len(f.slab) {
		return "book side miscounts its blocks"
	}
	return ""
}
