package engine

import (
	"time"

	"tickproc/tick"
)

// A socket may be dead for a while before anybody notices. So a line vouches
// for a channel only as long as it was heard, which is told when it ends:
//
//	line A   ═══════╴ dead            ╶ its end is noticed: heard until ╴
//	line B   ═══════════╴ dead  ╶════════════════════  a new socket
//	missed               ├─────┤      though one line or the other was up all the time
//
// What A lost it lost from ╴ on, and B's new socket was there only later: nobody
// had what lies between. B's end came first, when A was still believed.
//
// Each line says from which receive time on it is whole (soundAt), and how far
// the channel was had even if the line has said nothing since (provedAt,
// provedTs). A line that ends leaves to the others what it had, where it joins
// what they had. Where ids tell every loss nothing of this is needed.

// proves notes a message of one of several lines: its event time, and when it
// was received.
//
// hot: per message, 0 allocs.
func (f *firstArrival) proves(line uint16, ts, receive int64) {
	if len(f.lines) < 2 {
		return
	}
	x := &f.lines[f.place(line)]
	x.provedAt, x.provedTs = max(x.provedAt, receive), max(x.provedTs, ts)
}

// raiseLine notes that a line delivers, and reports whether that is new.
func (in *instrument) raiseLine(f *firstArrival, e *tick.ChannelEvent) bool {
	if f.place(e.Line) >= 0 {
		return false
	}
	c, now := &in.channels[e.Channel.Index()], in.shard.now
	f.leaveAlone(c.lastTs, in.hadUntil(c))
	f.up(e.Line, in.soundFrom(e))
	if n := len(f.lines); n > 1 {
		f.lines[n-1].provedAt, f.lines[n-1].provedTs = now, in.hadUntil(c)
	}
	return true
}

// soundFrom is the receive time from which a line is whole that delivers from an
// event on: by the event's own time, since what the venue sent thereafter comes
// behind it, however late a busy machine takes both.
func (in *instrument) soundFrom(e *tick.ChannelEvent) int64 {
	return e.ReceiveNanos + int64(in.shard.options.LineHold)
}

// lowerLine notes that a line ended, and reports whether it had been up, whether
// the others have what it loses, and from which event time on it is lost if not.
func (in *instrument) lowerLine(f *firstArrival, e *tick.ChannelEvent) (from int64, filled, ended bool) {
	c, i := &in.channels[e.Channel.Index()], f.place(e.Line)
	if i < 0 {
		return c.lastTs, len(f.lines) > 0, false
	}
	f.leaveAlone(c.lastTs, in.hadUntil(c))
	gone := f.lines[i]
	f.down(e.Line)
	from, filled = in.endClaim(f, &gone, e)
	f.becomeAlone(c.lastTs)
	return from, filled, true
}

// breakLine does so for one of several lines that goes on behind a hole.
func (in *instrument) breakLine(f *firstArrival, e *tick.ChannelEvent) (from int64, filled, up bool) {
	c, i, now := &in.channels[e.Channel.Index()], f.place(e.Line), in.shard.now
	if i < 0 {
		return c.lastTs, true, false
	}
	x := &f.lines[i]
	gone := *x
	from, filled = in.endClaim(f, &gone, e)
	x.soundAt, x.provedAt, x.provedTs = in.soundFrom(e), now, in.hadUntil(c)
	return from, filled, true
}

// endClaim leaves to the other lines what one had that is whole no more.
func (in *instrument) endClaim(f *firstArrival, gone *arrivalLine, e *tick.ChannelEvent) (from int64, filled bool) {
	c, now := &in.channels[e.Channel.Index()], in.shard.now
	from, until := c.lastTs, now
	idsTell := in.idsTell(e.Channel)
	if e.HeardNanos != 0 {
		until = min(max(e.HeardNanos, gone.provedAt), now)
		if gone.provedTs != 0 && !idsTell {
			from = min(from, gone.provedTs)
		}
	}
	filled = f.sound(e.Line, until)
	if idsTell {
		filled = f.sound(e.Line, never-1) // it need only be there
	}
	for i := range f.lines {
		x := &f.lines[i]
		if x.line == e.Line {
			continue
		}
		if x.soundAt <= until {
			x.soundAt = min(x.soundAt, gone.soundAt)
		}
		if gone.soundAt <= x.provedAt {
			x.provedAt, x.provedTs = max(x.provedAt, until), max(x.provedTs, gone.provedTs)
		}
		if !filled && x.provedTs >= from {
			// The gap that begins now holds all that is in doubt.
			x.provedAt, x.provedTs = now, max(x.provedTs, c.lastTs)
		}
	}
	return from, filled
}

// idsTell reports whether the ids of a channel's messages tell every loss.
func (in *instrument) idsTell(which tick.Channels) bool {
	return which == tick.ChannelTrades && in.ids.contiguous ||
		which == tick.ChannelDepth && in.def.Sync.Snapshot != tick.SnapshotInBand
}

// becomeAlone: of a line that is the only one nothing is noted a message, since
// all that comes is its own.
func (f *firstArrival) becomeAlone(lastTs int64) {
	f.aloneTs = 0
	f.overtook.is = f.overtook.is && len(f.lines) > 1
	if len(f.lines) != 1 {
		return
	}
	x := &f.lines[0]
	x.provedAt = 0
	if x.provedTs >= lastTs {
		x.provedTs = 0
	}
	if x.provedTs != 0 {
		f.aloneTs = lastTs
	}
}

// hadUntil is the event time up to which a line that comes up now need not
// answer for the channel.
func (in *instrument) hadUntil(c *channel) int64 {
	switch {
	case c.lastTs != 0:
		return c.lastTs
	case c.gap.open:
		return c.gap.ts // the start
	}
	return in.venueNow()
}

// leaveAlone: another one comes, or the only one ends.
func (f *firstArrival) leaveAlone(lastTs, hadUntil int64) {
	if len(f.lines) != 1 {
		return
	}
	// A message since then is a proof that it lives.
	if x := &f.lines[0]; x.provedTs == 0 || lastTs > f.aloneTs {
		x.provedTs = hadUntil
	}
	f.aloneTs = 0
}

// loseEarlier says that messages of before an open gap were lost, too, which
// was not known when it began.
func (in *instrument) loseEarlier(c *channel, e *tick.ChannelEvent, from int64) {
	gap, end := openGap{ts: from, ord: c.ord.next(from, 0), reason: e.Reason}, c.gap.ts
	in.counts.Gaps++
	state := tick.BackfillNone
	if e.Channel == tick.ChannelTrades {
		state = in.wantBackfill(gap, end, 0, 0)
	}
	in.writeGapRow(e.Channel, gap, end, lostUnknown, false, state)
	if e.Channel == tick.ChannelTrades {
		in.coverage.Lose(gap.ts, end)
		in.reviseIndicators(gap.ts, end)
	}
}

// doubtReach bounds how far back bars are kept that may yet prove to lack trades:
// as long as a dead socket goes unnoticed as a rule.
const doubtReach = int64(2 * time.Minute)

// doubtedFrom is the event time from which on trades may be missing, though no
// gap says so yet: bars that were called complete must then be corrected.
func (in *instrument) doubtedFrom() int64 {
	c, f := &in.channels[tick.ChannelTrades.Index()], &in.firsts[tick.ChannelTrades.Index()]
	from := c.lastTs
	for i := range f.lines {
		if x := &f.lines[i]; x.provedTs != 0 && !in.ids.contiguous {
			from = min(from, x.provedTs)
		}
	}
	return from
}
