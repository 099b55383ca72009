package coinbase

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

const catalog = `{"products":[
	{"product_id":"BTC-USD","price":"78856.06","volume_24h":"7000.5","base_increment":"0.00000001","quote_increment":"0.01","price_increment":"0.01",
		"status":"online","trading_disabled":false,"is_disabled":false,"product_type":"SPOT","base_currency_id":"BTC","quote_currency_id":"USD",
		"alias":"","alias_to":["BTC-USDC"],"view_only":false,"product_venue":"CBE","approximate_quote_24h_volume":"552026847.03"},
	{"product_id":"BTC-USDC","price":"78856.06","volume_24h":"7000.5","base_increment":"0.00000001","price_increment":"0.01","status":"online",
		"product_type":"SPOT","base_currency_id":"BTC","quote_currency_id":"USDC","alias":"BTC-USD","alias_to":[],"approximate_quote_24h_volume":"552026847.03"},
	{"product_id":"USDT-USDC","price":"1.5","volume_24h":"1000","base_increment":"0.01","quote_increment":"0.0001","status":"online",
		"product_type":"SPOT","base_currency_id":"USDT","quote_currency_id":"USDC","alias":"","approximate_quote_24h_volume":""},
	{"product_id":"OLD-USD","price":"","volume_24h":"","base_increment":"much","quote_increment":"","status":"delisted","trading_disabled":true,
		"product_type":"SPOT","base_currency_id":"OLD","quote_currency_id":"USD"},
	{"product_id":"BTC-PERP-INTX","price":"79914.5","volume_24h":"1.5","base_increment":"0.0001","quote_increment":"0.1","status":"","product_type":"FUTURE",
		"base_currency_id":"","quote_currency_id":"USDC","base_display_symbol":"BTC","approximate_quote_24h_volume":"119871.75",
		"future_product_details":{"contract_size":"1","contract_root_unit":"BTC","contract_expiry":"","contract_expiry_type":"PERPETUAL","perpetual_details":{"open_interest":"1"}}},
	{"product_id":"BIT-25DEC26-CDE","price":"80000","volume_24h":"100","base_increment":"1","quote_increment":"5","status":"","product_type":"FUTURE",
		"base_currency_id":"","quote_currency_id":"USD","fcm_trading_session_details":{"is_session_open":true},
		"future_product_details":{"contract_size":"0.015625","contract_root_unit":"BTC","contract_expiry":"2026-12-25T16:00:00Z","contract_expiry_type":"EXPIRING"}}
	],"num_products":6}`

