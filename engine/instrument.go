package engine

import (
	"math"

	"tickproc/book"
	"tickproc/indicators"
	"tickproc/tick"
)

// never is a deadline that does not come.
const never = int64(math.MaxInt64)

// instrument is everything a shard knows of one symbol of one venue. What an
// ordinary trade touches lies together at the beginning: among a thousand
// instruments each line of the cache that is touched has to be fetched.
type instrument struct {
	def   tick.Instrument // its end, with the trades' resolution, is touched
	shard *Shard

	// The scale of all state; lines that still use a coarser one are
	// multiplied up on the way in.
	priceDigits, sizeDigits uint8
	coarser                 bool // some line may be coarser than the state
	disabled                bool // a number did not fit int64: nothing is believed any more
	// idle: the last packet or deadline left nothing that the next packet would
	// have to see to, but for what that says itself.
	idle bool
	// urgent: the delta at hand may have brought a deadline forward.
	urgent   bool
	dirty    bool
	touched  bool // a follower's image of it is old
	fine     fineLine
	offset   clockOffset
	gathered indicators.Gathered
	counts   Counts
	key      int64 // in the heap of deadlines
	ids      tradeIDs
	channels [tick.ChannelCount]channel
	firsts   [tick.ChannelCount]firstArrival

	quote     quoteState
	sync      *book.Sync // the book that is shown
	merges    bool       // lines share it, by the venue's ids
	leader    uint16     // the line whose book it is, where each has its own
	depthLine uint16     // that delivered depth last, or lost some
	// Event time of the delta that BeforeDelta and AfterDelta are about.
	depthSource tick.TimeSource
	depthTs     int64
	deltaID     uint64 // of the delta applied last; 0 = none, or no snapshot reached it
	silenceAt   int64  // receive time at which depth has been silent too long
	doubtUntil  int64  // receive time at which a snapshot that no delta joined is believed
	sample      sampler

	place        int    // in the heap of deadlines
	savedAt      uint64 // the barrier for which it is written
	told         told
	answerBy     int64      // receive time at which a resync should be answered
	lineDue      int64      // receive time at which fireLines is due
	indicatorDue int64      // venue time
	standbys     []*standby // the books of the other lines, where each has its own
	lines        []lineScale

	group        *consolidated // nil where it takes part in none
	contribution contribution

	backfill   backfills
	indicators []indicators.Indicator // told outside of takeTrade, they are settled first
	out        indicators.Out
	trade      indicators.Trade // here, not on the stack, because it goes through an interface
	coverage   indicators.Coverage

	funding        fundingState
	interest       interestState
	liquidationOrd ordinal
	statusOrd      ordinal
	gone           tick.Channels // ended by a delisting, and not back
}

// Counts are totals of an instrument since the start.
type Counts struct {
	Trades, LateTrades, DuplicateTrades uint64
	Quotes                              uint64
	Gaps, Resyncs                       uint64
	TimesOutside                        uint64 // exchange times outside the clock window
	OutOfRange                          uint64 // numbers that no scale could hold
	Copies                              uint64 // trades, quotes and whole books that another line had brought
	Backfills                           uint64 // times that missed trades were asked for
	Backfilled                          uint64 // trades that came so
}

func newInstrument(s *Shard, def tick.Instrument) *instrument {
	in := &instrument{shard: s, def: def, priceDigits: def.PriceDigits, sizeDigits: def.SizeDigits,
		sync: book.NewSync(def.Sync, def.PriceDigits, def.SizeDigits), indicatorDue: never, silenceAt: never, doubtUntil: never,
		answerBy: never, lineDue: never, backfill: backfills{due: never}}
	in.merges = def.Sync.Sequence != tick.SequenceNone && def.Sync.Snapshot != tick.SnapshotEvery
	in.sync.Hold = int64(s.options.LineHold)
	in.ids.contiguous = def.TradeIDs == tick.TradeIDContiguous
	in.sample.init(&s.options)
	in.indicators = in.newIndicators()
	return in
}

