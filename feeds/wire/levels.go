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
	w, price, size := &f.Depth, f.price, f.size
	for {
		levels, n := w.room(), 0
		for n < len(levels) {
			if i > len(t)-2 || i < 0 || t[i] != '[' || t[i+1] != '"' {
				w.took(n)
				return i
			}
			p, next := jsonscan.Fixed(t, i+2, price)
			if next > len(t)-2 || next < 0 || t[next] != ',' || t[next+1] != '"' {
				w.took(n)
				return i
			}
			q, next := jsonscan.Fixed(t, next+2, size)
			// A price of 0 is refused where errors are made.
			if next > len(t)-2 || next < 0 || t[next] != ']' || p == 0 {
				w.took(n)
				return i
			}
			levels[n] = tick.Level{Price: p, Size: q}
			n++
			if i = next + 1; t[i] != ',' {
				w.took(n)
				return i
			}
			i++
		}
		w.took(n)
	}
}
