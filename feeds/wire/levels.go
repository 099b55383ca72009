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
	d, price, size := &f.Depth, &f.levelPrice[0], &f.levelSize[0]
	contracts := f.size == 0 // their lengths follow no pattern
	for k := range f.levelPrice {
		f.levelPrice[k].For(f.price)
		f.levelSize[k].For(f.size)
	}
	for {
		levels, n := d.room(), 0
		for n < len(levels) {
			p, q, at := int64(0), int64(0), i
			if w := jsonscan.WindowAt(t, at); w != nil && price.Differs(w)|jsonscan.NonDigits(price.Digits(w)) == 0 {
				p, at = price.Number(price.Digits(w)), at+price.Size()
			} else {
				p, at = f.levelsPrice(t, at)
			}
			if contracts {
				q, at = f.levelsSize(t, at)
			} else if w := jsonscan.WindowAt(t, at); w != nil && size.Differs(w)|jsonscan.NonDigits(size.Digits(w)) == 0 {
				q, at = size.Number(size.Digits(w)), at+size.Size()
			} else {
				q, at = f.levelsSize(t, at)
			}
			// A price of 0 is refused where errors are made.
			if uint(at) >= uint(len(t)) || p == 0 {
				d.took(n)
				return i
			}
			levels[n] = tick.Level{Price: p, Size: q}
			n++
			if i = at; t[at] != ',' {
				d.took(n)
				return i
			}
			i++
		}
		d.took(n)
	}
}

// levelsPrice reads the beginning of a level up to its size, however the price
// is written: like the one before the last, most likely. next is -1 where it is not plain.
func (f *Frame) levelsPrice(t []byte, i int) (price int64, next int) {
	if i < 0 || i > len(t)-2 || t[i] != '[' || t[i+1] != '"' {
		return 0, -1
	}
	l := &f.levelPrice
	if w := jsonscan.WindowAt(t, i); w != nil {
		if l[0], l[1] = l[1], l[0]; l[0].Differs(w)|jsonscan.NonDigits(l[0].Digits(w)) == 0 {
			return l[0].Number(l[0].Digits(w)), i + l[0].Size()
		}
	}
	price, next = jsonscan.Fixed(t, i+2, f.price)
	if next < 0 || next > len(t)-2 || t[next] != ',' || t[next+1] != '"' {
		return 0, -1
	}
	l[0].Learn(t, i, i+2, next, next+2)
	return price, next + 2
}

// levelsSize reads the rest, likewise.
func (f *Frame) levelsSize(t []byte, i int) (size int64, next int) {
	// A level that goes, which tells nothing of the others.
	if i >= 0 && i <= len(t)-3 && t[i] == '0' && t[i+1] == '"' && t[i+2] == ']' {
		return 0, i + 3
	}
	if f.size == 0 {
		if size, next = jsonscan.Whole(t, i); next > 0 && next < len(t) && t[next] == ']' {
			return size, next + 1
		}
	}
	l := &f.levelSize
	if w := jsonscan.WindowAt(t, i); w != nil {
		if l[0], l[1] = l[1], l[0]; l[0].Differs(w)|jsonscan.NonDigits(l[0].Digits(w)) == 0 {
			return l[0].Number(l[0].Digits(w)), i + l[0].Size()
		}
	}
	size, next = jsonscan.Fixed(t, i, f.size)
	if next < 0 || next >= len(t) || t[next] != ']' {
		return 0, -1
	}
	l[0].Learn(t, i, i, next, next+1)
	return size, next + 1
}
