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
	"math/bits"
	"unsafe"

	"tickproc/internal/state"
	"tickproc/tick"
)

// Side is one side of a book. Levels near the best price, which change most,
// lie in a window with a place for each price; all others in a slice:
//
//	worst ◄──────────────────────────────────────────────► best
//	far[0] far[1] … far[len-above-1]  │ window │  far[len-above] …
//
// A side begins without a window. Whenever enough levels have been set outside
// of it, it is laid anew. Nothing that can be seen depends on where it lies.
type Side struct {
	window window
	far    farLevels
	above  int // levels at the end of far that are better than the window's; 0 without one
	// misses are the levels set outside the window since it was laid.
	misses int
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
	one, before := [1]tick.Level{{Price: price, Size: size}}, s.window.count
	if n, _ := s.window.put(one[:], s.sign); n == 0 {
		return s.setFar(price, size)
	}
	return int(present(size))-(s.window.count-before) == 1
}

// setAll sets levels in their order, and returns how many of them removed what
// was not there.
//
// hot: per message, 0 allocs once the side has grown.
func (s *Side) setAll(levels []tick.Level) (orphans int) {
	if !s.window.isOpen() && s.far.putBehind(levels, s.sign) {
		return 0
	}
	for {
		n, missing := s.window.put(levels, s.sign)
		orphans += missing
		if n == len(levels) {
			return orphans
		}
		l := levels[n]
		if !s.setFar(l.Price, l.Size) && l.Size == 0 {
			orphans++
		}
		levels = levels[n+1:]
	}
}

// setFar sets a level that is not one of the window's.
func (s *Side) setFar(price, size int64) bool {
	key := price * s.sign
	above := false
	if w := &s.window; w.isOpen() {
		above = key >= w.key(uint64(len(w.sizes)))
		if !above && key >= w.base {
			// Between two of its prices: the step is not the venue's.
			if size == 0 {
				return false
			}
			s.closeWindow()
			w.grid = newGrid(gcd(w.grid.step, uint64(key-w.base)))
			s.misses = missesMin + slotsMax // laid anew below
		}
	}
	before := len(s.far)
	found := s.far.set(price, size, s.sign)
	if above {
		s.above += len(s.far) - before
	}
	s.misses++
	if s.misses >= missesMin+len(s.window.sizes)/8 {
		s.layWindow()
	}
	return found
}

// missesMin, and an eighth of the window's slots, is after how many misses a
// window is laid anew: so many that this costs each of them little.
const missesMin = 64

// layWindow puts the window where the levels are.
func (s *Side) layWindow() {
	s.closeWindow()
	s.misses = 0
	base, g, slots := place(s.far, s.sign, s.window.grid.step)
	if slots == 0 {
		return
	}
	w := &s.window
	w.open(base, g, slots)
	end := len(s.far)
	for end > 0 && s.far[end-1].Price*s.sign >= w.key(uint64(slots)) {
		end--
	}
	begin := end
	for begin > 0 && s.far[begin-1].Price*s.sign >= base {
		begin--
	}
	if n, _ := w.put(s.far[begin:end], s.sign); n < end-begin {
		panic("BUG: a level within reach of the book's window is not one of its prices")
	}
	s.above = len(s.far) - end
	s.far.remove(begin, end)
}

// closeWindow moves the window's levels to the others. Its step stays known.
func (s *Side) closeWindow() {
	w := &s.window
	if !w.isOpen() {
		return
	}
	at := len(s.far) - s.above
	s.far.open(at, w.count)
	for i := range w.words {
		at += len(w.appendWord(s.far[at:at], i, s.sign))
	}
	w.close()
	s.above = 0
}

// Len is the number of levels.
func (s *Side) Len() int { return s.window.count + len(s.far) }

// Best returns the best level, zero when the side is empty.
func (s *Side) Best() tick.Level {
	if w := &s.window; w.count > 0 && s.above == 0 {
		return tick.Level{Price: w.key(w.top) * s.sign, Size: w.sizes[w.top]}
	}
	if len(s.far) == 0 {
		return tick.Level{}
	}
	return s.far[len(s.far)-1]
}

// Walk goes through the levels of a side, best first. The side must not change
// meanwhile.
type Walk struct {
	side *Side
	far  int // levels of far that are still to come
	// Of the window: the bits of the word at hand that are still to come, and how
	// many words after it.
	word  uint64
	words int
}

