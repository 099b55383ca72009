package pipeline

import (
	"slices"

	"tickproc/tick"
)

// settler holds bars and windows back until nothing but a backfill can correct
// them any more, and lets each go once, in its last version: a database cannot
// tell a correction from what is corrected when both come again.
type settler struct {
	held  map[settledKey]*heldRow
	queue []*heldRow // by since
}

type settledKey struct {
	kind       tick.Kind
	instrument uint32
	ts         int64
	span, step int64 // of a bar its interval, and 0
}

type heldRow struct {
	key   settledKey
	row   []tick.Unit
	since int64 // logical time at which its first version came
}

// hold takes a row if it is a bar or a window.
func (x *settler) hold(row []tick.Unit, now int64) bool {
	h := row[0].RowHeader()
	key := settledKey{kind: h.Kind, instrument: h.Instrument, ts: h.TsNanos}
	switch h.Kind {
	case tick.RowBar:
		key.span = row[0].BarRow().IntervalNanos
	case tick.RowWindow:
		key.span, key.step = row[0].WindowRow().SpanNanos, row[0].WindowRow().StepNanos
	default:
		return false
	}
	if x.held == nil {
		x.held = map[settledKey]*heldRow{}
	}
	if is := x.held[key]; is != nil {
		is.row = append(is.row[:0], row...)
		return true
	}
	is := &heldRow{key, slices.Clone(row), now}
	x.held[key] = is
	x.queue = append(x.queue, is)
	return true
}

// release lets go what is held since a time or longer.
func (x *settler) release(until int64, write func(row []tick.Unit)) {
	for len(x.queue) > 0 && x.queue[0].since <= until {
		is := x.queue[0]
		x.queue = x.queue[1:]
		delete(x.held, is.key)
		write(is.row)
	}
}

// open is how many are held.
func (x *settler) open() uint64 { return uint64(len(x.queue)) }
