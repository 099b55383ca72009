package binance

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

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

// field is a key that means something to us.
type field uint8

const (
	fieldNone field = iota
	fieldEvent
	fieldEventTime
	fieldTime
	fieldSymbol
	fieldFirstID
	fieldLastID
	fieldPrevID
	fieldBids // depth: levels; quote: the price
	fieldAsks
	fieldBidSize
	fieldAskSize
	fieldTradeID
	fieldPrice
	fieldSize
	fieldMaker
	fieldOrderType
	fieldBookID // a whole book, over REST or in a partial-depth stream
	fieldBookBids
	fieldBookAsks
	fieldBookSymbol
	fieldStream
	fieldData
	fieldResult
	fieldRequest
	fieldError
	fieldCode
	fieldMessage
	fieldCount
)

// fields is a set of fields.
type fields uint32

func set(of ...field) (s fields) {
	for _, f := range of {
		s |= 1 << f
	}
	return s
}

// Which keys count depends on where they stand.
var (
	dataFields = set(fieldEvent, fieldEventTime, fieldTime, fieldSymbol, fieldFirstID, fieldLastID, fieldPrevID, fieldBids, fieldAsks,
		fieldBidSize, fieldAskSize, fieldTradeID, fieldPrice, fieldSize, fieldMaker, fieldOrderType, fieldBookID)
	errorFields = set(fieldCode, fieldMessage)
	frameFields = dataFields | errorFields | set(fieldStream, fieldData, fieldResult, fieldRequest, fieldError)
	bookFields  = errorFields | set(fieldEventTime, fieldTime, fieldBookID, fieldBookBids, fieldBookAsks, fieldBookSymbol)

	nestedFields = set(fieldBids, fieldAsks, fieldBookBids, fieldBookAsks, fieldData, fieldError)

	quoteFields    = set(fieldSymbol, fieldLastID, fieldBids, fieldBidSize, fieldAsks, fieldAskSize)
	tradeFields    = set(fieldSymbol, fieldTradeID, fieldPrice, fieldSize, fieldMaker)
	depthFields    = set(fieldSymbol, fieldFirstID, fieldLastID, fieldBids, fieldAsks)
	snapshotFields = set(fieldBookID, fieldBookBids, fieldBookAsks)
)

var letterFields = [256]field{
	'e': fieldEvent, 'E': fieldEventTime, 'T': fieldTime, 's': fieldSymbol, 'U': fieldFirstID, 'u': fieldLastID,
	'b': fieldBids, 'a': fieldAsks, 'B': fieldBidSize, 'A': fieldAskSize, 't': fieldTradeID, 'p': fieldPrice, 'q': fieldSize,
	'm': fieldMaker, 'X': fieldOrderType,
}

