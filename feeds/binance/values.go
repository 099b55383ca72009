package binance

import (
	"fmt"
	"math"
	"unicode/utf8"

	"tickproc/feeds"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

func (d *decoder) has(f field) bool { return d.seen&(1<<f) != 0 }

// complete reports whether all fields were seen; if not, that is a fault.
func (d *decoder) complete(need fields, what string) bool {
	if d.seen&need == need {
		return true
	}
	d.refuse("a " + what + " lacks a key")
	return false
}

// text returns a string field, escapes as written; nil if it is absent or no string.
func (d *decoder) text(f field) []byte {
	if !d.has(f) || d.values[f].Kind != jsonscan.String {
		return nil
	}
	return d.scan.Bytes(d.values[f])
}

// lookup finds whom the message is about, and the scale; false is a fault.
func (d *decoder) lookup(symbol []byte) bool {
	if d.entry = d.table.Known(symbol); d.entry == nil {
		d.discover(symbol)
	}
	if d.entry == nil {
		return false
	}
	d.scale()
	return true
}

// discover is lookup's rare way: symbols with escapes, new ones, wrong ones.
func (d *decoder) discover(symbol []byte) {
	if len(symbol) <= 6*len(d.symbolText) {
		symbol = jsonscan.AppendUnescaped(d.symbolText[:0], symbol)
	}
	if len(symbol) == 0 || len(symbol) > len(d.symbolText) || !utf8.Valid(symbol) {
		d.refuse("no usable symbol")
	}
	if !d.sound() {
		return
	}
	if d.entry = d.table.Lookup(symbol); d.entry == nil {
		d.err = fmt.Errorf("%s: %w: %q", d.market.venue, feeds.ErrUnknownSymbol, symbol)
	}
}

func (d *decoder) scale() {
	d.priceDigits, d.sizeDigits = max(d.entry.PriceDigits, d.priceNeeds), max(d.entry.SizeDigits, d.sizeNeeds)
}

func (d *decoder) price(f field) int64 {
	return d.scaled(d.values[f], d.priceDigits, &d.priceNeeds)
}

func (d *decoder) size(f field) int64 { return d.scaled(d.values[f], d.sizeDigits, &d.sizeNeeds) }

// scaled reads a number, in quotes or bare. One that is finer than the scale
// raises needs and stands in as 1, until the frame is read again.
func (d *decoder) scaled(v jsonscan.Value, digits uint8, needs *uint8) int64 {
	if n, plain := d.scan.Plain(v, digits); plain {
		return n
	}
	switch v.Kind {
	case jsonscan.String, jsonscan.Uint, jsonscan.Number:
	default:
		d.refuse("no number where one must be")
		return 0
	}
	text := d.scan.Bytes(v)
	n, err := tick.ParseScaled(text, digits)
	switch {
	case err == nil:
	case err == tick.ErrFiner:
		exact, _ := tick.ParseNumber(text)
		*needs = max(*needs, exact.Digits)
		if d.err == nil {
			d.err = errFiner
		}
		return 1
	case err != tick.ErrRange:
		d.refuse("no number where one must be")
	case d.sound():
		d.err = fmt.Errorf("%s: %w: %.40q with %d decimal places", d.market.venue, feeds.ErrNumberRange, text, digits)
	}
	return n
}

// uint reads a field that must be a whole number.
func (d *decoder) uint(f field) uint64 {
	v := d.values[f]
	if v.Kind != jsonscan.Uint {
		d.refuse("an id is no whole number")
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
			d.refuse("a time is no whole number")
		}
		return nanosOf(d.values[f].Uint)
	case needed:
		d.refuse("no time")
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
