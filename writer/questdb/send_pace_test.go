package questdb

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"tickproc/internal/pace"
	"tickproc/internal/vfs/simdisk"
)

// woken is a pace in which a row comes at once; it notes for how long it was
// waited.
type woken struct {
	pace.Pace
	waited time.Duration
}

func (w *woken) Wait(_ context.Context, d time.Duration, _ ...<-chan struct{}) int {
	w.waited = d
	return 0
}

// A server is looked at every 30 s, however often rows come in between.
func TestRowsDoNotPutOffTheNextLook(t *testing.T) {
	t.Parallel()
	now, p := int64(1e18), &woken{Pace: pace.Real}
	s, err := New(Options{SpoolDir: "/spool", Spool: SpoolOptions{FS: simdisk.New(rand.New(rand.NewPCG(1, 0)), simdisk.Faults{}), FreeBytes: -1},
		Now: func() int64 { return now }, Pace: p})
	if err != nil {
		t.Fatal(err)
	}
	x := s.senders[tableTrades]
	x.verifiedAt = now
	for _, want := range []time.Duration{30 * time.Second, 20 * time.Second, 10 * time.Second} {
		if x.await(context.Background()); p.waited != want {
			t.Errorf("waits %v, want %v", p.waited, want)
		}
		now += int64(10 * time.Second)
	}
}
