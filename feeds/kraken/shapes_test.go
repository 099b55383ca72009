package kraken

import (
	"flag"
	"testing"

	"tickproc/feeds"
	"tickproc/feeds/wire/shapetest"
)

var seedFlag = flag.Uint64("seed", 4, "of what is damaged")

func one(t testing.TB, priceDigits, sizeDigits uint8) shapetest.One {
	b := newBench(t, priceDigits, sizeDigits)
	d := b.decoder.(*decoder)
	return shapetest.One{Decoder: d, Entries: []*feeds.Entry{b.entry}, Forget: func() { d.shapes = shapes{} },
		ByShape: func(frame []byte) bool { d.Begin(nil, frame, stamp); return d.byShape() }}
}

const twoTrades = `{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":83744.3,"qty":0.00044780,"ord_type":"limit","trade_id":109116693,"timestamp":"2026-09-25T17:48:26.844359Z"},` +
	`{"symbol":"ETH/USD","side":"sell","price":44.3,"qty":1.5,"ord_type":"market","trade_id":109116694,"timestamp":"2026-09-25T17:48:26.844359Z"}]}`

var shapedFrames = []string{tradeUpdate, twoTrades, tickerBBO, bookUpdate, bookWhole}

// The second message of a kind is read by the shape of the first, with other
// values, and whatever is not of that shape in full.
func TestMessagesAreReadByTheirShape(t *testing.T) {
	t.Parallel()
	f := func(frame string, same, other []string) {
		t.Helper()
		shapetest.Story(t, stamp, func() shapetest.One { return one(t, 1, 8) }, frame, same, other)
	}
	times := []string{`2026- → 2027-`, `T22 → t22`, `22:21 → 00:00`}
	badTimes := []string{`2026- → 1969-`, `2026- → 2300-`, `Z" → "`, `Z" → z"`, `Z" → +00:00"`}
	trade := []string{`"buy" → "sell"`, `83744.3 → 3`, `83744.3 → 0.5`, `0.00044780 → 123456.7`, `"limit" → ""`, `109116693 → 9999999999999999999`, `.844359 → `, `.844359 → .844359123`, `BTC/USD → ETH/USD`,
		`17:48 → 23:59`, `:26. → :60.`, `2026-09-25 → 2028-02-29`}
	notTrade := []string{`"buy" → "none"`, `"buy" → "b\u0075y"`, `83744.3 → 0`, `83744.3 → 00.5`, `83744.3 → .5`, `83744.3 → 5.`, `83744.3 → -5`, `83744.3 → 83744.37`, `83744.3 → "83744.3"`, `83744.3 → 8e4`,
		`83744.3 → 8.5e4`, `"limit" → null`, `109116693 → 0109116693`, `109116693 → 1.5`, `BTC/USD → ZZZ/USD`, `BTC/USD → BTC\/USD`, `update → snapshot`, `"trade" → "trades"`, `"price" → "pryce"`, `"}] → "},]`,
		`.844359 → .8443591234`, `.844359 → .`, `17:48 → 24:48`, `17:48 → 17:60`, `:26. → :61.`, `2026-09-25 → 2026-02-29`, `2026-09-25 → 1969-09-25`, `59Z → 59+00:00`, `59Z → 59z`, `-25T → -25 `}
	f(tradeUpdate, append(trade, `Z"}] → Z"},{"symbol":"ETH/USD","side":"sell","price":1,"qty":2,"ord_type":"x","trade_id":1,"timestamp":"2026-09-25T17:48:26Z"}]`), append(notTrade, `[{ → []{`))
	f(twoTrades, trade, append(notTrade, `44.3 → 44.35`, `},{ → }{`))
	f(tickerBBO, []string{`"bid":83744.2 → "bid":7`, `-429.3 → 429`, `135262 → 0`, `3156.84782110 → 3156`, `-0.51 → -10.5`},
		[]string{`"bid":83744.2 → "bid":0`, `"bid":83744.2 → "bid":0.0`, `"ask":83744.3 → "ask":83744.35`, `-429.3 → --429.3`, `-429.3 → -`, `-429.3 → 4e2`, `-429.3 → 01`, `-429.3 → 1.`, `-429.3 → "1"`, `135262 → null`, `"bid" → "byd"`})
	f(bookUpdate, append(times, `{"price":78858.8,"qty":0.00000000}, → `, `[{"price":78871.6,"qty":4.2}] → []`, `78858.8 → 5`, `0.34775324 → 123456789`, `"qty":0.00000000 → "qty":0`, `2416540570 → 0`, `2416540570 → 4294967295`),
		append(badTimes, `2416540570 → 4294967296`, `2416540570 → -1`, `update → snapshot`, `},{ → } ,{`, `},{ → },,{`, `}],"asks" → },],"asks"`, `"price":78858.8 → "qty":78858.8`, `78858.8 → 0.0`, `78858.8 → 0`,
			`78858.8 → 78858.85`, `0.34775324 → 0.347753241`, `78858.8 → 078858.8`, `78858.8 → 78858.`, `"bids":[ → "bids":[[]`, `"bids":[ → "bids":null,"x":[`, `{"price":78858.8 → {"x":1,"price":78858.8`, `BTC/USD → ZZZ/USD`))
}

func TestDamagedFramesByShape(t *testing.T) {
	t.Parallel()
	shapetest.Damage(t, stamp, func(priceDigits, sizeDigits uint8) shapetest.One { return one(t, priceDigits, sizeDigits) }, append(shapedFrames, ack), *seedFlag, 1000)
}

func FuzzShapes(f *testing.F) {
	shapetest.Fuzz(f, stamp, func(t *testing.T, _, priceDigits, sizeDigits uint8) shapetest.One {
		return one(t, priceDigits, sizeDigits)
	}, shapedFrames)
}
