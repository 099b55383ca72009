package ordered

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// Who finds a position finds what was stored before it, and a count that one
// goroutine keeps is never seen to go back.
func TestWhatWasStoredBeforeIsSeen(t *testing.T) {
	t.Parallel()
	const laps = 200_000
	var at, counted, sum atomic.Uint64
	var data [64]uint64 // guarded by at: slot i is written again only when it was taken
	var taken atomic.Uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range uint64(laps) {
			for i-taken.Load() >= uint64(len(data)) {
				runtime.Gosched()
			}
			data[i%uint64(len(data))] = i * 3
			Add(&counted, 2)
			Store(&at, i+1)
		}
	}()
	before := uint64(0)
	for i := uint64(0); i < laps; {
		end := at.Load()
		if end == i {
			runtime.Gosched()
			continue
		}
		now := counted.Load()
		if now < before || now < 2*end {
			t.Fatalf("counted %d after %d, of %d", now, before, end)
		}
		before = now
		for ; i < end; i++ {
			if got := data[i%uint64(len(data))]; got != i*3 {
				t.Fatalf("slot of %d holds %d", i, got)
			}
			Add(&sum, 1)
		}
		Store(&taken, i)
	}
	<-done
	if counted.Load() != 2*laps || sum.Load() != laps {
		t.Fatalf("%d and %d counted", counted.Load(), sum.Load())
	}
	var signed atomic.Int64
	if StoreInt(&signed, -7); signed.Load() != -7 {
		t.Fatal(signed.Load())
	}
}
