package okx

import (
	"math"

	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// complete reports whether all fields were seen; if not, that is a fault.
func (d *decoder) complete(o *scope, need fields) bool {
	if o.seen&need == need {
		return true
	}
	d.Refuse("a message lacks a key")
	return false
}

// text returns a string field, escapes as written; nil if it is absent or no string.
func (d *decoder) text(o *scope, f field) []byte {
	if !o.has(f) || o.values[f].Kind != jsonscan.String {
		return nil
	}
	return d.Scan.Bytes(o.values[f])
}

// told reports whether a field has a value: the venue writes "" where there is none.
func (d *decoder) told(o *scope, f field) bool {
	return o.has(f) && (o.values[f].Kind != jsonscan.String || o.values[f].Start != o.values[f].End)
}

// uint reads a field that must be a whole number, in quotes or bare.
func (d *decoder) uint(o *scope, f field) uint64 {
	v := o.values[f]
	switch {
	case !o.has(f):
	case v.Kind == jsonscan.Uint:
		return v.Uint
	case v.Kind == jsonscan.String && v.End-v.Start >= 1 && v.End-v.Start <= 19:
		n := uint64(0)
		for _, c := range d.Scan.Bytes(v) {
			if c < '0' || c > '9' {
				d.Refuse("no whole number where one must be")
				return 0
			}
			n = n*10 + uint64(c-'0')
		}
		return n
	}
	d.Refuse("no whole number where one must be")
	return 0
}

// int reads a field that must be a bare whole number, of either sign.
func (d *decoder) int(o *scope, f field) int64 {
	v := o.values[f]
	if v.Kind == jsonscan.Uint && v.Uint <= math.MaxInt64 {
		return int64(v.Uint)
	}
	if v.Kind == jsonscan.Number {
		if n, err := tick.ParseScaled(d.Scan.Bytes(v), 0); err == nil {
			return n
		}
	}
	d.Refuse("no whole number where one must be")
	return 0
}

// nanos reads a time in milliseconds; what no int64 of ns can hold is 0, no
// time.
func (d *decoder) nanos(o *scope, f field) int64 {
	return nanosOf(d.uint(o, f))
}

func nanosOf(millis uint64) int64 {
	if millis > math.MaxInt64/1_000_000 {
		return 0
	}
	return int64(millis * 1e6)
}

// sold reads the side of an order.
func (d *decoder) sold(o *scope) tick.Flags {
	switch string(d.text(o, fieldSide)) {
	case "sell":
		return tick.FlagSell
	case "buy":
	default:
		d.Refuse("a side is neither buy nor sell")
	}
	return 0
}

// trade: side is the taker's.
func (d *decoder) trade() {
	if !d.complete(&d.item, tradeFields) {
		return
	}
	flags, nanos := d.sold(&d.item), d.nanos(&d.item, fieldTime)
	if id := int(d.Instrument()); id < len(d.askedAt) && nanos < d.askedAt[id] {
		flags |= tick.FlagBackfill
	}
	d.Trade(flags, tick.ID{Lo: d.uint(&d.item, fieldTradeID)}, d.Price(d.item.values[fieldPrice]), d.Size(d.item.values[fieldSize]), nanos)
	d.packets++
}

func (d *decoder) quote() {
	if !d.complete(&d.item, depthFields) {
		return
	}
	id := uint64(0)
	if d.item.has(fieldSequence) {
		id = d.uint(&d.item, fieldSequence)
	}
	bid, ask := d.best(fieldBids), d.best(fieldAsks)
	d.Quote(id, bid, ask, d.nanos(&d.item, fieldTime))
	d.packets++
}

// best reads a side of which the first level counts; empty is zero.
func (d *decoder) best(f field) (l tick.Level) {
	s := &d.Scan
	s.Seek(d.item.values[f])
	if s.Peek() != jsonscan.Array {
		d.Refuse("a side is no array")
		return l
	}
	if s.Array() {
		l.Price, l.Size = d.Level()
		d.ValidLevel(l.Price, l.Size)
	}
	return l
}

// openInterest is in contracts.
func (d *decoder) openInterest() {
	if !d.complete(&d.item, set(fieldOpenInterest, fieldTime)) {
		return
	}
	nanos := d.nanos(&d.item, fieldTime)
	d.OpenInterest(d.Number(d.item.values[fieldOpenInterest]), nanos)
	d.packets++
}
