package questdb

import (
	"encoding/binary"
	"math/bits"

	"tickproc/internal/digits"
)

// shortDigits is how many significant digits any decimal may have that is told
// from all others by its float64.
const shortDigits = 15

// appendShort appends v / 10^places as strconv does the float64 nearest to it, in
// the format 'G' with the fewest digits that give the same float64 again. Not ok:
// v has more digits than shortDigits that count, or than 16 at all.
//
// A decimal of up to 15 significant digits is that text itself: no two of them
// have the same float64, and so none is shorter.
//
// hot: per number, 0 allocs.
func appendShort(dst []byte, v int64, places int) (text []byte, ok bool) {
	u, negative := uint64(v), v < 0
	if negative {
		u = -u
	}
	width, a, b := 8, uint64(0), uint64(0)
	switch {
	case u == 0:
		return append(dst, '0'), true
	case u < 1e8:
		a = digits.Eight(u)
	case u < 1e16:
		width, a, b = 16, digits.Eight(u/1e8), digits.Eight(u%1e8)
	default:
		return dst, false
	}
	front := bits.TrailingZeros64(a) / 8
	back := bits.LeadingZeros64(b) / 8
	if b == 0 {
		back = width - 8 + bits.LeadingZeros64(a)/8
	}
	count := width - front - back
	if count > shortDigits {
		return dst, false
	}
	point := width - front - places // so many digits are before the point; negative: zeros behind it
	if negative {
		dst = append(dst, '-')
	}
	t := digitText{a | digits.Zeros, b | digits.Zeros}.from(front)
	n := len(dst)
	switch exponent := point - 1; {
	case exponent < -4 || exponent > 5:
		dst = t.append(dst)[:n+1]
		if count > 1 {
			dst = t.from(1).append(append(dst, '.'))[:n+1+count]
		}
		sign := byte('+')
		if exponent < 0 {
			sign, exponent = '-', -exponent
		}
		dst = append(dst, 'E', sign, '0'+byte(exponent/10), '0'+byte(exponent%10))
	case point <= 0:
		dst = append(dst, "0.000"[:2-point]...)
		n = len(dst)
		dst = t.append(dst)[:n+count]
	case count <= point:
		dst = t.append(dst)[:n+point]
	default:
		dst = t.append(dst)[:n+point]
		dst = t.from(point).append(append(dst, '.'))[:n+1+count]
	}
	return dst, true
}

// digitText is 16 bytes of text.
type digitText struct{ a, b uint64 }

// from is the text from byte n on, n at most 7.
func (t digitText) from(n int) digitText {
	return digitText{t.a>>(8*n) | t.b<<(64-8*n), t.b >> (8 * n)}
}

func (t digitText) append(dst []byte) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, t.a), t.b)
}
