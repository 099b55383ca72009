package book

import (
	"math"
	"slices"

	"tickproc/internal/state"
	"tickproc/tick"
)

// Several lines may deliver one book's depth. Where the venue's ids mean the
// same on all of them, the first to bring a message wins and the others fill
// what it lost:
//
//	line A ─► 11    13 14 ────► 13, 14 are held back …
//	line B ──────► 11 12 13 ─► … until 12 comes: 12 13 14 follow, the second 11 and 13 are copies
//
// What is held too long, or is too much, was lost on all lines: a break.

// heldUnitsMax bounds the messages that are held back: 1 MiB.
const heldUnitsMax = 1 << 14

// linesMax bounds the lines of one book that loading takes for possible.
const linesMax = 254

// recentMax is how many links of a chain are remembered: more than one line
// lags behind another by.
const recentMax = 256

// shared is what is known of the lines while there are several, and then of
// the last one until it has come as far as those that ended.
type shared struct {
	lines []sharedLine // in the order in which they came
	// recent are the links applied last. Ids of a chain may jump back, so that
	// order alone does not tell an old message from one after a new start.
	recent [recentMax]chainLink
	next   uint64
}

type chainLink struct{ prev, last uint64 }

// sharedLine is the standing of one line.
type sharedLine struct {
	line  uint16
	pos   uint64 // id of its newest message
	known bool   // it had one
	// aside is the line's own book since a snapshot older than the shared book:
	// the line is behind, or the venue has begun its ids anew. What follows tells.
	aside   *Sync
	asideAt int64      // receive time of that snapshot, ns
	newest  tick.Depth // head of the newest message in it
}

// Share says that line delivers the same depth as first, which has so far
// been alone. The venue's ids must mean the same on both.
func (s *Sync) Share(first, line uint16) {
	if s.shared == nil {
		s.shared = &shared{lines: []sharedLine{{line: first, pos: s.lastID, known: s.state == Valid}}}
	}
	s.shared.lines = append(s.shared.lines, sharedLine{line: line})
	s.mixed = s.mixed || s.waitingN > 0
}

// Unshare says that the line ended. What the last line had held back nobody
// else can complete any more.
func (s *Sync) Unshare(line uint16) {
	s.parts.forget(line)
	x := s.shared
	if x == nil {
		return
	}
	x.lines = slices.DeleteFunc(x.lines, func(l sharedLine) bool { return l.line == line })
	if len(x.lines) > 1 {
		return
	}
	left := x.lines[0].line
	if s.state != Valid || s.Rule.Snapshot == tick.SnapshotREST {
		s.shared = nil
	}
	if s.state != Valid {
		return
	}
	for rest := s.waiting; len(rest) > 0; rest = rest[len(firstMessage(rest)):] {
		if rest[0].Header().Line == left {
			s.Counts.Gaps++
			s.Invalidate(tick.ReasonSequence)
			return
		}
	}
}

// several reports whether another line may fill what one lost.
func (s *Sync) several() bool { return s.shared != nil && len(s.shared.lines) > 1 }

// LoseLine says that something of one line's was lost, which the others have.
func (s *Sync) LoseLine(line uint16) {
	s.parts.forget(line)
	if x := s.lineOf(line); x != nil {
		x.aside = nil
	}
}

func (s *Sync) lineOf(line uint16) *sharedLine {
	if s.shared != nil {
		for i := range s.shared.lines {
			if x := &s.shared.lines[i]; x.line == line {
				return x
			}
		}
	}
	return nil
}

// joinShared takes a delta of one of several lines while the book is valid.
func (s *Sync) joinShared(message []tick.Unit, l Listener) {
	d := message[0].Depth()
	x := s.lineOf(d.Line)
	if x == nil {
		panic("BUG: depth of a line that does not share the book")
	}
	kind := s.linkShared(d, x)
	x.pos, x.known = d.LastID, true
	switch kind {
	case linkFollows:
		x.aside = nil // it is where the others are
		s.follow(message, l)
		s.release(l, false)
		if !s.several() && s.lastID == d.LastID {
			s.shared = nil // the last one, and all that others had is behind it
		}
	case linkOlder:
		s.Counts.Dropped++
	case linkDuplicate:
		s.Counts.Copies++
		s.goOnAside(x, message, l)
	case linkBroken:
		if !s.several() {
			s.breakAt(message)
			return
		}
		x.aside = nil // it does not follow that either
		s.holdBack(message)
	}
}

// linkShared says how a delta of one of several lines joins the book. A line
// may be behind by many messages, and those are no news; but one that goes
// back without a snapshot is suspect.
func (s *Sync) linkShared(d *tick.Depth, x *sharedLine) linkKind {
	if s.Rule.Snapshot == tick.SnapshotREST {
		return s.link(d)
	}
	if s.Rule.Sequence != tick.SequenceChain {
		kind := s.link(d)
		if kind == linkDuplicate && x.known && d.LastID < x.pos {
			return linkBroken
		}
		return kind
	}
	switch {
	case d.PrevID == s.lastID:
		return linkFollows
	case s.shared.seen(d):
		return linkDuplicate
	case x.known && d.PrevID == x.pos && d.PrevID <= d.LastID && d.LastID <= s.lastID:
		return linkDuplicate // its stream goes on, behind what another line's snapshot has brought
	case x.aside != nil && d.PrevID == x.aside.lastID:
		return linkDuplicate
	default:
		return linkBroken
	}
}

