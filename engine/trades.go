package engine

import (
	"math"
	"time"

	"tickproc/indicators"
	"tickproc/internal/state"
	"tickproc/tick"
)

// onTrade takes one trade: once, in its place in time, with what its id says
// about the trades that were missed.
//
// hot: per trade, 0 allocs while ids arrive in order.
func (in *instrument) onTrade(t *tick.Trade) {
	backfill, fetched := t.Flags&tick.FlagBackfill != 0, t.Flags&tick.FlagFetched != 0
	var ts int64
	source := tick.TimeExchange
	if fetched {
		if in.fetchedFor(t) == nil {
			return
		}
		ts = in.cut(t.ExchangeNanos)
	} else if ts, source = in.eventTime(&t.Header); source == tick.TimeExchange {
		ts = in.cut(ts)
	}
	if source == tick.TimeExchange && !backfill {
		in.offset.observe(t.ExchangeNanos, t.ReceiveNanos)
	}
	f := &in.firsts[tick.ChannelTrades.Index()]
	behind := f.behind
	if !backfill && !f.alone(t.Line) {
		f.accept(t.Line, t.ExchangeNanos) // its id decides, but a copy is no fault of the venue
		if nonsense := source == tick.TimeReceive && t.ExchangeNanos != 0; !nonsense {
			f.proves(t.Line, ts, t.ReceiveNanos)
		}
		if f.leads != nil {
			in.compare(tick.ChannelTrades, t.Line, leadKey(t.ID.Hi, t.ID.Lo), t.ReceiveNanos)
		}
	}
	verdict, missed, hole := in.ids.see(t.ID)
	if verdict == idDuplicate {
		if behind || len(f.lines) > 1 {
			in.counts.Copies++
		} else {
			in.counts.DuplicateTrades++
		}
		return
	}
	age := in.venueNow() - ts
	late := !backfill && age > int64(in.shard.options.Lateness)
	if fetched {
		in.counts.Backfilled++
		late = age > int64(max(in.shard.options.Lateness, in.shard.options.BackfillReach))
	}
	cases := len(in.backfill.cases)
	repaired, whole := in.tradeGaps(verdict, missed, hole, t, ts, source, late)
	if t.Flags&tick.FlagNotMarket == 0 {
		in.takeTrade(t, ts, source, late, verdict == idUnsure)
	}
	if whole {
		// Only now: a bar must not be called complete before it has this trade.
		in.coverage.Restore(repaired.ts, repaired.end)
		in.reviseIndicators(repaired.ts, repaired.end)
	}
	if len(in.backfill.cases) < cases {
		in.scheduleIndicators() // what fetched trades changed has waited
	}
}

// takeTrade writes the trade's row and gives it to the indicators.
func (in *instrument) takeTrade(t *tick.Trade, ts int64, source tick.TimeSource, late, unsure bool) {
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
		// Its bars stand without it, and say so, if they did not already.
		if in.coverage.Complete(ts, ts+1) {
			in.coverage.Lose(ts, ts)
			in.reviseIndicators(ts, ts)
		}
		return
	}
	if unsure {
		return // the table drops a row that it has; a bar would count the trade twice
	}
	order := t.ID
	if in.def.TradeIDs == tick.TradeIDUUID {
		// Random: of trades of one moment, which are told in order, nothing but
		// that order says which was the first.
		order = tick.ID{Lo: in.counts.Trades}
	}
	in.trade = indicators.Trade{TsNanos: ts, ID: order, Price: t.Price, Size: t.Size, Sell: t.Flags&tick.FlagSell != 0}
	fetched := t.Flags&tick.FlagFetched != 0
	if !fetched && in.gathered.Has(ts) {
		in.gathered.Take(ts, order, t.Price, t.Size, in.trade.Sell)
		return
	}
	for _, x := range in.settledIndicators() {
		x.Trade(&in.trade)
	}
	// Fetched ones come by the page: a revision for each would be a flood.
	if !fetched {
		in.gathered.Open(in.indicators, ts)
		in.scheduleIndicators()
	}
}

// settledIndicators are the indicators with all trades in them.
func (in *instrument) settledIndicators() []indicators.Indicator {
	in.gathered.Settle(in.indicators)
	return in.indicators
}

// interval is a closed one of event time.
type interval struct{ ts, end int64 }

