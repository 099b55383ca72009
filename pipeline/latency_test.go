package pipeline

import (
	"slices"
	"testing"
	"time"

	"tickproc/internal/clock"
	"tickproc/ops"
	"tickproc/tick"
)

// What lines and drivers count is added up by venue, kind and stage; quantiles
// are of the last one to two windows, counts of all.
func TestLatenciesAreAddedUpAndForgotten(t *testing.T) {
	t.Parallel()
	x := newLatencies()
	first, second := x.driver(), x.driver()
	x.instrument(0, "okx")
	x.instrument(1, "kraken")
	x.instrument(2, "okx")
	late := x.driver() // of a shard that comes when venues are known
	x.instrument(3, "bybit")
	okx, again, kraken := &venueFeed{venue: "okx"}, &venueFeed{venue: "okx"}, &venueFeed{venue: "kraken"}
	one, two, other := x.line(okx), x.line(okx), x.line(kraken)
	if one == two || x.line(again) == one {
		t.Error("two lines that run count on the same")
	}
	okx.over.Store(true)
	if x.line(again) != one || x.line(again) != two || x.line(kraken) == two {
		t.Error("a line that begins anew does not go on")
	}
	if groups := x.venues.Load(); !slices.Equal(groups, []uint8{0, 1, 0, 2}) {
		t.Errorf("venues %v", groups)
	}

	cell := func(venue int, c tick.Class) int { return venue*tick.ClassCount + int(c) }
	first.Apply.Load()[cell(0, tick.ClassDepth)].Observe(10, 4)
	second.Apply.Load()[cell(0, tick.ClassDepth)].Observe(20, 2)
	late.Wait.Load()[cell(2, tick.ClassTrades)].Observe(30, 1)
	other.Decode[tick.ClassQuotes].Observe(40, 1)
	x.line(kraken).Decode[tick.ClassQuotes].Observe(50, 1)
	one.OneWay[tick.ClassDepth].Observe(-60, 3)
	one.Socket.Observe(5, 1)

	type counted struct {
		recent, all uint64
		median      int64
	}
	f := func(what string, want map[series]counted) {
		t.Helper()
		recent, all := x.recent()
		if len(all) != len(want) {
			t.Errorf("%s: %d series, not %d: %v", what, len(all), len(want), all.ordered())
		}
		for s, w := range want {
			if all[s] == nil || recent[s] == nil {
				t.Errorf("%s: no %v", what, s)
				continue
			}
			if have := (counted{recent[s].Count(), all[s].Count(), recent[s].Quantile(0.5)}); have != w {
				t.Errorf("%s: %v: %+v, not %+v", what, s, have, w)
			}
		}
	}
	apply := series{"okx", "depth", stageApply}
	want := map[series]counted{
		apply:                             {6, 6, 10},
		{"bybit", "trades", stageShard}:   {1, 1, 30},
		{"kraken", "quotes", stageDecode}: {2, 2, 50},
		{"okx", "depth", stageOneWay}:     {3, 3, -60},
		{"okx", allKinds, stageSocket}:    {1, 1, 5},
	}
	f("at first", want)

	now := x.turned
	x.turn(now + latencyWindow - 1) // not yet
	x.turn(now + latencyWindow)
	first.Apply.Load()[cell(0, tick.ClassDepth)].Observe(25, 8)
	want[apply] = counted{14, 14, 25}
	f("a window later", want)
	x.turn(now + 2*latencyWindow)
	want[apply] = counted{8, 14, 25}
	for s, w := range want {
		if s != apply {
			want[s] = counted{0, w.all, 0}
		}
	}
	f("two windows later", want)
	x.turn(now + 3*latencyWindow)
	want[apply] = counted{0, 14, 0}
	f("three windows later", want)
}

func TestLatenciesForPeople(t *testing.T) {
	t.Parallel()
	x := newLatencies()
	d := x.driver()
	x.instrument(0, "okx")
	x.instrument(1, "kraken")
	d.Rows.Load()[int(tick.ClassTrades)].Observe(10, 1)
	d.Apply.Load()[int(tick.ClassTrades)].Observe(11, 1)
	d.Apply.Load()[int(tick.ClassDepth)].Observe(12, 2)
	d.Apply.Load()[tick.ClassCount].Observe(13, 3)
	byVenue, byStage := x.linesOf()
	line := func(venue, stage string, p50, most time.Duration, n uint64) ops.LatencyLine {
		return ops.LatencyLine{Venue: venue, Stage: stage, P50: p50, P99: most, P999: most, Max: most, Count: n}
	}
	if want := []ops.LatencyLine{line("kraken", "log, apply", 13, 13, 3), line("okx", "log, apply", 12, 12, 3), line("okx", "rows to writer", 10, 10, 1)}; !slices.Equal(byVenue, want) {
		t.Errorf("%+v", byVenue)
	}
	if want := []ops.LatencyLine{line(allVenues, "log, apply", 13, 13, 6), line(allVenues, "rows to writer", 10, 10, 1)}; !slices.Equal(byStage, want) {
		t.Errorf("%+v", byStage)
	}
	if a, b := (*latencies)(nil).linesOf(); a != nil || b != nil {
		t.Error("something of nothing")
	}
}

func TestTextOfTheHostsClock(t *testing.T) {
	t.Parallel()
	f := func(host clock.Host, step time.Duration, want string) {
		t.Helper()
		if have := (&hostClock{host: host, step: step}).text(); have != want {
			t.Errorf("%q, not %q", have, want)
		}
	}
	f(clock.Host{}, 0, "this machine's clock: the kernel does not tell how good it is")
	f(clock.Host{Known: true, MaxError: 16 * time.Second}, time.Microsecond, "this machine's clock: NOT SYNCHRONISED, times between clocks mean little: start a time service")
	f(clock.Host{Known: true, Synchronised: true, MaxError: 1500 * time.Microsecond, EstimatedError: 20 * time.Microsecond}, -2*time.Second,
		"this machine's clock: off by 1.5ms at most, 20µs as estimated; stepped by -2s since the start")
}
