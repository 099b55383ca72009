package pipeline

import (
	"sync"

	"tickproc/ringbuf"
	"tickproc/tick"
)

// recordLine is a shard's input for records that no venue sends: barriers and
// configurations. The shard takes them in their order among all packets.
type recordLine struct {
	mu     sync.Mutex // several goroutines may have something to say, rarely
	ring   *ringbuf.Ring
	now    func() int64
	closed bool
}

// recordUnits is room for more records than are ever on their way.
const recordUnits = 1 << 8

func newRecordLine(waker *ringbuf.Waker, now func() int64) *recordLine {
	r := &recordLine{now: now, ring: ringbuf.New(recordUnits)}
	r.ring.SetWaker(waker)
	return r
}

// write stamps one record and hands it to the shard; false if the shard's
// input has ended.
func (r *recordLine) write(u tick.Unit) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	u.Header().ReceiveNanos = r.now()
	var backoff ringbuf.Backoff
	for !r.ring.Write([]tick.Unit{u}) {
		backoff.Pause()
	}
	r.ring.Publish()
	return true
}

func (r *recordLine) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.ring.Close()
}
