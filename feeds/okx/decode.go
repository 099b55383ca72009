package okx

import (
	"bytes"

	"tickproc/feeds"
	"tickproc/feeds/wire"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// decoder reads a message by the shape of the one before, else in one pass. The venue puts arg, which says what
// the data are and of whom, ahead of them: they are then read where they stand.
// Where it comes behind, or names somebody yet to be discovered, they are read
// when all of the message has proven well-formed.
// owner: the line's reading goroutine.
type decoder struct {
	wire.Frame
	planned bool   // a connection's, which says who is subscribed
	forced  []bool // by instrument: its liquidations are subscribed
	// indexes has a place in followers for the name of each index, as its ID.
	indexes   *feeds.Table
	followers [][][]byte // symbols of the derivatives of an index
	// askedAt is by instrument when its trades were granted, until the first came:
	// one from before that is the venue's greeting, no news.
	askedAt []int64

	frame, arg, item, detail scope
	kind                     streamKind
	itemsRead                bool
	sides                    int
	packets                  int
	shapes                   shapes
}

// Decode implements feeds.Decoder.
//
// hot: per frame, 0 allocs for market data.
func (d *decoder) Decode(dst []tick.Unit, frame []byte, at feeds.Stamp) ([]tick.Unit, feeds.Notice, error) {
	if string(frame) == "pong" {
		return dst, feeds.Notice{Kind: feeds.NoticePong}, nil
	}
	if d.Begin(dst, frame, at); d.byShape() {
		d.learn(feeds.Notice{})
		return d.Out, feeds.Notice{}, nil
	}
	dst, notice, err := d.Run(d, dst, frame, at)
	if err == nil {
		d.learn(notice)
		d.learnShape()
	}
	return dst, notice, err
}

// learn remembers what a good frame says about those that come.
func (d *decoder) learn(n feeds.Notice) {
	switch {
	case n.Kind == feeds.NoticeAck && n.Channel == tick.ChannelTrades:
		if need := int(n.Instrument) + 1; need > len(d.askedAt) {
			d.askedAt = append(d.askedAt, make([]int64, need-len(d.askedAt))...)
		}
		d.askedAt[n.Instrument] = d.At.ReceiveNanos
	case d.packets == 0:
	case d.kind == streamTrades:
		if id := int(d.Instrument()); id < len(d.askedAt) {
			d.askedAt[id] = 0
		}
	case !d.planned && (d.kind == streamMark || d.kind == streamFunding):
		d.followed(d.Entry().Symbol)
	}
}

// Read implements wire.Reader.
func (d *decoder) Read() {
	d.kind, d.itemsRead, d.packets = streamUnknown, false, 0
	d.frame.name, d.frame.count, d.frame.seen = "frame", frameFields, 0
	d.arg.name, d.arg.count, d.arg.seen = "arg", argFields, 0
	if d.Scan.Peek() != jsonscan.Object {
		d.Scan.Skip()
	} else {
		d.members(&d.frame)
	}
	if d.Complete() {
		d.dispatch()
	}
}

// members reads an object whose keys count by a scope.
func (d *decoder) members(o *scope) {
	s := &d.Scan
	for more := s.Object(); more; more = s.Next('}') {
		key := s.Key()
		f := fieldOf(key)
		bit := fields(1) << f
		if o.count&bit == 0 {
			if f == fieldNone && !s.Failed() {
				d.Strange(o.name, key)
			}
			s.Skip()
			continue
		}
		if o.seen&bit != 0 {
			// Which of two values would be meant?
			d.Refuse("a key stands twice")
			return
		}
		o.seen |= bit
		switch {
		case (f == fieldAsks || f == fieldBids) && d.kind == streamDepth:
			d.side(f == fieldAsks)
			continue
		case f == fieldArg && s.Peek() == jsonscan.Object:
			d.members(&d.arg)
			d.kind = kindOf(d.text(&d.arg, fieldChannel))
			continue
		case f == fieldData && s.Peek() == jsonscan.Array && d.isKnown():
			d.items()
			continue
		}
		o.values[f] = s.Value()
	}
}

// isKnown reports whether the data ahead can be read now.
func (d *decoder) isKnown() bool {
	switch {
	case d.frame.has(fieldEvent) || d.kind.channel() == 0:
		return false
	case d.kind == streamDepth && !d.frame.has(fieldAction):
		return false
	case d.kind.ofInstrument() == 0:
		return true
	}
	return d.Known(d.text(&d.arg, fieldSymbol))
}

// dispatch says what a well-formed message is.
func (d *decoder) dispatch() {
	switch {
	case d.itemsRead:
	case d.frame.has(fieldEvent):
		d.event()
		return
	case d.kind == streamIgnored:
		d.Notify(feeds.NoticeIgnored)
		return
	case d.kind.channel() == 0 || !d.frame.has(fieldData):
		channel := d.text(&d.arg, fieldChannel)
		d.Fault(feeds.ErrUnknownMessage, "channel", channel)
		d.Table().Canary.Report(feeds.CanaryMessage, "channel "+string(channel[:min(len(channel), noticeText)]))
		return
	default:
		if d.kind.ofInstrument() != 0 && !d.Lookup(d.text(&d.arg, fieldSymbol)) {
			return
		}
		d.Scan.Seek(d.frame.values[fieldData])
		d.items()
	}
	if d.packets == 0 && d.Sound() && d.Notice.Kind == feeds.NoticeNone {
		d.Notify(feeds.NoticeIgnored) // it tells nothing, or of others
	}
}

// items reads the array of the data.
func (d *decoder) items() {
	d.itemsRead = true
	s := &d.Scan
	if s.Peek() != jsonscan.Array {
		d.Refuse("data are no array")
		return
	}
	for more := s.Array(); more; more = s.Next(']') {
		if s.Peek() != jsonscan.Object {
			d.Refuse("data hold what is no object")
			return
		}
		d.item.name, d.item.count, d.item.seen = d.kind.String(), itemFields, 0
		d.sides = 0
		d.members(&d.item)
		if s.Failed() {
			return
		}
		after := jsonscan.Value{Start: int32(s.At())}
		d.read()
		if s.Failed() {
			return
		}
		s.Seek(after)
	}
}

// read makes the packets of an item.
func (d *decoder) read() {
	if d.item.has(fieldSymbol) && d.kind != streamLiquidations && !bytes.Equal(d.text(&d.item, fieldSymbol), d.text(&d.arg, fieldSymbol)) {
		d.Refuse("the data are about another instrument")
		return
	}
	switch d.kind {
	case streamTrades:
		d.trade()
	case streamQuotes:
		d.quote()
	case streamDepth:
		d.depth()
	case streamFunding:
		d.funding()
	case streamMark:
		d.markPrice()
	case streamIndex:
		d.indexPrice()
	case streamOpenInterest:
		d.openInterest()
	case streamLiquidations:
		d.liquidations()
	}
}
