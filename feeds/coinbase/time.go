package coinbase

import (
	"math"

	"tickproc/internal/jsonscan"
)

// nanosOf reads "2026-08-24T22:34:13.793075885Z" as ns since the epoch. Zero,
// and no fault, is a time before 1970 or behind what int64 holds: the venue
// writes year 1 or 1970 where it has no time.
//
// hot: per time, 0 allocs.
func (d *decoder) nanosOf(v jsonscan.Value) int64 {
	if v.Kind == jsonscan.String {
		if n, ok := parseTime(d.Scan.Bytes(v)); ok {
			return n
		}
	}
	d.Refuse("a time is not in the form of RFC 3339 in UTC")
	return 0
}

func parseTime(t []byte) (nanos int64, ok bool) {
	const form = "0000-00-00T00:00:00" // 0 stands for any digit
	if len(t) <= len(form) || t[len(t)-1] != 'Z' {
		return 0, false
	}
	for i := range len(form) {
		if form[i] == '0' && t[i]-'0' > 9 || form[i] != '0' && t[i] != form[i] {
			return 0, false
		}
	}
	year, month, day := 100*pair(t, 0)+pair(t, 2), pair(t, 5), pair(t, 8)
	hour, minute, second := pair(t, 11), pair(t, 14), pair(t, 17)
	if month < 1 || month > 12 || day < 1 || day > daysOf(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	if fraction := t[len(form) : len(t)-1]; len(fraction) > 0 {
		if fraction[0] != '.' || len(fraction) < 2 || len(fraction) > 10 {
			return 0, false
		}
		unit := int64(1e9)
		for _, c := range fraction[1:] {
			if c-'0' > 9 {
				return 0, false
			}
			unit /= 10
			nanos += int64(c-'0') * unit
		}
	}
	seconds := daysSince1970(year, month, day)*86400 + hour*3600 + minute*60 + second
	if seconds < 0 || seconds >= math.MaxInt64/int64(1e9) {
		return 0, true
	}
	return seconds*1e9 + nanos, true
}

// pair is the number of two digits at i.
func pair(t []byte, i int) int64 { return int64(t[i]-'0')*10 + int64(t[i+1]-'0') }

func daysOf(year, month int64) int64 {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts years from March, so that the leap day is their last.
func daysSince1970(year, month, day int64) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*month-457)/5 + day - 719469
}
