package feeds

import (
	"slices"
	"testing"
	"time"

	"tickproc/internal/stat"
	"tickproc/tick"
)

func counted(l *stat.Latency) (n uint64, median int64) {
	b := l.Snapshot()
	return b.Count(), b.Quantile(0.5)
}

// Packets are counted when they become visible, by one look at the clock, in
// their class; the venue's time is compared where it is of now.
func TestOutputMeasuresWhatItPublishes(t *testing.T) {
	t.Parallel()
	now, looks := int64(1_000_000), 0
	latency := NewLineLatency()
	out, ring := oneRing(1<<12, OutputOptions{Latency: latency, Now: func() int64 { looks++; return now }})
	at := func(p []tick.Unit, receive, exchange int64, flags tick.Flags) []tick.Unit {
		h := p[0].Header()
		h.ReceiveNanos, h.ExchangeNanos, h.Flags = receive, exchange, flags
		return p
	}
	out.Write(slices.Concat(
		at(packet(tick.KindTrade, 1, 1, 0), 999_990, 999_000, 0), at(packet(tick.KindTrade, 1, 1, 0), 999_990, 999_000, 0),
		at(packet(tick.KindQuote, 1, 2, 2), 999_980, 999_999, 0), // the venue's clock is ahead
		at(packet(tick.KindDepth, 1, 3, 2), 999_970, 0, 0),       // it tells no time
		at(packet(tick.KindTrade, 1, 4, 0), 999_960, 5, tick.FlagBackfill),
		at(packet(tick.KindUp, 1, 4, 0), 999_960, 0, 0)))
	if n, _ := counted(&latency.Decode[tick.ClassTrades]); n != 0 || looks != 0 {
		t.Fatalf("%d counted before they are visible, %d looks at the clock", n, looks)
	}
	out.Flush()
	out.Flush()
	f := func(class tick.Class, want uint64, ns int64) {
		t.Helper()
		if n, median := counted(&latency.Decode[class]); n != want || median != ns {
			t.Errorf("%s: %d counted, median %d, not %d of %d", class, n, median, want, ns)
		}
	}
	f(tick.ClassTrades, 3, 10)
	f(tick.ClassQuotes, 1, 20)
	f(tick.ClassDepth, 1, 30)
	f(tick.ClassOther, 0, 0)
	g := func(class tick.Class, want uint64, low, high int64) {
		t.Helper()
		var b stat.SignedBuckets
		latency.OneWay[class].AddTo(&b)
		if x := b.Quantile(0.5); b.Count() != want || x < low || x > high {
			t.Errorf("%s: one way %d, %d counted", class, x, b.Count())
		}
	}
	g(tick.ClassTrades, 2, 990, 1023)
	g(tick.ClassQuotes, 1, -19, -19)
	g(tick.ClassDepth, 0, 0, 0)
	if looks != 1 {
		t.Errorf("%d looks at the clock", looks)
	}
	if len(contents(ring)) != 6 {
		t.Error("packets are missing")
	}
}

// A burst of more frames than are remembered is published in parts, and what is
// dropped is not counted.
func TestOutputMeasuresBurstsAndLosses(t *testing.T) {
	t.Parallel()
	latency := NewLineLatency()
	out, ring := oneRing(1<<12, OutputOptions{Latency: latency, OverloadWait: time.Nanosecond})
	for i := range uint64(runsMax + 7) {
		out.Write(packet(tick.KindTrade, 1, i+1, 0))
	}
	if n := len(ring.Poll()); n != runsMax {
		t.Errorf("%d visible", n)
	}
	if n, _ := counted(&latency.Decode[tick.ClassTrades]); n != runsMax {
		t.Errorf("%d counted", n)
	}
	out.Flush()
	if n, _ := counted(&latency.Decode[tick.ClassTrades]); n != runsMax+7 {
		t.Errorf("%d counted in the end", n)
	}

	full := NewLineLatency()
	out, _ = oneRing(4, OutputOptions{Latency: full, OverloadWait: time.Nanosecond})
	for i := range uint64(6) {
		out.Write(packet(tick.KindDepth, 1, i+1, 0))
	}
	out.Flush()
	if n, _ := counted(&full.Decode[tick.ClassDepth]); n != 4 {
		t.Errorf("%d counted, and 4 have room", n)
	}
}

func TestOutputMeasuresZeroAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	out, ring := oneRing(1<<12, OutputOptions{Latency: NewLineLatency()})
	p := slices.Concat(packet(tick.KindTrade, 1, 1, 0), packet(tick.KindQuote, 1, 2, 2))
	run := func() {
		out.Write(p)
		out.Flush()
		ring.Release(len(ring.Poll()))
	}
	if n := testing.AllocsPerRun(1000, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What measuring costs a packet in the line: a read of one frame, and of 32.
func BenchmarkOutputLatency(b *testing.B) {
	for _, frames := range []int{1, 32} {
		for _, name := range []string{"off", "on"} {
			b.Run(map[int]string{1: "a frame a read/", 32: "32 frames a read/"}[frames]+name, func(b *testing.B) {
				o := OutputOptions{}
				if name == "on" {
					o.Latency = NewLineLatency()
				}
				out, ring := oneRing(1<<12, o)
				var packets [][]tick.Unit
				for i := range frames {
					packets = append(packets, packet(tick.KindTrade, 1, uint64(i+1), 0))
				}
				for b.Loop() {
					for _, p := range packets {
						out.Write(p)
					}
					out.Flush()
					for some := ring.Poll(); some != nil; some = ring.Poll() {
						ring.Release(len(some))
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*frames), "ns/packet")
			})
		}
	}
}
