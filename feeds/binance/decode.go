package binance

import (
	"bytes"

	"tickproc/feeds"
	"tickproc/feeds/wire"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// decoder reads a message in one pass: a member that matters is remembered by
// its place, levels are converted where they stand as soon as event and symbol
// are known (on Binance they always come before), the rest is skipped. What
// the message is, is decided at its end, when all of it has proven well-formed.
// owner: the line's reading goroutine.
type decoder struct {
	wire.Frame
	market   *market
	snapshot *snapshot // the REST answer that is read instead of a frame

	seen      fields
	strange   []byte // a key that is not documented, if there was one
	values    [fieldCount]jsonscan.Value
	sidesRead int
	shapes    shapes
}

// Decode implements feeds.Decoder.
//
// hot: per frame, 0 allocs for market data.
func (d *decoder) Decode(dst []tick.Unit, frame []byte, at feeds.Stamp) ([]tick.Unit, feeds.Notice, error) {
	d.Begin(dst, frame, at)
	if due, ok := d.alike(); ok || !due && d.byShape() {
		return d.Out, feeds.Notice{}, nil
	}
	return d.Run(d, dst, frame, at)
}

// Read implements wire.Reader.
func (d *decoder) Read() {
	d.seen, d.sidesRead, d.strange = 0, 0, nil
	s := &d.Scan
	switch {
	case s.Peek() != jsonscan.Object:
		s.Skip()
	case d.snapshot != nil:
		d.members(bookFields)
	default:
		d.members(frameFields)
	}
	if d.Complete() {
		d.dispatch()
	}
}

// members reads an object whose keys of the given set count.
func (d *decoder) members(count fields) {
	s := &d.Scan
	for more := s.Object(); more; more = s.Next('}') {
		key := s.Key()
		f := fieldOf(key)
		bit := fields(1) << f
		if count&bit == 0 {
			if f == fieldNone {
				d.strange = key
			}
			s.Skip()
			continue
		}
		if d.seen&bit != 0 {
			// Which of two values would be meant?
			d.Refuse("a key stands twice")
			return
		}
		d.seen |= bit
		if bit&nestedFields == 0 {
			d.values[f] = s.Value()
			continue
		}
		switch {
		case (f == fieldBids || f == fieldBookBids) && s.Peek() == jsonscan.Array && d.depthIsKnown():
			d.Depth.Begin(d.Out, s.Left())
			d.values[f] = d.side()
			continue
		case (f == fieldAsks || f == fieldBookAsks) && d.sidesRead == 1:
			d.values[f] = d.side()
			continue
		case f == fieldData && s.Peek() == jsonscan.Object:
			d.members(dataFields)
			continue
		case f == fieldError && s.Peek() == jsonscan.Object:
			d.members(errorFields)
			continue
		case f == fieldOrder && s.Peek() == jsonscan.Object:
			d.members(orderFields)
			continue
		}
		d.values[f] = s.Value()
	}
}

// dispatch says what a well-formed message is.
func (d *decoder) dispatch() {
	switch {
	case d.snapshot != nil && d.snapshot.interest:
		d.interest()
	case d.snapshot != nil:
		d.book()
	case d.has(fieldEvent):
		d.event()
	case d.seen&quoteFields == quoteFields: // spot quotes name no event
		d.quote()
	case d.has(fieldError) || d.has(fieldCode):
		d.refusal()
	case d.has(fieldResult):
		d.Notify(feeds.NoticeIgnored)
		if d.values[fieldResult].Kind == jsonscan.Null {
			d.Notify(feeds.NoticeAck)
			d.Notice.Request = d.request()
		}
	case d.has(fieldBookID), bytes.Contains(d.text(fieldStream), []byte("@arr")):
		// Partial books and streams of all symbols, which are not subscribed.
		d.Notify(feeds.NoticeIgnored)
	default:
		d.Fault(feeds.ErrUnknownMessage, "no event", nil)
	}
}

func (d *decoder) event() {
	switch event := d.text(fieldEvent); string(event) {
	case "trade":
		d.trade()
	case "bookTicker":
		d.quote()
	case "depthUpdate":
		if d.isFullDepth() {
			d.delta()
		} else {
			d.Notify(feeds.NoticeIgnored)
		}
	case "markPriceUpdate":
		d.mark()
	case "forceOrder":
		d.liquidation()
	case "serverShutdown":
		d.Notify(feeds.NoticeReconnect)
	case "aggTrade", "kline", "continuous_kline", "indexPrice_kline", "markPrice_kline", "24hrTicker", "24hrMiniTicker", "1hTicker", "4hTicker", "1dTicker",
		"avgPrice", "indexPriceUpdate", "contractInfo", "compositeIndex", "assetIndexUpdate", "referencePrice", "tradingSession":
		d.Notify(feeds.NoticeIgnored)
	default:
		d.Fault(feeds.ErrUnknownMessage, "event", event)
		d.Table().Canary.Report(feeds.CanaryMessage, string(event[:min(len(event), 40)]))
	}
}

// undocumented tells of a key that the documents of a message do not have.
func (d *decoder) undocumented(message string) {
	if d.strange != nil && !unused[string(d.strange)] {
		d.Strange(message, d.strange)
	}
}

func (d *decoder) trade() {
	d.undocumented("trade")
	if !d.complete(tradeFields, "trade") {
		return
	}
	nanos := d.time(true)
	id := d.uint(fieldTradeID)
	var flags tick.Flags
	switch d.values[fieldMaker].Kind {
	case jsonscan.True: // the buyer was the maker
		flags = tick.FlagSell
	case jsonscan.False:
	default:
		d.Refuse("m is no boolean")
	}
	if d.has(fieldOrderType) && string(d.text(fieldOrderType)) != "MARKET" {
		flags |= tick.FlagNotMarket
	}
	if d.Lookup(d.text(fieldSymbol)) {
		d.Trade(flags, tick.ID{Lo: id}, d.price(fieldPrice), d.size(fieldSize), nanos)
		d.learn(&d.shapes.trade, 't', &tradeForms, flags&tick.FlagNotMarket)
	}
}

func (d *decoder) quote() {
	d.undocumented("bookTicker")
	if !d.complete(quoteFields, "quote") {
		return
	}
	nanos := d.time(false)
	id := d.uint(fieldLastID)
	if !d.Lookup(d.text(fieldSymbol)) {
		return
	}
	bid := tick.Level{Price: d.price(fieldBids), Size: d.size(fieldBidSize)}
	ask := tick.Level{Price: d.price(fieldAsks), Size: d.size(fieldAskSize)}
	d.Quote(id, bid, ask, nanos)
	d.learn(&d.shapes.quote, 'b', &quoteForms, 0)
}
