package pace

import (
	"context"
	"testing"
	"time"
)

// A wait is over by the first of its reasons, and says which wake it was.
func TestWait(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	none, one := make(chan struct{}, 1), make(chan struct{}, 1)
	one <- struct{}{}
	if i := Real.Wait(ctx, 0, none, one); i != 1 || len(one) != 0 {
		t.Errorf("woken by %d, and %d wakes are left", i, len(one))
	}
	if i := Real.Wait(ctx, time.Nanosecond, none); i != -1 {
		t.Errorf("woken by %d, and nothing came", i)
	}
	cancel()
	if i := Real.Wait(ctx, 0, none); i != -1 {
		t.Errorf("woken by %d after the end", i)
	}
	ctx, cancel = Real.Timeout(context.Background(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
}
