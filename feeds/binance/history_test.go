package binance

import (
	"errors"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

// Answers as the venue's documents show them.
const (
	pastBody = `[{"id":28458,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,"isBuyerMaker":true,"isBestMatch":true},
		{"id":28457,"price":"4.0001","qty":"1.5","quoteQty":"6","time":1499865549590123,"isBuyerMaker":false,"isBestMatch":true}]`
	aggregatesBody = `[{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27783,"T":1498793709153,"m":true,"M":true},
		{"a":26130,"p":"0.01633102","q":"4.70443515","f":27784,"l":27784,"T":1498793709200,"m":true,"M":true}]`
)

func TestPastTrades(t *testing.T) {
	t.Parallel()
	m, _ := New("binance-spot")
	table := feeds.NewTable([]*tick.Instrument{{Symbol: "BNBBTC", ID: 3, PriceDigits: 8, SizeDigits: 8}})
	units, err := m.DecodeREST(nil, "https://api.binance.com/api/v3/historicalTrades?symbol=BNBBTC&fromId=28457", []byte(pastBody), table, feeds.Stamp{}, 0)
	if err != nil || len(units) != 2 {
		t.Fatalf("%d units, %v", len(units), err)
	}
	a, b := units[0].Trade(), units[1].Trade()
	if a.ID.Lo != 28458 || a.Price != 400000100 || a.Size != 1200000000 || a.Flags&tick.FlagSell == 0 || a.ExchangeNanos != 1499865549590e6 || a.Instrument != 3 {
		t.Errorf("%+v", a)
	}
	if b.ID.Lo != 28457 || b.Flags&tick.FlagSell != 0 || b.ExchangeNanos != 1499865549590123e3 || b.Flags&tick.FlagFetched == 0 {
		t.Errorf("%+v", b)
	}
}

func TestAggregatesProveIDs(t *testing.T) {
	t.Parallel()
	m, _ := New("binance-usdm")
	p, proven, err := m.Aggregates([]byte(aggregatesBody), 27782, 27790)
	if err != nil || proven != 3 || p.Trades != 2 || p.FirstID != 27781 || p.LastID != 27784 || p.Cursor != 26130 || p.LastNanos != 1498793709200e6 {
		t.Errorf("%+v, %d proven, %v", p, proven, err)
	}
	for i := range aggregatesBody {
		if p, proven, err := m.Aggregates([]byte(aggregatesBody[:i]), 1, 99999); !errors.Is(err, feeds.ErrMalformed) || proven != 0 || p != (feeds.Page{}) {
			t.Fatalf("cut at %d: %+v, %d, %v", i, p, proven, err)
		}
	}
}

// Spot has single trades of any age without a key; futures have the newest,
// and with a key all. What is refused is tried otherwise.
func TestBackfillWays(t *testing.T) {
	t.Parallel()
	f := func(venue string, keyed bool, want string, pages ...feeds.Page) {
		t.Helper()
		m, _ := New(venue)
		b := &feeds.Backfill{Instrument: &tick.Instrument{Symbol: "X"}, FromID: 100, ToID: 200, FromNanos: 5_123_456_789, ToNanos: 6e9, Keyed: keyed, Pages: pages}
		r, outcome := m.Backfill(b)
		got := outcome.String()
		if i := strings.LastIndexByte(r.URL, '/'); i >= 0 {
			got = r.URL[i+1:]
		}
		if got != want || (r.URL == "") != (outcome != tick.BackfillPending) || r.Aggregates != strings.HasPrefix(got, "aggTrades") {
			t.Errorf("%s after %+v: %q, want %q", venue, pages, got, want)
		}
	}
	refused := feeds.Page{Way: wayHistory, Refused: true}
	recent := func(first, last uint64) feeds.Page {
		return feeds.Page{Way: wayRecent, Trades: 1000, FirstID: first, LastID: last}
	}
	f("binance-spot", false, "historicalTrades?symbol=X&fromId=100&limit=1000")
	f("binance-spot", false, "trades?symbol=X&limit=1000", refused)
	f("binance-usdm", false, "trades?symbol=X&limit=1000")
	f("binance-coinm", true, "historicalTrades?symbol=X&fromId=100&limit=500")
	f("binance-coinm", true, "trades?symbol=X&limit=1000", refused)
	f("binance-usdm", false, "whole", recent(50, 300))
	f("binance-usdm", false, "failed", recent(50, 199))
	f("binance-usdm", false, "aggTrades?symbol=X&startTime=5123&limit=1000", recent(150, 300))
	f("binance-usdm", false, "aggTrades?symbol=X&fromId=8&limit=1000", recent(150, 300), feeds.Page{Way: wayAggregates, Trades: 9, LastID: 180, Cursor: 7})
	f("binance-usdm", false, "aggregates", recent(150, 300), feeds.Page{Way: wayAggregates, Trades: 9, LastID: 200, Cursor: 7})
	f("binance-usdm", false, "partly", recent(150, 300), feeds.Page{Way: wayAggregates, Refused: true})
}
