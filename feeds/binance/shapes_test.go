package binance

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

// twins read the same frames, one by shapes wherever it can, one never.
type twins struct{ shaped, full *bench }

func newTwins(t testing.TB, venue string, priceDigits, sizeDigits uint8) twins {
	return twins{newBench(t, venue, priceDigits, sizeDigits), newBench(t, venue, priceDigits, sizeDigits)}
}

// read holds that both say the same of a frame, to the letter.
func (w twins) read(frame []byte) {
	w.shaped.t.Helper()
	units, notice, err := w.shaped.decoder.Decode(nil, frame, stamp)
	full := w.full.decoder.(*decoder)
	full.shapes = shapes{} // forgets what it learnt
	wantUnits, wantNotice, wantErr := full.Decode(nil, frame, stamp)
	if fmt.Sprint(err) != fmt.Sprint(wantErr) || notice != wantNotice || *w.shaped.entry != *w.full.entry ||
		len(units) != len(wantUnits) || len(units) > 0 && !reflect.DeepEqual(units, wantUnits) {
		w.shaped.t.Fatalf("%q\nby shape %v %+v %+v\n%x\nin full  %v %+v %+v\n%x", frame, err, notice, *w.shaped.entry, units, wantErr, wantNotice, *w.full.entry, wantUnits)
	}
}

const (
	usdmTradeFramed = `{"stream":"btcusdt@trade","data":` + usdmTrade + `}`
	usdmQuoteFramed = `{"stream":"btcusdt@bookTicker","data":` + usdmQuote + `}`
	usdmDepthFramed = `{"stream":"btcusdt@depth@0ms","data":` + usdmDepth + `}`
)

// The second message of a kind is read by the shape of the first, with other
// values, and whatever is not of that shape in full.
func TestMessagesAreReadByTheirShape(t *testing.T) {
	t.Parallel()
	f := func(venue, frame string, same, other []string) {
		t.Helper()
		// Each begins anew, for a message that is read in full may be learnt from.
		var w twins
		shaped := func(text string) bool {
			w = newTwins(t, venue, 2, 5)
			w.read([]byte(frame))
			d := w.shaped.decoder.(*decoder)
			d.Begin(nil, []byte(text), stamp)
			return d.byShape()
		}
		edit := func(edit string) string {
			from, to, _ := strings.Cut(edit, " → ")
			if !strings.Contains(frame, from) {
				t.Fatalf("%s is not in %s", from, frame)
			}
			return strings.Replace(frame, from, to, 1)
		}
		for _, e := range same {
			if !shaped(edit(e)) {
				t.Errorf("%s: is not read by its shape", edit(e))
			}
			w.read([]byte(edit(e)))
		}
		for _, e := range other {
			if shaped(edit(e)) {
				t.Errorf("%s: is read by a shape that it has not", edit(e))
			}
			w.read([]byte(edit(e)))
		}
		if n := len(frame); shaped(frame[:n-1]) || shaped(frame+" ") || shaped(frame+"}") {
			t.Errorf("%s: is read with another end", frame)
		}
	}
	numbers := []string{`btcusdt@ → 1000satsusdt@`, `343 → 3`, `61837.63000000 → 0.5`, `61837.63000000 → 1234567.8`}
	f("binance-spot", spotTrade, append(numbers, `"m":true → "m":false`, `3735683259 → 9999999999999999999`, `0.02000000 → 123456789`),
		[]string{`"t":37 → "t":037`, `"t":37 → "t":-37`, `3735683259 → 37356832590000000000`, `61837.63 → 61837.631`, `61837.63 → -1837.63`, `"61837.63000000" → 61837.63`,
			`0.02000000 → 0.00000000`, `"M":true → "M":false`, `"m":true → "m":null`, `btcusdt@ → btc\u0075sdt@`, `BTCUSDT → ETHUSDT`, `BTCUSDT → BTC\u0055SDT`,
			`,"T" → , "T"`, `"e":"trade" → "e":"aggTrade"`, `@trade → @trade2`, `"p" → "P"`, `343 → 343.5`})
	f("binance-usdm", usdmTradeFramed, []string{`0.006 → 25`, `false → true`}, []string{`MARKET → NA`, `0.006 → 1e-3`})
	f("binance-spot", spotQuote, []string{`61837.64000000 → 7`}, []string{`61837.64000000 → 0`, `"u":5 → "u":"5`})
	f("binance-usdm", usdmQuoteFramed, []string{`1723161256313 → 17231612563130`}, []string{`"T" → "X"`})
	f("binance-spot", spotDepth, []string{`[["61838.04000000","0.32332000"]] → []`, `["61837.63000000","1.50000000"], → `, `["61837.63000000","1.50000000"] → ["1","0"]`,
		`"1.50000000"] → "1.50000000"],["2","3.5"]`},
		[]string{`["61837 → [ "61837`, `],[ → ] ,[`, `@100ms → @1000ms`, `depth@100ms → depth5@100ms`, `"61838.04000000" → 61838.04`, `61838.04000000 → 0`,
			`"U":50 → "U":60`, `"0.32332000"] → "0.32332000","1"]`, `]],"a" → ],"a"`, `]],"a" → ],],"a"`, `[["61838 → ["61838`})
	f("binance-usdm", usdmDepthFramed, []string{`"a":[] → "a":[["1","2"]]`}, []string{`"pu" → "pw"`, `"a":[] → "a":[]]`})
}

