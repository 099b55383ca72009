package ringbuf

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"tickproc/internal/ordered"
	"tickproc/tick"
)

// Broadcast keeps the newest messages of one writer for any number of readers.
// The writer never waits: it overwrites the oldest message. A reader copies,
// and notices when the writer was faster.
//
//	slot i%messages:  [ state, units, – | message, unitsPerMessage ]
//	state = 0 never written, 2i+1 message i is being written, 2i+2 it is whole
//
// All words are atomic, so that a reader may run into the writer without a
// data race; the state before and after a copy says whether the copy is whole. For
// that the writer's stores need their order alone, as in shared memory
// (docs/models/shm.pml).
type Broadcast struct {
	words    []atomic.Uint64
	slotMask uint64
	stride   uint64 // words a slot
	units    int    // of the largest message
	_        linePad
	count    atomic.Uint64 // messages published; written by the writer alone
	_        linePad
}

const (
	unitWords = tick.UnitSize / 8
	slotHead  = unitWords // a cache line, so that units do not straddle two

	slotState = 0
	slotUnits = 1
)

// NewBroadcast makes a broadcast of at least that many messages, rounded up to
// a power of two, of at most unitsPerMessage units each.
func NewBroadcast(messages, unitsPerMessage int) *Broadcast {
	if messages < 1 || unitsPerMessage < 1 {
		panic(fmt.Sprintf("BUG: broadcast of %d messages of %d units", messages, unitsPerMessage))
	}
	slots := uint64(1) << bits.Len(uint(messages-1))
	stride := uint64(slotHead + unitsPerMessage*unitWords)
	b := &Broadcast{words: make([]atomic.Uint64, slots*stride), slotMask: slots - 1, stride: stride, units: unitsPerMessage}
	// Fresh memory is mapped at its first write: now, not on the hot path.
	clear(b.words)
	return b
}

// slot returns the memory of message i.
func (b *Broadcast) slot(i uint64) []atomic.Uint64 {
	at := (i & b.slotMask) * b.stride
	return b.words[at : at+b.stride]
}

// Publish copies message over the oldest one. One goroutine only.
//
// hot: per image, 0 allocs
func (b *Broadcast) Publish(message []tick.Unit) {
	if len(message) == 0 || len(message) > b.units {
		panic(fmt.Sprintf("BUG: message of %d units in a broadcast that takes 1..%d", len(message), b.units))
	}
	i := b.count.Load()
	slot := b.slot(i)
	ordered.Store(&slot[slotState], 2*i+1)
	ordered.Store(&slot[slotUnits], uint64(len(message)))
	ordered.Copy(slot[slotHead:slotHead+len(message)*unitWords], wordsOf(message))
	ordered.Store(&slot[slotState], 2*i+2)
	ordered.Store(&b.count, i+1)
}

// wordsOf views units as words.
func wordsOf(units []tick.Unit) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(&units[0])), len(units)*unitWords)
}

// BroadcastReader is one reader's place; one goroutine owns it.
type BroadcastReader struct {
	from *Broadcast
	next uint64 // the message to read
}

// Reader starts with the newest message, or with the first if there is none
// yet. Any goroutine may call it, at any time.
func (b *Broadcast) Reader() *BroadcastReader {
	return &BroadcastReader{from: b, next: max(b.count.Load(), 1) - 1}
}

// overtakenMax bounds the attempts of one Next: a reader that cannot copy a
// message before it is overwritten must not spin for ever.
const overtakenMax = 4

// Next copies the next message into dst, which must have room for the largest;
// a shorter one is followed by zero units up to that size. Not ok means that
// there is none now, or that none could be copied before it was overwritten;
// dst may then hold anything.
// Lost counts the messages that were overwritten unread since the last call.
//
// An overtaken reader resumes half the ring behind the writer: as much as it
// can still have without being overtaken again at once.
//
// hot: per image, 0 allocs
func (r *BroadcastReader) Next(dst []tick.Unit) (ok bool, lost uint64) {
	b := r.from
	if len(dst) < b.units {
		panic(fmt.Sprintf("BUG: %d units of room for messages of %d", len(dst), b.units))
	}
	for range overtakenMax {
		slot, whole := b.slot(r.next), 2*r.next+2
		state := slot[slotState].Load()
		if state < whole {
			return false, lost
		}
		if state == whole {
			units := int(slot[slotUnits].Load())
			for u := range dst[:units] {
				from := slot[slotHead+u*unitWords:][:unitWords]
				for w := range from {
					dst[u][w] = from[w].Load()
				}
			}
			if slot[slotState].Load() == whole {
				clear(dst[units:b.units])
				r.next++
				return true, lost
			}
		}
		resume := b.count.Load() - max(1, (b.slotMask+1)/2)
		lost += resume - r.next
		r.next = resume
	}
	return false, lost
}
