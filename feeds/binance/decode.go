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

	scan   jsonscan.Scanner
	seen   fields
	values [fieldCount]jsonscan.Value
	err    error // the first fault, other than of JSON's grammar

	entry     *feeds.Entry // of the depth message whose levels are being read
	depth     depthWriter
	sidesRead int
	// The scale of this attempt, and what a finer number asked for.
	priceDigits, sizeDigits uint8
	priceNeeds, sizeNeeds   uint8
	finer                   bool

	symbolText [64]byte
}

// errFiner: the frame must be read again at a finer scale.
var errFiner = errors.New("finer than the scale")

// Decode implements feeds.Decoder.
//
// hot: per frame, 0 allocs for market data.
func (d *decoder) Decode(dst []tick.Unit, frame []byte, at feeds.Stamp) ([]tick.Unit, feeds.Notice, error) {
	d.priceNeeds, d.sizeNeeds = 0, 0
	out, notice, err := d.message(dst, frame, at)
	if err == errFiner {
		e := d.entry
		priceDigits, sizeDigits := max(e.PriceDigits, d.priceNeeds), max(e.SizeDigits, d.sizeNeeds)
		out = tick.AppendRescale(dst, at.Header(tick.KindRescale, e.ID, 0), priceDigits, sizeDigits)
		if out, notice, err = d.message(out, frame, at); err == nil {
			e.PriceDigits, e.SizeDigits = priceDigits, sizeDigits
		}
	}
	if err != nil {
		return dst, feeds.Notice{}, err
	}
	return out, notice, nil
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

	quoteFields = set(fieldSymbol, fieldLastID, fieldBids, fieldBidSize, fieldAsks, fieldAskSize)
	tradeFields = set(fieldSymbol, fieldTradeID, fieldPrice, fieldSize, fieldMaker)
	depthFields = set(fieldSymbol, fieldFirstID, fieldLastID, fieldBids, fieldAsks)
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
func (d *decoder) message(dst []tick.Unit, frame []byte, at feeds.Stamp) ([]tick.Unit, feeds.Notice, error) {
	s := &d.scan
	s.Reset(frame)
	d.seen, d.err, d.entry, d.sidesRead, d.finer = 0, nil, nil, 0, false
	d.depth.units = dst
	switch {
	case s.Peek() != jsonscan.Object:
		s.Skip()
	case d.snapshot != nil:
		d.members(bookFields)
	default:
		d.members(frameFields)
	}
	if d.err == nil && !s.End() {
		d.refuse("broken JSON")
	}
	if d.err != nil {
		return dst, feeds.Notice{}, d.err
	}
	dst, notice, err := d.dispatch(dst, at)
	switch {
	case err != nil:
		return dst, feeds.Notice{}, err
	case d.err != nil:
		return dst, feeds.Notice{}, d.err
	case d.finer && notice.Kind == feeds.NoticeNone:
		return dst, feeds.Notice{}, errFiner
	}
	return dst, notice, nil
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
		switch {
		case (f == fieldBids || f == fieldBookBids) && s.Peek() == jsonscan.Array && d.depthIsKnown():
			d.beginDepth(d.depth.units)
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
func (d *decoder) dispatch(dst []tick.Unit, at feeds.Stamp) ([]tick.Unit, feeds.Notice, error) {
	switch {
	case d.snapshot != nil:
		dst, err := d.book(dst, at)
		return dst, feeds.Notice{}, err
	case d.has(fieldEvent):
		return d.event(dst, at)
	case d.seen&quoteFields == quoteFields: // spot quotes name no event
		dst, err := d.quote(dst, at)
		return dst, feeds.Notice{}, err
	case d.has(fieldError) || d.has(fieldCode):
		return dst, d.refusal(), nil
	case d.has(fieldResult):
		if d.values[fieldResult].Kind == jsonscan.Null {
			return dst, feeds.Notice{Kind: feeds.NoticeAck, Request: d.request()}, nil
		}
		return dst, feeds.Notice{Kind: feeds.NoticeIgnored}, nil
	case d.has(fieldBookID), bytes.Contains(d.text(fieldStream), []byte("@arr")):
		// Partial books and streams of all symbols, which are not subscribed.
		return dst, feeds.Notice{Kind: feeds.NoticeIgnored}, nil
	}
	return dst, feeds.Notice{}, fmt.Errorf("%s: %w: no event", d.market.venue, feeds.ErrUnknownMessage)
}

func (d *decoder) event(dst []tick.Unit, at feeds.Stamp) ([]tick.Unit, feeds.Notice, error) {
	event := d.text(fieldEvent)
	var err error
	switch string(event) {
	case "trade":
		dst, err = d.trade(dst, at)
	case "bookTicker":
		dst, err = d.quote(dst, at)
	case "depthUpdate":
		if !d.isFullDepth() {
			return dst, feeds.Notice{Kind: feeds.NoticeIgnored}, nil
		}
		dst, err = d.delta(dst, at)
	case "serverShutdown":
		return dst, feeds.Notice{Kind: feeds.NoticeReconnect}, nil
	case "aggTrade", "kline", "continuous_kline", "indexPrice_kline", "markPrice_kline", "24hrTicker", "24hrMiniTicker", "1hTicker", "4hTicker", "1dTicker",
		"avgPrice", "markPriceUpdate", "indexPriceUpdate", "forceOrder", "contractInfo", "compositeIndex", "assetIndexUpdate", "referencePrice", "tradingSession":
		return dst, feeds.Notice{Kind: feeds.NoticeIgnored}, nil
	default:
		err = fmt.Errorf("%s: %w: event %.40q", d.market.venue, feeds.ErrUnknownMessage, event)
	}
	return dst, feeds.Notice{}, err
}

func (d *decoder) trade(dst []tick.Unit, at feeds.Stamp) ([]tick.Unit, error) {
	if d.seen&tradeFields != tradeFields {
		return dst, d.missing("trade")
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
	e := d.lookup(fieldSymbol)
	if e == nil {
		return dst, d.err
	}
	price, size := d.number(fieldPrice, d.priceDigits, &d.priceNeeds), d.number(fieldSize, d.sizeDigits, &d.sizeNeeds)
	// Trades that are none of the market's, such as the insurance fund's, come with zeros.
	if price < 0 || size < 0 || (price == 0 || size == 0) && flags&tick.FlagNotMarket == 0 {
		d.refuse("a trade needs a price and a size above 0")
	}
	dst, p := tick.AppendUnits(dst, 1)
	t := p[0].Trade()
	t.Header = at.Header(tick.KindTrade, e.ID, nanos)
	t.Flags |= flags
	t.ID.Lo, t.Price, t.Size = id, price, size
	return dst, nil
}

func (d *decoder) quote(dst []tick.Unit, at feeds.Stamp) ([]tick.Unit, error) {
	if d.seen&quoteFields != quoteFields {
		return dst, d.missing("quote")
	}
	nanos := d.time(false)
	id := d.uint(fieldLastID)
	e := d.lookup(fieldSymbol)
	if e == nil {
		return dst, d.err
	}
	dst, p := tick.AppendUnits(dst, tick.DepthUnits(2))
	q := p[0].Depth()
	q.Header = at.Header(tick.KindQuote, e.ID, nanos)
	q.FirstID, q.LastID = id, id
	q.Bids, q.LevelCount = 1, 2
	levels := tick.Levels(p)
	levels[0] = d.best(fieldBids, fieldBidSize)
	levels[1] = d.best(fieldAsks, fieldAskSize)
	return dst, nil
}

// best reads one side of a quote; an empty side has price and size 0.
func (d *decoder) best(price, size field) tick.Level {
	l := tick.Level{Price: d.number(price, d.priceDigits, &d.priceNeeds), Size: d.number(size, d.sizeDigits, &d.sizeNeeds)}
	if l.Price < 0 || l.Size < 0 || l.Price == 0 && l.Size != 0 {
		d.refuse("a quote needs prices above 0 and sizes from 0")
	}
	return l
}

func (d *decoder) delta(dst []tick.Unit, at feeds.Stamp) ([]tick.Unit, error) {
	need := depthFields
	if d.market.futures {
		need |= set(fieldPrevID)
	}
	if d.seen&need != need {
		return dst, d.missing("depth update")
	}
	head := tick.Depth{FirstID: d.uint(fieldFirstID), LastID: d.uint(fieldLastID)}
	if d.market.futures {
		head.PrevID = d.uint(fieldPrevID)
	}
	if head.FirstID > head.LastID {
		d.refuse("ids U..u run backwards")
	}
	return d.finishDepth(dst, at, tick.KindDepth, head, fieldSymbol, fieldBids, fieldAsks)
}

// finishDepth reads the sides that were not read where they stood, and
// completes the packet.
func (d *decoder) finishDepth(dst []tick.Unit, at feeds.Stamp, kind tick.Kind, head tick.Depth, symbol, bids, asks field) ([]tick.Unit, error) {
	nanos := d.time(kind == tick.KindDepth)
	if d.sidesRead == 0 {
		if d.entry = d.lookup(symbol); d.entry == nil {
			return dst, d.err
		}
		d.beginDepth(dst)
		d.scan.Seek(d.values[bids])
		d.side()
	}
	if d.sidesRead == 1 {
		d.scan.Seek(d.values[asks])
		d.side()
	}
	head.Header = at.Header(kind, d.entry.ID, nanos)
	return d.depth.finish(head), nil
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
	case d.has(fieldEvent) && d.has(fieldSymbol) && string(d.text(fieldEvent)) == "depthUpdate" && d.isFullDepth():
		d.entry = d.table.Known(d.text(fieldSymbol))
	}
	if d.entry == nil {
		return false
	}
	d.scaleBy(d.entry)
	return true
}

func (d *decoder) beginDepth(dst []tick.Unit) { d.depth.begin(dst, d.scan.Left()) }

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

// lookup finds the instrument a field names and takes its scale; nil with
// d.err set if there is none.
func (d *decoder) lookup(f field) *feeds.Entry {
	symbol := d.text(f)
	if d.snapshot != nil {
		symbol = d.snapshot.symbol
	}
	if d.err != nil {
		return nil
	}
	if len(symbol) == 0 || len(symbol) > len(d.symbolText) || !utf8.Valid(symbol) {
		d.refuse("no usable symbol")
		return nil
	}
	e := d.table.Lookup(symbol)
	if e == nil {
		d.err = fmt.Errorf("%s: %w: %q", d.market.venue, feeds.ErrUnknownSymbol, symbol)
		return nil
	}
	d.entry = e
	d.scaleBy(e)
	return e
}

func (d *decoder) scaleBy(e *feeds.Entry) {
	d.priceDigits, d.sizeDigits = max(e.PriceDigits, d.priceNeeds), max(e.SizeDigits, d.sizeNeeds)
}

func (d *decoder) has(f field) bool { return d.seen&(1<<f) != 0 }

// text returns a string field with its escapes resolved, nil if it is absent or
// no string. It is dead after the next text with escapes.
func (d *decoder) text(f field) []byte {
	if !d.has(f) || d.values[f].Kind != jsonscan.String {
		return nil
	}
	t := d.scan.Bytes(d.values[f])
	if bytes.IndexByte(t, '\\') >= 0 && len(t) <= 6*len(d.symbolText) {
		t = jsonscan.AppendUnescaped(d.symbolText[:0], t)
	}
	return t
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

func (d *decoder) number(f field, digits uint8, needs *uint8) int64 {
	return d.scaled(d.values[f], digits, needs)
}

// scaled reads a number, in quotes or bare. One that is finer than the scale
// raises needs and stands in as 1, until the frame is read again.
func (d *decoder) scaled(v jsonscan.Value, digits uint8, needs *uint8) int64 {
	switch v.Kind {
	case jsonscan.String, jsonscan.Uint, jsonscan.Number:
	default:
		d.refuse("no number where one must be")
		return 0
	}
	text := d.scan.Bytes(v)
	n, err := tick.ParseScaled(text, digits)
	switch err {
	case nil:
		return n
	case tick.ErrFiner:
		exact, _ := tick.ParseNumber(text)
		*needs = max(*needs, exact.Digits)
		d.finer = true
		return 1
	case tick.ErrRange:
		if d.err == nil {
			d.err = fmt.Errorf("%s: %w: %.40q with %d decimal places", d.market.venue, feeds.ErrNumberRange, text, digits)
		}
	default:
		d.refuse("no number where one must be")
	}
	return 0
}

// refuse makes the message malformed, unless it has a fault already, and ends the scan.
func (d *decoder) refuse(what string) {
	if d.err == nil {
		at := d.scan.At()
		if d.scan.Failed() {
			at = d.scan.FailedAt()
		}
		d.err = d.market.malformed(at, what)
	}
	d.scan.Fail()
}

func (d *decoder) missing(what string) error {
	return d.market.malformed(d.scan.At(), "a "+what+" lacks a key")
}

// noticeText bounds what is kept of a venue's message, in bytes.
const noticeText = 256

// refusal reads {"error":{"code":2,"msg":"…"},"id":1} and {"code":2,"msg":"…","id":1}.
func (d *decoder) refusal() feeds.Notice {
	n := feeds.Notice{Kind: feeds.NoticeRefused, Request: d.request()}
	n.Code, n.Text = d.fault()
	return n
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
	if d.has(f) && d.values[f].Kind == jsonscan.String {
		t := d.scan.Bytes(d.values[f])
		text = string(bytes.ToValidUTF8(jsonscan.AppendUnescaped(nil, t[:min(len(t), noticeText)]), nil))
	}
	return code, text
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
