// Package journal keeps what shards are about to apply, so that a kill at any
// instruction loses none of it and a power cut at most the sync window.
//
//	Append ─► ring on tmpfs ─► drainer ─► segment files ─► fdatasync
//	          survives a kill             survive a power cut
//
//	Open ─► segments, then the ring's tail ─► Found, Read
//
// The unit of everything is tick.Unit, 64 bytes. Positions count units from the
// log's beginning and never restart. One goroutine appends, one drains; a batch
// that was appended belongs to the log, which copies it. Another process may
// look at all files at any time (Inspect, Fsck, List): it writes and locks
// nothing. That only one process opens a log is its caller's care (vfs.Lock).
//
// Beside logs there are snapshots (snapshot.go): directories that are committed
// as a whole or not at all.
package journal

import (
	"fmt"
	"sync/atomic"

	"tickproc/internal/invariants"
	"tickproc/internal/ordered"
	"tickproc/internal/stat"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// Log is the log of one shard.
type Log struct {
	o        Options
	identity Identity
	found    Found
	holes    []Damage // of this Open alone, for Read
	memory   Memory
	ring     Ring
	units    []tick.Unit // of the ring, behind its page
	counts   *tick.Unit  // in the ring's page
	mapped   bool
	maxBatch int
	_        linePad

	// owner: the goroutine that appends
	end      uint64
	sequence uint64
	link     uint32
	framer   framer
	backoff  ringbuf.Backoff
	_        linePad

	appended atomic.Uint64 // written by Append
	_        linePad
	synced   atomic.Uint64 // written by the drainer; below it the ring may be overwritten
	_        linePad

	waiting atomic.Uint32 // whether Append waits, so that Close can end it
	closed  atomic.Bool
	keep    atomic.Uint64
	status  atomic.Pointer[Status]
	Stats   Stats

	drainer drainer // owner: the goroutine that drains
}

type linePad [128]byte

// Stats are read by metrics.
type Stats struct {
	Batches, Packets stat.Counter // appended
	Waits            stat.Counter // times Append found no room
	Syncs            stat.Counter
	GivenUp          stat.Counter // segments left because of an error
	RingErrors       stat.Counter // failed writes of a ring that lies on disk
	Removed          stat.Counter // segments, by retention
}

// What Append's wait is, and what Close made of it.
const (
	waitNone uint32 = iota
	waitRoom
	waitCancelled
)

// Append logs a batch of whole packets and returns the position behind it. It
// waits only while the ring is full because the disk is behind. It returns 0,
// which is no end of a batch, if the log was closed: the batch is not logged and
// must not be applied. One goroutine calls it.
//
// hot: per batch, 0 allocs, no clock, no lock
func (l *Log) Append(batch []tick.Unit) (end uint64) {
	n := len(batch)
	packets, _, ok := walk(batch)
	if !ok || n > l.maxBatch {
		panic(fmt.Sprintf("BUG: append of %d units that are no whole packets, or more than %d", n, l.maxBatch))
	}
	if l.closed.Load() {
		return 0
	}
	synced := l.synced.Load()
	if l.end+uint64(n)+1-synced > uint64(len(l.units)) {
		if synced, ok = l.waitForRoom(n + 1); !ok {
			return 0
		}
	}
	h := &l.framer.scratch[0]
	*h = tick.Unit{
		word0(frameMagic, l.framer.shard), l.sequence + 1, uint64(n) | packets<<32, l.end,
		uint64(batch[0].Header().ReceiveNanos), synced, uint64(l.link),
	}
	l.link = l.framer.sum(batch)
	h[7] = uint64(l.link)
	l.sequence++
	// The header comes last. A kill in between leaves a header of another
	// position, or one that its CRC refuses: the order only makes it rare.
	mask := uint64(len(l.units) - 1)
	at := int((l.end + 1) & mask)
	if n == 1 {
		l.units[at] = batch[0]
	} else {
		done := copy(l.units[at:], batch)
		copy(l.units, batch[done:])
	}
	l.units[l.end&mask] = *h
	if !l.mapped {
		l.flush(n)
	}
	l.end += uint64(n) + 1
	ordered.Store(&l.appended, l.end)
	if l.mapped {
		// Behind that store, which nothing is moved across: it must not say more
		// than is there.
		l.counts[0], l.counts[1] = l.end, ^l.end
	}
	l.Stats.Batches.AddAlone(1)
	l.Stats.Packets.AddAlone(packets)
	return l.end
}

// flush writes the batch to a ring that lies on disk, payload first.
func (l *Log) flush(n int) {
	size := len(l.units)
	head := int(l.end & uint64(size-1))
	from := (head + 1) & (size - 1)
	first := min(n, size-from)
	err := l.ring.Flush(ringPage+from, first)
	if err == nil && n > first {
		err = l.ring.Flush(ringPage, n-first)
	}
	if err == nil {
		err = l.ring.Flush(ringPage+head, 1)
	}
	if err != nil {
		// The batch is in this process's memory and will be drained from there;
		// until then a kill would take it.
		l.Stats.RingErrors.Add(1)
	}
}

// waitForRoom returns when units fit, false when the log was closed.
func (l *Log) waitForRoom(units int) (synced uint64, ok bool) {
	l.Stats.Waits.Add(1)
	l.waiting.Store(waitRoom)
	for {
		// In this order: Close says that it closes, then looks who waits.
		if l.closed.Load() {
			l.waiting.Store(waitCancelled)
			return 0, false
		}
		synced = l.synced.Load()
		if l.end+uint64(units)-synced <= uint64(len(l.units)) {
			break
		}
		l.backoff.Pause()
	}
	l.backoff.Reset()
	// Close may have ended the wait: then nothing may be written any more.
	if !l.waiting.CompareAndSwap(waitRoom, waitNone) {
		return 0, false
	}
	if invariants.Enabled && synced > l.end {
		panic("BUG: more is synced than was appended")
	}
	return synced, true
}

// Room returns how many units, packets and one header, Append takes now without
// waiting. The goroutine that appends may ask.
func (l *Log) Room() int { return len(l.units) - int(l.end-l.synced.Load()) }

// MaxBatch is the largest batch that Append takes, in units.
func (l *Log) MaxBatch() int { return l.maxBatch }

// Identity names the log.
func (l *Log) Identity() Identity { return l.identity }

// Appended returns the position behind the last batch. Any goroutine may ask.
func (l *Log) Appended() uint64 { return l.appended.Load() }

// Synced returns up to where a power cut loses nothing. Any goroutine may ask.
func (l *Log) Synced() uint64 { return l.synced.Load() }

// RingInfo says where the part in memory lies.
type RingInfo struct {
	Path  string
	Bytes int64
	// Cost is empty for a ring on tmpfs, else what this one costs.
	Cost string
}

// Ring says where the part in memory lies.
func (l *Log) Ring() RingInfo {
	i := RingInfo{Path: l.memory.Where(ringName(l.o.Shard)), Bytes: int64(len(l.units)) * unitBytes}
	if !l.mapped {
		i.Cost = "the log's ring is a file on disk, not memory: two or three system calls a batch, about 60 to 140 µs at the 99.9th percentile instead of 1 µs, and after a kill losses cannot always be told from a power cut"
	}
	return i
}
