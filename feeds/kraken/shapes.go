package kraken

import (
	"math"

	"tickproc/feeds/wire"
	"tickproc/tick"
)

// shapes are of the messages that come by the thousand, as this line's socket
// writes them.
type shapes struct {
	trades, trade, quote, book wire.Message // trade is an element of trades
}

// Values that differ from one message to the next.
var (
	tradesValues = wire.Keys{"data": key(wire.FormRecords, fieldData)}
	tradeValues  = wire.Keys{"symbol": {Form: wire.FormSymbol}, "side": key(wire.FormWord, fieldSide), "price": key(wire.FormPrice, fieldPrice),
		"qty": key(wire.FormSize, fieldSize), "ord_type": {Form: wire.FormUnused}, "trade_id": key(wire.FormDigits, fieldTradeID),
		"timestamp": key(wire.FormTime, fieldTime)}
	quoteValues = wire.Keys{"data.symbol": {Form: wire.FormSymbol}, "data.bid": key(wire.FormPrice, fieldBid), "data.bid_qty": key(wire.FormSize, fieldBidSize),
		"data.ask": key(wire.FormPrice, fieldAsk), "data.ask_qty": key(wire.FormSize, fieldAskSize), "data.last": {Form: wire.FormUnused},
		"data.volume": {Form: wire.FormUnused}, "data.vwap": {Form: wire.FormUnused}, "data.low": {Form: wire.FormUnused},
		"data.high": {Form: wire.FormUnused}, "data.change": {Form: wire.FormUnused}, "data.change_pct": {Form: wire.FormUnused},
		"data.trades": {Form: wire.FormUnused}, "data.timestamp": key(wire.FormTime, fieldTime)}
	bookValues = wire.Keys{"data.symbol": {Form: wire.FormSymbol}, "data.bids": key(wire.FormArray, fieldBids), "data.asks": key(wire.FormArray, fieldAsks),
		"data.checksum": key(wire.FormDigits, fieldChecksum), "data.timestamp": key(wire.FormTime, fieldTime)}
)

func key(form wire.Form, f field) wire.Key { return wire.Key{Form: form, Field: uint8(f)} }

// byShape reads the frame by the shape of its channel's messages. False leaves it
// to be read in full, which is also where faults are found and told.
//
// hot: per frame, 0 allocs.
func (d *decoder) byShape() bool {
	t := d.Scan.Text()
	const head = len(`{"channel":"`)
	if len(t) < 64 {
		return false
	}
	// The shapes compare the rest.
	x := &d.shapes
	switch string(t[head : head+2]) {
	case "tr":
		units := len(d.Out)
		d.element = &tradeElement
		return d.MatchArrays(&x.trades.Shape, d) && len(d.Out) > units
	case "ti":
		return d.Match(&x.quote.Shape, -1) && d.shapedQuote()
	case "bo":
		d.element, d.sides = &bookElement, 0
		return d.MatchArrays(&x.book.Shape, d) && d.shapedDelta()
	}
	return false
}

// Array implements wire.Arrays.
//
// hot: per array, 0 allocs.
func (d *decoder) Array(of uint8, t []byte, i int) (next int) {
	if d.element == &tradeElement {
		return d.Elements(&d.shapes.trade.Shape, t, i, d.shapedTrade)
	}
	next, more := wire.Enter(t, i)
	switch {
	case field(of) == fieldBids:
		d.Depth.Begin(d.Out, len(t)-i)
	case d.sides == 0:
		return -1 // packets hold bids first
	default:
		d.Depth.Asks()
	}
	if d.sides++; more {
		if next = d.levels(t, next); t[next-1] != '}' {
			return -1
		}
		if next, more = wire.Next(t, next); more {
			return -1
		}
	}
	return next
}

func (d *decoder) shapedTrade() bool {
	n := &d.Numbers
	price, size := n[fieldPrice], n[fieldSize]
	if price == 0 || size == 0 {
		return false
	}
	flags, ok := wire.SideOf(n[fieldSide], wordBuy, wordSell)
	if !ok {
		return false
	}
	d.Trade(flags, tick.ID{Lo: uint64(n[fieldTradeID])}, price, size, n[fieldTime])
	return true
}

var wordBuy, wordSell = wire.Word("buy"), wire.Word("sell")

func (d *decoder) shapedQuote() bool {
	n := &d.Numbers
	bid := tick.Level{Price: n[fieldBid], Size: n[fieldBidSize]}
	ask := tick.Level{Price: n[fieldAsk], Size: n[fieldAskSize]}
	if bid.Price == 0 || ask.Price == 0 {
		return false
	}
	nanos := int64(0)
	if d.shapes.quote.Has(uint8(fieldTime)) {
		nanos = n[fieldTime]
	}
	d.Quote(0, bid, ask, nanos)
	return true
}

func (d *decoder) shapedDelta() bool {
	n := &d.Numbers
	sum := uint64(n[fieldChecksum])
	if sum > math.MaxUint32 {
		return false
	}
	d.Out = d.Depth.Finish(tick.Depth{Header: d.At.Header(tick.KindDepth, d.Instrument(), n[fieldTime]), Checksum: uint32(sum)})
	return true
}

// learn takes the shape of a message that was read in full and is good.
func (d *decoder) learn() {
	if d.whole || d.Odd() || d.Again() {
		return
	}
	x, t := &d.shapes, d.Scan.Text()
	switch d.element {
	case &tradeElement:
		x.trades.LearnElements(t, tradesValues, &x.trade, tradeValues)
	case &quoteElement:
		x.quote.LearnKeys(t, quoteValues)
	case &bookElement:
		x.book.LearnKeys(t, bookValues)
	}
}
