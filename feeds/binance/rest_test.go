package binance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

func TestSnapshot(t *testing.T) {
	f := func(venue, url, body string, want tick.Depth, levels ...tick.Level) {
		t.Helper()
		b := newBench(t, venue, 2, 5)
		got, err := b.adapter.DecodeREST(nil, url, []byte(body), b.table, stamp, 42)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		wellFormed(t, got)
		if *got[0].Depth() != want || !slices.Equal(tick.Levels(got), levels) {
			t.Errorf("%s\ngot  %+v %v\nwant %+v %v", body, *got[0].Depth(), tick.Levels(got), want, levels)
		}
	}
	f("binance-spot", spotBodyAt, spotBody,
		tick.Depth{Header: header(tick.KindSnapshot, 0, 0), FirstID: 50093239218, LastID: 50093239218, PrevID: 42, Bids: 1, LevelCount: 3},
		tick.Level{Price: 6183763, Size: 378826}, tick.Level{Price: 6183764, Size: 160520}, tick.Level{Price: 6183800, Size: 200000})
	f("binance-usdm", usdmBodyAt, usdmBody,
		tick.Depth{Header: header(tick.KindSnapshot, 0, 1723161256493e6), FirstID: 5123107852948, LastID: 5123107852948, PrevID: 42, Bids: 1, LevelCount: 2},
		tick.Level{Price: 6180020, Size: 290900}, tick.Level{Price: 6180030, Size: 50000})
	// An empty book is a book.
	f("binance-spot", spotBodyAt, `{"asks":[],"bids":[],"lastUpdateId":1}`,
		tick.Depth{Header: header(tick.KindSnapshot, 0, 0), FirstID: 1, LastID: 1, PrevID: 42})
}

func TestSnapshotRescales(t *testing.T) {
	b := newBench(t, "binance-spot", 0, 0)
	got, err := b.adapter.DecodeREST(nil, spotBodyAt, []byte(spotBody), b.table, stamp, 1)
	if err != nil || got[0].KindOf() != tick.KindRescale || got[1].KindOf() != tick.KindSnapshot || b.entry.PriceDigits != 2 || b.entry.SizeDigits != 5 {
		t.Errorf("%v, kinds %d %d, entry %+v", err, got[0].KindOf(), got[1].KindOf(), b.entry)
	}
}

func TestLargeSnapshotIsCut(t *testing.T) {
	b := newBench(t, "binance-spot", 2, 5)
	var bids, asks []string
	for i := range 5000 {
		bids = append(bids, fmt.Sprintf(`["%d.00000000","1.00000000"]`, 60000-i))
		asks = append(asks, fmt.Sprintf(`["%d.00000000","1.00000000"]`, 60001+i))
	}
	body := `{"lastUpdateId":9,"bids":[` + strings.Join(bids, ",") + `],"asks":[` + strings.Join(asks, ",") + `]}`
	got, err := b.adapter.DecodeREST(nil, spotBodyAt, []byte(body), b.table, stamp, 6)
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, got)
	packets, levels, bidLevels := 0, 0, 0
	for ; len(got) > 0; got = got[tick.PacketUnits(&got[0]):] {
		d := got[0].Depth()
		if d.PrevID != 6 || d.LastID != 9 {
			t.Errorf("fragment %d: %+v", packets, d)
		}
		packets, levels, bidLevels = packets+1, levels+int(d.LevelCount), bidLevels+int(d.Bids)
	}
	if packets != 3 || levels != 10_000 || bidLevels != 5000 {
		t.Errorf("%d packets, %d levels, %d bids", packets, levels, bidLevels)
	}
}

func TestOtherAnswersAreLeftAlone(t *testing.T) {
	b := newBench(t, "binance-usdm", 2, 5)
	for _, url := range []string{
		"https://fapi.binance.com/fapi/v1/exchangeInfo", "https://fapi.binance.com/fapi/v1/depthX?symbol=BTCUSDT", spotBodyAt,
		"https://fapi.binance.com/fapi/v1/klines?symbol=BTCUSDT", "", "::", "https://fapi.binance.com/",
	} {
		dst := make([]tick.Unit, 1)
		if got, err := b.adapter.DecodeREST(dst, url, []byte(usdmBody), b.table, stamp, 1); err != nil || len(got) != 1 {
			t.Errorf("%s: %d units, %v", url, len(got), err)
		}
	}
}

func TestBadSnapshots(t *testing.T) {
	b := newBench(t, "binance-usdm", 2, 5)
	f := func(url, body string, kind error) {
		t.Helper()
		before := *b.entry
		dst := make([]tick.Unit, 1)
		got, err := b.adapter.DecodeREST(dst, url, []byte(body), b.table, stamp, 1)
		if !errors.Is(err, kind) || len(got) != 1 || *b.entry != before {
			t.Errorf("%.200s: %d units, error %v, want %v", body, len(got), err, kind)
		}
	}
	for i := range usdmBody {
		f(usdmBodyAt, usdmBody[:i], feeds.ErrMalformed)
	}
	f(usdmBodyAt, `<html>`, feeds.ErrMalformed)
	f(usdmBodyAt, `[]`, feeds.ErrMalformed)
	f(usdmBodyAt, `{"bids":[],"asks":[]}`, feeds.ErrMalformed)
	f(usdmBodyAt, `{"symbol":"ETHUSDT",`+usdmBody[1:], feeds.ErrMalformed)
	f(usdmBodyAt, strings.Replace(usdmBody, "2.909", "-2.909", 1), feeds.ErrMalformed)
	f(usdmBodyAt, strings.Replace(usdmBody, "2.909", "1e25", 1), feeds.ErrNumberRange)
	f(usdmBodyAt, `{"code":-1121,"msg":"Invalid symbol."}`, feeds.ErrUnknownSymbol)
	f(usdmBodyAt, `{"code":-1003,"msg":"Too many requests."}`, feeds.ErrUnknownMessage)
	f(strings.Replace(usdmBodyAt, "BTC", "ETH", 1), usdmBody, feeds.ErrUnknownSymbol)
	f(strings.Replace(usdmBodyAt, "symbol", "s", 1), usdmBody, feeds.ErrMalformed)
}

func TestSnapshotRequest(t *testing.T) {
	f := func(venue, symbol, url string, weight int) {
		t.Helper()
		a, _ := New(venue)
		r, ok := a.SnapshotRequest(&tick.Instrument{Symbol: symbol})
		if !ok || r.URL != url || r.Weight != weight {
			t.Errorf("%s: %+v %v", venue, r, ok)
		}
	}
	f("binance-spot", "BTCUSDT", "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=5000", 250)
	f("binance-usdm", "币安人生USDT", "https://fapi.binance.com/fapi/v1/depth?symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&limit=1000", 20)
	f("binance-coinm", "BTCUSD_PERP", "https://dapi.binance.com/dapi/v1/depth?symbol=BTCUSD_PERP&limit=1000", 20)
}
