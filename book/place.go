package book

import "tickproc/tick"

// Where a side's window lies is decided from its levels alone. It moves no
// level and changes no outcome: only how long things take.

const (
	// levelsMin: with fewer, a block or two are as fast.
	levelsMin = 40
	// slotsPerLevelMax bounds memory by what is in it: so many slots a level, and
	// fewer, levels/4, where levels are few: thin books are many and quiet.
	slotsPerLevelMax = 64
	// anchorRank is the place of the level by which the window is laid, so that
	// a few levels far ahead of all others do not draw it away from them.
	anchorRank = 3
	// keyMax bounds prices, and stepMax steps, so that no slot's key overflows.
	keyMax  = 1 << 61
	stepMax = 1 << 40
)

// sizesMax is how many sizes a window may have, each twice the one before.
const sizesMax = 7

// roomBelow is how many of the slots are for the anchor and worse prices.
func roomBelow(slots int) int { return slots - slots/8 }

// place chooses the window for the levels of a side: the key of slot 0, the
// step, and how many slots; 0 = none is worth its memory. The step is the
// greatest that all levels in reach are multiples of apart, and divides known,
// the step before, 0 = unknown: so that it does not go up and down with single
// levels. It is not the instrument's tick size: that may be unknown or change
// while old levels stay, and it may be finer than what the levels use.
func (s *Side) place(known uint64) (base int64, g grid, slots int) {
	if s.Len() < levelsMin {
		return 0, grid{}, 0
	}
	walk := s.Walk()
	for range anchorRank {
		walk.Next()
	}
	fromAnchor := walk
	first, _ := walk.Next()
	anchor := first.Price * s.sign
	if anchor < -keyMax || anchor > keyMax {
		return 0, grid{}, 0
	}
	g = newGrid(known)
	// reaches makes the step fit a level so far from the anchor, if it is in reach.
	reaches := func(l tick.Level) bool {
		d := apart(anchor, l.Price*s.sign)
		if g.step != 0 && d/slotsMax >= g.step {
			return false
		}
		if g.step == 0 || g.step > stepMax || g.count(d) >= slotsMax {
			g = newGrid(gcd(g.step, d))
		}
		return true
	}
	walk = fromAnchor
	for l, some := walk.Next(); some && reaches(l); l, some = walk.Next() {
	}
	walk = s.Walk()
	for range anchorRank {
		l, _ := walk.Next()
		reaches(l)
	}
	if g.step == 0 || g.step > stepMax {
		return 0, grid{}, 0
	}
	// How many levels, from the anchor on, a window of each size would hold.
	var counts [sizesMax]int
	size, n := 0, 0
	walk = fromAnchor
	for l, some := walk.Next(); some && size < sizesMax; l, some = walk.Next() {
		at := g.count(uint64(anchor - l.Price*s.sign))
		for ; size < sizesMax && at >= uint64(roomBelow(slotsMin<<size)); size++ {
			counts[size] = n
		}
		n++
	}
	for ; size < sizesMax; size++ {
		counts[size] = n
	}
	for size, n := range counts {
		try := slotsMin << size
		if try > n*min(n/4, slotsPerLevelMax) {
			continue // too sparse
		}
		slots = try
		if n*4 >= counts[sizesMax-1]*3 {
			break // a larger one would find little more
		}
	}
	if slots == 0 {
		return 0, grid{}, 0
	}
	return anchor - int64(uint64(roomBelow(slots)-1)*g.step), g, slots
}

// apart is the distance of two keys.
func apart(a, b int64) uint64 {
	if a < b {
		a, b = b, a
	}
	return uint64(a - b)
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
