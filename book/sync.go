package book

import (
	"tickproc/internal/state"
	"tickproc/tick"
)

// State says what a book is worth.
type State uint8

const (
	// Down: the venue does not deliver depth.
	Down State = iota
	// Waiting: deltas come, a snapshot is asked for.
	Waiting
	// Valid: the book is the venue's book at LastID.
	Valid
)

// bufferUnitsMax bounds the deltas that wait for one snapshot: 8 MiB, more
// than a minute of the busiest instrument.
const bufferUnitsMax = 1 << 17

// quoteDifferMax is how many differences from the venue's own quotes in a row
// make a book invalid: one may be a quirk of the venue, three are ours.
const quoteDifferMax = 3

// Listener sees each delta around its application, also those that waited
// for the snapshot. The book may be invalid after a delta: then that broke it.
type Listener interface {
	BeforeDelta(d *tick.Depth)
	AfterDelta(d *tick.Depth)
}

// Counts says what became of depth messages since the start.
type Counts struct {
	Applied, Levels  uint64 // messages applied, and the level entries in them
	Dropped          uint64 // older than the snapshot that they waited for
	Duplicate        uint64 // already covered by what was applied
	Copies           uint64 // another line had brought them
	Unsynced         uint64 // came after a break, or never met a snapshot
	Gaps             uint64 // breaks of the venue's ids
	Checksums        uint64 // checksums that agreed
	SnapshotsApplied uint64
	SnapshotsRefused uint64 // of an older connection or request
	SnapshotsOlder   uint64 // behind what another line had brought
	SnapshotsTooOld  uint64 // did not reach the deltas that waited
}

// Sync joins a venue's snapshots and deltas into a book by the venue's rule,
// and knows at every moment whether the book is the venue's.
type Sync struct {
	Rule   tick.SyncRule
	Book   Book
	Quotes QuoteCheck
	Counts Counts
	// Hold is how long a message waits for another line to bring what lies
	// before it, in ns of receive time.
	Hold int64

	state  State
	reason tick.Reason
	epoch  uint64 // of the last resync that was asked for
	owed   bool   // a resync must be asked for
	asked  bool   // it was, of the stream itself, and is not answered yet
	lastID uint64 // the venue's id that the book is current at
	prevID uint64 // PrevID of the delta applied last
	// joined: a delta was applied after the snapshot, so that the next one must
	// follow it exactly.
	joined bool
	// wantDelta: no snapshot alone is trusted, because the stream was seen to
	// stand still while the market moved.
	wantDelta bool
	spent     bool // the snapshot came while wantDelta held, and was not trusted
	// stood: an in-band stream stood still once, and no delta came since.
	stood bool
	// broken: what waits came after a break.
	broken bool
	// Whole messages that wait for a snapshot or, while the book is valid, for
	// another line to bring what lies before them.
	waiting   []tick.Unit
	waitingN  uint64
	mixed     bool // they came by several lines
	parts     parts
	shared    *shared // nil while one line delivers
	appliedAt int64   // receive time of the message applied last
	sums      checksums
	digits    struct{ price, size uint8 } // of the book, for checksums
}

// NewSync returns the machine of a book that is down.
func NewSync(rule tick.SyncRule, priceDigits, sizeDigits uint8) *Sync {
	s := &Sync{Rule: rule, Book: New(), reason: tick.ReasonStart}
	s.digits.price, s.digits.size = priceDigits, sizeDigits
	return s
}

// State returns what the book is worth, and why it is not valid.
func (s *Sync) State() (State, tick.Reason) { return s.state, s.reason }

// IsValid reports whether the book is the venue's book at LastID.
func (s *Sync) IsValid() bool { return s.state == Valid }

// Joined reports whether the stream continues the book: a snapshot alone may
// be older than it.
func (s *Sync) Joined() bool { return s.joined }

// LastID is the venue's id that the book is current at.
func (s *Sync) LastID() uint64 { return s.lastID }

// Unsynced counts the messages that were not applied after a break or for
// want of a snapshot, those still waiting included.
func (s *Sync) Unsynced() uint64 { return s.Counts.Unsynced + s.waitingN }

// Owes reports whether TakeResync has one.
func (s *Sync) Owes() bool { return s.owed }

