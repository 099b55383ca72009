package bybit

import (
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

// Answers as the venue's documents show them.
func TestPastTrades(t *testing.T) {
	t.Parallel()
	f := func(venue, body string, id tick.ID) {
		t.Helper()
		m, _ := New(venue)
		table := feeds.NewTable([]*tick.Instrument{{Symbol: "BTCUSDT", ID: 3, PriceDigits: 2, SizeDigits: 5}})
		b := &feeds.Backfill{Instrument: &tick.Instrument{Symbol: "BTCUSDT"}}
		r, _ := m.Backfill(b)
		units, err := m.DecodeREST(nil, r.URL, []byte(`{"retCode":0,"retMsg":"OK","result":{"category":"x","list":[`+body+`]},"retExtInfo":{},"time":1672053054358}`), table, feeds.Stamp{}, 0)
		if err != nil || len(units) != 2 {
			t.Fatalf("%s: %d units, %v", venue, len(units), err)
		}
		x, block := units[1].Trade(), units[0].Trade()
		if x.ID != id || x.Price != 1661849 || x.Size != 12 || x.Flags&tick.FlagSell == 0 || x.ExchangeNanos != 1672052955758e6 {
			t.Errorf("%s: %+v", venue, x)
		}
		if block.Flags&tick.FlagNotMarket == 0 || block.Flags&tick.FlagFetched == 0 || block.Flags&tick.FlagSell != 0 {
			t.Errorf("%s: %+v", venue, block)
		}
		if units, err := m.DecodeREST(nil, r.URL, []byte(`{"retCode":10001,"retMsg":"params error","result":{"list":[]}}`), table, feeds.Stamp{}, 0); err == nil {
			t.Errorf("%s: a refusal gives %d units", venue, len(units))
		}
	}
	f("bybit-spot", `{"execId":"2100000000007764263","symbol":"BTCUSDT","price":"16618.49","size":"0.00012","side":"Sell","time":"1672052955758","isBlockTrade":false},
		{"execId":"2100000000007764262","symbol":"BTCUSDT","price":"16618.49","size":"0.00012","side":"Buy","time":"1672052955757","isBlockTrade":true}`,
		tick.ID{Lo: 2100000000007764263})
	f("bybit-linear", `{"execId":"20f43950-d8dd-5b31-9112-a178eb6023af","symbol":"BTCUSDT","price":"16618.49","size":"0.00012","side":"Sell","time":"1672052955758","isBlockTrade":false},
		{"execId":"20f43950-d8dd-5b31-9112-a178eb6023ae","symbol":"BTCUSDT","price":"16618.49","size":"0.00012","side":"Buy","time":"1672052955758","isBlockTrade":true}`,
		tick.ID{Hi: 0x20f43950d8dd5b31, Lo: 0x9112a178eb6023af})
}
