// Package ringbuf moves packets between goroutines without locks, copies or
// allocation. Its atomics are the only ones on the data path; whoever uses it
// writes plain single-threaded code on either side.
//
//	          Reserve  Commit   Publish                Poll      Release
//	producer ────►│ fill │ … ────►│        consumer ────►│ read … │────►
//
//	units  [ free │ polled │ published │ committed │ reserved │ free │ pad ]
//	              ▲released            ▲published              lap end ▲
//
// A Ring (ring.go) has one producer goroutine and one consumer goroutine and
// loses nothing: when it is full the producer waits, with a Backoff. Its
// memory belongs to the ring; the producer may write what it reserved until
// Commit, the consumer may read what it polled until Release.
//
// A Waker (wait.go) is how one consumer of many rings waits for any of them.
//
// A Broadcast (broadcast.go) has one writer that never waits and any number
// of readers that notice what they missed: for images, where only the newest
// matters.
package ringbuf

import (
	"fmt"
	"math/bits"
	"sync/atomic"

	"tickproc/internal/invariants"
	"tickproc/internal/ordered"
	"tickproc/tick"
)

// Ring is a queue of packets between exactly one producer goroutine and one
// consumer goroutine. A packet lies contiguously: where it would not fit
// before the end of the memory, the producer leaves the rest of the lap unused
// and Poll steps over it.
//
// Positions count units since the ring was made and never wrap; masked, they
// index units. A lap is one pass over the memory.
type Ring struct {
	units []tick.Unit // a power of two of them
	mask  uint64
	waker *Waker // nil: nobody waits
	_     linePad

	// owner: producer. Apart from published, because it changes with each
	// packet, and published only once a batch.
	committed    uint64 // where the next packet goes, if it fits into the lap
	reservedAt   uint64
	reserved     uint64 // units at reservedAt that Commit may take
	releasedSeen uint64 // released when it was last needed: spares its cache line
	_            linePad

	// written by the producer, read by the consumer
	published atomic.Uint64
	// lapUsed is where the packets of the last full lap end and padding
	// begins. Plain: it is written only when the consumer has released a unit
	// behind the end of the lap before, and read only when published has
	// passed the end of the lap it speaks of.
	lapUsed uint64
	closed  atomic.Bool
	_       linePad

	// written by the consumer, read by the producer when it runs out of room
	released  atomic.Uint64
	highWater atomic.Uint64
	_         linePad

	// owner: consumer
	read  uint64 // released, or behind the padding that follows it
	shown uint64 // units at read that the last Poll returned
	_     linePad
}

// linePad keeps what different goroutines write on different cache lines: two
// lines, because x86 fetches them in pairs and Apple's are 128 bytes.
type linePad [128]byte

// New makes a ring of at least units 64-byte units, rounded up to a power of
// two. It keeps its size.
func New(units int) *Ring {
	if units < 1 {
		panic(fmt.Sprintf("BUG: ring of %d units", units))
	}
	size := max(2, 1<<bits.Len(uint(units-1)))
	r := &Ring{units: make([]tick.Unit, size), mask: uint64(size - 1)}
	// Fresh memory is mapped at its first write: now, not on the hot path.
	clear(r.units)
	return r
}

// SetWaker names whom Publish and Close wake. Call it before the ring is
// shared.
func (r *Ring) SetWaker(w *Waker) { r.waker = w }

// Cap returns the size in units.
func (r *Ring) Cap() int { return len(r.units) }

// MaxPacket returns the largest packet in units. It is half the ring, because
// then a packet and the padding before it always fit into an empty one.
func (r *Ring) MaxPacket() int { return len(r.units) / 2 }

// Reserve returns n contiguous units to write a packet into, or nil if there
// is no room now. They hold what an earlier lap left: write all that you
// commit. A later Reserve replaces this one.
//
// When there is no room it publishes what is committed, so that a producer
// that waits cannot hold back the packets whose release would end the wait.
//
// hot: per packet, 0 allocs
func (r *Ring) Reserve(n int) []tick.Unit {
	if n < 1 || n > r.MaxPacket() {
		panic(fmt.Sprintf("BUG: packet of %d units in a ring that takes 1..%d", n, r.MaxPacket()))
	}
	if r.closed.Load() {
		panic("BUG: reserve after close")
	}
	at, size := r.committed, uint64(len(r.units))
	if left := size - at&r.mask; uint64(n) > left {
		at += left
	}
	if at+uint64(n)-r.releasedSeen > size {
		r.releasedSeen = r.released.Load()
		if at+uint64(n)-r.releasedSeen > size {
			r.reserved = 0
			r.Publish()
			return nil
		}
	}
	r.reservedAt, r.reserved = at, uint64(n)
	i := int(at & r.mask)
	return r.units[i : i+n : i+n]
}

// Commit makes the first n units of the reservation a packet (or several whole
// ones) and gives the rest back. The consumer does not see it before Publish.
//
// hot: per packet, 0 allocs
func (r *Ring) Commit(n int) {
	if n < 0 || uint64(n) > r.reserved {
		panic(fmt.Sprintf("BUG: commit of %d units, reserved %d", n, r.reserved))
	}
	r.reserved = 0
	if n == 0 {
		return
	}
	if r.reservedAt&r.mask == 0 {
		r.lapUsed = r.committed
	}
	r.committed = r.reservedAt + uint64(n)
}