// A venue that changes how it writes is followed; the shape of a message with a
// key that nobody knows is not learnt, so that the key is told.
func TestShapesFollow(t *testing.T) {
	t.Parallel()
	w := newTwins(t, Spot, 2, 5)
	for i, frame := range []string{spotTrade, strings.Replace(spotTrade, `"M":true`, `"M":false`, 1), strings.Replace(spotTrade, `"M":true`, `"new":true`, 1), spotTrade} {
		for range 3 {
			w.read([]byte(frame))
		}
		d := w.shaped.decoder.(*decoder)
		if _, alike := d.alike(); (alike || d.byShape()) != (i != 2) {
			t.Errorf("frame %d: like the last: %v", i, alike)
		}
	}
}

// A message that differs from one before in digits alone is read by that, and
// nothing else is.
func TestMessagesAreReadLikeTheLast(t *testing.T) {
	t.Parallel()
	f := func(venue, frame string, same, other []string) {
		t.Helper()
		alike := func(text string) bool {
			w := newTwins(t, venue, 2, 5)
			w.read([]byte(frame))
			d := w.shaped.decoder.(*decoder)
			d.Begin(nil, []byte(text), stamp)
			_, ok := d.alike()
			w.read([]byte(text))
			return ok
		}
		edit := func(edit string) string {
			from, to, _ := strings.Cut(edit, " → ")
			if !strings.Contains(frame, from) {
				t.Fatalf("%s is not in %s", from, frame)
			}
			return strings.Replace(frame, from, to, 1)
		}
		for _, e := range append(same, "172 → 172") {
			if !alike(edit(e)) {
				t.Errorf("%s: is not read like %s", edit(e), frame)
			}
		}
		for _, e := range append(other, "172 → 17x", "172 → 1 7", `"E":1 → "E":0`, `BTCUSDT → BTCUSDX`, `{"stream → ["stream`, `btcusdt → btcusdx`) {
			if alike(edit(e)) {
				t.Errorf("%s: is read like %s", edit(e), frame)
			}
		}
		if n := len(frame); alike(frame[:n-1]) || alike(frame+" ") || alike(frame[:n-1]+"]") {
			t.Errorf("%s: is read with another end", frame)
		}
	}
	f("binance-spot", spotTrade, []string{`"t":3735683259 → "t":3799999999`, `61837.63 → 00000.01`, `0.02000000 → 9.98765000`},
		[]string{`"t":3735683259 → "t":4735683259`, `61837.63000000 → 61837.63000001`, `61837.63 → 61837:63`, `61837.63 → 00000.00`, `0.02000000 → 0.0200000/`, `0.02000000 → 0.02000.00`,
			`"m":true → "m":null`, `"m":true, → "m":false`, `"M":true → "M":trux`})
	f("binance-usdm", usdmTradeFramed, []string{`0.006 → 9.999`}, []string{`MARKET → MARKED`, `0.006 → 1e-03`, `0.006 → 0.000`})
	f("binance-usdm", usdmQuoteFramed, []string{`1723161256313 → 1723199999999`}, []string{`1723161256313 → 0723161256313`})
	f("binance-spot", spotDepth, []string{`61837.63 → 161837.63`, `[["61838.04000000","0.32332000"]] → []`, `"],["55653.87000000","0.00000000"]] → "]]`},
		[]string{`],"a" → ],],"a"`, `"a":[ → "a":[,`, `"a" → "A"`, `]]}} → ]]}]`, `]]}} → ]]}} `, `]]}} → ]]}`, `"b":[ → "b":{`, `61838.04 → 6183x.04`, `"U":50093239203 → "U":50093299999`})
	f("binance-usdm", usdmDepthFramed, []string{`"a":[] → "a":[["1","2"]]`, `"pu":5123107831937 → "pu":5123199999999`}, []string{`"pu" → "pv"`})
}

