package engine

import (
	"tickproc/book"
	"tickproc/internal/state"
	"tickproc/tick"
)

// code codes an instrument's state but for its definition, which a snapshot
// holds as the catalog packet, and for its part in a group, which a snapshot
// holds with the group: other members change that.
//
// Its place among the deadlines is no state. It is deadline() again once all is
// loaded: while it lived it may have been early, but an instrument whose
// deadline had moved away is only put back when it comes to the top, so that
// what fires, when and in which order follows from the deadlines alone.
func (in *instrument) code(c *state.Coder) {
	state.Enum(c, &in.priceDigits, tick.MaxDigits)
	state.Enum(c, &in.sizeDigits, tick.MaxDigits)
	c.Bools(&in.disabled, &in.coarser)
	in.codeLines(c)
	state.Byte(c, &in.gone)
	in.offset.code(c)
	for i := range in.channels {
		in.channels[i].code(c)
		in.firsts[i].code(c)
	}
	in.funding.code(c)
	in.interest.code(c)
	in.liquidationOrd.code(c)
	in.statusOrd.code(c)
	in.quote.code(c)
	in.sample.code(c)
	in.ids.code(c)
	in.backfill.code(c)
	if c.Loading() {
		in.scheduleBackfill()
	}
	if in.def.TradeIDs == tick.TradeIDUUID {
		c.Uint64(&in.counts.Trades) // the order of trades of one moment
	}
	c.Part(&in.coverage)
	in.codeIndicators(c)
	c.Int64(&in.indicatorDue)
	in.codeDepth(c)
	if c.Hashing() {
		in.hashDefinition(c)
		in.hashGroup(c)
	}
}

// codeDepth codes the books of an instrument.
func (in *instrument) codeDepth(c *state.Coder) {
	lines := in.depthLines()
	c.NameLines(len(lines), func(i int) uint16 { return lines[i].line })
	c.Line(&in.leader)
	c.Line(&in.depthLine)
	c.Int64s(&in.answerBy, &in.lineDue, &in.silenceAt, &in.doubtUntil, &in.depthTs)
	c.Uint64(&in.deltaID)
	state.Enum(c, &in.depthSource, tick.TimeEstimate)
	if c.Loading() { // at the scale of now
		in.sync = book.NewSync(in.def.Sync, in.priceDigits, in.sizeDigits)
		in.sync.Hold = int64(in.shard.options.LineHold)
	}
	in.sync.Code(c)
	in.codeStandbys(c)
}

// hashDefinition adds what may change of the definition.
func (in *instrument) hashDefinition(c *state.Coder) {
	def := &in.def
	state.Byte(c, &def.State)
	state.Byte(c, &def.Channels)
	codeNumber(c, &def.Tick)
	codeNumber(c, &def.Lot)
	codeNumber(c, &def.ContractSize)
	c.Int64(&def.ExpiryNanos)
}

// hashGroup adds the contribution to the consolidated best bid and offer, and
// the group's own state with its first member.
func (in *instrument) hashGroup(c *state.Coder) {
	if in.group == nil {
		return
	}
	in.contribution.code(c)
	if in.leads() {
		in.group.code(c)
	}
}

func (o *ordinal) code(c *state.Coder) {
	c.Int64s(&o.ts, &o.estimate)
	c.Uint64(&o.seq)
	c.Uint32(&o.n)
}
