package engine

import "testing"

// One row a change of the four numbers, at the venue's time.
func TestQuotes(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "quote gap", `
		 9.0 catalog BTC channels=quotes
			> gap quotes BTC 9.000.. start
			> quote BTC 9.000 seq=0 0x0 0x0 invalid est
		 9.1 up BTC quotes
		10.0 quote BTC 5 99x1 101x1 @9.99
			> gap quotes BTC 9.000..9.990 start repaired
			> quote BTC 9.990 seq=5 99x1 101x1
		10.1 quote BTC 6 99x1 101x1 @10.09      // nothing changed
		10.2 quote BTC 7 99x2 101x1 @10.19
			> quote BTC 10.190 seq=7 99x2 101x1
		10.3 quote BTC 7 99x3 101x1 @10.19      // a venue without ids of its own
			> quote BTC 10.190 seq=7 99x3 101x1 ord=1
		10.4 quote BTC 8 0x0 101x1 @10.39       // nobody bids
			> quote BTC 10.390 seq=8 0x0 101x1
		11.0 down BTC quotes disconnect
			> gap quotes BTC 10.390.. disconnect
			> quote BTC 10.990 seq=0 0x0 101x1 invalid est
		11.1 down BTC quotes silence
		12.0 up BTC quotes
		13.0 quote BTC 9 0x0 101x1 @12.99       // as before, but now it is known
			> gap quotes BTC 10.390..12.990 disconnect repaired
			> quote BTC 12.990 seq=9 0x0 101x1
		14.0 gap BTC quotes overload
			> gap quotes BTC 12.990.. overload
			> quote BTC 13.990 seq=0 0x0 101x1 invalid est
		15.0 quote BTC 10 99x1 101x1
			> gap quotes BTC 12.990..15.000 overload repaired
			> quote BTC 15.000 seq=10 99x1 101x1
	`)
}

// Without a time of the venue, or with a nonsensical one, ours stands in.
func TestQuoteTimes(t *testing.T) {
	t.Parallel()
	s := tell(t, Options{}, "quote", `
		  9.0 catalog BTC channels=quotes
			> quote BTC 9.000 seq=0 0x0 0x0 invalid est
		 10.0 quote BTC 5 99x1 101x1 @0
			> quote BTC 10.000 seq=5 99x1 101x1 recv
		 11.0 quote BTC 6 99x2 101x1 @1000.0
			> quote BTC 11.000 seq=6 99x2 101x1 recv
		700.0 quote BTC 7 99x3 101x1 @99.0
			> quote BTC 700.000 seq=7 99x3 101x1 recv
		700.1 quote BTC 8 99x4 101x1 @100.1
			> quote BTC 100.100 seq=8 99x4 101x1
	`)
	if n := s.shard.Reports(0)[0].Counts.TimesOutside; n != 2 {
		t.Errorf("%d times outside the window", n)
	}
}

// Where the venue's quotes are not subscribed our book speaks for them, while
// it is valid.
func TestQuotesFromTheBook(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "quote", `
		 9.0 catalog BTC channels=depth
			> quote BTC 9.000 seq=0 0x0 0x0 invalid book est
		 9.0 up BTC depth
		 9.1 depth BTC 1..1 99x1
		 9.2 depth BTC 2..2 99x2
		 9.3 snapshot BTC 0 epoch=1 98x1 | 101x1
			> quote BTC 9.100 seq=1 99x1 101x1 book
			> quote BTC 9.200 seq=2 99x2 101x1 book
			> quote BTC 9.300 seq=0 99x2 101x1 book est
		 9.4 depth BTC 3..3 97x1                // the best did not change
		 9.5 depth BTC 4..4 | 101x2
			> quote BTC 9.500 seq=4 99x2 101x2 book
		 9.6 depth BTC 6..6 | 101x3
			> quote BTC 9.600 seq=0 99x2 101x2 invalid book est
		 9.7 snapshot BTC 5 epoch=2 99x2 | 101x2
			> quote BTC 9.600 seq=6 99x2 101x3 book
			> quote BTC 9.700 seq=0 99x2 101x3 book est
		 9.8 down BTC depth disconnect
			> quote BTC 9.800 seq=0 99x2 101x3 invalid book est
		10.0 up BTC depth
		10.1 snapshot BTC 9 epoch=4 99x2 | 101x2 // alone: believed a second later
		11.2 tick
			> quote BTC 11.100 seq=0 99x2 101x2 book est
	`)
}
