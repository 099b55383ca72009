package jsonscan

import "encoding/binary"

// DayTime reads the time of day at i as RFC 3339 writes it in UTC,
// 22:21:57.110183Z, with or without a fraction, to the quote behind it, and
// returns ns since midnight and the index behind the quote; -1 where it is
// written otherwise, or finer than ns. A second may be the 60th.
//
// hot: per time, 0 allocs.
func DayTime(t []byte, i int) (nanos int64, next int) {
	if i < 0 || i > len(t)-18 {
		return dayTimeEnd(t, i)
	}
	// Digits become their values, and each pair its number in its first byte.
	const colons = ':'<<16 | ':'<<40
	const digits = '0'*ones&^(0xff<<16|0xff<<40) | colons
	text := (*[18]byte)(t[i : i+18])
	w := binary.LittleEndian.Uint64(text[:8]) ^ digits
	if nonDigits(w) != 0 || w&(0xff<<16|0xff<<40) != 0 {
		return 0, -1
	}
	w = w*10 + w>>8
	hour, minute, second := int64(w&0xff), int64(w>>24&0xff), int64(w>>48&0xff)
	if hour > 23 || minute > 59 || second > 60 {
		return 0, -1
	}
	nanos = (hour*3600 + minute*60 + second) * 1e9
	if text[8] != '.' {
		return zulu(t, i+8, nanos)
	}
	part := binary.LittleEndian.Uint64(text[9:17]) ^ '0'*ones
	n := digitBits(part)
	if n == 0 {
		return 0, -1
	}
	// What is behind the digits counts as zeros.
	part = part << ((64 - n) & 63) >> ((64 - n) & 63)
	nanos += int64(eightDigits(part)) * 10
	i += 9 + int(n/8)
	if n == 64 && i >= 0 && i < len(t) && t[i]-'0' <= 9 {
		nanos += int64(t[i] - '0')
		i++
	}
	return zulu(t, i, nanos)
}

// zulu reads the end of a time.
func zulu(t []byte, i int, nanos int64) (int64, int) {
	if i < 0 || i > len(t)-2 || t[i] != 'Z' || t[i+1] != '"' {
		return 0, -1
	}
	return nanos, i + 2
}

// dayTimeEnd is DayTime where the text ends soon.
func dayTimeEnd(t []byte, i int) (nanos int64, next int) {
	if i < 0 || i >= len(t) {
		return 0, -1
	}
	var padded [36]byte
	n := copy(padded[:], t[i:])
	if nanos, next = DayTime(padded[:], 0); next < 0 || next > n {
		return 0, -1
	}
	return nanos, i + next
}
