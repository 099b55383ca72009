package engine

import (
	"slices"
	"time"

	"tickproc/book"
	"tickproc/internal/state"
	"tickproc/tick"
)

// Where ids mean nothing across lines, each line keeps a book of its own. One
// leads and is shown; when it breaks, one that stands by takes its place.
type standby struct {
	in   *instrument
	line uint16
	sync *book.Sync
	// Of the message applied last.
	ts, receive int64
	source      tick.TimeSource
	lastID      uint64
	answerBy    int64
}

// answerSpan is how long a stream may take to answer a resync before it is
// asked again.
const answerSpan = int64(30 * time.Second)

// BeforeDelta is of no use to a book that is not shown.
func (x *standby) BeforeDelta(*tick.Depth) {}

// AfterDelta notes the message, and finds a leader that fell behind.
func (x *standby) AfterDelta(d *tick.Depth) {
	in := x.in
	if !x.sync.IsValid() {
		return
	}
	x.ts, x.source = in.eventTime(&d.Header)
	x.receive, x.lastID = d.ReceiveNanos, d.LastID
	if x.source == tick.TimeExchange && in.depthSource == tick.TimeExchange && x.ts-in.depthTs > int64(in.shard.options.Stale) {
		in.sync.Invalidate(tick.ReasonStale)
	}
}

// standsBy reports whether each line keeps a book of its own.
func (in *instrument) standsBy() bool {
	return in.def.Sync.Sequence == tick.SequenceNone && in.def.Sync.Snapshot == tick.SnapshotInBand
}

// depthLines are the lines that deliver depth.
func (in *instrument) depthLines() []arrivalLine { return in.firsts[depthIndex].lines }

// depthOf returns who takes depth of a line: nil if it is no news.
func (in *instrument) depthOf(h *tick.Header) (*book.Sync, book.Listener) {
	switch {
	case in.merges || in.standsBy() && h.Line == in.leader:
		return in.sync, in
	case in.standsBy():
		for _, x := range in.standbys {
			if x.line == h.Line {
				return x.sync, x
			}
		}
		panic("BUG: a line without a book")
	}
	// Whole books: the newest one. What follows a first fragment that is no news
	// has lost its beginning.
	ts, _ := in.eventTime(h)
	if h.Flags&tick.FlagFirst != 0 && !in.firsts[depthIndex].accept(h.Line, ts) {
		in.counts.Copies++
		return nil, nil
	}
	return in.sync, in
}

// beginDepthLine takes in a line that has just come up.
func (in *instrument) beginDepthLine(line uint16) {
	switch lines := in.depthLines(); {
	case len(lines) == 1:
		in.sync.Up()
		in.leader, in.depthLine = line, line
		if in.def.Sync.Snapshot == tick.SnapshotInBand {
			// The subscription asks for a snapshot; one that is lost on the way is asked
			// for again.
			in.answerBy, in.lineDue = in.shard.now+answerSpan, 0
		}
	case in.merges:
		in.sync.Share(lines[0].line, line)
	case in.standsBy():
		x := &standby{in: in, line: line, sync: book.NewSync(in.def.Sync, in.priceDigits, in.sizeDigits), answerBy: in.shard.now + answerSpan}
		x.sync.Up()
		in.standbys = append(in.standbys, x)
	}
}

// endDepthLine lets a line go while others go on.
func (in *instrument) endDepthLine(e *tick.ChannelEvent) {
	switch {
	case in.merges:
		in.depthLine = in.depthLines()[0].line
		in.sync.Unshare(e.Line)
	case in.standsBy():
		if e.Line == in.leader {
			in.sync.Invalidate(e.Reason)
			x := in.standbys[max(0, in.validStandby())]
			in.takeOver(x)
			in.sync.Because(e.Reason)
			e = &tick.ChannelEvent{Header: tick.Header{Line: x.line}}
		}
		in.standbys = slices.DeleteFunc(in.standbys, func(x *standby) bool { return x.line == e.Line })
	}
	in.announceBook()
}

