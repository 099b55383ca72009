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
// lie in a window with a place for each price; all others in blocks:
//
//	worst ◄─────────────────────────────► best
//	far: those below  │  window  │  far: above
//
// A side begins without a window. Whenever enough levels have been set outside
// of it, it is laid anew. Nothing that can be seen depends on where it lies.
type Side struct {
	// sign is +1 for bids and -1 for asks: price*sign rises towards the best. With
	// what else a level in the window needs, it lies in the first two cache lines.
	sign   int64
	window window
	far    farLevels
	above  int // levels of far that are better than the window's; 0 without one
	// misses are the levels set outside the window since it was laid.
	misses int
	stood  uint // times in a row that laying it anew found nothing to do
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
			s.misses = (missesMin + slotsMax) << stoodMax // laid anew below
		}
	}
	before := s.far.count
	found := s.far.set(price, size, s.sign)
	if above {
		s.above += s.far.count - before
	}
	s.misses++
	if s.misses>>min(s.stood, stoodMax) >= missesMin+len(s.window.sizes)/8 {
		s.layWindow()
	}
	return found
}

const (
	// missesMin, and an eighth of the window's slots, is after how many misses a
	// window is laid anew: so many that this costs each of them little.
	missesMin = 64
	// stoodMax bounds how often that number is doubled, each time that it was for
	// nothing.
	stoodMax = 2
)

// layWindow puts the window where the levels are.
func (s *Side) layWindow() {
	s.misses = 0
	w := &s.window
	base, g, slots := s.place(w.grid.step)
	if slots == len(w.sizes) && (slots == 0 || g == w.grid && apart(base, w.base)/g.step < uint64(slots/16)) {
		if s.Len() >= levelsMin { // else it was not looked for
			s.stood++
		}
		return // it lies there
	}
	s.stood = 0
	s.closeWindow()
	if slots == 0 {
		return
	}
	w.open(base, g, slots)
	begin := s.far.cut(base, s.sign)
	end := s.far.cut(w.key(uint64(slots)), s.sign)
	for _, b := range s.far.blocks[begin:end] {
		levels := s.far.in(b)
		if n, _ := w.put(levels, s.sign); n < len(levels) {
			panic("BUG: a level within reach of the book's window is not one of its prices")
		}
	}
	for _, b := range s.far.blocks[end:] {
		s.above += int(b.n)
	}
	s.far.removeBlocks(begin, end)
	s.far.count -= w.count
}

// closeWindow moves the window's levels to the others. Its step stays known.
func (s *Side) closeWindow() {
	w := &s.window
	if !w.isOpen() {
		return
	}
	at := s.far.cut(w.base, s.sign)
	var some [64]tick.Level // of a word
	for i := range w.words {
		for _, l := range w.appendWord(some[:0], i, s.sign) {
			at = s.far.add(at, l, s.sign)
		}
	}
	w.close()
	s.above = 0
}

// Len is the number of levels.
func (s *Side) Len() int { return s.window.count + s.far.count }

// bestInWindow reports whether the best level is the window's.
func (s *Side) bestInWindow() bool { return s.window.count > 0 && s.above == 0 }

// Best returns the best level, zero when the side is empty.
func (s *Side) Best() tick.Level {
	if w := &s.window; s.bestInWindow() {
		return tick.Level{Price: w.key(w.top) * s.sign, Size: w.sizes[w.top]}
	}
	return s.far.best()
}

// Walk goes through the levels of a side, best first. The side must not change
// meanwhile.
type Walk struct {
	side  *Side
	above int // levels that are still to come before the window's
	// Of the window: the bits of the word at hand that are still to come, and how
	// many words after it.
	word  uint64
	words int
	far   farWalk
}

// Walk begins at the best level.
func (s *Side) Walk() Walk {
	return Walk{side: s, above: s.above, words: int(s.window.top/64) + min(1, s.window.count), far: s.far.walk()}
}

// Next returns the next level; false behind the last.
func (x *Walk) Next() (tick.Level, bool) {
	if x.above > 0 {
		x.above--
		return x.side.far.next(&x.far)
	}
	w := &x.side.window
	for x.word == 0 && x.words > 0 {
		x.words--
		x.word = w.words[x.words]
	}
	if x.word == 0 {
		return x.side.far.next(&x.far)
	}
	bit := bits.Len64(x.word) - 1
	x.word &^= 1 << bit
	slot := uint64(x.words*64 + bit)
	return tick.Level{Price: w.key(slot) * x.side.sign, Size: w.sizes[slot]}, true
}

// CopyBest copies the best levels into dst, best first, and returns how many.
func (s *Side) CopyBest(dst []tick.Level) int {
	far := s.far.walk()
	n := s.far.copyNext(&far, dst[:min(s.above, len(dst))])
	n += s.window.copyBest(dst[n:], s.sign)
	return n + s.far.copyNext(&far, dst[n:])
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
	below := min(drop, s.far.count-s.above)
	s.far.dropWorst(below, s.sign)
	inside := min(drop-below, s.window.count)
	s.window.dropWorst(inside)
	above := drop - below - inside
	s.far.dropWorst(above, s.sign)
	s.above -= above
}

// Clear empties the side and keeps its memory. The next levels may be of
// another step.
func (s *Side) Clear() {
	s.window.close()
	s.window.grid = grid{}
	s.far.clear()
	s.above, s.misses, s.stood = 0, 0, 0
}

// rescalable returns tick.ErrRange unless every level can be multiplied.
func (s *Side) rescalable(priceFactor, sizeFactor int64) error {
	walk := s.Walk()
	for l, some := walk.Next(); some; l, some = walk.Next() {
		if err := checkLevels([]tick.Level{l}, priceFactor, sizeFactor); err != nil {
			return err
		}
	}
	return nil
}

// rescale multiplies every level. The window is given up: what comes now may
// lie between its prices.
func (s *Side) rescale(priceFactor, sizeFactor int64) {
	s.closeWindow()
	s.window.grid, s.misses = grid{}, 0
	for i := range s.far.blocks {
		b := &s.far.blocks[i]
		multiplyLevels(s.far.in(*b), priceFactor, sizeFactor)
		b.worst *= priceFactor
	}
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
	walk := s.far.walk()
	for i := range s.far.count {
		l, _ := s.far.next(&walk)
		if key := l.Price * s.sign; i < s.above && key < w.key(uint64(len(w.sizes))) || i >= s.above && key >= w.base {
			return "book level is not in the window where it belongs"
		}
	}
	return w.fault()
}

// code codes the levels there are, from worst to best, as one list wherever
// they lie. Loaded ones must be in order, or every search in them would go
// astray.
func (s *Side) code(c *state.Coder) {
	if c.Loading() {
		s.Clear()
		var levels []tick.Level
		state.List(c, &levels, math.MaxInt32)
		if fault := orderFault(levels, s.sign); fault != "" {
			c.Fail(fault)
			return
		}
		s.far.build(levels, s.sign)
		return
	}
	c.Len(s.Len(), int(unsafe.Sizeof(tick.Level{})), math.MaxInt32)
	w := &s.window
	window := w.isOpen() // is still to come
	for _, b := range s.far.blocks {
		levels := s.far.in(b)
		if window && levels[len(levels)-1].Price*s.sign >= w.base {
			at := search(levels, w.base, s.sign)
			state.Plain(c, levels[:at])
			w.code(c, s.sign)
			levels, window = levels[at:], false
		}
		state.Plain(c, levels)
	}
	if window {
		w.code(c, s.sign)
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
