package pipeline

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"tickproc/tick"
)

// Each bar and window goes once, in its last version, so long after its first
// one; one that is corrected after it went goes again; all else is not held.
func TestSettler(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const wait = 50
	type held struct {
		since int64
		rev   uint32
	}
	var x settler
	want := map[settledKey]held{} // the slow way
	for now := int64(1); now < 5000; now++ {
		ts := now - random.Int64N(100)
		var row []tick.Unit
		key := settledKey{ts: ts, instrument: uint32(random.IntN(2))}
		switch random.IntN(3) {
		case 0:
			row, _ = tick.NewRow(nil, tick.RowBar)
			row[0].BarRow().IntervalNanos, row[0].BarRow().Rev = 10, uint32(now)
			key.kind, key.span = tick.RowBar, 10
		case 1:
			row, _ = tick.NewRow(nil, tick.RowWindow)
			row[0].WindowRow().SpanNanos, row[0].WindowRow().StepNanos, row[0].WindowRow().Rev = 60, 10, uint32(now)
			key.kind, key.span, key.step = tick.RowWindow, 60, 10
		default:
			row, _ = tick.NewRow(nil, tick.RowTrade)
			key.kind = tick.RowTrade
		}
		row[0].RowHeader().TsNanos, row[0].RowHeader().Instrument = ts, key.instrument
		if took := x.hold(row, now); took != (key.kind != tick.RowTrade) {
			t.Fatalf("kind %d: held %v", key.kind, took)
		}
		if key.kind != tick.RowTrade {
			since := now
			if is, there := want[key]; there {
				since = is.since
			}
			want[key] = held{since, uint32(now)}
		}
		got := map[settledKey]uint32{}
		x.release(now-wait, func(row []tick.Unit) {
			h := row[0].RowHeader()
			if h.Kind == tick.RowBar {
				got[settledKey{h.Kind, h.Instrument, h.TsNanos, 10, 0}] = row[0].BarRow().Rev
			} else {
				got[settledKey{h.Kind, h.Instrument, h.TsNanos, 60, 10}] = row[0].WindowRow().Rev
			}
		})
		due := map[settledKey]uint32{}
		for key, is := range want {
			if is.since <= now-wait {
				due[key] = is.rev
				delete(want, key)
			}
		}
		if !maps.Equal(got, due) {
			t.Fatalf("at %d %v went, want %v", now, got, due)
		}
	}
	if x.open() != uint64(len(want)) {
		t.Errorf("%d are held, want %d", x.open(), len(slices.Collect(maps.Keys(want))))
	}
}
