package okx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

// Each benchmark rotates over frames of its kind, so that neither caches nor
// branches can learn one of them: recorded updates of books, and frames written
// in the venue's form for the rest. encoding/json into fitting structs, numbers
// left as text, is the thing to beat.

func BenchmarkDecodeUpdate(b *testing.B) {
	var frames [][]byte
	for line := range bytes.Lines(sample(b, "wire-2026", "okx_books.jsonl")) {
		if bytes.Contains(line, []byte(`"action":"update"`)) {
			frames = append(frames, bytes.TrimSpace(line))
		}
	}
	// Six recorded ones, with other digits each time: prices and sizes keep their form.
	r := rand.New(rand.NewPCG(1, 2))
	for len(frames) < 2000 {
		f := bytes.Clone(frames[r.IntN(6)])
		for i := bytes.Index(f, []byte("data")); i < len(f); i++ {
			if f[i] >= '1' && f[i] <= '9' && f[i-1] != '"' && f[i-1] != ':' {
				f[i] = byte('1' + r.IntN(9))
			}
		}
		frames = append(frames, f)
	}
	benchmarkDecode(b, frames, func() any { return new(booksJSON) })
}

func BenchmarkDecodeSnapshot(b *testing.B) {
	var frames [][]byte
	for line := range bytes.Lines(sample(b, "wire-2026", "okx_books.jsonl")) {
		if bytes.Contains(line, []byte(`"action":"snapshot"`)) {
			frames = append(frames, bytes.TrimSpace(line))
		}
	}
	benchmarkDecode(b, frames, func() any { return new(booksJSON) })
}

func BenchmarkDecodeTrade(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 4))
	var frames [][]byte
	for i := range 2000 {
		frames = append(frames, fmt.Appendf(nil, `{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"%d","px":"%d.%d","sz":"0.%08d","side":"%s","source":"0","ts":"%d"}]}`,
			734864333+i, 60000+r.IntN(20000), r.IntN(10), 1+r.IntN(99999999), [2]string{"buy", "sell"}[r.IntN(2)], 1787612486107+i*13))
	}
	benchmarkDecode(b, frames, func() any { return new(tradesJSON) })
}

func BenchmarkDecodeQuote(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	var frames [][]byte
	for i := range 2000 {
		price := 60000 + r.IntN(20000)
		frames = append(frames, fmt.Appendf(nil, `{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["%d.5","0.%08d","0","%d"]],"bids":[["%d.4","1.%08d","0","%d"]],"ts":"%d","seqId":%d}]}`,
			price, 1+r.IntN(99999999), 1+r.IntN(30), price, 1+r.IntN(99999999), 1+r.IntN(30), 1787612486107+i*10, 80274874800+i*7))
	}
	benchmarkDecode(b, frames, func() any { return new(booksJSON) })
}

func benchmarkDecode(b *testing.B, frames [][]byte, target func() any) {
	total := 0
	for _, f := range frames {
		total += len(f)
	}
	b.Run("ours", func(b *testing.B) {
		table := feeds.NewTable(nil)
		table.Discover = func(symbol string) *feeds.Entry { return &feeds.Entry{Symbol: symbol, PriceDigits: 1, SizeDigits: 8} }
		d := venue{}.NewDecoder(nil, table)
		var units []tick.Unit
		levels, next := 0, 0
		b.SetBytes(int64(total / len(frames)))
		b.ReportAllocs()
		for b.Loop() {
			var err error
			if units, _, err = d.Decode(units[:0], frames[next], stamp); err != nil {
				b.Fatal(err)
			}
			if k := units[0].KindOf(); k == tick.KindDepth || k == tick.KindSnapshot {
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
	b.Run("json", func(b *testing.B) {
		b.SetBytes(int64(total / len(frames)))
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

type argJSON struct {
	Channel string `json:"channel"`
	Symbol  string `json:"instId"`
}

type booksJSON struct {
	Arg    argJSON `json:"arg"`
	Action string  `json:"action"`
	Data   []struct {
		Asks     [][4]string `json:"asks"`
		Bids     [][4]string `json:"bids"`
		Time     string      `json:"ts"`
		Checksum int32       `json:"checksum"`
		Sequence int64       `json:"seqId"`
		Previous int64       `json:"prevSeqId"`
	} `json:"data"`
}

type tradesJSON struct {
	Arg  argJSON `json:"arg"`
	Data []struct {
		Symbol string `json:"instId"`
		ID     string `json:"tradeId"`
		Price  string `json:"px"`
		Size   string `json:"sz"`
		Side   string `json:"side"`
		Source string `json:"source"`
		Time   string `json:"ts"`
	} `json:"data"`
}
