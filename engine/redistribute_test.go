package engine

import (
	"testing"

	"tickproc/tick"
)

// Two groups of one name that grew apart cannot come into one shard: they go to
// two, or the change is refused.
func TestRedistributeKeepsGroupsApart(t *testing.T) {
	t.Parallel()
	define := func(s *Shard, id uint32, venue, underlying string) {
		t.Helper()
		p, err := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: 100}, tick.Instrument{ID: id, Venue: venue, Symbol: "BTCUSDT",
			Underlying: underlying, Base: "BTC", Quote: "USDT", Type: tick.TypeSpot, Channels: tick.ChannelQuotes})
		if err != nil {
			t.Fatal(err)
		}
		s.Apply(p)
	}
	o := Options{Nbbo: true}
	a, b := NewShard(o), NewShard(o)
	define(a, 0, "okx", "BTC")
	define(a, 2, "kraken", "BTC")
	define(b, 1, "bybit-spot", "BTCUSDT")
	first := func(*tick.Instrument) int { return 0 }
	if _, err := Redistribute([]*Shard{a, b}, 1, first); err == nil {
		t.Error("two groups of one name are in one shard")
	}
	made, err := Redistribute([]*Shard{a, b}, 2, first)
	if err != nil {
		t.Fatal(err)
	}
	if len(made[0].Definitions()) != 2 || len(made[1].Definitions()) != 1 || made[0].StateHash()+made[1].StateHash() != a.StateHash()+b.StateHash() {
		t.Errorf("%d and %d instruments", len(made[0].Definitions()), len(made[1].Definitions()))
	}
}
