package bench

import (
	"regexp"
	"testing"
	"time"
)

// Real lines have figures, and those whose path promises it allocate nothing.
// How long they took says nothing here.
func TestRealLines(t *testing.T) {
	if testing.Short() {
		t.Skip("takes both cores for some seconds")
	}
	r, err := Do(t.Context(), Options{Time: 3 * time.Millisecond, Rounds: 2, OtherProcess: otherProcess,
		Only: regexp.MustCompile(`^(decode/(trades|depth)/binance-spot|json/trades/binance-spot|book/400|indicators/trade|path/trades/binance-spot|path/depth/binance-spot/level|` +
			`everything/trades/binance-spot/single/gc|ring/.*|log/append|rows/.*|session/binance-spot|socket/ring|readable/.*|process/.*|sustained/trades|sustained/tls/depth)$`)})
	if err != nil {
		t.Fatal(err)
	}
	silent := regexp.MustCompile(`^(decode|path|book|indicators)/`)
	for _, line := range r.Lines {
		switch {
		case line.Skipped != "" && usableCores(nil) >= 2:
			t.Errorf("%s: %s", line.Name, line.Skipped)
		case line.Skipped != "":
		case line.Samples == 0 || line.P50 <= 0 || line.P50 > line.Max || line.Batch < 1:
			t.Errorf("%s: %+v", line.Name, line)
		case silent.MatchString(line.Name) && !raceEnabled && *line.Allocs > 0.01:
			t.Errorf("%s: %v allocations", line.Name, *line.Allocs)
		}
	}
}
