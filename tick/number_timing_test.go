package tick

import (
	"strconv"
	"testing"

	"github.com/shopspring/decimal"
)

// Numbers as venues write them: prices and sizes of several lengths, so that
// no branch is always the same.
var timingTexts = [][]byte{
	[]byte("61837.63000000"), []byte("1.54698000"), []byte("0.00000000"), []byte("58710.20"), []byte("0.014"), []byte("30243.5"),
	[]byte("2192.68000"), []byte("13355.87450757"), []byte("0.000022900"), []byte("5"), []byte("61862.52000000"), []byte("0.05017000"),
}

func BenchmarkParseScaled(b *testing.B) {
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseScaled(timingTexts[i], 9); err != nil {
			b.Fatal(err)
		}
		if i++; i == len(timingTexts) {
			i = 0
		}
	}
}

// What it replaces: inexact, and exact with allocations.
func BenchmarkParseScaledPeers(b *testing.B) {
	texts := make([]string, len(timingTexts))
	for i, text := range timingTexts {
		texts[i] = string(text)
	}
	b.Run("strconv.ParseFloat", func(b *testing.B) {
		i := 0
		b.ReportAllocs()
		for b.Loop() {
			if _, err := strconv.ParseFloat(texts[i], 64); err != nil {
				b.Fatal(err)
			}
			if i++; i == len(texts) {
				i = 0
			}
		}
	})
	b.Run("decimal.NewFromString", func(b *testing.B) {
		i := 0
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decimal.NewFromString(texts[i]); err != nil {
				b.Fatal(err)
			}
			if i++; i == len(texts) {
				i = 0
			}
		}
	})
}

func BenchmarkAppendScaled(b *testing.B) {
	out := make([]byte, 0, 64)
	values := []int64{6183763, 154698000, 0, 5871020, 14, 302435}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		out = AppendScaled(out[:0], values[i], 8)
		if i++; i == len(values) {
			i = 0
		}
	}
}
