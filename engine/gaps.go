package engine

import (
	"tickproc/internal/state"
	"tickproc/tick"
)

// channel is the standing of one stream of an instrument.
type channel struct {
	lastTs int64 // event time of its last good message; 0 before the first
	leftTs int64 // while the instrument is gone: since when
	gap    openGap
	ord    ordinal
}

// openGap is an interval that is not seen, while it lasts.
type openGap struct {
	open   bool
	ts     int64
	ord    uint32
	reason tick.Reason
}

// openGap begins an interval in which the channel is not seen, at an event time;
// one that is open already goes on under its first reason. Before the first
// message there is no event time, which is 0.
func (in *instrument) openGap(c *channel, which tick.Channels, ts int64, reason tick.Reason) {
	if c.gap.open {
		return
	}
	if ts == 0 {
		ts = in.venueNow()
		if resolution := int64(in.def.TradeResolution); resolution > 0 {
			ts -= ts % resolution // as the times of the trades that are missed
		}
	}
	in.openGapAt(c, which, ts, reason)
}

func (in *instrument) openGapAt(c *channel, which tick.Channels, ts int64, reason tick.Reason) {
	c.gap = openGap{open: true, ts: ts, ord: c.ord.next(ts, 0), reason: reason}
	in.counts.Gaps++
	in.writeGap(which, c.gap, 0, lostUnknown, false)
}

// heard notes a message of a channel that needs no more to be seen again.
// repaired: its messages are a state, of which nothing is missing any more.
func (in *instrument) heard(which tick.Channels, ts int64, repaired bool) {
	c := &in.channels[which.Index()]
	c.lastTs = max(c.lastTs, ts)
	in.closeGap(c, which, ts, lostUnknown, repaired)
}

// closeGap ends it at an event time.
func (in *instrument) closeGap(c *channel, which tick.Channels, end, lost int64, repaired bool) {
	if !c.gap.open {
		return
	}
	in.writeGap(which, c.gap, max(end, c.gap.ts), lost, repaired)
	c.gap.open = false
}

// lostUnknown: how many messages are missing cannot be told.
const lostUnknown = -1

func (in *instrument) writeGap(which tick.Channels, g openGap, end, lost int64, repaired bool) {
	in.writeGapRow(which, g, end, lost, repaired, tick.BackfillNone)
}

func (in *instrument) writeGapRow(which tick.Channels, g openGap, end, lost int64, repaired bool, state tick.Backfill) {
	r := in.newRow(tick.RowGap, g.ts).GapRow()
	r.Ord, r.Reason, r.Channel = g.ord, g.reason, which
	r.EndNanos, r.Lost, r.Backfill = end, lost, state
	if repaired {
		r.Flags |= tick.RowRepaired
	}
}

// invalidTime is the time of a row that says invalid, or valid again: no
// earlier than any row of the table, so that the latest row tells the truth.
func (in *instrument) invalidTime(lastTs int64) int64 { return max(in.venueNow(), lastTs+1) }

func (c *channel) code(to *state.Coder) {
	to.Int64s(&c.lastTs, &c.leftTs)
	c.gap.code(to)
	c.ord.code(to)
}

func (g *openGap) code(c *state.Coder) {
	c.Bool(&g.open)
	c.Int64(&g.ts)
	c.Uint32(&g.ord)
	state.Byte(c, &g.reason)
}
