package pipeline

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tickproc/feeds/sim"
	"tickproc/writer"
)

// Everything goes wrong at exchanges of all venues, in an order that a seed
// chose. Whatever happens: a trade that reached a socket is stored once and
// every other lies in a gap, complete bars and windows are the truth's, and
// what said valid was the venue's. Then all books are valid again. And what
// was recorded on the way gives the same rows.
func TestEveryFaultEndsInTheTruth(t *testing.T) {
	seeds := []uint64{1, 2, 3}
	if testing.Short() {
		seeds = seeds[:1]
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			exchange := newExchange(t, sim.Options{Seed: seed, Levels: 60, Rate: 100, Compression: seed%2 == 0, Venues: stormVenues,
				ClockOffset: []time.Duration{0, 1300 * time.Millisecond, -400 * time.Millisecond}[seed%3]})
			l := newLab(t, exchange, func(c *Config) {
				c.Record.Dir = t.TempDir()
				c.Limits.Stale = Duration(500 * time.Millisecond)
				if seed == 2 {
					c.Bars.Lateness = Duration(time.Second) // trades that come after 2 s are too late
					c.Record.RotateEvery = Duration(time.Second)
				}
			})
			l.awaitValid()
			storm(l, seed)
			l.awaitValid()
			l.finish()
			for _, kind := range sim.FaultKinds() {
				if !slices.ContainsFunc(exchange.FaultLog(), func(f sim.FaultRecord) bool { return f.Kind == kind }) {
					t.Errorf("fault %s never struck", kind)
				}
			}
			n := l.check()
			t.Logf("compared with the truth: %+v", n)
			if n.stored == 0 || n.inGaps == 0 || n.bars == 0 || n.books == 0 || n.quotes == 0 {
				t.Error("some check compared nothing")
			}
			agree(t, "run and replay", l.ledger, replayed(t, l.config, l.captures()...))
		})
	}
}

// stormVenues have few symbols: snapshots of spot books cost so much of the
// venue's budget that more of them would wait for it.
var stormVenues = []sim.Venue{
	{Name: sim.BinanceSpot, Symbols: []sim.Symbol{{Name: "BTCUSDT"}}},
	{Name: sim.BinanceUSDM, Symbols: []sim.Symbol{{Name: "BTCUSDT"}, {Name: "ETHUSDT"}, {Name: "XRPUSDT", Rate: 0.1}}},
	{Name: sim.BinanceCOINM, Symbols: []sim.Symbol{{Name: "BTCUSD_PERP"}, {Name: "ETHUSD_PERP"}}},
}

// storm lets every kind of fault strike every venue, spot less often.
func storm(l *lab, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	kinds := sim.FaultKinds()
	for i := range kinds {
		for v, venue := range stormVenues {
			if i == 0 {
				random.Shuffle(len(kinds), func(a, b int) { kinds[a], kinds[b] = kinds[b], kinds[a] })
			}
			f := sim.Fault{Kind: kinds[(i+7*v)%len(kinds)], Venue: venue.Name, Count: 1 + random.IntN(3)}
			switch f.Kind {
			case sim.FaultHalfOpen, sim.FaultShutdown, sim.FaultDisconnect, sim.FaultClose, sim.FaultHuge, sim.FaultBomb:
				if venue.Name == sim.BinanceSpot && random.IntN(3) > 0 {
					continue
				}
				f.Count, f.Bytes = 1, 5<<20
				f.For = 500 * time.Millisecond // half open, shutdown
			case sim.FaultStaleDepth:
				f.For = 1200 * time.Millisecond
			case sim.FaultQuiet, sim.FaultSlow, sim.FaultRESTSlow:
				f.For = time.Duration(100+random.IntN(500)) * time.Millisecond
			}
			l.inject(f)
		}
		l.awaitEvents(50 + random.Uint64N(100))
	}
}

// replayed runs captures through a replay of the same configuration.
func replayed(t *testing.T, config *Config, files ...string) *ledger {
	t.Helper()
	l := newLedger()
	replayInto(t, ReplayOptions{Config: config, Files: files}, l)
	return l
}

func replayInto(t *testing.T, o ReplayOptions, sinks ...writer.Sink) *ReplayReport {
	t.Helper()
	o.Logger = textLogger(t.Output())
	r := newReplay(o)
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	defer r.close()
	report, err := r.run(context.Background(), append([]writer.Sink{r.totals}, sinks...))
	if err != nil {
		t.Fatal(err)
	}
	return report
}
