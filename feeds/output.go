package feeds

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tickproc/internal/clock"
	"tickproc/internal/stat"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// Routes says which shard owns an instrument. Any goroutine may add to it at
// any time, before the instrument's first packet: readers see a whole table,
// never a changing one.
type Routes struct {
	mu     sync.Mutex // one writer at a time
	shards atomic.Pointer[[]int32]
}

// Set routes an instrument's packets to a shard.
func (r *Routes) Set(instrument uint32, shard int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var table []int32 // by instrument id: shard + 1, 0 = no route
	if now := r.shards.Load(); now != nil {
		table = *now
	}
	if int(instrument) < len(table) {
		table = slices.Clone(table)
	} else {
		// What is appended lies beyond the end of every table that a reader has.
		table = append(table, make([]int32, int(instrument)+1-len(table))...)
	}
	table[instrument] = int32(shard) + 1
	r.shards.Store(&table)
}

// Shard returns the shard of an instrument.
//
// hot: per packet, 0 allocs.
func (r *Routes) Shard(instrument uint32) int {
	if table := r.shards.Load(); table != nil && int(instrument) < len(*table) {
		if shard := (*table)[instrument]; shard != 0 {
			return int(shard) - 1
		}
	}
	panic("BUG: packet of an instrument without a route")
}

// DefaultOverloadWait is how long depth and quotes wait for room.
const DefaultOverloadWait = 250 * time.Millisecond

// OutputOptions tune an Output. The zero value is useful.
type OutputOptions struct {
	// OverloadWait is how long depth and quotes wait for room in a full ring
	// before they are dropped. Default DefaultOverloadWait.
	OverloadWait time.Duration
	// Abort, when closed, ends every wait for room: nobody reads the rings any
	// more. What does not fit is counted as abandoned. Nil = never.
	Abort <-chan struct{}
	// Latency, where set, is told how long packets take to become visible.
	Latency *LineLatency
	// Now is the clock for that, ns since the epoch; default the process clock.
	Now func() int64
}

// OutputStats counts what became of a line's packets.
type OutputStats struct {
	Packets       stat.Counter // written to a ring
	DroppedDepth  stat.Counter // the ring stayed full; a gap packet says so
	DroppedQuotes stat.Counter // likewise
	Abandoned     stat.Counter // the ring was full when its reader had gone
	BlockedNanos  stat.Counter // time spent waiting for room
}

// Output carries the packets of one line to the rings of the shards that own
// their instruments. The line is the only producer of these rings.
//
// A full ring makes the line wait. Beyond OverloadWait, depth and quotes are
// dropped: the book is told by a gap packet and recovers by a snapshot, while
// trades can never be had again and therefore wait for as long as it takes.
// owner: the line's goroutine; Stats may be read by any.
type Output struct {
	Stats OutputStats

	lanes  []lane
	routes *Routes
	waitNs int64
	abort  <-chan struct{}
	owed   int // gap packets in all lanes that found no room yet
	notes  latencyNotes
	torn   []uint32 // instruments of which a fragment was dropped and the last fragment is still to come
}

// lane is one shard's ring as this line sees it.
type lane struct {
	ring  *ringbuf.Ring
	owed  []tick.Unit // gap packets, which must precede every later packet of the ring
	dirty bool        // committed packets await Publish
}

// NewOutput returns the output of a line to rings[shard]; rings of shards
// that own none of the line's instruments may be nil.
func NewOutput(rings []*ringbuf.Ring, routes *Routes, o OutputOptions) *Output {
	if o.OverloadWait == 0 {
		o.OverloadWait = DefaultOverloadWait
	}
	out := &Output{lanes: make([]lane, len(rings)), routes: routes, waitNs: int64(o.OverloadWait), abort: o.Abort}
	for i, r := range rings {
		out.lanes[i].ring = r
	}
	if o.Latency != nil {
		if o.Now == nil {
			o.Now = clock.Nanos
		}
		runs := make([]run, runsMax)
		clear(runs) // fresh memory is mapped at its first write: now, not on the hot path
		out.notes = latencyNotes{into: o.Latency, now: o.Now, runs: runs[:0]}
	}
	return out
}

// Write hands over whole packets, in order. They become visible to the shards
// with Flush, or earlier.
//
// hot: per frame, 0 allocs.
func (o *Output) Write(packets []tick.Unit) {
	for len(packets) > 0 {
		n := tick.PacketUnits(&packets[0])
		if n == 0 || n > len(packets) {
			panic("BUG: Write of something that is no packet")
		}
		l := &o.lanes[o.routes.Shard(packets[0].Header().Instrument)]
		written := len(l.owed) == 0 && len(o.torn) == 0 && l.ring.Write(packets[:n])
		if written {
			l.dirty = true
			o.Stats.Packets.AddAlone(1)
		} else {
			written = o.writeSlow(l, packets[:n])
		}
		if written && o.notes.into != nil {
			o.notes.note(packets[0].Header())
			if o.notes.full() {
				o.Flush()
			}
		}
		packets = packets[n:]
	}
}

