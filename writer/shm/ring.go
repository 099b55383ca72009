package shm

import (
	"sync/atomic"

	"tickproc/internal/ordered"
	"tickproc/tick"
	"tickproc/writer/shm/layout"
)

type slot [layout.SlotWords]uint64

// Ring is a shard's part: its ring, and the images and table entries of its
// instruments. It never looks at a reader.
// owner: the shard's goroutine; before and after that runs, the caller's.
type Ring struct {
	shard     uint16
	slots     []slot
	mask      uint64
	next      uint64  // position of the slot that is written next
	published *uint64 // next, for who joins
	directory *directory
	newest    []newest // by instrument
	levels    []tick.Level
	image     []uint64 // scratch
	// message is scratch: the one that is made, in whole slots.
	message  [layout.MessageWordsMax]uint64
	messages uint64
	ahead    uint64 // of no meaning
	told     told
}

// aheadSlots is how far before the writer a page is touched: further than the
// messages of most batches.
const aheadSlots = 32

// told is what others may know of a Ring while it runs.
type told struct{ messages, slots uint64 }

// Messages counts those that were published; any goroutine may ask.
func (r *Ring) Messages() uint64 { return atomic.LoadUint64(&r.told.messages) }

// Bytes counts those of the slots that were written; any goroutine may ask.
func (r *Ring) Bytes() uint64 { return atomic.LoadUint64(&r.told.slots) * layout.SlotBytes }

// newest are an instrument's last quote and trade, as messages.
type newest struct{ quote, trade [layout.PayloadWords]uint64 }

// put publishes the message that was made, of so many words. Its first slot comes
// last: who finds that finds all.
//
// hot: per message, 0 allocs
func (r *Ring) put(words int) {
	slots := (words + layout.PayloadWords - 1) / layout.PayloadWords
	clear(r.message[words : slots*layout.PayloadWords])
	what := uint64(layout.MarkMore)
	for i := slots - 1; i >= 0; i-- {
		if i == 0 {
			what = uint64(slots)
		}
		at := r.next + uint64(i)
		storeSlot(&r.slots[at&r.mask], at<<8|layout.MarkWriting, (*[layout.PayloadWords]uint64)(r.message[i*layout.PayloadWords:]), at<<8|what)
	}
	r.next += uint64(slots)
	r.messages++
}

// End tells who joins from here on where to begin: all that lies before is in the
// images.
//
// hot: 0 allocs
func (r *Ring) End() {
	if r.told.slots == r.next {
		return
	}
	ordered.StoreWord(r.published, r.next)
	// The next slot may lie in another page: its translation is had now, when there
	// is time, and not by the message that somebody waits for.
	r.ahead = r.slots[(r.next+aheadSlots)&r.mask][0]
	ordered.StoreWord(&r.told.messages, r.messages)
	ordered.StoreWord(&r.told.slots, r.next)
}
