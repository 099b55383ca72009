// The conformance suite: what every venue of the table must do, tested by
// being in the table. It reads as the specification of a venue:
//
//	truth_test.go    decode(encode(x)) = x on every channel
//	books_test.go    snapshots and deltas in every order; loss, duplication and
//	                 reordering at every position; checksums
//	garbage_test.go  frames that are broken, reordered, extended, absurd
//	plan_test.go     plans within the venue's limits; requests that are read back
//	                 and answered
//	sessions_test.go refusals, limits, maintenance, restarts, silence, planned ends
//	history_test.go  trades that were missed, fetched by REST
//	sixth_test.go    what a further venue touches
//
// The machinery stands in this file (which venues, which seed), in
// client_test.go (a client that subscribes a simulated venue and keeps books as
// a shard does) and in json_test.go. Everything runs in synctest's time over
// pipes: no sockets of the machine, no clock, no sleeps.
package venues_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/feeds/venues"
	"tickproc/tick"
)

var seedFlag = flag.Uint64("seed", 4, "of the simulated markets and of what is damaged")

// market is a venue under test.
type market struct {
	name    string
	adapter feeds.Adapter
	dialect sim.Dialect
	profile sim.Profile // what the simulated venue does
	rule    tick.SyncRule
	seed    uint64
}

// everyVenue runs a test for every venue of the table.
func everyVenue(t *testing.T, test func(t *testing.T, m *market)) {
	t.Parallel()
	tested := 0
	for _, name := range venues.Names() {
		dialect := venues.Dialect(name)
		if dialect == nil {
			t.Errorf("%s: the simulated exchange does not speak it", name)
			continue
		}
		tested++
		adapter, _ := venues.New(name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &market{name: name, adapter: adapter, dialect: dialect, profile: dialect.Profile(), seed: *seedFlag}
			m.rule = m.catalogRule(t)
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("rerun with -seed=%d", m.seed)
				}
			})
			test(t, m)
		})
	}
	if tested == 0 {
		t.Error("no venue was tested")
	}
}

// catalogRule is how the books of the venue are joined, with all that the
// catalog alone tells, such as the digits of a checksum.
func (m *market) catalogRule(t *testing.T) tick.SyncRule {
	symbols := m.symbols(1)
	exchange, err := sim.New(sim.Options{Venues: []sim.Venue{{Name: m.name, Dialect: m.dialect, Symbols: symbols}}})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{market: m, t: t, handler: exchange.Handler(m.name)}
	return c.catalog(symbols)[0].Sync
}

// inBubble runs a test in time that passes when all wait.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// random numbers for one purpose, of the seed.
func (m *market) random(purpose string) *rand.Rand {
	return rand.New(rand.NewPCG(m.seed, sim.NameHash(m.name+" "+purpose)))
}

// symbols are up to n of the venue's own, the first of each kind before the
// second of any.
func (m *market) symbols(n int) (chosen []sim.Symbol) {
	all := m.dialect.DefaultSymbols()
	for round := 0; len(chosen) < n && round < len(all); round++ {
		seen := map[string]int{}
		for _, s := range all {
			spec, err := m.dialect.Spec(s.Name)
			if err != nil {
				panic("BUG: " + err.Error())
			}
			kind := fmt.Sprint(spec.Type, spec.Inverse)
			if seen[kind]++; seen[kind] == round+1 && len(chosen) < n {
				chosen = append(chosen, sim.Symbol{Name: s.Name})
			}
		}
	}
	return chosen
}

// marketStart is when simulated markets begin.
var marketStart = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// scaled is a number at its digits.
type scaled struct {
	v      int64
	digits uint8
}

// is compares two scaled numbers exactly.
func (s scaled) is(o scaled) bool {
	a, b := tick.Number{Mantissa: s.v, Digits: s.digits}, tick.Number{Mantissa: o.v, Digits: o.digits}
	for a.Digits > 0 && a.Mantissa%10 == 0 {
		a.Mantissa, a.Digits = a.Mantissa/10, a.Digits-1
	}
	for b.Digits > 0 && b.Mantissa%10 == 0 {
		b.Mantissa, b.Digits = b.Mantissa/10, b.Digits-1
	}
	return a == b
}
