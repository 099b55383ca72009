package jsonscan

import "encoding/binary"

// Bare reads the plain decimal at i, written without quotes, at the given decimal
// places as Fixed does, and returns the index behind it; -1 where it is not plain,
// or finer. What ends a number (not a digit, point or exponent) is the caller's to
// see.
//
// hot: per number, 0 allocs.
func Bare(t []byte, i int, places uint8) (n int64, next int) {
	v, next := bare(t, i, uint(places))
	return int64(v), next
}

// bare is fixed for a number without quotes.
func bare(t []byte, i int, places uint) (v uint64, next int) {
	if places > placesFast || i < 0 {
		return 0, -1
	}
	if i > len(t)-8 {
		return bareOther(t, i, places)
	}
	whole := binary.LittleEndian.Uint64(t[i:i+8]) ^ '0'*ones
	n := digitBits(whole)
	dot := i + int(n/8)
	if n == 64 || dot < 0 || dot > len(t)-9 || t[dot] != '.' {
		return bareOther(t, i, places)
	}
	part := binary.LittleEndian.Uint64(t[dot+1:dot+9]) ^ '0'*ones
	k := digitBits(part)
	// JSON has no zeros before others.
	if n == 0 || k == 0 || n > 8 && byte(whole) == 0 {
		return 0, -1
	}
	next = dot + 1 + int(k/8)
	whole <<= (64 - n) & 63
	part = part << ((64 - k) & 63) >> ((64 - k) & 63)
	if places == 0 {
		if part != 0 {
			return 0, -1
		}
		return eightDigits(whole), next
	}
	if places < placesFast && part>>(8*places&63) != 0 {
		return 0, -1
	}
	part <<= (64 - 8*places) & 63
	if n+8*places <= 64 {
		return eightDigits(whole>>(8*places&63) | part), next
	}
	return eightDigits(whole)*pow10[places] + eightDigits(part), next
}

// bareOther is bare for what few numbers are: whole, of eight and more digits
// before the point, or at the end of the text.
func bareOther(t []byte, i int, places uint) (v uint64, next int) {
	v, next = slow(t, i, places)
	if next > i+1 && t[i] == '0' && t[i+1] != '.' {
		return 0, -1
	}
	return v, next
}

// NumberEnd returns the index behind the number at i, -1 where there is none, or
// one with an exponent.
//
// hot: per number, 0 allocs.
func NumberEnd(t []byte, i int) (next int) {
	if uint(i) < uint(len(t)) && t[i] == '-' {
		i++
	}
	if i < 0 || i > len(t)-8 {
		return numberEndOther(t, i)
	}
	n := digitBits(binary.LittleEndian.Uint64(t[i:i+8]) ^ '0'*ones)
	dot := i + int(n/8)
	if n == 64 || dot < 0 || dot > len(t)-10 || t[dot] != '.' {
		return numberEndOther(t, i)
	}
	k := digitBits(binary.LittleEndian.Uint64(t[dot+1:dot+9]) ^ '0'*ones)
	if next = dot + 1 + int(k/8); n == 0 || n > 8 && t[i] == '0' || k == 0 {
		return -1
	}
	if k == 64 {
		next = digitsEnd(t, next)
	}
	if uint(next) < uint(len(t)) && t[next]|0x20 == 'e' {
		return -1
	}
	return next
}

// numberEndOther is NumberEnd for those without a point, or far before it.
func numberEndOther(t []byte, i int) (next int) {
	from := i
	if i = digitsEnd(t, i); i == from || i < 0 || t[from] == '0' && i > from+1 {
		return -1
	}
	if i < len(t) && t[i] == '.' {
		from = i + 1
		if i = digitsEnd(t, from); i == from {
			return -1
		}
	}
	if i < len(t) && t[i]|0x20 == 'e' {
		return -1
	}
	return i
}
