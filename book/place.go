package book

// Where a side's window lies is decided from its levels alone. It moves no
// level and changes no outcome: only how long things take.

const (
	// levelsMin: with fewer, the slice is as fast.
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

// roomAbove is how many of the slots are for better prices than the anchor's.
func roomAbove(slots int) int { return slots / 8 }

// place chooses the window for levels in order from worst to best, none of
// which is in a window: the key of slot 0, the step, and how many slots; 0 =
// none is worth its memory. The step is the greatest that all levels in reach
// are multiples of apart, and divides known, the step before, 0 = unknown: so
// that it does not go up and down with single levels. It is not the
// instrument's tick size: that may be unknown or change while old levels stay,
// and it may be finer than what the levels use.
func place(levels farLevels, sign int64, known uint64) (base int64, g grid, slots int) {
	anchorAt := len(levels) - 1 - anchorRank
	if len(levels) < levelsMin {
		return 0, grid{}, 0
	}
	anchor := levels[anchorAt].Price * sign
	if anchor < -keyMax || anchor > keyMax {
		return 0, grid{}, 0
	}
	g = newGrid(known)
	end := len(levels) - 1 // the first that is out of reach
reach:
	for ; end >= 0; end-- {
		apart := uint64(anchor - levels[end].Price*sign)
		if end > anchorAt {
			apart = -apart
		}
		switch {
		case g.step != 0 && g.step <= stepMax && g.count(apart) < slotsMax:
			continue
		case g.step == 0 || apart/slotsMax < g.step:
			g = newGrid(gcd(g.step, apart))
			continue
		case end > anchorAt:
			continue // far ahead of all others
		default:
			break reach
		}
	}
	if g.step == 0 || g.step > stepMax {
		return 0, grid{}, 0
	}
	// within returns how many levels the window would have below its anchor.
	i := anchorAt
	within := func(slots int) int {
		reach := uint64(slots - roomAbove(slots))
		for i > end && g.count(uint64(anchor-levels[i].Price*sign)) < reach {
			i--
		}
		return anchorAt - i
	}
	total := within(slotsMax)
	i = anchorAt
	for try := slotsMin; try <= slotsMax; try *= 2 {
		n := within(try)
		if try > n*min(n/4, slotsPerLevelMax) {
			continue // too sparse
		}
		slots = try
		if n*4 >= total*3 {
			break // a larger one would find little more
		}
	}
	if slots == 0 {
		return 0, grid{}, 0
	}
	return anchor - int64(uint64(slots-roomAbove(slots)-1)*g.step), g, slots
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
