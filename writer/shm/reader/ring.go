package reader

import (
	"sync/atomic"

	"tickproc/writer/shm/layout"
)

// Ring is a place in a shard's messages. One goroutine owns it.
type Ring struct {
	words     []uint64 // of the slots
	mask      uint64
	published *uint64
	next      uint64 // position of the message that is read next
	lost      uint64
	passed    uint64 // slots lost since the last message
}

// Join goes to the end: the next message is the first that comes from here on.
func (r *Ring) Join() { r.next = atomic.LoadUint64(r.published) }

// Position is where the next message begins.
func (r *Ring) Position() uint64 { return r.next }

// Lost counts slots of 64 bytes that were overwritten unread.
func (r *Ring) Lost() uint64 { return r.lost }

// retries of one Next: who cannot copy a message before it is overwritten must
// not spin for ever.
const retries = 4

// Next copies the next message into m, if it is there. Who was overtaken goes on
// half a ring behind the writer, and m.Lost says how much was skipped.
//
// hot: per message, 0 allocs
func (r *Ring) Next(m *Message) bool {
	for range retries {
		mark := atomic.LoadUint64(r.at(r.next))
		switch position, what := mark>>8, mark&0xff; {
		case position < r.next || position == r.next && what == layout.MarkWriting:
			return false
		case position == r.next && what <= layout.MessageSlotsMax:
			if r.copy(m, int(what)) {
				m.Position, m.Lost = r.next, r.passed
				r.next, r.passed = r.next+what, 0
				return true
			}
		}
		r.resume()
	}
	return false
}

// at is the mark of a slot.
func (r *Ring) at(position uint64) *uint64 {
	return &r.words[position&r.mask*layout.SlotWords]
}

// copy copies a message of so many slots, and reports whether all of it was there
// until the end.
func (r *Ring) copy(m *Message, slots int) bool {
	for i := range slots {
		at := r.next + uint64(i)
		from := r.words[at&r.mask*layout.SlotWords:][:layout.SlotWords]
		to := m.words[i*layout.PayloadWords:][:layout.PayloadWords]
		for w := range to {
			to[w] = atomic.LoadUint64(&from[1+w])
		}
		mark := at<<8 | layout.MarkMore
		if i == 0 {
			mark = at<<8 | uint64(slots)
		}
		if atomic.LoadUint64(&from[0]) != mark {
			return false
		}
	}
	m.n = slots * layout.PayloadWords
	return true
}

// resume looks for a message half a ring behind the writer; where there is none,
// it is the writer's place.
func (r *Ring) resume() {
	end := atomic.LoadUint64(r.published)
	at := max(r.next, end-min(end, (r.mask+1)/2))
	for ; at < end; at++ {
		if mark := atomic.LoadUint64(r.at(at)); mark>>8 == at && mark&0xff != layout.MarkWriting && mark&0xff <= layout.MessageSlotsMax {
			break
		}
	}
	at = max(at, r.next)
	r.lost += at - r.next
	r.passed += at - r.next
	r.next = at
}
