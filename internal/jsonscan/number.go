package jsonscan

import (
	"encoding/binary"
	"math/bits"
)

// number reads a number by JSON's grammar.
func (s *Scanner) number() Value {
	t, i := s.text, s.at
	v := Value{Kind: Uint, Start: int32(i)}
	if i < len(t) && t[i] == '-' {
		v.Kind = Number
		i++
	}
	first := i
	// Times and ids have 10 to 19 digits: take the first eight at once.
	if i+8 <= len(t) {
		if w := binary.LittleEndian.Uint64(t[i:]) ^ '0'*ones; nonDigits(w) == 0 {
			v.Uint = eightDigits(w)
			i += 8
		}
	}
	for i < len(t) && t[i]-'0' <= 9 {
		v.Uint = v.Uint*10 + uint64(t[i]-'0')
		i++
	}
	if i == first || t[first] == '0' && i > first+1 {
		s.Fail()
		return Value{}
	}
	if i < len(t) && (t[i] == '.' || t[i]|0x20 == 'e') {
		v.Kind = Number
		if i = fraction(t, i); i < 0 {
			s.Fail()
			return Value{}
		}
	}
	s.at = i
	v.End = int32(i)
	if v.Kind == Number || i-first > 19 { // 20 digits may not fit
		v.Kind, v.Uint = Number, 0
	}
	return v
}

// fraction returns the end of the fraction and exponent at i, -1 if they are broken.
func fraction(t []byte, i int) int {
	if t[i] == '.' {
		from := i + 1
		if i = digitsEnd(t, from); i == from {
			return -1
		}
	}
	if i < len(t) && t[i]|0x20 == 'e' {
		i++
		if i < len(t) && (t[i] == '+' || t[i] == '-') {
			i++
		}
		from := i
		if i = digitsEnd(t, from); i == from {
			return -1
		}
	}
	return i
}

// digitsEnd returns where the digits at i end, eight at once.
func digitsEnd(t []byte, i int) int {
	for i >= 0 && i <= len(t)-8 {
		n := digitBits(binary.LittleEndian.Uint64(t[i:i+8]) ^ '0'*ones)
		if i += int(n / 8); n < 64 {
			return i
		}
	}
	for uint(i) < uint(len(t)) && t[i]-'0' <= 9 {
		i++
	}
	return i
}

// Digits reads the whole number at i as a JSON text has it: one to 19 digits, no
// zero before others. next is -1 where there is none.
//
// hot: per number, 0 allocs.
func Digits(t []byte, i int) (v uint64, next int) {
	from := i
	// Times and ids have 10 to 19 digits: take eight at once, twice.
	if i >= 0 && i <= len(t)-16 {
		w := binary.LittleEndian.Uint64(t[i:i+8]) ^ '0'*ones
		n := digitBits(w)
		if n < 64 {
			if n == 0 || t[i] == '0' && n > 8 {
				return 0, -1
			}
			return eightDigits(w << ((64 - n) & 63)), i + int(n/8)
		}
		more := binary.LittleEndian.Uint64(t[i+8:i+16]) ^ '0'*ones
		n = digitBits(more)
		v = eightDigits(w)*pow10[n/8] + eightDigits(more<<(64-n))
		i += 8 + int(n/8)
	}
	for ; uint(i) < uint(len(t)) && t[i]-'0' <= 9; i++ {
		if i-from == 19 {
			return 0, -1
		}
		v = v*10 + uint64(t[i]-'0')
	}
	if i == from || t[from] == '0' && i > from+1 {
		return 0, -1
	}
	return v, i
}

// Fixed reads the plain decimal at i, behind its opening quote, as Pair does,
// and returns the index behind its closing quote; -1 where it is not plain.
//
// hot: per number, 0 allocs.
func Fixed(t []byte, i int, places uint8) (n int64, next int) {
	v, next := fixed(t, i, uint(places))
	return int64(v), next
}

// Whole reads the number at i, behind its opening quote, if it has one to seven
// digits and no point, and returns the index behind its closing quote; else -1.
//
// hot: per number, 0 allocs.
func Whole(t []byte, i int) (n int64, next int) {
	if i < 0 || i > len(t)-8 {
		return 0, -1
	}
	w := binary.LittleEndian.Uint64(t[i:i+8]) ^ '0'*ones
	size := digitBits(w)
	if size == 0 || w>>(size&63)&0xff != '"'^'0' {
		return 0, -1
	}
	return int64(eightDigits(w << ((64 - size) & 63))), i + int(size/8) + 1
}

// Pair reads ["61837.63","1.5"], the way most venues write a level, as two
// integers with the given decimal places: 6183763 and 15 for 2 and 1. Zeros
// beyond the places do not count. Anything out of this plain way (white space,
// signs, bare numbers, more elements, more digits) is not ok and leaves the
// position where it was.
//
// hot: per level, 0 allocs.
func (s *Scanner) Pair(places1, places2 uint8) (v1, v2 int64, ok bool) {
	v1, v2, next := PairAt(s.text, s.at, places1, places2)
	if next < 0 {
		return 0, 0, false
	}
	s.at = next
	return v1, v2, true
}

