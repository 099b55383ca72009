package okx

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickproc/feeds"
	"tickproc/internal/testdata"
	"tickproc/tick"
)

func sample(t testing.TB, elements ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{testdata.Dir(t), "samples"}, elements...)...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestCatalogSamples(t *testing.T) {
	t.Parallel()
	one := tick.Number{Mantissa: 1}
	base := tick.Instrument{Venue: "okx", TradeIDs: tick.TradeIDContiguous, TradeResolution: time.Millisecond, Sync: syncRule, State: tick.StateTrading}
	f := func(file string, count int, want tick.Instrument) {
		t.Helper()
		all, err := venue{}.ParseCatalog(sample(t, "nautilus", "okx", file))
		if err != nil || len(all) != count {
			t.Fatalf("%s: %d instruments, %v", file, len(all), err)
		}
		for _, in := range all {
			if in.Symbol == want.Symbol {
				if in != want {
					t.Errorf("got  %+v\nwant %+v", in, want)
				}
				return
			}
		}
		t.Errorf("%s: no %s", file, want.Symbol)
	}
	spot := base
	spot.Symbol, spot.Underlying, spot.Base, spot.Quote = "ETH-USD", "ETH", "ETH", "USD"
	spot.PriceDigits, spot.SizeDigits, spot.Tick, spot.Lot, spot.ContractSize = 2, 6, tick.Number{Mantissa: 1, Digits: 2}, tick.Number{Mantissa: 1, Digits: 6}, one
	f("http_get_instruments_spot.json", 5, spot)
	// Sizes are contracts, of base assets …
	linear := base
	linear.Symbol, linear.Underlying, linear.Base, linear.Quote, linear.Type = "BTC-USDT-SWAP", "BTC", "BTC", "USDT", tick.TypePerpetual
	linear.PriceDigits, linear.SizeDigits, linear.Tick, linear.Lot, linear.ContractSize = 1, 2, tick.Number{Mantissa: 1, Digits: 1}, tick.Number{Mantissa: 1, Digits: 2}, tick.Number{Mantissa: 1, Digits: 2}
	f("http_get_instruments_swap.json", 3, linear)
	// … or, inverse, of quote assets.
	inverse := base
	inverse.Symbol, inverse.Underlying, inverse.Base, inverse.Quote, inverse.Type, inverse.Inverse = "BTC-USD-SWAP", "BTC", "BTC", "USD", tick.TypePerpetual, true
	inverse.PriceDigits, inverse.Tick, inverse.Lot, inverse.ContractSize = 1, tick.Number{Mantissa: 1, Digits: 1}, one, tick.Number{Mantissa: 100}
	f("http_get_instruments_swap.json", 3, inverse)
	inverse.Symbol, inverse.Type = "BTC-USD-241227", tick.TypeFuture
	inverse.ExpiryNanos = time.Date(2024, 12, 27, 8, 0, 0, 0, time.UTC).UnixNano()
	f("http_get_instruments_futures.json", 6, inverse)
	// Margin repeats spot, options are not ours.
	for _, file := range []string{"http_get_instruments_margin.json", "http_get_instruments_option.json"} {
		if all, err := (venue{}).ParseCatalog(sample(t, "nautilus", "okx", file)); err != nil || len(all) != 0 {
			t.Errorf("%s: %v, %v", file, all, err)
		}
	}
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	one := func(old, new string) tick.Instrument {
		t.Helper()
		body := strings.Replace(`{"code":"0","msg":"","data":[{"instId":"X-USDT-SWAP","instType":"SWAP","uly":"X-USDT","ctVal":"0.25","ctMult":"10","ctType":"linear","tickSz":"0.0001","lotSz":"1","state":"live","expTime":""}]}`, old, new, 1)
		all, err := venue{}.ParseCatalog([]byte(body))
		if err != nil || len(all) != 1 {
			t.Fatalf("%s: %v, %v", body, all, err)
		}
		return all[0]
	}
	if got := one("", "").ContractSize; got != (tick.Number{Mantissa: 25, Digits: 1}) {
		t.Errorf("10 x 0.25 is %v", got)
	}
	for state, want := range map[string]tick.State{"live": tick.StateTrading, "suspend": tick.StateHalted, "rebase": tick.StateHalted, "test": tick.StateHalted,
		"post_only": tick.StateRestricted, "preopen": tick.StatePreOpen, "settling": tick.StateSettling, "expired": tick.StateDelisted, "tomorrow's": tick.StateUnknown} {
		if got := one(`"live"`, `"`+state+`"`).State; got != want {
			t.Errorf("%s is %v, want %v", state, got, want)
		}
	}
	// Steps that are not told yet are unknown, which loses no instrument.
	if in := one(`"0.0001"`, `""`); in.Tick != (tick.Number{}) || in.PriceDigits != 0 {
		t.Errorf("%+v", in)
	}
	// The announced end of a perpetual is no expiry.
	if in := one(`"expTime":""`, `"expTime":"1734681600000"`); in.ExpiryNanos != 0 {
		t.Errorf("%+v", in)
	}
	for _, body := range []string{"", "[]", "{}", `{"code":"50011","msg":"Too Many Requests","data":[]}`, `{"code":"0"}`, `{"code":0,"data":[]}`, `{"code":"0","data":[7]}`} {
		if _, err := (venue{}).ParseCatalog([]byte(body)); !errors.Is(err, feeds.ErrMalformed) {
			t.Errorf("%s: %v", body, err)
		}
		if _, err := (venue{}).ParseVolumes([]byte(body)); !errors.Is(err, feeds.ErrMalformed) {
			t.Errorf("%s: %v", body, err)
		}
	}
	for _, r := range append(venue{}.CatalogRequests(), venue{}.VolumeRequests()...) {
		if !strings.HasPrefix(r.URL, "https://www.okx.com/api/v5/") || r.Weight != 1 {
			t.Errorf("%+v", r)
		}
	}
}

