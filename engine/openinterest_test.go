package engine

import "testing"

// One row a change, and one after each gap.
func TestOpenInterest(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "interest gap", `
		 9.0 catalog BTC channels=open_interest
			> gap open_interest BTC 9.000.. start
		10.0 interest BTC 1234.5 @9.9
			> gap open_interest BTC 9.000..9.900 start repaired
			> interest BTC 9.900 1234.5
		11.0 interest BTC 1234.50 @10.9                // the same number
		12.0 interest BTC 1234.6 @10.9
			> interest BTC 10.900 1234.6
		12.1 interest BTC 0 @10.9
			> interest BTC 10.900 0 ord=1
		13.0 down BTC open_interest stopped
			> gap open_interest BTC 10.900.. stopped
		14.0 interest BTC 0 @0
			> gap open_interest BTC 10.900..14.000 stopped repaired
			> interest BTC 14.000 0 recv
	`)
}