// Flush makes what was written visible, and retries gap packets that are owed.
//
// hot: per read, 0 allocs.
func (o *Output) Flush() {
	// Ahead of waking a shard that sleeps, which takes longer than all before it
	// and is the shard's waiting.
	o.notes.published()
	for i := range o.lanes {
		l := &o.lanes[i]
		if len(l.owed) > 0 {
			o.settle(l)
		}
		if l.dirty {
			l.ring.Publish()
			l.dirty = false
		}
	}
}

// Latency is what the line measures, nil if it measures nothing.
func (o *Output) Latency() *LineLatency { return o.notes.into }

// Owes reports whether a gap packet still waits for room: until it is in, the
// shard takes a book for whole that is not, so the line must Flush again soon
// even if no frame comes.
func (o *Output) Owes() bool { return o.owed > 0 }

// Close delivers the gap packets that are owed and closes the rings.
func (o *Output) Close() {
	for i := range o.lanes {
		if l := &o.lanes[i]; l.ring != nil {
			if !o.await(l, nil, 0) {
				o.Stats.Abandoned.AddAlone(uint64(len(l.owed)))
			}
			l.ring.Close()
		}
	}
}

// writeSlow takes a packet that the ring has no room for, or that follows a loss.
// It reports whether the packet is in the ring.
func (o *Output) writeSlow(l *lane, packet []tick.Unit) bool {
	h := packet[0].Header()
	switch h.Kind {
	case tick.KindDepth:
		if at := slices.Index(o.torn, h.Instrument); at >= 0 {
			// The shard must not meet the end of a message without its beginning.
			if h.Flags&tick.FlagFirst == 0 {
				if h.Flags&tick.FlagLast != 0 {
					o.torn = slices.Delete(o.torn, at, at+1)
				}
				return false
			}
			o.torn = slices.Delete(o.torn, at, at+1)
		}
		if o.await(l, packet, o.patience(l)) {
			return true
		}
		o.Stats.DroppedDepth.AddAlone(1)
		o.owe(l, h, tick.ChannelDepth)
		if h.Flags&tick.FlagLast == 0 {
			o.torn = append(o.torn, h.Instrument)
		}
	case tick.KindQuote:
		if o.await(l, packet, o.patience(l)) {
			return true
		}
		o.Stats.DroppedQuotes.AddAlone(1)
		o.owe(l, h, tick.ChannelQuotes)
	default:
		if o.await(l, packet, 0) {
			return true
		}
		o.Stats.Abandoned.AddAlone(1)
	}
	return false
}

// patience is how long depth and quotes wait. A lane that owes a gap has
// already waited that long, and its reader has not moved since: waiting again
// for each further packet would only stop the line's other shards as well.
func (o *Output) patience(l *lane) int64 {
	if len(l.owed) > 0 {
		return -1
	}
	return o.waitNs
}

// await waits until the lane's owed gaps and then the packet (nil = none) are
// in its ring. It gives up after limit ns; limit 0 = only when aborted,
// negative = after one attempt.
func (o *Output) await(l *lane, packet []tick.Unit, limit int64) bool {
	var start int64
	var pause ringbuf.Backoff
	for {
		if o.settle(l) && (packet == nil || l.ring.Write(packet)) {
			if packet != nil {
				l.dirty = true
				o.Stats.Packets.AddAlone(1)
			}
			break
		}
		now := clock.Nanos()
		if start == 0 {
			start = now
			// The shards can only make room by taking what is already there.
			o.publish()
		}
		if limit < 0 || limit > 0 && now-start >= limit || o.aborted() {
			o.blocked(start)
			return false
		}
		pause.Pause()
	}
	o.blocked(start)
	return true
}

func (o *Output) blocked(start int64) {
	if start != 0 {
		o.Stats.BlockedNanos.AddAlone(uint64(clock.Nanos() - start))
	}
}

func (o *Output) aborted() bool {
	select {
	case <-o.abort:
		return true
	default:
		return false
	}
}

func (o *Output) publish() {
	for i := range o.lanes {
		if l := &o.lanes[i]; l.dirty {
			l.ring.Publish()
			l.dirty = false
		}
	}
}

// owe notes that a packet was dropped. The gap packet bears the stamp of the
// first one dropped, which is where the loss begins.
func (o *Output) owe(l *lane, h *tick.Header, channel tick.Channels) {
	for i := range l.owed {
		if e := l.owed[i].Event(); e.Header.Instrument == h.Instrument && e.Channel == channel {
			e.Lost++
			return
		}
	}
	gap := *h
	gap.Kind, gap.Flags = tick.KindGap, 0
	l.owed = tick.AppendEvent(l.owed, gap, channel, tick.ReasonOverload)
	e := l.owed[len(l.owed)-1].Event()
	e.Lost, e.HeardNanos = 1, gap.ReceiveNanos-1
	o.owed++
}

// settle writes the gap packets that are owed, oldest first, as far as there
// is room; it reports whether none is left.
func (o *Output) settle(l *lane) bool {
	done := 0
	for done < len(l.owed) && l.ring.Write(l.owed[done:done+1]) {
		done++
	}
	if done > 0 {
		l.owed = append(l.owed[:0], l.owed[done:]...)
		l.dirty = true
		o.owed -= done
		o.Stats.Packets.AddAlone(uint64(done))
	}
	return len(l.owed) == 0
}
