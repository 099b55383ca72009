package binance

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

const (
	spotCatalog = `{"timezone":"UTC","symbols":[
		{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[
			{"filterType":"PRICE_FILTER","minPrice":"0.01000000","tickSize":"0.01000000"},
			{"filterType":"LOT_SIZE","minQty":"0.00001000","stepSize":"0.00001000"},
			{"filterType":"MARKET_LOT_SIZE","stepSize":"0.00000000"},{"filterType":"ICEBERG_PARTS","limit":10}]},
		{"symbol":"OLDUSDT","status":"BREAK","baseAsset":"OLD","quoteAsset":"USDT","filters":[]},
		{"symbol":"ODDUSDT","status":"TRADING","baseAsset":"ODD","quoteAsset":"USDT","filters":[{"filterType":"PRICE_FILTER","tickSize":"much"}]}]}`
	usdmCatalog = `{"symbols":[
		{"symbol":"1000SHIBUSDT","pair":"1000SHIBUSDT","contractType":"PERPETUAL","status":"TRADING","baseAsset":"1000SHIB","quoteAsset":"USDT","marginAsset":"USDT",
			"filters":[{"filterType":"PRICE_FILTER","tickSize":"0.000001"},{"filterType":"LOT_SIZE","stepSize":"1"}]},
		{"symbol":"TSLAUSDT","contractType":"TRADIFI_PERPETUAL","status":"TRADING","baseAsset":"TSLA","quoteAsset":"USDT","filters":[]},
		{"symbol":"BTCUSDT_261225","contractType":"CURRENT_QUARTER","deliveryDate":1798185600000,"status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT",
			"filters":[{"filterType":"PRICE_FILTER","tickSize":"0.10"},{"filterType":"LOT_SIZE","stepSize":"0.001"}]},
		{"symbol":"NEWUSDT","contractType":"","status":"PENDING_TRADING","baseAsset":"NEW","quoteAsset":"USDT","filters":[]}]}`
	coinmCatalog = `{"symbols":[
		{"symbol":"BTCUSD_PERP","contractType":"PERPETUAL","contractStatus":"TRADING","contractSize":100,"baseAsset":"BTC","quoteAsset":"USD",
			"filters":[{"filterType":"PRICE_FILTER","tickSize":"0.1"},{"filterType":"LOT_SIZE","stepSize":"1"}]},
		{"symbol":"ETHUSD_261225","contractType":"CURRENT_QUARTER","contractStatus":"TRADING","contractSize":10,"baseAsset":"ETH","quoteAsset":"USD",
			"filters":[{"filterType":"PRICE_FILTER","tickSize":"0.01"},{"filterType":"LOT_SIZE","stepSize":"1"}]},
		{"symbol":"BTCUSD_260626","contractType":"CURRENT_QUARTER DELIVERING","contractStatus":"DELIVERING","contractSize":100,"baseAsset":"BTC","quoteAsset":"USD","filters":[]}]}`
)