func TestGuessedInstruments(t *testing.T) {
	t.Parallel()
	f := func(symbol string, kind tick.InstrumentType, inverse bool, index string) {
		t.Helper()
		in := venue{}.Instrument(symbol)
		if in.Symbol != strings.ToUpper(symbol) || in.Underlying != in.Symbol || in.Type != kind || in.Inverse != inverse || indexOf(&in) != index {
			t.Errorf("%+v, index %s", in, indexOf(&in))
		}
	}
	f("btc-usdt", tick.TypeSpot, false, "BTC-USDT")
	f("BTC-USDT-SWAP", tick.TypePerpetual, false, "BTC-USDT")
	f("BTC-USD-SWAP", tick.TypePerpetual, true, "BTC-USD")
	f("BTC-USD-241227", tick.TypeFuture, true, "BTC-USD")
	f("BTC-USDT-241227", tick.TypeFuture, false, "BTC-USDT")
	f("BTC-USD-241227-92000-C", tick.TypeOption, false, "BTC-USD")
	f("X", tick.TypeSpot, false, "X")
	f("", tick.TypeSpot, false, "")
	// The catalog knows better than the name.
	if got := indexOf(&tick.Instrument{Symbol: "BTC-USD_UM-SWAP", Base: "BTC", Quote: "USD"}); got != "BTC-USD" {
		t.Error(got)
	}
}

func TestVolumes(t *testing.T) {
	t.Parallel()
	got, err := venue{}.ParseVolumes([]byte(`{"code":"0","msg":"","data":[{"instType":"SPOT","instId":"BTC-USDT","last":"30236","volCcy24h":"525802090.5","vol24h":"17602.1"},` +
		`{"instType":"SWAP","instId":"BTC-USDT-SWAP","last":"30000","volCcy24h":"2.5","vol24h":"250"},{"instType":"SWAP","instId":"NEW-USDT-SWAP","last":"","volCcy24h":"","vol24h":""}]}`))
	if err != nil || len(got) != 2 || got["BTC-USDT"] != 525802090.5 || got["BTC-USDT-SWAP"] != 75000 {
		t.Errorf("%v, %v", got, err)
	}
}
