package pipeline

import (
	"slices"
	"testing"
	"time"

	"tickproc/feeds/sim"
	"tickproc/tick"
)

// All venues at once, with every channel that they have, through faults that
// each of them lets one notice: the rows are the truth's, every table has some,
// and what was recorded gives the same rows, the consolidated ones too.
func TestAllVenuesAndTheirRecording(t *testing.T) {
	t.Parallel()
	o := sim.Options{Seed: 21, Levels: 60, Rate: 60}
	for _, venue := range Venues() {
		v := simVenue(venue)
		// A derivative, where there is one.
		symbols := v.Dialect.DefaultSymbols()[:1]
		if i := slices.IndexFunc(v.Dialect.DefaultSymbols(), func(s sim.Symbol) bool {
			spec, err := v.Dialect.Spec(s.Name)
			return err == nil && spec.Type == tick.TypePerpetual
		}); i > 0 {
			symbols = append(symbols, v.Dialect.DefaultSymbols()[i])
		}
		v.Symbols = symbols
		o.Venues = append(o.Venues, v)
	}
	exchange := newExchange(t, o)
	l := newLab(t, exchange, func(c *Config) {
		c.Record.Dir = t.TempDir()
		for i := range c.Feeds {
			c.Feeds[i].Channels = []string{AllChannels}
		}
	})
	l.awaitValid()
	for _, venue := range Venues() {
		for _, f := range []sim.Fault{{Kind: sim.FaultDrop, Channel: tick.ChannelDepth}, {Kind: sim.FaultDuplicate, Channel: tick.ChannelTrades},
			{Kind: sim.FaultGarbage}, {Kind: sim.FaultExtraField}} {
			f.Venue = venue
			l.inject(f)
		}
	}
	l.awaitEvents(4000)
	for _, venue := range Venues() {
		l.inject(sim.Fault{Kind: sim.FaultMaintenance, Venue: venue, For: 300 * time.Millisecond})
	}
	l.awaitEvents(500)
	l.awaitValid()
	l.awaitEvents(4000)
	l.finish()

	for _, truth := range exchange.Truth() {
		if n := checkTruth(t, l.ledger, &truth); n.stored == 0 || n.books == 0 || n.quotes == 0 {
			t.Errorf("%s %s: some check compared nothing: %+v", truth.Venue, truth.Symbol, n)
		}
	}
	tables := map[string]int{}
	for _, e := range l.ledger.order {
		tables[e.table]++
	}
	for _, table := range []string{"trades", "quotes", "book", "bars", "windows", "gaps", "funding", "open_interest", "nbbo"} {
		if tables[table] == 0 {
			t.Errorf("no row of %s: %v", table, tables)
		}
	}
	l.agreesWithRecording(replayed(t, l.config, l.captures()...), func(x *ledger) *ledger {
		return x.only(func(e *entry) bool {
			switch e.units[0].KindOf() {
			case tick.RowNbbo:
				// Across lines a run goes by arrival, a recording by receive time, and the
				// first row sets the moments of all that follow.
				return false
			case tick.RowGap:
				// A recording does not say whose liquidations were asked for where a
				// venue tells all of a type together, nor that open interest is polled.
				of := e.units[0].GapRow().Channel
				return of != tick.ChannelLiquidations && of != tick.ChannelOpenInterest
			}
			return true
		})
	})
}
