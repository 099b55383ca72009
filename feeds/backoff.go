package feeds

import (
	"math/rand/v2"
	"time"
)

// backoff spaces attempts exponentially: each wait is drawn from the upper
// half of a span that doubles from min to max, so that many clients cut off
// together do not come back together.
type backoff struct {
	min, max time.Duration
	span     time.Duration // of the last wait, 0 = none
	chance   chance
}

// chance returns a random number below n; nil is the process's own.
type chance func(n int64) int64

func (c chance) below(n int64) int64 {
	if c == nil {
		return rand.Int64N(n)
	}
	return c(n)
}

// next returns the wait before the next attempt.
func (b *backoff) next() time.Duration {
	b.span = min(max(2*b.span, b.min), b.max)
	return b.span/2 + time.Duration(b.chance.below(int64(b.span/2)+1))
}

// reset makes the next wait the shortest again.
func (b *backoff) reset() { b.span = 0 }

// jitter moves d by up to half of it either way.
func (c chance) jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(c.below(int64(d)+1))
}
