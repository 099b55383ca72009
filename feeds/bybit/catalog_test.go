package bybit

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

const (
	spotCatalog = `{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[
		{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","innovation":"0","status":"Trading","marginTrading":"utaOnly",
			"lotSizeFilter":{"basePrecision":"0.000001","quotePrecision":"0.0000001","minOrderQty":"0.000048"},"priceFilter":{"tickSize":"0.1"}},
		{"symbol":"ODDUSDT","baseCoin":"ODD","quoteCoin":"USDT","status":"Unheard","lotSizeFilter":{"basePrecision":"much"},"priceFilter":{}}]},"retExtInfo":{},"time":1700000000000}`
	linearCatalog = `{"retCode":0,"retMsg":"OK","result":{"category":"linear","nextPageCursor":"","list":[
		{"symbol":"1000PEPEUSDT","contractType":"LinearPerpetual","status":"Trading","baseCoin":"1000PEPE","quoteCoin":"USDT","settleCoin":"USDT","launchTime":"1683274500000","deliveryTime":"0",
			"priceScale":"7","priceFilter":{"minPrice":"0.0000001","tickSize":"0.0000001"},"lotSizeFilter":{"qtyStep":"100"},"isPreListing":false,"preListingInfo":null},
		{"symbol":"GONEUSDT","contractType":"LinearPerpetual","status":"Delivering","baseCoin":"GONE","quoteCoin":"USDT","deliveryTime":"1790000000000","priceFilter":{"tickSize":"0.10"},"lotSizeFilter":{"qtyStep":"0.1"}},
		{"symbol":"BTCPERP","contractType":"LinearPerpetual","status":"Trading","baseCoin":"BTC","quoteCoin":"USDC","deliveryTime":"0","priceFilter":{"tickSize":"0.1"},"lotSizeFilter":{"qtyStep":"0.001"}},
		{"symbol":"BTCUSDT-27NOV26","contractType":"LinearFutures","status":"Trading","baseCoin":"BTC","quoteCoin":"USDT","deliveryTime":"1795766400000","priceFilter":{"tickSize":"0.5"},"lotSizeFilter":{"qtyStep":"0.001"}},
		{"symbol":"NEWUSDT","contractType":"LinearPerpetual","status":"PreLaunch","baseCoin":"NEW","quoteCoin":"USDT","deliveryTime":"0","isPreListing":true,"preListingInfo":{"curAuctionPhase":"NotStarted","phases":[]}},
		{"symbol":"SOONUSDT","contractType":"LinearPerpetual","status":"PreLaunch","baseCoin":"SOON","quoteCoin":"USDT","deliveryTime":"0","preListingInfo":{"curAuctionPhase":"CallAuction"}},
		{"symbol":"EARLYUSDT","contractType":"LinearPerpetual","status":"PreLaunch","baseCoin":"EARLY","quoteCoin":"USDT","deliveryTime":"0","preListingInfo":{"curAuctionPhase":"ContinuousTrading"}},
		{"symbol":"PASTUSDT","contractType":"LinearPerpetual","status":"Closed","baseCoin":"PAST","quoteCoin":"USDT","deliveryTime":"1"}]}}`
	inverseCatalog = `{"retCode":0,"retMsg":"OK","result":{"category":"inverse","nextPageCursor":null,"list":[
		{"symbol":"BTCUSD","contractType":"InversePerpetual","status":"Trading","baseCoin":"BTC","quoteCoin":"USD","settleCoin":"BTC","deliveryTime":"0","priceFilter":{"tickSize":"0.10"},"lotSizeFilter":{"qtyStep":"1"}},
		{"symbol":"BTCUSDH26","contractType":"InverseFutures","status":"Settling","baseCoin":"BTC","quoteCoin":"USD","deliveryTime":"1774598400000","priceFilter":{"tickSize":"0.5"},"lotSizeFilter":{"qtyStep":"1"}}]}}`
)

