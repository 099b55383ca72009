package engine

import (
	"tickproc/internal/invariants"
	"tickproc/tick"
)

// onDepth takes a delta of the book.
//
// hot: per message, 0 allocs once the book has grown.
func (in *instrument) onDepth(p []tick.Unit) {
	in.noteDepth(p[0].Header())
	in.sync.Delta(p, in)
	in.announceBook()
	if invariants.Enabled && in.sync.IsValid() {
		in.sync.Book.Check()
	}
}

// onSnapshot takes a whole book.
func (in *instrument) onSnapshot(p []tick.Unit) {
	d := p[0].Depth()
	// Sent on the stream itself it is a message of the stream, with its place in
	// time; fetched by REST it is not.
	streamed := in.def.Sync.Snapshot != tick.SnapshotREST && d.Flags&tick.FlagLast != 0
	if streamed {
		in.noteDepth(&d.Header)
		in.BeforeDelta(d)
	}
	in.sync.Snapshot(p, in)
	in.doubt()
	if streamed {
		in.AfterDelta(d)
	}
	in.announceBook()
}

// noteDepth notes that the venue's depth is alive.
func (in *instrument) noteDepth(h *tick.Header) {
	c := &in.channels[tick.ChannelDepth.Index()]
	if !c.up {
		c.up = true
		in.sync.Up() // data proves the subscription where no acknowledgement was recorded
	}
	in.silenceAt = h.ReceiveNanos + int64(in.shard.options.Silence)
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
	if source == tick.TimeExchange && d.ReceiveNanos == in.shard.now {
		in.offset.observe(d.ExchangeNanos, d.ReceiveNanos)
	}
	c := &in.channels[tick.ChannelDepth.Index()]
	c.lastTs = max(c.lastTs, ts)
	in.deltaID = d.LastID
	if in.quote.aheadSince != 0 && d.LastID >= in.quote.aheadID {
		in.quote.aheadSince = 0
	}
	in.sample.note(ts, source, d)
	if in.shard.options.BookOnChange {
		in.writeSample()
	}
	if in.quote.fromBook {
		in.bookQuote(d.LastID, ts, d.ReceiveNanos, source)
	}
}

// announceBook makes a change of validity visible: a row, a gap opened or
// closed.
func (in *instrument) announceBook() {
	valid, x := in.believed(), &in.sample
	c := &in.channels[tick.ChannelDepth.Index()]
	if !in.sync.IsValid() {
		in.flushSample()
		_, reason := in.sync.State()
		in.openGap(c, tick.ChannelDepth, reason)
		in.quote.aheadSince = 0
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
	in.announceBookQuote(valid, changed)
}
