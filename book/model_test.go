package book

import (
	"fmt"
	"testing"

	"tickproc/tick"
)

// The rules of today's venues, and of those to come.
var (
	spotRule     = tick.SyncRule{Snapshot: tick.SnapshotREST, Sequence: tick.SequenceRange, Join: 1}
	futuresRule  = tick.SyncRule{Snapshot: tick.SnapshotREST, Sequence: tick.SequenceChain, Join: 0}
	linkedRule   = tick.SyncRule{Snapshot: tick.SnapshotREST, Sequence: tick.SequenceChain, Join: 1}
	polledRule   = tick.SyncRule{Snapshot: tick.SnapshotREST, Sequence: tick.SequenceCounter, Join: 1}
	chainRule    = tick.SyncRule{Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceChain}
	counterRule  = tick.SyncRule{Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceCounter}
	checksumRule = tick.SyncRule{Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceNone, Checksum: tick.ChecksumOKX, ChecksumDepth: 25,
		ChecksumPriceDigits: shortestDigits, ChecksumSizeDigits: shortestDigits}
	imageRule = tick.SyncRule{Snapshot: tick.SnapshotEvery, Sequence: tick.SequenceNone}
)

// model says what a Sync must be, in places of the true stream: it never
// looks at ids.
type model struct {
	v       *stream
	up      bool
	valid   bool
	place   int   // of the book, while valid
	last    int   // number of the message applied last, -1 after a snapshot
	book    truth // what the messages made, for rules that see no loss
	waiting []int // messages, by number
	epoch   uint64
	owed    bool
	// still: the stream was seen to stand still. spent: a snapshot came meanwhile.
	still, spent bool
	stood        bool   // an in-band stream stood still, and no delta came since
	asked        bool   // of the stream itself, and not answered yet
	given        uint64 // messages
	gaps         uint64
	reason       tick.Reason
}

func (m *model) rest() bool { return m.v.rule.Snapshot == tick.SnapshotREST }

func (m *model) fail(reason tick.Reason) {
	m.valid, m.reason, m.owed = false, reason, m.owed || !m.asked
}

func (m *model) invalidate(reason tick.Reason) {
	if !m.up {
		return
	}
	m.fail(reason)
	m.spent = false
	if reason == tick.ReasonStale {
		m.still, m.stood = m.still || m.rest() || m.stood, true
	}
}

func (m *model) setUp() {
	if !m.up {
		m.up, m.owed = true, m.rest()
	}
}

func (m *model) down(reason tick.Reason) {
	m.up, m.valid, m.owed, m.still, m.spent, m.stood, m.asked = false, false, false, false, false, false, false
	m.waiting, m.reason = nil, reason
	m.epoch++
}

// join takes a message that follows or is old news, and refuses one that
// shows a loss.
func (m *model) join(i int) (ok bool) {
	d := &m.v.deltas[i]
	old := d.to <= m.place && d.from < m.place
	if old && m.v.rule.Sequence == tick.SequenceChain && !m.rest() {
		// Old news cannot come by a stream that keeps its order, but for the
		// same message twice; and a low id may be of after a new start.
		return i == m.last
	}
	if d.from > m.place {
		return false
	}
	if d.to >= m.place {
		m.place, m.last = d.to, i
		m.stood = m.stood && old
	}
	return true
}

func (m *model) delta(i int) {
	d := &m.v.deltas[i]
	switch {
	case m.v.rule.Snapshot == tick.SnapshotEvery:
		m.valid, m.still, m.place, m.asked = true, false, d.to, false
		return
	case !m.valid && m.rest():
		m.waiting = append(m.waiting, i)
		if m.still && m.spent {
			m.owed = true
		}
		m.still, m.spent = false, false
	case !m.valid && !m.moves():
	case m.v.rule.Sequence == tick.SequenceNone:
		m.book.apply(d.bids, d.asks)
		m.place, m.stood = d.to, false
		if !m.book.equal(m.v.books[d.to]) {
			m.fail(tick.ReasonChecksum)
		}
	case !m.join(i):
		m.gaps++
		m.fail(tick.ReasonSequence)
		if m.rest() {
			m.waiting = append(m.waiting, i)
		}
	}
	m.given++
}

// moves: an in-band stream that stood still has a delta again.
func (m *model) moves() bool {
	moves := !m.rest() && m.spent
	if moves {
		m.valid, m.still, m.spent = true, false, false
	}
	return moves
}

