package engine

import (
	"testing"
	"time"
)

// A second line changes nothing that is seen, nor does the end of one of two:
// only when none is left the channel is down.
func TestTwoLinesDepth(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "book gap resync", `
		 9.0 catalog BTC channels=depth
			> gap depth BTC 9.000.. start
			> book BTC 9.000 seq=0 invalid est
		 9.0 up BTC depth
			> resync BTC epoch=1 start
		 9.0 depth BTC 1..1
		 9.0 snapshot BTC 0 epoch=1 line=9 99x1 | 101x1
			> gap depth BTC 9.000..9.000 start repaired
			> book BTC 9.000000001 seq=0 99x1 | 101x1 est
		 9.1 up BTC depth line=2
		10.1 depth BTC 2..2 99x2
			> book BTC 9.000 seq=1 99x1 | 101x1
		10.11 depth BTC 2..2 99x2 line=2            // a copy
		10.2 depth BTC 4..4 99x4                    // 3 is lost here …
		10.3 depth BTC 3..3 99x3 98x3 line=2        // … and not there
		11.1 depth BTC 5..5 99x5 line=2
			> book BTC 10.200 seq=4 99x4 98x3 | 101x1
		11.2 gap BTC depth overload line=2          // ids will tell
		11.3 down BTC depth disconnect line=2
		11.4 up BTC depth line=2
		12.1 depth BTC 7..7 99x7 line=2
		12.34 tick
			> book BTC 11.100 seq=5 99x5 98x3 | 101x1
		12.4 tick                                   // 6 has not come by any line
			> gap depth BTC 11.100.. sequence
			> book BTC 12.350 seq=0 99x5 98x3 | 101x1 invalid est
			> resync BTC epoch=2 sequence line=2
		12.5 snapshot BTC 6 epoch=2 line=9 99x6 | 101x1
			> gap depth BTC 11.100..12.100 sequence repaired
			> book BTC 12.500 seq=0 99x7 | 101x1 est
		12.6 down BTC depth disconnect
		12.7 depth BTC 9..9 99x9 line=2             // the only line again: no waiting
			> book BTC 12.100 seq=7 99x7 | 101x1
			> gap depth BTC 12.100.. sequence
			> book BTC 12.700 seq=0 99x7 | 101x1 invalid est
			> resync BTC epoch=3 sequence line=2
		12.8 down BTC depth disconnect line=2
	`)
}

// Where ids mean nothing each line keeps its book; one that breaks gives way
// to the other without a word, and is asked for again.
func TestTwoLinesStandby(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "book quote gap resync", `
		 9.0 catalog BTC channels=depth rule=plain
			> gap depth BTC 9.000.. start
			> book BTC 9.000 seq=0 invalid est
			> quote BTC 9.000 seq=0 0x0 0x0 invalid book est
		 9.0 up BTC depth
		 9.1 snapshot BTC 0 99x1 | 101x1
			> quote BTC 9.100 seq=0 99x1 101x1 book
			> gap depth BTC 9.000..9.100 start repaired
			> book BTC 9.100 seq=0 99x1 | 101x1 est
			> quote BTC 9.100000001 seq=0 99x1 101x1 book est
		 9.2 up BTC depth line=2
		 9.3 snapshot BTC 0 line=2 99x1 | 101x1
		10.1 depth BTC 0..0 99x2
			> book BTC 9.100 seq=0 99x1 | 101x1 ord=1
			> quote BTC 10.100 seq=0 99x2 101x1 book
		10.11 depth BTC 0..0 line=2 99x2 @10.1
		10.2 depth BTC 0..0 102x1                   // nonsense on the first line
			> resync BTC epoch=1 crossed
		10.3 depth BTC 0..0 line=2 99x3
			> quote BTC 10.300 seq=0 99x3 101x1 book
		10.4 gap BTC depth overload                 // while it is mended anyway
		10.5 snapshot BTC 0 99x3 | 101x1
		10.6 gap BTC depth overload line=2
			> book BTC 10.300 seq=0 99x3 | 101x1
			> resync BTC epoch=2 overload line=2
		10.7 down BTC depth disconnect line=2
		10.8 up BTC depth line=2
		10.9 snapshot BTC 0 line=2 99x3 | 101x1
		11.1 down BTC depth disconnect
		11.2 gap BTC depth overload line=2          // now it is the only one
			> gap depth BTC 10.900.. overload
			> book BTC 11.200 seq=0 99x3 | 101x1 invalid est
			> quote BTC 11.200 seq=0 99x3 101x1 invalid book est
			> resync BTC epoch=3 overload line=2
		11.3 gap BTC depth overload line=2
		12.0 down BTC depth disconnect line=2
	`)
}

