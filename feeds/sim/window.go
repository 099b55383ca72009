package sim

import (
	"sort"

	"tickproc/tick"
)

// window is what clients of a stream that shows a number of levels were last
// told. It yields the changes to the next:
//
//	touched prices ─► told levels ─► longer than depth: the rest left it
//	                             └─► shorter: the book's next levels entered it
//
// which costs the touched prices and what crosses the edge, not the depth.
type window struct {
	depth      int
	deletes    bool // tell levels that left
	sides      [2]windowSide
	bids, asks []tick.Level // scratch: the changes
}

type windowSide struct {
	levels []tick.Level // best first
	was    []int64      // scratch: the size before, of each touched price
	within int          // touched prices that were inside, or are
}

// reset shows the book as it stands.
func (w *window) reset(in *Instrument) {
	w.sides[0].levels = in.bids.appendTop(w.sides[0].levels[:0], w.depth)
	w.sides[1].levels = in.asks.appendTop(w.sides[1].levels[:0], w.depth)
}

// update takes what changed in the book, best first, and returns what changed
// in the window, until the next call.
func (w *window) update(in *Instrument, bids, asks []tick.Level) (changedBids, changedAsks []tick.Level) {
	w.bids = w.sides[0].update(w.bids[:0], &in.bids, bids, w.depth, w.deletes)
	w.asks = w.sides[1].update(w.asks[:0], &in.asks, asks, w.depth, w.deletes)
	return w.bids, w.asks
}

// find returns where a price stands, or would stand.
func (w *windowSide) find(of *side, price int64) (at int, found bool) {
	k := of.key(price)
	at = sort.Search(len(w.levels), func(i int) bool { return of.key(w.levels[i].Price) <= k })
	return at, at < len(w.levels) && w.levels[at].Price == price
}

func (w *windowSide) update(dst []tick.Level, of *side, touched []tick.Level, depth int, deletes bool) []tick.Level {
	// Beyond a full window nothing is known, and nothing was told.
	full := len(w.levels) == depth
	var edge int64
	if full {
		edge = of.key(w.levels[depth-1].Price)
	}
	w.was, w.within = w.was[:0], 0
	for _, l := range touched {
		if full && of.key(l.Price) < edge {
			break
		}
		w.within++
		at, found := w.find(of, l.Price)
		was := int64(0)
		switch {
		case found && l.Size > 0:
			was, w.levels[at].Size = w.levels[at].Size, l.Size
		case found:
			was = w.levels[at].Size
			w.levels = append(w.levels[:at], w.levels[at+1:]...)
		case l.Size > 0:
			w.levels = append(w.levels, tick.Level{})
			copy(w.levels[at+1:], w.levels[at:])
			w.levels[at] = l
		}
		w.was = append(w.was, was)
	}
	touched = touched[:w.within]
	kept := min(len(w.levels), depth)
	left := w.levels[kept:]
	w.levels = w.levels[:kept]
	for i, l := range touched {
		now, was := int64(0), w.was[i]
		if at, found := w.find(of, l.Price); found {
			now = w.levels[at].Size
		}
		if now == was || now == 0 && l.Size > 0 && !deletes {
			continue
		}
		dst = append(dst, tick.Level{Price: l.Price, Size: now})
	}
	if deletes {
		for _, l := range left {
			if !stands(touched, l.Price) {
				dst = append(dst, tick.Level{Price: l.Price})
			}
		}
	}
	for len(w.levels) < depth && len(w.levels) < len(of.levels) {
		l := of.rank(len(w.levels))
		w.levels = append(w.levels, l)
		dst = append(dst, l)
	}
	return dst
}

// stands says whether a price is among levels.
func stands(levels []tick.Level, price int64) bool {
	for i := len(levels) - 1; i >= 0; i-- {
		if levels[i].Price == price {
			return true
		}
	}
	return false
}
