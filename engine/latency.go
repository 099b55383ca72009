package engine

import (
	"tickproc/internal/stat"
	"tickproc/tick"
)

// Latency is what a driver measures of the packets that venues sent, by venue
// and class: cell venue*tick.ClassCount + class of each grid. The stamps are
// the driver's, two a batch and in every eighth a third: a packet counts as
// applied, and its rows as handed over, when its batch is, because nothing of it
// is seen before.
//
// The driver's goroutine counts; any may read the grids.
type Latency struct {
	// Venues are those of the instruments, by number.
	Venues *stat.Groups
	// Wait is received → taken by the shard, Apply taken → logged and applied,
	// Rows applied → its rows are in the writer's ring, of one batch in eight.
	Wait, Apply, Rows stat.Grid

	// owner: the driver's goroutine
	counts []uint64 // of the batch, by cell
	some   []int    // cells that have a count
}

// NewLatency returns a meter of no venue yet.
func NewLatency(venues *stat.Groups) *Latency { return &Latency{Venues: venues} }

// Grow makes room for venues of numbers below n. Whoever gives an instrument
// its venue calls it before.
func (l *Latency) Grow(n int) {
	// In this order: the driver looks at the last of them first.
	l.Apply.Grow(n * tick.ClassCount)
	l.Rows.Grow(n * tick.ClassCount)
	l.Wait.Grow(n * tick.ClassCount)
}

// batch counts what was applied; written is 0 where that was not measured.
// Packets of one kind, instrument and receive time, which is those of a frame,
// are counted at once.
//
// hot: per batch, 0 allocs once every venue was seen.
func (l *Latency) batch(batch []tick.Unit, taken, applied, written int64) {
	venues, wait := l.Venues.Load(), l.Wait.Load()
	for len(l.counts) < len(wait) {
		l.counts = append(l.counts, 0)
	}
	for len(batch) > 0 {
		first, n := batch[0].Header(), uint64(0) // of a run
		for len(batch) > 0 {
			h := batch[0].Header()
			if h.ReceiveNanos != first.ReceiveNanos || h.Instrument != first.Instrument || h.Kind != first.Kind {
				break
			}
			n++
			batch = batch[tick.PacketUnits(&batch[0]):]
		}
		l.count(venues, wait, first, taken, n)
	}
	if len(l.some) == 0 {
		return
	}
	apply, rows := l.Apply.Load(), l.Rows.Load()
	for _, cell := range l.some {
		apply[cell].ObserveAlone(applied-taken, l.counts[cell])
		if written != 0 {
			rows[cell].ObserveAlone(written-applied, l.counts[cell])
		}
		l.counts[cell] = 0
	}
	l.some = l.some[:0]
}

// count counts n packets that are like the first of them.
func (l *Latency) count(venues []uint8, wait []*stat.Latency, first *tick.Header, taken int64, n uint64) {
	class := first.Kind.Class()
	if class == tick.ClassNone || int(first.Instrument) >= len(venues) {
		return
	}
	cell := int(venues[first.Instrument])*tick.ClassCount + int(class)
	if cell >= len(wait) {
		return // of no venue, or of one that came since the grid was looked at
	}
	wait[cell].ObserveAlone(taken-first.ReceiveNanos, n)
	if l.counts[cell] == 0 {
		l.some = append(l.some, cell)
	}
	l.counts[cell] += n
}
