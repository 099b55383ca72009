package kraken

import (
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

const (
	pastURL  = restURL + "/0/public/Trades?pair=XBTUSD&since=1"
	pastBody = `{"error":[],"result":{"XXBTZUSD":[["30243.40000","0.34507674",1688669597.8277369,"b","m","",61044952],["30243.30000","0.00376960",1688669598.2804112,"s","l","",61044953]],"last":"1688671969993150842"}}`
)

// An answer as the venue's documents show it. Its times are finer than those of
// the websocket; the shard cuts them.
func TestPastTrades(t *testing.T) {
	t.Parallel()
	table := feeds.NewTable([]*tick.Instrument{{Symbol: "BTC/USD", ID: 3, PriceDigits: 1, SizeDigits: 8}})
	units, err := spot.DecodeREST(nil, pastURL, []byte(pastBody), table, feeds.Stamp{}, 0)
	if err != nil || len(units) != 2 {
		t.Fatalf("%d units, %v", len(units), err)
	}
	a, b := units[0].Trade(), units[1].Trade()
	if a.ID.Lo != 61044952 || a.Price != 302434 || a.Size != 34507674 || a.Flags&tick.FlagSell != 0 || a.ExchangeNanos != 1688669597827736900 || a.Instrument != 3 ||
		b.ID.Lo != 61044953 || b.Flags&tick.FlagSell == 0 || b.Flags&tick.FlagFetched == 0 {
		t.Errorf("%+v\n%+v", a, b)
	}
	for _, body := range []string{`{"error":["EQuery:Unknown asset pair"]}`, `{"error":[],"result":{"last":"1"}}`, `{"error":[],"result":{"A":[],"B":[],"last":"1"}}`,
		`{"error":[],"result":{"A":[["1","1",1.5,"b","m",""]],"last":"1"}}`} {
		if units, err := spot.DecodeREST(nil, pastURL, []byte(body), table, feeds.Stamp{}, 0); err == nil || len(units) > 0 {
			t.Errorf("%s: %d units, %v", body, len(units), err)
		}
	}
}

// A pair is found by what its names are made of, whatever their lengths.
func TestPastTradesFindTheirPair(t *testing.T) {
	t.Parallel()
	for _, symbol := range []string{"BTC/USD", "DOGE/BTC", "ETH/USDT", "X/EUR", "1INCH/USDC"} {
		table := feeds.NewTable([]*tick.Instrument{{Symbol: "OTHER/USD"}, {Symbol: symbol}})
		if got := symbolOf(restPair(symbol), table); got != symbol {
			t.Errorf("%s is asked for as %s, which is read as %q", symbol, restPair(symbol), got)
		}
		if got := symbolOf(restPair(symbol), feeds.NewTable(nil)); got != "" {
			t.Errorf("%s is found as %s where nobody knows it", symbol, got)
		}
	}
}

// Pages go on by the time of the last trade until the last missing id.
func TestBackfillPages(t *testing.T) {
	t.Parallel()
	page := func(first, last uint64, at int64, n int) feeds.Page {
		return feeds.Page{Trades: n, FirstID: first, LastID: last, LastNanos: at}
	}
	f := func(want string, pages ...feeds.Page) {
		t.Helper()
		r, outcome := spot.Backfill(&feeds.Backfill{Instrument: &tick.Instrument{Symbol: "BTC/USD"}, FromID: 100, ToID: 5000, FromNanos: 500, ToNanos: 900, Pages: pages})
		got := outcome.String()
		if outcome == tick.BackfillPending {
			got = r.URL[len(restURL+"/0/public/Trades?pair=XBTUSD&"):]
		}
		if got != want {
			t.Errorf("after %+v: %q, want %q", pages, got, want)
		}
	}
	f("since=499&count=1000")
	f("since=699&count=1000", page(99, 1099, 700, 1000))
	f("whole", page(99, 1099, 700, 1000), page(1099, 5001, 901, 999))
	f("failed", page(99, 1098, 700, 999))
	f("failed", page(0, 0, 0, 0))
	f("partly", page(99, 1099, 700, 1000), page(1099, 2099, 700, 1000))
	f("partly", page(50, 90, 500, 1000))
	f("not_offered", feeds.Page{Refused: true})
}
