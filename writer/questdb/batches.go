package questdb

import (
	"slices"
	"sync"
)

// batch is the encoded rows of one table on their way out.
type batch struct {
	lines []byte // what is still to be delivered
	rows  int    // lines in it
	// When the oldest row was written, in ns.
	oldestNanos int64
	spans       []span
	guards      []guard
	buffer      []byte // the whole of lines' memory, for reuse
}

// span is what a batch holds of one instrument: enough to say what is missing
// if the batch is lost.
type span struct {
	instrument uint32
	rows       uint32
	from, to   int64 // ts
}

// queue holds batches between the goroutine that writes rows and the lanes'
// senders, within a bound of bytes. Its mutex is taken once a batch, never a
// row, and not held during I/O: so writing rows does not wait for the database.
type queue struct {
	mu       sync.Mutex
	lanes    [tableCount]waiting
	bytes    int64  // of all lines that wait
	answered uint64 // posts that moved a batch on
	spare    [][]byte
	// moved tells Close that a batch left; lanes[i].wake tells a sender that one came.
	moved chan struct{}

	rejected []rejection // for the goroutine that writes rows
}

// waiting is one table's batches, oldest first.
type waiting struct {
	batches []*batch
	posting bool // the first one is with the sender
	rows    int
	wake    chan struct{}
}

// rejection is a row that QuestDB refused.
type rejection struct {
	table         int
	venue, symbol string
	ts            int64
}

const (
	spareMax     = 16   // buffers kept for reuse
	rejectionMax = 4096 // rejections that wait to become gaps rows
)

// dropOrder is who gives way first when memory is full: what comes most and
// ages fastest; gaps last, because they say what is missing.
var dropOrder = [tableCount]int{tableQuotes, tableNbbo, tableBook, tableFunding, tableOpenInterest, tableTrades, tableLiquidations,
	tableHealth, tableWindows, tableBars, tableStatus, tableInstruments, tableGaps}

func newQueue() *queue {
	q := &queue{moved: make(chan struct{}, 1)}
	for i := range q.lanes {
		q.lanes[i].wake = make(chan struct{}, 1)
	}
	return q
}

// put adds a batch and returns those that had to go for it, with their lanes:
// the caller counts them and gives them back.
func (q *queue) put(lane int, b *batch, bytesMax int64) (dropped []*batch, lanes []int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := &q.lanes[lane]
	w.batches = append(w.batches, b)
	w.rows += b.rows
	q.bytes += int64(len(b.lines))
	for _, lane := range dropOrder {
		w := &q.lanes[lane]
		first := 0
		if w.posting {
			first = 1 // its rows may be committed already
		}
		n := first
		for ; q.bytes > bytesMax && n < len(w.batches); n++ {
			b := w.batches[n]
			q.bytes -= int64(len(b.lines))
			w.rows -= b.rows
			dropped, lanes = append(dropped, b), append(lanes, lane)
		}
		w.batches = slices.Delete(w.batches, first, n)
	}
	signal(w.wake)
	return dropped, lanes
}

// idle reports that nothing of the lane waits, so that a small batch may leave.
func (q *queue) idle(lane int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.lanes[lane].batches) == 0
}

// empty reports that nothing waits in any lane, nor a rejection to be read.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.lanes {
		if len(q.lanes[i].batches) > 0 {
			return false
		}
	}
	return len(q.rejected) == 0
}

// next returns the batch to post, nil if there is none. From here on it is the
// sender's: only advance and replace change it.
func (q *queue) next(lane int) *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := &q.lanes[lane]
	if len(w.batches) == 0 {
		return nil
	}
	w.posting = true
	return w.batches[0]
}

// advance takes rows off the front of the batch being posted: they were
// acknowledged, or will never be.
func (q *queue) advance(lane int, b *batch, bytes, rows int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := &q.lanes[lane]
	b.lines = b.lines[bytes:]
	b.rows -= rows
	w.rows -= rows
	q.bytes -= int64(bytes)
	q.answered++
	q.doneLocked(w, b)
}

// replace sets what is left of the batch being posted.
func (q *queue) replace(lane int, b *batch, lines []byte, rows int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := &q.lanes[lane]
	w.rows -= b.rows - rows
	q.bytes -= int64(len(b.lines) - len(lines))
	b.lines, b.rows = lines, rows
	q.doneLocked(w, b)
}

func (q *queue) doneLocked(w *waiting, b *batch) {
	if b.rows > 0 {
		return
	}
	w.batches = slices.Delete(w.batches, 0, 1)
	w.posting = false
	q.recycleLocked(b)
	signal(q.moved)
}

// buffer returns memory for a batch.
func (q *queue) buffer() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.spare); n > 0 {
		b := q.spare[n-1]
		q.spare = q.spare[:n-1]
		return b[:0]
	}
	return nil
}

func (q *queue) recycle(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.recycleLocked(b)
}

func (q *queue) recycleLocked(b *batch) {
	if len(q.spare) < spareMax {
		q.spare = append(q.spare, b.buffer)
	}
	b.lines, b.buffer = nil, nil
}

// reject hands a refused row to the goroutine that writes rows.
func (q *queue) reject(r rejection) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.rejected) < rejectionMax {
		q.rejected = append(q.rejected, r)
	}
}

func (q *queue) takeRejected() []rejection {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.rejected
	q.rejected = nil
	return r
}

// state returns what Idle and Close look at.
func (q *queue) state() (bytes int64, answered uint64, oldest int64, rows [tableCount]int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.lanes {
		rows[i] = q.lanes[i].rows
		if b := q.lanes[i].batches; len(b) > 0 && (oldest == 0 || b[0].oldestNanos < oldest) {
			oldest = b[0].oldestNanos
		}
	}
	return q.bytes, q.answered, oldest, rows
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
