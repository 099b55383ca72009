package wire

import (
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// plainLevels reads the levels from i on that are written ["61837.63","1.5"],
// one after the other with nothing but a comma between, into Depth. It returns
// the place behind the last, or that of the first which is written otherwise.
//
// hot: per level, 0 allocs.
func (f *Frame) plainLevels(t []byte, i int) int {
	for k := range f.levelPrice {
		f.levelPrice[k].For(f.price)
		f.levelSize[k].For(f.size)
	}
	for {
		levels, n, more := f.Depth.room(), 0, false
		if f.size == 0 {
			n, i, more = f.contractLevels(levels, t, i)
		} else {
			n, i, more = f.decimalLevels(levels, t, i)
		}
		if f.Depth.took(n); !more {
			return i
		}
	}
}

// decimalLevels reads n levels, as many as there are and have room, and returns the
// place behind them. more says that there may be more.
//
// hot: per level, 0 allocs.
func (f *Frame) decimalLevels(levels []tick.Level, t []byte, i int) (n, next int, more bool) {
	price, size := &f.levelPrice[0], &f.levelSize[0]
	for n < len(levels) {
		// Both are most likely as in the level before: one question tells.
		p, q, at := int64(0), int64(0), i+price.Size()
		first, second := jsonscan.WindowAt(t, i), jsonscan.WindowAt(t, at)
		if first != nil && second != nil &&
			price.Differs(first)|size.Differs(second)|jsonscan.NonDigits2(price.Digits(first), size.Digits(second)) == 0 {
			p, q, at = price.Number(price.Digits(first)), size.Number(size.Digits(second)), at+size.Size()
		} else if first != nil && goes(t, at) && price.Differs(first)|jsonscan.NonDigits(price.Digits(first)) == 0 {
			p, at = price.Number(price.Digits(first)), at+3
		} else if p, at = f.levelPriceAt(t, i); at >= 0 {
			q, at = f.levelSizeAt(t, at)
		}
		// A price of 0 is refused where errors are made.
		if uint(at) >= uint(len(t)) || p == 0 {
			return n, i, false
		}
		levels[n] = tick.Level{Price: p, Size: q}
		n++
		if i = at; t[at] != ',' {
			return n, i, false
		}
		i++
	}
	return n, i, true
}

// contractLevels is decimalLevels for sizes in contracts, which have lengths that
// follow no pattern.
//
// hot: per level, 0 allocs.
func (f *Frame) contractLevels(levels []tick.Level, t []byte, i int) (n, next int, more bool) {
	price := &f.levelPrice[0]
	for n < len(levels) {
		p, q, at := int64(0), int64(0), i
		if w := jsonscan.WindowAt(t, i); w != nil && price.Differs(w)|jsonscan.NonDigits(price.Digits(w)) == 0 {
			p, at = price.Number(price.Digits(w)), i+price.Size()
		} else {
			p, at = f.levelPriceAt(t, i)
		}
		if q, next = jsonscan.Whole(t, at); next < 0 || next >= len(t) || t[next] != ']' {
			q, next = f.levelSizeAt(t, at)
		} else {
			next++
		}
		if uint(next) >= uint(len(t)) || p == 0 {
			return n, i, false
		}
		levels[n] = tick.Level{Price: p, Size: q}
		n++
		if i = next; t[next] != ',' {
			return n, i, false
		}
		i++
	}
	return n, i, true
}

// levelPriceAt reads the beginning of a level up to its size, however the price is
// written: like the last, or like the one that was otherwise, most likely. next is
// -1 where it is not plain.
func (f *Frame) levelPriceAt(t []byte, i int) (price int64, next int) {
	if price, next = likeOneOf(&f.levelPrice, t, i); next >= 0 {
		return price, next
	}
	if price, next = f.plainPrice(t, i); next >= 0 {
		f.levelPrice[0].Learn(t, i, i+2, next-2, next)
	}
	return price, next
}

// plainPrice reads ["61837.63"," however the number is written; next is -1 where
// it is not plain.
func (f *Frame) plainPrice(t []byte, i int) (price int64, next int) {
	if i < 0 || i > len(t)-2 || t[i] != '[' || t[i+1] != '"' {
		return 0, -1
	}
	price, next = jsonscan.Fixed(t, i+2, f.price)
	if next < 0 || next > len(t)-2 || t[next] != ',' || t[next+1] != '"' {
		return 0, -1
	}
	return price, next + 2
}

// levelSizeAt reads the rest, likewise.
func (f *Frame) levelSizeAt(t []byte, i int) (size int64, next int) {
	if goes(t, i) {
		return 0, i + 3
	}
	if size, next = likeOneOf(&f.levelSize, t, i); next >= 0 {
		return size, next
	}
	size, next = jsonscan.Fixed(t, i, f.size)
	if next < 0 || next >= len(t) || t[next] != ']' {
		return 0, -1
	}
	f.levelSize[0].Learn(t, i, i, next, next+1)
	return size, next + 1
}

// likeOneOf reads a number that is like one of two, of which that becomes the
// first; if it is like neither, the older one does, and next is -1.
func likeOneOf(l *[2]jsonscan.Like, t []byte, i int) (n int64, next int) {
	w := jsonscan.WindowAt(t, i)
	if w == nil {
		return 0, -1
	}
	for range l {
		if l[0].Differs(w)|jsonscan.NonDigits(l[0].Digits(w)) == 0 {
			return l[0].Number(l[0].Digits(w)), i + l[0].Size()
		}
		l[0], l[1] = l[1], l[0]
	}
	l[0], l[1] = l[1], l[0]
	return 0, -1
}

// goes reports that the rest of a level, from its size on, is 0"]: it goes, as most
// venues write it, which tells nothing of how the others are written.
func goes(t []byte, i int) bool {
	return i >= 0 && i <= len(t)-3 && t[i] == '0' && t[i+1] == '"' && t[i+2] == ']'
}