func TestParseCatalog(t *testing.T) {
	number := func(mantissa int64, digits uint8) tick.Number { return tick.Number{Mantissa: mantissa, Digits: digits} }
	common := func(venue string, sync tick.SyncRule, in tick.Instrument) tick.Instrument {
		in.Venue, in.Sync, in.TradeIDs, in.TradeResolution = venue, sync, tick.TradeIDContiguous, time.Millisecond
		in.Underlying = in.Base
		in.PriceDigits, in.SizeDigits = in.Tick.Digits, in.Lot.Digits
		if in.State == tick.StateUnknown {
			in.State = tick.StateTrading
		}
		return in
	}
	f := func(venue, body string, sync tick.SyncRule, want ...tick.Instrument) {
		t.Helper()
		a, _ := New(venue)
		for i := range want {
			want[i] = common(venue, sync, want[i])
		}
		if got, err := a.ParseCatalog([]byte(body)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", venue, err, got, want)
		}
	}
	one := number(1, 0)
	f("binance-spot", spotCatalog, tick.SyncRule{Sequence: tick.SequenceRange, Join: 1, QuoteIDs: true},
		tick.Instrument{Symbol: "BTCUSDT", Base: "BTC", Quote: "USDT", Tick: number(1, 2), Lot: number(1, 5), ContractSize: one},
		tick.Instrument{Symbol: "OLDUSDT", Base: "OLD", Quote: "USDT", ContractSize: one, State: tick.StateHalted},
		tick.Instrument{Symbol: "ODDUSDT", Base: "ODD", Quote: "USDT", ContractSize: one})
	chain := tick.SyncRule{Sequence: tick.SequenceChain, QuoteIDs: true}
	f("binance-usdm", usdmCatalog, chain,
		tick.Instrument{Symbol: "1000SHIBUSDT", Base: "1000SHIB", Quote: "USDT", Type: tick.TypePerpetual, Tick: number(1, 6), Lot: one, ContractSize: one},
		tick.Instrument{Symbol: "TSLAUSDT", Base: "TSLA", Quote: "USDT", Type: tick.TypePerpetual, ContractSize: one},
		tick.Instrument{Symbol: "BTCUSDT_261225", Base: "BTC", Quote: "USDT", Type: tick.TypeFuture, Tick: number(1, 1), Lot: number(1, 3), ContractSize: one,
			ExpiryNanos: 1798185600000e6},
		tick.Instrument{Symbol: "NEWUSDT", Base: "NEW", Quote: "USDT", Type: tick.TypeFuture, ContractSize: one, State: tick.StatePreOpen})
	f("binance-coinm", coinmCatalog, chain,
		tick.Instrument{Symbol: "BTCUSD_PERP", Base: "BTC", Quote: "USD", Type: tick.TypePerpetual, Inverse: true, Tick: number(1, 1), Lot: one, ContractSize: number(100, 0)},
		tick.Instrument{Symbol: "ETHUSD_261225", Base: "ETH", Quote: "USD", Type: tick.TypeFuture, Inverse: true, Tick: number(1, 2), Lot: one, ContractSize: number(10, 0)},
		tick.Instrument{Symbol: "BTCUSD_260626", Base: "BTC", Quote: "USD", Type: tick.TypeFuture, Inverse: true, ContractSize: number(100, 0), State: tick.StateSettling})

	a, _ := New("binance-spot")
	for _, body := range []string{"", "<html>", "{}", `{"code":-1003,"msg":"Too many requests."}`, spotCatalog[:200]} {
		if in, err := a.ParseCatalog([]byte(body)); !errors.Is(err, feeds.ErrMalformed) || in != nil {
			t.Errorf("%q: %d instruments, %v", body, len(in), err)
		}
	}
	if in, err := a.ParseCatalog([]byte(`{"symbols":[]}`)); err != nil || len(in) != 0 {
		t.Errorf("an empty catalog: %v, %v", in, err)
	}
}

func TestInstrumentWithoutCatalog(t *testing.T) {
	f := func(venue, symbol string, kind tick.InstrumentType, inverse bool, contractSize int64) {
		t.Helper()
		a, _ := New(venue)
		in := a.Instrument(symbol)
		if in.Venue != venue || in.Symbol != symbol || in.Underlying != symbol || in.Base != "" || in.Type != kind || in.Inverse != inverse ||
			in.ContractSize != (tick.Number{Mantissa: contractSize}) || in.PriceDigits != 0 || !in.Sync.QuoteIDs || in.TradeResolution != time.Millisecond {
			t.Errorf("%s %s: %+v", venue, symbol, in)
		}
	}
	f("binance-spot", "BTCUSDT", tick.TypeSpot, false, 1)
	f("binance-usdm", "BTCUSDT", tick.TypePerpetual, false, 1)
	f("binance-usdm", "BTCUSDT_261225", tick.TypeFuture, false, 1)
	f("binance-coinm", "BTCUSD_PERP", tick.TypePerpetual, true, 0)
	f("binance-coinm", "BTCUSD_261225", tick.TypeFuture, true, 0)
}

func TestVenues(t *testing.T) {
	for _, venue := range Venues() {
		a, ok := New(venue)
		if !ok || a.Venue() != venue || a.Profile().WeightPerMinute == 0 || len(a.CatalogRequests()) != 1 {
			t.Errorf("%s: %v", venue, ok)
		}
	}
	if _, ok := New("binance"); ok {
		t.Error("binance alone names no market")
	}
}
