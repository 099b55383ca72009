package binance

import (
	"tickproc/feeds/wire"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// mark reads mark price, index price and funding. Delivery contracts have no
// funding: an empty rate and the time 0.
func (d *decoder) mark() {
	d.undocumented("markPriceUpdate")
	if !d.complete(markFields, "mark price") || !d.Lookup(d.text(fieldSymbol)) {
		return
	}
	var r wire.Reference
	r.Mark, r.HasMark = d.optional(fieldPrice)
	r.Index, r.HasIndex = d.optional(fieldIndex)
	r.Rate, r.HasRate = d.optional(fieldRate)
	if d.has(fieldTime) && d.values[fieldTime].Kind == jsonscan.Uint {
		r.NextFundingNanos = nanosOf(d.values[fieldTime].Uint)
	}
	at := int64(0)
	if v := d.values[fieldEventTime]; d.has(fieldEventTime) && v.Kind == jsonscan.Uint {
		at = nanosOf(v.Uint)
	}
	d.Mark(r, at)
}

// optional reads a number that may be absent or an empty text.
func (d *decoder) optional(f field) (n tick.Number, ok bool) {
	if v := d.values[f]; !d.has(f) || v.Kind == jsonscan.String && v.Start == v.End {
		return n, false
	}
	return d.Number(d.values[f]), true
}

// liquidation reads a forced order: its side and limit price, which is the
// bankruptcy price, and its whole size. The venue tells at most one a symbol and
// second.
func (d *decoder) liquidation() {
	d.undocumented("forceOrder")
	if !d.complete(liquidationFields, "forced order") {
		return
	}
	nanos := d.time(true)
	var flags tick.Flags
	switch string(d.text(fieldSide)) {
	case "SELL":
		flags = tick.FlagSell
	case "BUY":
	default:
		d.Refuse("a side is BUY or SELL")
	}
	if d.Lookup(d.text(fieldSymbol)) {
		d.Liquidation(flags, d.price(fieldPrice), d.size(fieldSize), nanos)
	}
}

// interest reads the answer about an open interest.
func (d *decoder) interest() {
	if d.refused("open interest") || !d.complete(interestFields, "open interest") {
		return
	}
	if !d.Lookup(d.text(fieldBookSymbol)) {
		return
	}
	nanos := int64(0)
	if v := d.values[fieldInterestTime]; d.has(fieldInterestTime) && v.Kind == jsonscan.Uint {
		nanos = nanosOf(v.Uint)
	}
	d.OpenInterest(d.Number(d.values[fieldInterest]), nanos)
}