func fieldOf(key []byte) field {
	if len(key) == 1 {
		return letterFields[key[0]]
	}
	switch string(key) {
	case "pu":
		return fieldPrevID
	case "stream":
		return fieldStream
	case "data", "event":
		return fieldData
	case "lastUpdateId":
		return fieldBookID
	case "bids":
		return fieldBookBids
	case "asks":
		return fieldBookAsks
	case "symbol":
		return fieldBookSymbol
	case "result":
		return fieldResult
	case "id":
		return fieldRequest
	case "error":
		return fieldError
	case "code":
		return fieldCode
	case "msg":
		return fieldMessage
	}
	return fieldNone
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

// notify makes the message a notice, whatever its numbers were like.
func (d *decoder) notify(kind feeds.NoticeKind) { d.notice.Kind, d.err = kind, nil }

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

func (d *decoder) delta() {
	need := depthFields
	if d.market.futures {
		need |= set(fieldPrevID)
	}
	if !d.complete(need, "depth update") {
		return
	}
	head := tick.Depth{FirstID: d.uint(fieldFirstID), LastID: d.uint(fieldLastID)}
	if d.market.futures {
		head.PrevID = d.uint(fieldPrevID)
	}
	if head.FirstID > head.LastID {
		d.refuse("ids U..u run backwards")
	}
	head.Header = d.at.Header(tick.KindDepth, 0, d.time(true))
	d.levels(head, d.text(fieldSymbol), fieldBids, fieldAsks)
}

// levels reads the sides that were not read where they stood, and completes
// the packet.
func (d *decoder) levels(head tick.Depth, symbol []byte, bids, asks field) {
	if d.sidesRead == 0 {
		if !d.lookup(symbol) {
			return
		}
		d.depth.begin(d.out, d.scan.Size())
		d.scan.Seek(d.values[bids])
		d.side()
	}
	if d.sidesRead == 1 {
		d.scan.Seek(d.values[asks])
		d.side()
	}
	head.Instrument = d.entry.ID
	d.out = d.depth.finish(head)
}

// isFullDepth tells the stream of all changes from others with the same
// event: partial books (@depth5) and the retail book (@rpiDepth).
func (d *decoder) isFullDepth() bool {
	if !d.has(fieldStream) {
		return true
	}
	_, stream, _ := bytes.Cut(d.text(fieldStream), []byte("@"))
	name, _, _ := bytes.Cut(stream, []byte("@"))
	return string(name) == "depth"
}

// depthIsKnown reports whether the levels ahead can be converted now. An
// instrument yet to be discovered waits until the frame has proven good.
func (d *decoder) depthIsKnown() bool {
	switch {
	case d.snapshot != nil:
		d.entry = d.table.Known(d.snapshot.symbol)
	case string(d.text(fieldEvent)) == "depthUpdate" && d.isFullDepth():
		d.entry = d.table.Known(d.text(fieldSymbol))
	}
	if d.entry == nil {
		return false
	}
	d.scale()
	return true
}

// side reads an array of levels: bids, then asks.
//
// hot: per level, 0 allocs.
func (d *decoder) side() {
	s, w := &d.scan, &d.depth
	if d.sidesRead == 1 {
		w.asks()
	}
	d.sidesRead++
	for more := s.Array(); more; more = s.Next(']') {
		price, size, plain := s.Pair(d.priceDigits, d.sizeDigits)
		if !plain {
			price, size = d.level()
		}
		if price <= 0 || size < 0 {
			d.refuse("a level needs a price above 0 and a size from 0")
			return
		}
		w.add(price, size)
	}
	if s.Failed() {
		d.refuse("broken levels")
	}
}

// level reads a level in any spelling; elements beyond price and size do not count.
func (d *decoder) level() (price, size int64) {
	s := &d.scan
	if s.Array() {
		price = d.scaled(s.Value(), d.priceDigits, &d.priceNeeds)
		if s.Next(']') {
			size = d.scaled(s.Value(), d.sizeDigits, &d.sizeNeeds)
			for s.Next(']') {
				s.Skip()
			}
			return price, size
		}
	}
	d.refuse("a level is no pair")
	return 0, 0
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

// noticeText bounds what is kept of a venue's message, in bytes.
const noticeText = 256

// refusal reads {"error":{"code":2,"msg":"…"},"id":1} and {"code":2,"msg":"…","id":1}.
func (d *decoder) refusal() {
	d.notify(feeds.NoticeRefused)
	d.notice.Request = d.request()
	d.notice.Code, d.notice.Text = d.fault()
}

// fault reads code and msg.
func (d *decoder) fault() (code int, text string) {
	if d.has(fieldCode) {
		if v, err := tick.ParseScaled(d.scan.Bytes(d.values[fieldCode]), 0); err == nil {
			code = int(v)
		}
	}
	f := fieldMessage
	if !d.has(f) {
		f = fieldError
	}
	t := d.text(f)
	return code, string(bytes.ToValidUTF8(jsonscan.AppendUnescaped(nil, t[:min(len(t), noticeText)]), nil))
}

// request returns which of the connection's requests an answer is about: plan
// numbers them from 1. -1 = none of them.
func (d *decoder) request() int {
	v := d.values[fieldRequest]
	if !d.has(fieldRequest) || v.Kind != jsonscan.Uint || v.Uint == 0 || v.Uint > math.MaxInt32 {
		return -1
	}
	i := int(v.Uint) - 1
	if d.requests >= 0 && i >= d.requests {
		return -1
	}
	return i
}