func TestParseCatalog(t *testing.T) {
	t.Parallel()
	number := func(mantissa int64, digits uint8) tick.Number { return tick.Number{Mantissa: mantissa, Digits: digits} }
	f := func(venue, body string, want ...tick.Instrument) {
		t.Helper()
		a, _ := New(venue)
		for i := range want {
			in := &want[i]
			in.Venue, in.TradeResolution, in.Underlying, in.ContractSize = venue, time.Millisecond, in.Base, number(1, 0)
			in.Sync = tick.SyncRule{Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceCounter, Join: 1}
			in.PriceDigits, in.SizeDigits = in.Tick.Digits, in.Lot.Digits
			in.TradeIDs, in.Inverse = tick.TradeIDUUID, venue == "bybit-inverse"
			if venue == "bybit-spot" {
				in.TradeIDs = tick.TradeIDInteger
			}
		}
		if got, err := a.ParseCatalog([]byte(body)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", venue, err, got, want)
		}
	}
	f("bybit-spot", spotCatalog,
		tick.Instrument{Symbol: "BTCUSDT", Base: "BTC", Quote: "USDT", State: tick.StateTrading, Tick: number(1, 1), Lot: number(1, 6)},
		tick.Instrument{Symbol: "ODDUSDT", Base: "ODD", Quote: "USDT", State: tick.StateUnknown})
	perpetual := tick.TypePerpetual
	f("bybit-linear", linearCatalog,
		tick.Instrument{Symbol: "1000PEPEUSDT", Base: "1000PEPE", Quote: "USDT", Type: perpetual, State: tick.StateTrading, Tick: number(1, 7), Lot: number(100, 0)},
		// When a perpetual is delisted is no expiry.
		tick.Instrument{Symbol: "GONEUSDT", Base: "GONE", Quote: "USDT", Type: perpetual, State: tick.StateSettling, Tick: number(1, 1), Lot: number(1, 1)},
		tick.Instrument{Symbol: "BTCPERP", Base: "BTC", Quote: "USDC", Type: perpetual, State: tick.StateTrading, Tick: number(1, 1), Lot: number(1, 3)},
		tick.Instrument{Symbol: "BTCUSDT-27NOV26", Base: "BTC", Quote: "USDT", Type: tick.TypeFuture, State: tick.StateTrading, Tick: number(5, 1), Lot: number(1, 3), ExpiryNanos: 1795766400000e6},
		tick.Instrument{Symbol: "NEWUSDT", Base: "NEW", Quote: "USDT", Type: perpetual, State: tick.StatePreOpen},
		tick.Instrument{Symbol: "SOONUSDT", Base: "SOON", Quote: "USDT", Type: perpetual, State: tick.StateRestricted},
		tick.Instrument{Symbol: "EARLYUSDT", Base: "EARLY", Quote: "USDT", Type: perpetual, State: tick.StateTrading},
		tick.Instrument{Symbol: "PASTUSDT", Base: "PAST", Quote: "USDT", Type: perpetual, State: tick.StateDelisted})
	f("bybit-inverse", inverseCatalog,
		tick.Instrument{Symbol: "BTCUSD", Base: "BTC", Quote: "USD", Type: perpetual, State: tick.StateTrading, Tick: number(1, 1), Lot: number(1, 0)},
		tick.Instrument{Symbol: "BTCUSDH26", Base: "BTC", Quote: "USD", Type: tick.TypeFuture, State: tick.StateSettling, Tick: number(5, 1), Lot: number(1, 0), ExpiryNanos: 1774598400000e6})

	a, _ := New("bybit-linear")
	for _, body := range []string{"", "<html>", "{}", `{"retCode":10006,"retMsg":"Too many visits!","result":{}}`, `{"retCode":10001,"retMsg":"params error","result":{"list":[]}}`, linearCatalog[:200]} {
		if in, err := a.ParseCatalog([]byte(body)); !errors.Is(err, feeds.ErrMalformed) || in != nil {
			t.Errorf("%q: %d instruments, %v", body, len(in), err)
		}
	}
	if _, err := a.ParseCatalog([]byte(`{"retCode":10006,"retMsg":"Too many visits!","result":{}}`)); !strings.Contains(err.Error(), "Too many visits!") {
		t.Errorf("the venue's reason is lost: %v", err)
	}
	if in, err := a.ParseCatalog([]byte(`{"retCode":0,"retMsg":"OK","result":{"list":[]}}`)); err != nil || len(in) != 0 {
		t.Errorf("an empty catalog: %v, %v", in, err)
	}
}