// Walk begins at the best level.
func (s *Side) Walk() Walk {
	return Walk{side: s, far: len(s.far), words: int(s.window.top/64) + min(1, s.window.count)}
}

// Next returns the next level; false behind the last.
func (x *Walk) Next() (tick.Level, bool) {
	s := x.side
	if x.far > len(s.far)-s.above {
		x.far--
		return s.far[x.far], true
	}
	for x.word == 0 && x.words > 0 {
		x.words--
		x.word = s.window.words[x.words]
	}
	if x.word != 0 {
		bit := bits.Len64(x.word) - 1
		x.word &^= 1 << bit
		slot := uint64(x.words*64 + bit)
		return tick.Level{Price: s.window.key(slot) * s.sign, Size: s.window.sizes[slot]}, true
	}
	if x.far > 0 {
		x.far--
		return s.far[x.far], true
	}
	return tick.Level{}, false
}

// CopyBest copies the best levels into dst, best first, and returns how many.
func (s *Side) CopyBest(dst []tick.Level) int {
	n := min(len(dst), s.Len())
	walk := s.Walk()
	for i := range n {
		dst[i], _ = walk.Next()
	}
	return n
}

// Cumulative sums size and price×size over the n best levels.
func (s *Side) Cumulative(n int) (size, notional tick.Int128) {
	walk := s.Walk()
	for range min(n, s.Len()) {
		l, _ := walk.Next()
		size = size.Add(tick.Int128Of(l.Size))
		notional = notional.Add(tick.Mul64(l.Price, l.Size))
	}
	return size, notional
}

// Truncate forgets all but the n best levels.
func (s *Side) Truncate(n int) {
	drop := s.Len() - n
	if drop <= 0 {
		return
	}
	below := min(drop, len(s.far)-s.above)
	s.far.remove(0, below)
	inside := min(drop-below, s.window.count)
	s.window.dropWorst(inside)
	above := drop - below - inside
	s.far.remove(0, above)
	s.above -= above
}

// Clear empties the side and keeps its memory. The next levels may be of
// another step.
func (s *Side) Clear() {
	s.window.close()
	s.window.grid = grid{}
	s.far, s.above, s.misses = s.far[:0], 0, 0
}

// gather moves all levels to far, for what looks at all of them and is rare.
func (s *Side) gather() farLevels {
	s.closeWindow()
	s.window.grid, s.misses = grid{}, 0
	return s.far
}

// check panics unless levels are strictly ordered, none is empty, and the
// window is what its bits say.
func (s *Side) check() {
	if fault := s.fault(); fault != "" {
		panic("BUG: " + fault)
	}
}

// fault says what is wrong with the levels, "" if nothing is.
func (s *Side) fault() string {
	if fault := s.far.fault(s.sign); fault != "" {
		return fault
	}
	w := &s.window
	if !w.isOpen() {
		if s.above != 0 || w.count != 0 {
			return "book side counts levels around a window that is not there"
		}
		return ""
	}
	for i, l := range s.far {
		above := i >= len(s.far)-s.above
		if key := l.Price * s.sign; above && key < w.key(uint64(len(w.sizes))) || !above && key >= w.base {
			return "book level is not in the window where it belongs"
		}
	}
	return w.fault()
}

// code codes the levels there are, from worst to best, wherever they lie.
// Loaded ones must be in order, or every search in them would go astray.
func (s *Side) code(c *state.Coder) {
	if c.Loading() {
		s.Clear()
	}
	if !s.window.isOpen() {
		state.List(c, (*[]tick.Level)(&s.far), math.MaxInt32)
	} else {
		// As the list that it is without a window.
		var some [64]tick.Level // of a word
		c.Len(s.Len(), int(unsafe.Sizeof(some[0])), math.MaxInt32)
		below := len(s.far) - s.above
		state.Plain(c, s.far[:below])
		for i := range s.window.words {
			state.Plain(c, s.window.appendWord(some[:0], i, s.sign))
		}
		state.Plain(c, s.far[below:])
	}
	if c.Loading() {
		if fault := s.fault(); fault != "" {
			c.Fail(fault)
			s.Clear()
		}
	}
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
