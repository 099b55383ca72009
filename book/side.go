// Package book keeps order books and knows whether they can be trusted.
//
//	snapshots, deltas ─► Sync (the venue's rule) ─► Book (two Sides) ─► best, depth, cumulative
//	                       │ gap, checksum, silence …                    ▲
//	                       └─► invalid, and a resync is owed        QuoteCheck compares with the venue's own top
//
// Everything belongs to the shard goroutine that owns the instrument.
package book

import (
	"math"

	"tickproc/internal/state"
	"tickproc/tick"
)

// Side is one side of a book: levels ordered from worst to best, because most
// changes happen near the best price and then move few bytes.
type Side struct {
	levels []tick.Level
	// sign is +1 for bids and -1 for asks: price*sign rises towards the best.
	sign int64
}

// NewSide returns an empty side; bids best is the highest price, asks the lowest.
func NewSide(bids bool) Side {
	if bids {
		return Side{sign: 1}
	}
	return Side{sign: -1}
}

// Set makes the level at price hold size; 0 removes it. It reports whether
// the level existed.
//
// hot: per level, 0 allocs once the side has grown.
func (s *Side) Set(price, size int64) bool {
	i, found := s.find(price)
	switch {
	case found && size != 0:
		s.levels[i].Size = size
	case found:
		s.levels = append(s.levels[:i], s.levels[i+1:]...)
	case size != 0:
		s.levels = append(s.levels, tick.Level{})
		copy(s.levels[i+1:], s.levels[i:])
		s.levels[i] = tick.Level{Price: price, Size: size}
	}
	return found
}

// find returns where price is, or where it belongs.
func (s *Side) find(price int64) (int, bool) {
	key := price * s.sign
	hi := len(s.levels)
	// Gallop from the best: the cost follows the distance from the top, not
	// the size of the side.
	step := 1
	lo := hi - 1
	for lo >= 0 && s.levels[lo].Price*s.sign > key {
		hi = lo
		lo -= step
		step *= 2
	}
	lo = max(lo, -1)
	for hi-lo > 1 {
		mid := int(uint(lo+hi) / 2)
		if s.levels[mid].Price*s.sign > key {
			hi = mid
		} else {
			lo = mid
		}
	}
	if lo >= 0 && s.levels[lo].Price == price {
		return lo, true
	}
	return hi, false
}

// Len is the number of levels.
func (s *Side) Len() int { return len(s.levels) }

// Level returns the i-th best level, 0 being the best.
func (s *Side) Level(i int) tick.Level { return s.levels[len(s.levels)-1-i] }

// Best returns the best level, zero when the side is empty.
func (s *Side) Best() tick.Level {
	if len(s.levels) == 0 {
		return tick.Level{}
	}
	return s.levels[len(s.levels)-1]
}

// CopyBest copies the best levels into dst, best first, and returns how many.
func (s *Side) CopyBest(dst []tick.Level) int {
	n := min(len(dst), len(s.levels))
	for i := range n {
		dst[i] = s.levels[len(s.levels)-1-i]
	}
	return n
}

// Cumulative sums size and price×size over the n best levels.
func (s *Side) Cumulative(n int) (size, notional tick.Int128) {
	for i := range min(n, len(s.levels)) {
		l := s.Level(i)
		size = size.Add(tick.Int128Of(l.Size))
		notional = notional.Add(tick.Mul64(l.Price, l.Size))
	}
	return size, notional
}

// Truncate forgets all but the n best levels.
func (s *Side) Truncate(n int) {
	if drop := len(s.levels) - n; drop > 0 {
		s.levels = append(s.levels[:0], s.levels[drop:]...)
	}
}

// Clear empties the side and keeps its memory.
func (s *Side) Clear() { s.levels = s.levels[:0] }

// rescale multiplies every level, or changes nothing and returns ErrRange.
func (s *Side) rescale(priceFactor, sizeFactor int64) error {
	if err := checkLevels(s.levels, priceFactor, sizeFactor); err != nil {
		return err
	}
	multiplyLevels(s.levels, priceFactor, sizeFactor)
	return nil
}

func checkLevels(levels []tick.Level, priceFactor, sizeFactor int64) error {
	for _, l := range levels {
		if _, err := tick.MulExact(l.Price, priceFactor); err != nil {
			return err
		}
		if _, err := tick.MulExact(l.Size, sizeFactor); err != nil {
			return err
		}
	}
	return nil
}

func multiplyLevels(levels []tick.Level, priceFactor, sizeFactor int64) {
	for i := range levels {
		levels[i].Price *= priceFactor
		levels[i].Size *= sizeFactor
	}
}

// check panics unless levels are strictly ordered and none is empty.
func (s *Side) check() {
	if fault := s.fault(); fault != "" {
		panic("BUG: " + fault)
	}
}

// fault says what is wrong with the levels, "" if nothing is.
func (s *Side) fault() string {
	for i, l := range s.levels {
		if l.Size <= 0 {
			return "book holds a level without size"
		}
		if i > 0 && l.Price*s.sign <= s.levels[i-1].Price*s.sign {
			return "book side out of order"
		}
	}
	return ""
}

// code codes the levels there are. Loaded ones must be in order, or every
// search in them would go astray.
func (s *Side) code(c *state.Coder) {
	state.List(c, &s.levels, math.MaxInt32)
	if c.Loading() {
		if fault := s.fault(); fault != "" {
			c.Fail(fault)
			s.Clear()
		}
	}
}
