package okx

import (
	"math"

	"tickproc/feeds/wire"
	"tickproc/tick"
)

// shapes are of the messages that come by the thousand, as this line's socket
// writes them.
type shapes struct {
	trades, trade, quote, depth wire.Message  // trade is an element of trades
	best                        [2]tick.Level // of the quote being read: bid, ask
}

// Values that differ from one message to the next.
var (
	tradesValues = wire.Keys{"arg.instId": {Form: wire.FormSymbol}, "data": key(wire.FormArray, fieldData)}
	tradeValues  = wire.Keys{"instId": {Form: wire.FormSame}, "tradeId": key(wire.FormDigits, fieldTradeID), "px": key(wire.FormPrice, fieldPrice),
		"sz": key(wire.FormSize, fieldSize), "side": key(wire.FormWord, fieldSide), "ts": key(wire.FormDigits, fieldTime),
		"source": {Form: wire.FormUnused}, "count": {Form: wire.FormUnused}}
	bookValues = wire.Keys{"arg.instId": {Form: wire.FormSymbol}, "data.instId": {Form: wire.FormSame}, "data.asks": key(wire.FormArray, fieldAsks),
		"data.bids": key(wire.FormArray, fieldBids), "data.ts": key(wire.FormDigits, fieldTime), "data.checksum": key(wire.FormSigned, fieldChecksum),
		"data.seqId": key(wire.FormDigits, fieldSequence), "data.prevSeqId": key(wire.FormDigits, fieldPrevious)}
)

func key(form wire.Form, f field) wire.Key { return wire.Key{Form: form, Field: uint8(f)} }

// byShape reads the frame by the shape of its stream's messages. False leaves it
// to be read in full, which is also where faults are found and told.
//
// hot: per frame, 0 allocs.
func (d *decoder) byShape() bool {
	t := d.Scan.Text()
	const head = `{"arg":{"channel":"`
	if len(t) < 64 {
		return false
	}
	d.packets = 0
	// The shapes compare the rest.
	switch x := &d.shapes; string(t[len(head) : len(head)+2]) {
	case "tr":
		d.kind = streamTrades
		return d.MatchArrays(&x.trades.Shape, d) && d.packets > 0
	case "bb":
		d.kind = streamQuotes
		return d.MatchArrays(&x.quote.Shape, d) && d.shapedQuote()
	case "bo":
		d.kind, d.sides = streamDepth, 0
		return d.MatchArrays(&x.depth.Shape, d) && d.shapedDelta()
	}
	return false
}

// Array implements wire.Arrays.
//
// hot: per array, 0 allocs.
func (d *decoder) Array(of uint8, t []byte, i int) (next int) {
	if d.kind == streamTrades {
		return d.Elements(&d.shapes.trade.Shape, t, i, d.shapedTrade)
	}
	next, more := wire.Enter(t, i)
	switch d.kind {
	case streamQuotes:
		best := &d.shapes.best[0]
		if field(of) == fieldAsks {
			best = &d.shapes.best[1]
		}
		if *best = (tick.Level{}); more {
			*best, next = d.Four(t, next)
			next, more = wire.Next(t, next)
		}
	default:
		if d.sides == 0 {
			d.Depth.Begin(d.Out, len(t)-i)
		}
		if d.sides++; more {
			if next = d.Fours(t, next, field(of) == fieldAsks); t[next-1] != ']' {
				return -1
			}
			next, more = wire.Next(t, next)
		}
	}
	if more {
		return -1 // a level that is written otherwise, or a second one of a quote
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
	nanos := nanosOf(uint64(n[fieldTime]))
	if id := int(d.Instrument()); id < len(d.askedAt) && nanos < d.askedAt[id] {
		flags |= tick.FlagBackfill
	}
	d.Trade(flags, tick.ID{Lo: uint64(n[fieldTradeID])}, price, size, nanos)
	d.packets++
	return true
}

var wordBuy, wordSell = wire.Word("buy"), wire.Word("sell")

func (d *decoder) shapedQuote() bool {
	n, best := &d.Numbers, &d.shapes.best
	id := uint64(0)
	if d.shapes.quote.Has(uint8(fieldSequence)) {
		id = uint64(n[fieldSequence])
	}
	d.Quote(id, best[0], best[1], nanosOf(uint64(n[fieldTime])))
	return true
}

func (d *decoder) shapedDelta() bool {
	n, x := &d.Numbers, &d.shapes.depth
	head := tick.Depth{Header: d.At.Header(tick.KindDepth, d.Instrument(), nanosOf(uint64(n[fieldTime])))}
	if x.Has(uint8(fieldChecksum)) {
		sum := n[fieldChecksum]
		if sum < math.MinInt32 || sum > math.MaxUint32 {
			return false
		}
		head.Checksum = uint32(sum)
	}
	if x.Has(uint8(fieldSequence)) {
		head.LastID, head.PrevID = uint64(n[fieldSequence]), uint64(n[fieldPrevious])
	} else if head.Checksum == 0 {
		return false
	}
	d.Out = d.Depth.Finish(head)
	return true
}

// learnShape takes the shape of a message that was read in full and is good.
func (d *decoder) learnShape() {
	if d.packets == 0 || d.Odd() || d.Again() {
		return
	}
	x, t := &d.shapes, d.Scan.Text()
	switch d.kind {
	case streamTrades:
		x.trades.LearnElements(t, tradesValues, &x.trade, tradeValues)
	case streamQuotes:
		x.quote.LearnKeys(t, bookValues)
	case streamDepth:
		ids := d.item.seen & set(fieldSequence, fieldPrevious)
		if string(d.text(&d.frame, fieldAction)) == "update" && (ids == 0 || ids == set(fieldSequence, fieldPrevious)) {
			x.depth.LearnKeys(t, bookValues)
		}
	}
}
