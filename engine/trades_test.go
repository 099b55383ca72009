package engine

import (
	"fmt"
	"testing"
	"time"
)

var secondBars = Options{Intervals: []time.Duration{time.Second}}

// Ids that jump say at once, and exactly, what was missed and when. What comes
// after all is taken off the same row.
func TestTradeJump(t *testing.T) {
	t.Parallel()
	tell(t, secondBars, "trade gap", `
		 9.0 catalog BTC channels=trades
			> gap trades BTC 9.000.. start
		10.0 trade BTC 5 100x1
			> gap trades BTC 9.000..10.000 start
			> trade BTC 10.000 id=5 buy 100x1
		10.9 trade BTC 8 101x2 sell @10.8
			> gap trades BTC 10.000..10.800 sequence lost=2
			> trade BTC 10.800 id=8 sell 101x2
		10.95 trade BTC 7 101x1 @10.7
			> gap trades BTC 10.000..10.800 sequence lost=1
			> trade BTC 10.700 id=7 buy 101x1
		10.96 trade BTC 7 101x1 @10.7       // seen
		10.97 trade BTC 6 101x1 @10.6
			> gap trades BTC 10.000..10.800 sequence lost=0 repaired
			> trade BTC 10.600 id=6 buy 101x1
		10.98 trade BTC 6 101x1 @10.6       // seen
		11.0 trade BTC 9 100x1
			> trade BTC 11.000 id=9 buy 100x1
	`)
}

// A venue that sends trades in bursts gives many the same time: gaps that
// begin there are told apart.
func TestTradeGapOrdinals(t *testing.T) {
	t.Parallel()
	tell(t, secondBars, "gap", `
		 9.0 catalog BTC channels=trades
			> gap trades BTC 9.000.. start
		10.0 trade BTC 1 100x1
			> gap trades BTC 9.000..10.000 start
		10.0 trade BTC 3 100x1
			> gap trades BTC 10.000..10.000 sequence lost=1
		10.0 trade BTC 5 100x1
			> gap trades BTC 10.000..10.000 sequence lost=1 ord=1
		10.1 trade BTC 4 100x1 @10.0
			> gap trades BTC 10.000..10.000 sequence lost=0 repaired ord=1
		10.1 trade BTC 2 100x1 @10.0
			> gap trades BTC 10.000..10.000 sequence lost=0 repaired
	`)
}

// An id that is no market trade is not missing, but it is no trade either.
func TestTradeNotMarket(t *testing.T) {
	t.Parallel()
	tell(t, secondBars, "trade gap bar", `
		 8.0 catalog BTC channels=trades
			> gap trades BTC 8.000.. start
		 8.0 trade BTC 5 100x1
			> gap trades BTC 8.000..8.000 start
			> trade BTC 8.000 id=5 buy 100x1
		10.0 trade BTC 6 100x9 nomarket
			> bar BTC 1s 8.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
		10.1 trade BTC 7 100x1
			> trade BTC 10.100 id=7 buy 100x1
		10.5 trade BTC 9 100x1
			> gap trades BTC 10.100..10.500 sequence lost=1
			> trade BTC 10.500 id=9 buy 100x1
		10.6 trade BTC 8 100x9 nomarket @10.4
			> gap trades BTC 10.100..10.500 sequence lost=0 repaired
		10.6 trade BTC 8 100x9 nomarket @10.4   // seen
		11.3 tick
			> bar BTC 1s 10.000 100 100 100 100 v=2 n=200 buy=2 sell=0 trades=2 rev=0 complete
	`)
}

// Trades below the first id that came are trades, and nobody had promised them.
func TestTradeBelowTheFirst(t *testing.T) {
	t.Parallel()
	tell(t, secondBars, "trade gap", `
		 9.0 catalog BTC channels=trades
			> gap trades BTC 9.000.. start
		10.0 trade BTC 5 100x1
			> gap trades BTC 9.000..10.000 start
			> trade BTC 10.000 id=5 buy 100x1
		10.1 trade BTC 4 100x1 @9.9
			> trade BTC 9.900 id=4 buy 100x1
		10.2 trade BTC 2 100x1 @9.7
			> trade BTC 9.700 id=2 buy 100x1
		10.2 trade BTC 4 100x1 @9.9      // seen
		10.3 trade BTC 6 100x1
			> trade BTC 10.300 id=6 buy 100x1
	`)
}

