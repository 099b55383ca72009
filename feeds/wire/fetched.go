package wire

import (
	"cmp"
	"slices"

	"tickproc/tick"
)

// Fetched makes the trades behind the first n units of Out those of an answer
// about the past: marked, and oldest first, whatever the venue's order.
func (f *Frame) Fetched(n int) {
	trades := f.Out[n:]
	for i := range trades {
		trades[i].Header().Flags |= tick.FlagBackfill | tick.FlagFetched
	}
	if last := len(trades) - 1; last > 0 && before(trades[last], trades[0]) < 0 {
		slices.Reverse(trades) // so that those of one moment keep the venue's order
	}
	slices.SortStableFunc(trades, before)
}

// before orders trades by time, then, where ids are integers, by id.
func before(a, b tick.Unit) int {
	x, y := a.Trade(), b.Trade()
	if c := cmp.Compare(x.ExchangeNanos, y.ExchangeNanos); c != 0 || x.ID.Hi != 0 {
		return c
	}
	return cmp.Compare(x.ID.Lo, y.ID.Lo)
}
