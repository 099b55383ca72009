package okx

import (
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

// An answer as the venue's documents show it: newest first.
func TestPastTrades(t *testing.T) {
	t.Parallel()
	table := feeds.NewTable([]*tick.Instrument{{Symbol: "BTC-USDT", ID: 3, PriceDigits: 1, SizeDigits: 8}})
	const url = "https://www.okx.com/api/v5/market/history-trades?instId=BTC-USDT&type=1&after=9"
	units, err := venue{}.DecodeREST(nil, url, []byte(`{"code":"0","msg":"","data":[
		{"instId":"BTC-USDT","side":"sell","sz":"0.00001","px":"29963.2","source":"0","tradeId":"242720720","ts":"1654161646974"},
		{"instId":"BTC-USDT","side":"buy","sz":"0.00001","px":"29964.1","source":"0","tradeId":"242720719","ts":"1654161641568"}]}`), table, feeds.Stamp{}, 0)
	if err != nil || len(units) != 2 {
		t.Fatalf("%d units, %v", len(units), err)
	}
	a, b := units[0].Trade(), units[1].Trade()
	if a.ID.Lo != 242720719 || a.Price != 299641 || a.Size != 1000 || a.Flags&tick.FlagSell != 0 || a.ExchangeNanos != 1654161641568e6 ||
		b.ID.Lo != 242720720 || b.Flags&tick.FlagSell == 0 || b.Flags&tick.FlagFetched == 0 {
		t.Errorf("%+v\n%+v", a, b)
	}
	if units, err := (venue{}).DecodeREST(nil, url, []byte(`{"code":"51001","data":[],"msg":"Instrument ID does not exist"}`), table, feeds.Stamp{}, 0); err == nil {
		t.Errorf("a refusal gives %d units", len(units))
	}
}
