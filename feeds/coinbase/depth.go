package coinbase

import (
	"bytes"

	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

const (
	levelSide = iota
	levelTime
	levelPrice
	levelSize
)

// updates reads the levels of an event, which mix the sides, into one message.
// Its time is that of the newest of them, or the envelope's where they tell none
// (a whole book may say 1970).
//
// An update without levels is no message: the venue sends them when a batch
// changed nothing, and their only time is that of sending, which is later than
// that of changes still to come. It would move the book's time past them.
func (d *decoder) updates(snapshot bool) {
	s := &d.Scan
	d.Depth.Begin(d.Out, s.Left())
	levels, newest := 0, int64(0)
	var last jsonscan.Value // of times; most repeat
	for more := s.Array(); more; more = s.Next(']') {
		at := d.level()
		levels++
		if at.Kind != jsonscan.String || last.Kind == jsonscan.String && bytes.Equal(s.Bytes(at), s.Bytes(last)) {
			continue
		}
		last, newest = at, max(newest, d.nanosOf(at))
	}
	if s.Failed() {
		d.Refuse("broken levels")
		return
	}
	if levels == 0 && !snapshot {
		return
	}
	if newest == 0 {
		newest = d.nanos
	}
	kind := tick.KindDepth
	if snapshot {
		kind = tick.KindSnapshot
	}
	d.Out = d.Depth.Finish(tick.Depth{Header: d.At.Header(kind, d.Instrument(), newest)})
}

// level reads {"side":"bid","event_time":…,"price_level":…,"new_quantity":…}
// and returns where its time stands.
//
// hot: per level, 0 allocs.
func (d *decoder) level() (at jsonscan.Value) {
	s := &d.Scan
	var seen keys
	var side, price, size jsonscan.Value
	for more := s.Object(); more; more = s.Next('}') {
		var into *jsonscan.Value
		k := 0
		switch key := s.Key(); string(key) {
		case "side":
			k, into = levelSide, &side
		case "event_time":
			k, into = levelTime, &at
		case "price_level":
			k, into = levelPrice, &price
		case "new_quantity":
			k, into = levelSize, &size
		default:
			d.Strange("level", key)
			s.Skip()
			continue
		}
		if !d.once(&seen, k) {
			return at
		}
		*into = s.Value()
	}
	const needed = 1<<levelSide | 1<<levelPrice | 1<<levelSize
	switch {
	case s.Failed(): // said by the caller
		return at
	case seen&needed != needed:
		d.Refuse("a level lacks a key")
		return at
	case seen&(1<<levelTime) != 0 && at.Kind != jsonscan.String:
		d.Refuse("event_time is no string")
		return at
	}
	isAsk := false
	switch text := s.Bytes(side); {
	case side.Kind == jsonscan.String && string(text) == "bid":
	case side.Kind == jsonscan.String && (string(text) == "offer" || string(text) == "ask"):
		isAsk = true
	default:
		d.Refuse("a level is of neither side")
		return at
	}
	if p, q := d.Price(price), d.Size(size); d.ValidLevel(p, q) {
		d.Depth.Mixed(isAsk, p, q)
	}
	return at
}