// TakeResync returns the epoch of a resync that is owed; asked for once. A
// stream that answers in-band is asked again only after its answer, however
// often the book breaks meanwhile: the answer mends all.
func (s *Sync) TakeResync() (epoch uint64, owed bool) {
	if !s.owed {
		return 0, false
	}
	s.owed, s.asked = false, s.Rule.Snapshot != tick.SnapshotREST
	return s.NextEpoch(), true
}

// NextEpoch returns the epoch of a new request.
func (s *Sync) NextEpoch() uint64 {
	s.epoch++
	return s.epoch
}

// AskAgain says that what was asked for is not coming.
func (s *Sync) AskAgain() {
	if s.state == Waiting {
		s.owed = true
	}
}

// Because gives the reason why the book waits.
func (s *Sync) Because(reason tick.Reason) {
	if s.state == Waiting {
		s.reason = reason
	}
}

// Succeed makes s the book that is shown, in place of old: totals and epochs
// go on.
func (s *Sync) Succeed(old *Sync) {
	s.Counts, old.Counts = old.Counts, s.Counts
	s.Book.Orphans, old.Book.Orphans = old.Book.Orphans, s.Book.Orphans
	s.epoch = max(s.epoch, old.epoch)
}

// Up says that the venue delivers depth from here on.
func (s *Sync) Up() {
	if s.state != Down {
		return
	}
	s.state = Waiting
	s.owed = s.Rule.Snapshot == tick.SnapshotREST
}

// Down says that the venue's depth ended. Snapshots that were asked for
// before are refused from here on.
func (s *Sync) Down(reason tick.Reason) {
	s.forgetWaiting()
	s.state, s.reason = Down, reason
	s.parts, s.shared = s.parts[:0], nil
	s.owed, s.asked, s.wantDelta, s.spent, s.stood = false, false, false, false, false
	s.epoch++
	s.Quotes.Forget()
}

// Invalidate says that the book cannot be trusted and must be fetched anew.
func (s *Sync) Invalidate(reason tick.Reason) {
	if s.state == Down {
		return
	}
	s.state, s.reason = Waiting, reason
	s.broken, s.owed, s.spent = true, s.owed || !s.asked, false
	if reason == tick.ReasonStale {
		// Another fault does not make the stream move. An in-band snapshot is the
		// stream itself and believed; but not twice without a delta, or a stream
		// that stands would flicker for ever.
		s.wantDelta = s.wantDelta || s.Rule.Snapshot == tick.SnapshotREST || s.stood
		s.stood = true
	}
	if s.Rule.Snapshot != tick.SnapshotREST {
		s.forgetWaiting()
	}
	// After an overload the fragments that are still to come have lost some
	// between.
	s.parts = s.parts[:0]
	if !s.several() {
		s.shared = nil
		return
	}
	for i := range s.shared.lines {
		s.shared.lines[i].aside = nil
	}
}

// Delta takes the packet of a delta, or a fragment of one.
//
// hot: per message, 0 allocs once buffers have grown.
func (s *Sync) Delta(p []tick.Unit, l Listener) {
	if s.state == Valid && s.shared == nil && s.Rule.Snapshot != tick.SnapshotEvery && s.parts.isWhole(p[0].Header()) {
		s.join(p, l)
		return
	}
	message, whole := s.parts.assemble(p)
	if !whole {
		return
	}
	switch {
	case s.Rule.Snapshot == tick.SnapshotEvery:
		d := message[0].Depth()
		l.BeforeDelta(d)
		s.load(message)
		s.becomeValid()
		s.verify(d.Checksum)
		l.AfterDelta(d)
	case s.state != Valid && s.Rule.Snapshot == tick.SnapshotREST:
		s.wait(message)
	case s.state != Valid && !s.moves():
		// In-band snapshots come in order: nothing before one can be of use.
		s.Counts.Unsynced++
		if x := s.lineOf(message[0].Header().Line); x != nil {
			x.pos, x.known = message[0].Depth().LastID, true
		}
	case s.shared != nil:
		s.joinShared(message, l)
	default:
		s.join(message, l)
	}
}

// moves reports whether the book becomes valid because the stream, after it
// stood still, has a delta again.
func (s *Sync) moves() bool {
	if !s.spent {
		return false
	}
	s.spent = false
	s.becomeValid()
	return s.state == Valid
}

