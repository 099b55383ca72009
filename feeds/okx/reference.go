package okx

import (
	"tickproc/feeds"
	"tickproc/feeds/wire"
	"tickproc/internal/jsonscan"
)

// funding: the rate told is paid at fundingTime; nextFundingTime is the one
// after it.
func (d *decoder) funding() {
	if !d.complete(&d.item, set(fieldFundingRate, fieldFundingTime)) {
		return
	}
	var r wire.Reference
	if r.HasRate = d.told(&d.item, fieldFundingRate); r.HasRate {
		r.Rate = d.Number(d.item.values[fieldFundingRate])
	}
	if d.told(&d.item, fieldFundingTime) {
		r.NextFundingNanos = d.nanos(&d.item, fieldFundingTime)
	}
	d.reference(r)
}

func (d *decoder) markPrice() {
	if d.complete(&d.item, set(fieldMark, fieldTime)) {
		d.reference(wire.Reference{HasMark: true, Mark: d.Number(d.item.values[fieldMark])})
	}
}

// indexPrice goes to every derivative of the index.
func (d *decoder) indexPrice() {
	if !d.complete(&d.item, set(fieldIndex, fieldTime)) {
		return
	}
	r := wire.Reference{HasIndex: true, Index: d.Number(d.item.values[fieldIndex])}
	index := d.indexes.Known(d.text(&d.arg, fieldSymbol))
	if index == nil {
		return
	}
	for _, symbol := range d.followers[index.ID] {
		if d.Known(symbol) {
			d.reference(r)
		}
	}
}

func (d *decoder) reference(r wire.Reference) {
	nanos := int64(0)
	if d.told(&d.item, fieldTime) {
		nanos = d.nanos(&d.item, fieldTime)
	}
	if before := len(d.Out); d.Sound() {
		if d.Mark(r, nanos); len(d.Out) > before {
			d.packets++
		}
	}
}

// follow notes that a derivative is of an index.
func (d *decoder) follow(index, symbol string) {
	e := d.indexes.Known([]byte(index))
	if e == nil {
		e = &feeds.Entry{Symbol: index, ID: uint32(len(d.followers))}
		d.indexes.Add(e)
		d.followers = append(d.followers, nil)
	}
	d.followers[e.ID] = append(d.followers[e.ID], []byte(symbol))
}

// followed is follow for a derivative that showed itself, perhaps before.
//
// hot: per reference price of a capture, 0 allocs for those that are known.
func (d *decoder) followed(symbol string) {
	index := indexOfSymbol(symbol)
	if len(index) == len(symbol) {
		return
	}
	if e := d.indexes.Known([]byte(index)); e != nil {
		for _, s := range d.followers[e.ID] {
			if string(s) == symbol {
				return
			}
		}
	}
	d.follow(index, symbol)
}

// liquidations reads {"instId":…,"details":[…]}. The stream is of a type:
// instruments that nobody asked for are none of ours. A detail's side is that
// of the forced order, which sells where a long position ends; its price is the
// bankruptcy price, at which the venue's account took the position over.
func (d *decoder) liquidations() {
	if !d.complete(&d.item, set(fieldSymbol, fieldDetails)) {
		return
	}
	s := &d.Scan
	s.Seek(d.item.values[fieldDetails])
	if s.Peek() != jsonscan.Array {
		d.Refuse("details are no array")
		return
	}
	ours := d.Known(d.text(&d.item, fieldSymbol)) && (!d.planned || int(d.Instrument()) < len(d.forced) && d.forced[d.Instrument()])
	for more := s.Array(); more; more = s.Next(']') {
		if s.Peek() != jsonscan.Object {
			d.Refuse("details hold what is no object")
			return
		}
		d.detail.name, d.detail.count, d.detail.seen = "liquidation", detailFields, 0
		d.members(&d.detail)
		if s.Failed() || !d.complete(&d.detail, detailFields) {
			return
		}
		if !ours {
			continue
		}
		flags, nanos := d.sold(&d.detail), d.nanos(&d.detail, fieldTime)
		d.Liquidation(flags, d.Price(d.detail.values[fieldBankruptcy]), d.Size(d.detail.values[fieldSize]), nanos)
		if d.packets++; s.Failed() {
			return
		}
	}
}

// firstFollower is the first derivative of an index; false if there is none.
func (d *decoder) firstFollower(index []byte) (id uint32, ok bool) {
	e := d.indexes.Known(index)
	if e == nil {
		return 0, false
	}
	for _, symbol := range d.followers[e.ID] {
		if d.Known(symbol) {
			return d.Instrument(), true
		}
	}
	return 0, false
}