// Publish makes all committed packets visible and wakes the consumer if it is
// parked. Call it once a batch: it is what costs traffic between the cores.
//
// hot: per batch, 0 allocs
func (r *Ring) Publish() {
	if r.committed == r.published.Load() {
		return
	}
	r.published.Store(r.committed)
	if r.waker != nil {
		r.waker.Wake()
	}
}

// Write commits a copy of packet; false means that there is no room now.
//
// hot: per packet, 0 allocs
func (r *Ring) Write(packet []tick.Unit) bool {
	// What Reserve and Commit do where nothing is special: the packet has room,
	// by what was last known, in the lap that is under way.
	at, n := r.committed&r.mask, len(packet)
	if end := at + uint64(n); at > 0 && n > 0 && n <= len(r.units)/2 && end <= uint64(len(r.units)) &&
		r.committed+uint64(n)-r.releasedSeen <= uint64(len(r.units)) && !r.closed.Load() {
		if n == 1 {
			r.units[at] = packet[0]
		} else {
			copy(r.units[at:end], packet)
		}
		r.committed += uint64(n)
		r.reserved = 0
		return true
	}
	to := r.Reserve(n)
	if to == nil {
		return false
	}
	copy(to, packet)
	r.Commit(n)
	return true
}

// Close publishes what is committed and says that nothing follows. It is the
// producer's; closing twice is harmless.
func (r *Ring) Close() {
	r.reserved = 0 // a Commit after this would never be published
	r.Publish()
	r.closed.Store(true)
	if r.waker != nil {
		r.waker.Wake()
	}
}

// Poll returns the oldest packets that are published and not released, as far
// as they lie contiguously, and nil if there are none. What is behind the end
// of the memory comes with the next Poll after all of it is released. Without
// a Release between, Poll returns the same packets, perhaps more.
//
// hot: per batch, 0 allocs
func (r *Ring) Poll() []tick.Unit {
	end := r.published.Load()
	if lapEnd := (r.read | r.mask) + 1; end > lapEnd {
		if r.read < r.lapUsed {
			end = r.lapUsed
		} else {
			r.read = lapEnd
		}
	}
	r.shown = end - r.read
	if r.shown == 0 {
		return nil
	}
	from, to := r.read&r.mask, r.read&r.mask+r.shown
	return r.units[from:to:to]
}

// Release gives the first n polled units, whole packets, back to the producer.
//
// hot: per batch, 0 allocs
func (r *Ring) Release(n int) {
	if n < 0 || uint64(n) > r.shown {
		panic(fmt.Sprintf("BUG: release of %d units, polled %d", n, r.shown))
	}
	if n == 0 {
		return
	}
	if invariants.Enabled {
		scribble(r.units[r.read&r.mask:][:n])
	}
	// Between two releases a ring only fills, so its peaks lie just before
	// each; and the next Poll needs this cache line anyway.
	if used := r.published.Load() - r.released.Load(); used > r.highWater.Load() {
		r.highWater.Store(used)
	}
	r.shown -= uint64(n)
	r.read += uint64(n)
	// The units were read before; the producer may learn of it a little later.
	ordered.Store(&r.released, r.read)
}

// Watch is what a consumer of many rings remembers of one of them, so that those
// in which nothing happens cost next to nothing. It is of the consumer's goroutine.
type Watch struct {
	published *atomic.Uint64
	seen      uint64
}

// Quiet reports, to the consumer, that nothing was published that it has not
// released. It looks at the producer's cache line alone.
//
// hot: per batch and line, 0 allocs
func (w *Watch) Quiet() bool { return w.published.Load() == w.seen }

// Watch returns what tells, where nothing is polled and not released, whether a
// Poll would return something.
func (r *Ring) Watch() Watch { return Watch{&r.published, r.read} }

// Emptied is Watch again, when all of the same ring that was polled is released.
//
// hot: per batch, 0 allocs
func (w *Watch) Emptied(r *Ring) { w.seen = r.read }

// scribble makes whoever still reads released units, or commits units that he
// did not write, read nonsense: kind 0xDB does not exist.
func scribble(units []tick.Unit) {
	for i := range units {
		for w := range units[i] {
			units[i][w] = 0xDBDBDBDBDBDBDBDB
		}
	}
}

// Done reports, to the consumer, that the ring is closed and all released.
func (r *Ring) Done() bool {
	// In this order: what was published before the close is seen after it.
	return r.closed.Load() && r.read == r.published.Load()
}

// Len returns how many units are taken, with padding. Any goroutine may ask;
// while the ring moves, it may see too few, never too many.
func (r *Ring) Len() int {
	published := r.published.Load()
	return int(max(0, int64(published-r.released.Load())))
}

// HighWater returns the largest Len that a Release met, or that is there now: a
// peak that came and went within one is not known. Any goroutine may ask.
func (r *Ring) HighWater() int {
	// In this order: the peak is stored before the release that ends it.
	now := r.Len()
	return max(now, int(r.highWater.Load()))
}
