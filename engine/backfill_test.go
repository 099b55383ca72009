package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tickproc/tick"
)

var fetching = Options{Intervals: []time.Duration{time.Second}, Backfill: true}

// What was missed while there was no stream is asked for a moment after the
// first trade that proves it, comes, and makes the bars good: those that were
// told again, those that were not for the first time.
func TestBackfillAfterADisconnect(t *testing.T) {
	t.Parallel()
	tell(t, fetching, "trade gap bar backfill", `
		  9.0 catalog BTC channels=trades
			> gap trades BTC 9.000.. start
		 10.0 trade BTC 5 100x1
			> gap trades BTC 9.000..10.000 start
			> trade BTC 10.000 id=5 buy 100x1
		 11.1 trade BTC 6 100x1
			> trade BTC 11.100 id=6 buy 100x1
		 11.3 tick
			> bar BTC 1s 10.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
		 11.4 down BTC trades disconnect
			> gap trades BTC 11.100.. disconnect
		 60.0 up BTC trades
			> bar BTC 1s 11.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
		 60.5 trade BTC 10 100x1
			> gap trades BTC 11.100..60.500 disconnect lost=3 pending
			> trade BTC 60.500 id=10 buy 100x1
		 61.4 tick
			> bar BTC 1s 60.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
		 61.5 tick
			> backfill BTC epoch=1 11.100..60.500 ids=7..9
		 62.0 trade BTC 5 100x1 fetched @10.0        // of the same answer, and not asked for
		 62.0 trade BTC 7 101x1 fetched @11.2
			> trade BTC 11.200 id=7 buy 101x1
		 62.0 trade BTC 7 101x1 fetched @11.2        // twice
		 62.0 trade BTC 8 102x1 fetched sell @30.0
			> trade BTC 30.000 id=8 sell 102x1
		 62.0 trade BTC 9 103x1 fetched @60.4
			> gap trades BTC 11.100..60.500 disconnect lost=0 repaired whole
			> trade BTC 60.400 id=9 buy 103x1
			> bar BTC 1s 11.000 100 101 100 101 v=2 n=201 buy=2 sell=0 trades=2 rev=1 complete
			> bar BTC 1s 60.000 103 103 100 100 v=2 n=203 buy=2 sell=0 trades=2 rev=1 complete
		 62.0 fetched BTC 7..9 whole epoch=1         // known by then
			> bar BTC 1s 30.000 102 102 102 102 v=1 n=102 buy=0 sell=1 trades=1 rev=0 complete
		 62.1 trade BTC 11 100x1
			> trade BTC 62.100 id=11 buy 100x1
	`)
}

// What was only reordered comes by itself: nobody is asked.
func TestBackfillWaitsForWhatWasReordered(t *testing.T) {
	t.Parallel()
	tell(t, fetching, "gap backfill", `
		  9.0 catalog BTC channels=trades
			> gap trades BTC 9.000.. start
		 10.0 trade BTC 5 100x1
			> gap trades BTC 9.000..10.000 start
		 10.5 trade BTC 8 100x1
			> gap trades BTC 10.000..10.500 sequence lost=2 pending
		 10.5 trade BTC 6 100x1 @10.2
			> gap trades BTC 10.000..10.500 sequence lost=1 pending
		 10.5 trade BTC 7 100x1 @10.3
			> gap trades BTC 10.000..10.500 sequence lost=0 repaired
		 20.0 tick
	`)
}

