package bybit

import (
	"flag"
	"testing"

	"tickproc/feeds"
	"tickproc/feeds/wire/shapetest"
)

var seedFlag = flag.Uint64("seed", 4, "of what is damaged")

func one(t testing.TB, venue string, priceDigits, sizeDigits uint8) shapetest.One {
	b := newBench(t, venue, priceDigits, sizeDigits)
	d := b.decoder.(*decoder)
	return shapetest.One{Decoder: d, Entries: []*feeds.Entry{b.entry}, Forget: func() { d.shapes = shapes{} },
		ByShape: func(frame []byte) bool { d.Begin(nil, frame, stamp); return d.byShape() }}
}

const asksAhead = `{"topic":"orderbook.1000.BTCUSDT","type":"delta","ts":1787612486116,"data":{"s":"BTCUSDT","a":[["78716.8","0.027559"],["78748.5","0"]],"b":[["78710.8","0"]],"u":217107085,"seq":113099229629},"cts":1787612486108}`

var shapedFrames = []string{bookDelta, asksAhead, bookSnapshot, quoteFrame, linearTrade, spotTrades}

// The second message of a kind is read by the shape of the first, with other
// values, and whatever is not of that shape in full.
func TestMessagesAreReadByTheirShape(t *testing.T) {
	t.Parallel()
	f := func(frame string, same, other []string) {
		t.Helper()
		shapetest.Story(t, stamp, func() shapetest.One { return one(t, markets[0].venue, 2, 6) }, frame, same, other)
	}
	f(bookDelta, []string{`[["78710.8","0"]] → []`, `["78748.5","0"] → ["78748.5","0"],["5","6.5"]`, `217107085 → 7`, `1787612486116 → 1`, `1787612486108 → 1`, `113099229629 → 1`},
		[]string{`217107085 → 1`, `delta → snapshot`, `delta → other`, `BTCUSDT → ETHUSDT`, `"s":"BTCUSDT" → "s":"ETHUSDT"`, `orderbook.1000 → orderbook.1`, `orderbook.1000 → orderbook.rpi`, `"b" → "B"`, `0"]] → 0"],]`,
			`78710.8 → 0`, `78710.8 → 78710.855`, `"78710.8" → 78710.8`, `],[ → ] ,[`, `217107085 → "217107085"`, `217107085 → 1.5`, `217107085 → 99999999999999999999`, `"0"]] → "0","1"]]`, `"b":[ → "b":[[]`})
	f(quoteFrame, []string{`["63561.5","1.776"] → `, `63561.6 → 7`, `"4.848" → "0"`}, []string{`63561.5 → 0`, `["63561.5","1.776"] → ["63561.5","1.776"],["63561","1.776"]`, `snapshot → delta`,
		`orderbook.1. → orderbook.50.`, `"1.776"]] → "1.776"],]`, `1.776 → 1.7761234`, `"s":"BTCUSDT" → "s":"ETHUSDT"`})
	trade := []string{`"0.001" → "5"`, `16578.50 → 7`, `16578.50 → 7.000`, `"PlusTick" → ""`, `"Buy" → "Sell"`, `20f43950 → ffffffff`, `1672304486865 → 0`}
	notTrade := []string{`"Buy" → "buy"`, `"Buy" → null`, `"BT":false → "BT":true`, `"BT":false → "BT":null`, `20f43950-d → 20f43950d-`, `20f43950 → 20F43950`, `20f43950 → 20g43950`, `20f43950 → 20:43950`, `20f43950 → 20\u3950`,
		"20f43950 → 20`43950", `20f43950-d8dd-5b31-9112-a178eb6023af → 5`, `-5b31- → 05b31-`, `"PlusTick" → null`, `16578.50 → 16578.555`, `0.001 → 0`, `"s":"BTCUSDT" → "s":"ETHUSDT"`, `"T" → "t"`, `}] → },]`, `}] → },{}]`,
		`1672304486865 → "1672304486865"`, `[{ → []{`}
	f(linearTrade, append(trade, `}] → },{"T":1672304486865,"s":"BTCUSDT","S":"Buy","v":"0.001","p":"16578.50","L":"PlusTick","i":"20f43950-d8dd-5b31-9112-a178eb6023af","BT":false}]`), notTrade)
	f(spotTrades, []string{`2290000001211680903 → 5`, `"RPI":false → "RPI":true`, `"Sell" → "Buy"`, `114263055846 → 0`}, []string{`2290000001211680903 → 02290000001211680903`, `"2290000001211680903" → 2290000001211680903`,
		`2290000001211680903 → 20f43950-d8dd-5b31-9112-a178eb6023af`, `"RPI":false → "RPI":null`, `"s":"BTCUSDT" → "s":"ETHUSDT"`, `2290000001211680903 → 22900000012116809030`})
}

// Packets hold bids first: messages that do not have no shape.
func TestAsksAheadHaveNoShape(t *testing.T) {
	t.Parallel()
	one := one(t, markets[0].venue, 2, 6)
	if _, _, err := one.Decoder.Decode(nil, []byte(asksAhead), stamp); err != nil || one.ByShape([]byte(asksAhead)) {
		t.Errorf("%v, or they have", err)
	}
}

func TestDamagedFramesByShape(t *testing.T) {
	t.Parallel()
	for _, m := range markets {
		shapetest.Damage(t, stamp, func(priceDigits, sizeDigits uint8) shapetest.One { return one(t, m.venue, priceDigits, sizeDigits) }, frames, *seedFlag, 300)
	}
}

func FuzzShapes(f *testing.F) {
	shapetest.Fuzz(f, stamp, func(t *testing.T, venue, priceDigits, sizeDigits uint8) shapetest.One {
		return one(t, markets[int(venue)%len(markets)].venue, priceDigits, sizeDigits)
	}, shapedFrames)
}
