package engine

import "testing"

// What messages tell adds up, each number at its own digits, and is a row when
// it changed.
func TestFunding(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "funding gap", `
		 9.0 catalog BTC channels=funding digits=2/3
			> gap funding BTC 9.000.. start
		 9.1 up BTC funding
		10.0 mark BTC mark=100.12345678 @9.99
			> gap funding BTC 9.000..9.990 start repaired
			> funding BTC 9.990 mark=100.12345678
		10.1 mark BTC rate=0.00010000 next=28800.0 @9.99      // told by another stream
			> funding BTC 9.990 mark=100.12345678 rate=0.00010000 next=28800.000 ord=1
		10.2 mark BTC mark=100.123456780 index=99.5 @10.19    // the mark is the same number
			> funding BTC 10.190 mark=100.123456780 index=99.500000000 rate=0.00010000 next=28800.000
		10.3 mark BTC mark=100.12345678 index=99.5 rate=0.0001 next=28800.0 @10.29
		10.4 mark BTC rate=-0.000015
			> funding BTC 10.400 mark=100.12345678 index=99.50000000 rate=-0.000015 next=28800.000
		10.5 mark BTC next=57600.0 @0
			> funding BTC 10.500 mark=100.12345678 index=99.50000000 rate=-0.000015 next=57600.000 recv
		10.6 mark BTC                                          // tells nothing
	`)
}

// After a gap the next message is the whole truth again, and written though it
// is what was known before.
func TestFundingGaps(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "funding gap", `
		 9.0 catalog BTC channels=funding
			> gap funding BTC 9.000.. start
		10.0 mark BTC mark=100 rate=0.0001
			> gap funding BTC 9.000..10.000 start repaired
			> funding BTC 10.000 mark=100 rate=0.0001
		11.0 down BTC funding disconnect
			> gap funding BTC 10.000.. disconnect
		11.1 down BTC funding silence
		12.0 up BTC funding
		13.0 mark BTC mark=100
			> gap funding BTC 10.000..13.000 disconnect repaired
			> funding BTC 13.000 mark=100 rate=0.0001
		14.0 gap BTC funding overload
			> gap funding BTC 13.000.. overload
		15.0 mark BTC                                          // it is alive, and tells nothing that is not known
			> gap funding BTC 13.000..15.000 overload repaired
			> funding BTC 15.000 mark=100 rate=0.0001
	`)
}

// A finer scale of the instrument's prices is none of reference prices' business.
func TestFundingIsNotRescaled(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "funding interest", `
		 9.0 catalog BTC channels=funding+open_interest
		10.0 mark BTC mark=100.5
			> funding BTC 10.000 mark=100.5
		10.0 interest BTC 12.5
			> interest BTC 10.000 12.5
		10.1 rescale BTC 3/3
		10.2 mark BTC mark=100.5 line=2
		10.2 interest BTC 12.5 line=2
		10.3 mark BTC mark=100.75 line=2
			> funding BTC 10.300 mark=100.75
		10.3 interest BTC 13 line=2
			> interest BTC 10.300 13
	`)
}
