package engine

import "tickproc/tick"

// onLiquidation takes a forced order: a row each, for they have no identity by
// which one could be told from another.
//
// hot: per message, 0 allocs.
func (in *instrument) onLiquidation(t *tick.Trade) {
	ts, source := in.eventTime(&t.Header)
	if !in.isNews(tick.ChannelLiquidations, &t.Header, ts) {
		return
	}
	in.heard(tick.ChannelLiquidations, ts, false)
	r := in.newRow(tick.RowLiquidation, ts).TradeRow()
	r.Source, r.ReceiveNanos, r.Ord = source, t.ReceiveNanos, in.liquidationOrd.next(ts, 0)
	r.Price, r.Size = t.Price, t.Size
	if t.Flags&tick.FlagSell != 0 {
		r.Flags |= tick.RowSell
	}
}

// upLiquidations: the next forced order may be days away, so that the venue's
// word is what ends the interval in which they were not seen. It is as good as
// a message: what is missed later was missed after it.
func (in *instrument) upLiquidations() {
	c := &in.channels[tick.ChannelLiquidations.Index()]
	if c.gap.open {
		c.lastTs = max(c.lastTs, c.gap.ts, in.venueNow())
		in.closeGap(c, tick.ChannelLiquidations, c.lastTs, lostUnknown, false)
	}
}

// loseLiquidations says that they are not seen from the one at from on: until the
// channel is up again, or, where it never went down, until now.
func (in *instrument) loseLiquidations(from int64, reason tick.Reason) {
	c := &in.channels[tick.ChannelLiquidations.Index()]
	in.openGap(c, tick.ChannelLiquidations, from, reason)
	if in.isUp(tick.ChannelLiquidations) {
		in.upLiquidations()
	}
}
