package tick

import "testing"

// Each fault alone, in packets that are else sound.
func TestWellFormed(t *testing.T) {
	t.Parallel()
	const whole = FlagFirst | FlagLast
	trade := func(price, size int64, flags Flags) (u Unit) {
		*u.Trade() = Trade{Header: Header{Kind: KindTrade, Flags: whole | flags}, Price: price, Size: size}
		return u
	}
	depth := func(kind Kind, flags Flags, bids, levels uint16) (u Unit) {
		*u.Depth() = Depth{Header: Header{Kind: kind, Flags: flags}, Bids: bids, LevelCount: levels}
		return u
	}
	rescale := func(digits uint8) (u Unit) {
		*u.Rescale() = Rescale{Header: Header{Kind: KindRescale}, PriceDigits: digits}
		return u
	}
	sound := trade(1, 1, 0)
	for _, c := range []struct {
		name  string
		ok    bool
		units []Unit
	}{
		{"nothing", true, nil},
		{"two trades behind a rescale", true, []Unit{rescale(2), sound, sound}},
		{"no market trade needs no price", true, []Unit{trade(0, 0, FlagNotMarket)}},
		{"an empty book in two fragments", true, []Unit{depth(KindDepth, FlagFirst, 0, 0), depth(KindDepth, FlagLast, 0, 0)}},
		{"a market trade without a price", false, []Unit{trade(0, 1, 0)}},
		{"a negative size", false, []Unit{trade(1, -1, FlagNotMarket)}},
		{"an unknown kind", false, []Unit{{}}},
		{"a rescale behind data", false, []Unit{sound, rescale(2)}},
		{"too many digits", false, []Unit{rescale(MaxDigits + 1)}},
		{"levels that are not there", false, []Unit{depth(KindDepth, whole, 1, 2)}},
		{"more bids than levels", false, []Unit{depth(KindDepth, whole, 1, 0)}},
		{"a quote of no levels", false, []Unit{depth(KindQuote, whole, 0, 0)}},
		{"a first fragment in a message", false, []Unit{depth(KindDepth, FlagFirst, 0, 0), depth(KindDepth, whole, 0, 0)}},
		{"a fragment of nothing", false, []Unit{depth(KindDepth, FlagLast, 0, 0)}},
		{"a trade between fragments", false, []Unit{depth(KindDepth, FlagFirst, 0, 0), sound}},
		{"no last fragment", false, []Unit{depth(KindDepth, FlagFirst, 0, 0)}},
	} {
		if err := WellFormed(c.units); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
