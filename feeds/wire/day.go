package wire

import (
	"encoding/binary"

	"tickproc/internal/jsonscan"
)

// day remembers the date of the time that was read last: most times are of the
// same day, and only the time of day need be read.
type day struct {
	first, last uint64 // the eight bytes that 2026-08-24T begins and ends with
	nanos       int64  // midnight; 0 = no day is known
}

// timeAt reads a time as ParseTime does, with the quote behind it, and returns ns
// and the place behind the quote; -1 where it is not of UTC, is before 1970, or is
// otherwise than most are.
//
// hot: per time, 0 allocs.
func (d *day) timeAt(t []byte, i int) (nanos int64, next int) {
	if i < 0 || i > len(t)-11 {
		return 0, -1
	}
	date := (*[11]byte)(t[i : i+11])
	if binary.LittleEndian.Uint64(date[:8]) != d.first || binary.LittleEndian.Uint64(date[3:]) != d.last || d.nanos == 0 {
		if !d.set(date[:]) {
			return 0, -1
		}
	}
	if nanos, next = jsonscan.DayTime(t, i+11); next < 0 {
		return 0, -1
	}
	return d.nanos + nanos, next
}

// set remembers another date.
func (d *day) set(date []byte) bool {
	*d = day{}
	var text [20]byte
	copy(text[copy(text[:], date):], "00:00:00Z")
	nanos, ok := ParseTime(text[:])
	if !ok || nanos == 0 {
		return false
	}
	*d = day{binary.LittleEndian.Uint64(date[:8]), binary.LittleEndian.Uint64(date[3:11]), nanos}
	return true
}
