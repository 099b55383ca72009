// Package writer carries the shards' rows out of the process.
//
//	shard ─► ring ─┐
//	shard ─► ring ─┼─► Writer.Run: one goroutine ─► Sink.Write ─► QuestDB, memory, …
//	shard ─► ring ─┘
//
// What flows are rows and, ahead of the first row that needs it, each
// instrument's catalog packet. Their memory belongs to the ring: a sink copies
// what it keeps before Write returns.
package writer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"tickproc/internal/clock"
	"tickproc/internal/stat"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// Sink takes rows. One goroutine calls it.
type Sink interface {
	// Write takes whole rows and catalog packets. It never waits for a
	// network or a disk: a sink that cannot keep up drops by its own policy,
	// counts, and reports.
	Write(packets []tick.Unit)
	// Idle is called at least every IdleInterval, so that rows that wait for
	// company leave when they are old. now is in ns since the epoch.
	Idle(now int64)
	// Close delivers everything that was accepted. Rows that ctx did not leave
	// the time for come back as an *UndeliveredError.
	Close(ctx context.Context) error
}

// ErrUndelivered is wrapped by the error of a sink that could not deliver
// every row it had accepted before it was closed.
var ErrUndelivered = errors.New("rows were not delivered")

// TableRows counts rows of a table.
type TableRows struct {
	Table string
	Rows  uint64
}

// UndeliveredError says how many rows of which tables were not confirmed.
type UndeliveredError struct {
	Tables []TableRows
	Cause  error // why time ran out; may be nil
}

func (e *UndeliveredError) Error() string {
	var parts []string
	for _, t := range e.Tables {
		parts = append(parts, fmt.Sprintf("%s %d", t.Table, t.Rows))
	}
	text := ErrUndelivered.Error() + ": " + strings.Join(parts, ", ")
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap lets errors.Is find ErrUndelivered.
func (e *UndeliveredError) Unwrap() []error { return []error{ErrUndelivered, e.Cause} }

// IdleInterval bounds the time between two calls of Sink.Idle while no rows come.
const IdleInterval = 20 * time.Millisecond

// Writer moves rows from rings to sinks.
type Writer struct {
	rings []*ringbuf.Ring
	waker *ringbuf.Waker
	sinks []Sink
	Stats Stats
}

// Stats are the writer's counters; any goroutine may read them.
type Stats struct {
	Units     stat.Counter   // taken from the rings
	SinkNanos stat.Histogram // time the sinks took for what one poll gave
}

// New returns a writer of the rings to every sink, and makes waker theirs.
// Closing the sinks is left to the caller, after Run: it knows how long that
// may take.
func New(rings []*ringbuf.Ring, waker *ringbuf.Waker, sinks ...Sink) *Writer {
	for _, r := range rings {
		r.SetWaker(waker)
	}
	return &Writer{rings: rings, waker: waker, sinks: sinks}
}

// Run returns nil when every ring is closed and empty, or ctx's error when
// that ends first.
func (w *Writer) Run(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		moved, open := w.Carry(clock.Nanos())
		switch {
		case !open:
			return nil
		case !moved:
			w.waker.Wait(w.ready, IdleInterval)
		}
	}
}

// Carry gives the sinks what the rings hold now and lets them be idle, for who
// does not use Run. It reports whether there was something, and whether more
// may come.
func (w *Writer) Carry(now int64) (moved, open bool) {
	for _, r := range w.rings {
		moved = w.drain(r) || moved
		open = open || !r.Done()
	}
	for _, s := range w.sinks {
		s.Idle(now)
	}
	return moved, open
}

// drain gives the sinks what a ring holds now.
func (w *Writer) drain(r *ringbuf.Ring) bool {
	packets := r.Poll()
	if len(packets) == 0 {
		return false
	}
	before := clock.Nanos()
	for _, s := range w.sinks {
		s.Write(packets)
	}
	w.Stats.SinkNanos.Observe(clock.Nanos()-before, 1)
	w.Stats.Units.Add(uint64(len(packets)))
	r.Release(len(packets))
	return true
}

// ready does not count a closed ring beside open ones: nothing comes of it.
func (w *Writer) ready() bool {
	done := true
	for _, r := range w.rings {
		if r.Len() > 0 {
			return true
		}
		done = done && r.Done()
	}
	return done
}
