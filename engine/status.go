package engine

import (
	"tickproc/indicators"
	"tickproc/tick"
)

// A later record of a known instrument may change what does not touch what is
// computed from its messages: the trading state, the price and size steps, the
// contract size and the expiry; each only where the record tells it. Channels
// are only added (extend). Id, names, underlying, type, scale and the rule of
// its book stay: scales grow by rescale packets, and the rest is another
// instrument.
//
// A contract size counts from the trade on that comes next: bars in which it
// changes hold trades by both.

// redefine takes such a record. A change is a row of the definition, and of the
// state where that changed.
func (in *instrument) redefine(h *tick.Header, later *tick.Instrument) {
	def, was := &in.def, in.def
	learn := func(known *tick.Number, told tick.Number) {
		if told.Mantissa != 0 {
			*known = told
		}
	}
	learn(&def.Tick, later.Tick)
	learn(&def.Lot, later.Lot)
	learn(&def.ContractSize, later.ContractSize)
	if later.State != tick.StateUnknown {
		def.State = later.State
	}
	if later.ExpiryNanos != 0 {
		def.ExpiryNanos = later.ExpiryNanos
	}
	if def.ContractSize != was.ContractSize {
		for _, x := range in.settledIndicators() {
			if bars, ok := x.(*indicators.Bars); ok {
				bars.SetContract(def.ContractSize, in.priceDigits, in.sizeDigits)
			}
		}
	}
	if *def == was {
		return
	}
	in.writeDefinition()
	if def.State != was.State {
		in.writeStatus(h, was.State)
	}
}

// onStatus takes the venue's word on the trading state.
func (in *instrument) onStatus(m *tick.Status) {
	in.redefine(&m.Header, &tick.Instrument{State: m.State})
}

// writeDefinition hands the definition to the sinks.
func (in *instrument) writeDefinition() {
	s := in.shard
	var err error
	if s.rows, err = tick.AppendCatalog(s.rows, tick.Header{ReceiveNanos: s.now}, in.def); err != nil {
		panic("BUG: a catalog record did not fit its own size")
	}
}

// writeStatus says that the state changed, and does what follows from it.
func (in *instrument) writeStatus(h *tick.Header, before tick.State) {
	ts, source := in.eventTime(h)
	r := in.newRow(tick.RowStatus, ts).StatusRow()
	r.Source, r.ReceiveNanos, r.Ord = source, h.ReceiveNanos, in.statusOrd.next(ts, 0)
	r.State, r.Before = in.def.State, before
	switch {
	case in.def.State == tick.StateDelisted:
		in.leaveAll(in.def.Channels)
	case before == tick.StateDelisted:
		for _, c := range tick.AllChannels {
			if in.gone.Has(c) {
				in.comeBack(c)
			}
		}
	}
}

// leaveAll ends channels of an instrument that is gone.
func (in *instrument) leaveAll(channels tick.Channels) {
	for _, c := range tick.AllChannels {
		if !channels.Has(c) {
			continue
		}
		e := &tick.ChannelEvent{Channel: c, Reason: tick.ReasonDelisted}
		if c == tick.ChannelDepth {
			in.firsts[c.Index()] = firstArrival{} // on all lines
			in.onDown(e)
		} else {
			in.loseEvents(e, in.channels[c.Index()].lastTs)
		}
		in.leave(c)
	}
}

// leave: nothing is missed of an instrument that is gone, so that the interval
// ends in which the channel was not seen.
func (in *instrument) leave(which tick.Channels) {
	c := &in.channels[which.Index()]
	c.leftTs = max(in.venueNow(), c.gap.ts)
	if c.gap.open {
		in.closeGap(c, which, c.leftTs, lostUnknown, false)
		if which == tick.ChannelTrades {
			in.coverage.Close(c.leftTs)
			in.reviseIndicators(c.gap.ts, c.leftTs)
		}
	}
	in.gone |= which
}

// comeBack: a message, or the venue's word, says that the instrument is not
// gone. What came since it left was not seen.
func (in *instrument) comeBack(which tick.Channels) {
	in.gone &^= which
	c := &in.channels[which.Index()]
	in.openGapAt(c, which, max(c.leftTs, c.lastTs), tick.ReasonDelisted)
	switch {
	case which == tick.ChannelTrades:
		in.loseCoverage()
	case which == tick.ChannelLiquidations && in.isUp(which):
		in.upLiquidations()
	}
}

// admit reports whether a packet may be applied while some channels are gone.
// The feed goes on connecting and subscribing until it hears of the delisting:
// only data brings a channel back.
func (in *instrument) admit(p []tick.Unit) bool {
	var which tick.Channels
	switch h := p[0].Header(); h.Kind {
	case tick.KindUp, tick.KindDown, tick.KindGap:
		e := p[0].Event()
		if !in.gone.Has(e.Channel) {
			return true
		}
		f := &in.firsts[e.Channel.Index()]
		switch {
		case e.Channel == tick.ChannelDepth: // must hear of it when it is back
		case h.Kind == tick.KindUp:
			in.raiseLine(f, e)
		case h.Kind == tick.KindDown:
			in.lowerLine(f, e)
		}
		return false
	case tick.KindTrade:
		if h.Flags&tick.FlagBackfill != 0 {
			return true
		}
		which = tick.ChannelTrades
	case tick.KindQuote:
		which = tick.ChannelQuotes
	case tick.KindDepth:
		which = tick.ChannelDepth
	case tick.KindSnapshot:
		if in.gone.Has(tick.ChannelDepth) && in.def.Sync.Snapshot == tick.SnapshotREST {
			return false // an answer that was on its way
		}
		which = tick.ChannelDepth
	case tick.KindMark:
		which = tick.ChannelFunding
	case tick.KindOpenInterest:
		which = tick.ChannelOpenInterest
	case tick.KindLiquidation:
		which = tick.ChannelLiquidations
	}
	if which != 0 && in.gone.Has(which) {
		in.comeBack(which)
	}
	return true
}
