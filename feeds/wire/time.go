package wire

import "time"

// ParseTime reads RFC 3339, "2026-08-24T22:21:57.110183Z", as ns since the
// epoch; false if it is none. Digits finer than ns are cut. A time that no
// int64 of ns can hold is 0, no time: whether the others are near our clock is
// for the shard to judge.
//
// hot: per message, 0 allocs.
func ParseTime(t []byte) (nanos int64, ok bool) {
	if len(t) < len("2006-01-02T15:04:05Z") || t[4] != '-' || t[7] != '-' || t[10]|0x20 != 't' || t[13] != ':' || t[16] != ':' {
		return 0, false
	}
	good := true
	number := func(from, n int) (v int) {
		for _, c := range t[from : from+n] {
			good = good && c-'0' <= 9
			v = v*10 + int(c-'0')
		}
		return v
	}
	year, month, day := number(0, 4), number(5, 2), number(8, 2)
	hour, minute, second := number(11, 2), number(14, 2), number(17, 2)
	if !good || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 60 {
		return 0, false
	}
	i := 19
	fraction, unit := int64(0), int64(time.Second)
	if t[i] == '.' {
		from := i + 1
		for i = from; i < len(t) && t[i]-'0' <= 9; i++ {
			if unit /= 10; unit > 0 {
				fraction += int64(t[i]-'0') * unit
			}
		}
		if i == from {
			return 0, false
		}
	}
	offset := 0 // seconds
	switch rest := t[i:]; {
	case len(rest) == 1 && rest[0]|0x20 == 'z':
	case len(rest) == 6 && (rest[0] == '+' || rest[0] == '-') && rest[3] == ':':
		h, m := number(i+1, 2), number(i+4, 2)
		if !good || h > 23 || m > 59 {
			return 0, false
		}
		if offset = h*3600 + m*60; rest[0] == '-' {
			offset = -offset
		}
	default:
		return 0, false
	}
	if year < 1970 || year > 2261 {
		return 0, true
	}
	seconds := int64(daysSinceEpoch(year, month, day))*86400 + int64(hour*3600+minute*60+second-offset)
	return max(seconds*int64(time.Second)+fraction, 0), true
}

func daysIn(year, month int) int {
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		return 29
	}
	return [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
}

// daysSinceEpoch counts from 1970-01-01. The year is taken to begin in March,
// so that the leap day is its last.
func daysSinceEpoch(year, month, day int) int {
	if month <= 2 {
		year--
		month += 12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468
}