// PairAt is Pair at i of a text; it returns the index behind it, -1 where it is
// not plain.
//
// hot: per level, 0 allocs.
func PairAt(t []byte, i int, places1, places2 uint8) (v1, v2 int64, next int) {
	if i < 0 || i > len(t)-2 || t[i] != '[' || t[i+1] != '"' {
		return 0, 0, -1
	}
	a, i := fixed(t, i+2, uint(places1))
	if i < 0 || i > len(t)-2 || t[i] != ',' || t[i+1] != '"' {
		return 0, 0, -1
	}
	b, i := fixed(t, i+2, uint(places2))
	if i < 0 || i >= len(t) || t[i] != ']' {
		return 0, 0, -1
	}
	return int64(a), int64(b), i + 1
}

// Plain converts a string value the way Pair does.
//
// hot: per number, 0 allocs.
func (s *Scanner) Plain(v Value, places uint8) (n int64, ok bool) {
	if v.Kind != String {
		return 0, false
	}
	u, next := fixed(s.text, int(v.Start), uint(places))
	return int64(u), next == int(v.End)+1
}

// placesFast and wholeFast bound what fixed reads: together they fit int64.
const (
	placesFast = 8
	wholeFast  = 10
)

var pow10 = [placesFast + 1]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8}

// fixed reads the plain decimal at i, behind its opening quote, at the given
// decimal places, and returns the index behind the closing quote; -1 where
// the text is not plain, or finer.
//
// Eight bytes from the start and eight behind the point are read at once, and
// how many of them are digits moves them by shifts, not by branches: the
// lengths of sizes follow no pattern that a processor could foretell.
//
// hot: per number, 0 allocs, inlines what it calls.
func fixed(t []byte, i int, places uint) (v uint64, next int) {
	if places > placesFast || i < 0 {
		return 0, -1
	}
	if i > len(t)-8 {
		return fixedOther(t, i, places)
	}
	whole := binary.LittleEndian.Uint64(t[i:i+8]) ^ '0'*ones
	n := digitBits(whole)
	dot := i + int(n/8)
	if n == 64 || dot < 0 || dot > len(t)-10 {
		return fixedOther(t, i, places)
	}
	if t[dot] != '.' {
		if t[dot] != '"' || n == 0 {
			return 0, -1
		}
		return eightDigits(whole<<((64-n)&63)) * pow10[places], dot + 1
	}
	behind := (*[9]byte)(t[dot+1 : dot+10])
	part := binary.LittleEndian.Uint64(behind[:8]) ^ '0'*ones
	k := digitBits(part)
	if n == 0 || k == 0 || behind[k/8] != '"' {
		return 0, -1
	}
	// Shifting moves digits to their places: the last ends in the highest byte.
	// Shifts are below 64, and masked so that the compiler knows.
	whole <<= (64 - n) & 63
	part = part << ((64 - k) & 63) >> ((64 - k) & 63)
	if places == 0 {
		if part != 0 {
			return 0, -1
		}
		return eightDigits(whole), dot + 2 + int(k/8)
	}
	if places < placesFast && part>>(8*places&63) != 0 {
		return 0, -1
	}
	part <<= (64 - 8*places) & 63
	if n+8*places <= 64 {
		return eightDigits(whole>>(8*places&63) | part), dot + 2 + int(k/8)
	}
	return eightDigits(whole)*pow10[places] + eightDigits(part), dot + 2 + int(k/8)
}

// fixedOther is fixed for what few numbers are: of eight and more digits before
// the point, or at the end of the text.
func fixedOther(t []byte, i int, places uint) (v uint64, next int) {
	v, next = slow(t, i, places)
	if next < 0 || next >= len(t) || t[next] != '"' {
		return 0, -1
	}
	return v, next + 1
}

// slow reads the plain decimal at i digit by digit, and returns the index behind
// it; -1 where it has too many digits, or is finer.
func slow(t []byte, i int, places uint) (v uint64, next int) {
	from := i
	for ; i >= 0 && i < len(t) && t[i]-'0' <= 9; i++ {
		if i-from == wholeFast {
			return 0, -1
		}
		v = v*10 + uint64(t[i]-'0')
	}
	if i == from {
		return 0, -1
	}
	left := places
	if i < len(t) && t[i] == '.' {
		i++
		from = i
		for ; i < len(t) && t[i]-'0' <= 9; i++ {
			switch {
			case i-from == placesFast:
				return 0, -1
			case left > 0:
				v = v*10 + uint64(t[i]-'0')
				left--
			case t[i] != '0':
				return 0, -1
			}
		}
		if i == from {
			return 0, -1
		}
	}
	return v * pow10[left], i
}

// digitBits is eight times the number of digits that w begins with, given text
// with '0' taken away by xor.
func digitBits(w uint64) uint { return uint(bits.TrailingZeros64(nonDigits(w))) &^ 7 }

// AllDigits reports that eight bytes of text are digits.
func AllDigits(w uint64) bool { return nonDigits(w^'0'*ones) == 0 }

// EightDigits is the number that eight digits of text are, the first in the
// lowest byte. Bytes of zero before them count as zeros.
func EightDigits(w uint64) uint64 { return eightDigits(w & (0x0f * ones)) }

// nonDigits marks the high bit of bytes that are no digits, given text with
// '0' taken away by xor. The lowest mark is exact, marks above it may be carries.
func nonDigits(w uint64) uint64 { return (w + 0x76*ones | w) & highs }

// eightDigits is the number whose digits are the bytes of w, the first digit
// in the lowest byte: digits are joined to pairs, pairs to fours, fours to
// eight.
func eightDigits(w uint64) uint64 {
	w = w*10 + w>>8
	return (w&0x000000ff000000ff*0x000f424000000064 + w>>16&0x000000ff000000ff*0x0000271000000001) >> 32
}
