package feeds

import (
	"testing"
	"time"
)

func TestBackoffDoublesWithinItsBounds(t *testing.T) {
	b := backoff{min: 250 * time.Millisecond, max: 30 * time.Second}
	for round := range 100 {
		span := b.min
		for range 12 {
			if d := b.next(); d < span/2 || d > span {
				t.Fatalf("round %d: wait %v outside %v..%v", round, d, span/2, span)
			}
			span = min(2*span, b.max)
		}
		b.reset()
	}
}

func TestJitterStaysWithinHalf(t *testing.T) {
	for range 1000 {
		if d := chance(nil).jitter(100); d < 50 || d > 150 {
			t.Fatal(d)
		}
	}
}