// Snapshot takes the packet of a snapshot, or a fragment of one.
func (s *Sync) Snapshot(p []tick.Unit, l Listener) {
	message, whole := s.parts.assemble(p)
	if !whole {
		return
	}
	if s.Rule.Snapshot != tick.SnapshotREST {
		s.snapshotInBand(message, l)
		return
	}
	epoch := message[0].Depth().PrevID
	if s.state != Waiting || (epoch != 0 && epoch != s.epoch) {
		s.Counts.SnapshotsRefused++
		return
	}
	s.load(message)
	s.joined = false
	if s.mixed && s.waitingN > 0 {
		s.spliceMixed(l)
		return
	}
	s.splice(l)
}

// snapshotInBand takes a snapshot that is a message of the stream.
func (s *Sync) snapshotInBand(message []tick.Unit, l Listener) {
	d := message[0].Depth()
	if x := s.lineOf(d.Line); x != nil {
		x.pos, x.known, x.aside = d.LastID, true, nil
		if s.state == Valid && d.LastID <= s.lastID && s.several() {
			s.Counts.SnapshotsOlder++
			if d.LastID < s.lastID {
				s.setAside(x, message, l)
			}
			return
		}
	}
	if s.wantDelta {
		s.load(message)
		s.joined, s.spent = true, true
		s.state, s.reason = Waiting, tick.ReasonStale
		return
	}
	if !s.several() {
		s.shared = nil
	}
	l.BeforeDelta(d)
	s.load(message)
	s.joined = true
	s.becomeValid()
	s.verify(d.Checksum)
	l.AfterDelta(d)
	s.release(l, false)
}

// load replaces the book by the levels of a message.
func (s *Sync) load(message []tick.Unit) {
	s.Book.Clear()
	s.apply(message)
	d := message[0].Depth()
	s.lastID, s.prevID, s.appliedAt = d.LastID, 0, d.ReceiveNanos
	s.asked = s.asked && s.Rule.Snapshot == tick.SnapshotEvery // an image is an answer only if it is good
	s.Quotes.run = 0                                           // differences of the old book say nothing about this one
	s.Counts.SnapshotsApplied++
}

func (s *Sync) apply(message []tick.Unit) (levels int) {
	if d := message[0].Depth(); d.Flags&tick.FlagLast != 0 {
		s.Book.Apply(tick.Levels(message), int(d.Bids))
		levels, message = int(d.LevelCount), nil
	}
	for len(message) > 0 {
		d := message[0].Depth()
		s.Book.Apply(tick.Levels(message), int(d.Bids))
		levels += int(d.LevelCount)
		message = message[tick.PacketUnits(&message[0]):]
	}
	if s.Rule.Truncate > 0 {
		s.Book.Bids.Truncate(int(s.Rule.Truncate))
		s.Book.Asks.Truncate(int(s.Rule.Truncate))
	}
	return levels
}

func (s *Sync) becomeValid() {
	s.state, s.reason = Valid, tick.ReasonNone
	s.broken, s.wantDelta = false, false
	if s.Book.Crossed() && !s.Rule.MayCross {
		s.Invalidate(tick.ReasonCrossed)
		return
	}
	s.asked = false
}

// splice joins the deltas that waited to the snapshot just loaded.
func (s *Sync) splice(l Listener) {
	rest, n, broken, wantDelta := s.waiting, s.waitingN, s.broken, s.wantDelta
	s.waitingN = 0
	s.becomeValid()
	for s.state == Valid && len(rest) > 0 {
		message := firstMessage(rest)
		switch s.link(message[0].Depth()) {
		case linkOlder:
			if broken {
				s.Counts.Unsynced++
			} else {
				s.Counts.Dropped++
			}
		case linkFollows:
			s.follow(message, l)
		case linkDuplicate:
			s.Counts.Duplicate++
		case linkBroken:
			// It stays in the buffer, with all behind it, for the next snapshot.
			if s.joined {
				s.Counts.Gaps++
				s.Invalidate(tick.ReasonSequence)
			} else {
				s.Counts.SnapshotsTooOld++
				s.state, s.reason, s.owed = Waiting, tick.ReasonSequence, true
				s.broken, s.wantDelta = broken, wantDelta
			}
			s.keepWaiting(rest, n)
			return
		}
		rest, n = rest[len(message):], n-1
	}
	if s.state != Valid {
		s.keepWaiting(rest, n)
		s.wantDelta = wantDelta && !s.joined
		return
	}
	s.waiting = s.waiting[:0]
	if wantDelta && !s.joined {
		// Believed only once the stream moves again.
		s.state, s.reason, s.wantDelta, s.spent = Waiting, tick.ReasonStale, true, true
	}
}

