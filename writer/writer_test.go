package writer

import (
	"context"
	"errors"
	"testing"
	"time"

	"tickproc/ringbuf"
	"tickproc/tick"
)

// listener keeps what it hears.
type listener struct {
	ids    map[uint32][]uint64 // trade ids by instrument
	idles  int
	onIdle func(idles int)
}

func (l *listener) Write(packets []tick.Unit) {
	for len(packets) > 0 {
		r := packets[0].TradeRow()
		l.ids[r.Instrument] = append(l.ids[r.Instrument], r.ID.Lo)
		packets = packets[tick.PacketUnits(&packets[0]):]
	}
}

func (l *listener) Idle(int64) {
	l.idles++
	if l.onIdle != nil {
		l.onIdle(l.idles)
	}
}

func (l *listener) Close(context.Context) error { return nil }

func tradeRow(instrument uint32, id uint64) []tick.Unit {
	row, u := tick.NewRow(nil, tick.RowTrade)
	r := u.TradeRow()
	r.Instrument, r.ID.Lo = instrument, id
	return row
}

// Three shards write; two sinks hear every row, each shard's in order, and
// Run ends when the last ring is closed and empty.
func TestEverySinkHearsEveryRow(t *testing.T) {
	t.Parallel()
	const shards, rows = 3, 20_000
	rings := make([]*ringbuf.Ring, shards)
	for i := range rings {
		rings[i] = ringbuf.New(256)
	}
	a, b := &listener{ids: map[uint32][]uint64{}}, &listener{ids: map[uint32][]uint64{}}
	w := New(rings, ringbuf.NewWaker(ringbuf.Park), a, b)
	for i, r := range rings {
		go func() {
			var wait ringbuf.Backoff
			for id := range uint64(rows) {
				row := tradeRow(uint32(i), id)
				for !r.Write(row) {
					wait.Pause()
				}
				wait.Reset()
				r.Publish()
			}
			r.Close()
		}()
	}
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*listener{a, b} {
		for i := range uint32(shards) {
			if len(l.ids[i]) != rows {
				t.Fatalf("shard %d: %d rows, want %d", i, len(l.ids[i]), rows)
			}
			for id, got := range l.ids[i] {
				if got != uint64(id) {
					t.Fatalf("shard %d: row %d is %d", i, id, got)
				}
			}
		}
	}
	if w.Stats.Units.Load() != shards*rows {
		t.Errorf("%d units counted", w.Stats.Units.Load())
	}
}

// While nothing comes, sinks are called all the same; a context ends the run.
func TestIdleAndCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	l := &listener{onIdle: func(n int) {
		if n == 3 {
			cancel()
		}
	}}
	closed := ringbuf.New(16)
	closed.Close() // one closed ring among open ones ends nothing
	w := New([]*ringbuf.Ring{ringbuf.New(16), closed}, ringbuf.NewWaker(ringbuf.Park), l)
	if err := w.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestMemoryCountsAndKeepsTheNewest(t *testing.T) {
	t.Parallel()
	m := NewMemory(3)
	var units []tick.Unit
	units, err := tick.AppendCatalog(units, tick.Header{}, tick.Instrument{Venue: "v", Symbol: "s"})
	if err != nil {
		t.Fatal(err)
	}
	for id := range uint64(5) {
		units = append(units, tradeRow(0, id)...)
	}
	units, _ = tick.NewRow(units, tick.RowBar)
	units, _ = tick.NewRow(units, tick.RowPosition) // is of no table
	m.Write(units)
	clear(units) // the ring's memory is used again
	m.Idle(time.Now().UnixNano())
	if m.Rows(tick.RowTrade) != 5 || m.Rows(tick.RowBar) != 1 || m.Rows(tick.RowGap) != 0 {
		t.Errorf("trades %d, bars %d, gaps %d", m.Rows(tick.RowTrade), m.Rows(tick.RowBar), m.Rows(tick.RowGap))
	}
	var ids []uint64
	for _, row := range m.Recent(tick.RowTrade) {
		ids = append(ids, row[0].TradeRow().ID.Lo)
	}
	if len(ids) != 3 || ids[0] != 2 || ids[1] != 3 || ids[2] != 4 {
		t.Errorf("recent ids %v, want 2 3 4", ids)
	}
	if n := len(m.Recent(tick.RowBar)); n != 1 {
		t.Errorf("%d bars kept", n)
	}
	none := NewMemory(0)
	none.Write(tradeRow(0, 1))
	if none.Rows(tick.RowTrade) != 1 || none.Recent(tick.RowTrade) != nil {
		t.Error("a sink that keeps nothing kept something, or did not count")
	}
}

func TestUndeliveredSaysWhat(t *testing.T) {
	t.Parallel()
	err := error(&UndeliveredError{Tables: []TableRows{{"trades", 3}, {"book", 1}}, Cause: context.DeadlineExceeded})
	if !errors.Is(err, ErrUndelivered) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error("sentinels are not found")
	}
	if err.Error() != "rows were not delivered: trades 3, book 1: context deadline exceeded" {
		t.Error(err)
	}
}
