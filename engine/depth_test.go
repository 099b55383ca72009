package engine

import (
	"testing"
	"time"

	"tickproc/tick"
)

// A book is asked for, joined by the stream, and from then on followed.
func TestBookBegins(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "", `
		 9.0 catalog BTC channels=depth+quotes
			> catalog BTC
			> gap quotes BTC 9.000.. start
			> gap depth BTC 9.000.. start
			> book BTC 9.000 seq=0 invalid est
			> quote BTC 9.000 seq=0 0x0 0x0 invalid est
		 9.1 up BTC depth
			> resync BTC epoch=1 start
		 9.2 depth BTC 11..12 99x1 | 101x1
		 9.3 depth BTC 13..14 99x2
		 9.5 snapshot BTC 12 epoch=1 99x1 98x1 | 101x1 @0
			> gap depth BTC 9.000..9.300 start repaired
			> book BTC 9.500 seq=0 99x2 98x1 | 101x1 est
		10.1 depth BTC 15..15 99x3
			> book BTC 9.300 seq=14 99x2 98x1 | 101x1
		11.0 depth BTC 16..16 | 100x4
			> book BTC 10.100 seq=15 99x3 98x1 | 101x1
		12.3 tick
			> book BTC 11.000 seq=16 99x3 98x1 | 100x4 101x1
	`)
}

// A break of the ids shows at once, and the next snapshot mends it.
func TestBookBreaks(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "book gap resync", `
		 9.0 catalog BTC channels=depth
			> gap depth BTC 9.000.. start
			> book BTC 9.000 seq=0 invalid est
		 9.0 up BTC depth
			> resync BTC epoch=1 start
		 9.0 depth BTC 1..1
		 9.0 snapshot BTC 0 epoch=1 99x1 | 101x1
			> gap depth BTC 9.000..9.000 start repaired
			> book BTC 9.000000001 seq=0 99x1 | 101x1 est
		10.4 depth BTC 2..3 99x2
			> book BTC 9.000 seq=1 99x1 | 101x1
		10.5 depth BTC 5..5 99x3            // 4 is missing
			> book BTC 10.400 seq=3 99x2 | 101x1
			> gap depth BTC 10.400.. sequence
			> book BTC 10.500 seq=0 99x2 | 101x1 invalid est
			> resync BTC epoch=2 sequence
		10.6 snapshot BTC 4 epoch=1 99x2 | 101x1   // an answer to the question before
		10.7 snapshot BTC 4 epoch=2 99x2 | 101x1
			> gap depth BTC 10.400..10.500 sequence repaired
			> book BTC 10.700 seq=0 99x3 | 101x1 est
		11.5 depth BTC 6..6 99x4
			> book BTC 10.500 seq=5 99x3 | 101x1
		11.6 gap BTC depth overload
			> book BTC 11.500 seq=6 99x4 | 101x1
			> gap depth BTC 11.500.. overload
			> book BTC 11.600 seq=0 99x4 | 101x1 invalid est
			> resync BTC epoch=3 overload
		11.7 depth BTC 8..8 99x5
		11.8 snapshot BTC 6 epoch=3 99x4 | 101x1   // too old for what waits
			> resync BTC epoch=4 sequence
		11.9 snapshot BTC 7 epoch=4 99x4 | 101x2
			> gap depth BTC 11.500..11.700 overload repaired
			> book BTC 11.900 seq=0 99x5 | 101x2 est
		12.0 down BTC depth disconnect
			> book BTC 11.700 seq=8 99x5 | 101x2
			> gap depth BTC 11.700.. disconnect
			> book BTC 12.000 seq=0 99x5 | 101x2 invalid est
		12.1 snapshot BTC 9 epoch=4 99x4 | 101x2   // nobody waits
		15.0 up BTC depth
			> resync BTC epoch=6 disconnect
		15.1 depth BTC 90..90 99x6
		15.2 snapshot BTC 89 epoch=6 99x4 | 101x2
			> gap depth BTC 11.700..15.100 disconnect repaired
			> book BTC 15.200 seq=0 99x6 | 101x2 est
		16.0 down BTC depth stopped
			> book BTC 15.100 seq=90 99x6 | 101x2
			> gap depth BTC 15.100.. stopped
			> book BTC 16.000 seq=0 99x6 | 101x2 invalid est
	`)
}

