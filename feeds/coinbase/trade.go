package coinbase

import (
	"slices"

	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

const (
	tradeID = iota
	tradeProduct
	tradePrice
	tradeSize
	tradeSide
	tradeTime
	tradeKeys
)

const allTradeKeys = 1<<tradeKeys - 1

// trades reads the trades of an event, which stand newest first, and leaves
// them oldest first. Those of a snapshot happened before we subscribed.
func (d *decoder) trades(snapshot bool) {
	s := &d.Scan
	from := len(d.Out)
	var flags tick.Flags
	if snapshot {
		flags = tick.FlagBackfill
	}
	for more := s.Array(); more; more = s.Next(']') {
		d.trade(flags)
	}
	if s.Failed() {
		d.Refuse("broken trades")
		return
	}
	if added := d.Out[from:]; descend(added) {
		slices.Reverse(added)
	}
}

// descend reports whether the ids of trades fall. Trades of several products
// may stand together: those of the first one tell.
func descend(trades []tick.Unit) bool {
	if len(trades) == 0 {
		return false
	}
	first := trades[0].Trade()
	for i := len(trades) - 1; i > 0; i-- {
		if t := trades[i].Trade(); t.Instrument == first.Instrument {
			return t.ID.Lo < first.ID.Lo
		}
	}
	return false
}

// trade reads {"product_id":…,"trade_id":…,"price":…,"size":…,"time":…,"side":…}.
//
// hot: per trade, 0 allocs.
func (d *decoder) trade(flags tick.Flags) {
	s := &d.Scan
	var seen keys
	var v [tradeKeys]jsonscan.Value
	for more := s.Object(); more; more = s.Next('}') {
		k := 0
		switch key := s.Key(); string(key) {
		case "trade_id":
			k = tradeID
		case "product_id":
			k = tradeProduct
		case "price":
			k = tradePrice
		case "size":
			k = tradeSize
		case "side":
			k = tradeSide
		case "time":
			k = tradeTime
		default:
			d.Strange("trade", key)
			s.Skip()
			continue
		}
		if !d.once(&seen, k) {
			return
		}
		v[k] = s.Value()
	}
	if s.Failed() {
		return // said by the caller
	}
	if seen != allTradeKeys {
		d.Refuse("a trade lacks a key")
		return
	}
	// The side is that of the order that rested in the book.
	switch text := s.Bytes(v[tradeSide]); {
	case v[tradeSide].Kind == jsonscan.String && string(text) == "BUY":
		flags |= tick.FlagSell
	case v[tradeSide].Kind == jsonscan.String && string(text) == "SELL":
	default:
		d.Refuse("a trade is of neither side")
		return
	}
	nanos, id := d.nanosOf(v[tradeTime]), d.idOf(v[tradeID])
	if nanos == 0 {
		nanos = d.nanos
	}
	if d.find(v[tradeProduct]) {
		d.Trade(flags, tick.ID{Lo: id}, d.Price(v[tradePrice]), d.Size(v[tradeSize]), nanos)
	}
}

// idOf reads the id of a trade: a whole number, in quotes or bare.
func (d *decoder) idOf(v jsonscan.Value) (id uint64) {
	if v.Kind == jsonscan.Uint {
		return v.Uint
	}
	text := d.Scan.Bytes(v)
	bad := v.Kind != jsonscan.String || len(text) == 0 || len(text) > 19
	if !bad {
		for _, c := range text {
			bad = bad || c-'0' > 9
			id = id*10 + uint64(c-'0')
		}
	}
	if bad {
		d.Refuse("trade_id is no whole number")
		return 0
	}
	return id
}