func (x *shared) note(d *tick.Depth) {
	x.recent[x.next%recentMax] = chainLink{d.PrevID, d.LastID}
	x.next++
}

func (x *shared) seen(d *tick.Depth) bool {
	for n, oldest := x.next, x.next-min(x.next, recentMax); n > oldest; n-- {
		r := &x.recent[(n-1)%recentMax]
		// A quiet book is told by a message that leads from an id to itself.
		if r.last == d.LastID && (r.prev == d.PrevID || d.PrevID == d.LastID) {
			return true
		}
	}
	return false
}

// holdBack keeps a message until another line has brought what lies before it.
func (s *Sync) holdBack(message []tick.Unit) {
	if len(s.waiting)+len(message) > heldUnitsMax {
		s.breakAt(message)
		return
	}
	s.mixed = true
	s.waiting = append(s.waiting, message...)
	s.waitingN++
}

// release applies what was held back, as far as it follows now. Broken: it
// came after a break.
func (s *Sync) release(l Listener, broken bool) {
	for again := true; again && s.state == Valid && s.waitingN > 0; {
		again = false
		buffer, kept, n := s.waiting, 0, uint64(0)
		s.waitingN = 0 // a break in between must not count what is counted here
		for rest := buffer; len(rest) > 0; {
			message := firstMessage(rest)
			rest = rest[len(message):]
			kind := linkBroken
			if s.state == Valid {
				kind = s.linkHeld(message[0].Depth())
			}
			switch kind {
			case linkFollows:
				s.follow(message, l)
				again = true
			case linkDuplicate:
				s.Counts.Copies++
			case linkOlder:
				if broken {
					s.Counts.Unsynced++
				} else {
					s.Counts.Dropped++
				}
			case linkBroken:
				kept += copy(buffer[kept:], message)
				n++
			}
		}
		s.waiting, s.waitingN = buffer[:kept], n
	}
	if s.state != Valid && s.Rule.Snapshot != tick.SnapshotREST {
		s.forgetWaiting()
	}
}

func (s *Sync) linkHeld(d *tick.Depth) linkKind {
	if s.Rule.Sequence == tick.SequenceChain && s.shared != nil && d.PrevID != s.lastID && s.shared.seen(d) {
		return linkDuplicate
	}
	return s.link(d)
}

// spliceMixed joins deltas of several lines, which waited in the order in
// which they came and not in that of the venue, to the snapshot just loaded.
func (s *Sync) spliceMixed(l Listener) {
	broken, wantDelta := s.broken, s.wantDelta
	s.becomeValid()
	s.release(l, broken)
	switch {
	case s.state != Valid:
		s.wantDelta = wantDelta && !s.joined
	case s.waitingN > 0 && !s.joined:
		s.Counts.SnapshotsTooOld++
		s.state, s.reason, s.owed = Waiting, tick.ReasonSequence, true
		s.broken, s.wantDelta = broken, wantDelta
	case s.waitingN > 0 && !s.several():
		s.Counts.Gaps++
		s.Invalidate(tick.ReasonSequence)
	case wantDelta && !s.joined:
		s.state, s.reason, s.wantDelta, s.spent = Waiting, tick.ReasonStale, true, true
	}
}

// setAside keeps a snapshot that is older than the book, which another line
// may have brought further.
func (s *Sync) setAside(x *sharedLine, message []tick.Unit, l Listener) {
	d := message[0].Depth()
	x.aside, x.asideAt, x.newest = NewSync(s.Rule, s.digits.price, s.digits.size), d.ReceiveNanos, *d
	if x.aside.Snapshot(message, deaf{}); !x.aside.IsValid() {
		x.aside = nil
		return
	}
	farthest := x
	for i := range s.shared.lines {
		other := &s.shared.lines[i]
		if other.aside == nil {
			return
		}
		if other.aside.lastID > farthest.aside.lastID {
			farthest = other
		}
	}
	s.adopt(farthest, l) // no line is where the book was
}

// goOnAside takes a message that is no news to the book.
func (s *Sync) goOnAside(x *sharedLine, message []tick.Unit, l Listener) {
	if x.aside == nil {
		return
	}
	x.aside.Delta(message, deaf{})
	x.newest = *message[0].Depth()
	switch {
	case !x.aside.IsValid() || x.aside.lastID == s.lastID || s.appliedAt > x.asideAt:
		x.aside = nil // lost its way, has caught up, or the others' stream goes on
	case x.newest.ReceiveNanos-x.asideAt >= s.Hold && x.aside.Counts.Applied > 0:
		s.adopt(x, l)
	}
}

