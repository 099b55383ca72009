package venues

import (
	"net/url"
	"slices"
	"testing"
)

// Every venue has one name, an adapter that bears it, and is found again by
// each of its addresses that no other venue has.
func TestEveryVenue(t *testing.T) {
	t.Parallel()
	names := Names()
	if !slices.Contains(names, "binance-spot") {
		t.Fatalf("%v", names)
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			t.Errorf("%s is there twice", name)
		}
		adapter, ok := New(name)
		if !ok || adapter.Venue() != name || adapter.Channels() == 0 {
			t.Errorf("%s: %+v", name, adapter)
		}
	}
	if _, ok := New("mtgox"); ok {
		t.Error("mtgox has an adapter")
	}
	found := 0
	for _, v := range addresses() {
		for _, u := range v.urls {
			shared := slices.ContainsFunc(addresses(), func(other venueAddresses) bool {
				return other.venue != v.venue && slices.ContainsFunc(other.urls, func(o *url.URL) bool { return *o == *u })
			})
			if shared {
				continue
			}
			found++
			if have, ok := OfURL(u.String()); !ok || have != v.venue {
				t.Errorf("%s is of %s, found %q", u, v.venue, have)
			}
		}
	}
	if found < len(names) {
		t.Errorf("only %d addresses", found)
	}
}

// Recordings of others use other paths and ports of the same hosts.
func TestVenueOfARecordedAddress(t *testing.T) {
	t.Parallel()
	f := func(recorded, want string) {
		t.Helper()
		if have, ok := OfURL(recorded); have != want && (ok || want != "") {
			t.Errorf("%s: %q, want %q", recorded, have, want)
		}
	}
	f("wss://stream.binance.com:443/ws/btcusdt@trade", "binance-spot")
	f("wss://STREAM.binance.com/stream?streams=btcusdt@trade", "binance-spot")
	f("wss://fstream.binance.com/ws/btcusdt@trade", "binance-usdm")
	f("https://dapi.binance.com/dapi/v1/depth?symbol=BTCUSD_PERP&limit=1000", "binance-coinm")
	f("https://example.com/dapi/v1/depth", "")
	f("://", "")
}

// Venues that share a host differ in the path or in the query.
func TestLikeness(t *testing.T) {
	t.Parallel()
	f := func(own, other, recorded string) {
		t.Helper()
		parse := func(text string) *url.URL {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		if !likenessOf(parse(other), parse(recorded)).less(likenessOf(parse(own), parse(recorded))) {
			t.Errorf("%s is not more like %s than %s", recorded, own, other)
		}
	}
	f("wss://h/v5/public/linear", "wss://h/v5/public/spot", "wss://h/v5/public/linear")
	f("wss://h/v5/public/linear", "wss://h/v5/public/spot", "wss://h/v5/public/linear/more")
	f("https://h/v5/i?category=linear&limit=1000", "https://h/v5/i?category=spot&limit=1000", "https://h/v5/i?limit=1000&category=linear&cursor=x")
	f("https://h/v5/i?category=linear", "https://h/v6/i?category=spot", "https://h/v5/x?category=spot")
}