// The row that says invalid is the latest of its table, also where the venue's
// clock is ahead of ours and nothing is known of it yet.
func TestBookInvalidIsLatest(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "book", `
		 9.0 catalog BTC channels=depth
			> book BTC 9.000 seq=0 invalid est
		 9.0 up BTC depth
		 9.1 depth BTC 1..1 99x1 @14.1
		 9.2 depth BTC 2..2 99x2 @15.2
		 9.3 depth BTC 4..4 99x2 @15.3
		 9.4 snapshot BTC 0 epoch=1 98x1 | 101x1    // its splice reaches 2, and breaks
			> book BTC 14.100 seq=1 99x1 98x1 | 101x1
			> book BTC 15.200 seq=2 99x2 98x1 | 101x1
			> book BTC 15.200000001 seq=0 99x2 98x1 | 101x1 invalid est
		 9.5 snapshot BTC 3 epoch=2 98x1 | 101x1
			> book BTC 15.200000002 seq=0 99x2 98x1 | 101x1 est
		 9.6 down BTC depth disconnect
			> book BTC 15.300 seq=4 99x2 98x1 | 101x1
			> book BTC 15.300000001 seq=0 99x2 98x1 | 101x1 invalid est
		 9.7 up BTC depth
		 9.7 depth BTC 10..10 99x4 @11.0
		 9.8 depth BTC 12..12 99x5 @12.5
		 9.9 snapshot BTC 9 98x1 | 101x1            // again, but far behind those rows
			> book BTC 11.000 seq=10 99x4 98x1 | 101x1
	`)
}

// A delta that crosses the book breaks it, and no row shows what it made of it.
func TestBookCrossed(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "book quote gap resync", `
		 9.0 catalog BTC channels=depth
			> gap depth BTC 9.000.. start
			> book BTC 9.000 seq=0 invalid est
			> quote BTC 9.000 seq=0 0x0 0x0 invalid book est
		 9.0 up BTC depth
			> resync BTC epoch=1 start
		 9.0 depth BTC 1..1
		 9.0 snapshot BTC 0 epoch=1 99x1 | 101x1
			> quote BTC 9.000 seq=1 99x1 101x1 book
			> gap depth BTC 9.000..9.000 start repaired
			> book BTC 9.000000001 seq=0 99x1 | 101x1 est
			> quote BTC 9.000000001 seq=0 99x1 101x1 book est
		10.1 depth BTC 2..2 99x2
			> book BTC 9.000 seq=1 99x1 | 101x1
			> quote BTC 10.100 seq=2 99x2 101x1 book
		10.2 depth BTC 3..3 102x1
			> gap depth BTC 10.100.. crossed
			> book BTC 10.200 seq=0 102x1 99x2 | 101x1 invalid est
			> quote BTC 10.200 seq=0 99x2 101x1 invalid book est
			> resync BTC epoch=2 crossed
		10.3 depth BTC 4..4 102x0
		10.5 snapshot BTC 3 epoch=2 99x2 | 101x1
			> quote BTC 10.300 seq=4 99x2 101x1 book
			> gap depth BTC 10.100..10.300 crossed repaired
			> book BTC 10.500 seq=0 99x2 | 101x1 est
			> quote BTC 10.500 seq=0 99x2 101x1 book est
		11.3 tick
			> book BTC 10.300 seq=4 99x2 | 101x1
	`)
	tell(t, Options{BookOnChange: true}, "book quote", `
		 9.0 catalog BTC channels=depth
			> book BTC 9.000 seq=0 invalid est
			> quote BTC 9.000 seq=0 0x0 0x0 invalid book est
		 9.0 up BTC depth
		 9.0 depth BTC 1..1
		 9.0 snapshot BTC 0 epoch=1 99x1 | 101x1
			> book BTC 9.000 seq=1 99x1 | 101x1
			> quote BTC 9.000 seq=1 99x1 101x1 book
			> book BTC 9.000000001 seq=0 99x1 | 101x1 est
			> quote BTC 9.000000001 seq=0 99x1 101x1 book est
		10.1 depth BTC 2..2 99x2
			> book BTC 10.100 seq=2 99x2 | 101x1
			> quote BTC 10.100 seq=2 99x2 101x1 book
		10.2 depth BTC 3..3 102x1
			> book BTC 10.200 seq=0 102x1 99x2 | 101x1 invalid est
			> quote BTC 10.200 seq=0 99x2 101x1 invalid book est
		10.3 depth BTC 4..4 102x0
		10.5 snapshot BTC 3 epoch=2 99x2 | 101x1
			> book BTC 10.300 seq=4 99x2 | 101x1
			> quote BTC 10.300 seq=4 99x2 101x1 book
			> book BTC 10.500 seq=0 99x2 | 101x1 est
			> quote BTC 10.500 seq=0 99x2 101x1 book est
		11.4 tick
	`)
}

