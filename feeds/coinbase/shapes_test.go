package coinbase

import (
	"flag"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/feeds/wire/shapetest"
)

var seedFlag = flag.Uint64("seed", 4, "of what is damaged")

func one(t testing.TB, priceDigits, sizeDigits uint8) shapetest.One {
	b := newBench(t, priceDigits, sizeDigits)
	d := b.decoder
	return shapetest.One{Decoder: d, Entries: []*feeds.Entry{b.entry}, Forget: func() { d.shapes = shapes{} },
		ByShape: func(frame []byte) bool { d.Begin(nil, frame, stamp); return d.byShape() }}
}

var shapedFrames = []string{depthFrame, tradesFrame, tickerFrame, strings.Replace(tickerFrame, `"price":`, `"time":"2026-08-24T22:34:14Z","price":`, 1),
	strings.Replace(depthFrame, "update", "snapshot", 1), strings.Replace(tradesFrame, "update", "snapshot", 1),
	`{"channel":"l2_data","timestamp":"2026-08-24T22:34:13.813164957Z","sequence_num":6,"events":[{"type":"update","product_id":"BTC-USD","updates":[]}]}`}

// The second frame of a kind is read by the shape of the first, with other values,
// and whatever is not of that shape in full.
func TestFramesAreReadByTheirShape(t *testing.T) {
	t.Parallel()
	f := func(frame string, same, other []string) {
		t.Helper()
		shapetest.Story(t, stamp, func() shapetest.One { return one(t, 2, 8) }, frame, same, other)
	}
	same := []string{`BTC-USD → ETH-USD`, `22:34:1 → 23:59:5`, `2026-08-24 → 2026-08-25`, `"sequence_num": → "sequence_num":99`, `78855.8 → 3`, `78855.8 → 0.5`}
	other := []string{`BTC-USD → ZZZ-USD`, `BTC-USD → BTC\u002dUSD`, `22:34:1 → 25:34:1`, `22:34:1 → 22:60:1`, `22:34:1 → 22:34:7`, `2026-08-24 → 2026-13-24`, `2026-08-24 → 0001-08-24`, `Z", → +00:00",`, `"events":[ → "events":[{},`,
		`"sequence_num": → "sequence_num":-`, `78855.8 → 0`, `78855.8 → 78855.855`, `78855.8 → -78855.8`, `"78855.8" → 78855.8`, `"78855.8" → ""`, `"type":"update" → "type":"other"`,
		`"events" → "client_id":"","events"`, `"}]}]} → "},]}]}`, `"}]}]} → "}]},{"type":"update"}]}`}
	f(depthFrame, append(same, `"bid" → "offer"`, `"offer" → "bid"`, `788063 → 788064`, `.788063 → `, `788063 → 788063123`, `"0.0023974" → "0"`, `"0.0023974" → "123456789"`),
		append(other, `"bid" → "ask"`, `"bid" → "bad"`, `"bid" → "b\u0069d"`, `"bid" → null`, `"side" → "syde"`, `"event_time" → "event_tyme"`, `788063 → 7880631234`, `788063 → `, `:13.788063Z → :13.788063`,
			`},{ → }, {`, `},{ → },,{`, `"event_time":"2026-08-24 → "event_time":"1970-01-01`, `"0.0023974" → "0.00239741234"`, `{"side":"bid", → {`, `{"side":"bid" → {"more":1,"side":"bid"`, `"updates":[ → "updates":[[]`,
			`"type":"update","product_id":"BTC-USD" → "product_id":"BTC-USD","type":"update"`))
	f(tradesFrame, append(same, `"BUY" → "SELL"`, `929248663 → 1`, `"side":"BUY"},{"product_id":"BTC-USD" → "side":"BUY"},{"product_id":"ETH-USD"`),
		append(other, `"BUY" → "buy"`, `"BUY" → ""`, `"929248663" → 929248663`, `"929248663" → "0929248663"`, `"929248663" → ""`, `929248663 → 99999999999999999999`, `"update" → "snapshot"`, `"price" → "pryce"`))
	f(tickerFrame, append(same, `"15328.12" → ""`, `"1.85" → "-1.85"`), append(other, `"15328.12" → 15328.12`, `"15328.12" → null`, `"best_bid" → "best_byd"`, `"15328.12" → "\n"`))
	f(shapedFrames[3], []string{`22:34:14Z → 22:34:14.5Z`}, []string{`22:34:14Z → 22:34:14`, `"time":"2026 → "time":"1926`})
}

// A batch that changed nothing is no message, by shape too; jumps and repetitions
// are told alike.
func TestCountByShape(t *testing.T) {
	t.Parallel()
	w := shapetest.New(t, stamp, func() shapetest.One { return one(t, 2, 8) })
	number := func(frame, n string) []byte {
		i := strings.Index(frame, `"sequence_num":`) + len(`"sequence_num":`)
		return []byte(frame[:i] + n + frame[i+strings.IndexByte(frame[i:], ','):])
	}
	for _, n := range []string{"7", "8", "9", "12", "10", "10", "5", "13", "14", "300", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"} {
		for _, frame := range shapedFrames {
			w.Read(number(frame, n))
		}
	}
	w = shapetest.New(t, stamp, func() shapetest.One { return one(t, 2, 8) })
	for _, n := range []string{"7", "8", "9", "11", "10", "12"} {
		w.Read(number(shapedFrames[0], n))
		w.Read(number(shapedFrames[6], n+"0"))
		w.Read(number(ackFrame, n+"1"))
	}
}

func TestDamagedFramesByShape(t *testing.T) {
	t.Parallel()
	shapetest.Damage(t, stamp, func(priceDigits, sizeDigits uint8) shapetest.One { return one(t, priceDigits, sizeDigits) }, append(shapedFrames, ackFrame), *seedFlag, 1000)
}

func FuzzShapes(f *testing.F) {
	shapetest.Fuzz(f, stamp, func(t *testing.T, _, priceDigits, sizeDigits uint8) shapetest.One {
		return one(t, priceDigits, sizeDigits)
	}, shapedFrames)
}
