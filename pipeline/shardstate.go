package pipeline

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"

	"tickproc/engine"
	"tickproc/internal/stat"
	"tickproc/journal"
)

// stateStream carries one shard's snapshots from its goroutine, which must not
// wait, to the one that writes them to disk:
//
//	shard ─► Begin, Item…, End ─► chunks of items ─► next: the writer of snapshots
//
// An item is a length of four bytes and that many bytes.
type stateStream struct {
	position func() uint64 // of the log, behind the barrier; the shard's goroutine asks

	// owner: the shard's goroutine
	chunk  []byte
	at     int // in chunk, where the item begins that is being written
	number uint64

	waiting stat.Gauge // chunks in queue: what the shard asks after every batch takes no lock

	mu    sync.Mutex // taken once a chunk
	queue []stateChunk
	spare [][]byte
	more  chan struct{} // something is in queue
	wake  func()        // the shard's driver, when there is room again
}

// stateChunk is some of a snapshot's items.
type stateChunk struct {
	number   uint64 // of the barrier
	position uint64
	first    bool
	last     bool
	items    []byte
}

const (
	chunkBytes = 256 << 10
	// itemRoom is what most items fit in, so that few chunks grow.
	itemRoom = 32 << 10
	// chunksMax is how many chunks may wait before only what must be written comes.
	chunksMax = 8
)

var _ engine.SnapshotSink = (*stateStream)(nil)

func newStateStream(position func() uint64, wake func()) *stateStream {
	x := &stateStream{position: position, wake: wake, more: make(chan struct{}, 1)}
	for range chunksMax + 1 {
		x.spare = append(x.spare, make([]byte, 0, chunkBytes))
	}
	x.chunk = x.free()
	return x
}

// Begin implements engine.SnapshotSink. What was gathered of an abandoned
// snapshot goes with it.
func (x *stateStream) Begin(number uint64, _ int64) {
	x.number, x.chunk = number, x.chunk[:0]
	x.put(stateChunk{number: number, position: x.position(), first: true})
}

// Buffer implements engine.SnapshotSink: the length goes before the item.
func (x *stateStream) Buffer() []byte {
	if len(x.chunk) >= chunkBytes-itemRoom {
		x.put(stateChunk{number: x.number, items: x.chunk})
		x.chunk = x.free()
	}
	x.at = len(x.chunk)
	return append(x.chunk, 0, 0, 0, 0)
}

// Item implements engine.SnapshotSink.
func (x *stateStream) Item(p []byte) {
	binary.LittleEndian.PutUint32(p[x.at:], uint32(len(p)-x.at-4))
	x.chunk = p
}

// End implements engine.SnapshotSink.
func (x *stateStream) End() {
	x.put(stateChunk{number: x.number, items: x.chunk, last: true})
	x.chunk = x.free()
}

// Room implements engine.SnapshotSink.
func (x *stateStream) Room() bool { return x.waiting.Load() < chunksMax }

func (x *stateStream) put(c stateChunk) {
	x.mu.Lock()
	x.queue = append(x.queue, c)
	x.waiting.Set(int64(len(x.queue)))
	x.mu.Unlock()
	select {
	case x.more <- struct{}{}:
	default:
	}
}

// free returns an empty chunk.
func (x *stateStream) free() []byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.spare); n > 0 {
		p := x.spare[n-1]
		x.spare = x.spare[:n-1]
		return p
	}
	return make([]byte, 0, chunkBytes)
}

// next returns the chunk that came first, if there is one. Its items are the
// caller's until done.
func (x *stateStream) next() (c stateChunk, some bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.queue) == 0 {
		return stateChunk{}, false
	}
	c = x.queue[0]
	x.queue = append(x.queue[:0], x.queue[1:]...)
	x.waiting.Set(int64(len(x.queue)))
	return c, true
}

// done gives a chunk's memory back.
func (x *stateStream) done(c stateChunk) {
	x.mu.Lock()
	if cap(c.items) >= chunkBytes && len(x.spare) <= chunksMax {
		x.spare = append(x.spare, c.items[:0])
	}
	x.mu.Unlock()
	x.wake()
}

// itemMax bounds one item: a book of a million levels.
const itemMax = 64 << 20

// stateItems yields the items of a state as a snapshot's file has them; *err is
// why it ended early. An item is valid until the next one is asked for.
func stateItems(from io.Reader, err *error) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		r := bufio.NewReaderSize(from, chunkBytes)
		var head [4]byte
		var item []byte
		for {
			if _, *err = io.ReadFull(r, head[:]); *err == io.EOF {
				*err = nil
				return
			} else if *err != nil {
				return
			}
			n := binary.LittleEndian.Uint32(head[:])
			if n > itemMax {
				*err = fmt.Errorf("an item of %d bytes", n)
				return
			}
			item = slices.Grow(item[:0], int(n))[:n]
			if _, *err = io.ReadFull(r, item); *err != nil || !yield(item) {
				return
			}
		}
	}
}

func stateFile(shard int) string { return fmt.Sprintf("shard-%02d.state", shard) }

// loadState makes a shard of its part of a snapshot.
func loadState(from *journal.Snapshot, i int) (*engine.Shard, error) {
	file, err := from.Open(stateFile(i))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var torn error
	shard, err := engine.LoadShard(stateItems(file, &torn))
	if err = errors.Join(torn, err); err != nil {
		return nil, fmt.Errorf("snapshot %d, shard %d: %w", from.Manifest.Number, i, err)
	}
	return shard, nil
}