// adopt makes a line's own book the shared one: the venue began its ids anew.
func (s *Sync) adopt(x *sharedLine, l Listener) {
	a := x.aside
	l.BeforeDelta(&x.newest)
	a.Book.Orphans += s.Book.Orphans
	s.Book, s.lastID, s.prevID, s.joined = a.Book, a.lastID, a.prevID, true
	s.Quotes.run = 0
	s.appliedAt = x.newest.ReceiveNanos
	s.Counts.SnapshotsApplied++
	for i := range s.shared.lines {
		s.shared.lines[i].aside = nil
	}
	s.forgetWaiting() // of the stream before
	s.becomeValid()
	l.AfterDelta(&x.newest)
}

// deaf listens to books that are not shown.
type deaf struct{}

func (deaf) BeforeDelta(*tick.Depth) {}
func (deaf) AfterDelta(*tick.Depth)  {}

// Deadline is the receive time, in ns, at which Expire is due; MaxInt64 if none.
func (s *Sync) Deadline() int64 {
	at := int64(math.MaxInt64)
	if s.state == Valid && s.waitingN > 0 {
		at = s.waiting[0].Header().ReceiveNanos + s.Hold
	}
	if s.shared != nil {
		for i := range s.shared.lines {
			if x := &s.shared.lines[i]; x.aside != nil && x.aside.Counts.Applied > 0 {
				at = min(at, x.asideAt+s.Hold)
			}
		}
	}
	return at
}

// Expire decides what waited for other lines until now. If the book breaks,
// line is whose stream jumped.
func (s *Sync) Expire(now int64, l Listener) (line uint16, broke bool) {
	if s.shared != nil {
		for i := range s.shared.lines {
			x := &s.shared.lines[i]
			switch {
			case x.aside == nil || x.aside.Counts.Applied == 0 || x.asideAt+s.Hold > now:
			case s.appliedAt > x.asideAt:
				x.aside = nil
			default:
				s.adopt(x, l)
			}
		}
	}
	for s.state == Valid && s.waitingN > 0 {
		message := firstMessage(s.waiting)
		d := message[0].Depth()
		if d.ReceiveNanos+s.Hold > now {
			break
		}
		if d.LastID > s.lastID || d.ReceiveNanos >= s.appliedAt || s.Rule.Snapshot == tick.SnapshotREST {
			s.Counts.Gaps++
			s.Invalidate(tick.ReasonSequence)
			return d.Line, true
		}
		// The book went on without it: it was old.
		s.Counts.Copies++
		s.keepWaiting(s.waiting[len(message):], s.waitingN-1)
	}
	return 0, false
}

// StepClock moves the receive times of what waits for other lines, after the
// clock that stamps them was stepped.
func (s *Sync) StepClock(by int64) {
	s.appliedAt += by
	if s.state == Valid {
		for rest := s.waiting; len(rest) > 0; rest = rest[tick.PacketUnits(&rest[0]):] {
			rest[0].Header().ReceiveNanos += by
		}
	}
	if s.shared != nil {
		for i := range s.shared.lines {
			s.shared.lines[i].asideAt += by
		}
	}
}

func (x *shared) rescale(priceFactor, sizeFactor int64, priceDigits, sizeDigits uint8) {
	for i := range x.lines {
		if a := x.lines[i].aside; a != nil && a.Rescale(priceFactor, sizeFactor, priceDigits, sizeDigits) != nil {
			x.lines[i].aside = nil
		}
	}
}

// codeShared codes what is known of the lines while there are several.
func (s *Sync) codeShared(c *state.Coder) {
	some := s.shared != nil
	c.Bool(&some)
	if c.Loading() {
		s.shared = nil
		if some {
			s.shared = new(shared)
		}
	}
	if some {
		s.shared.code(c, s)
	}
}

func (x *shared) code(c *state.Coder, of *Sync) {
	n := c.Len(len(x.lines), 2+8+2, linesMax)
	if c.Loading() {
		x.lines = make([]sharedLine, n)
	}
	for i := range x.lines {
		x.lines[i].code(c, of)
		for j := range i {
			c.Require(x.lines[i].line != x.lines[j].line, "a line that is there twice")
		}
	}
	c.Require(n > 0, "lines of which there are none")
	state.Ring(c, x.recent[:], &x.next)
}

func (x *sharedLine) code(c *state.Coder, of *Sync) {
	c.Line(&x.line)
	c.Uint64(&x.pos)
	c.Bool(&x.known)
	aside := x.aside != nil
	c.Bool(&aside)
	if c.Loading() {
		x.aside = nil
		if aside {
			x.aside = NewSync(of.Rule, of.digits.price, of.digits.size)
		}
	}
	if !aside {
		return
	}
	c.Int64(&x.asideAt)
	c.Uint64(&x.aside.Counts.Applied) // not a mere count: it says that the line went on
	codeHead(c, &x.newest)
	x.aside.code(c)
}

// SharedLines are the lines that share the book, none while one is alone.
func (s *Sync) SharedLines() (lines []uint16) {
	if s.shared != nil {
		for i := range s.shared.lines {
			lines = append(lines, s.shared.lines[i].line)
		}
	}
	return lines
}
