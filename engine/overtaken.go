package engine

import (
	"tickproc/internal/state"
	"tickproc/tick"
)

// overtaken is what lies ahead of the first message of a line that came up and
// was faster than the others:
//
//	line A  10        11        12
//	line B      ╶ up      12
//	news    10            12              11 comes late, and is no copy
//
// A row of its own where rows are events; where they are a state, which must not
// go back, a gap that is over.
type overtaken struct {
	is, begun bool    // begun: its times are not known yet
	from, to  arrival // neither is in it
	ts, end   int64   // event times of the two
}

// begin notes it; what another line overtook before may still be missing.
func (o *overtaken) begin(from, to arrival) {
	if !o.is {
		o.from, o.begun = from, true
	}
	o.is, o.to = true, to
}

// overtaken looks at a message after something was overtaken, and reports whether
// it is news after all.
func (in *instrument) overtaken(which tick.Channels, f *firstArrival, h *tick.Header, ts int64, news bool) bool {
	c, o := &in.channels[which.Index()], &f.overtook
	i := f.place(h.Line)
	if i < 0 {
		return news
	}
	switch x := &f.lines[i]; {
	case news && o.begun:
		o.ts, o.begun = c.lastTs, false
		o.end = ts
	case news && x.newest == o.to:
		o.end = ts
	case news || !o.from.before(x.newest) || !x.newest.before(o.to):
	case which == tick.ChannelLiquidations:
		return true
	case !c.gap.open:
		o.is = false
		gap := openGap{ts: o.ts, ord: c.ord.next(o.ts, 0), reason: tick.ReasonReconnect}
		in.counts.Gaps++
		in.writeGapRow(which, gap, max(o.end, o.ts), lostUnknown, true, tick.BackfillNone)
	}
	return news
}

func (o *overtaken) code(c *state.Coder) {
	c.Bools(&o.is, &o.begun)
	o.from.code(c)
	o.to.code(c)
	c.Int64s(&o.ts, &o.end)
}
