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
	if len(t) < len("2026-08-24T22:34:13Z") || t[4] != '-' || t[7] != '-' || t[10] != 'T' || t[13] != ':' || t[16] != ':' || t[len(t)-1] != 'Z' {
		return 0, false
	}
	bad := false
	digits := func(from, to int) (n int64) {
		for _, c := range t[from:to] {
			bad = bad || c-'0' > 9
			n = n*10 + int64(c-'0')
		}
		return n
	}
	year, month, day := digits(0, 4), digits(5, 7), digits(8, 10)
	hour, minute, second := digits(11, 13), digits(14, 16), digits(17, 19)
	if bad || month < 1 || month > 12 || day < 1 || day > daysOf(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	if fraction := t[19 : len(t)-1]; len(fraction) > 0 {
		if fraction[0] != '.' || len(fraction) < 2 || len(fraction) > 10 {
			return 0, false
		}
		nanos = digits(20, len(t)-1)
		for range 10 - len(fraction) {
			nanos *= 10
		}
		if bad {
			return 0, false
		}
	}
	seconds := daysSince1970(year, month, day)*86400 + hour*3600 + minute*60 + second
	if seconds < 0 || seconds >= math.MaxInt64/int64(1e9) {
		return 0, true
	}
	return seconds*1e9 + nanos, true
}

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
