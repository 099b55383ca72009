package wire

import (
	"slices"

	"tickproc/tick"
)

// DepthWriter collects the levels of one message behind the units it was
// given, cutting a new fragment at tick.MaxLevels: bids, then, after Asks,
// asks. The ids, which may stand behind the levels in the frame, are filled in
// by Finish. Venues that mix the sides write through Mixed.
type DepthWriter struct {
	units    []tick.Unit
	first    int          // where the message's first fragment begins
	fragment int          // where the current one begins
	levels   []tick.Level // room in the current fragment
	n        int          // levels written to it
	bids     int          // of them bids
	onAsks   bool
	asks     []tick.Level // that wait for the bids to end, where the venue mixes them
}

// levelBytes is about what a level takes in a frame. It only sizes the first
// reservation.
const levelBytes = 20

const levelsPerUnit = tick.UnitSize / 16

// Begin starts a message whose levels take about so many bytes of text.
func (w *DepthWriter) Begin(dst []tick.Unit, bytes int) {
	w.units, w.first, w.onAsks, w.asks = dst, len(dst), false, w.asks[:0]
	w.open(min(bytes/levelBytes+8, tick.MaxLevels))
}

// open starts a fragment with room for some levels.
func (w *DepthWriter) open(room int) {
	w.fragment, w.n, w.bids = len(w.units), 0, 0
	w.reserve(room)
}

// reserve makes room for so many levels of the current fragment, keeping those
// it has. Room that is there is taken uncleared: every level gets written, and
// close clears what pads the last unit.
func (w *DepthWriter) reserve(room int) {
	end := w.fragment + tick.DepthUnits(room)
	if end <= cap(w.units) {
		w.units = w.units[:end]
	} else {
		w.units, _ = tick.AppendUnits(w.units, end-len(w.units))
	}
	w.units[w.fragment].Depth().LevelCount = uint16(room)
	w.levels = tick.Levels(w.units[w.fragment:])
}

// Add appends a level to the side that is being written.
//
// hot: per level, 0 allocs.
func (w *DepthWriter) Add(price, size int64) {
	if w.n == len(w.levels) {
		w.more()
	}
	w.levels[w.n] = tick.Level{Price: price, Size: size}
	w.n++
}

// room is where the next levels may be written; never nothing.
func (w *DepthWriter) room() []tick.Level {
	if w.n == len(w.levels) {
		w.more()
	}
	return w.levels[w.n:]
}

// took says how many were.
func (w *DepthWriter) took(n int) { w.n += n }

func (w *DepthWriter) more() {
	if w.n < tick.MaxLevels {
		w.reserve(min(2*w.n, tick.MaxLevels))
		return
	}
	w.close()
	w.open(tick.MaxLevels)
}

// Mixed takes a level of either side, in any order; the bids' end is left to
// Finish.
//
// hot: per level, 0 allocs.
func (w *DepthWriter) Mixed(ask bool, price, size int64) {
	if ask {
		w.asks = append(w.asks, tick.Level{Price: price, Size: size})
		return
	}
	w.Add(price, size)
}

// side is where the next levels of a side may be written, in any order of the
// sides; never nothing.
func (w *DepthWriter) side(ask bool) []tick.Level {
	if !ask {
		return w.room()
	}
	n := len(w.asks)
	if n == cap(w.asks) {
		w.asks = slices.Grow(w.asks, max(n, 32))
	}
	return w.asks[n:cap(w.asks)]
}

// sideTook says how many were.
func (w *DepthWriter) sideTook(ask bool, n int) {
	if ask {
		w.asks = w.asks[:len(w.asks)+n]
		return
	}
	w.took(n)
}

// Asks ends the bids.
func (w *DepthWriter) Asks() { w.bids, w.onAsks = w.n, true }

// close gives back the room that the current fragment did not need.
func (w *DepthWriter) close() {
	d := w.units[w.fragment].Depth()
	d.LevelCount = uint16(w.n)
	if d.Bids = uint16(w.bids); !w.onAsks {
		d.Bids = uint16(w.n)
	}
	end := w.fragment + tick.DepthUnits(w.n)
	if used := w.n % levelsPerUnit; used != 0 {
		clear(w.units[end-1][used*len(tick.Unit{})/levelsPerUnit:])
	}
	w.units = w.units[:end]
}

// Finish writes the head to every fragment and returns the units.
func (w *DepthWriter) Finish(head tick.Depth) []tick.Unit {
	if len(w.asks) > 0 {
		w.Asks()
		for asks := w.asks; len(asks) > 0; {
			n := copy(w.room(), asks)
			w.took(n)
			asks = asks[n:]
		}
	}
	w.close()
	for at := w.first; at < len(w.units); {
		d := w.units[at].Depth()
		size := tick.DepthUnits(int(d.LevelCount))
		head.Bids, head.LevelCount = d.Bids, d.LevelCount
		*d = head
		d.Flags &^= tick.FlagFirst | tick.FlagLast
		if at == w.first {
			d.Flags |= tick.FlagFirst
		}
		if at += size; at == len(w.units) {
			d.Flags |= tick.FlagLast
		}
	}
	return w.units
}