// gapDepthLine takes word of a loss on one of several lines.
func (in *instrument) gapDepthLine(e *tick.ChannelEvent, filled bool) {
	switch {
	case in.merges && filled:
		in.sync.LoseLine(e.Line)
	case in.merges:
		in.depthLine = e.Line
		in.sync.Invalidate(e.Reason)
	case in.standsBy():
		s := in.sync
		for _, x := range in.standbys {
			if x.line == e.Line {
				s = x.sync
			}
		}
		s.Invalidate(e.Reason)
	}
	in.announceBook()
}

// validStandby returns the place of the first that could lead, -1 if none.
func (in *instrument) validStandby() int {
	return slices.IndexFunc(in.standbys, func(x *standby) bool { return x.sync.IsValid() })
}

// takeOver makes x the leader; the leader stands by in its place.
func (in *instrument) takeOver(x *standby) {
	in.told.whole = false
	in.writeSample() // what waits for its boundary is of the old leader's book
	x.sync.Succeed(in.sync)
	in.sync, x.sync = x.sync, in.sync
	in.leader, x.line = x.line, in.leader
	in.answerBy, x.answerBy = x.answerBy, in.answerBy
	if !in.sync.IsValid() || x.ts == 0 {
		return
	}
	in.depthTs, in.depthSource = x.ts, x.source
	c := &in.channels[tick.ChannelDepth.Index()]
	c.lastTs = max(c.lastTs, x.ts)
	in.sample.note(x.ts, x.source, &tick.Depth{Header: tick.Header{ReceiveNanos: x.receive}, LastID: x.lastID})
	q, b := &in.quote, &in.sync.Book
	if q.fromBook && q.written && (q.bid != b.Bids.Best() || q.ask != b.Asks.Best()) {
		in.announceBookQuote(true, true)
	}
}

// scheduleLines notes when lines next want to be looked after.
func (in *instrument) scheduleLines() {
	if state, _ := in.sync.State(); state != book.Waiting {
		in.answerBy = never
	}
	due := min(in.sync.Deadline(), in.answerBy)
	for _, x := range in.standbys {
		if x.sync.IsValid() {
			x.answerBy = never
		}
		due = min(due, x.answerBy)
	}
	in.lineDue = due
}

// fireLines acts on what is due.
func (in *instrument) fireLines(now int64) {
	if line, broke := in.sync.Expire(now, in); broke {
		in.depthLine = line
	}
	if now >= in.answerBy {
		in.answerBy = never
		in.sync.AskAgain()
	}
	for _, x := range in.standbys {
		if now >= x.answerBy {
			x.answerBy = never
			x.sync.AskAgain()
		}
	}
	in.announceBook()
}

func (in *instrument) stepLines(by int64) {
	in.sync.StepClock(by)
	for _, at := range []*int64{&in.answerBy, &in.lineDue} {
		if *at != never {
			*at += by
		}
	}
	for _, x := range in.standbys {
		x.sync.StepClock(by)
		if x.answerBy != never {
			x.answerBy += by
		}
	}
	for i := range in.firsts {
		in.firsts[i].stepClock(by)
	}
}

// codeStandbys codes the books of the lines that do not lead.
func (in *instrument) codeStandbys(c *state.Coder) {
	n := c.Len(len(in.standbys), 2+1+4*8, linesMax)
	if c.Loading() {
		in.standbys = nil
		for range n {
			in.standbys = append(in.standbys, &standby{in: in, sync: book.NewSync(in.def.Sync, in.priceDigits, in.sizeDigits)})
		}
	}
	for _, x := range in.standbys {
		c.Line(&x.line)
		state.Enum(c, &x.source, tick.TimeEstimate)
		c.Int64s(&x.ts, &x.receive, &x.answerBy)
		c.Uint64(&x.lastID)
		x.sync.Code(c)
	}
}
