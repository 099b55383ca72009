package jsonscan

import (
	"encoding/binary"
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

func digitsEnd(t []byte, i int) int {
	for i < len(t) && t[i]-'0' <= 9 {
		i++
	}
	return i
}

// Pair reads ["61837.63","1.5"], the way most venues write a level, as two
// integers with the given decimal places: 6183763 and 15 for 2 and 1. Zeros
// beyond the places do not count. Anything out of this plain way (white space,
// signs, bare numbers, more elements, more digits) is not ok and leaves the
// position where it was.
//
// hot: per level, 0 allocs.
func (s *Scanner) Pair(places1, places2 uint8) (v1, v2 int64, ok bool) {
	t, i := s.text, s.at
	if i+1 >= len(t) || t[i] != '[' || t[i+1] != '"' {
		return 0, 0, false
	}
	a, i := fixed(t, i+2, uint(places1))
	if i < 0 || i+1 >= len(t) || t[i] != ',' || t[i+1] != '"' {
		return 0, 0, false
	}
	b, i := fixed(t, i+2, uint(places2))
	if i < 0 || i >= len(t) || t[i] != ']' {
		return 0, 0, false
	}
	s.at = i + 1
	return int64(a), int64(b), true
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
func fixed(t []byte, i int, places uint) (v uint64, next int) {
	if places > placesFast || i < 0 || i+8 > len(t) {
		return 0, -1
	}
	whole := binary.LittleEndian.Uint64(t[i:]) ^ '0'*ones
	end := i
	for end < len(t) && t[end]-'0' <= 9 {
		end++
	}
	n := uint(end - i)
	var part uint64
	if end+9 <= len(t) && t[end] == '.' {
		from := end + 1
		part = binary.LittleEndian.Uint64(t[from:]) ^ '0'*ones
		if end = from + 8; nonDigits(part) != 0 {
			for end = from; t[end]-'0' <= 9; {
				end++
			}
			part &= 1<<(8*uint(end-from)) - 1
		}
		if end == from || part>>(8*places) != 0 {
			return 0, -1
		}
	}
	if end >= len(t) || t[end] != '"' {
		return 0, -1
	}
	// Shifting moves a digit to its place: the last ends in the highest byte.
	part <<= 64 - 8*places
	switch {
	case n-1 < 8-places:
		v = eightDigits(whole<<(64-8*n)>>(8*places) | part)
	case n-1 < 8:
		v = eightDigits(whole<<(64-8*n))*pow10[places] + eightDigits(part)
	case n-1 < wholeFast:
		v = eightDigits(whole)
		for _, c := range t[i+8 : i+int(n)] {
			v = v*10 + uint64(c-'0')
		}
		v = v*pow10[places] + eightDigits(part)
	default:
		return 0, -1
	}
	return v, end + 1
}

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
