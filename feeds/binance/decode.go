package binance

import (
	"bytes"
	"errors"
	"fmt"

	"tickproc/feeds"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// decoder reads a message in one pass: a member that matters is remembered by
// its place, levels are converted where they stand as soon as event and symbol
// are known (on Binance they always come before), the rest is skipped. What
// the message is, is decided at its end, when all of it has proven well-formed.
// owner: the line's reading goroutine.
type decoder struct {
	market   *market
	table    *feeds.Table
	requests int       // sent on this connection; -1 = unknown
	snapshot *snapshot // the REST answer that is read instead of a frame

	// What the message gives: its packets behind those that were there, a
	// notice, or its first fault.
	out    []tick.Unit
	notice feeds.Notice
	err    error

	at     feeds.Stamp
	scan   jsonscan.Scanner
	seen   fields
	values [fieldCount]jsonscan.Value

	entry     *feeds.Entry // whom the message is about
	depth     depthWriter
	sidesRead int
	// The scale of this attempt, and what a finer number asked for.
	priceDigits, sizeDigits uint8
	priceNeeds, sizeNeeds   uint8

	symbolText [64]byte
}

// errFiner: the frame must be read again at a finer scale.
var errFiner = errors.New("finer than the scale")

// Decode implements feeds.Decoder.
//
// hot: per frame, 0 allocs for market data.
func (d *decoder) Decode(dst []tick.Unit, frame []byte, at feeds.Stamp) ([]tick.Unit, feeds.Notice, error) {
	d.at = at
	d.priceNeeds, d.sizeNeeds = 0, 0
	d.message(dst, frame)
	if d.err == errFiner {
		e := d.entry
		priceDigits, sizeDigits := max(e.PriceDigits, d.priceNeeds), max(e.SizeDigits, d.sizeNeeds)
		d.message(tick.AppendRescale(dst, at.Header(tick.KindRescale, e.ID, 0), priceDigits, sizeDigits), frame)
		if d.err == nil {
			e.PriceDigits, e.SizeDigits = priceDigits, sizeDigits
		}
	}
	if d.err != nil {
		return dst, feeds.Notice{}, d.err
	}
	return d.out, d.notice, nil
}

// message reads a frame, or a REST body, at the scale that is known so far.
func (d *decoder) message(dst []tick.Unit, frame []byte) {
	d.out, d.notice, d.err = dst, feeds.Notice{}, nil
	d.seen, d.entry, d.sidesRead = 0, nil, 0
	s := &d.scan
	s.Reset(frame)
	switch {
	case s.Peek() != jsonscan.Object:
		s.Skip()
	case d.snapshot != nil:
		d.members(bookFields)
	default:
		d.members(frameFields)
	}
	if !s.End() {
		d.refuse("broken JSON")
	}
	if d.sound() {
		d.dispatch()
	}
}

// members reads an object whose keys of the given set count.
func (d *decoder) members(count fields) {
	s := &d.scan
	for more := s.Object(); more; more = s.Next('}') {
		f := fieldOf(s.Key())
		bit := fields(1) << f
		if count&bit == 0 {
			s.Skip()
			continue
		}
		if d.seen&bit != 0 {
			// Which of two values would be meant?
			d.refuse("a key stands twice")
			return
		}
		d.seen |= bit
		if bit&nestedFields == 0 {
			d.values[f] = s.Value()
			continue
		}
		switch {
		case (f == fieldBids || f == fieldBookBids) && s.Peek() == jsonscan.Array && d.depthIsKnown():
			d.depth.begin(d.out, s.Left())
			d.side()
			continue
		case (f == fieldAsks || f == fieldBookAsks) && d.sidesRead == 1:
			d.side()
			continue
		case f == fieldData && s.Peek() == jsonscan.Object:
			d.members(dataFields)
			continue
		case f == fieldError && s.Peek() == jsonscan.Object:
			d.members(errorFields)
			continue
		}
		d.values[f] = s.Value()
	}
}

// dispatch says what a well-formed message is.
func (d *decoder) dispatch() {
	switch {
	case d.snapshot != nil:
		d.book()
	case d.has(fieldEvent):
		d.event()
	case d.seen&quoteFields == quoteFields: // spot quotes name no event
		d.quote()
	case d.has(fieldError) || d.has(fieldCode):
		d.refusal()
	case d.has(fieldResult):
		d.notify(feeds.NoticeIgnored)
		if d.values[fieldResult].Kind == jsonscan.Null {
			d.notify(feeds.NoticeAck)
			d.notice.Request = d.request()
		}
	case d.has(fieldBookID), bytes.Contains(d.text(fieldStream), []byte("@arr")):
		// Partial books and streams of all symbols, which are not subscribed.
		d.notify(feeds.NoticeIgnored)
	default:
		d.err = fmt.Errorf("%s: %w: no event", d.market.venue, feeds.ErrUnknownMessage)
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
			d.notify(feeds.NoticeIgnored)
		}
	case "serverShutdown":
		d.notify(feeds.NoticeReconnect)
	case "aggTrade", "kline", "continuous_kline", "indexPrice_kline", "markPrice_kline", "24hrTicker", "24hrMiniTicker", "1hTicker", "4hTicker", "1dTicker",
		"avgPrice", "markPriceUpdate", "indexPriceUpdate", "forceOrder", "contractInfo", "compositeIndex", "assetIndexUpdate", "referencePrice", "tradingSession":
		d.notify(feeds.NoticeIgnored)
	default:
		d.err = fmt.Errorf("%s: %w: event %.40q", d.market.venue, feeds.ErrUnknownMessage, event)
	}
}

