package binance

import (
	"encoding/json"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

// Each benchmark rotates over up to 20,000 recorded frames of its kind, so
// that neither caches nor branches can learn one of them; encoding/json into
// fitting structs, numbers left as text, is the thing to beat.

func BenchmarkDecodeTrade(b *testing.B) {
	benchmarkDecode(b, "@trade", func() any { return new(tradeJSON) })
}
func BenchmarkDecodeQuote(b *testing.B) {
	benchmarkDecode(b, "@bookTicker", func() any { return new(quoteJSON) })
}
func BenchmarkDecodeDepth(b *testing.B) {
	benchmarkDecode(b, "@depth", func() any { return new(depthJSON) })
}

func benchmarkDecode(b *testing.B, stream string, target func() any) {
	for _, c := range []struct{ venue, file string }{
		{"binance-spot", "binance-spot-btcusdt-20240808.gz"},
		{"binance-usdm", "binance-usdm-btcusdt-20240808.gz"},
		{"binance-coinm", "binance-coinm-btcusd_perp-20240808.gz"},
	} {
		frames, bytes := framesOf(b, c.file, stream)
		perFrame := int64(bytes / len(frames))
		b.Run(strings.TrimPrefix(c.venue, "binance-")+"/ours", func(b *testing.B) {
			d := settled(b, c.venue, frames)
			var units []tick.Unit
			levels := 0
			b.SetBytes(perFrame)
			b.ReportAllocs()
			next := 0
			for b.Loop() {
				var err error
				if units, _, err = d.Decode(units[:0], frames[next], feeds.Stamp{Ordinal: 1}); err != nil {
					b.Fatal(err)
				}
				if units[0].KindOf() == tick.KindDepth {
					levels += int(units[0].Depth().LevelCount)
				}
				if next++; next == len(frames) {
					next = 0
				}
			}
			if levels > 0 {
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(levels), "ns/level")
			}
		})
		b.Run(strings.TrimPrefix(c.venue, "binance-")+"/json", func(b *testing.B) {
			b.SetBytes(perFrame)
			b.ReportAllocs()
			next := 0
			for b.Loop() {
				if err := json.Unmarshal(frames[next], target()); err != nil {
					b.Fatal(err)
				}
				if next++; next == len(frames) {
					next = 0
				}
			}
		})
	}
}

// framesOf returns recorded frames of a stream and their bytes.
func framesOf(t testing.TB, file, stream string) (frames [][]byte, bytes int) {
	for _, l := range capture(t, file) {
		if l.tag == "text" && len(frames) < 20_000 && strings.Contains(string(l.body[:min(64, len(l.body))]), stream) {
			frames = append(frames, l.body)
			bytes += len(l.body)
		}
	}
	if len(frames) == 0 {
		t.Fatalf("%s holds no %s", file, stream)
	}
	return frames, bytes
}

// settled returns a decoder whose scales fit the frames.
func settled(t testing.TB, venue string, frames [][]byte) feeds.Decoder {
	adapter, _ := New(venue)
	table := feeds.NewTable(nil)
	table.Discover = func(symbol string) *feeds.Entry { return &feeds.Entry{Symbol: symbol} }
	d := adapter.NewDecoder(nil, table)
	for _, f := range frames {
		if _, _, err := d.Decode(nil, f, feeds.Stamp{}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// Keys that differ only in case need both spelled out for encoding/json.
type tradeJSON struct {
	Stream string `json:"stream"`
	Data   struct {
		Event     string `json:"e"`
		EventTime int64  `json:"E"`
		Time      int64  `json:"T"`
		ID        int64  `json:"t"`
		Symbol    string `json:"s"`
		Price     string `json:"p"`
		Size      string `json:"q"`
		Maker     bool   `json:"m"`
		Ignore    bool   `json:"M"`
		Type      string `json:"X"`
	} `json:"data"`
}

type quoteJSON struct {
	Stream string `json:"stream"`
	Data   struct {
		ID        int64  `json:"u"`
		Symbol    string `json:"s"`
		Bid       string `json:"b"`
		BidSize   string `json:"B"`
		Ask       string `json:"a"`
		AskSize   string `json:"A"`
		Event     string `json:"e"`
		EventTime int64  `json:"E"`
		Time      int64  `json:"T"`
	} `json:"data"`
}

type depthJSON struct {
	Stream string `json:"stream"`
	Data   struct {
		Event     string      `json:"e"`
		EventTime int64       `json:"E"`
		Time      int64       `json:"T"`
		Symbol    string      `json:"s"`
		First     int64       `json:"U"`
		Last      int64       `json:"u"`
		Prev      int64       `json:"pu"`
		Bids      [][2]string `json:"b"`
		Asks      [][2]string `json:"a"`
	} `json:"data"`
}
