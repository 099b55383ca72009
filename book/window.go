package book

import (
	"math/bits"

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
// To set a level takes no search and hardly a branch that could be guessed
// wrong. In place of prices it knows keys: price × sign, so that the best is
// the highest on both sides. Closed, it has no slots and so no level is in it.
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
	slotsMin = 1 << 8
)

// slot returns where key lies; at or above len(sizes): nowhere.
func (w *window) slot(key int64) uint64 { return w.grid.count(uint64(key - w.base)) }

// key returns the key of a slot.
func (w *window) key(slot uint64) int64 { return w.base + int64(slot*w.grid.step) }

// put makes a slot hold size, 0 = no level, and returns 1 if there was a level.
//
// hot: per level.
func (w *window) put(slot uint64, size int64) (was uint64) {
	w.sizes[slot] = size
	word := &w.words[slot/64]
	is := uint64(size|-size) >> 63 // 1 unless 0: which it is nobody can guess
	was = *word >> (slot % 64) & 1
	*word ^= (was ^ is) << (slot % 64)
	w.count += int(is) - int(was)
	if slot >= w.top {
		w.moveTop(slot, is != 0)
	}
	return was
}

// moveTop finds the best level after a slot at or above it was set.
func (w *window) moveTop(slot uint64, is bool) {
	if is {
		w.top = slot
	} else if slot == w.top {
		w.top, _ = w.below(slot)
	}
}

// below returns the highest level under a slot, if there is one.
func (w *window) below(slot uint64) (uint64, bool) {
	i := slot / 64
	word := w.words[i] & (1<<(slot%64) - 1)
	for word == 0 {
		if i == 0 {
			return 0, false
		}
		i--
		word = w.words[i]
	}
	return i*64 + uint64(bits.Len64(word)) - 1, true
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
	for i := 0; n > 0; i++ {
		for ; n > 0 && w.words[i] != 0; n-- {
			w.put(uint64(i*64+bits.TrailingZeros64(w.words[i])), 0)
		}
	}
}

// appendWord writes the levels of the i-th word, worst first.
func (w *window) appendWord(dst []tick.Level, i int, sign int64) []tick.Level {
	for word := w.words[i]; word != 0; word &= word - 1 {
		slot := uint64(i*64 + bits.TrailingZeros64(word))
		dst = append(dst, tick.Level{Price: w.key(slot) * sign, Size: w.sizes[slot]})
	}
	return dst
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
