package engine

import (
	"tickproc/internal/invariants"
	"tickproc/tick"
)

// depthIndex is the place of the depth channel.
const depthIndex = 2

// onDepth takes a delta of the book.
//
// hot: per message, 0 allocs once the book has grown.
func (in *instrument) onDepth(p []tick.Unit) {
	h := p[0].Header()
	in.noteDepth(h)
	if in.merges {
		in.sync.Delta(p, in)
	} else if s, l := in.depthOf(h); s != nil {
		s.Delta(p, l)
	}
	if f := &in.firsts[depthIndex]; f.leads != nil {
		in.compareDepth(f, p[0].Depth())
	}
	in.announceBook()
	if invariants.Enabled && in.sync.IsValid() {
		in.sync.Book.Check()
	}
}

// takeOrdinaryDepth takes a delta that the only line brings to a valid book. It
// reports whether nothing follows but what is done: a book that is still valid
// owes the feed nothing, and deadlines that did not come forward.
func (in *instrument) takeOrdinaryDepth(p []tick.Unit) bool {
	in.urgent = !in.merges || !in.sync.IsValid() || !in.firsts[depthIndex].alone(p[0].Header().Line)
	in.onDepth(p)
	return !in.urgent && in.sync.IsValid() && !in.sync.Owes()
}

// onSnapshot takes a whole book.
func (in *instrument) onSnapshot(p []tick.Unit) {
	d := p[0].Depth()
	if in.def.Sync.Snapshot == tick.SnapshotREST {
		in.sync.Snapshot(p, in)
		in.doubt()
	} else {
		// A message of the stream, with its place in time.
		in.noteDepth(&d.Header)
		if s, l := in.depthOf(&d.Header); s != nil {
			s.Snapshot(p, l)
		}
		if f := &in.firsts[depthIndex]; f.leads != nil {
			in.compareDepth(f, d)
		}
	}
	in.announceBook()
}

// noteDepth notes that the venue's depth is alive.
func (in *instrument) noteDepth(h *tick.Header) {
	if f := &in.firsts[depthIndex]; !f.alone(h.Line) && f.place(h.Line) < 0 {
		f.prove(h.Line)
		in.beginDepthLine(h.Line) // data proves the subscription where no acknowledgement was recorded
	}
	in.depthLine = h.Line
	at := h.ReceiveNanos + int64(in.shard.options.Silence)
	in.urgent = in.urgent || at < in.silenceAt
	in.silenceAt = at
}

// compareDepth notes who brought the message first.
func (in *instrument) compareDepth(f *firstArrival, d *tick.Depth) {
	if d.Flags&tick.FlagFirst == 0 {
		return
	}
	key := leadKey(d.LastID, d.PrevID)
	switch x := &f.lines[f.place(d.Line)]; {
	case in.standsBy():
		a := x.newest.arrive(d.ExchangeNanos)
		key = leadKey(uint64(a.key), a.n)
	case !in.merges:
		key = leadKey(uint64(x.newest.key), x.newest.n)
	}
	in.compare(tick.ChannelDepth, d.Line, key, d.ReceiveNanos)
}

// BeforeDelta writes the sample of each boundary that lies before the delta.
func (in *instrument) BeforeDelta(d *tick.Depth) {
	in.depthTs, in.depthSource = in.eventTime(&d.Header)
	if in.depthTs >= in.sample.boundary {
		in.writeSample()
	}
}

// AfterDelta notes the delta as the book's last word so far, unless it broke
// the book.
func (in *instrument) AfterDelta(d *tick.Depth) {
	if !in.sync.IsValid() {
		// The levels that waited for their boundary are gone, and those that are
		// there now were never the venue's.
		in.sample.pending = false
		return
	}
	ts, source := in.depthTs, in.depthSource
	if source == tick.TimeExchange && d.ReceiveNanos == in.shard.now && in.offset.raise(d.ExchangeNanos, d.ReceiveNanos) {
		in.urgent = true
	}
	c := &in.channels[depthIndex]
	c.lastTs = max(c.lastTs, ts)
	in.deltaID = d.LastID
	if in.quote.differs != 0 && ts >= in.quote.differTs {
		in.quote.differs = 0 // depth has come as far
	}
	if in.quote.aheadSince != 0 && d.LastID >= in.quote.aheadID {
		in.quote.aheadSince = 0
	}
	if in.shard.follows {
		in.tellDelta(d, ts, source)
	}
	if in.sample.note(ts, source, d) {
		in.urgent = true
	}
	if in.shard.options.BookOnChange {
		in.writeSample()
	}
	if in.quote.fromBook {
		in.bookQuote(d.LastID, ts, d.ReceiveNanos, source)
	}
}

// announced reports whether the book is valid and shown as such, which is all
// that there is to say.
func (in *instrument) announced() bool {
	return in.sync.IsValid() && in.sync.Joined() && in.sample.announced && in.sample.shown && in.doubtUntil == never && !in.shard.follows
}

// announceBook makes a change of validity visible: a row, a gap opened or
// closed.
func (in *instrument) announceBook() {
	if in.announced() {
		return
	}
	if len(in.standbys) > 0 && !in.sync.IsValid() {
		if i := in.validStandby(); i >= 0 {
			in.takeOver(in.standbys[i])
		}
	}
	valid, x := in.believed(), &in.sample
	c := &in.channels[tick.ChannelDepth.Index()]
	if !in.sync.IsValid() {
		in.flushSample()
		_, reason := in.sync.State()
		in.openGap(c, tick.ChannelDepth, c.lastTs, reason)
		in.quote.aheadSince, in.quote.differs = 0, 0
	}
	changed := valid != x.announced
	// Deltas that were spliced and then broke may have left rows that say valid
	// behind the last that said invalid.
	if changed || valid != x.shown {
		x.announced = valid
		if valid && c.gap.open {
			end := c.lastTs
			if end <= c.gap.ts {
				end = in.venueNow() // no delta joined yet: the snapshot alone made it valid
			}
			in.closeGap(c, tick.ChannelDepth, end, lostUnknown, true)
		}
		in.writeBook(valid)
	}
	if in.shard.follows {
		in.tellBook()
	}
	in.announceBookQuote(valid, changed)
}
