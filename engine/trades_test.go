package engine

import (
	"testing"
	"time"
)

var secondBars = Options{Intervals: []time.Duration{time.Second}}

// Ids that jump say at once, and exactly, what was missed and when.
func TestTradeJump(t *testing.T) {
	t.Parallel()
	tell(t, secondBars, "trade gap", `
		 9.0 catalog BTC channels=trades
		10.0 trade BTC 5 100x1
		10.9 trade BTC 8 101x2 sell @10.8
	`)
}
