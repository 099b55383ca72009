package engine

import "testing"

// The venue answers with a book from its cache, before the stream's first
// message could show that it is old.
func TestStaleSnapshotIsNeverShown(t *testing.T) {
	tell(t, Options{}, "book gap resync", `
		10.0 catalog BTC channels=depth rule=spot
			> gap depth BTC 10.000.. start
			> book BTC 10.000 seq=0 invalid est
		10.0 up BTC depth
			> resync BTC epoch=1 start
		10.1 snapshot BTC 100 epoch=1 9x1 | 11x1
		10.2 depth BTC 150..151 9x2 |
			> resync BTC epoch=2 sequence
		10.3 snapshot BTC 151 epoch=2 9x2 | 11x1
		10.4 depth BTC 152..153 9x3 |
			> gap depth BTC 10.000..10.400 start repaired
			> book BTC 10.400 seq=0 9x3 | 11x1 est
	`)
}

// A book that stands still has no message to prove it.
func TestSnapshotOfAQuietBookIsBelieved(t *testing.T) {
	tell(t, Options{}, "book gap resync", `
		10.0 catalog BTC channels=depth rule=spot
			> gap depth BTC 10.000.. start
			> book BTC 10.000 seq=0 invalid est
		10.0 up BTC depth
			> resync BTC epoch=1 start
		10.1 snapshot BTC 100 epoch=1 9x1 | 11x1
		11.0 tick
		11.1 tick
			> gap depth BTC 10.000..11.100 start repaired
			> book BTC 11.100 seq=0 9x1 | 11x1 est
		20.0 depth BTC 101..101 9x2 |
		20.1 down BTC depth disconnect
			> book BTC 20.000 seq=101 9x2 | 11x1
			> gap depth BTC 20.000.. disconnect
			> book BTC 20.100 seq=0 9x2 | 11x1 invalid est
	`)
}

// The venue's quotes had named a later update than the snapshot's.
func TestSnapshotBehindTheQuotesIsFetchedAgain(t *testing.T) {
	tell(t, Options{}, "book gap resync", `
		10.0 catalog BTC channels=quotes+depth rule=spot
			> gap quotes BTC 10.000.. start
			> gap depth BTC 10.000.. start
			> book BTC 10.000 seq=0 invalid est
		10.0 up BTC depth
			> resync BTC epoch=1 start
		10.1 quote BTC 120 9x2 11x1
			> gap quotes BTC 10.000..10.100 start repaired
		10.2 snapshot BTC 100 epoch=1 9x1 | 11x1
		11.2 tick
			> resync BTC epoch=2 sequence
		11.3 snapshot BTC 120 epoch=2 9x2 | 11x1
		12.3 tick
			> gap depth BTC 10.000..12.300 start repaired
			> book BTC 12.300 seq=0 9x2 | 11x1 est
	`)
}

// Nor is one believed that is older than what the book had reached before,
// unless the venue insists: its ids may have begun anew.
func TestSnapshotBehindTheBookIsFetchedAgain(t *testing.T) {
	tell(t, Options{}, "gap resync", `
		10.0 catalog BTC channels=depth rule=spot
			> gap depth BTC 10.000.. start
		10.0 up BTC depth
			> resync BTC epoch=1 start
		10.1 snapshot BTC 100 epoch=1 9x1 | 11x1
		10.2 depth BTC 101..140 9x2 |
			> gap depth BTC 10.000..10.200 start repaired
		10.3 down BTC depth disconnect
			> gap depth BTC 10.200.. disconnect
		11.0 up BTC depth
			> resync BTC epoch=3 disconnect
		11.1 snapshot BTC 120 epoch=3 9x1 | 11x1
		12.1 tick
			> resync BTC epoch=4 sequence
		12.2 snapshot BTC 120 epoch=4 9x1 | 11x1
		13.2 tick
			> gap depth BTC 10.200..13.200 disconnect repaired
	`)
}

// Quotes that run ahead while a snapshot waits for its delta mean a stream
// that stands still.
func TestDoubtEndsAsStale(t *testing.T) {
	tell(t, Options{}, "book gap resync", `
		10.0 catalog BTC channels=quotes+depth rule=spot
			> gap quotes BTC 10.000.. start
			> gap depth BTC 10.000.. start
			> book BTC 10.000 seq=0 invalid est
		10.0 up BTC depth
			> resync BTC epoch=1 start
		10.2 snapshot BTC 100 epoch=1 9x1 | 11x1
		10.5 quote BTC 120 9x2 11x1
			> gap quotes BTC 10.000..10.500 start repaired
		11.2 tick
		13.5 tick
			> resync BTC epoch=2 stale
		13.6 snapshot BTC 120 epoch=2 9x2 | 11x1
		20.0 tick
		21.0 depth BTC 121..121 9x3 |
			> resync BTC epoch=3 stale
	`)
}

// After a silence the first packet may be one that was long on its way: the
// venue's clock did not go back.
func TestLateTradeAfterASilenceStaysLate(t *testing.T) {
	tell(t, Options{}, "trade", `
		10.0 catalog BTC channels=trades
		10.0 trade BTC 1 100x1
			> trade BTC 10.000 id=1 buy 100x1
		10.5 trade BTC 3 100x1
			> trade BTC 10.500 id=3 buy 100x1
		40.5 trade BTC 2 100x1 @10.4
			> trade BTC 10.400 id=2 buy 100x1 late
	`)
}
