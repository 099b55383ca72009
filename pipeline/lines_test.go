package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tickproc/feeds/sim"
	"tickproc/tick"
)

// oneSymbolEach is every venue with its first symbol.
func oneSymbolEach() (all []sim.Venue) {
	for _, venue := range Venues() {
		v := simVenue(venue)
		first := v.Dialect.DefaultSymbols()[0]
		v.Symbols = []sim.Symbol{{Name: first.Name, Rate: 1}}
		all = append(all, v)
	}
	return all
}

// gapsBecause lists the gap rows that have one of the reasons, but for those that
// the second of two sockets makes on a busy machine.
func gapsBecause(l *lab, reasons ...tick.Reason) (all []string) {
	for _, truth := range l.exchange.Truth() {
		for _, e := range l.ledger.of(truth.Venue, truth.Symbol, tick.RowGap) {
			g := e.units[0].GapRow()
			for _, r := range reasons {
				if g.Reason == r && !l.overtook(g) {
					all = append(all, fmt.Sprintf("%s %s %s %s lost %d", truth.Venue, truth.Symbol, g.Channel, g.Reason, g.Lost))
				}
			}
		}
	}
	return all
}

// Every socket of every venue is changed for a new one, twice, while the market
// goes on: a second connection is synchronised first and takes over. Nothing
// is missed, no book is invalid for a moment, no gap is a row.
func TestHandoverLeavesNoGap(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 5, Levels: 60, Rate: 40, Venues: oneSymbolEach()})
	l := newLab(t, exchange, func(c *Config) {
		for i := range c.Feeds {
			c.Feeds[i].SocketLife = Duration(4 * time.Second)
		}
	})
	l.awaitValid()
	handovers := func(venue string) (n int) {
		for line := range strings.SplitSeq(l.log.String(), "\n") {
			if strings.Contains(line, "handover: complete") && strings.Contains(line, "venue="+venue+" ") {
				n++
			}
		}
		return n
	}
	for _, venue := range Venues() {
		await(t, venue+" has changed its sockets", 90*time.Second, func() bool { return handovers(venue) >= 2 })
	}
	l.finish()
	if gaps := gapsBecause(l, tick.ReasonReconnect, tick.ReasonDisconnect, tick.ReasonSequence, tick.ReasonChecksum, tick.ReasonSilence); len(gaps) > 0 {
		t.Errorf("gaps:\n%s", strings.Join(gaps, "\n"))
	}
	for _, truth := range exchange.Truth() {
		broken, valid, why := 0, false, []string{}
		for _, e := range l.ledger.of(truth.Venue, truth.Symbol, tick.RowBook) {
			if valid && !e.has(tick.RowValid) {
				broken++
			}
			valid = e.has(tick.RowValid)
		}
		for _, e := range l.ledger.of(truth.Venue, truth.Symbol, tick.RowGap) {
			if g := e.units[0].GapRow(); g.Channel == tick.ChannelDepth {
				why = append(why, g.Reason.String())
			}
		}
		if broken > 1 { // at the end
			t.Errorf("%s %s: the book broke %d times: %v", truth.Venue, truth.Symbol, broken, why)
		}
		if truth.Forgotten > 0 {
			t.Fatal("the truth has forgotten trades: raise History")
		}
		stored := map[string]int{}
		rows := l.ledger.of(truth.Venue, truth.Symbol, tick.RowTrade)
		for _, e := range rows {
			stored[fmt.Sprint(e.units[0].TradeRow().ID)]++
		}
		delivered := 0
		for i := range truth.Trades {
			if x := &truth.Trades[i]; x.Delivered > 0 {
				delivered++
			}
		}
		if len(rows) < delivered || len(stored) != len(rows) || delivered == 0 {
			t.Errorf("%s %s: %d trades reached a socket, %d rows of %d ids", truth.Venue, truth.Symbol, delivered, len(rows), len(stored))
		}
	}
}

// Two lines of every venue, each of which loses messages of its own: what one
// loses the other has, so that books stay valid, and the comparison says who was
// first and what each missed.
func TestRedundantLinesFillEachOther(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 6, Levels: 60, Rate: 60, Venues: oneSymbolEach(),
		Faults: sim.Faults{sim.FaultDrop: 0.01}})
	l := newLab(t, exchange, func(c *Config) {
		for i := range c.Feeds {
			c.Feeds[i].Lines = 2
		}
		c.Limits.LineHold = Duration(3 * time.Second) // a busy machine may hold one socket back for long
	})
	l.awaitValid()
	// What a line loses before the other has come, nobody can fill.
	await(t, "every line but the spare one has brought messages that are compared", time.Minute, func() bool {
		for _, f := range l.system.feeds {
			quiet := 0
			for _, line := range f.feed.Stats() {
				if first, second, _ := l.system.compared.of(line.Line); first+second < 20 {
					quiet++
				}
			}
			if quiet > 1 {
				return false
			}
		}
		return true
	})
	since := time.Now().UnixNano()
	l.awaitEvents(15_000)
	for _, f := range l.system.feeds {
		var first, second, missed uint64
		for _, line := range f.feed.Stats() {
			a, b, c := l.system.compared.of(line.Line)
			first, second, missed = first+a, second+b, missed+c
		}
		if first == 0 || second == 0 || missed == 0 {
			t.Errorf("%s: %d first, %d second, %d missed", f.venue, first, second, missed)
		}
	}
	l.finish()
	// What both lines lost nobody has.
	type message struct {
		venue, symbol string
		nanos         int64
	}
	losses, both := map[message]int{}, map[string]uint64{}
	for _, f := range exchange.FaultLog() {
		m := message{f.Venue, f.Symbol, f.TimeNanos}
		if f.Channel != tick.ChannelDepth {
			continue
		}
		if losses[m]++; losses[m] == 2 {
			both[f.Venue]++
		}
	}
	if len(losses) < 20 {
		t.Errorf("only %d messages were lost", len(losses))
	}
	for _, in := range l.system.carried() {
		if in.Sync.Sequence == tick.SequenceNone {
			continue // each line has its own book, and its own resyncs
		}
		breaks := uint64(0)
		for _, e := range l.ledger.of(in.Venue, in.Symbol, tick.RowGap) {
			if g := e.units[0].GapRow(); g.Channel == tick.ChannelDepth && g.TsNanos >= since &&
				g.Reason != tick.ReasonDisconnect && g.Reason != tick.ReasonReconnect && g.Reason != tick.ReasonStopped {
				breaks++
			}
		}
		if breaks > both[in.Venue] {
			t.Errorf("%s %s: the book broke %d times, and both lines lost %d messages", in.Venue, in.Symbol, breaks, both[in.Venue])
		}
	}
	for _, truth := range exchange.Truth() {
		stored := map[string]int{}
		for _, e := range l.ledger.of(truth.Venue, truth.Symbol, tick.RowTrade) {
			stored[fmt.Sprint(e.units[0].TradeRow().ID)]++
		}
		delivered := 0
		for i := range truth.Trades {
			if truth.Trades[i].Delivered > 0 {
				delivered++
			}
		}
		if len(stored) < delivered || delivered == 0 {
			t.Errorf("%s %s: %d trades reached a socket, %d are stored", truth.Venue, truth.Symbol, delivered, len(stored))
		}
	}
}
