package pipeline

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tickproc/feeds/binance"
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
			l.awaitEvents(1000)
			l.finish()
			for _, kind := range stormKinds() {
				if !slices.ContainsFunc(exchange.FaultLog(), func(f sim.FaultRecord) bool { return f.Kind == kind }) {
					t.Errorf("fault %s never struck", kind)
				}
			}
			n := l.check()
			t.Logf("compared with the truth: %+v", n)
			// What lay in gaps has been fetched since, or it has not.
			if n.stored == 0 || n.bars == 0 || n.books == 0 || n.quotes == 0 {
				t.Error("some check compared nothing")
			}
			l.agreesWithRecording(replayed(t, l.config, l.captures()...), whole)
		})
	}
}

// stormVenues have few symbols: snapshots of spot books cost so much of the
// venue's budget that more of them would wait for it.
var stormVenues = []sim.Venue{
	{Name: binance.Spot, Dialect: binance.Dialect(binance.Spot), Symbols: []sim.Symbol{{Name: "BTCUSDT"}}},
	{Name: binance.USDM, Dialect: binance.Dialect(binance.USDM), Symbols: []sim.Symbol{{Name: "BTCUSDT"}, {Name: "ETHUSDT"}, {Name: "XRPUSDT", Rate: 0.1}}},
	{Name: binance.COINM, Dialect: binance.Dialect(binance.COINM), Symbols: []sim.Symbol{{Name: "BTCUSD_PERP"}, {Name: "ETHUSD_PERP"}}},
}

// enders are the faults that end a connection. After a few of them in a row a
// feed waits long before it connects again, so that each venue meets only some.
var enders = []sim.FaultKind{sim.FaultHalfOpen, sim.FaultShutdown, sim.FaultDisconnect, sim.FaultClose, sim.FaultHuge, sim.FaultBomb}

// stormKinds are the faults that can strike in a storm on these venues: no
// message of theirs carries a checksum or a whole book, and subscriptions are
// few.
func stormKinds() []sim.FaultKind {
	return slices.DeleteFunc(sim.FaultKinds(), func(k sim.FaultKind) bool {
		switch k {
		case sim.FaultAlter, sim.FaultRefuse, sim.FaultUnknown, sim.FaultRateLimit, sim.FaultSilent, sim.FaultHandshakeLimit,
			sim.FaultDropFrame, sim.FaultResnapshot, sim.FaultRestart, sim.FaultMaintenance, sim.FaultConstantChecksum,
			sim.FaultPastEmpty, sim.FaultPastMissing, sim.FaultPastDuplicate, sim.FaultPastShuffled: // few are asked for
			return true
		}
		return false
	})
}

// storm lets every kind of fault strike, in an order of the seed's.
func storm(l *lab, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	kinds := stormKinds()
	random.Shuffle(len(kinds), func(a, b int) { kinds[a], kinds[b] = kinds[b], kinds[a] })
	for i := range kinds {
		for v, venue := range stormVenues {
			f := sim.Fault{Kind: kinds[(i+7*v)%len(kinds)], Venue: venue.Name, Count: 1 + random.IntN(3)}
			if ender := slices.Index(enders, f.Kind); ender >= 0 && (ender+v)%2 == 0 || venue.Name == binance.Spot && random.IntN(2) == 0 {
				continue
			}
			switch f.Kind {
			case sim.FaultHalfOpen, sim.FaultShutdown:
				f.For = 500 * time.Millisecond
			case sim.FaultHuge, sim.FaultBomb:
				f.Count, f.Bytes = 1, 5<<20
			case sim.FaultStaleDepth:
				f.For = 1200 * time.Millisecond
			case sim.FaultQuiet, sim.FaultSlow, sim.FaultHalt:
				f.For = time.Duration(100+random.IntN(500)) * time.Millisecond
			case sim.FaultRESTLimit, sim.FaultRESTError, sim.FaultRESTSlow, sim.FaultRESTGarbage:
				f.Count = 1 // each makes the next attempt wait longer
				f.For = 500 * time.Millisecond
			}
			l.inject(f)
		}
		l.awaitEvents(20 + random.Uint64N(60))
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
