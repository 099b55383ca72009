package coinbase

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	f := func(text string, want int64, ok bool) {
		t.Helper()
		if got, good := parseTime([]byte(text)); got != want || good != ok {
			t.Errorf("%s: %d, %v; want %d, %v", text, got, good, want, ok)
		}
	}
	f("2026-08-24T22:34:13.793075885Z", 1_787_610_853_793_075_885, true)
	f("2026-08-24T22:34:13.8Z", 1_787_610_853_800_000_000, true)
	f("2026-08-24T22:34:13Z", 1_787_610_853_000_000_000, true)
	f("2024-02-29T00:00:00.000001Z", 1_709_164_800_000_001_000, true)
	f("1970-01-01T00:00:00Z", 0, true)
	f("1969-12-31T23:59:59Z", 0, true)
	f("0001-01-01T00:00:00Z", 0, true)
	f("2262-04-11T23:47:15Z", 9_223_372_035_000_000_000, true)
	f("2262-04-11T23:47:16Z", 0, true)
	f("9999-12-31T23:59:59.999999999Z", 0, true)
	for _, bad := range []string{"", "Z", "2026-08-24T22:34:13", "2026-08-24 22:34:13Z", "2026-08-24T22:34:13.Z", "2026-08-24T22:34:13,5Z", "2026-08-24T22:34:13.1234567890Z",
		"2026-08-24T22:34:13.12x4Z", "2026-08-24T22:34:13+00:00", "2026-13-24T22:34:13Z", "2026-00-24T22:34:13Z", "2026-02-29T22:34:13Z", "2026-02-00T22:34:13Z",
		"2100-02-29T00:00:00Z", "2026-04-31T22:34:13Z", "2026-08-24T24:34:13Z", "2026-08-24T22:60:13Z", "2026-08-24T22:34:60Z", "+026-08-24T22:34:13Z", "2026-8-024T22:34:13Z"} {
		f(bad, 0, false)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for range 10_000 {
		want := random.Int64N(9_223_372_036e9)
		f(time.Unix(0, want).UTC().Format(time.RFC3339Nano), want, true)
	}
}
