package coinbase

import (
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

// The side of a past trade is that of the order that took, other than on the
// stream.
func TestPastTrades(t *testing.T) {
	t.Parallel()
	table := feeds.NewTable([]*tick.Instrument{{Symbol: "BTC-USD", ID: 3, PriceDigits: 2, SizeDigits: 8}})
	units, err := adapter{}.DecodeREST(nil, restURL+"/BTC-USD/ticker?limit=1000", []byte(`{"trades":[
		{"trade_id":"865127783","product_id":"BTC-USD","price":"116827.86","size":"0.00004147","time":"2026-10-01T14:30:01.123457Z","side":"SELL","exchange":"COINBASE"},
		{"trade_id":"865127782","product_id":"BTC-USD","price":"116827.85","size":"0.5","time":"2026-10-01T14:30:01.123456Z","side":"BUY","exchange":"COINBASE"}],
		"best_bid":"116827.84","best_ask":"116827.87"}`), table, feeds.Stamp{}, 0)
	if err != nil || len(units) != 2 {
		t.Fatalf("%d units, %v", len(units), err)
	}
	a, b := units[0].Trade(), units[1].Trade()
	if a.ID.Lo != 865127782 || a.Price != 11682785 || a.Size != 50000000 || a.Flags&tick.FlagSell != 0 || a.ExchangeNanos%1e9 != 123456000 ||
		b.ID.Lo != 865127783 || b.Flags&tick.FlagSell == 0 || b.Flags&tick.FlagFetched == 0 {
		t.Errorf("%+v\n%+v", a, b)
	}
}

// Pages go back by whole seconds until the first missing id, or until there is
// no going back.
func TestBackfillPages(t *testing.T) {
	t.Parallel()
	page := func(first, last uint64, from, to float64, n int) feeds.Page {
		return feeds.Page{Trades: n, FirstID: first, LastID: last, FirstNanos: int64(from * 1e9), LastNanos: int64(to * 1e9)}
	}
	f := func(want string, pages ...feeds.Page) {
		t.Helper()
		r, outcome := adapter{}.Backfill(&feeds.Backfill{Instrument: &tick.Instrument{Symbol: "BTC-USD"}, FromID: 100, ToID: 5000, FromNanos: 50.5e9, ToNanos: 90.5e9, Pages: pages})
		got := outcome.String()
		if outcome == tick.BackfillPending {
			_, got, _ = strings.Cut(r.URL, "limit=1000&")
		}
		if got != want {
			t.Errorf("after %+v: %q, want %q", pages, got, want)
		}
	}
	f("start=49&end=91")
	f("start=49&end=81", page(4100, 5100, 80.2, 90.9, 1000))
	f("whole", page(4100, 5100, 80.2, 90.9, 1000), page(90, 4200, 50.1, 80.9, 1000))
	f("failed", page(4000, 4999, 80.2, 90.2, 1000))
	f("failed", page(4000, 5001, 80.2, 90.9, 999))
	f("failed", page(0, 0, 0, 0, 0))
	f("partly", page(4100, 5100, 80.2, 90.9, 1000), page(4000, 5000, 80.1, 80.9, 1000))
	f("not_offered", feeds.Page{Refused: true})
}
