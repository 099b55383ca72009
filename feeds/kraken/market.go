package kraken

import (
	"cmp"
	"math"
	"slices"

	"tickproc/feeds"
	"tickproc/feeds/wire"
	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// elements reads a list of market data.
func (d *decoder) elements() {
	s, units := &d.Scan, len(d.Out)
	n := 0
	for more := s.Array(); more; more = s.Next(']') {
		if !d.fields() {
			return
		}
		switch d.element {
		case &tradeElement:
			d.trade()
		case &quoteElement:
			d.quote()
		case &bookElement:
			d.book()
		}
		if !d.Sound() || s.Failed() {
			return
		}
		n++
	}
	d.taken = !s.Failed()
	if n == 0 && d.taken {
		d.Notice.Kind = feeds.NoticeIgnored // a pair that never traded has no last trades
	}
	if d.element == &tradeElement && d.whole {
		oldestFirst(d.Out[units:])
	}
}

// oldestFirst orders the last trades by their ids: no document says how they
// come.
func oldestFirst(trades []tick.Unit) {
	slices.SortStableFunc(trades, func(a, b tick.Unit) int { return cmp.Compare(a.Trade().ID.Lo, b.Trade().ID.Lo) })
}

// fields reads the members of an element; false if it cannot be used, or not
// yet.
func (d *decoder) fields() bool {
	s, e := &d.Scan, &d.of
	e.seen, d.sides = 0, 0
	if s.Peek() != jsonscan.Object {
		d.Refuse("an element of market data is no object")
		return false
	}
	found := false
	for more := s.Object(); more; more = s.Next('}') {
		key := s.Key()
		f := d.element.field(key)
		if !d.counts(e, f, d.element.channel, key) {
			continue
		}
		switch {
		case f == fieldBids && found:
			d.Depth.Begin(d.Out, s.Left())
			d.side()
			continue
		case f == fieldAsks && d.sides == 1:
			d.side()
			continue
		}
		e.values[f] = s.Value()
		if f == fieldSymbol {
			symbol := d.text(e, f)
			if found = d.Known(symbol); !found && !d.proven {
				// It may be yet to be introduced, which waits until the message has
				// proven good.
				d.unknown = true
				return false
			}
		}
	}
	if s.Failed() {
		return false
	}
	if e.seen&d.element.need != d.element.need {
		d.Refuse("an element of market data lacks a key")
		return false
	}
	return found || d.Lookup(d.text(e, fieldSymbol))
}

func (d *decoder) trade() {
	e := &d.of
	var flags tick.Flags
	switch string(d.text(e, fieldSide)) { // the taker's
	case "sell":
		flags = tick.FlagSell
	case "buy":
	default:
		d.Refuse("a side is neither buy nor sell")
	}
	if d.whole {
		flags |= tick.FlagBackfill
	}
	id := e.values[fieldTradeID]
	if id.Kind != jsonscan.Uint {
		d.Refuse("an id is no whole number")
	}
	nanos := d.time()
	d.Trade(flags, tick.ID{Lo: id.Uint}, d.Price(e.values[fieldPrice]), d.Size(e.values[fieldSize]), nanos)
}

func (d *decoder) quote() {
	e := &d.of
	bid := tick.Level{Price: d.Price(e.values[fieldBid]), Size: d.Size(e.values[fieldBidSize])}
	ask := tick.Level{Price: d.Price(e.values[fieldAsk]), Size: d.Size(e.values[fieldAskSize])}
	d.Quote(0, bid, ask, d.time())
}

func (d *decoder) book() {
	s, e := &d.Scan, &d.of
	behind := jsonscan.Value{Start: int32(s.At())}
	if d.sides == 0 {
		d.Depth.Begin(d.Out, s.Size())
		s.Seek(e.values[fieldBids])
		d.side()
	}
	if d.sides == 1 && !s.Failed() {
		s.Seek(e.values[fieldAsks])
		d.side()
	}
	if s.Failed() {
		return
	}
	s.Seek(behind)
	kind := tick.KindDepth
	if d.whole {
		kind = tick.KindSnapshot
	} else if !e.has(fieldTime) {
		d.Refuse("a change of a book has no time")
	}
	sum := e.values[fieldChecksum]
	if sum.Kind != jsonscan.Uint || sum.Uint > math.MaxUint32 {
		d.Refuse("a checksum is no number of 32 bits")
	}
	d.Out = d.Depth.Finish(tick.Depth{Header: d.At.Header(kind, d.Instrument(), d.time()), Checksum: uint32(sum.Uint)})
}

// time returns the element's time in ns, 0 if it has none.
func (d *decoder) time() int64 {
	if !d.of.has(fieldTime) {
		return 0
	}
	nanos, ok := wire.ParseTime(d.text(&d.of, fieldTime))
	if !ok {
		d.Refuse("a time is not as RFC 3339 writes it")
	}
	return nanos
}
