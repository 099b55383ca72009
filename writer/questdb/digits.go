package questdb

import (
	"encoding/binary"
	"math/bits"
)

// Integers are printed eight digits at a time, a digit a byte of one word, the
// first digit in the lowest byte: as memory has them.

// zeros8 makes text of eight digits.
const zeros8 = 0x3030303030303030

// digits8 returns the digits of u, which is below 10^8. It divides in two, four,
// then eight lanes of a word at once (Khuong, "How to print integers really fast").
func digits8(u uint64) uint64 {
	pair := u/10000 | u%10000<<32
	top := pair * 10486 >> 20 & (0x7f | 0x7f<<32) // pair/100
	four := top + (pair-100*top)<<16
	tens := four * 103 >> 10 & 0x000f_000f_000f_000f // four/10
	return tens + (four-10*tens)<<8
}

func append8(dst []byte, digits uint64) []byte {
	return binary.LittleEndian.AppendUint64(dst, digits|zeros8)
}

// appendInt is strconv.AppendInt in base 10.
func appendInt(dst []byte, v int64) []byte {
	u := uint64(v)
	if v < 0 {
		dst = append(dst, '-')
		u = -u
	}
	return appendUint(dst, u)
}

// appendUint is strconv.AppendUint in base 10.
//
// hot: per number.
func appendUint(dst []byte, u uint64) []byte {
	switch {
	case u < 1e8:
		return appendFirst(dst, u)
	case u < 1e16:
		return append8(appendFirst(dst, u/1e8), digits8(u%1e8))
	}
	rest := u % 1e16
	return append8(append8(appendFirst(dst, u/1e16), digits8(rest/1e8)), digits8(rest%1e8))
}

// appendFirst appends u, which is below 10^8, without zeros in front.
func appendFirst(dst []byte, u uint64) []byte {
	d := digits8(u)
	zeros := min(bits.TrailingZeros64(d)/8, 7)
	end := len(dst) + 8 - zeros
	return binary.LittleEndian.AppendUint64(dst, (d|zeros8)>>(8*zeros))[:end]
}

// shortDigits is how many significant digits any decimal may have that is told
// from all others by its float64.
const shortDigits = 15

// appendShort appends v / 10^digits as strconv does the float64 nearest to it, in
// the format 'G' with the fewest digits that give the same float64 again. Not ok:
// v has more digits than shortDigits that count, or than 16 at all.
//
// A decimal of up to 15 significant digits is that text itself: no two of them
// have the same float64, and so none is shorter.
//
// hot: per number, 0 allocs.
func appendShort(dst []byte, v int64, digits int) (text []byte, ok bool) {
	u, negative := uint64(v), v < 0
	if negative {
		u = -u
	}
	width, a, b := 8, uint64(0), uint64(0)
	switch {
	case u == 0:
		return append(dst, '0'), true
	case u < 1e8:
		a = digits8(u)
	case u < 1e16:
		width, a, b = 16, digits8(u/1e8), digits8(u%1e8)
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
	point := width - front - digits // so many digits are before the point; negative: zeros behind it
	if negative {
		dst = append(dst, '-')
	}
	t := digitText{a | zeros8, b | zeros8}.from(front)
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
