package binance

import (
	"bytes"

	"tickproc/tick"
)

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