// A stream of whole books needs no question; one that crosses is not shown.
func TestBookImages(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "book gap resync", `
		 9.0 catalog BTC channels=depth rule=images
			> gap depth BTC 9.000.. start
			> book BTC 9.000 seq=0 invalid est
		 9.0 up BTC depth
		 9.1 depth BTC 0..0 99x1 | 101x1
			> gap depth BTC 9.000..9.100 start repaired
			> book BTC 9.100 seq=0 99x1 | 101x1 est
		10.1 depth BTC 0..0 98x1 | 101x1
			> book BTC 9.100 seq=0 99x1 | 101x1 ord=1
		10.2 depth BTC 0..0 102x1 | 101x1
			> gap depth BTC 10.100.. crossed
			> book BTC 10.200 seq=0 102x1 | 101x1 invalid est
			> resync BTC epoch=1 crossed
		10.3 depth BTC 0..0 98x2 | 101x1
			> gap depth BTC 10.100..10.300 crossed repaired
			> book BTC 10.300 seq=0 98x2 | 101x1 est
		11.3 tick
			> book BTC 10.300 seq=0 98x2 | 101x1 ord=1
	`)
}

// A snapshot on the stream is a message like others: sampled, timed, believed.
func TestBookStreamedSnapshot(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "book gap resync", `
		 9.0 catalog BTC channels=depth rule=streamed
			> gap depth BTC 9.000.. start
			> book BTC 9.000 seq=0 invalid est
		 9.0 up BTC depth
		 9.1 snapshot BTC 7 99x1 | 101x1
			> gap depth BTC 9.000..9.100 start repaired
			> book BTC 9.100 seq=0 99x1 | 101x1 est
		 9.2 depth BTC 8..8 99x2
		10.1 snapshot BTC 9 99x3 | 101x1
			> book BTC 9.200 seq=8 99x2 | 101x1
		10.2 depth BTC 11..11 99x2
			> book BTC 10.100 seq=9 99x3 | 101x1
			> gap depth BTC 10.100.. sequence
			> book BTC 10.200 seq=0 99x3 | 101x1 invalid est
			> resync BTC epoch=1 sequence
		10.3 snapshot BTC 12 99x3 | 101x1
			> gap depth BTC 10.100..10.300 sequence repaired
			> book BTC 10.300 seq=0 99x3 | 101x1 est
		10.4 snapshot BTC 13 102x3 | 101x1
			> gap depth BTC 10.300.. crossed
			> book BTC 10.400 seq=0 102x3 | 101x1 invalid est
			> resync BTC epoch=2 crossed
		11.3 tick
	`)
}

// Silence makes a book doubtful, at the time it does and by the clock alone.
func TestBookSilence(t *testing.T) {
	t.Parallel()
	tell(t, Options{Silence: 5 * time.Second}, "book gap resync", `
		 9.0 catalog BTC channels=depth
			> gap depth BTC 9.000.. start
			> book BTC 9.000 seq=0 invalid est
		 9.0 up BTC depth
			> resync BTC epoch=1 start
		 9.0 depth BTC 1..1
		 9.0 snapshot BTC 0 epoch=1 99x1 | 101x1
			> gap depth BTC 9.000..9.000 start repaired
			> book BTC 9.000000001 seq=0 99x1 | 101x1 est
		10.0 depth BTC 2..2 99x2
			> book BTC 9.000 seq=1 99x1 | 101x1
		14.999 tick
			> book BTC 10.000 seq=2 99x2 | 101x1
		15.5 tick
			> gap depth BTC 10.000.. silence
			> book BTC 15.000 seq=0 99x2 | 101x1 invalid est
			> resync BTC epoch=2 silence
		16.0 snapshot BTC 2 epoch=2 99x2 | 101x1
		16.1 depth BTC 3..3 99x3
			> gap depth BTC 10.000..16.100 silence repaired
			> book BTC 16.100 seq=0 99x3 | 101x1 est
	`)
}