// Where ids say nothing, the time that was returned whole is what counts. A
// fetched trade ends no gap that is open by then.
func TestBackfillByTime(t *testing.T) {
	t.Parallel()
	tell(t, fetching, "trade gap bar backfill", `
		  9.0 catalog BTC channels=trades ids=uuid
			> gap trades BTC 9.000.. start
		 10.1 trade BTC 5 100x1
			> gap trades BTC 9.000..10.100 start
			> trade BTC 10.100 id=5 buy 100x1
		 11.1 trade BTC 77 100x1
			> trade BTC 11.100 id=77 buy 100x1
		 11.2 down BTC trades disconnect
			> gap trades BTC 11.100.. disconnect
		 12.0 up BTC trades
			> bar BTC 1s 10.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
		 13.1 trade BTC 3 100x1
			> bar BTC 1s 11.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
			> gap trades BTC 11.100..13.100 disconnect pending
			> trade BTC 13.100 id=3 buy 100x1
		 14.0 down BTC trades disconnect
			> gap trades BTC 13.100.. disconnect
		 14.1 tick
			> backfill BTC epoch=1 11.100..13.100
		 14.2 trade BTC 4 100x1 fetched @11.0        // before it
		 14.2 trade BTC 77 100x1 fetched @11.1       // known
		 14.2 trade BTC 8 104x1 fetched @11.1        // of the same moment
			> trade BTC 11.100 id=8 buy 104x1
		 14.2 trade BTC 9 105x1 fetched @13.1
			> trade BTC 13.100 id=9 buy 105x1
		 14.2 trade BTC 2 105x1 fetched @13.2        // behind it
		 14.2 fetched BTC 11.1..13.1 whole           // of a capture
			> gap trades BTC 11.100..13.100 disconnect lost=0 repaired whole
			> bar BTC 1s 11.000 100 104 100 104 v=2 n=204 buy=2 sell=0 trades=2 rev=1 complete
		 15.0 up BTC trades
			> bar BTC 1s 13.000 100 105 100 105 v=2 n=205 buy=2 sell=0 trades=2 rev=0
		 15.0 trade BTC 1 100x1
			> gap trades BTC 13.100..15.000 disconnect pending
			> trade BTC 15.000 id=1 buy 100x1
		 16.0 tick
			> backfill BTC epoch=2 13.100..15.000
		 17.0 fetched BTC 13.1..15.0 partly epoch=2
			> bar BTC 1s 15.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
			> gap trades BTC 13.100..15.000 disconnect partly
	`)
}

// What cannot be had is said, with what is still missing.
func TestBackfillThatFails(t *testing.T) {
	t.Parallel()
	begin := `
		  9.0 catalog BTC channels=trades
			> gap trades BTC 9.000.. start
		 10.0 trade BTC 5 100x1
			> gap trades BTC 9.000..10.000 start
		 10.5 trade BTC 9 100x1
			> gap trades BTC 10.000..10.500 sequence lost=3 pending
		 11.5 tick
			> backfill BTC epoch=1 10.000..10.500 ids=6..8
		 12.0 trade BTC 7 100x1 fetched @10.2
	`
	for _, outcome := range []string{"partly", "aggregates", "not_offered", "given_up"} {
		tell(t, fetching, "gap backfill", begin+fmt.Sprintf(`
		 12.0 fetched BTC 6..8 %s epoch=1
			> gap trades BTC 10.000..10.500 sequence lost=2 %[1]s
		 13.0 trade BTC 6 100x1 @10.1    // by itself, after all: the row keeps what came of the backfill
			> gap trades BTC 10.000..10.500 sequence lost=1 %[1]s
		 13.0 fetched BTC 6..8 whole epoch=1 // nobody waits
		`, outcome))
	}
	// A venue that does not answer is asked again, for what is still missing, and
	// then no more.
	tell(t, fetching, "gap backfill", begin+`
		 12.0 fetched BTC 6..8 failed epoch=9   // of nobody
		 12.0 fetched BTC 6..8 failed epoch=1
		 27.0 tick
			> backfill BTC epoch=2 10.000..10.500 ids=6..8
		 28.0 trade BTC 6 100x1 fetched @10.1
		 28.0 fetched BTC 6..8 whole epoch=2    // it says so, and 8 is missing
		 58.0 tick
			> backfill BTC epoch=3 10.000..10.500 ids=8..8
		 59.0 fetched BTC 8..8 failed epoch=3
			> gap trades BTC 10.000..10.500 sequence lost=1 given_up
		 99.0 tick
	`)
	// A feed that is gone says nothing.
	tell(t, fetching, "gap backfill", begin+`
		 612.0 tick
			> backfill BTC epoch=2 10.000..10.500 ids=6..8
		1811.0 tick
			> gap trades BTC 10.000..10.500 sequence lost=2 given_up
			> backfill BTC epoch=3 10.000..10.500 ids=6..8
	`)
	// Nor does one of a process that is gone.
	tell(t, fetching, "gap backfill", begin+`
		 12.0 begin
		 12.5 tick
			> backfill BTC epoch=2 10.000..10.500 ids=6..8
	`)
}

