// Package pace is how code that waits does so, for code whose waiting somebody
// else may have to decide: a simulation lets time pass when it is its turn.
package pace

import (
	"context"
	"time"
)

// Pace waits.
type Pace interface {
	// Timeout is context.WithTimeout.
	Timeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
	// Wait returns when d has passed (0 = never), ctx ended, or something came on
	// one of the wakes, which is then taken. It returns the wake's place, -1 for
	// the others.
	Wait(ctx context.Context, d time.Duration, wakes ...<-chan struct{}) int
}

// Real waits by the clock.
var Real Pace = real{}

type real struct{}

func (real) Timeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

func (real) Wait(ctx context.Context, d time.Duration, wakes ...<-chan struct{}) int {
	var passed <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		passed = timer.C
	}
	var two [2]<-chan struct{}
	if copy(two[:], wakes) < len(wakes) {
		panic("BUG: more wakes than Wait takes")
	}
	select {
	case <-two[0]:
		return 0
	case <-two[1]:
		return 1
	case <-passed:
	case <-ctx.Done():
	}
	return -1
}
