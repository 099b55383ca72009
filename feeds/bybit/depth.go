package bybit

import (
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

func bookField(key []byte) field {
	switch string(key) {
	case "s":
		return fieldSymbol
	case "b":
		return fieldBids
	case "a":
		return fieldAsks
	case "u":
		return fieldUpdateID
	case "seq": // orders the topics among each other; it has holes
		return fieldUnused
	}
	return fieldStrange
}

var bookFields = set(fieldSymbol, fieldBids, fieldAsks, fieldUpdateID)

// book reads {"s":"BTCUSDT","b":[["78715","1.27"],…],"a":[…],"u":…,"seq":…}.
//
// hot: per frame, 0 allocs.
func (d *decoder) book() {
	s := &d.Scan
	isTop := d.subject.kind == subjectTop
	d.data, d.best = 0, [2]tick.Level{}
	if !isTop {
		d.Depth.Begin(d.Out, s.Left())
	}
	for more := s.Object(); more; more = s.Next('}') {
		key := s.Key()
		f := bookField(key)
		switch {
		case f >= fieldCount:
			d.pass(f, "orderbook", key)
		case !d.once(&d.data, f):
			return
		case (f == fieldBids || f == fieldAsks) && isTop:
			d.top(f)
		case f == fieldBids:
			d.Side()
		case f == fieldAsks && d.data&set(fieldBids) != 0:
			d.Depth.Asks()
			d.Side()
		case f == fieldAsks:
			d.asksAhead()
		default:
			d.values[f] = s.Value()
		}
	}
	if !d.complete(bookFields, "book") || !d.isSubject() {
		return
	}
	if d.values[fieldUpdateID].Kind != jsonscan.Uint {
		d.Refuse("an id is no whole number")
	}
	d.updateID = d.values[fieldUpdateID].Uint
}

// asksAhead reads asks that stand ahead of the bids.
func (d *decoder) asksAhead() {
	for more := d.Scan.Array(); more; more = d.Scan.Next(']') {
		price, size := d.Level()
		if !d.ValidLevel(price, size) {
			return
		}
		d.Depth.Mixed(true, price, size)
	}
}

// top reads a side of a book of one level.
func (d *decoder) top(f field) {
	best := &d.best[f-fieldBids]
	for more := d.Scan.Array(); more; more = d.Scan.Next(']') {
		price, size := d.Level()
		if !d.ValidLevel(price, size) {
			return
		}
		if *best == (tick.Level{}) {
			*best = tick.Level{Price: price, Size: size}
		}
	}
}

func (d *decoder) finishBook() {
	kind := tick.KindDepth
	switch of := d.text(fieldType); {
	case string(of) == "snapshot", string(of) == "delta" && d.updateID == 1:
		// The venue began anew: whatever the message calls itself, it is all there is.
		kind = tick.KindSnapshot
	case string(of) != "delta":
		d.unknown("orderbook type", of)
		return
	}
	head := tick.Depth{FirstID: d.updateID, LastID: d.updateID}
	head.Header = d.At.Header(kind, d.Instrument(), d.bookTime())
	d.Out = d.Depth.Finish(head)
}

// finishQuote: every message of the first level is a snapshot. A change alone
// would need the one before it, which no document of today's has.
func (d *decoder) finishQuote() {
	if of := d.text(fieldType); string(of) != "snapshot" {
		d.unknown("orderbook.1 type", of)
		return
	}
	d.Quote(d.updateID, d.best[0], d.best[1], d.bookTime())
}

// bookTime is the matching engine's time, else when the message was sent.
func (d *decoder) bookTime() int64 {
	if d.has(fieldMatchingTime) {
		return d.time(fieldMatchingTime)
	}
	return d.sent()
}
