package okx

import (
	"math"

	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// side reads the levels of a side where they stand. The venue writes asks
// first, packets hold bids first.
//
// hot: per level, 0 allocs.
func (d *decoder) side(ask bool) {
	s := &d.Scan
	if s.Peek() != jsonscan.Array {
		d.Refuse("a side is no array")
		return
	}
	if d.sides == 0 {
		d.Depth.Begin(d.Out, s.Left())
	}
	d.sides++
	for more := s.Array(); more; more = s.Next(']') {
		from := s.At()
		s.Move(d.Fours(s.Text(), from, ask))
		if t, at := s.Text(), s.At(); at > from && t[at-1] == ']' {
			continue
		}
		price, size := d.Level()
		if !d.ValidLevel(price, size) {
			return
		}
		d.Depth.Mixed(ask, price, size)
	}
}

// depth completes a snapshot or a delta.
//
// Before ids were introduced a message had a checksum instead: without both
// nothing would tell whether the book is right. Such messages have ids 0 all
// along, so that each is a link of the chain and the checksum decides.
func (d *decoder) depth() {
	if !d.complete(&d.item, depthFields) {
		return
	}
	var head tick.Depth
	kind := tick.KindDepth
	switch string(d.text(&d.frame, fieldAction)) {
	case "snapshot":
		kind = tick.KindSnapshot
	case "update":
	default:
		d.Refuse("an action is neither snapshot nor update")
		return
	}
	head.Header = d.At.Header(kind, d.Instrument(), d.nanos(&d.item, fieldTime))
	if d.item.has(fieldChecksum) {
		sum := d.int(&d.item, fieldChecksum)
		if sum < math.MinInt32 || sum > math.MaxUint32 {
			d.Refuse("a checksum of more than 32 bits")
			return
		}
		head.Checksum = uint32(sum)
	}
	switch ids := d.item.seen & set(fieldSequence, fieldPrevious); {
	case ids == 0 && head.Checksum != 0:
	case kind == tick.KindSnapshot && d.item.has(fieldSequence):
		// It has no predecessor: -1, which would be a huge one.
		head.LastID = d.uint(&d.item, fieldSequence)
		head.FirstID = head.LastID
	case ids == set(fieldSequence, fieldPrevious):
		head.LastID, head.PrevID = d.uint(&d.item, fieldSequence), d.uint(&d.item, fieldPrevious)
	default:
		d.Refuse("a book message has neither ids nor a checksum")
		return
	}
	if d.Scan.Failed() {
		return
	}
	d.Out = d.Depth.Finish(head)
	d.packets++
}
