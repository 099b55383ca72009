package wire

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// levelsOneByOne is plainLevels without a look at how other levels are written.
func levelsOneByOne(t []byte, i int, places, digits uint8) (levels []tick.Level, next int) {
	for {
		if !strings.HasPrefix(string(t[i:]), `["`) {
			return levels, i
		}
		price, at := jsonscan.Fixed(t, i+2, places)
		if at < 0 || !strings.HasPrefix(string(t[at:]), `,"`) || price == 0 {
			return levels, i
		}
		size, at := jsonscan.Fixed(t, at+2, digits)
		if at < 0 || at >= len(t)-1 || t[at] != ']' {
			return levels, i
		}
		levels = append(levels, tick.Level{Price: price, Size: size})
		if i = at + 1; t[i] != ',' {
			return levels, i
		}
		i++
	}
}

// However levels are written, one after the other, they are what each of them is
// alone.
func TestLevelsAreReadLikeTheLast(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	number := func(whole, places int) string {
		text := fmt.Sprint(r.IntN(whole))
		if places > 0 {
			text += "." + fmt.Sprintf("%0*d", places, r.IntN(10)) + strings.Repeat("0", r.IntN(9)*r.IntN(2))
		}
		return text
	}
	const before = `{"stream":"btcusdt@depth@100ms","b":[`
	var f Frame
	for range 3000 {
		f.price, f.size = uint8(r.IntN(4)), uint8(r.IntN(4))
		text := before
		priceWhole, priceDigits, sizeWhole, sizeDigits := 1+r.IntN(1_000_000), r.IntN(4), 1+r.IntN(2000), r.IntN(4)
		for i := range r.IntN(30) {
			if i > 0 {
				text += ","
			}
			if r.IntN(10) == 0 {
				sizeWhole, sizeDigits = 1+r.IntN(2000), r.IntN(4)
			}
			text += `["` + number(priceWhole, priceDigits) + `","` + number(sizeWhole, sizeDigits) + `"]`
		}
		text += "]" + strings.Repeat("}", r.IntN(40))
		if r.IntN(4) == 0 {
			at := len(before) + r.IntN(len(text)-len(before))
			text = text[:at] + string(`"[],.0:x`[r.IntN(8)]) + text[at+1:]
		}
		want, wantNext := levelsOneByOne([]byte(text), len(before), f.price, f.size)
		f.Depth.Begin(nil, len(text))
		next := f.plainLevels([]byte(text), len(before))
		levels := tick.Levels(f.Depth.Finish(tick.Depth{Header: tick.Header{Kind: tick.KindDepth}}))
		if next != wantNext || fmt.Sprint(levels) != fmt.Sprint(want) {
			t.Fatalf("%s at %d, %d: up to %d %v, want up to %d %v", text, f.price, f.size, next, levels, wantNext, want)
		}
	}
}