func (m *model) snapshot(id, epoch uint64) {
	if m.rest() && (!m.up || m.valid || (epoch != 0 && epoch != m.epoch)) {
		return
	}
	place := m.v.place(id)
	m.place, m.last, m.book, m.asked = place, -1, m.v.books[place].clone(), m.asked && m.v.rule.Snapshot == tick.SnapshotEvery
	moved := false
	for len(m.waiting) > 0 {
		news := m.v.deltas[m.waiting[0]].last >= id+uint64(m.v.rule.Join)
		if !m.join(m.waiting[0]) {
			if moved {
				m.gaps++
				m.still = false
			}
			m.fail(tick.ReasonSequence)
			return
		}
		moved = moved || news
		m.waiting = m.waiting[1:]
	}
	if m.still && !moved {
		m.valid, m.spent, m.reason = false, true, tick.ReasonStale
		return
	}
	m.valid, m.still, m.asked = true, false, false
}

// pair drives a Sync and its model with the same input.
type pair struct {
	t     *testing.T
	v     *stream
	s     *Sync
	m     *model
	story []step // what happened, to be told on failure
}

type step struct {
	what    string
	numbers [2]uint64
}

func (s step) String() string { return fmt.Sprintf("%s %d %d", s.what, s.numbers[0], s.numbers[1]) }

func newPair(t *testing.T, v *stream) *pair {
	return &pair{t: t, v: v, s: NewSync(v.rule, 0, 0), m: &model{v: v, reason: tick.ReasonStart}}
}

func (p *pair) up() {
	p.s.Up()
	p.m.setUp()
	p.compare("up", 0, 0)
}

func (p *pair) down() {
	p.s.Down(tick.ReasonDisconnect)
	p.m.down(tick.ReasonDisconnect)
	p.compare("down", 0, 0)
}

func (p *pair) invalidate(reason tick.Reason) {
	p.s.Invalidate(reason)
	p.m.invalidate(reason)
	p.compare("invalid "+reason.String(), 0, 0)
}

func (p *pair) delta(i int) {
	p.s.Delta(p.v.delta(i), ignore{})
	p.m.delta(i)
	p.compare("message of ids", p.v.deltas[i].first, p.v.deltas[i].last)
}

func (p *pair) snapshot(id, epoch uint64) {
	p.s.Snapshot(p.v.snapshot(id, epoch), ignore{})
	p.m.snapshot(id, epoch)
	p.compare("snapshot, at id and for epoch", id, epoch)
}

// compare looks at everything that can be seen from outside.
func (p *pair) compare(what string, a, b uint64) {
	p.story = append(p.story, step{what, [2]uint64{a, b}})
	s, m := p.s, p.m
	state, reason := s.State()
	wrong := func(format string, args ...any) {
		p.t.Helper()
		for _, line := range p.story[max(0, len(p.story)-12):] {
			p.t.Log(line)
		}
		p.t.Fatalf(format, args...)
	}
	if s.IsValid() != m.valid {
		wrong("valid: %v, want %v; %v for %v at %d", s.IsValid(), m.valid, state, reason, s.LastID())
	}
	if m.valid {
		place := p.v.place(s.LastID())
		if place != m.place || reason != tick.ReasonNone {
			wrong("at place %d of the stream, want %d; reason %v", place, m.place, reason)
		}
		if !p.v.books[place].is(&s.Book) {
			wrong("the book is not the venue's at %d: %v and %v, want %v", s.LastID(), s.Book.Bids.all(), s.Book.Asks.all(), p.v.books[place])
		}
		s.Book.Check()
	} else if reason != m.reason || (state == Down) == m.up {
		wrong("state %d for %v, want %v, up %v", state, reason, m.reason, m.up)
	}
	c := s.Counts
	if sum := c.Applied + c.Dropped + c.Duplicate + s.Unsynced(); sum != m.given {
		wrong("%+v and %d unsynced make %d messages of %d", c, s.Unsynced(), sum, m.given)
	}
	if int(s.waitingN) != len(m.waiting) || c.Gaps != m.gaps {
		wrong("%d wait, want %d; %d gaps, want %d", s.waitingN, len(m.waiting), c.Gaps, m.gaps)
	}
	epoch, owed := s.TakeResync()
	if owed != m.owed {
		wrong("a resync is owed: %v, want %v", owed, m.owed)
	}
	if owed {
		m.epoch++
		m.owed, m.asked = false, !m.rest()
		if epoch != m.epoch {
			wrong("epoch %d, want %d", epoch, m.epoch)
		}
	}
	if _, again := s.TakeResync(); again {
		wrong("the same resync is owed twice")
	}
}

// ignore is a listener for tests that look at the book itself.
type ignore struct{}

func (ignore) BeforeDelta(*tick.Depth) {}
func (ignore) AfterDelta(*tick.Depth)  {}
