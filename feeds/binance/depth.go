package binance

import (
	"bytes"

	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

func (d *decoder) delta() {
	d.undocumented("depthUpdate")
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
		d.Refuse("ids U..u run backwards")
	}
	head.Header = d.At.Header(tick.KindDepth, 0, d.time(true))
	d.levels(head, d.text(fieldSymbol), fieldBids, fieldAsks)
	d.learn(&d.shapes.depth, 'd', &depthForms, 0)
}

// levels reads the sides that were not read where they stood, and completes
// the packet.
func (d *decoder) levels(head tick.Depth, symbol []byte, bids, asks field) {
	if d.sidesRead == 0 {
		if !d.Lookup(symbol) {
			return
		}
		d.Depth.Begin(d.Out, d.Scan.Size())
		d.Scan.Seek(d.values[bids])
		d.side()
	}
	if d.sidesRead == 1 {
		d.Scan.Seek(d.values[asks])
		d.side()
	}
	head.Instrument = d.Instrument()
	d.Out = d.Depth.Finish(head)
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
		return d.Known(d.snapshot.symbol)
	case string(d.text(fieldEvent)) == "depthUpdate" && d.isFullDepth():
		return d.Known(d.text(fieldSymbol))
	}
	return false
}

// side reads an array of levels, bids, then asks, and returns where it is.
//
// hot: per level, 0 allocs.
func (d *decoder) side() jsonscan.Value {
	if d.sidesRead == 1 {
		d.Depth.Asks()
	}
	d.sidesRead++
	d.Scan.Peek() // behind white space
	from := d.Scan.At()
	d.Side()
	return jsonscan.Value{Kind: jsonscan.Array, Start: int32(from), End: int32(d.Scan.At())}
}