// An age that makes other times nonsense is none for what was asked for. Only
// beyond the reach are bars not revised any more.
func TestBackfillOfLongAgo(t *testing.T) {
	t.Parallel()
	tell(t, fetching, "trade gap bar backfill", `
		   9.0 catalog BTC channels=trades
			> gap trades BTC 9.000.. start
		  10.0 trade BTC 5 100x1
			> gap trades BTC 9.000..10.000 start
			> trade BTC 10.000 id=5 buy 100x1
		  10.5 down BTC trades disconnect
			> gap trades BTC 10.000.. disconnect
		3700.1 trade BTC 9 100x1
			> bar BTC 1s 10.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
			> gap trades BTC 10.000..3700.100 disconnect lost=3 pending
			> trade BTC 3700.100 id=9 buy 100x1
		3701.2 tick
			> backfill BTC epoch=1 10.000..3700.100 ids=6..8
		3702.0 trade BTC 6 100x1 fetched @101.0
			> bar BTC 1s 3700.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
			> trade BTC 101.000 id=6 buy 100x1 late
		3702.0 trade BTC 7 100x1 fetched @102.1
			> trade BTC 102.100 id=7 buy 100x1
		3702.0 trade BTC 8 100x1 fetched @90000.0      // nonsense
		3702.0 trade BTC 8 100x1 fetched @1000.0
			> gap trades BTC 10.000..3700.100 disconnect lost=0 repaired whole
			> trade BTC 1000.000 id=8 buy 100x1
		3703.0 tick
			> bar BTC 1s 102.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
			> bar BTC 1s 1000.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
	`)
}

// More gaps than are followed at once: the rows of the others say so.
func TestBackfillOfManyGaps(t *testing.T) {
	t.Parallel()
	s := newStory(t, fetching, "gap")
	s.tell("9.0 catalog BTC channels=trades\n> gap trades BTC 9.000.. start")
	s.tell("10.0 trade BTC 0 100x1\n> gap trades BTC 9.000..10.000 start")
	for n := 1; n <= backfillCasesMax+1; n++ {
		state, ord := "pending", ""
		if n > backfillCasesMax {
			state = "given_up"
		}
		if n > 1 {
			ord = fmt.Sprintf(" ord=%d", n-1)
		}
		s.tell(fmt.Sprintf("10.0 trade BTC %d 100x1\n> gap trades BTC 10.000..10.000 sequence lost=1 %s%s", 2*n, state, ord))
	}
	s.kinds = " backfill "
	s.tell(`
		11.0 tick
			> backfill BTC epoch=1 10.000..10.000 ids=1..1
		12.0 fetched BTC 1..1 partly epoch=1
		12.1 tick
			> backfill BTC epoch=2 10.000..10.000 ids=3..3 ord=1
	`)
}

