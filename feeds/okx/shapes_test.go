package okx

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
	d := b.decoder.(*decoder)
	return shapetest.One{Decoder: d, Entries: []*feeds.Entry{b.entry}, Forget: func() { d.shapes = shapes{} },
		ByShape: func(frame []byte) bool { d.Begin(nil, frame, stamp); return d.byShape() }}
}

const twoTrades = `{"arg":{"channel":"trades-all","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","tradeId":"130639474","px":"42219.9","sz":"0.12","side":"sell","source":"0","ts":"1630048897897"},` +
	`{"instId":"BTC-USDT-SWAP","tradeId":"130639475","px":"42220","sz":"12","side":"buy","source":"1","ts":"1630048897898"}]}`

var shapedFrames = []string{tradeFrame, twoTrades, quoteFrame, updateFrame, snapshotFrame,
	strings.Replace(updateFrame, `"checksum":0,"seqId":123457,"prevSeqId":123456`, `"checksum":-855196043`, 1)}

// The second message of a kind is read by the shape of the first, with other
// values, and whatever is not of that shape in full.
func TestMessagesAreReadByTheirShape(t *testing.T) {
	t.Parallel()
	f := func(frame string, same, other []string) {
		t.Helper()
		shapetest.Story(t, stamp, func() shapetest.One { return one(t, 2, 5) }, frame, same, other)
	}
	trade := []string{`"sell" → "buy"`, `42219.9 → 3`, `0.12 → 123456.78`, `"source":"0" → "source":""`, `130639474 → 9999999999999999999`, `1630048897897 → 5`}
	notTrade := []string{`"sell" → "none"`, `"sell" → "s\u0065ll"`, `"sell" → null`, `42219.9 → 0`, `42219.9 → 42219.987`, `"42219.9" → 42219.9`, `0.12 → -0.12`, `"130639474" → 130639474`,
		`130639474 → 0130639474`, `130639474 → 99999999999999999999`, `"source":"0" → "source":0`, `"ts" → "tz"`, `"ts":"1630048897897" → "ts":""`,
		`"data":[{"instId":"BTC-USDT-SWAP" → "data":[{"instId":"BTC-USDT"`, `"BTC-USDT-SWAP" → "BTC-USD"`, `trades-all → trades`, `,"px" → , "px"`, `"}]} → "},]}`, `}]} → }],"id":"1"}`, `[{ → []{`}
	f(tradeFrame, append(trade, `}]} → },{"instId":"BTC-USDT-SWAP","tradeId":"1","px":"2","sz":"3","side":"buy","source":"4","ts":"5"}]}`), notTrade)
	f(twoTrades, trade, append(notTrade, `"tradeId":"130639475" → "tradeId":""`))
	f(quoteFrame, []string{`["8476.98","415","0","13"] → `, `"13"] → "1"]`, `123456 → 7`, `"8476.97","256" → "8476","0.5"`},
		[]string{`["8476.98","415","0","13"] → ["8476.98","415","0","13"],["8477","415","0","13"]`, `8476.98 → 0`, `"415","0" → "415","1"`, `"13"] → ""]`, `"13"] → "13","5"]`,
			`"13"] → 13]`, `:123456 → :"123456"`, `:123456 → :-1`, `"13"]] → "13"],]`, `"256" → "256.1234567"`})
	f(updateFrame, []string{`["8476.98","0","0","0"] → `, `["8475.55","101","0","1"] → ["8475.55","101","0","1"],["5","0","0","0"]`, `"checksum":0 → "checksum":-855196043`, `"checksum":0 → "checksum":4294967295`,
		`123457 → 0`}, []string{`update → snapshot`, `update → other`, `"checksum":0 → "checksum":4294967296`, `"checksum":0 → "checksum":0.5`, `:123456} → :-1}`, `,["8475 → ,{"8475`, `"1"]] → "1"],]`,
		`["8475 →  ["8475`, `8475.55 → 0.00`, `8475.55 → 8475.555`, `],[ → ][`, `"asks":[ → "asks":[[]`, `"asks" → "bsks"`, `"bids":[ → "bids":null,"x":[`})
	f(shapedFrames[5], []string{`:-855196043 → :1`}, []string{`:-855196043 → :0`})
}

// The first trades after a subscription are the venue's greeting, by shape too.
func TestGreetingsByShape(t *testing.T) {
	t.Parallel()
	w := shapetest.New(t, stamp, func() shapetest.One { return one(t, 2, 5) })
	for _, frame := range []string{tradeFrame, strings.Replace(ackFrame, "books", "trades-all", 1), tradeFrame, tradeFrame, strings.Replace(tradeFrame, "163004", "193004", 1), tradeFrame} {
		w.Read([]byte(frame))
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