// Without a stream nobody knows; the first id after says what was missed.
func TestTradeDisconnect(t *testing.T) {
	t.Parallel()
	tell(t, secondBars, "trade gap", `
		 9.0 catalog BTC channels=trades
			> gap trades BTC 9.000.. start
		 9.1 up BTC trades
		10.0 trade BTC 5 100x1
			> gap trades BTC 9.000..10.000 start
			> trade BTC 10.000 id=5 buy 100x1
		11.0 down BTC trades disconnect
			> gap trades BTC 10.000.. disconnect
		12.0 down BTC trades silence         // goes on under its first reason
		13.0 up BTC trades
		20.0 trade BTC 6 100x1 @19.9         // nothing was
			> gap trades BTC 10.000..19.900 disconnect lost=0 repaired
			> trade BTC 19.900 id=6 buy 100x1
		21.0 down BTC trades disconnect
			> gap trades BTC 19.900.. disconnect
		22.0 up BTC trades
		23.0 trade BTC 9 100x1
			> gap trades BTC 19.900..23.000 disconnect lost=2
			> trade BTC 23.000 id=9 buy 100x1
		23.1 trade BTC 8 100x1 @21.5
			> gap trades BTC 19.900..23.000 disconnect lost=1
			> trade BTC 21.500 id=8 buy 100x1
		23.2 trade BTC 7 100x1 @21.4
			> gap trades BTC 19.900..23.000 disconnect lost=0 repaired
			> trade BTC 21.400 id=7 buy 100x1
		24.0 gap BTC trades overload
			> gap trades BTC 23.000.. overload
		25.0 trade BTC 10 100x1
			> gap trades BTC 23.000..25.000 overload lost=0 repaired
			> trade BTC 25.000 id=10 buy 100x1
		26.0 down BTC trades stopped
			> gap trades BTC 25.000.. stopped
	`)
	// Where ids say nothing, neither do we.
	tell(t, secondBars, "gap", `
		 9.0 catalog BTC channels=trades ids=integer
			> gap trades BTC 9.000.. start
		10.0 trade BTC 5 100x1
			> gap trades BTC 9.000..10.000 start
		10.5 trade BTC 500 100x1
		11.0 down BTC trades disconnect
			> gap trades BTC 10.500.. disconnect
		13.0 up BTC trades
		20.0 trade BTC 900 100x1
			> gap trades BTC 10.500..20.000 disconnect
		26.0 down BTC trades stopped
			> gap trades BTC 20.000.. stopped
	`)
}

// A trade in time makes its bar again; one that is too late stands beside it.
func TestTradeLate(t *testing.T) {
	t.Parallel()
	tell(t, secondBars, "trade bar", `
		 8.0 catalog BTC channels=trades
		 8.0 trade BTC 5 100x1
			> trade BTC 8.000 id=5 buy 100x1
		10.0 trade BTC 6 100x1
			> bar BTC 1s 8.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
			> trade BTC 10.000 id=6 buy 100x1
		10.1 trade BTC 8 103x1
			> trade BTC 10.100 id=8 buy 103x1
		11.3 tick
			> bar BTC 1s 10.000 100 103 100 103 v=2 n=203 buy=2 sell=0 trades=2 rev=0
		12.0 trade BTC 7 105x2 @10.05        // fills the hole
			> trade BTC 10.050 id=7 buy 105x2
			> bar BTC 1s 10.000 100 105 100 103 v=4 n=413 buy=4 sell=0 trades=3 rev=1 complete
		12.1 tick
		13.0 trade BTC 9 105x2
			> trade BTC 13.000 id=9 buy 105x2
		20.0 trade BTC 11 105x2
			> bar BTC 1s 13.000 105 105 105 105 v=2 n=210 buy=2 sell=0 trades=1 rev=0 complete
			> bar BTC 1s 13.000 105 105 105 105 v=2 n=210 buy=2 sell=0 trades=1 rev=1
			> trade BTC 20.000 id=11 buy 105x2
		20.1 trade BTC 10 105x2 @10.1        // exactly as old as may be
			> trade BTC 10.100 id=10 buy 105x2
			> bar BTC 1s 13.000 105 105 105 105 v=2 n=210 buy=2 sell=0 trades=1 rev=2 complete
		21.3 tick
			> bar BTC 1s 10.000 100 105 100 105 v=6 n=623 buy=6 sell=0 trades=4 rev=2 complete
			> bar BTC 1s 20.000 105 105 105 105 v=2 n=210 buy=2 sell=0 trades=1 rev=0 complete
		22.5 trade BTC 12 100x1 @12.4        // too late
			> trade BTC 12.400 id=12 buy 100x1 late
		22.6 tick
		23.9 trade BTC 13 100x1 @13.8        // of a bar that is held: it is whole no longer
			> trade BTC 13.800 id=13 buy 100x1 late
			> bar BTC 1s 13.000 105 105 105 105 v=2 n=210 buy=2 sell=0 trades=1 rev=3
		40.0 trade BTC 14 100x1
			> trade BTC 40.000 id=14 buy 100x1
		41.3 tick
			> bar BTC 1s 40.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0 complete
	`)
}