func (s *Sync) keepWaiting(rest []tick.Unit, n uint64) {
	s.waiting = s.waiting[:copy(s.waiting, rest)]
	s.waitingN = n
}

// firstMessage returns the packets of the first message of a buffer.
func firstMessage(buffer []tick.Unit) []tick.Unit {
	end := 0
	for {
		last := buffer[end].Header().Flags&tick.FlagLast != 0
		end += tick.PacketUnits(&buffer[end])
		if last {
			return buffer[:end]
		}
	}
}

// wait keeps a delta for the snapshot that was asked for.
func (s *Sync) wait(message []tick.Unit) {
	if len(s.waiting)+len(message) > bufferUnitsMax {
		s.forgetWaiting()
		s.broken = true
		if s.state != Down {
			s.reason, s.owed = tick.ReasonBuffer, true
		}
	}
	s.mixed = s.mixed && s.waitingN > 0 || s.several()
	s.waiting = append(s.waiting, message...)
	s.waitingN++
	if s.wantDelta && s.spent {
		// The stream moves again: a fresh snapshot can now be joined to it.
		s.owed = true
	}
	s.wantDelta, s.spent = false, false
}

func (s *Sync) forgetWaiting() {
	s.Counts.Unsynced += s.waitingN
	s.waiting, s.waitingN = s.waiting[:0], 0
}

// join takes a delta while the book is valid.
func (s *Sync) join(message []tick.Unit, l Listener) {
	switch s.link(message[0].Depth()) {
	case linkFollows:
		s.follow(message, l)
		if s.waitingN > 0 {
			s.release(l, false) // of a line that ended
		}
	case linkOlder:
		s.Counts.Dropped++
	case linkDuplicate:
		s.Counts.Duplicate++
	case linkBroken:
		s.breakAt(message)
	}
}

// breakAt says that a message shows a loss before it.
func (s *Sync) breakAt(message []tick.Unit) {
	s.Counts.Gaps++
	s.Invalidate(tick.ReasonSequence)
	if s.Rule.Snapshot == tick.SnapshotREST {
		s.wait(message)
	} else {
		s.Counts.Unsynced++
	}
}

// follow applies a delta that follows the book, and checks the result.
func (s *Sync) follow(message []tick.Unit, l Listener) {
	d := message[0].Depth()
	l.BeforeDelta(d)
	levels := s.apply(message)
	s.lastID, s.prevID, s.joined, s.stood = d.LastID, d.PrevID, true, false
	s.appliedAt = max(s.appliedAt, d.ReceiveNanos)
	if s.shared != nil {
		s.shared.note(d)
	}
	s.Counts.Applied++
	s.Counts.Levels += uint64(levels)
	differing := 0
	if s.Rule.QuoteIDs {
		differing = s.Quotes.Compare(d.LastID, &s.Book)
	}
	switch {
	case s.Book.Crossed() && !s.Rule.MayCross:
		s.Invalidate(tick.ReasonCrossed)
	case differing >= quoteDifferMax:
		s.Invalidate(tick.ReasonQuoteDiffer)
		s.Quotes.Forget()
	case s.Rule.Checksum != tick.ChecksumNone:
		s.verify(d.Checksum)
	}
	l.AfterDelta(d)
}

type linkKind uint8

const (
	linkFollows linkKind = iota
	linkOlder            // covered by the snapshot
	linkDuplicate
	linkBroken
)

