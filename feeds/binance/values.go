package binance

import (
	"math"

	"tickproc/internal/jsonscan"
)

func (d *decoder) has(f field) bool { return d.seen&(1<<f) != 0 }

// complete reports whether all fields were seen; if not, that is a fault.
func (d *decoder) complete(need fields, what string) bool {
	if d.seen&need == need {
		return true
	}
	d.Refuse("a " + what + " lacks a key")
	return false
}

// text returns a string field, escapes as written; nil if it is absent or no string.
func (d *decoder) text(f field) []byte {
	if !d.has(f) || d.values[f].Kind != jsonscan.String {
		return nil
	}
	return d.Scan.Bytes(d.values[f])
}

func (d *decoder) price(f field) int64 { return d.Price(d.values[f]) }

func (d *decoder) size(f field) int64 { return d.Size(d.values[f]) }

// uint reads a field that must be a whole number.
func (d *decoder) uint(f field) uint64 {
	v := d.values[f]
	if v.Kind != jsonscan.Uint {
		d.Refuse("an id is no whole number")
	}
	return v.Uint
}

// time returns the matching time, else the send time, in ns; 0 if there is
// none and none is needed.
func (d *decoder) time(needed bool) int64 {
	f := fieldTime
	if !d.has(f) {
		f = fieldEventTime
	}
	switch {
	case d.has(f):
		if d.values[f].Kind != jsonscan.Uint {
			d.Refuse("a time is no whole number")
		}
		return nanosOf(d.values[f].Uint)
	case needed:
		d.Refuse("no time")
	}
	return 0
}

// nanosOf reads a venue time by its magnitude: from 10^15 on (16 digits) it
// is in microseconds, as asked for by timeUnit=MICROSECOND, below in
// milliseconds. What no int64 of ns can hold is 0, no time; whether the others
// are near our clock is for the shard to judge.
func nanosOf(v uint64) int64 {
	unit := uint64(1e6)
	if v >= 1e15 {
		unit = 1e3
	}
	if v > math.MaxInt64/unit {
		return 0
	}
	return int64(v * unit)
}
