package coinbase

import (
	"slices"

	"tickproc/feeds/wire"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// shapes are of the frames that come by the thousand, as this socket writes them.
type shapes struct {
	trades, trade, tickers, ticker, depth wire.Message // trade and ticker are elements
}

// Fields of Numbers.
const (
	fieldUnused = iota
	fieldTime   // of the envelope
	fieldNumber
	fieldBody
	fieldID
	fieldSide
	fieldPrice
	fieldSize
	fieldOwnTime // of a trade or ticker
	fieldBid
	fieldBidSize
	fieldAsk
	fieldAskSize
)

// Values that differ from one message to the next.
var (
	depthValues = wire.Keys{"timestamp": {Form: wire.FormTime, Field: fieldTime}, "sequence_num": {Form: wire.FormDigits, Field: fieldNumber},
		"events.product_id": {Form: wire.FormSymbol}, "events.updates": {Form: wire.FormArray, Field: fieldBody}}
	tradesValues = wire.Keys{"timestamp": {Form: wire.FormTime, Field: fieldTime}, "sequence_num": {Form: wire.FormDigits, Field: fieldNumber},
		"events.trades": {Form: wire.FormRecords, Field: fieldBody}}
	tradeValues = wire.Keys{"product_id": {Form: wire.FormSymbol}, "trade_id": {Form: wire.FormDigits, Field: fieldID},
		"price": {Form: wire.FormPrice, Field: fieldPrice}, "size": {Form: wire.FormSize, Field: fieldSize},
		"time": {Form: wire.FormTime, Field: fieldOwnTime}, "side": {Form: wire.FormWord, Field: fieldSide}}
	tickersValues = wire.Keys{"timestamp": {Form: wire.FormTime, Field: fieldTime}, "sequence_num": {Form: wire.FormDigits, Field: fieldNumber},
		"events.tickers": {Form: wire.FormRecords, Field: fieldBody}}
	tickerValues = wire.Keys{"product_id": {Form: wire.FormSymbol}, "price": {Form: wire.FormUnused}, "volume_24_h": {Form: wire.FormUnused},
		"low_24_h": {Form: wire.FormUnused}, "high_24_h": {Form: wire.FormUnused}, "low_52_w": {Form: wire.FormUnused},
		"high_52_w": {Form: wire.FormUnused}, "price_percent_chg_24_h": {Form: wire.FormUnused},
		"best_bid": {Form: wire.FormPrice, Field: fieldBid}, "best_bid_quantity": {Form: wire.FormSize, Field: fieldBidSize},
		"best_ask": {Form: wire.FormPrice, Field: fieldAsk}, "best_ask_quantity": {Form: wire.FormSize, Field: fieldAskSize},
		"time": {Form: wire.FormTime, Field: fieldOwnTime}}
)

// byShape reads the frame by the shape of its channel's frames. False leaves it to
// be read in full, which is also where faults are found and told.
//
// hot: per frame, 0 allocs.
func (d *decoder) byShape() bool {
	t := d.Scan.Text()
	const head = len(`{"channel":"`)
	if len(t) < 64 {
		return false
	}
	// The shapes compare the rest.
	x, read, units := &d.shapes, false, len(d.Out)
	switch t[head] {
	case 'l':
		d.channel = channelDepth
		read = d.MatchArrays(&x.depth.Shape, d)
	case 'm':
		d.channel = channelTrades
		read = d.MatchArrays(&x.trades.Shape, d) && len(d.Out) > units
	case 't':
		d.channel = channelTicker
		read = d.MatchArrays(&x.tickers.Shape, d) && len(d.Out) > units
	}
	d.number = uint64(d.Numbers[fieldNumber])
	return read
}

// Array implements wire.Arrays.
//
// hot: per array, 0 allocs.
func (d *decoder) Array(_ uint8, t []byte, i int) (next int) {
	switch d.channel {
	case channelDepth:
		next, more := wire.Enter(t, i)
		if more {
			next = d.plainUpdates(t, next)
		}
		return next
	case channelTrades:
		units := len(d.Out)
		next = d.Elements(&d.shapes.trade.Shape, t, i, d.shapedTrade)
		if added := d.Out[units:]; next >= 0 && descend(added) {
			slices.Reverse(added)
		}
		return next
	}
	return d.Elements(&d.shapes.ticker.Shape, t, i, d.shapedTicker)
}

// plainUpdates reads the levels from i on to the end of their array into a
// message; -1 where one is written otherwise than all are.
func (d *decoder) plainUpdates(t []byte, i int) (next int) {
	d.Depth.Begin(d.Out, len(t)-i)
	// The time of the level before, and how long its text is: most repeat.
	newest, last, size := int64(0), 0, 0
	for more := true; more; {
		ask := false
		if i, ask = plainSide(t, i); i < 0 {
			return -1
		}
		if size > 0 && i <= len(t)-size && string(t[i:i+size]) == string(t[last:last+size]) {
			i += size
		} else {
			nanos, end := d.TimeAt(t, i)
			if end < 0 {
				return -1
			}
			newest, last, size, i = max(newest, nanos), i, end-i, end
		}
		var price, quantity int64
		if price, quantity, i = d.plainValues(t, i); i < 0 {
			return -1
		}
		d.Depth.Mixed(ask, price, quantity)
		i, more = wire.Next(t, i)
	}
	if i >= 0 {
		d.Out = d.Depth.Finish(tick.Depth{Header: d.At.Header(tick.KindDepth, d.Instrument(), newest)})
	}
	return i
}

// plainSide reads {"side":"bid","event_time":" and returns the place behind it; -1
// where the text is another.
func plainSide(t []byte, i int) (next int, ask bool) {
	if i < 0 || i > len(t)-30 {
		return -1, false
	}
	w := (*[30]byte)(t[i : i+30])
	switch {
	case string(w[:8]) != `{"side":`:
	case string(w[8:12]) == `"bid` && w[12] == '"' && string(w[13:21]) == `,"event_` && string(w[20:28]) == `_time":"`:
		return i + 28, false
	case string(w[8:12]) == `"off` && string(w[12:15]) == `er"` && string(w[15:23]) == `,"event_` && string(w[22:30]) == `_time":"`:
		return i + 30, true
	}
	return -1, false
}

// plainValues reads ,"price_level":"78855.57","new_quantity":"0.03086368"} and
// returns the place behind it; -1 where the text is another.
func (d *decoder) plainValues(t []byte, i int) (price, quantity int64, next int) {
	priceDigits, sizeDigits := d.Scale()
	if i < 0 || i > len(t)-16 {
		return 0, 0, -1
	}
	if w := (*[16]byte)(t[i : i+16]); string(w[:8]) != `,"price_` || string(w[8:]) != `level":"` {
		return 0, 0, -1
	}
	price, i = jsonscan.Fixed(t, i+16, priceDigits)
	if i < 0 || i > len(t)-17 || price == 0 {
		return 0, 0, -1
	}
	if w := (*[17]byte)(t[i : i+17]); string(w[:8]) != `,"new_qu` || string(w[8:16]) != `antity":` || w[16] != '"' {
		return 0, 0, -1
	}
	quantity, i = jsonscan.Fixed(t, i+17, sizeDigits)
	if i < 0 || i >= len(t) || t[i] != '}' {
		return 0, 0, -1
	}
	return price, quantity, i + 1
}

func (d *decoder) shapedTrade() bool {
	n := &d.Numbers
	price, size := n[fieldPrice], n[fieldSize]
	if price == 0 || size == 0 {
		return false
	}
	flags, ok := wire.SideOf(n[fieldSide], wordSell, wordBuy) // it is that of the order that rested in the book
	if !ok {
		return false
	}
	d.Trade(flags, tick.ID{Lo: uint64(n[fieldID])}, price, size, n[fieldOwnTime])
	return true
}

var wordBuy, wordSell = wire.Word("BUY"), wire.Word("SELL")

func (d *decoder) shapedTicker() bool {
	n := &d.Numbers
	bid := tick.Level{Price: n[fieldBid], Size: n[fieldBidSize]}
	ask := tick.Level{Price: n[fieldAsk], Size: n[fieldAskSize]}
	if bid.Price == 0 || ask.Price == 0 {
		return false
	}
	nanos := n[fieldTime]
	if d.shapes.ticker.Has(fieldOwnTime) {
		nanos = n[fieldOwnTime]
	}
	d.Quote(0, bid, ask, nanos)
	return true
}

// learn takes the shape of a frame that was read in full and is good, given its
// packets.
func (d *decoder) learn(packets []tick.Unit) {
	if len(packets) == 0 || d.Odd() || d.Again() {
		return
	}
	x, t := &d.shapes, d.Scan.Text()
	switch d.channel {
	case channelDepth:
		if packets[0].KindOf() == tick.KindDepth {
			x.depth.LearnKeys(t, depthValues)
		}
	case channelTrades:
		if packets[0].Trade().Flags&tick.FlagBackfill == 0 {
			x.trades.LearnElements(t, tradesValues, &x.trade, tradeValues)
		}
	case channelTicker:
		x.tickers.LearnElements(t, tickersValues, &x.ticker, tickerValues)
	}
}
