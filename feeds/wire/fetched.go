package wire

import (
	"cmp"
	"slices"

	"tickproc/tick"
)

// Fetched makes the trades behind the first n units of Out those of an answer
// about the past: marked, and oldest first, whatever the venue's order.
// newestFirst says which that is, so that those of one moment whose ids do not
// count keep theirs.
func (f *Frame) Fetched(n int, newestFirst bool) {
	trades := f.Out[n:]
	for i := range trades {
		trades[i].Header().Flags |= tick.FlagBackfill | tick.FlagFetched
	}
	if newestFirst {
		slices.Reverse(trades)
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
