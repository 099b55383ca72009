package pipeline

import (
	"context"
	"fmt"
	"testing"
	"time"

	"tickproc/feeds/sim"
	"tickproc/tick"
	"tickproc/writer"
)

// Everything goes wrong at exchanges of all venues, from a seed, and again by
// hand so that no kind is missed. Whatever happens: a trade that reached a
// socket is stored once and every other lies in a gap, complete bars and
// windows are the truth's, and what said valid was the venue's. And what was
// recorded on the way gives the same rows again.
func TestEveryFaultEndsInTheTruth(t *testing.T) {
	seeds := []uint64{1, 2, 3}
	if testing.Short() {
		seeds = seeds[:1]
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			exchange := newExchange(t, sim.Options{Seed: seed, Levels: 60, Rate: 80, Compression: seed%2 == 0,
				ClockOffset: []time.Duration{0, 1300 * time.Millisecond, -400 * time.Millisecond}[seed%3], Faults: everyFault()})
			l := newLab(t, exchange, func(c *Config) {
				c.Record.Dir = t.TempDir()
				c.Limits.Stale = Duration(500 * time.Millisecond)
				if seed == 2 {
					c.Bars.Lateness = Duration(time.Second) // trades that come after 2 s are too late
					c.Record.RotateEvery = Duration(time.Second)
				}
			})
			l.awaitValid()
			for _, venue := range sim.VenueNames() {
				for _, kind := range sim.FaultKinds() {
					if kind != sim.FaultHalfOpen && kind != sim.FaultShutdown {
						l.inject(short(sim.Fault{Kind: kind, Venue: venue}))
					}
				}
			}
			l.awaitVenueTime(2 * time.Second)
			for _, kind := range []sim.FaultKind{sim.FaultHalfOpen, sim.FaultShutdown} {
				for _, venue := range sim.VenueNames() {
					l.inject(short(sim.Fault{Kind: kind, Venue: venue}))
				}
				l.awaitVenueTime(2 * time.Second)
			}
			l.awaitValid()
			l.finish()
			for _, kind := range sim.FaultKinds() {
				struck := false
				for _, f := range exchange.FaultLog() {
					struck = struck || f.Kind == kind
				}
				if !struck {
					t.Errorf("fault %s never struck", kind)
				}
			}
			n := l.check()
			t.Logf("%+v", n)
			if n.stored == 0 || n.inGaps == 0 || n.bars == 0 || n.books == 0 || n.quotes == 0 {
				t.Errorf("some check compared nothing: %+v", n)
			}
			agree(t, "run and replay", l.ledger, replayed(t, l.config, l.captures()...))
		})
	}
}

// everyFault strikes at random, at rates that leave the market room to be heard.
func everyFault() sim.Faults {
	return sim.Faults{
		sim.FaultDrop: 0.002, sim.FaultDuplicate: 0.002, sim.FaultReorder: 0.002, sim.FaultGarbage: 0.001, sim.FaultTruncate: 0.001,
		sim.FaultLateTrade: 0.003, sim.FaultDuplicateTrade: 0.003,
		sim.FaultDisconnect: 2, sim.FaultClose: 2, sim.FaultSlow: 3, sim.FaultQuiet: 3, sim.FaultStaleDepth: 2,
		sim.FaultRESTLimit: 0.02, sim.FaultRESTError: 0.1, sim.FaultRESTSlow: 0.1, sim.FaultRESTGarbage: 0.1,
	}
}

// short makes a fault last as long as a test has time for.
func short(f sim.Fault) sim.Fault {
	switch f.Kind {
	case sim.FaultQuiet, sim.FaultHalfOpen, sim.FaultShutdown:
		f.For = time.Second
	case sim.FaultStaleDepth:
		f.For = 1500 * time.Millisecond
	case sim.FaultSlow:
		f.For = 400 * time.Millisecond
	case sim.FaultHuge, sim.FaultBomb:
		f.Bytes = 5 << 20
	}
	return f
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

var _ = tick.RowTrade
