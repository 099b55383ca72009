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
	first := batch[0].Header() // of a run
	n, at := runOf(batch)
	cell := l.cell(venues, wait, first)
	if at == len(batch) { // as most are where packets come singly
		if cell >= 0 {
			wait[cell].ObserveAlone(taken-first.ReceiveNanos, n)
			l.Apply.Load()[cell].ObserveAlone(applied-taken, n)
			if written != 0 {
				l.Rows.Load()[cell].ObserveAlone(written-applied, n)
			}
		}
		return
	}
	for len(l.counts) < len(wait) {
		l.counts = append(l.counts, 0)
	}
	for {
		if cell >= 0 {
			wait[cell].ObserveAlone(taken-first.ReceiveNanos, n)
			if l.counts[cell] == 0 {
				l.some = append(l.some, cell)
			}
			l.counts[cell] += n
		}
		if batch = batch[at:]; len(batch) == 0 {
			break
		}
		first = batch[0].Header()
		n, at = runOf(batch)
		cell = l.cell(venues, wait, first)
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

// runOf returns how many packets the run has that begins a batch, and their units.
func runOf(batch []tick.Unit) (n uint64, units int) {
	first := batch[0].Header()
	for units < len(batch) {
		h := batch[units].Header()
		if h.ReceiveNanos != first.ReceiveNanos || h.Instrument != first.Instrument || h.Kind != first.Kind {
			break
		}
		n++
		units += tick.PacketUnits(&batch[units])
	}
	return n, units
}

// cell is where a packet counts, below 0 if nowhere.
func (l *Latency) cell(venues []uint8, wait []*stat.Latency, h *tick.Header) int {
	class := h.Kind.Class()
	if class == tick.ClassNone || int(h.Instrument) >= len(venues) {
		return -1
	}
	cell := int(venues[h.Instrument])*tick.ClassCount + int(class)
	if cell >= len(wait) {
		return -1 // of no venue, or of one that came since the grid was looked at
	}
	return cell
}
