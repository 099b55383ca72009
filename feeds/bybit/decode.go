package bybit

import (
	"bytes"
	"math"

	"tickproc/feeds"
	"tickproc/feeds/wire"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// decoder reads a message by the shape of the one before, else in one pass: of the envelope each member that
// matters is remembered by its place; data are converted where they stand if
// the topic came before them and names an instrument that is known (on Bybit
// it always does), else when all of the frame has proven well-formed. What the
// message is, is decided at its end.
// owner: the line's reading goroutine.
type decoder struct {
	wire.Frame
	market *market

	seen    fields // of the envelope
	values  [fieldCount]jsonscan.Value
	subject subject
	hasRead bool // the data were converted where they stood
	data    fields
	// What the data say, until the envelope is complete.
	updateID uint64
	best     [2]tick.Level // bid, ask
	ticker   ticker
	shapes   shapes
}

// field is a key that means something to us.
type field uint8

const (
	fieldTopic field = iota
	fieldType
	fieldTime         // when the venue sent it, ms
	fieldMatchingTime // ms
	fieldData
	fieldOp
	fieldSuccess
	fieldMessage
	fieldRequest
	// Of the data, where a message tells of one instrument or execution.
	fieldSymbol
	fieldBids
	fieldAsks
	fieldUpdateID
	fieldTradeTime
	fieldSide
	fieldSize
	fieldPrice
	fieldTradeID
	fieldTradeIDLow // the second half of a UUID that was read by shape
	fieldBlock
	fieldMark
	fieldIndex
	fieldRate
	fieldNextFunding
	fieldOpenInterest
	fieldCount
	fieldUnused  = fieldCount // documented, and of no interest
	fieldStrange = fieldCount + 1
)

// fields is a set of fields.
type fields uint32

func set(of ...field) (s fields) {
	for _, f := range of {
		s |= 1 << f
	}
	return s
}

func envelopeField(key []byte) field {
	switch string(key) {
	case "topic":
		return fieldTopic
	case "type":
		return fieldType
	case "ts":
		return fieldTime
	case "cts":
		return fieldMatchingTime
	case "data":
		return fieldData
	case "op":
		return fieldOp
	case "success":
		return fieldSuccess
	case "ret_msg":
		return fieldMessage
	case "req_id":
		return fieldRequest
	case "cs", "conn_id", "args", "id":
		return fieldUnused
	}
	return fieldStrange
}

// Decode implements feeds.Decoder.
//
// hot: per frame, 0 allocs for market data.
func (d *decoder) Decode(dst []tick.Unit, frame []byte, at feeds.Stamp) ([]tick.Unit, feeds.Notice, error) {
	if d.Begin(dst, frame, at); d.byShape() {
		return d.Out, feeds.Notice{}, nil
	}
	dst, notice, err := d.Run(d, dst, frame, at)
	if err == nil && d.hasRead {
		d.learn()
	}
	return dst, notice, err
}

// Read implements wire.Reader.
func (d *decoder) Read() {
	d.seen, d.subject, d.hasRead = 0, subject{}, false
	if s := &d.Scan; s.Peek() == jsonscan.Object {
		d.envelope()
	} else {
		s.Skip()
	}
	if d.Complete() {
		d.dispatch()
	}
}

func (d *decoder) envelope() {
	s := &d.Scan
	for more := s.Object(); more; more = s.Next('}') {
		key := s.Key()
		f := envelopeField(key)
		switch {
		case f >= fieldCount:
			d.pass(f, "envelope", key)
		case !d.once(&d.seen, f):
			return
		case f == fieldData && d.subject.kind.isData() && d.Known(d.subject.symbol):
			d.hasRead = true
			d.read()
		default:
			d.values[f] = s.Value()
			if f == fieldTopic {
				d.subject = subjectOf(d.text(fieldTopic))
			}
		}
	}
}

// once notes a field of an object; a second one is a fault: which would be meant?
func (d *decoder) once(seen *fields, f field) bool {
	if *seen&(1<<f) != 0 {
		d.Refuse("a key stands twice")
		return false
	}
	*seen |= 1 << f
	return true
}

// pass passes over a member that means nothing to us.
func (d *decoder) pass(f field, message string, key []byte) {
	if f == fieldStrange && !d.Scan.Failed() {
		d.Strange(message, key)
	}
	d.Scan.Skip()
}

// dispatch says what a well-formed message is.
func (d *decoder) dispatch() {
	switch {
	case d.has(fieldTopic):
		d.published()
	case d.has(fieldOp) || d.has(fieldSuccess):
		d.answer()
	default:
		d.Fault(feeds.ErrUnknownMessage, "no topic", nil)
	}
}

// published is a message of a topic.
func (d *decoder) published() {
	k := d.subject.kind
	switch {
	case d.text(fieldTopic) == nil:
		d.Refuse("a topic is no text")
		return
	case k == subjectIgnored, k == subjectTicker && !d.market.derivatives:
		d.Notify(feeds.NoticeIgnored)
		return
	case !k.isData():
		d.unknown("topic", d.text(fieldTopic))
		return
	case !d.has(fieldData):
		d.Refuse("a message without data")
		return
	}
	if !d.hasRead {
		if !d.Lookup(d.subject.symbol) {
			return
		}
		d.Scan.Seek(d.values[fieldData])
		if d.read(); !d.Sound() {
			return
		}
	}
	switch k {
	case subjectBook:
		d.finishBook()
	case subjectTop:
		d.finishQuote()
	case subjectTicker:
		d.finishTicker()
	}
}

// read converts the data.
func (d *decoder) read() {
	switch d.subject.kind {
	case subjectBook, subjectTop:
		d.book()
	case subjectTrades, subjectLiquidations:
		d.executions()
	case subjectTicker:
		d.tickers()
	}
}

// unknown is a message of a kind that we do not know: tell the canary its name
// without the symbol.
func (d *decoder) unknown(what string, name []byte) {
	kind, _, _ := bytes.Cut(name, []byte("."))
	d.Table().Canary.Report(feeds.CanaryMessage, what+" "+string(kind[:min(len(kind), 64)]))
	d.Fault(feeds.ErrUnknownMessage, what, name)
}

// subject is what a topic is about.
type subject struct {
	kind   subjectKind
	symbol []byte
}

type subjectKind uint8

const (
	subjectUnknown      subjectKind = iota
	subjectIgnored                  // known, and of no interest
	subjectBook                     // orderbook at any depth but 1
	subjectTop                      // orderbook.1
	subjectTrades                   // publicTrade
	subjectTicker                   // tickers
	subjectLiquidations             // allLiquidation
)

func (k subjectKind) isData() bool { return k >= subjectBook }

// subjectOf takes a topic apart: orderbook.1000.BTCUSDT, publicTrade.BTCUSDT.
func subjectOf(topic []byte) subject {
	name, rest, _ := bytes.Cut(topic, []byte("."))
	switch string(name) {
	case "orderbook":
		depth, symbol, _ := bytes.Cut(rest, []byte("."))
		switch {
		case string(depth) == "1":
			return subject{subjectTop, symbol}
		case len(depth) > 0 && depth[0]-'0' <= 9:
			return subject{subjectBook, symbol}
		}
		return subject{kind: subjectIgnored} // full, rpi: books of other rules
	case "publicTrade":
		return subject{subjectTrades, rest}
	case "tickers":
		return subject{subjectTicker, rest}
	case "allLiquidation":
		return subject{subjectLiquidations, rest}
	case "kline", "liquidation", "adlAlert", "insurance", "priceLimit", "kline_lt", "tickers_lt", "lt", "system":
		return subject{kind: subjectIgnored}
	}
	return subject{}
}

func (d *decoder) has(f field) bool { return d.seen&(1<<f) != 0 }

// text returns a string field of the envelope, escapes as written; nil if it
// is absent or no string.
func (d *decoder) text(f field) []byte {
	if !d.has(f) {
		return nil
	}
	return d.textOf(f)
}

// textOf returns a field that was seen as a string, escapes as written; nil if
// it is none.
func (d *decoder) textOf(f field) []byte {
	if d.values[f].Kind != jsonscan.String {
		return nil
	}
	return d.Scan.Bytes(d.values[f])
}

// complete reports whether the data have all fields; if not, that is a fault.
func (d *decoder) complete(need fields, what string) bool {
	if d.data&need == need {
		return true
	}
	d.Refuse("a " + what + " lacks a key")
	return false
}

// isSubject checks that data are about the topic's symbol.
func (d *decoder) isSubject() bool {
	if !bytes.Equal(d.textOf(fieldSymbol), d.subject.symbol) {
		d.Refuse("data of another symbol than the topic's")
		return false
	}
	return true
}

// time returns a field in ms, in ns.
func (d *decoder) time(f field) int64 {
	v := d.values[f]
	if v.Kind != jsonscan.Uint {
		d.Refuse("a time is no whole number")
	}
	return nanosOf(v.Uint)
}

// sent is when the venue sent the message.
func (d *decoder) sent() int64 {
	if !d.has(fieldTime) {
		d.Refuse("no time")
		return 0
	}
	return d.time(fieldTime)
}

// nanosOf is a time in ms, in ns; one that no int64 of ns can hold is 0, no
// time. Whether the others are near our clock is for the shard to judge.
func nanosOf(millis uint64) int64 {
	const nanosPerMilli = 1_000_000
	if millis > math.MaxInt64/nanosPerMilli {
		return 0
	}
	return int64(millis * nanosPerMilli)
}