// A bar is called complete only in the row that holds the trade which was
// missing.
func TestTradeRepairComesWithItsBar(t *testing.T) {
	t.Parallel()
	tell(t, secondBars, "bar", `
		 8.0 catalog BTC channels=trades
		 8.0 trade BTC 5 100x1
		10.0 trade BTC 6 100x1
			> bar BTC 1s 8.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
		10.9 trade BTC 8 100x1
		11.3 tick
			> bar BTC 1s 10.000 100 100 100 100 v=2 n=200 buy=2 sell=0 trades=2 rev=0
		11.4 trade BTC 7 100x1 @10.5
			> bar BTC 1s 10.000 100 100 100 100 v=3 n=300 buy=3 sell=0 trades=3 rev=1 complete
		11.5 tick
		11.6 trade BTC 10 100x1
			> bar BTC 1s 10.000 100 100 100 100 v=3 n=300 buy=3 sell=0 trades=3 rev=2
		11.7 trade BTC 9 100x1 nomarket @11.55
			> bar BTC 1s 10.000 100 100 100 100 v=3 n=300 buy=3 sell=0 trades=3 rev=3 complete
		12.3 tick
			> bar BTC 1s 11.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0 complete
	`)
}

// A trade without a time, or with a nonsensical one, counts when it came. The
// trades missed after it may have happened before that.
func TestTradeTimes(t *testing.T) {
	t.Parallel()
	s := tell(t, secondBars, "trade gap", `
		 9.0 catalog BTC channels=trades cut=1ms
			> gap trades BTC 9.000.. start
		10.0 trade BTC 5 100x1 @9.9876543
			> gap trades BTC 9.000..9.987 start
			> trade BTC 9.987 id=5 buy 100x1
		11.0 trade BTC 6 100x1 @0
			> trade BTC 11.000 id=6 buy 100x1 recv
		12.0 trade BTC 7 100x1 @1000000.0
			> trade BTC 12.000 id=7 buy 100x1 recv
		12.1 trade BTC 9 100x1 @11.99
			> gap trades BTC 11.000..11.990 sequence lost=1
			> trade BTC 11.990 id=9 buy 100x1
		12.2 trade BTC 10 100x1 @611.0           // ten minutes are still believed
			> trade BTC 611.000 id=10 buy 100x1
	`)
	if n := s.shard.Reports(0)[0].Counts.TimesOutside; n != 1 {
		t.Errorf("%d times outside the window", n)
	}
}

// So much is missing that it cannot all be told apart: a trade that may have
// come before is written again, under its key, and not counted again.
func TestTradeUnsure(t *testing.T) {
	t.Parallel()
	s := newStory(t, secondBars, "trade")
	s.tell("9.0 catalog BTC channels=trades")
	at := func(id int) string { return fmt.Sprintf("10.5 trade BTC %d 100x1", id) }
	for id := 1; id < 2*(holesMax+100); id += 2 {
		s.shard.Apply(s.packet(at(id)))
	}
	s.take()
	s.tell("10.6 trade BTC 5 100x1 @10.5\n> trade BTC 10.500 id=5 buy 100x1") // a second time
	s.tell("10.6 trade BTC 6 100x1 @10.5\n> trade BTC 10.500 id=6 buy 100x1") // a first time
	s.tell("10.6 trade BTC 1001 100x1 @10.5")                                 // a second time, and known
	s.tell("10.6 trade BTC 1002 100x1 @10.5\n> trade BTC 10.500 id=1002 buy 100x1")
	s.kinds = " bar "
	n := holesMax + 100 + 1
	s.tell(fmt.Sprintf("11.3 tick\n> bar BTC 1s 10.000 100 100 100 100 v=%d n=%d buy=%d sell=0 trades=%d rev=0", n, 100*n, n, n))
}

// Random ids have no order: of the trades of one moment, which are told in
// order, the first one heard opens the bar and the last one closes it.
func TestTradesOfOneMomentWithRandomIDs(t *testing.T) {
	t.Parallel()
	tell(t, secondBars, "bar", `
		 9.0 catalog BTC channels=trades ids=uuid
		10.1 trade BTC 9 101x1
		10.1 trade BTC 3 103x1
		10.1 trade BTC 7 102x1
		11.3 trade BTC 5 100x1
			> bar BTC 1s 10.000 101 103 101 102 v=3 n=306 buy=3 sell=0 trades=3 rev=0
	`)
}