// What is kept elsewhere of the venue's answers is read too.
func TestSampleCatalogs(t *testing.T) {
	t.Parallel()
	f := func(venue, file string, symbols ...string) {
		t.Helper()
		a, _ := New(venue)
		all, err := a.ParseCatalog(sample(t, "nautilus", "bybit", file))
		var got []string
		for _, in := range all {
			if in.State != tick.StateTrading || in.Tick.Mantissa == 0 || in.Lot.Mantissa == 0 || in.Base == "" || in.Quote == "" || in.Underlying != in.Base {
				t.Errorf("%s: %+v", file, in)
			}
			got = append(got, in.Symbol)
		}
		if err != nil || !slices.Equal(got, symbols) {
			t.Errorf("%s: %v, %v", file, got, err)
		}
	}
	f("bybit-linear", "http_get_instruments_linear.json", "BTCUSDT", "ETHUSDT")
	f("bybit-linear", "http_get_instruments_linear_symbol_type.json", "TSLAUSDT")
	f("bybit-inverse", "http_get_instruments_inverse.json", "BTCUSD")
	f("bybit-inverse", "http_get_instruments_inverse_symbol_type.json", "BRENTUSD")
	f("bybit-spot", "http_get_instruments_spot.json", "BTCUSDT", "ETHUSDT")
	f("bybit-spot", "http_get_instruments_spot_xstocks.json", "AAPLUSDT")
}

func TestInstrumentWithoutCatalog(t *testing.T) {
	t.Parallel()
	f := func(venue, symbol string, kind tick.InstrumentType) {
		t.Helper()
		a, _ := New(venue)
		in := a.Instrument(strings.ToLower(symbol))
		if in.Venue != venue || in.Symbol != symbol || in.Underlying != symbol || in.Base != "" || in.Type != kind || in.Inverse != (venue == "bybit-inverse") ||
			in.ContractSize != (tick.Number{Mantissa: 1}) || in.PriceDigits != 0 || in.Sync.Snapshot != tick.SnapshotInBand || in.TradeResolution != time.Millisecond {
			t.Errorf("%s %s: %+v", venue, symbol, in)
		}
	}
	f("bybit-spot", "BTCUSDT", tick.TypeSpot)
	f("bybit-linear", "BTCUSDT", tick.TypePerpetual)
	f("bybit-linear", "BTCPERP", tick.TypePerpetual)
	f("bybit-linear", "BTC-27NOV26", tick.TypeFuture)
	f("bybit-linear", "BTCUSDT-27NOV26", tick.TypeFuture)
	f("bybit-inverse", "BTCUSD", tick.TypePerpetual)
	f("bybit-inverse", "BTCUSDH26", tick.TypeFuture)
}

// Inverse contracts are ranked in USD: their turnover is in the base asset.
func TestParseVolumes(t *testing.T) {
	t.Parallel()
	body := `{"retCode":0,"retMsg":"OK","result":{"category":"x","list":[
		{"symbol":"A","lastPrice":"2","turnover24h":"1500.5","volume24h":"700"},{"symbol":"B","turnover24h":"","volume24h":"9"},{"symbol":"C","turnover24h":"3e6","volume24h":"1"}]}}`
	f := func(venue string, want map[string]float64) {
		t.Helper()
		a, _ := New(venue)
		if got, err := a.ParseVolumes([]byte(body)); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", venue, got, err, want)
		}
		if _, err := a.ParseVolumes([]byte(`{"retCode":10006,"retMsg":"no"}`)); !errors.Is(err, feeds.ErrMalformed) {
			t.Errorf("%s: a refusal: %v", venue, err)
		}
	}
	f("bybit-spot", map[string]float64{"A": 1500.5, "B": 0, "C": 3e6})
	f("bybit-linear", map[string]float64{"A": 1500.5, "B": 0, "C": 3e6})
	f("bybit-inverse", map[string]float64{"A": 700, "B": 9, "C": 1})
}

func TestVenues(t *testing.T) {
	t.Parallel()
	requests := map[string][]string{"bybit-spot": {""}, "bybit-linear": {"", "&status=PreLaunch", "&status=Delivering"}, "bybit-inverse": {"", "&status=PreLaunch", "&status=Delivering"}}
	for _, venue := range Venues() {
		a, ok := New(venue)
		category := strings.TrimPrefix(venue, "bybit-")
		var urls []string
		for _, r := range a.CatalogRequests() {
			urls = append(urls, strings.TrimPrefix(r.URL, "https://api.bybit.com/v5/market/instruments-info?category="+category+"&limit=1000"))
		}
		if !ok || a.Venue() != venue || a.Profile().WeightPerMinute == 0 || !slices.Equal(urls, requests[venue]) ||
			a.VolumeRequests()[0].URL != "https://api.bybit.com/v5/market/tickers?category="+category {
			t.Errorf("%s: %v, %v", venue, ok, urls)
		}
		if _, ok := a.SnapshotRequest(&tick.Instrument{Symbol: "BTCUSDT"}); ok || a.Polls(nil) != nil {
			t.Errorf("%s asks over REST", venue)
		}
	}
	if _, ok := New("bybit"); ok {
		t.Error("bybit alone names no market")
	}
}