func TestParseCatalog(t *testing.T) {
	t.Parallel()
	number := func(mantissa int64, digits uint8) tick.Number { return tick.Number{Mantissa: mantissa, Digits: digits} }
	one := number(1, 0)
	want := []tick.Instrument{
		{Symbol: "BTC-USD", Base: "BTC", Quote: "USD", Tick: number(1, 2), Lot: number(1, 8), ContractSize: one, State: tick.StateTrading},
		{Symbol: "USDT-USDC", Base: "USDT", Quote: "USDC", Tick: number(1, 4), Lot: number(1, 2), ContractSize: one, State: tick.StateTrading},
		{Symbol: "OLD-USD", Base: "OLD", Quote: "USD", ContractSize: one, State: tick.StateDelisted},
		{Symbol: "BTC-PERP-INTX", Base: "BTC", Quote: "USDC", Type: tick.TypePerpetual, Tick: number(1, 1), Lot: number(1, 4), ContractSize: one, State: tick.StateTrading},
		{Symbol: "BIT-25DEC26-CDE", Base: "BTC", Quote: "USD", Type: tick.TypeFuture, Tick: number(5, 0), Lot: one, ContractSize: number(15625, 6), State: tick.StateTrading,
			ExpiryNanos: time.Date(2026, 12, 25, 16, 0, 0, 0, time.UTC).UnixNano()},
	}
	for i := range want {
		w := &want[i]
		w.Venue, w.Underlying, w.TradeResolution = "coinbase", w.Base, time.Microsecond
		w.Sync = tick.SyncRule{Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceNone, QuotesLag: true}
		w.PriceDigits, w.SizeDigits = w.Tick.Digits, w.Lot.Digits
		if w.Type != tick.TypeSpot {
			w.TradeIDs = tick.TradeIDInteger
		}
	}
	got, err := adapter{}.ParseCatalog([]byte(catalog))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	volumes, err := adapter{}.ParseVolumes([]byte(catalog))
	if err != nil || !reflect.DeepEqual(volumes, map[string]float64{"BTC-USD": 552026847.03, "USDT-USDC": 1500, "OLD-USD": 0, "BTC-PERP-INTX": 119871.75, "BIT-25DEC26-CDE": 125_000}) {
		t.Errorf("%v, %v", volumes, err)
	}
	for _, body := range []string{"", "<html>", "{}", `{"products":null}`, `{"error":"RESOURCE_EXHAUSTED","code":8,"message":"rate limit exceeded"}`, catalog[:200]} {
		if in, err := (adapter{}).ParseCatalog([]byte(body)); !errors.Is(err, feeds.ErrMalformed) || in != nil {
			t.Errorf("%q: %d instruments, %v", body, len(in), err)
		}
		if v, err := (adapter{}).ParseVolumes([]byte(body)); !errors.Is(err, feeds.ErrMalformed) || v != nil {
			t.Errorf("%q: %d volumes, %v", body, len(v), err)
		}
	}
	if _, err := (adapter{}).ParseCatalog([]byte(`{"error":"RESOURCE_EXHAUSTED","code":8,"message":"rate limit exceeded"}`)); !strings.Contains(err.Error(), "RESOURCE_EXHAUSTED") {
		t.Errorf("%v does not say what the venue said", err)
	}
	if in, err := (adapter{}).ParseCatalog([]byte(`{"products":[]}`)); err != nil || len(in) != 0 {
		t.Errorf("an empty catalog: %v, %v", in, err)
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	f := func(members string, want tick.State) {
		t.Helper()
		got, err := adapter{}.ParseCatalog([]byte(fmt.Sprintf(`{"products":[{"product_id":"A-USD",%s}]}`, members)))
		if err != nil || len(got) != 1 || got[0].State != want {
			t.Errorf("%s: %v, %v, want %v", members, got, err, want)
		}
	}
	f(`"status":"online"`, tick.StateTrading)
	f(`"status":"online","auction_mode":true`, tick.StateRestricted)
	f(`"status":"online","limit_only":true`, tick.StateRestricted)
	f(`"status":"online","cancel_only":true`, tick.StateRestricted)
	f(`"status":"online","post_only":true`, tick.StateRestricted)
	f(`"status":"online","view_only":true`, tick.StateRestricted)
	f(`"status":"online","post_only":true,"trading_disabled":true`, tick.StateHalted)
	f(`"status":"online","is_disabled":true`, tick.StateHalted)
	f(`"status":"offline"`, tick.StateHalted)
	f(`"status":"delisted","trading_disabled":true`, tick.StateDelisted)
	f(`"status":"internal"`, tick.StateUnknown)
	f(`"product_type":"FUTURE","status":""`, tick.StateTrading)
	f(`"product_type":"FUTURE","status":"","view_only":true`, tick.StateSettling)
	f(`"product_type":"FUTURE","status":"","fcm_trading_session_details":{"is_session_open":false}`, tick.StateHalted)
	f(`"product_type":"FUTURE","status":"","fcm_trading_session_details":null`, tick.StateTrading)
}

func TestInstrumentWithoutCatalog(t *testing.T) {
	t.Parallel()
	f := func(symbol string, kind tick.InstrumentType, ids tick.TradeIDKind, contract int64) {
		t.Helper()
		in := adapter{}.Instrument(strings.ToLower(symbol))
		if in.Venue != "coinbase" || in.Symbol != symbol || in.Underlying != symbol || in.Base != "" || in.Type != kind || in.TradeIDs != ids ||
			in.ContractSize != (tick.Number{Mantissa: contract}) || in.PriceDigits != 0 || in.Sync != syncRule || in.TradeResolution != time.Microsecond {
			t.Errorf("%s: %+v", symbol, in)
		}
	}
	f("BTC-USD", tick.TypeSpot, tick.TradeIDContiguous, 1)
	f("BTC-PERP-INTX", tick.TypePerpetual, tick.TradeIDInteger, 0)
	f("BIT-25DEC26-CDE", tick.TypeFuture, tick.TradeIDInteger, 0)
}
