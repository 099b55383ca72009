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

// onQuote takes the venue's best bid and offer. It reports whether anything but
// its row may follow: a deadline came forward, or the feed is owed a command.
//
// hot: per quote, 0 allocs.
func (in *instrument) onQuote(p []tick.Unit) (urgent bool) {
	d, top := p[0].Depth(), tick.TopOf(p)
	ts, source := in.eventTime(&d.Header)
	if source == tick.TimeExchange {
		urgent = in.offset.raise(d.ExchangeNanos, d.ReceiveNanos)
	}
	f := &in.firsts[quotesIndex]
	if key := in.quoteKey(d, source); f.alone(d.Line) {
		f.hear(key)
	} else if !in.acceptQuote(d, key, ts) {
		return urgent
	}
	c := &in.channels[quotesIndex]
	c.lastTs = max(c.lastTs, ts)
	if c.gap.open {
		in.closeGap(c, tick.ChannelQuotes, ts, lostUnknown, true)
	}
	in.counts.Quotes++
	q := &in.quote
	if in.def.Sync.QuoteIDs {
		in.sync.Quotes.Remember(d.LastID, top[0], top[1])
		urgent = in.watchStale(d.LastID, d.ReceiveNanos) || urgent
	} else if source == tick.TimeExchange && !in.def.Sync.QuotesLag && !in.def.Sync.MayCross {
		urgent = in.watchTop(top[0].Price, top[1].Price, ts) || urgent
	}
	if q.written && q.bid == top[0] && q.ask == top[1] {
		return urgent
	}
	q.bid, q.ask, q.written = top[0], top[1], true
	in.writeQuote(true, d.LastID, ts, d.ReceiveNanos, source)
	return urgent
}

// quotesIndex is the place of the quotes' channel.
const quotesIndex = 1

var _ = [1]struct{}{}[tick.ChannelQuotes^1<<quotesIndex]

// quoteKey orders quotes: by the venue's id where it has one, by time elsewhere.
func (in *instrument) quoteKey(d *tick.Depth, source tick.TimeSource) int64 {
	switch {
	case in.def.Sync.QuoteIDs:
		return int64(d.LastID)
	case source == tick.TimeExchange:
		return d.ExchangeNanos
	}
	return 0
}

// acceptQuote reports whether the quote is news.
func (in *instrument) acceptQuote(d *tick.Depth, key, ts int64) bool {
	f := &in.firsts[quotesIndex]
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
// It reports whether the book is given up.
func (in *instrument) watchTop(bid, ask, ts int64) bool {
	q, b := &in.quote, &in.sync.Book
	if !in.sync.IsValid() || in.depthSource != tick.TimeExchange || ts <= in.depthTs ||
		b.Bids.Best().Price == bid && b.Asks.Best().Price == ask {
		q.differs = 0
		return false
	}
	if q.differs == 0 {
		q.differSince, q.differTs = in.shard.now, ts
	}
	q.differs++
	if q.differs >= topDiffersMin && in.shard.now-q.differSince >= int64(in.shard.options.Stale) {
		q.differs = 0
		in.sync.Invalidate(tick.ReasonStale)
		in.announceBook()
		return true
	}
	return false
}

// watchStale starts the time in which depth must follow a quote that names an
// update the book has not had, and reports whether it does.
func (in *instrument) watchStale(id uint64, receive int64) bool {
	q := &in.quote
	if q.aheadSince != 0 || !in.sync.IsValid() || id <= in.sync.LastID() {
		return false
	}
	q.aheadSince, q.aheadID = receive, id
	q.staleNanos = int64(in.shard.options.Stale)
	return true
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
	q, s := &in.quote, in.shard
	var flags tick.RowFlags
	if valid {
		flags = tick.RowValid
	}
	if q.fromBook {
		flags |= tick.RowFromBook
	}
	s.rows = append(s.rows, tick.Unit{}, tick.Unit{})
	r := s.rows[len(s.rows)-2].QuoteRow()
	r.RowHeader = tick.RowHeader{Kind: tick.RowQuote, Flags: flags, PriceDigits: in.priceDigits, SizeDigits: in.sizeDigits,
		Instrument: in.def.ID, Ord: q.ord.of(source, ts, seq), Source: source, TsNanos: ts, ReceiveNanos: receive}
	r.Seq = seq
	r.Bid, r.BidSize, r.Ask, r.AskSize = q.bid.Price, q.bid.Size, q.ask.Price, q.ask.Size
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