// Digits that change at random, and now and then anything else, say the same by
// whatever way they are read.
func TestMessagesLikeTheLastAgainstFull(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for i, frame := range []string{spotTrade, usdmTradeFramed, usdmQuoteFramed, spotDepth, usdmDepthFramed} {
		venue := []string{"binance-spot", "binance-usdm", "binance-usdm", "binance-spot", "binance-usdm"}[i]
		var w twins
		likes := 0
		for round := range 2000 {
			if round%50 == 0 {
				w = newTwins(t, venue, uint8(r.IntN(9)), uint8(r.IntN(9)))
				w.read([]byte(frame))
			}
			text := []byte(frame)
			for at, c := range text {
				if c-'0' <= 9 && r.IntN(16) == 0 {
					text[at] = '0' + byte(r.IntN(10))
				}
			}
			switch r.IntN(8) {
			case 0:
				text[r.IntN(len(text))] = byte(r.IntN(256))
			case 1:
				at := r.IntN(len(text))
				text = append(text[:at:at], text[at+1:]...)
			}
			d := w.shaped.decoder.(*decoder)
			d.Begin(nil, text, stamp)
			if _, ok := d.alike(); ok {
				likes++
			}
			w.read(text)
		}
		if likes < 20 {
			t.Errorf("%s: %d are like one before", frame, likes)
		}
	}
}

// An instrument that is defined anew is looked for anew, and what is read at
// another scale as well.
func TestLikeTheLastFollowsTheTable(t *testing.T) {
	t.Parallel()
	b := newBench(t, Spot, 2, 5)
	d := b.decoder.(*decoder)
	alike := func() (instrument uint32, ok bool) {
		t.Helper()
		if _, _, err := d.Decode(nil, []byte(spotTrade), stamp); err != nil {
			t.Fatal(err)
		}
		d.Begin(nil, []byte(spotTrade), stamp)
		if _, ok = d.alike(); ok {
			instrument = d.Instrument()
		}
		return instrument, ok
	}
	if _, ok := alike(); !ok {
		t.Error("the same message is not alike")
	}
	d.Table().Add(&feeds.Entry{Symbol: "BTCUSDT", ID: 77, PriceDigits: 2, SizeDigits: 5})
	for i := range 200 {
		if instrument, ok := alike(); ok && instrument != 77 {
			t.Fatalf("message %d is of instrument %d", i, instrument)
		} else if ok {
			return
		}
	}
	t.Error("it is not learnt again")
}

// Whatever a frame says, it says the same by shape as in full, also where the
// scale grows in between.
func FuzzShapes(f *testing.F) {
	all := []string{spotTrade, usdmTradeFramed, spotQuote, usdmQuoteFramed, spotDepth, usdmDepthFramed}
	for i, frame := range all {
		f.Add([]byte(frame), []byte(frame), []byte(all[(i+1)%len(all)]), uint8(i%2), uint8(2), uint8(5))
		f.Add([]byte(frame), []byte(strings.Replace(frame, "6", "7", 3)), []byte(strings.Replace(frame, "BTC", "ETH", 1)), uint8(i%2), uint8(8), uint8(0))
	}
	f.Fuzz(func(t *testing.T, first, second, third []byte, venue, priceDigits, sizeDigits uint8) {
		w := newTwins(t, Venues()[int(venue)%len(Venues())], priceDigits%(tick.MaxDigits+1), sizeDigits%(tick.MaxDigits+1))
		for _, frame := range [][]byte{first, second, third, second, first} {
			w.read(frame)
		}
	})
}
