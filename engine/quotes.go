package engine

import (
	"tickproc/internal/state"
	"tickproc/tick"
)

// quoteState is the last best bid and offer that was written.
type quoteState struct {
	bid, ask tick.Level
	written  bool // since the channel came up
	fromBook bool // the venue's channel is not subscribed: the book's top stands in
	lastTs   int64
	ord      ordinal
	// aheadSince is the receive time at which the venue's quotes ran ahead of
	// its depth; 0 while they do not.
	aheadSince int64
	aheadID    uint64
	staleNanos int64
	// differs counts the quotes in a row, later than the book, whose prices are
	// not its top, where quotes carry no ids to compare by.
	differs     uint64
	differSince int64 // receive time of the first of them
	differTs    int64 // its exchange time
}

func (q *quoteState) staleAt() int64 {
	if q.aheadSince == 0 {
		return never
	}
	return q.aheadSince + q.staleNanos
}

// onQuote takes the venue's best bid and offer.
//
// hot: per quote, 0 allocs.
func (in *instrument) onQuote(p []tick.Unit) {
	d, levels := p[0].Depth(), tick.Levels(p)
	ts, source := in.eventTime(&d.Header)
	if source == tick.TimeExchange {
		in.offset.observe(d.ExchangeNanos, d.ReceiveNanos)
	}
	if !in.acceptQuote(d, ts, source) {
		return
	}
	c := &in.channels[tick.ChannelQuotes.Index()]
	c.lastTs = max(c.lastTs, ts)
	in.closeGap(c, tick.ChannelQuotes, ts, lostUnknown, true)
	in.counts.Quotes++
	q := &in.quote
	if in.def.Sync.QuoteIDs {
		in.sync.Quotes.Remember(d.LastID, levels[0], levels[1])
		in.watchStale(d.LastID, d.ReceiveNanos)
	} else if source == tick.TimeExchange && !in.def.Sync.QuotesLag && !in.def.Sync.MayCross {
		in.watchTop(levels[0].Price, levels[1].Price, ts)
	}
	if q.written && q.bid == levels[0] && q.ask == levels[1] {
		return
	}
	q.bid, q.ask, q.written = levels[0], levels[1], true
	in.writeQuote(true, d.LastID, ts, d.ReceiveNanos, source)
}

// acceptQuote reports whether the quote is news: by the venue's id where it
// has one, by its time elsewhere.
func (in *instrument) acceptQuote(d *tick.Depth, ts int64, source tick.TimeSource) bool {
	key := int64(0)
	switch {
	case in.def.Sync.QuoteIDs:
		key = int64(d.LastID)
	case source == tick.TimeExchange:
		key = d.ExchangeNanos
	}
	f := &in.firsts[tick.ChannelQuotes.Index()]
	news := f.accept(d.Line, key)
	f.proves(d.Line, ts, d.ReceiveNanos)
	if f.overtook.is {
		news = in.overtaken(tick.ChannelQuotes, f, &d.Header, ts, news)
	}
	if f.leads != nil {
		in.compare(tick.ChannelQuotes, d.Line, leadKey(uint64(key), f.lines[f.place(d.Line)].newest.n), d.ReceiveNanos)
	}
	if !news {
		in.counts.Copies++
	}
	return news
}

// topDiffersMin is how many quotes must contradict the book's top: depth and
// quotes overtake each other, and one says nothing.
const topDiffersMin = 3

// watchTop finds depth that stands still where quotes carry no ids: for as
// long as Stale, every quote has been later than the book and had other prices.
func (in *instrument) watchTop(bid, ask, ts int64) {
	q, b := &in.quote, &in.sync.Book
	if !in.sync.IsValid() || in.depthSource != tick.TimeExchange || ts <= in.depthTs ||
		b.Bids.Best().Price == bid && b.Asks.Best().Price == ask {
		q.differs = 0
		return
	}
	if q.differs == 0 {
		q.differSince, q.differTs = in.shard.now, ts
	}
	q.differs++
	if q.differs >= topDiffersMin && in.shard.now-q.differSince >= int64(in.shard.options.Stale) {
		q.differs = 0
		in.sync.Invalidate(tick.ReasonStale)
		in.announceBook()
	}
}

// watchStale starts the time in which depth must follow a quote that names an
// update the book has not had.
func (in *instrument) watchStale(id uint64, receive int64) {
	q := &in.quote
	if q.aheadSince == 0 && in.sync.IsValid() && id > in.sync.LastID() {
		q.aheadSince, q.aheadID = receive, id
		q.staleNanos = int64(in.shard.options.Stale)
	}
}

// loseQuotes says that the venue's quotes are not seen from the one at from on.
func (in *instrument) loseQuotes(from int64, reason tick.Reason) {
	c := &in.channels[tick.ChannelQuotes.Index()]
	if c.gap.open {
		return
	}
	in.openGap(c, tick.ChannelQuotes, from, reason)
	q := &in.quote
	q.aheadSince, q.differs = 0, 0
	if q.written {
		q.written = false
		in.writeQuote(false, 0, in.invalidTime(q.lastTs), in.shard.now, tick.TimeEstimate)
	}
}

// bookQuote writes the top of our book where the venue's quotes are not
// subscribed.
func (in *instrument) bookQuote(seq uint64, ts, receive int64, source tick.TimeSource) {
	q := &in.quote
	bid, ask := in.sync.Book.Bids.Best(), in.sync.Book.Asks.Best()
	if q.written && q.bid == bid && q.ask == ask {
		return
	}
	q.bid, q.ask, q.written = bid, ask, true
	in.writeQuote(true, seq, ts, receive, source)
}

// announceBookQuote does for them what a row of the book table does for it.
func (in *instrument) announceBookQuote(valid, changed bool) {
	q := &in.quote
	if !q.fromBook || valid && !changed || !valid && !q.written {
		return
	}
	if valid {
		q.bid, q.ask = in.sync.Book.Bids.Best(), in.sync.Book.Asks.Best()
	}
	q.written = valid
	in.writeQuote(valid, 0, in.invalidTime(q.lastTs), in.shard.now, tick.TimeEstimate)
}

func (in *instrument) writeQuote(valid bool, seq uint64, ts, receive int64, source tick.TimeSource) {
	q := &in.quote
	r := in.newRow(tick.RowQuote, ts).QuoteRow()
	r.Source, r.ReceiveNanos = source, receive
	r.Seq, r.Ord = seq, q.ord.of(source, ts, seq)
	r.Bid, r.BidSize, r.Ask, r.AskSize = q.bid.Price, q.bid.Size, q.ask.Price, q.ask.Size
	if valid {
		r.Flags |= tick.RowValid
	}
	if q.fromBook {
		r.Flags |= tick.RowFromBook
	}
	q.lastTs = max(q.lastTs, ts)
}

func (q *quoteState) code(c *state.Coder) {
	codeLevel(c, &q.bid)
	codeLevel(c, &q.ask)
	c.Bools(&q.written, &q.fromBook)
	c.Int64s(&q.lastTs, &q.aheadSince, &q.staleNanos, &q.differSince, &q.differTs)
	c.Uint64s(&q.aheadID, &q.differs)
	q.ord.code(c)
}

func codeLevel(c *state.Coder, l *tick.Level) { c.Int64s(&l.Price, &l.Size) }
