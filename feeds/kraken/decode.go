package kraken

import (
	"tickproc/feeds"
	"tickproc/feeds/wire"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// decoder reads a message by the shape of the one before, else in one pass: channel and type come first, and each
// element of data begins with its symbol, so that all is converted where it
// stands. Where a message is ordered otherwise, or about a symbol yet to be
// introduced, its data are read again when all of it has proven well-formed.
// owner: the line's reading goroutine.
type decoder struct {
	wire.Frame
	service string // what the venue last told of its service

	message scope
	of      scope // the element being read
	sides   int   // of its book that were read

	element *element // what the data hold
	whole   bool     // they are a snapshot
	proven  bool     // the message is well-formed to its end
	unknown bool     // an element's symbol must wait for that
	taken   bool     // the data were read

	shapes shapes
}

// scope holds the members of an object that count.
type scope struct {
	seen   fields
	values [fieldCount]jsonscan.Value
}

func (s *scope) has(f field) bool { return s.seen&(1<<f) != 0 }

// Decode implements feeds.Decoder.
//
// hot: per frame, 0 allocs for market data.
func (d *decoder) Decode(dst []tick.Unit, frame []byte, at feeds.Stamp) ([]tick.Unit, feeds.Notice, error) {
	if d.Begin(dst, frame, at); d.byShape() {
		return d.Out, feeds.Notice{}, nil
	}
	dst, notice, err := d.Run(d, dst, frame, at)
	if err == nil && d.taken && notice.Kind == feeds.NoticeNone {
		d.learn()
	}
	if notice.Kind == feeds.NoticeMaintenance {
		d.service = notice.Text
	}
	return dst, notice, err
}

// Read implements wire.Reader.
func (d *decoder) Read() {
	d.message.seen, d.proven, d.unknown, d.taken = 0, false, false, false
	if d.Scan.Peek() == jsonscan.Object {
		d.members()
	} else {
		d.Scan.Skip()
	}
	if d.Complete() {
		d.proven = true
		d.dispatch()
	}
}

// members reads the message.
func (d *decoder) members() {
	s := &d.Scan
	for more := s.Object(); more; more = s.Next('}') {
		key := s.Key()
		f := messageField(key)
		if !d.counts(&d.message, f, "message", key) {
			continue
		}
		if f == fieldData && s.Peek() == jsonscan.Array && d.marketData() {
			d.dataHere()
			continue
		}
		d.message.values[f] = s.Value()
	}
}

// counts notes a key; false if it was skipped, or stands twice.
func (d *decoder) counts(in *scope, f field, what string, key []byte) bool {
	switch {
	case d.Scan.Failed():
		return false
	case f == fieldStrange:
		d.Strange(what, key)
		d.Scan.Skip()
		return false
	case f == fieldUnused:
		d.Scan.Skip()
		return false
	case in.has(f):
		// Which of two values would be meant?
		d.Refuse("a key stands twice")
		return false
	}
	in.seen |= 1 << f
	return true
}

// marketData reports whether what was read so far says that the data are
// trades, quotes or books.
func (d *decoder) marketData() bool {
	if d.element = elementOf(d.text(&d.message, fieldChannel)); d.element == nil {
		return false
	}
	switch string(d.text(&d.message, fieldType)) {
	case "snapshot":
		d.whole = true
	case "update":
		d.whole = false
	default:
		return false
	}
	return true
}

// dataHere reads the data where they stand, or leaves them for later.
func (d *decoder) dataHere() {
	s, units := &d.Scan, len(d.Out)
	place := jsonscan.Value{Kind: jsonscan.Array, Start: int32(s.At())}
	d.elements()
	if d.unknown {
		d.Out = d.Out[:units]
		s.Seek(place)
		s.Skip()
	}
	place.End = int32(s.At())
	d.message.values[fieldData] = place
}

// dispatch says what a well-formed message is.
func (d *decoder) dispatch() {
	switch {
	case d.taken:
	case d.message.has(fieldMethod) || d.message.has(fieldError):
		d.answer()
	case !d.message.has(fieldChannel):
		d.Fault(feeds.ErrUnknownMessage, "no channel", nil)
	case elementOf(d.text(&d.message, fieldChannel)) != nil:
		d.dataLate()
	default:
		d.other()
	}
}

// dataLate reads market data in a message that has proven well-formed.
func (d *decoder) dataLate() {
	switch {
	case d.message.seen&set(fieldType, fieldData) != set(fieldType, fieldData):
		d.Refuse("market data lack a key")
	case d.message.values[fieldType].Kind != jsonscan.String || d.message.values[fieldData].Kind != jsonscan.Array:
		d.Refuse("market data are no list of a type")
	case !d.marketData():
		d.Table().Canary.Report(feeds.CanaryMessage, "type "+excerpt(d.text(&d.message, fieldType)))
		d.Fault(feeds.ErrUnknownMessage, "type", d.text(&d.message, fieldType))
	default:
		d.Scan.Seek(d.message.values[fieldData])
		d.elements()
	}
}

// text returns a string field, escapes as written; nil if it is absent or no
// string.
func (d *decoder) text(in *scope, f field) []byte {
	if !in.has(f) || in.values[f].Kind != jsonscan.String {
		return nil
	}
	return d.Scan.Bytes(in.values[f])
}