// tradeGaps opens, closes and repairs the intervals in which trades were
// missed. It returns an interval of which all trades have now come in time.
func (in *instrument) tradeGaps(v verdict, missed uint64, hole int, t *tick.Trade, ts int64, source tick.TimeSource, late bool) (repaired interval, whole bool) {
	c := &in.channels[tick.ChannelTrades.Index()]
	fetched := t.Flags&tick.FlagFetched != 0
	switch {
	case v == idMissing || v == idUnsure:
		// An older trade: the stream's last message stays what it was.
		was, left := in.ids.fill(hole, t.ID.Lo, late)
		if !was.counted {
			return interval{}, false
		}
		if state := in.filled(&was, left); !fetched || left == 0 { // the end of the backfill says how many are left
			in.writeGapRow(tick.ChannelTrades, was.gap, was.gapEnd, int64(left), left == 0, state)
		}
		return interval{was.gap.ts, was.gapEnd}, left == 0 && !was.lateFill
	case fetched:
		// Of a time of which nothing tells how many were missed: the end of the
		// backfill says whether all have come.
		if x := in.fetchedFor(t); late {
			x.late = true
		}
		return interval{}, false
	case c.gap.open:
		// The first trade after an interval without a stream proves, by its id, what
		// was missed in it.
		lost := int64(missed)
		if c.lastTs == 0 || !in.ids.contiguous { // before the first trade nothing tells
			lost = lostUnknown
		}
		end := max(ts, c.gap.ts)
		gap := c.gap
		state := tick.BackfillNone
		switch {
		case v == idJump:
			in.ids.miss(missed, gap, end)
			state = in.wantBackfill(gap, end, t.ID.Lo-missed, t.ID.Lo-1)
			in.ids.mark(gap, state)
		case c.lastTs != 0 && !in.ids.contiguous:
			state = in.wantBackfill(gap, end, 0, 0)
		}
		c.gap.open = false
		in.writeGapRow(tick.ChannelTrades, gap, end, lost, lost == 0, state)
		in.coverage.Close(end)
		if lost == 0 {
			repaired, whole = interval{gap.ts, end}, true // the ids say that nothing happened meanwhile
			break
		}
		in.reviseIndicators(gap.ts, end)
	case v == idJump:
		gap := openGap{ts: c.lastTs, ord: c.ord.next(c.lastTs, 0), reason: tick.ReasonSequence}
		end := max(ts, gap.ts)
		in.counts.Gaps++
		in.ids.miss(missed, gap, end)
		state := in.wantBackfill(gap, end, t.ID.Lo-missed, t.ID.Lo-1)
		in.ids.mark(gap, state)
		in.writeGapRow(tick.ChannelTrades, gap, end, int64(missed), false, state)
		in.coverage.Lose(gap.ts, end)
		in.reviseIndicators(gap.ts, end)
	}
	if nonsense := source == tick.TimeReceive && t.ExchangeNanos != 0; !nonsense || c.lastTs == 0 {
		// The receive time that stands in may lie behind trades yet to be missed.
		c.lastTs = max(c.lastTs, ts)
	}
	return repaired, whole
}

// loseTrades says that trades are not seen from the one at from on.
func (in *instrument) loseTrades(from int64, reason tick.Reason) {
	c := &in.channels[tick.ChannelTrades.Index()]
	if c.gap.open {
		return
	}
	in.openGap(c, tick.ChannelTrades, from, reason)
	in.loseCoverage()
}

// loseCoverage: bars from the start of the open gap on are not complete.
func (in *instrument) loseCoverage() {
	from := in.channels[tick.ChannelTrades.Index()].gap.ts
	in.coverage.Lose(from, math.MaxInt64)
	in.reviseIndicators(from, math.MaxInt64)
}

func (in *instrument) newIndicators() []indicators.Indicator {
	if !in.def.Channels.Has(tick.ChannelTrades) {
		return nil
	}
	o := &in.shard.options
	var all []indicators.Indicator
	for _, interval := range o.Intervals {
		all = append(all, in.newBars(interval, in.valuesContracts()))
	}
	for i := range o.Windows {
		all = append(all, o.window(i).New(&in.coverage))
	}
	return all
}

// valuesContracts reports whether bars that begin now can tell what inverse
// contracts are worth: without a catalog nobody knows.
func (in *instrument) valuesContracts() bool {
	return in.def.Inverse && in.def.ContractSize.Mantissa > 0
}

func (in *instrument) newBars(interval time.Duration, inverse bool) *indicators.Bars {
	o := &in.shard.options
	return indicators.NewBars(indicators.BarsSpec{Interval: interval, Grace: o.Grace, Lateness: o.Lateness, Carry: o.Carry,
		Inverse: inverse, ContractSize: in.def.ContractSize, PriceDigits: in.priceDigits, SizeDigits: in.sizeDigits}, &in.coverage)
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
	in.holdIndicators(venue)
	out := in.prepareOut()
	for _, x := range in.settledIndicators() {
		x.Advance(venue, out)
	}
	in.shard.rows = out.Rows
	in.scheduleIndicators()
}

func (in *instrument) reviseIndicators(from, to int64) {
	out := in.prepareOut()
	for _, x := range in.settledIndicators() {
		x.Revise(from, to, out)
	}
	in.shard.rows = out.Rows
	in.scheduleIndicators()
}

// codeIndicators codes bars and windows, those of the shard's options in their order.
func (in *instrument) codeIndicators(c *state.Coder) {
	some := len(in.indicators) > 0
	c.Bool(&some)
	if c.Loading() {
		switch {
		case !some:
			in.indicators = nil
		case len(in.indicators) == 0:
			c.Fail("bars that nobody configured")
		}
	}
	for i, x := range in.settledIndicators() {
		if bars, ok := x.(*indicators.Bars); ok {
			inverse := bars.Inverse()
			c.Bool(&inverse)
			if inverse != bars.Inverse() {
				// They were begun before the catalog told a contract's worth.
				if inverse {
					c.Fail("bars of a contract of no worth")
					return
				}
				bars = in.newBars(in.shard.options.Intervals[i], false)
				in.indicators[i], x = bars, bars
			}
		}
		c.Part(x)
	}
}