// begin opens the interval before anything was seen of some channels, and
// takes back whatever an earlier run said last.
func (in *instrument) begin(channels tick.Channels) {
	for i, c := range tick.AllChannels {
		if channels.Has(c) {
			in.openGap(&in.channels[i], c, in.channels[i].lastTs, tick.ReasonStart)
		}
	}
	if channels.Has(tick.ChannelTrades) {
		in.coverage.Lose(math.MinInt64, math.MaxInt64)
	}
	if channels.Has(tick.ChannelDepth) {
		in.writeBook(false)
		if in.shard.follows {
			in.tellBook()
		}
	}
	in.quote.fromBook = !in.def.Channels.Has(tick.ChannelQuotes) && in.def.Channels.Has(tick.ChannelDepth)
	if channels.Has(tick.ChannelQuotes) || in.quote.fromBook && channels.Has(tick.ChannelDepth) {
		in.quote.written = false
		in.writeQuote(false, 0, in.invalidTime(in.quote.lastTs), in.shard.now, tick.TimeEstimate)
	}
}

// extend adds channels that a later record of the instrument subscribes.
func (in *instrument) extend(channels tick.Channels) {
	added := channels &^ in.def.Channels
	if added == 0 {
		return
	}
	in.def.Channels |= added
	if added.Has(tick.ChannelTrades) && !in.disabled {
		in.indicators = in.newIndicators()
	}
	in.begin(added)
	if in.def.State == tick.StateDelisted {
		in.leaveAll(added)
	}
}

// apply takes one packet about the instrument.
func (in *instrument) apply(p []tick.Unit) {
	h := p[0].Header()
	if in.disabled {
		return
	}
	if h.Kind == tick.KindRescale {
		in.rescaleLine(p[0].Rescale())
		return
	}
	if in.gone != 0 && !in.admit(p) {
		return
	}
	if in.coarser && !in.fine.is(h.Line) {
		var ok bool
		if p, ok = in.scaleUp(p); !ok {
			return
		}
		h = p[0].Header()
	}
	switch h.Kind {
	case tick.KindTrade:
		in.onTrade(p[0].Trade())
	case tick.KindQuote:
		in.onQuote(p)
	case tick.KindDepth:
		in.onDepth(p)
	case tick.KindSnapshot:
		in.onSnapshot(p)
	case tick.KindMark:
		in.onMark(p[0].Mark())
	case tick.KindOpenInterest:
		in.onOpenInterest(p[0].OpenInterest())
	case tick.KindLiquidation:
		in.onLiquidation(p[0].Trade())
	case tick.KindStatus:
		in.onStatus(p[0].Status())
	case tick.KindUp:
		in.onUp(p[0].Event())
	case tick.KindDown:
		in.onDown(p[0].Event())
		switch c := p[0].Event().Channel; {
		case in.def.State != tick.StateDelisted:
		case c == tick.ChannelDepth && in.isUp(c):
			in.leaveAll(c) // else the end of the other lines would not be heard of
		default:
			in.leave(c)
		}
	case tick.KindGap:
		in.onGap(p[0].Event())
	case tick.KindBackfillEnd:
		in.onBackfillEnd(p[0].BackfillEnd())
	}
	in.command()
}

// venueNow is the venue's clock as far as we can know it.
func (in *instrument) venueNow() int64 { return in.shard.now + in.offset.nanos() }

// eventTime returns the time that a packet's row is keyed by, and whose clock
// it is of.
func (in *instrument) eventTime(h *tick.Header) (int64, tick.TimeSource) {
	ts := h.ExchangeNanos
	if ts == 0 {
		return h.ReceiveNanos, tick.TimeReceive
	}
	window := int64(in.shard.options.ClockWindow)
	if ts > h.ReceiveNanos+window || ts < h.ReceiveNanos-window {
		in.counts.TimesOutside++
		return h.ReceiveNanos, tick.TimeReceive
	}
	return ts, tick.TimeExchange
}

