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
	w, price, size := &f.Depth, f.price, f.size
	for {
		levels, n, more := w.side(ask), 0, true
		for n < len(levels) {
			var next int
			levels[n].Price, levels[n].Size, next = fourAt(t, i, price, size)
			if more = next >= 0; !more {
				break
			}
			n++
			if i = next; i >= len(t) || t[i] != ',' {
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
	l.Price, l.Size, next = fourAt(t, i, f.price, f.size)
	return l, next
}

// fourAt reads one level, and returns the place behind it; -1 where it is written
// otherwise.
func fourAt(t []byte, i int, priceDigits, sizeDigits uint8) (price, size int64, next int) {
	if i < 0 || i > len(t)-2 || t[i] != '[' || t[i+1] != '"' {
		return 0, 0, -1
	}
	price, i = jsonscan.Fixed(t, i+2, priceDigits)
	// A price of 0 is refused where errors are made.
	if i < 0 || i > len(t)-2 || t[i] != ',' || t[i+1] != '"' || price == 0 {
		return 0, 0, -1
	}
	size, i = jsonscan.Fixed(t, i+2, sizeDigits)
	// Behind it are a zero and how many orders there are.
	if i < 0 || i > len(t)-7 || string(t[i:i+4]) != `,"0"` || t[i+4] != ',' || t[i+5] != '"' {
		return 0, 0, -1
	}
	from := i + 6
	for i = from; i < len(t) && t[i]-'0' <= 9; i++ {
	}
	if i == from || i > len(t)-2 || t[i] != '"' || t[i+1] != ']' {
		return 0, 0, -1
	}
	return price, size, i + 2
}
