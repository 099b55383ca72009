package engine

import "testing"

// Every forced order is a row. None may come for days, so that the channel's
// being up ends what was not seen.
func TestLiquidations(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "forced gap", `
		  9.0 catalog BTC channels=liquidations
			> gap liquidations BTC 9.000.. start
		  9.5 up BTC liquidations
			> gap liquidations BTC 9.000..9.500 start
		 10.0 forced BTC 100x2 sell @9.9
			> forced BTC 9.900 sell 100x2
		 10.0 forced BTC 100x2 sell @9.9            // another one just like it
			> forced BTC 9.900 sell 100x2 ord=1
		 10.1 forced BTC 101x1
			> forced BTC 10.100 buy 101x1
		100.0 down BTC liquidations disconnect
			> gap liquidations BTC 10.100.. disconnect
		101.0 up BTC liquidations
			> gap liquidations BTC 10.100..101.000 disconnect
		200.0 gap BTC liquidations overload         // lost up to now, and the channel goes on
			> gap liquidations BTC 101.000.. overload
			> gap liquidations BTC 101.000..200.000 overload
		201.0 down BTC liquidations disconnect
			> gap liquidations BTC 200.000.. disconnect
		202.0 forced BTC 101x1                       // as good as an acknowledgement
			> gap liquidations BTC 200.000..202.000 disconnect
			> forced BTC 202.000 buy 101x1
	`)
}

// Lines that still use the coarser scale are multiplied up, as trades are.
func TestLiquidationsAreRescaled(t *testing.T) {
	t.Parallel()
	tell(t, Options{}, "forced", `
		 9.0 catalog BTC channels=liquidations digits=0/0
		10.0 rescale BTC 2/1 line=2
		10.1 forced BTC 100.25x2.5 line=2
			> forced BTC 10.100 buy 100.25x2.5
		10.2 forced BTC 100x2 line=3
			> forced BTC 10.200 buy 100x2
	`)
}
