// Package digits prints integers in base 10, eight digits at a time: a digit a byte
// of one word, the first digit in the lowest byte, as memory has them. It takes a
// third of strconv's instructions, and prints the same.
package digits

import (
	"encoding/binary"
	"math/bits"
)

// Zeros makes text of eight digits.
const Zeros = 0x3030303030303030

// Eight returns the digits of u, which is below 10^8. It divides in two, four,
// then eight lanes of a word at once (Khuong, "How to print integers really fast").
func Eight(u uint64) uint64 {
	pair := u/10000 | u%10000<<32
	top := pair * 10486 >> 20 & (0x7f | 0x7f<<32) // pair/100
	four := top + (pair-100*top)<<16
	tens := four * 103 >> 10 & 0x000f_000f_000f_000f // four/10
	return tens + (four-10*tens)<<8
}

func appendEight(dst []byte, digits uint64) []byte {
	return binary.LittleEndian.AppendUint64(dst, digits|Zeros)
}

// AppendInt is strconv.AppendInt in base 10.
func AppendInt(dst []byte, v int64) []byte {
	u := uint64(v)
	if v < 0 {
		dst = append(dst, '-')
		u = -u
	}
	return AppendUint(dst, u)
}

// AppendUint is strconv.AppendUint in base 10.
//
// hot: per number.
func AppendUint(dst []byte, u uint64) []byte {
	switch {
	case u < 1e8:
		return appendFirst(dst, u)
	case u < 1e16:
		return appendEight(appendFirst(dst, u/1e8), Eight(u%1e8))
	}
	rest := u % 1e16
	return appendEight(appendEight(appendFirst(dst, u/1e16), Eight(rest/1e8)), Eight(rest%1e8))
}

// appendFirst appends u, which is below 10^8, without zeros in front.
func appendFirst(dst []byte, u uint64) []byte {
	d := Eight(u)
	zeros := min(bits.TrailingZeros64(d)/8, 7)
	end := len(dst) + 8 - zeros
	return binary.LittleEndian.AppendUint64(dst, (d|Zeros)>>(8*zeros))[:end]
}