// Neither line is whole: the book is down, and the first that is mended leads.
func TestNoStandby(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "book gap resync", `
		 9.0 catalog BTC channels=depth rule=plain
			> gap depth BTC 9.000.. start
			> book BTC 9.000 seq=0 invalid est
		 9.1 snapshot BTC 0 99x1 | 101x1
			> gap depth BTC 9.000..9.100 start repaired
			> book BTC 9.100 seq=0 99x1 | 101x1 est
		 9.2 up BTC depth line=2
		 9.3 gap BTC depth overload
			> book BTC 9.100 seq=0 99x1 | 101x1 ord=1
			> gap depth BTC 9.100.. overload
			> book BTC 9.300 seq=0 99x1 | 101x1 invalid est
			> resync BTC epoch=1 overload
		 9.4 snapshot BTC 0 line=2 99x2 | 101x1
			> gap depth BTC 9.100..9.400 overload repaired
			> book BTC 9.400 seq=0 99x2 | 101x1 est
		 9.5 down BTC depth disconnect line=2
			> book BTC 9.400 seq=0 99x2 | 101x1 ord=1
			> gap depth BTC 9.400.. disconnect
			> book BTC 9.500 seq=0 99x1 | 101x1 invalid est
		40.0 tick                                   // nobody answers
			> resync BTC epoch=2 disconnect
	`)
}

// A leader whose stream stands still, while the other's goes on, is not shown
// for long.
func TestLeaderFallsBehind(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "book gap resync", `
		 9.0 catalog BTC channels=depth rule=plain
			> gap depth BTC 9.000.. start
			> book BTC 9.000 seq=0 invalid est
		 9.1 snapshot BTC 0 99x1 | 101x1
			> gap depth BTC 9.000..9.100 start repaired
			> book BTC 9.100 seq=0 99x1 | 101x1 est
		 9.2 snapshot BTC 0 line=2 99x1 | 101x1
		10.0 depth BTC 0..0 line=2 99x2
		12.1 depth BTC 0..0 line=2 99x3
			> book BTC 9.100 seq=0 99x1 | 101x1 ord=1
		12.2 depth BTC 0..0 line=2 99x4
			> resync BTC epoch=1 stale
		13.1 depth BTC 0..0 line=2 99x5
			> book BTC 12.200 seq=0 99x4 | 101x1
	`)
}

// Trades are told apart by id, quotes and whole books by who is first.
func TestTwoLinesEvents(t *testing.T) {
	t.Parallel()
	s := tell(t, Options{}, "trade quote gap", `
		 9.0 catalog BTC channels=trades+quotes rule=streamed
			> gap trades BTC 9.000.. start
			> gap quotes BTC 9.000.. start
			> quote BTC 9.000 seq=0 0x0 0x0 invalid est
		 9.0 up BTC trades
		 9.0 up BTC quotes
		 9.0 up BTC trades line=2
		 9.0 up BTC quotes line=2
		10.0 trade BTC 1 100x1
			> gap trades BTC 9.000..10.000 start
			> trade BTC 10.000 id=1 buy 100x1
		10.1 trade BTC 1 100x1 line=2 @10.0
		10.2 quote BTC 0 99x1 101x1 line=2
			> gap quotes BTC 9.000..10.200 start repaired
			> quote BTC 10.200 seq=0 99x1 101x1
		10.3 quote BTC 0 99x2 101x1 line=2
			> quote BTC 10.300 seq=0 99x2 101x1
		10.4 quote BTC 0 99x1 101x1 @10.2           // behind
		10.5 quote BTC 0 99x2 101x1 @10.3
		10.6 quote BTC 0 99x3 101x1 @10.3           // a second one at that time
			> quote BTC 10.300 seq=0 99x3 101x1 ord=1
		10.7 gap BTC trades overload                // the other line has them
		10.7 gap BTC quotes overload
		10.8 down BTC trades disconnect line=2
		10.8 down BTC quotes disconnect line=2
			> gap quotes BTC 10.300.. disconnect
			> quote BTC 10.800 seq=0 99x3 101x1 invalid est
		10.9 quote BTC 0 99x4 101x1
			> gap quotes BTC 10.300..10.900 disconnect repaired
			> quote BTC 10.900 seq=0 99x4 101x1
		11.0 trade BTC 2 100x1
			> trade BTC 11.000 id=2 buy 100x1
	`)
	if c := s.shard.Reports(0)[0].Counts; c.DuplicateTrades != 0 || c.Copies != 3 {
		t.Errorf("%+v", c)
	}
	tell(t, Options{BookOnChange: true}, "book", `
		 9.0 catalog BTC channels=depth rule=images
			> book BTC 9.000 seq=0 invalid est
		 9.1 depth BTC 0..0 99x1 | 101x1
			> book BTC 9.100 seq=0 99x1 | 101x1
			> book BTC 9.100000001 seq=0 99x1 | 101x1 est
		 9.2 depth BTC 0..0 99x1 | 101x1 line=2 @9.1
		 9.3 depth BTC 0..0 99x2 | 101x1 line=2
			> book BTC 9.300 seq=0 99x2 | 101x1
		 9.4 depth BTC 0..0 99x3 | 101x1
			> book BTC 9.400 seq=0 99x3 | 101x1
		 9.5 depth BTC 0..0 99x3 | 101x1 line=2 @9.35
	`)
}

