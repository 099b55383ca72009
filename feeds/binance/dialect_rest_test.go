package binance_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	. "tickproc/feeds/sim"
)

// A snapshot taken in the middle of things, spliced with the deltas of a real
// socket by the venue's documented rule, is the true book.
func TestBinanceSnapshotSplices(t *testing.T) {
	t.Parallel()
	for _, venue := range VenueNames() {
		symbol := firstSymbol[venue]
		l := newLab(t, Options{Rate: 500})
		c := l.dial(venue, combinedPath(venue, streamsOf(venue, symbol)[2:]), dialer)
		l.run(330 * time.Millisecond)
		_, _, body := l.get(venue, depthPath(venue, symbol, 1000))
		l.run(time.Second)
		l.finish()

		truth := l.truth(venue, symbol)
		book := model{}
		book.snapshot(t, body)
		check := func() {
			t.Helper()
			bids, asks := book.top(t, TruthDepth, truth.PriceDigits, truth.SizeDigits)
			wantBids, wantAsks, ok := truth.BookAt(book.last)
			if !ok || !slices.Equal(bids, wantBids) || !slices.Equal(asks, wantAsks) {
				t.Fatalf("%s: book at %d is %v %v, truth %v %v %v", venue, book.last, bids, asks, wantBids, wantAsks, ok)
			}
		}
		check()
		applied, dropped := 0, 0
		for _, f := range c.all() {
			_, m := parse(t, f)
			old, joins := m.Last <= book.last, m.U <= book.last+1
			if venue != BinanceSpot {
				old, joins = m.Last < book.last, m.U <= book.last || m.Prev == book.last
			}
			switch {
			case applied == 0 && old:
				dropped++
				continue
			case applied == 0 && !joins, applied > 0 && venue == BinanceSpot && m.U != book.last+1, applied > 0 && venue != BinanceSpot && m.Prev != book.last:
				t.Fatalf("%s: %d..%d (pu %d) does not join %d", venue, m.U, m.Last, m.Prev, book.last)
			}
			applied++
			book.apply(t, m.B, m.A)
			book.last = m.Last
			check()
		}
		if applied < 5 || dropped == 0 {
			t.Fatalf("%s: %d deltas applied, %d dropped", venue, applied, dropped)
		}
	}
}

func TestBinanceDepthAnswers(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{})
	f := func(venue, query string, status, levels int, weight string) {
		t.Helper()
		got, header, body := l.get(venue, restRoot(venue)+"depth?"+query)
		var s struct {
			Code       int
			Bids, Asks [][2]string
		}
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatal(err)
		}
		if got != status || len(s.Bids) != levels || len(s.Asks) != levels {
			t.Fatalf("%s %s: status %d, %d bids, %d asks: %.200s", venue, query, got, len(s.Bids), len(s.Asks), body)
		}
		if w := header.Get("x-mbx-used-weight-1m"); w != weight {
			t.Fatalf("%s %s: weight %q, want %q", venue, query, w, weight)
		}
	}
	f(BinanceSpot, "symbol=BTCUSDT&limit=7", 200, 7, "5")
	f(BinanceSpot, "symbol=BTCUSDT", 200, 100, "10")
	f(BinanceUSDM, "symbol=BTCUSDT&limit=5", 200, 5, "2")
	f(BinanceCOINM, "symbol=BTCUSD_PERP&limit=20", 200, 20, "2")

	refuse := func(venue, query string, code int) {
		t.Helper()
		status, _, body := l.get(venue, restRoot(venue)+"depth?"+query)
		if status != 400 || !strings.HasPrefix(body, fmt.Sprintf(`{"code":%d,"msg":"`, code)) {
			t.Fatalf("%s %s: %d %s", venue, query, status, body)
		}
	}
	refuse(BinanceSpot, "symbol=NOSUCH", -1121)
	refuse(BinanceCOINM, "symbol=BTCUSDT", -1121)
	refuse(BinanceUSDM, "limit=5", -1102)
	refuse(BinanceUSDM, "symbol=BTCUSDT&limit=7", -4021)
	refuse(BinanceSpot, "symbol=BTCUSDT&limit=x", -1100)

	keys := func(venue, want string) {
		t.Helper()
		_, _, body := l.get(venue, depthPath(venue, firstSymbol[venue], 5))
		if got, _ := orderedKeys(t, `{"data":`+body+`}`); got != want {
			t.Fatalf("%s: keys %q, want %q", venue, got, want)
		}
	}
	keys(BinanceSpot, "lastUpdateId bids asks")
	keys(BinanceUSDM, "lastUpdateId E T bids asks")
	keys(BinanceCOINM, "lastUpdateId E T symbol pair bids asks")
}

