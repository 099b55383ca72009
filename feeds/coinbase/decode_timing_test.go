package coinbase

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

// Each benchmark rotates over a thousand frames of its kind, so that neither
// caches nor branches can learn one of them; encoding/json into fitting
// structs, numbers left as text, is the thing to beat.

func BenchmarkDecodeTrades(b *testing.B) {
	benchmarkDecode(b, 1000, func(i int) string {
		var trades []string
		for j := range 1 + i%4 {
			trades = append(trades, fmt.Sprintf(`{"product_id":"BTC-USD","trade_id":"%d","price":"%d.%02d","size":"0.%08d","time":"2026-08-24T22:34:14.%06dZ","side":%q}`,
				929248663+4*i-j, 78000+i, (i*7+j)%100, 1+i*7919%99999999, i*997%1000000, [2]string{"BUY", "SELL"}[(i+j)%2]))
		}
		return frameOf("market_trades", i, `{"type":"update","trades":[`+strings.Join(trades, ",")+`]}`)
	}, func() any {
		return &struct {
			Channel   string `json:"channel"`
			Timestamp string `json:"timestamp"`
			Number    uint64 `json:"sequence_num"`
			Events    []struct {
				Type   string `json:"type"`
				Trades []struct {
					Product string `json:"product_id"`
					ID      string `json:"trade_id"`
					Price   string `json:"price"`
					Size    string `json:"size"`
					Time    string `json:"time"`
					Side    string `json:"side"`
				} `json:"trades"`
			} `json:"events"`
		}{}
	})
}

func BenchmarkDecodeTicker(b *testing.B) {
	benchmarkDecode(b, 1000, func(i int) string {
		return frameOf("ticker", i, fmt.Sprintf(`{"type":"update","tickers":[{"type":"ticker","product_id":"BTC-USD","price":"%d.%02d","volume_24_h":"15328.12345678","low_24_h":"67500",`+
			`"high_24_h":"79200","low_52_w":"25000","high_52_w":"99000","price_percent_chg_24_h":"1.85234987234","best_bid":"%d.%02d","best_ask":"%d.%02d","best_bid_quantity":"0.%08d","best_ask_quantity":"%d.5"}]}`,
			78000+i, i%100, 78000+i, i%100, 78001+i, i%100, 1+i*7919%99999999, i%7))
	}, func() any {
		return &struct {
			Channel   string `json:"channel"`
			Timestamp string `json:"timestamp"`
			Number    uint64 `json:"sequence_num"`
			Events    []struct {
				Type    string `json:"type"`
				Tickers []struct {
					Product string `json:"product_id"`
					Bid     string `json:"best_bid"`
					BidSize string `json:"best_bid_quantity"`
					Ask     string `json:"best_ask"`
					AskSize string `json:"best_ask_quantity"`
				} `json:"tickers"`
			} `json:"events"`
		}{}
	})
}

func BenchmarkDecodeDepth(b *testing.B) {
	benchmarkDecode(b, 1000, func(i int) string { return depthOf("update", i, 1+i%9) }, func() any { return new(depthJSON) })
}

func BenchmarkDecodeSnapshot(b *testing.B) {
	benchmarkDecode(b, 2, func(i int) string { return depthOf("snapshot", i, 44_000) }, func() any { return new(depthJSON) })
}

type depthJSON struct {
	Channel   string `json:"channel"`
	Timestamp string `json:"timestamp"`
	Number    uint64 `json:"sequence_num"`
	Events    []struct {
		Type    string `json:"type"`
		Product string `json:"product_id"`
		Updates []struct {
			Side  string `json:"side"`
			Time  string `json:"event_time"`
			Price string `json:"price_level"`
			Size  string `json:"new_quantity"`
		} `json:"updates"`
	} `json:"events"`
}

func frameOf(channel string, i int, event string) string {
	return fmt.Sprintf(`{"channel":%q,"timestamp":"2026-08-24T22:34:13.%09dZ","sequence_num":%d,"events":[%s]}`, channel, 100000000+i*7919, i, event)
}

func depthOf(kind string, i, levels int) string {
	var all []string
	for j := range levels {
		side, price := "bid", 78000_00-j
		if j%2 == 1 {
			side, price = "offer", 78001_00+j
		}
		all = append(all, fmt.Sprintf(`{"side":%q,"event_time":"2026-08-24T22:34:13.%06dZ","price_level":"%d.%02d","new_quantity":"0.%08d"}`,
			side, i*997%1000000, (price+i)/100, (price+i)%100, (i+j)*7919%99999999))
	}
	return frameOf("l2_data", i, `{"type":"`+kind+`","product_id":"BTC-USD","updates":[`+strings.Join(all, ",")+`]}`)
}

func benchmarkDecode(b *testing.B, n int, frame func(i int) string, target func() any) {
	var frames [][]byte
	bytes := 0
	for i := range n {
		frames = append(frames, []byte(frame(i)))
		bytes += len(frames[i])
	}
	b.Run("ours", func(b *testing.B) {
		bench := newBench(b, 2, 8)
		units := make([]tick.Unit, 0, 1<<14)
		levels, next := 0, 0
		b.SetBytes(int64(bytes / n))
		b.ReportAllocs()
		for b.Loop() {
			var err error
			if units, _, err = bench.decoder.Decode(units[:0], frames[next], feeds.Stamp{Ordinal: 1}); err != nil || len(units) == 0 {
				b.Fatal(len(units), err)
			}
			for at := 0; at < len(units); at += tick.PacketUnits(&units[at]) {
				if k := units[at].KindOf(); k == tick.KindDepth || k == tick.KindSnapshot {
					levels += int(units[at].Depth().LevelCount)
				}
			}
			if next++; next == n {
				next, bench.decoder.count = 0, frameCount{}
			}
		}
		if levels > 0 {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(levels), "ns/level")
		}
	})
	b.Run("json", func(b *testing.B) {
		b.SetBytes(int64(bytes / n))
		b.ReportAllocs()
		next := 0
		for b.Loop() {
			if err := json.Unmarshal(frames[next], target()); err != nil {
				b.Fatal(err)
			}
			if next++; next == n {
				next = 0
			}
		}
	})
}