// link says how a delta joins the book, by the venue's rule.
func (s *Sync) link(d *tick.Depth) linkKind {
	if s.Rule.Sequence == tick.SequenceNone {
		return linkFollows
	}
	if !s.joined {
		// Binance documents U <= L+1 <= u on spot and U <= L <= u on futures. A
		// chain's predecessor at or below L says the same, and holds too where L
		// falls between two messages of a chain with holes.
		want := s.lastID + uint64(s.Rule.Join)
		covers := false
		switch s.Rule.Sequence {
		case tick.SequenceRange:
			covers = d.FirstID <= want
		case tick.SequenceChain:
			// Chains that name no first id leave it 0.
			covers = d.PrevID <= s.lastID || d.FirstID != 0 && d.FirstID <= want
		case tick.SequenceCounter:
			covers = d.LastID <= s.lastID+1
		}
		switch {
		case d.LastID < want:
			return linkOlder
		case covers:
			return linkFollows
		default:
			return linkBroken
		}
	}
	var follows bool
	switch s.Rule.Sequence {
	case tick.SequenceRange:
		follows = d.FirstID == s.lastID+1
	case tick.SequenceChain:
		// Only the link counts: ids may jump, stand still or start anew.
		follows = d.PrevID == s.lastID
	case tick.SequenceCounter:
		follows = d.LastID == s.lastID+1
	}
	known := d.LastID <= s.lastID
	if s.Rule.Sequence == tick.SequenceChain && s.Rule.Snapshot != tick.SnapshotREST {
		// A lower id may also be of after a new start that was lost. Such a stream
		// comes in order, so that only its newest message can come twice.
		known = d.LastID == s.lastID && d.PrevID == s.prevID
	}
	switch {
	case follows:
		return linkFollows
	case known:
		return linkDuplicate
	default:
		return linkBroken
	}
}

// Rescale multiplies the book and all that waits, or returns tick.ErrRange:
// the book is then down to nothing and must be fetched anew.
func (s *Sync) Rescale(priceFactor, sizeFactor int64, priceDigits, sizeDigits uint8) error {
	s.digits.price, s.digits.size = priceDigits, sizeDigits
	s.Quotes.Rescale(priceFactor, sizeFactor)
	if s.shared != nil {
		s.shared.rescale(priceFactor, sizeFactor, priceDigits, sizeDigits)
	}
	if err := rescalePackets(s.waiting, priceFactor, sizeFactor); err != nil {
		return s.outOfRange(err)
	}
	if err := s.parts.rescale(priceFactor, sizeFactor); err != nil {
		return s.outOfRange(err)
	}
	if err := s.Book.Rescale(priceFactor, sizeFactor); err != nil {
		return s.outOfRange(err)
	}
	return nil
}

func (s *Sync) outOfRange(err error) error {
	s.forgetWaiting()
	s.parts = s.parts[:0]
	s.Book.Clear()
	s.Invalidate(tick.ReasonRange)
	return err
}

func rescalePackets(buffer []tick.Unit, priceFactor, sizeFactor int64) error {
	for rest := buffer; len(rest) > 0; rest = rest[tick.PacketUnits(&rest[0]):] {
		levels := tick.Levels(rest)
		if err := checkLevels(levels, priceFactor, sizeFactor); err != nil {
			return err
		}
		multiplyLevels(levels, priceFactor, sizeFactor)
	}
	return nil
}

// Code codes everything that decides what happens next. The rule, the digits
// and how long messages are held are the caller's to give again. Where lines
// are told by their places, the caller has named them.
func (s *Sync) Code(c *state.Coder) {
	s.code(c)
	s.codeShared(c)
}

// code codes what is the same of a book that one line keeps aside.
func (s *Sync) code(c *state.Coder) {
	state.Enum(c, &s.state, Valid)
	state.Byte(c, &s.reason)
	c.Bools(&s.joined, &s.broken, &s.wantDelta, &s.spent, &s.owed, &s.asked, &s.stood)
	mixed := s.mixed && s.waitingN > 0 // else it is only left over
	c.Bool(&mixed)
	c.Uint64s(&s.epoch, &s.lastID, &s.prevID)
	c.Int64(&s.appliedAt)
	codePackets(c, &s.waiting)
	if c.Loading() {
		fault := ""
		s.mixed = mixed
		if s.waitingN, fault = countMessages(s.waiting, tick.KindDepth, true); fault != "" {
			c.Fail("a message that waits: " + fault)
			s.waiting, s.waitingN = nil, 0
		}
		c.Require(!mixed || s.waitingN > 0, "an order of nothing")
	}
	s.parts.code(c)
	s.sums.code(c)
	s.Quotes.code(c)
	s.Book.code(c)
	c.Require(s.state != Valid || s.reason == tick.ReasonNone && (s.Rule.MayCross || !s.Book.Crossed()), "a valid book that is none")
}