func (d *decoder) trade() {
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
		d.refuse("m is no boolean")
	}
	if d.has(fieldOrderType) && string(d.text(fieldOrderType)) != "MARKET" {
		flags |= tick.FlagNotMarket
	}
	if !d.lookup(d.text(fieldSymbol)) {
		return
	}
	price, size := d.price(fieldPrice), d.size(fieldSize)
	// Trades that are none of the market's, such as the insurance fund's, come with zeros.
	if price < 0 || size < 0 || (price == 0 || size == 0) && flags&tick.FlagNotMarket == 0 {
		d.refuse("a trade needs a price and a size above 0")
	}
	var p []tick.Unit
	d.out, p = tick.AppendUnits(d.out, 1)
	t := p[0].Trade()
	t.Header = d.at.Header(tick.KindTrade, d.entry.ID, nanos)
	t.Flags |= flags
	t.ID.Lo, t.Price, t.Size = id, price, size
}

func (d *decoder) quote() {
	if !d.complete(quoteFields, "quote") {
		return
	}
	nanos := d.time(false)
	id := d.uint(fieldLastID)
	if !d.lookup(d.text(fieldSymbol)) {
		return
	}
	var p []tick.Unit
	d.out, p = tick.AppendUnits(d.out, tick.DepthUnits(2))
	q := p[0].Depth()
	q.Header = d.at.Header(tick.KindQuote, d.entry.ID, nanos)
	q.FirstID, q.LastID = id, id
	q.Bids, q.LevelCount = 1, 2
	levels := tick.Levels(p)
	levels[0] = d.best(fieldBids, fieldBidSize)
	levels[1] = d.best(fieldAsks, fieldAskSize)
}

// best reads one side of a quote; an empty side has price and size 0.
func (d *decoder) best(price, size field) tick.Level {
	l := tick.Level{Price: d.price(price), Size: d.size(size)}
	if l.Price < 0 || l.Size < 0 || l.Price == 0 && l.Size != 0 {
		d.refuse("a quote needs prices above 0 and sizes from 0")
	}
	return l
}

// sound reports that no fault was found: a finer number is none.
func (d *decoder) sound() bool { return d.err == nil || d.err == errFiner }

// refuse makes the message malformed, unless it has a fault already, and ends
// the scan.
func (d *decoder) refuse(what string) {
	if d.sound() {
		at := d.scan.At()
		if d.scan.Failed() {
			at = d.scan.FailedAt()
		}
		d.err = d.market.malformed(at, what)
	}
	d.scan.Fail()
}