// Random true markets of which much is lost: when the answers of the venue have
// come, in any order and with copies, every trade is a row, once, and every bar
// is what all trades make it, and complete.
func TestBackfillMakesEverythingGood(t *testing.T) {
	t.Parallel()
	for _, ids := range []tick.TradeIDKind{tick.TradeIDContiguous, tick.TradeIDUUID} {
		for _, carry := range []bool{false, true} {
			t.Run(fmt.Sprint(ids, carry), func(t *testing.T) {
				t.Parallel()
				random := seeded(t)
				for range 20 {
					o := Options{Intervals: []time.Duration{time.Second, 7 * time.Second}, Backfill: true, Carry: carry}
					s := newStory(t, o, "")
					def := define(0, "BTC")
					def.Channels, def.TradeIDs = tick.ChannelTrades, ids
					p, err := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: midnight + 1e9}, def)
					if err != nil {
						t.Fatal(err)
					}
					s.shard.Apply(p)
					h := func(kind tick.Kind, at int64) tick.Header {
						return tick.Header{Kind: kind, Line: 1, ReceiveNanos: at, ExchangeNanos: at}
					}
					var truth [][]tick.Unit
					var commands []tick.BackfillCommand
					rows, bars := map[tick.ID]int{}, map[[2]int64]*tick.BarRow{}
					gaps := map[[2]int64]*tick.GapRow{}
					take := func() {
						for _, units := range [][]tick.Unit{slices.Clone(s.shard.TakeRows()), slices.Clone(s.shard.TakeCommands())} {
							eachRow(units, func(row []tick.Unit) {
								switch r := row[0].RowHeader(); r.Kind {
								case tick.RowTrade:
									rows[row[0].TradeRow().ID]++
								case tick.RowBar:
									bars[[2]int64{row[0].BarRow().IntervalNanos, r.TsNanos}] = row[0].BarRow()
								case tick.RowGap:
									gaps[[2]int64{r.TsNanos, int64(r.Ord)}] = row[0].GapRow()
								case tick.CmdBackfill:
									commands = append(commands, *row[0].BackfillCommand())
								}
							})
						}
					}
					give := func(p []tick.Unit) { s.shard.Apply(p); take() }
					now, up, lastGiven := midnight+2e9, true, int64(0)
					for n := uint64(1); n < 300; n++ {
						now += random.Int64N(400e6)
						id := tick.ID{Lo: n}
						if ids == tick.TradeIDUUID {
							id = tick.ID{Hi: random.Uint64(), Lo: random.Uint64()}
						}
						p := tradePacket(h(tick.KindTrade, now), id.Lo, tick.Level{Price: 1 + random.Int64N(50), Size: 1 + random.Int64N(9)})
						p[0].Trade().ID = id
						truth = append(truth, p)
						switch {
						case n > 20 && up && random.IntN(30) == 0 && n < 280:
							give(tick.AppendEvent(nil, h(tick.KindDown, now), tick.ChannelTrades, tick.ReasonDisconnect))
							up = false
						case up && !(ids == tick.TradeIDContiguous && n > 1 && random.IntN(40) == 0):
							give(slices.Clone(p))
							lastGiven = now
						case n == 280 || random.IntN(20) == 0:
							give(tick.AppendEvent(nil, h(tick.KindUp, now), tick.ChannelTrades, tick.ReasonNone))
							up = true
						}
						for ; len(commands) > 0 && random.IntN(10) == 0; commands = commands[1:] {
							answer(s, random.Perm, &commands[0], truth, now, give)
						}
					}
					for range 200 {
						now += 1e9
						give(tickPacket(now))
						for ; len(commands) > 0; commands = commands[1:] {
							answer(s, random.Perm, &commands[0], truth, now, give)
						}
					}
					// What was missed before the first trade, or after the last one, is no case.
					for _, p := range truth {
						if n := rows[p[0].Trade().ID]; n != 1 && p[0].Header().ExchangeNanos < lastGiven {
							t.Errorf("trade %v: %d rows", p[0].Trade().ID, n)
						}
					}
					for _, g := range gaps {
						if g.Reason != tick.ReasonStart && (g.Flags&tick.RowRepaired == 0 || g.Lost != 0) {
							t.Errorf("gap %+v", g)
						}
					}
					first := truth[0][0].Header().ExchangeNanos
					for _, interval := range []int64{1e9, 7e9} {
						for start := first/interval*interval + interval; start+interval <= lastGiven; start += interval {
							var trades, volume int64
							for _, p := range truth {
								if at := p[0].Header().ExchangeNanos; at >= start && at < start+interval {
									trades++
									volume += p[0].Trade().Size
								}
							}
							b := bars[[2]int64{interval, start}]
							switch {
							case b == nil && (trades > 0 || carry):
								t.Errorf("no bar of %d trades at %s", trades, clockText(start))
							case b != nil && (b.Trades != uint64(trades) || b.Volume != tick.Int128Of(volume) || b.Flags&tick.RowComplete == 0):
								t.Errorf("bar %s %s: %d trades volume %v complete %v, want %d and %d", time.Duration(interval), clockText(start), b.Trades, b.Volume, b.Flags&tick.RowComplete != 0, trades, volume)
							}
						}
					}
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}

// answer gives what a venue answers to a command: trades of about that time,
// in any order, some of them twice, and the end.
func answer(s *story, permute func(int) []int, c *tick.BackfillCommand, truth [][]tick.Unit, now int64, give func([]tick.Unit)) {
	var page [][]tick.Unit
	for _, p := range truth {
		if at := p[0].Header().ExchangeNanos; at >= c.TsNanos-5e9 && at <= c.EndNanos+5e9 {
			page = append(page, p)
		}
	}
	for _, i := range slices.Concat(permute(len(page)), permute(len(page)/2)) {
		p := slices.Clone(page[i])
		p[0].Header().ReceiveNanos = now
		p[0].Header().Flags |= tick.FlagBackfill | tick.FlagFetched
		give(p)
	}
	var u tick.Unit
	e := u.BackfillEnd()
	e.Header = tick.Header{Kind: tick.KindBackfillEnd, Line: 2, ReceiveNanos: now}
	e.Epoch, e.From, e.To, e.Outcome = c.Epoch, c.FromID, c.ToID, tick.BackfillWhole
	if c.ToID == 0 {
		e.From, e.To, e.ByTime = uint64(c.TsNanos), uint64(c.EndNanos), true
	}
	give([]tick.Unit{u})
}