// The budget of weights runs out within a minute and comes back with the next.
func TestBinanceWeightBudget(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{})
	for i := range 24 {
		if status, _, body := l.get(BinanceSpot, depthPath(BinanceSpot, "BTCUSDT", 5000)); status != 200 {
			t.Fatalf("request %d: %d %s", i, status, body)
		}
	}
	status, header, body := l.get(BinanceSpot, depthPath(BinanceSpot, "BTCUSDT", 5000))
	if status != 429 || header.Get("Retry-After") != "60" || !strings.Contains(body, "-1003") {
		t.Fatalf("%d %v %s", status, header, body)
	}
	l.now = l.now.Add(time.Minute)
	l.Step(l.now)
	if status, _, _ := l.get(BinanceSpot, depthPath(BinanceSpot, "BTCUSDT", 5000)); status != 200 {
		t.Fatalf("a minute later: %d", status)
	}
}

func TestBinanceCatalog(t *testing.T) {
	t.Parallel()
	l := newLab(t, Options{})
	f := func(venue, status string, want map[string]string) {
		t.Helper()
		code, _, body := l.get(venue, restRoot(venue)+"exchangeInfo")
		var info struct {
			ServerTime int64
			Symbols    []map[string]any
		}
		if err := json.Unmarshal([]byte(body), &info); err != nil || code != 200 || info.ServerTime != labStart.UnixMilli() {
			t.Fatalf("%s: %d %v %s", venue, code, err, body)
		}
		if n := len(DefaultSymbols(venue)) + 1; len(info.Symbols) != n {
			t.Fatalf("%s: %d symbols, want %d", venue, len(info.Symbols), n)
		}
		first, last := info.Symbols[0], info.Symbols[len(info.Symbols)-1]
		if first[status] != "TRADING" || last[status] == "TRADING" || last[status] == nil {
			t.Fatalf("%s: status %v, last %v", venue, first[status], last[status])
		}
		filters := map[string]map[string]any{}
		for _, x := range first["filters"].([]any) {
			m := x.(map[string]any)
			filters[m["filterType"].(string)] = m
		}
		got := map[string]string{"tick": fmt.Sprint(filters["PRICE_FILTER"]["tickSize"]), "lot": fmt.Sprint(filters["LOT_SIZE"]["stepSize"])}
		for _, key := range []string{"symbol", "baseAsset", "quoteAsset", "contractType", "contractSize", "pair", "pricePrecision"} {
			if first[key] != nil {
				got[key] = fmt.Sprint(first[key])
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s: %v, want %v", venue, got, want)
		}
	}
	f(BinanceSpot, "status", map[string]string{"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "tick": "0.01000000", "lot": "0.00001000"})
	f(BinanceUSDM, "status", map[string]string{"symbol": "BTCUSDT", "pair": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "contractType": "PERPETUAL", "tick": "0.10", "lot": "0.001", "pricePrecision": "2"})
	f(BinanceCOINM, "contractStatus", map[string]string{"symbol": "BTCUSD_PERP", "pair": "BTCUSD", "baseAsset": "BTC", "quoteAsset": "USD", "contractType": "PERPETUAL", "contractSize": "100", "tick": "0.1", "lot": "1", "pricePrecision": "1"})
	if status, _, _ := l.get(BinanceSpot, "/fapi/v1/depth?symbol=BTCUSDT"); status != 404 {
		t.Fatalf("another market's path: %d", status)
	}
}
