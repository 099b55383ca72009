package indicators

import "tickproc/tick"

// Gathered holds trades back from an instrument's indicators as one sum, while
// that makes no difference to any of them:
//
//	trade ─► Has? ─── Take ──────────────► one sum ─┐ Settle: before anyone looks, and
//	           └ else: Trade of each, Open          └► Add of each, a trade outside the room
//
// The room is the time in which each of them only adds to a sum that is open and
// of which nothing was emitted: usually what is left of the second. So most
// trades cost one addition, and not one in each of the bars and windows.
// Being integers, sums of sums are exact.
type Gathered struct {
	from, to int64 // the room, event times; empty while from == to
	sum      part
	inverse  *inverse // how the bars value contracts; nil if they do not
}

// Has reports whether a trade of this time may wait.
func (g *Gathered) Has(ts int64) bool { return uint64(ts-g.from) < uint64(g.to-g.from) }

// Take takes a trade of which Has says that it may wait.
//
// hot: per trade, 0 allocs.
func (g *Gathered) Take(ts int64, id tick.ID, price, size int64, sell bool) {
	g.sum.trade(ts, id, price, size, sell)
	if g.inverse != nil {
		g.sum.base = g.sum.base.Add(g.inverse.base(price, size))
	}
}

// Settle gives the indicators what was held back, and ends the room. Whoever
// calls any other method of theirs does so first.
func (g *Gathered) Settle(all []Indicator) {
	if g.sum.trades > 0 {
		for _, x := range all {
			x.Add(&g.sum)
		}
		g.sum = part{}
	}
	g.from, g.to = 0, 0
}

// Open begins a room around the time of a trade that all indicators had just
// now. Nothing may be held back.
func (g *Gathered) Open(all []Indicator, ts int64) {
	from, to := int64(none), int64(never)
	g.inverse = nil
	for _, x := range all {
		a, b := x.Room(ts)
		from, to = max(from, a), min(to, b)
		if bars, ok := x.(*Bars); ok && bars.spec.Inverse {
			if g.inverse != nil && *g.inverse != bars.inverse {
				return // each trade has more than one value
			}
			g.inverse = &bars.inverse
		}
	}
	if len(all) > 0 && from <= ts && ts < to {
		g.from, g.to = from, to
	}
}

// noRoom is the answer of an indicator that must have each trade.
func noRoom() (from, to int64) { return 0, 0 }