// onUp says that the venue delivers a channel from here on.
func (in *instrument) onUp(e *tick.ChannelEvent) {
	f := &in.firsts[e.Channel.Index()]
	news := in.raiseLine(f, e)
	switch e.Channel {
	case tick.ChannelDepth:
		if news {
			in.beginDepthLine(e.Line)
		}
		if len(f.lines) == 1 {
			in.silenceAt = in.shard.now + int64(in.shard.options.Silence)
		}
	case tick.ChannelLiquidations:
		in.upLiquidations()
	}
}

// onDown says that a channel ended on a line. While another line delivers it
// nothing else does.
func (in *instrument) onDown(e *tick.ChannelEvent) {
	f := &in.firsts[e.Channel.Index()]
	from, filled, ended := in.lowerLine(f, e)
	switch {
	case e.Channel != tick.ChannelDepth:
		if !filled {
			in.loseEvents(e, from)
		}
		return
	case len(f.lines) > 0:
		if ended {
			in.endDepthLine(e)
		}
		return
	}
	in.sync.Down(e.Reason)
	in.silenceAt = never
	in.standbys = nil
	in.announceBook()
}

// onGap says that the session knows of loss on a channel that is still up.
func (in *instrument) onGap(e *tick.ChannelEvent) {
	f := &in.firsts[e.Channel.Index()]
	if len(f.lines) > 1 {
		switch from, filled, up := in.breakLine(f, e); {
		case !up:
		case e.Channel == tick.ChannelDepth:
			in.gapDepthLine(e, filled)
		case !filled:
			in.loseEvents(e, from)
		}
		return
	}
	if e.Channel != tick.ChannelDepth {
		in.loseEvents(e, in.channels[e.Channel.Index()].lastTs)
		return
	}
	in.depthLine = e.Line
	in.sync.Invalidate(e.Reason)
	in.announceBook()
}

// loseEvents says that a channel's messages are not seen from the one at from on.
func (in *instrument) loseEvents(e *tick.ChannelEvent, from int64) {
	if c := &in.channels[e.Channel.Index()]; c.gap.open && from != 0 && from < c.gap.ts {
		in.loseEarlier(c, e, from)
	}
	switch e.Channel {
	case tick.ChannelTrades:
		in.loseTrades(from, e.Reason)
	case tick.ChannelQuotes:
		in.loseQuotes(from, e.Reason)
	case tick.ChannelFunding, tick.ChannelOpenInterest:
		in.loseState(e.Channel, from, e.Reason)
	case tick.ChannelLiquidations:
		in.loseLiquidations(from, e.Reason)
	}
}

// command asks the feed for a fresh book when the synchronisation owes it.
func (in *instrument) command() {
	if epoch, owed := in.sync.TakeResync(); owed {
		line := in.depthLine
		if in.standsBy() {
			line = in.leader
		}
		in.ask(in.sync, line, epoch)
		if in.def.Sync.Snapshot != tick.SnapshotREST {
			in.answerBy = in.shard.now + answerSpan
			in.lineDue = 0
		}
	}
	for _, x := range in.standbys {
		if _, owed := x.sync.TakeResync(); owed {
			in.ask(x.sync, x.line, in.sync.NextEpoch())
			x.answerBy = in.shard.now + answerSpan
		}
	}
	if in.lineDue != never || len(in.firsts[depthIndex].lines) > 1 {
		in.scheduleLines()
	}
	in.idle = len(in.standbys) == 0 && in.lineDue == never && in.gone == 0 && !in.disabled
}

// ask appends the command.
func (in *instrument) ask(of *book.Sync, line uint16, epoch uint64) {
	in.counts.Resyncs++
	s := in.shard
	var u *tick.Unit
	s.commands, u = tick.NewRow(s.commands, tick.CmdResync)
	r := u.Resync()
	r.Instrument, r.TsNanos, r.Epoch, r.Line = in.def.ID, s.now, epoch, line
	_, r.Reason = of.State()
}

