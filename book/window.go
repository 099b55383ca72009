package book

import (
	"math/bits"

	"tickproc/internal/state"
	"tickproc/tick"
)

// window are the levels of consecutive prices: a size for each, 0 where there
// is no level, and a bit that says so, by which the next level is found.
//
//	slot    0                                            top
//	words   1 0 0 1 0 0 0 0 0 1 0 1 1 0 0 1 0 1 1 1 1 1 1 1 0 0 0 0
//	sizes   7     3           9   2 4     1   8 3 5 2 6 9 1
//	price   base, base+step, base+2×step …  × sign
//
// To set a level takes no search, and no branch that is often guessed wrong. In
// place of prices it knows keys, price × sign, so that the best is the highest
// on both sides. Closed, it has no slots, and no key is one of its own.
type window struct {
	base  int64 // key of slot 0
	grid  grid
	sizes []int64
	words []uint64 // a bit a slot
	top   uint64   // the highest slot that is a level; 0 where none is
	count int      // levels
}

const (
	// slotsMax bounds a window and with it the memory of a book: 130 KiB a side.
	slotsMax = 1 << 14
	slotsMin = slotsMax >> (sizesMax - 1)
)

// key returns the key of a slot.
func (w *window) key(slot uint64) int64 { return w.base + int64(slot*w.grid.step) }

// put sets levels in their order, up to the first that is not one of its
// prices. It returns how many it has set, and how many of these removed what
// was not there.
//
// hot: per message, 0 allocs.
func (w *window) put(levels []tick.Level, sign int64) (done, orphans int) {
	sizes, words, twos := w.sizes, w.words, w.grid.twos
	// The slot of a price is grid.count(price×sign − base), multiplied out.
	inverse, first := w.grid.inverse*uint64(sign), w.grid.inverse*uint64(w.base)
	for i := range levels {
		slot := bits.RotateLeft64(uint64(levels[i].Price)*inverse-first, -twos)
		if slot >= uint64(len(sizes)) {
			return i, orphans
		}
		// Whether a level comes or goes nobody can guess, least of all the
		// processor: so the bits are computed and not decided.
		was, is := present(sizes[slot]), present(levels[i].Size)
		sizes[slot] = levels[i].Size
		words[slot/64] ^= (is ^ was) << (slot % 64)
		w.count += int(is - was)
		orphans += int((is | was) ^ 1)
		if slot >= w.top {
			w.moveTop(slot, is != 0)
		}
	}
	return len(levels), orphans
}

// present returns 1 unless size is 0.
func present(size int64) uint64 {
	is := uint64(0)
	if size != 0 {
		is = 1 // by a flag of the processor, not by a branch
	}
	return is
}

// moveTop finds the best level after a slot was set that is not below it.
func (w *window) moveTop(slot uint64, is bool) {
	if is {
		w.top = slot
		return
	}
	i := w.top / 64
	for w.words[i] == 0 {
		if i == 0 {
			w.top = 0
			return
		}
		i--
	}
	w.top = i*64 + uint64(bits.Len64(w.words[i])) - 1
}

// isOpen reports whether it has slots.
func (w *window) isOpen() bool { return len(w.sizes) > 0 }

// open gives it slots, all empty. The memory of a larger one before is used again.
func (w *window) open(base int64, g grid, slots int) {
	if cap(w.sizes) < slots {
		w.sizes, w.words = make([]int64, slots), make([]uint64, slots/64)
	}
	w.base, w.grid, w.sizes, w.words = base, g, w.sizes[:slots], w.words[:slots/64]
}

// close takes its slots; every level in them must have been taken before, or
// be lost.
func (w *window) close() {
	for i, word := range w.words {
		for ; word != 0; word &= word - 1 {
			w.sizes[i*64+bits.TrailingZeros64(word)] = 0
		}
		w.words[i] = 0
	}
	w.sizes, w.words, w.top, w.count = w.sizes[:0], w.words[:0], 0, 0
}

// dropWorst removes its n worst levels.
func (w *window) dropWorst(n int) {
	w.count -= n
	for i := 0; n > 0; i++ {
		for ; n > 0 && w.words[i] != 0; n-- {
			w.sizes[i*64+bits.TrailingZeros64(w.words[i])] = 0
			w.words[i] &= w.words[i] - 1
		}
	}
	if w.count == 0 {
		w.top = 0
	}
}

// copyBest copies its best levels into dst, best first, and returns how many.
func (w *window) copyBest(dst []tick.Level, sign int64) (n int) {
	if w.count == 0 {
		return 0
	}
	for i := int(w.top / 64); i >= 0; i-- {
		for word := w.words[i]; word != 0; n++ {
			if n == len(dst) {
				return n
			}
			bit := bits.Len64(word) - 1
			word &^= 1 << bit
			slot := uint64(i*64 + bit)
			dst[n] = tick.Level{Price: w.key(slot) * sign, Size: w.sizes[slot]}
		}
	}
	return n
}

// appendWord writes the levels of the i-th word, worst first.
func (w *window) appendWord(dst []tick.Level, i int, sign int64) []tick.Level {
	for word := w.words[i]; word != 0; word &= word - 1 {
		slot := uint64(i*64 + bits.TrailingZeros64(word))
		dst = append(dst, tick.Level{Price: w.key(slot) * sign, Size: w.sizes[slot]})
	}
	return dst
}

// code writes its levels, worst first.
func (w *window) code(c *state.Coder, sign int64) {
	var some [64]tick.Level
	for i := range w.words {
		state.Plain(c, w.appendWord(some[:0], i, sign))
	}
}

// fault says what is wrong, "" if nothing is.
func (w *window) fault() string {
	count, top := 0, uint64(0)
	for i, word := range w.words {
		count += bits.OnesCount64(word)
		for ; word != 0; word &= word - 1 {
			if top = uint64(i*64 + bits.TrailingZeros64(word)); w.sizes[top] <= 0 {
				return "book holds a level without size"
			}
		}
	}
	switch {
	case len(w.words)*64 != len(w.sizes):
		return "book window of another size than its bits"
	case count != w.count:
		return "book window miscounts its levels"
	case top != w.top:
		return "book window does not know its best level"
	}
	return ""
}
