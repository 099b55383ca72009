package book

import "tickproc/tick"

// farLevels are levels in a slice, from worst to best: those outside the
// window, or all of a side that has none. Most of what comes here lies just
// below the window, and so near the end, where little has to move.
type farLevels []tick.Level

// set makes the level at price hold size; 0 removes it. It reports whether
// the level existed.
func (f *farLevels) set(price, size, sign int64) bool {
	levels := *f
	i, found := levels.find(price, sign)
	switch {
	case found && size != 0:
		levels[i].Size = size
	case found:
		*f = append(levels[:i], levels[i+1:]...)
	case size != 0:
		levels = append(levels, tick.Level{})
		copy(levels[i+1:], levels[i:])
		levels[i] = tick.Level{Price: price, Size: size}
		*f = levels
	}
	return found
}

// find returns where price is, or where it belongs.
func (f farLevels) find(price, sign int64) (int, bool) {
	key := price * sign
	hi := len(f)
	// Gallop from the best: the cost follows the distance from the end, not the
	// number of levels.
	step := 1
	lo := hi - 1
	for lo >= 0 && f[lo].Price*sign > key {
		hi = lo
		lo -= step
		step *= 2
	}
	lo = max(lo, -1)
	for hi-lo > 1 {
		mid := int(uint(lo+hi) / 2)
		if f[mid].Price*sign > key {
			hi = mid
		} else {
			lo = mid
		}
	}
	if lo >= 0 && f[lo].Price == price {
		return lo, true
	}
	return hi, false
}

// putBehind takes levels that come best first and are all worse than what is
// there, as those of a snapshot do: one by one, each would move all before it.
// It reports whether they are such.
func (f *farLevels) putBehind(levels []tick.Level, sign int64) bool {
	if len(levels) < 2 || len(*f) > 0 && levels[0].Price*sign >= (*f)[0].Price*sign {
		return false
	}
	for i, l := range levels {
		if l.Size <= 0 || i > 0 && l.Price*sign >= levels[i-1].Price*sign {
			return false
		}
	}
	f.open(0, len(levels))
	for i, l := range levels {
		(*f)[len(levels)-1-i] = l
	}
	return true
}

// open makes room for n levels before the i-th.
func (f *farLevels) open(i, n int) {
	levels := *f
	if free := cap(levels) - len(levels); free < n {
		levels = append(levels, make([]tick.Level, n)...)
	} else {
		levels = levels[:len(levels)+n]
	}
	copy(levels[i+n:], levels[i:])
	*f = levels
}

// remove takes out the levels from the i-th up to the j-th.
func (f *farLevels) remove(i, j int) {
	*f = append((*f)[:i], (*f)[j:]...)
}

// fault says what is wrong with the levels, "" if nothing is.
func (f farLevels) fault(sign int64) string {
	for i, l := range f {
		if l.Size <= 0 {
			return "book holds a level without size"
		}
		if i > 0 && l.Price*sign <= f[i-1].Price*sign {
			return "book side out of order"
		}
	}
	return ""
}
