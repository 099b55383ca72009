package wire

import (
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// Fours reads the levels from i on that are written ["78722.3","0.387","0","10"],
// of which only price and size count, one after the other with nothing but a comma
// between, into a side of Depth; the sides may come in any order. It returns the
// place behind the last level, or that of the first which is written otherwise.
//
// hot: per level, 0 allocs.
func (f *Frame) Fours(t []byte, i int, ask bool) int {
	w := &f.Depth
	f.levelPrice[0].For(f.price)
	f.levelSize[0].For(f.size)
	for {
		levels, n, more := w.side(ask), 0, true
		for n < len(levels) {
			p, q, at := f.four(t, i)
			if more = at >= 0; !more {
				break
			}
			levels[n] = tick.Level{Price: p, Size: q}
			n++
			if i = at; i >= len(t) || t[i] != ',' {
				more = false
				break
			}
			i++
		}
		if w.sideTook(ask, n); !more {
			return i
		}
	}
}

// Four reads one such level at i, and returns the place behind it; -1 where it is
// written otherwise.
func (f *Frame) Four(t []byte, i int) (l tick.Level, next int) {
	f.levelPrice[0].For(f.price)
	f.levelSize[0].For(f.size)
	l.Price, l.Size, next = f.four(t, i)
	return l, next
}

func (f *Frame) four(t []byte, i int) (price, size int64, next int) {
	if w, l := jsonscan.WindowAt(t, i), &f.levelPrice[0]; w != nil && l.Differs(w)|jsonscan.NonDigits(l.Digits(w)) == 0 {
		price, i = l.Number(l.Digits(w)), i+l.Size()
	} else {
		price, i = f.foursPrice(t, i)
	}
	if w, l := jsonscan.WindowAt(t, i), &f.levelSize[0]; w != nil && l.Differs(w)|jsonscan.NonDigits(l.Digits(w)) == 0 {
		size, i = l.Number(l.Digits(w)), i+l.Size()
	} else {
		size, i = f.foursSize(t, i)
	}
	// How many orders there are. A price of 0 is refused where errors are made.
	if i < 0 || i > len(t)-3 || price == 0 || t[i]-'0' > 9 {
		return 0, 0, -1
	}
	if i++; t[i] != '"' {
		for i < len(t) && t[i]-'0' <= 9 {
			i++
		}
	}
	if i < 0 || i > len(t)-2 || t[i] != '"' || t[i+1] != ']' {
		return 0, 0, -1
	}
	return price, size, i + 2
}

// foursPrice reads the beginning of a level up to its size, however the price is
// written. next is -1 where it is not plain.
func (f *Frame) foursPrice(t []byte, i int) (price int64, next int) {
	if price, next = f.plainPrice(t, i); next >= 0 && f.foursLonger(next-i, &f.levelPrice[0]) {
		f.levelPrice[0].Learn(t, i, i+2, next-2, next)
	}
	return price, next
}

// foursSize reads the size and the zero behind it, likewise.
func (f *Frame) foursSize(t []byte, i int) (size int64, next int) {
	const behind = `,"0","`
	if i >= 0 && i <= len(t)-8 && t[i] == '0' && t[i+1] == '"' && string(t[i+2:i+6]) == `,"0"` && t[i+6] == ',' && t[i+7] == '"' {
		return 0, i + 8 // a level that goes
	}
	size, next = jsonscan.Fixed(t, i, f.size)
	if next < 0 || next > len(t)-len(behind) || string(t[next:next+4]) != `,"0"` || t[next+4] != ',' || t[next+5] != '"' {
		return 0, -1
	}
	if f.size > 0 && f.foursLonger(next+len(behind)-i, &f.levelSize[0]) {
		f.levelSize[0].Learn(t, i, i, next, next+len(behind))
	}
	return size, next + len(behind)
}

// foursLonger reports whether a text is to be learnt: this venue writes no zeros
// at the end of a number, so that most are as long as they can be, and one that is
// shorter for once tells nothing of the others.
func (f *Frame) foursLonger(size int, like *jsonscan.Like) bool {
	f.foursShort++
	return size >= like.Size() || f.foursShort%16 == 0
}
