package bybit

import (
	"tickproc/feeds/wire"
	"tickproc/tick"
)

// shapes are of the messages that come by the thousand, as this line's socket
// writes them.
type shapes struct {
	trades, trade, quote, depth wire.Message // trade is an element of trades
}

// Values that differ from one message to the next.
var (
	tradesValues = wire.Keys{"topic": {Form: wire.FormTopic}, "ts": {Form: wire.FormUnused}, "data": key(wire.FormArray, fieldData)}
	tradeValues  = wire.Keys{"T": key(wire.FormDigits, fieldTradeTime), "s": {Form: wire.FormSame}, "S": key(wire.FormWord, fieldSide),
		"v": key(wire.FormSize, fieldSize), "p": key(wire.FormPrice, fieldPrice), "L": {Form: wire.FormUnused}, "i": key(wire.FormID, fieldTradeID),
		"BT": key(wire.FormTruth, fieldBlock), "RPI": {Form: wire.FormUnused}, "seq": {Form: wire.FormUnused}}
	depthValues = bookValues(wire.FormLevels)
	quoteValues = bookValues(wire.FormArray)
)

func bookValues(sides wire.Form) wire.Keys {
	return wire.Keys{"topic": {Form: wire.FormTopic}, "ts": key(wire.FormDigits, fieldTime), "cts": key(wire.FormDigits, fieldMatchingTime),
		"data.s": {Form: wire.FormSame}, "data.b": key(sides, fieldBids), "data.a": key(sides, fieldAsks),
		"data.u": key(wire.FormDigits, fieldUpdateID), "data.seq": {Form: wire.FormUnused}}
}

func key(form wire.Form, f field) wire.Key { return wire.Key{Form: form, Field: uint8(f)} }

// byShape reads the frame by the shape of its topic's messages. False leaves it
// to be read in full, which is also where faults are found and told.
//
// hot: per frame, 0 allocs.
func (d *decoder) byShape() bool {
	t := d.Scan.Text()
	const head = len(`{"topic":"`)
	if len(t) < 64 {
		return false
	}
	// The shapes compare the rest.
	x := &d.shapes
	switch {
	case t[head] == 'p':
		units := len(d.Out)
		d.subject.kind = subjectTrades
		return d.MatchArrays(&x.trades.Shape, d) && len(d.Out) > units
	case t[head] != 'o':
		return false
	case string(t[head+9:head+12]) == ".1.":
		d.subject.kind = subjectTop
		return d.MatchArrays(&x.quote.Shape, d) && d.shapedQuote()
	}
	return d.Match(&x.depth.Shape, -1) && d.shapedDelta()
}

// Array implements wire.Arrays.
//
// hot: per array, 0 allocs.
func (d *decoder) Array(of uint8, t []byte, i int) (next int) {
	if d.subject.kind != subjectTop {
		return d.Elements(&d.shapes.trade.Shape, t, i, d.shapedTrade)
	}
	next, more := wire.Enter(t, i)
	best := &d.best[field(of)-fieldBids]
	if *best = (tick.Level{}); more {
		*best, next = d.Pair(t, next)
		if next, more = wire.Next(t, next); more {
			return -1
		}
	}
	return next
}

func (d *decoder) shapedTrade() bool {
	n, x := &d.Numbers, &d.shapes.trade
	price, size := n[fieldPrice], n[fieldSize]
	if price == 0 || size == 0 || x.Has(uint8(fieldBlock)) && n[fieldBlock] != 0 {
		return false
	}
	flags, ok := wire.SideOf(n[fieldSide], wordBuy, wordSell)
	if !ok {
		return false
	}
	id := tick.ID{Lo: uint64(n[fieldTradeID])}
	if x.Has(uint8(fieldTradeIDLow)) {
		id = tick.ID{Hi: id.Lo, Lo: uint64(n[fieldTradeIDLow])}
	}
	d.Trade(flags, id, price, size, nanosOf(uint64(n[fieldTradeTime])))
	return true
}

var wordBuy, wordSell = wire.Word("Buy"), wire.Word("Sell")

func (d *decoder) shapedQuote() bool {
	d.Quote(uint64(d.Numbers[fieldUpdateID]), d.best[0], d.best[1], d.shapedTime(&d.shapes.quote))
	return true
}

func (d *decoder) shapedDelta() bool {
	id := uint64(d.Numbers[fieldUpdateID])
	if id == 1 {
		return false // all there is
	}
	d.Out = d.Depth.Finish(tick.Depth{Header: d.At.Header(tick.KindDepth, d.Instrument(), d.shapedTime(&d.shapes.depth)), FirstID: id, LastID: id})
	return true
}

func (d *decoder) shapedTime(x *wire.Message) int64 {
	f := fieldTime
	if x.Has(uint8(fieldMatchingTime)) {
		f = fieldMatchingTime
	}
	return nanosOf(uint64(d.Numbers[f]))
}

// learn takes the shape of a message that was read in full and is good.
func (d *decoder) learn() {
	if d.Odd() || d.Again() {
		return
	}
	x, t := &d.shapes, d.Scan.Text()
	switch {
	case d.subject.kind == subjectTrades:
		x.trades.LearnElements(t, tradesValues, &x.trade, tradeValues)
	case d.subject.kind == subjectTop:
		x.quote.LearnKeys(t, quoteValues)
	case d.subject.kind == subjectBook && d.updateID != 1 && string(d.text(fieldType)) == "delta":
		x.depth.LearnKeys(t, depthValues)
	}
}