// The venue's own quotes run ahead of its depth: the stream stands, though the
// connection lives. No snapshot is believed until it moves again.
func TestBookStale(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "book gap resync", `
		 9.0 catalog BTC channels=depth+quotes
			> gap quotes BTC 9.000.. start
			> gap depth BTC 9.000.. start
			> book BTC 9.000 seq=0 invalid est
		 9.0 up BTC depth
			> resync BTC epoch=1 start
		 9.0 depth BTC 1..1
		 9.0 snapshot BTC 0 epoch=1 99x1 | 101x1
			> gap depth BTC 9.000..9.000 start repaired
			> book BTC 9.000000001 seq=0 99x1 | 101x1 est
		10.0 quote BTC 5 99x2 101x1
			> gap quotes BTC 9.000..10.000 start repaired
		11.0 depth BTC 2..5 99x2              // it had only been slow
			> book BTC 9.000 seq=1 99x1 | 101x1
		12.0 quote BTC 7 99x3 101x1
		14.0 quote BTC 8 99x4 101x1
			> book BTC 11.000 seq=5 99x2 | 101x1
		14.999 tick
		15.0 tick
			> gap depth BTC 11.000.. stale
			> book BTC 15.000 seq=0 99x2 | 101x1 invalid est
			> resync BTC epoch=2 stale
		15.5 snapshot BTC 8 epoch=2 99x4 | 101x1
		18.0 depth BTC 9..9 99x5
			> resync BTC epoch=3 stale
		18.1 snapshot BTC 8 epoch=3 99x4 | 101x1
			> gap depth BTC 11.000..18.000 stale repaired
			> book BTC 18.100 seq=0 99x5 | 101x1 est
	`)
}

// What the venue's quotes contradict three times in a row is not its book.
func TestBookQuotesDiffer(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "book gap resync", `
		 9.0 catalog BTC channels=depth+quotes
			> gap quotes BTC 9.000.. start
			> gap depth BTC 9.000.. start
			> book BTC 9.000 seq=0 invalid est
		 9.0 up BTC depth
			> resync BTC epoch=1 start
		 9.0 depth BTC 1..1
		 9.0 snapshot BTC 0 epoch=1 99x1 | 101x1
			> gap depth BTC 9.000..9.000 start repaired
			> book BTC 9.000000001 seq=0 99x1 | 101x1 est
		10.1 quote BTC 2 99x2 101x1
			> gap quotes BTC 9.000..10.100 start repaired
		10.2 depth BTC 2..2 99x9
			> book BTC 9.000 seq=1 99x1 | 101x1
		10.3 quote BTC 3 99x3 101x1
		10.4 depth BTC 3..3 99x8
		10.5 quote BTC 4 99x4 101x1
		10.6 depth BTC 4..4 99x7
			> gap depth BTC 10.400.. quote_differs
			> book BTC 10.600 seq=0 99x7 | 101x1 invalid est
			> resync BTC epoch=2 quote_differs
	`)
}

// A channel that a later connection brings begins then, and takes nothing back
// from the others.
func TestChannelsAdded(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "", `
		 9.0 catalog BTC channels=depth
			> catalog BTC
			> gap depth BTC 9.000.. start
			> book BTC 9.000 seq=0 invalid est
			> quote BTC 9.000 seq=0 0x0 0x0 invalid book est
		 9.1 depth BTC 1..1
			> resync BTC epoch=1 start
		 9.1 snapshot BTC 0 99x1 | 101x1
			> quote BTC 9.100 seq=1 99x1 101x1 book
			> gap depth BTC 9.000..9.100 start repaired
			> book BTC 9.100 seq=0 99x1 | 101x1 est
			> quote BTC 9.100000001 seq=0 99x1 101x1 book est
		 9.2 catalog BTC channels=trades
			> gap trades BTC 9.200.. start
		 9.3 trade BTC 7 100x1
			> gap trades BTC 9.200..9.300 start
			> trade BTC 9.300 id=7 buy 100x1
		 9.4 catalog BTC channels=depth+quotes
			> gap quotes BTC 9.400.. start
			> quote BTC 9.400 seq=0 99x1 101x1 invalid est
		 9.5 quote BTC 1 99x1 101x1
			> gap quotes BTC 9.400..9.500 start repaired
			> quote BTC 9.500 seq=1 99x1 101x1
		 9.6 catalog BTC channels=depth+quotes+trades
	`)
}

func TestDepthIndex(t *testing.T) {
	if depthIndex != tick.ChannelDepth.Index() {
		t.Error("depthIndex is not the place of the depth channel")
	}
}
