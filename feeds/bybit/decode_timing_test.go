package bybit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

// The benchmarks rotate over frames of their kind, so that neither caches nor
// branches can learn one of them: books as recorded, the others made of today's
// frames with their numbers changed. encoding/json into fitting structs,
// numbers left as text, is the thing to beat.

func BenchmarkDecodeBook(b *testing.B) {
	for _, r := range recordedBooks {
		var frames [][]byte
		for _, line := range linesOf(b, r.path) {
			if bytes.Contains(line, []byte(`"delta"`)) {
				frames = append(frames, line)
			}
		}
		b.Run(fmt.Sprintf("%d", r.levels), func(b *testing.B) { benchmarkDecode(b, r.venue, frames, func() any { return new(bookJSON) }) })
	}
}

func BenchmarkDecodeQuote(b *testing.B) {
	benchmarkDecode(b, "bybit-linear", made(quoteFrame), func() any { return new(bookJSON) })
}
func BenchmarkDecodeTrade(b *testing.B) {
	benchmarkDecode(b, "bybit-linear", made(linearTrade), func() any { return new(tradeJSON) })
}
func BenchmarkDecodeTicker(b *testing.B) {
	benchmarkDecode(b, "bybit-linear", append(made(tickerAll), made(tickerDelta)...), func() any { return new(tickerJSON) })
}

// made returns 1,000 frames that differ in the digits of their numbers, other
// than the first.
func made(frame string) (frames [][]byte) {
	for i := range 1000 {
		text := []byte(frame)
		for j := 1; j < len(text)-1; j++ {
			if c := text[j]; c >= '1' && c <= '9' && text[j-1] >= '0' && text[j-1] <= '9' {
				text[j] = '1' + byte((int(c)+i*7+j*i)%9)
			}
		}
		frames = append(frames, text)
	}
	return frames
}

func benchmarkDecode(b *testing.B, venue string, frames [][]byte, target func() any) {
	size := 0
	for _, f := range frames {
		size += len(f)
	}
	rotate := func(b *testing.B, decode func(frame []byte) error) {
		b.SetBytes(int64(size / len(frames)))
		b.ReportAllocs()
		next := 0
		for b.Loop() {
			if err := decode(frames[next]); err != nil {
				b.Fatal(err)
			}
			if next++; next == len(frames) {
				next = 0
			}
		}
	}
	b.Run("ours", func(b *testing.B) {
		adapter, _ := New(venue)
		table := feeds.NewTable(nil)
		table.Discover = func(symbol string) *feeds.Entry { return &feeds.Entry{Symbol: symbol} }
		d := adapter.NewDecoder(nil, table)
		var units []tick.Unit
		decode := func(frame []byte) (err error) {
			units, _, err = d.Decode(units[:0], frame, feeds.Stamp{Ordinal: 1})
			return err
		}
		for _, f := range frames { // until the scales fit
			if err := decode(f); err != nil {
				b.Fatalf("%s: %v", f, err)
			}
		}
		rotate(b, decode)
	})
	b.Run("json", func(b *testing.B) {
		rotate(b, func(frame []byte) error { return json.Unmarshal(frame, target()) })
	})
}

type envelopeJSON struct {
	Topic string `json:"topic"`
	Type  string `json:"type"`
	Ts    int64  `json:"ts"`
	Cts   int64  `json:"cts"`
}

type bookJSON struct {
	envelopeJSON
	Data struct {
		Symbol   string      `json:"s"`
		Bids     [][2]string `json:"b"`
		Asks     [][2]string `json:"a"`
		UpdateID uint64      `json:"u"`
		Seq      uint64      `json:"seq"`
	} `json:"data"`
}

// Keys that differ only in case need both spelled out for encoding/json.
type tradeJSON struct {
	envelopeJSON
	Data []struct {
		Time   int64  `json:"T"`
		Symbol string `json:"s"`
		Side   string `json:"S"`
		Size   string `json:"v"`
		Price  string `json:"p"`
		ID     string `json:"i"`
		Block  bool   `json:"BT"`
	} `json:"data"`
}

type tickerJSON struct {
	envelopeJSON
	Data struct {
		Symbol          string `json:"symbol"`
		MarkPrice       string `json:"markPrice"`
		IndexPrice      string `json:"indexPrice"`
		OpenInterest    string `json:"openInterest"`
		FundingRate     string `json:"fundingRate"`
		NextFundingTime string `json:"nextFundingTime"`
	} `json:"data"`
}