// deadline is the receive time at which the instrument next wants to act.
func (in *instrument) deadline() int64 {
	at := min(in.silenceAt, in.doubtUntil, in.quote.staleAt(), in.lineDue, in.backfill.due)
	if venue := min(in.indicatorDue, in.sample.due()); venue != never {
		at = min(at, saturatingSub(venue, in.offset.nanos()))
	}
	if in.leads() {
		at = min(at, in.group.deadline())
	}
	return at
}

func saturatingSub(a, b int64) int64 {
	d := a - b
	if a < 0 && b > 0 && d > 0 {
		return math.MinInt64
	}
	return d
}

// fire acts on what is due at logical now.
func (in *instrument) fire() {
	now, venue := in.shard.now, in.venueNow()
	if venue >= in.indicatorDue {
		in.advanceIndicators(venue)
	}
	if venue >= in.sample.due() {
		in.writeSample()
	}
	if now >= in.silenceAt {
		in.silenceAt = now + int64(in.shard.options.Silence)
		in.sync.Invalidate(tick.ReasonSilence)
		for _, x := range in.standbys {
			x.sync.Invalidate(tick.ReasonSilence)
		}
		in.announceBook()
	}
	if now >= in.quote.staleAt() {
		in.quote.aheadSince = 0
		in.sync.Invalidate(tick.ReasonStale)
		in.announceBook()
	}
	if now >= in.doubtUntil {
		in.endDoubt()
	}
	if now >= in.lineDue {
		in.fireLines(now)
	}
	if now >= in.backfill.due {
		in.fireBackfill(now)
	}
	in.command()
}

func (in *instrument) stepClock(by int64) {
	if in.silenceAt != never {
		in.silenceAt += by
	}
	if in.doubtUntil != never {
		in.doubtUntil += by
	}
	if in.quote.aheadSince != 0 {
		in.quote.aheadSince += by
	}
	if in.quote.differs != 0 {
		in.quote.differSince += by
	}
	in.stepLines(by)
	in.backfill.stepClock(by)
	in.scheduleBackfill()
	if in.leads() {
		in.group.stepClock(by)
	}
	in.offset.step(by)
}

// finish writes what is still open.
func (in *instrument) finish() {
	in.flushSample()
	out := in.prepareOut()
	for _, x := range in.settledIndicators() {
		x.Finish(out)
	}
	in.shard.rows = out.Rows
}

// newRow appends a row of the instrument at ts.
func (in *instrument) newRow(kind tick.Kind, ts int64) *tick.Unit {
	s := in.shard
	var u *tick.Unit
	s.rows, u = tick.NewRow(s.rows, kind)
	r := u.RowHeader()
	r.Instrument, r.TsNanos, r.ReceiveNanos = in.def.ID, ts, s.now
	r.PriceDigits, r.SizeDigits = in.priceDigits, in.sizeDigits
	return u
}

// ordinal numbers rows of equal identity.
type ordinal struct {
	ts  int64
	seq uint64
	n   uint32
	// estimate is the ts of the last row at an estimated time. Such rows come
	// between others of equal identity, have seq 0, and lie behind all before
	// them, so that their own ordinal is 0.
	estimate int64
}

// next returns the ordinal of a row with this ts and seq.
func (o *ordinal) next(ts int64, seq uint64) uint32 {
	switch {
	case o.ts == ts && o.seq == seq:
		o.n++
	case seq == 0 && ts == o.estimate:
		o.ts, o.seq, o.n = ts, seq, 1
	default:
		o.ts, o.seq, o.n = ts, seq, 0
	}
	return o.n
}

// of returns the ordinal of a row by the clock that its ts is of.
func (o *ordinal) of(source tick.TimeSource, ts int64, seq uint64) uint32 {
	if source == tick.TimeEstimate {
		o.estimate = ts
		return 0
	}
	return o.next(ts, seq)
}