// A line counts from when it came up, not from when a busy machine took notice.
func TestALineThatIsTakenLate(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "gap", `
		 9.0 catalog BTC channels=quotes rule=streamed
			> gap quotes BTC 9.000.. start
		 9.0 up BTC quotes
		10.0 quote BTC 0 99x1 101x1
			> gap quotes BTC 9.000..10.000 start repaired
		10.6 quote BTC 0 99x2 101x1
		10.3 up BTC quotes line=2
		10.6 quote BTC 0 99x2 101x1 line=2
		10.7 down BTC quotes reconnect              // line 2 is whole since 10.55
		10.8 up BTC quotes
		10.9 down BTC quotes reconnect line=2       // line 1 not yet
			> gap quotes BTC 10.600.. reconnect
	`)
}

// Quotes without ids that stay away from the top, later than the depth: the
// depth stands still. One that jitters says nothing.
func TestBookStaleWithoutIDs(t *testing.T) {
	t.Parallel()
	const begin = `
		 9.0 catalog BTC channels=depth+quotes rule=streamed
			> book BTC 9.000 seq=0 invalid est
		 9.1 snapshot BTC 7 99x1 | 101x1
			> book BTC 9.100 seq=0 99x1 | 101x1 est
	`
	tell(t, Options{BookEvery: time.Hour}, "book resync", begin+`
		10.0 quote BTC 0 98x1 101x1
		14.0 quote BTC 0 99x3 101x1                 // sizes do not count
		15.0 quote BTC 0 98x1 101x1
		19.0 depth BTC 8..8 98x1                    // depth has come as far
		19.1 quote BTC 0 97x1 101x1 @18.9           // older than the depth
		23.0 quote BTC 0 97x1 101x1
		23.1 quote BTC 0 97x1 101x1
		25.9 quote BTC 0 97x1 101x1
		26.0 quote BTC 0 97x1 101x1
			> book BTC 19.000 seq=8 99x1 98x1 | 101x1
			> book BTC 26.000 seq=0 99x1 98x1 | 101x1 invalid est
			> resync BTC epoch=1 stale
		27.0 snapshot BTC 9 97x1 | 101x1
			> book BTC 27.000 seq=0 97x1 | 101x1 est
		28.0 quote BTC 0 96x1 101x1
		29.5 quote BTC 0 96x1 101x1
		31.0 quote BTC 0 96x1 101x1
			> book BTC 27.000 seq=9 97x1 | 101x1
			> book BTC 31.000 seq=0 97x1 | 101x1 invalid est
			> resync BTC epoch=2 stale
		32.0 snapshot BTC 9 96x1 | 101x1            // not again before the stream moves
		33.0 depth BTC 10..10 96x2
			> book BTC 33.000 seq=0 96x2 | 101x1 est
	`)
	tell(t, Options{BookEvery: time.Hour}, "book resync", begin+`
		10.0 quote BTC 0 98x1 101x1
		90.0 quote BTC 0 98x1 101x1                 // two are too few
		90.1 quote BTC 0 99x1 101x1
	`)
	tell(t, Options{BookEvery: time.Hour}, "book resync", `
		 9.0 catalog BTC channels=depth+quotes rule=tradequotes
			> book BTC 9.000 seq=0 invalid est
		 9.1 snapshot BTC 7 99x1 | 101x1
			> book BTC 9.100 seq=0 99x1 | 101x1 est
		10.0 quote BTC 0 98x1 101x1
		20.0 quote BTC 0 98x1 101x1
		30.0 quote BTC 0 98x1 101x1
		40.0 quote BTC 0 98x1 101x1
	`)
}

// The subscription itself asks for a book. One whose snapshot is lost on the
// way is asked for again, and not before it had time to come.
func TestAFirstSnapshotThatIsLost(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "resync", `
		 8.0 catalog BTC rule=streamed
		 9.0 up BTC depth
		10.0 depth BTC 5..5 99x1
		38.9 tick
		39.0 tick
			> resync BTC epoch=1 start
		39.5 snapshot BTC 9 99x1 | 101x1
		80.0 tick
	`)
}
