package kraken

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"tickproc/feeds"
	"tickproc/tick"
)

const pairsBody = `{"error":[],"result":{
 "XXBTZUSD":{"altname":"XBTUSD","wsname":"XBT/USD","aclass_base":"currency","base":"XXBT","quote":"ZUSD","pair_decimals":1,"lot_decimals":8,"tick_size":"0.1","status":"online"},
 "XETHXXBT":{"altname":"ETHXBT","wsname":"ETH\/XBT","base":"XETH","quote":"XXBT","pair_decimals":6,"lot_decimals":8,"tick_size":"0.000005","status":"post_only"},
 "XDGUSD":{"altname":"XDGUSD","wsname":"XDG/USD","pair_decimals":7,"lot_decimals":8,"status":"delisted"},
 "OLDEUR":{"altname":"OLDEUR","wsname":"OLD/EUR"},
 "XBTUSD.d":{"altname":"XBTUSD.d","pair_decimals":1,"lot_decimals":8}}}`

func TestCatalog(t *testing.T) {
	t.Parallel()
	v := new(venue)
	got, err := v.ParseCatalog([]byte(pairsBody))
	if err != nil || len(got) != 4 {
		t.Fatalf("%d instruments, %v", len(got), err)
	}
	sync := tick.SyncRule{Snapshot: tick.SnapshotInBand, Checksum: tick.ChecksumKraken, ChecksumDepth: 10, ChecksumPriceDigits: 1, ChecksumSizeDigits: 8, Truncate: 1000}
	btc := tick.Instrument{Venue: "kraken", Symbol: "BTC/USD", Underlying: "BTC", Base: "BTC", Quote: "USD", TradeIDs: tick.TradeIDContiguous,
		PriceDigits: 1, SizeDigits: 8, Tick: tick.Number{Mantissa: 1, Digits: 1}, Lot: tick.Number{Mantissa: 1, Digits: 8}, ContractSize: tick.Number{Mantissa: 1},
		Sync: sync, TradeResolution: time.Microsecond, State: tick.StateTrading}
	if got[0] != btc {
		t.Errorf("got  %+v\nwant %+v", got[0], btc)
	}
	if in := got[1]; in.Symbol != "DOGE/USD" || in.Underlying != "DOGE" || in.State != tick.StateDelisted || in.Tick != (tick.Number{Mantissa: 1, Digits: 7}) || in.Sync.ChecksumPriceDigits != 7 {
		t.Errorf("%+v", in)
	}
	if in := got[2]; in.Symbol != "ETH/BTC" || in.Quote != "BTC" || in.State != tick.StateRestricted || in.Tick != (tick.Number{Mantissa: 5, Digits: 6}) {
		t.Errorf("%+v", in)
	}
	// No precision, no checksum.
	if in := got[3]; in.Symbol != "OLD/EUR" || in.State != tick.StateUnknown || in.Sync.Checksum != tick.ChecksumNone {
		t.Errorf("%+v", in)
	}
	for _, body := range []string{"", "{", "[]", `{}`, `{"error":["EGeneral:Temporary lockout"],"result":null}`, `{"error":["EQuery:Unknown asset pair"]}`, `{"error":[],"result":[]}`, `{"error":[],"result":{"X":5}}`} {
		if _, err := v.ParseCatalog([]byte(body)); !errors.Is(err, feeds.ErrMalformed) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// The recorded catalog of 2021: all pairs of the websocket, none twice.
func TestRecordedCatalog(t *testing.T) {
	t.Parallel()
	for _, l := range capture(t, "kraken-sample.gz") {
		if l.tag != "rest" {
			continue
		}
		_, body, _ := strings.Cut(l.body, " ")
		all, err := new(venue).ParseCatalog([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, in := range all {
			if seen[in.Symbol] || strings.Contains(in.Symbol, "XBT") || strings.Contains(in.Symbol, "XDG") || in.Base == "" || in.Quote == "" || in.Sync.Checksum == tick.ChecksumNone {
				t.Errorf("%+v", in)
			}
			seen[in.Symbol] = true
		}
		t.Logf("%d pairs", len(all))
		if !seen["BTC/USD"] || !seen["ETH/BTC"] || !seen["DOGE/BTC"] || len(all) != 293 {
			t.Error("pairs are missing")
		}
		return
	}
	t.Fatal("no catalog was recorded")
}

func TestInstrument(t *testing.T) {
	t.Parallel()
	v := new(venue)
	for symbol, want := range map[string]string{"BTC/USD": "BTC/USD", "XBT/USD": "BTC/USD", "xbt/usd": "BTC/USD", "ETH/XBT": "ETH/BTC", "XDG/USD": "DOGE/USD", "AAPLx/USD": "AAPLx/USD", "ALGO/usd": "ALGO/usd", "X": "X"} {
		in := v.Instrument(symbol)
		if in.Symbol != want || in.Underlying != want || in.Sync.Checksum != tick.ChecksumNone || in.Sync.Truncate != 1000 || in.Type != tick.TypeSpot {
			t.Errorf("%s: %+v", symbol, in)
		}
	}
	if _, ok := v.SnapshotRequest(&tick.Instrument{}); ok {
		t.Error("books come in-band")
	}
}

func TestVolumes(t *testing.T) {
	t.Parallel()
	body := []byte(`{"error":[],"result":{
	 "XXBTZUSD":{"a":["83744.3","1","1.000"],"b":["83744.2","1","1.000"],"c":["83744.3","0.0004"],"v":["1.5","2000.5"],"p":["84000.0","84174.6"],"t":[1,2],"l":["1","1"],"h":["1","1"],"o":"1"},
	 "ETH/XBT":{"v":["1","10"],"p":["0.03","0.04"]},
	 "XDGUSD":{"v":["1","0"],"p":["0","0"]},
	 "NEWUSD":{"v":["1","2"],"p":["1","1"]}}}`)
	v := new(venue)
	if _, err := v.ParseVolumes(body); err == nil {
		t.Error("names were read that no catalog told")
	}
	if _, err := v.ParseCatalog([]byte(pairsBody)); err != nil {
		t.Fatal(err)
	}
	body = []byte(strings.Replace(string(body), "ETH/XBT", "ETHXBT", 1))
	got, err := v.ParseVolumes(body)
	if err != nil || len(got) != 3 || math.Abs(got["BTC/USD"]-2000.5*84174.6) > 1 || math.Abs(got["ETH/BTC"]-0.4) > 1e-9 || got["DOGE/USD"] != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := v.ParseVolumes([]byte(`{"error":["EGeneral:Internal error"]}`)); !errors.Is(err, feeds.ErrMalformed) {
		t.Error(err)
	}
}
