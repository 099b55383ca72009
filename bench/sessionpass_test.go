package bench

import "testing"

// A pass counts every trade of the session once, and its book ends as that of a
// shard that got the frames without ring and log.
func TestPass(t *testing.T) {
	s, err := Generate(Recipe{Venue: spot, Frames: 4000, Symbols: 1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Pass()
	if err != nil {
		t.Fatal(err)
	}
	want := replayDirect(s).Reports(1)[0]
	if got.Trades != want.Counts.Trades || got.Quotes != want.Counts.Quotes || got.Books != want.Depth.Applied || got.Bid != want.Bids[0] || got.Ask != want.Asks[0] {
		t.Errorf("%+v, want %d trades, %d quotes, %d messages of depth, best %v %v", got, want.Counts.Trades, want.Counts.Quotes, want.Depth.Applied, want.Bids[0], want.Asks[0])
	}
	if got.Trades == 0 || got.Books == 0 || got.CPU <= 0 {
		t.Errorf("nothing was done: %+v", got)
	}
}
