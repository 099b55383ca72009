package engine

import (
	"math"

	"tickproc/indicators"
	"tickproc/tick"
)

// onTrade takes one trade: once, in its place in time, with what its id says
// about the trades that were missed.
//
// hot: per trade, 0 allocs while ids arrive in order.
func (in *instrument) onTrade(t *tick.Trade) {
	backfill := t.Flags&tick.FlagBackfill != 0
	ts, source := in.eventTime(&t.Header)
	if resolution := int64(in.def.TradeResolution); resolution > 0 && source == tick.TimeExchange {
		ts -= ts % resolution
	}
	if source == tick.TimeExchange && !backfill {
		in.offset.observe(t.ExchangeNanos, t.ReceiveNanos)
	}
	verdict, missed, hole := in.ids.see(t.ID)
	if verdict == idDuplicate {
		in.counts.DuplicateTrades++
		return
	}
	late := !backfill && in.venueNow()-ts > int64(in.shard.options.Lateness)
	in.tradeGaps(verdict, missed, hole, t.ID.Lo, ts, late)
	if t.Flags&tick.FlagNotMarket != 0 {
		return
	}

	in.counts.Trades++
	r := in.newRow(tick.RowTrade, ts).TradeRow()
	r.Source, r.ReceiveNanos = source, t.ReceiveNanos
	r.ID, r.Price, r.Size = t.ID, t.Price, t.Size
	if t.Flags&tick.FlagSell != 0 {
		r.Flags |= tick.RowSell
	}
	if late {
		r.Flags |= tick.RowLate
		in.counts.LateTrades++
		// Its bars stand without it, and say so.
		in.coverage.Lose(ts, ts)
		in.reviseIndicators(ts, ts)
		return
	}
	in.trade = indicators.Trade{TsNanos: ts, ID: t.ID, Price: t.Price, Size: t.Size, Sell: t.Flags&tick.FlagSell != 0}
	for _, x := range in.indicators {
		x.Trade(&in.trade)
	}
	in.scheduleIndicators()
}

// tradeGaps opens, closes and repairs the intervals in which trades were missed.
func (in *instrument) tradeGaps(v verdict, missed uint64, hole int, id uint64, ts int64, late bool) {
	c := &in.channels[tick.ChannelTrades.Index()]
	switch {
	case v == idMissing:
		was, left := in.ids.fill(hole, id, late)
		if was.counted {
			repaired := left == 0
			in.writeGap(tick.ChannelTrades, was.gap, was.gapEnd, int64(left), repaired)
			if repaired && !was.lateFill {
				in.coverage.Restore(was.gap.ts, was.gapEnd)
				in.reviseIndicators(was.gap.ts, was.gapEnd)
			}
		}
		return // an older trade: the stream's last message stays what it was
	case c.gap.open:
		// The first trade after an interval without a stream proves, by its id, what
		// was missed in it.
		lost := int64(missed)
		if c.gap.reason == tick.ReasonStart && c.lastTs == 0 || !in.ids.contiguous {
			lost = lostUnknown
		}
		end := max(ts, c.gap.ts)
		gap := c.gap
		in.closeGap(c, tick.ChannelTrades, end, lost, lost == 0)
		in.coverage.Close(end)
		if v == idJump {
			in.ids.miss(missed, gap, end)
		}
		in.reviseIndicators(gap.ts, end)
	case v == idJump:
		gap := openGap{ts: c.lastTs, ord: c.ord.next(c.lastTs, 0), reason: tick.ReasonSequence}
		end := max(ts, gap.ts)
		in.counts.Gaps++
		in.writeGap(tick.ChannelTrades, gap, end, int64(missed), false)
		in.ids.miss(missed, gap, end)
		in.coverage.Lose(gap.ts, end)
		in.reviseIndicators(gap.ts, end)
	}
	c.up = true
	c.lastTs = max(c.lastTs, ts)
}

// loseTrades says that trades are not seen from the last good one on.
func (in *instrument) loseTrades(reason tick.Reason) {
	c := &in.channels[tick.ChannelTrades.Index()]
	if c.gap.open {
		return
	}
	in.openGap(c, tick.ChannelTrades, reason)
	in.coverage.Lose(c.gap.ts, math.MaxInt64)
	in.reviseIndicators(c.gap.ts, math.MaxInt64)
}

func newIndicators(o *Options, def *tick.Instrument, coverage *indicators.Coverage) []indicators.Indicator {
	if !def.Channels.Has(tick.ChannelTrades) {
		return nil
	}
	var all []indicators.Indicator
	for _, interval := range o.Intervals {
		all = append(all, indicators.NewBars(indicators.BarsSpec{Interval: interval, Grace: o.Grace, Lateness: o.Lateness, Carry: o.Carry,
			// Without a catalog nobody knows what a contract is worth.
			Inverse: def.Inverse && def.ContractSize.Mantissa > 0, ContractSize: def.ContractSize,
			PriceDigits: def.PriceDigits, SizeDigits: def.SizeDigits}, coverage))
	}
	for i, spec := range o.Windows {
		spec.Grace, spec.Lateness, spec.Name = o.Grace, o.Lateness, uint32(i)
		all = append(all, spec.New(coverage))
	}
	return all
}

// scheduleIndicators notes when the next of them wants to act.
func (in *instrument) scheduleIndicators() {
	due := never
	for _, x := range in.indicators {
		due = min(due, x.Deadline())
	}
	in.indicatorDue = due
}

func (in *instrument) prepareOut() *indicators.Out {
	in.out.Rows, in.out.Instrument, in.out.NowNanos = in.shard.rows, in.def.ID, in.shard.now
	in.out.PriceDigits, in.out.SizeDigits = in.priceDigits, in.sizeDigits
	return &in.out
}

func (in *instrument) advanceIndicators(venue int64) {
	out := in.prepareOut()
	for _, x := range in.indicators {
		x.Advance(venue, out)
	}
	in.shard.rows = out.Rows
	in.scheduleIndicators()
}

func (in *instrument) reviseIndicators(from, to int64) {
	out := in.prepareOut()
	for _, x := range in.indicators {
		x.Revise(from, to, out)
	}
	in.shard.rows = out.Rows
	in.scheduleIndicators()
}
