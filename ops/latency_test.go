package ops

import (
	"math"
	"strings"
	"testing"
	"time"
)

// A latency is four quantiles of what came lately, and the count and sum of all.
func TestLatenciesAreSummaries(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	r.Latencies("tickproc_stage_seconds", "Latency.", []string{"venue", "kind", "stage"}, func() []Latency {
		return []Latency{
			{Labels: []string{"okx", "trades", "apply"}, Count: 7, SumNanos: 3e9, Recent: 2, P50: 1000, P99: 2000, P999: 3000, Max: -4000},
			{Labels: []string{"okx", "depth", "apply"}, Count: 1, SumNanos: 5},
		}
	})
	_, body := get(t, "http://"+serve(t, Options{}, r)+"/metrics")
	have := samples(t, body)
	series := 0
	for name := range have {
		if strings.HasPrefix(name, "tickproc_stage_seconds") {
			series++
		}
	}
	if series != 12 {
		t.Errorf("%d series", series)
	}
	f := func(labels string, want float64) {
		t.Helper()
		value, ok := have["tickproc_stage_seconds"+labels]
		if !ok || value != want && !(math.IsNaN(want) && math.IsNaN(value)) {
			t.Errorf("%s: %v (%v), want %v", labels, value, ok, want)
		}
	}
	f(`{kind="trades",stage="apply",venue="okx",quantile="0.5"}`, 1e-6)
	f(`{kind="trades",stage="apply",venue="okx",quantile="0.99"}`, 2e-6)
	f(`{kind="trades",stage="apply",venue="okx",quantile="0.999"}`, 3e-6)
	f(`{kind="trades",stage="apply",venue="okx",quantile="1"}`, -4e-6)
	f(`_count{kind="trades",stage="apply",venue="okx"}`, 7)
	f(`_sum{kind="trades",stage="apply",venue="okx"}`, 3)
	f(`{kind="depth",stage="apply",venue="okx",quantile="0.5"}`, math.NaN())
	f(`_count{kind="depth",stage="apply",venue="okx"}`, 1)
}

// The table of latencies is a line a venue and stage, a line a stage where the
// screen is low, and nothing where it is lower still.
func TestViewShowsLatenciesWhereThereIsRoom(t *testing.T) {
	t.Parallel()
	v := &View{Instruments: []InstrumentLine{{Venue: "okx", Symbol: "BTC-USDT"}}, Clock: "this machine's clock: off by 1ms at most"}
	for _, venue := range []string{"okx", "kraken"} {
		for _, stage := range []string{"apply", "venue to us"} {
			v.Latencies = append(v.Latencies, LatencyLine{venue, stage, 999, 1234 * time.Nanosecond, time.Millisecond, 2 * time.Second, 17})
		}
	}
	v.LatenciesOfAll = []LatencyLine{{Venue: "all", Stage: "apply", Count: 68}}
	f := func(height int, want string, not ...string) {
		t.Helper()
		text := strings.Join(v.fit(height), "\n")
		if !strings.Contains(text, want) {
			t.Errorf("height %d: no %q:\n%s", height, want, text)
		}
		for _, x := range not {
			if strings.Contains(text, x) {
				t.Errorf("height %d: %q:\n%s", height, x, text)
			}
		}
		if !strings.Contains(text, "BTC-USDT") {
			t.Errorf("height %d: no instrument:\n%s", height, text)
		}
	}
	f(0, "kraken        venue to us                  999ns    1.23µs       1ms        2s        17\nthis machine's clock")
	f(13, "kraken        venue to us ")
	f(12, "all           apply ", "kraken")
	f(8, "BTC-USDT", "LATENCY", "all", "clock")
	if lines := strings.Join(v.Lines(), "\n"); !strings.Contains(lines, `latency "apply" p50=0s p99=0s p99.9=0s max=0s n=68`) {
		t.Error(lines)
	}
}
