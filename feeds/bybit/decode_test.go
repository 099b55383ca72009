package bybit

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

const (
	bookSnapshot = `{"topic":"orderbook.1000.BTCUSDT","type":"snapshot","ts":1787612486096,"data":{"s":"BTCUSDT","b":[["78715","1.271882"],["78713.8","0.050215"]],"a":[["78715.1","0.039135"]],"u":217107084,"seq":113099229623},"cts":1787612486094}`
	bookDelta    = `{"topic":"orderbook.1000.BTCUSDT","type":"delta","ts":1787612486116,"data":{"s":"BTCUSDT","b":[["78710.8","0"]],"a":[["78716.8","0.027559"],["78748.5","0"]],"u":217107085,"seq":113099229629},"cts":1787612486108}`
	quoteFrame   = `{"topic":"orderbook.1.BTCUSDT","ts":1786659828109,"type":"snapshot","data":{"s":"BTCUSDT","b":[["63561.5","1.776"]],"a":[["63561.6","4.848"]],"u":31398762,"seq":764144453970},"cts":1786659828107}`
	linearTrade  = `{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1672304486868,"data":[{"T":1672304486865,"s":"BTCUSDT","S":"Buy","v":"0.001","p":"16578.50","L":"PlusTick","i":"20f43950-d8dd-5b31-9112-a178eb6023af","BT":false}]}`
	spotTrades   = `{"topic":"publicTrade.BTCUSDT","ts":1789875217841,"type":"snapshot","data":[{"BT":false,"RPI":false,"S":"Sell","T":1789875217840,"i":"2290000001211680903","p":"80413.3","s":"BTCUSDT","seq":114263055846,"v":"0.06"},{"BT":false,"RPI":true,"S":"Buy","T":1789875217839,"i":"2290000001211680904","p":"80413.4","s":"BTCUSDT","seq":114263055846,"v":"0.000012"}]}`
	tickerAll    = `{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","tickDirection":"ZeroPlusTick","price24hPcnt":"0.001455","lastPrice":"63561.60","prevPrice24h":"63469.20","highPrice24h":"63994.40","lowPrice24h":"62810.50","prevPrice1h":"63413.60","markPrice":"63560.80","indexPrice":"63585.51","openInterest":"59972.256","openInterestValue":"3811884569.16","turnover24h":"3515096831.9640","volume24h":"55362.9100","fundingIntervalHour":"8","fundingCap":"0.005","singleOpenInterest":"29986.128","singleOpenInterestValue":"1905942284.58","nextFundingTime":"1786665600000","fundingRate":"-0.00005013","bid1Price":"63561.50","bid1Size":"1.760","ask1Price":"63561.60","ask1Size":"4.690","preOpenPrice":"","preQty":"","curPreListingPhase":""},"cs":764144442982,"ts":1786659827683}`
	tickerDelta  = `{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","indexPrice":"63585.74"},"cs":764144450620,"ts":1786659827983}`
	liquidation  = `{"topic":"allLiquidation.BTCUSDT","type":"snapshot","ts":1739502303204,"data":[{"T":1739502302929,"s":"BTCUSDT","S":"Sell","v":"0.25","p":"60044.99"}]}`
)

// frames are one of each kind.
var frames = []string{bookSnapshot, bookDelta, quoteFrame, linearTrade, spotTrades, tickerAll, tickerDelta, liquidation}

var stamp = feeds.Stamp{Line: 4, Ordinal: 9, ReceiveNanos: 1_787_612_486_200_000_000}

// bench is a decoder that knows BTCUSDT, id 7, at the given scale.
type bench struct {
	t       testing.TB
	adapter feeds.Adapter
	entry   *feeds.Entry
	table   *feeds.Table
	decoder feeds.Decoder
}

func newBench(t testing.TB, venue string, priceDigits, sizeDigits uint8) *bench {
	adapter, ok := New(venue)
	if !ok {
		t.Fatalf("no adapter %s", venue)
	}
	b := &bench{t: t, adapter: adapter, table: feeds.NewTable(nil)}
	b.entry = &feeds.Entry{Symbol: "BTCUSDT", ID: 7, PriceDigits: priceDigits, SizeDigits: sizeDigits}
	b.table.Add(b.entry)
	b.table.Canary = feeds.NewCanary(slog.New(slog.DiscardHandler))
	b.decoder = adapter.NewDecoder(nil, b.table)
	return b
}

// decode expects packets.
func (b *bench) decode(frame string) []tick.Unit {
	b.t.Helper()
	units, notice, err := b.decoder.Decode(nil, []byte(frame), stamp)
	if err != nil || notice != (feeds.Notice{}) || len(units) == 0 {
		b.t.Fatalf("%s: %d units, %+v, %v", frame, len(units), notice, err)
	}
	if err := fault(units); err != nil {
		b.t.Fatal(err)
	}
	return units
}

// refused expects an error of a kind, and nothing else changed.
func (b *bench) refused(frame string, kind error) {
	b.t.Helper()
	before := *b.entry
	dst := make([]tick.Unit, 3, 50)
	units, notice, err := b.decoder.Decode(dst, []byte(frame), stamp)
	if !errors.Is(err, kind) || notice != (feeds.Notice{}) || len(units) != 3 || &units[0] != &dst[0] || *b.entry != before {
		b.t.Errorf("%.300s\n%d units, %+v, entry %+v, error %v, want %v", frame, len(units), notice, *b.entry, err, kind)
	}
	if err != nil && len(err.Error()) > 400 {
		b.t.Errorf("%.300s: an error of %d bytes", frame, len(err.Error()))
	}
}

func (b *bench) noticed(frame string, want feeds.Notice) {
	b.t.Helper()
	units, notice, err := b.decoder.Decode(nil, []byte(frame), stamp)
	if err != nil || len(units) != 0 || notice != want {
		b.t.Errorf("%.300s\n%d units, %+v, %v; want %+v", frame, len(units), notice, err, want)
	}
}

func (b *bench) signs(kind feeds.CanaryKind) uint64 { return b.table.Canary.Signs[kind].Load() }

func header(kind tick.Kind, flags tick.Flags, exchangeNanos int64) tick.Header {
	return tick.Header{Kind: kind, Flags: tick.FlagFirst | tick.FlagLast | flags, Line: 4, Instrument: 7, Ordinal: 9,
		ExchangeNanos: exchangeNanos, ReceiveNanos: 1_787_612_486_200_000_000}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	f := func(frame string, want tick.Depth, levels ...tick.Level) {
		t.Helper()
		got := newBench(t, "bybit-linear", 1, 6).decode(frame)
		if *got[0].Depth() != want || !slices.Equal(tick.Levels(got), levels) || len(got) != tick.DepthUnits(len(levels)) {
			t.Errorf("%s\ngot  %+v %v\nwant %+v %v", frame, *got[0].Depth(), tick.Levels(got), want, levels)
		}
	}
	depth := func(kind tick.Kind, nanos int64, id uint64, bids, levels uint16) tick.Depth {
		return tick.Depth{Header: header(kind, 0, nanos), FirstID: id, LastID: id, Bids: bids, LevelCount: levels}
	}
	f(bookSnapshot, depth(tick.KindSnapshot, 1787612486094e6, 217107084, 2, 3),
		tick.Level{Price: 787150, Size: 1271882}, tick.Level{Price: 787138, Size: 50215}, tick.Level{Price: 787151, Size: 39135})
	changes := []tick.Level{{Price: 787108}, {Price: 787168, Size: 27559}, {Price: 787485}}
	delta := depth(tick.KindDepth, 1787612486108e6, 217107085, 1, 3)
	f(bookDelta, delta, changes...)
	// Without the matching engine's time, when it was sent.
	f(strings.Replace(bookDelta, `,"cts":1787612486108`, "", 1), depth(tick.KindDepth, 1787612486116e6, 217107085, 1, 3), changes...)
	// u = 1: the venue restarted, and the message is the whole book whatever it calls itself.
	f(strings.Replace(bookDelta, "217107085", "1", 1), depth(tick.KindSnapshot, 1787612486108e6, 1, 1, 3), changes...)
	// A delisted symbol's book is empty.
	f(`{"topic":"orderbook.1000.BTCUSDT","type":"snapshot","ts":5,"data":{"s":"BTCUSDT","b":[],"a":[],"u":1,"seq":2},"cts":4}`,
		depth(tick.KindSnapshot, 4e6, 1, 0, 0))
	// Other depths are the same book.
	f(strings.Replace(bookDelta, ".1000.", ".50.", 1), delta, changes...)
	// Keys in any order, white space, keys and elements nobody knows, bare numbers.
	f(` { "cts" : 1787612486108, "data" : { "a":[ [ 78716.8 , "0.027559" , [] ],["78748.5","-0"] ], "seq":1, "b":[ [ "78710.80", 0 ] ],"u":217107085, "new":{"b":[[]]}, "s":"BTCUSDT" },
		"type":"delta", "ts":1787612486116, "topic":"orderbook.1000.BTCUSDT" } `, delta, changes...)
	f(`{"topic":"orderbook.1000.BTCUSDT","data":{"u":217107085,"a":[["78716.8","0.027559"],["78748.5","0"]],"b":[["78710.8","0"]],"s":"BTCUSDT"},"cts":1787612486108,"ts":0,"type":"delta"}`, delta, changes...)
	f(`{"topic":"orderbook.1000.BTCUSDT","data":{"u":217107085,"a":[],"b":[["78710.8","0"]],"s":"BTCUSDT"},"ts":5,"type":"delta"}`,
		depth(tick.KindDepth, 5e6, 217107085, 1, 1), tick.Level{Price: 787108})
}

func TestQuote(t *testing.T) {
	t.Parallel()
	f := func(frame string, nanos int64, id uint64, bid, ask tick.Level) {
		t.Helper()
		got := newBench(t, "bybit-linear", 1, 3).decode(frame)
		want := tick.Depth{Header: header(tick.KindQuote, 0, nanos), FirstID: id, LastID: id, Bids: 1, LevelCount: 2}
		if *got[0].Depth() != want || !slices.Equal(tick.Levels(got), []tick.Level{bid, ask}) {
			t.Errorf("%s\ngot  %+v %v\nwant %+v %v %v", frame, *got[0].Depth(), tick.Levels(got), want, bid, ask)
		}
	}
	bid, ask := tick.Level{Price: 635615, Size: 1776}, tick.Level{Price: 635616, Size: 4848}
	f(quoteFrame, 1786659828107e6, 31398762, bid, ask)
	// After three seconds of silence it comes again with the same u, after a restart with u = 1.
	f(strings.Replace(quoteFrame, "31398762", "1", 1), 1786659828107e6, 1, bid, ask)
	f(strings.Replace(quoteFrame, `[["63561.5","1.776"]]`, `[]`, 1), 1786659828107e6, 31398762, tick.Level{}, ask)
	f(strings.Replace(quoteFrame, `[["63561.6","4.848"]]`, `[]`, 1), 1786659828107e6, 31398762, bid, tick.Level{})
	// More levels than one: the first of a side is the best.
	f(strings.Replace(quoteFrame, `[["63561.5","1.776"]]`, `[["63561.5","1.776"],["63561.4","9"]]`, 1), 1786659828107e6, 31398762, bid, ask)

	// Of a level alone changes say nothing.
	b := newBench(t, "bybit-linear", 1, 3)
	b.refused(strings.Replace(quoteFrame, "snapshot", "delta", 1), feeds.ErrUnknownMessage)
	if b.signs(feeds.CanaryMessage) != 1 {
		t.Error("the canary was not told of a delta of the first level")
	}
}

func TestTrades(t *testing.T) {
	t.Parallel()
	f := func(venue, frame string, want ...tick.Trade) {
		t.Helper()
		var got []tick.Trade
		for _, u := range newBench(t, venue, 2, 6).decode(frame) {
			got = append(got, *u.Trade())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\ngot  %+v\nwant %+v", frame, got, want)
		}
	}
	id := tick.ID{Hi: 0x20f43950d8dd5b31, Lo: 0x9112a178eb6023af}
	f("bybit-linear", linearTrade, tick.Trade{Header: header(tick.KindTrade, 0, 1672304486865e6), ID: id, Price: 1657850, Size: 1000})
	f("bybit-linear", strings.Replace(linearTrade, `"Buy"`, `"Sell"`, 1), tick.Trade{Header: header(tick.KindTrade, tick.FlagSell, 1672304486865e6), ID: id, Price: 1657850, Size: 1000})
	// A block trade is none of the market's.
	f("bybit-linear", strings.Replace(linearTrade, `"BT":false`, `"BT":true`, 1),
		tick.Trade{Header: header(tick.KindTrade, tick.FlagNotMarket, 1672304486865e6), ID: id, Price: 1657850, Size: 1000})
	// Each trade has its own time and side.
	f("bybit-spot", spotTrades,
		tick.Trade{Header: header(tick.KindTrade, tick.FlagSell, 1789875217840e6), ID: tick.ID{Lo: 2290000001211680903}, Price: 8041330, Size: 60000},
		tick.Trade{Header: header(tick.KindTrade, 0, 1789875217839e6), ID: tick.ID{Lo: 2290000001211680904}, Price: 8041340, Size: 12})
	// Data ahead of the topic.
	f("bybit-spot", `{"data":[{"T":3,"s":"BTCUSDT","S":"Buy","v":"1","p":"2","i":"7"}],"topic":"publicTrade.BTCUSDT"}`,
		tick.Trade{Header: header(tick.KindTrade, 0, 3e6), ID: tick.ID{Lo: 7}, Price: 200, Size: 1000000})
}

// The side is the position's: the forced order is its opposite.
func TestLiquidations(t *testing.T) {
	t.Parallel()
	f := func(frame string, flags tick.Flags) {
		t.Helper()
		got := newBench(t, "bybit-linear", 2, 3).decode(frame)
		want := tick.Trade{Header: header(tick.KindLiquidation, flags, 1739502302929e6), Price: 6004499, Size: 250}
		if len(got) != 1 || *got[0].Trade() != want {
			t.Errorf("%s\ngot  %+v\nwant %+v", frame, *got[0].Trade(), want)
		}
	}
	f(liquidation, 0)                                                    // a short position: the order buys
	f(strings.Replace(liquidation, `"Sell"`, `"Buy"`, 1), tick.FlagSell) // a long one: the order sells
	several := strings.Replace(liquidation, `]}`, `,{"T":1,"s":"BTCUSDT","S":"Buy","v":"1","p":"2"}]}`, 1)
	if got := newBench(t, "bybit-linear", 2, 3).decode(several); len(got) != 2 || got[1].Trade().Size != 1000 {
		t.Errorf("%d of two liquidations", len(got))
	}
}

func TestTicker(t *testing.T) {
	t.Parallel()
	f := func(frame string, want []tick.Mark, interest []tick.OpenInterest) {
		t.Helper()
		var marks []tick.Mark
		var open []tick.OpenInterest
		for _, u := range newBench(t, "bybit-linear", 1, 3).decode(frame) {
			if u.KindOf() == tick.KindMark {
				marks = append(marks, *u.Mark())
			} else {
				open = append(open, *u.OpenInterest())
			}
		}
		if !slices.Equal(marks, want) || !slices.Equal(open, interest) {
			t.Errorf("%s\ngot  %+v %+v\nwant %+v %+v", frame, marks, open, want, interest)
		}
	}
	at := int64(1786659827683e6)
	f(tickerAll,
		[]tick.Mark{{Header: header(tick.KindMark, 0, at), Mark: 6356080, Index: 6358551, PriceDigits: 2, FundingRate: -5013, RateDigits: 8, NextFundingSeconds: 1786665600}},
		[]tick.OpenInterest{{Header: header(tick.KindOpenInterest, 0, at), Size: 59972256, SizeDigits: 3}})
	// What a delta does not tell is absent, not zero.
	f(tickerDelta, []tick.Mark{{Header: header(tick.KindMark, 0, 1786659827983e6), Mark: tick.Absent, Index: 6358574, PriceDigits: 2, FundingRate: tick.Absent}}, nil)
	f(strings.Replace(tickerDelta, "indexPrice", "openInterest", 1), nil,
		[]tick.OpenInterest{{Header: header(tick.KindOpenInterest, 0, 1786659827983e6), Size: 6358574, SizeDigits: 2}})
	f(strings.Replace(tickerDelta, `"indexPrice":"63585.74"`, `"nextFundingTime":"1786665600000"`, 1),
		[]tick.Mark{{Header: header(tick.KindMark, 0, 1786659827983e6), Mark: tick.Absent, Index: tick.Absent, FundingRate: tick.Absent, NextFundingSeconds: 1786665600}}, nil)
	// Futures leave funding empty.
	f(strings.Replace(tickerDelta, `"indexPrice":"63585.74"`, `"markPrice":"83100.00","indexPrice":"","nextFundingTime":"","fundingRate":"","openInterest":""`, 1),
		[]tick.Mark{{Header: header(tick.KindMark, 0, 1786659827983e6), Mark: 83100, Index: tick.Absent, FundingRate: tick.Absent}}, nil)

	// Of other numbers than these there is nothing to say.
	b := newBench(t, "bybit-linear", 1, 3)
	b.noticed(strings.Replace(tickerDelta, "indexPrice", "lastPrice", 1), feeds.Notice{})
	// Spot has the topic, and no derivatives.
	newBench(t, "bybit-spot", 1, 3).noticed(`{"topic":"tickers.BTCUSDT","ts":1672305380595,"type":"snapshot","cs":496622841,"data":{"symbol":"BTCUSDT","lastPrice":"16363.78"}}`,
		feeds.Notice{Kind: feeds.NoticeIgnored})
}

func TestNotices(t *testing.T) {
	t.Parallel()
	b := newBench(t, "bybit-spot", 2, 6)
	f := b.noticed
	f(`{"success":true,"ret_msg":"subscribe","conn_id":"2324d924-aa4d-45b0-a858-7b8be29ab52b","req_id":"1","op":"subscribe"}`, feeds.Notice{Kind: feeds.NoticeAck, Request: 0})
	f(`{"op":"unsubscribe","req_id":"12","conn_id":"x","ret_msg":"","success":true}`, feeds.Notice{Kind: feeds.NoticeAck, Request: 11})
	for _, id := range []string{`""`, `"sub-orderbook-1"`, `"0"`, `"-1"`, `"99999999999"`, `1`, `null`} {
		f(`{"success":true,"ret_msg":"","conn_id":"x","req_id":`+id+`,"op":"subscribe"}`, feeds.Notice{Kind: feeds.NoticeAck, Request: -1})
	}
	f(`{"success":true,"ret_msg":"","conn_id":"d9avrao7pl3bpiuoku0g-7tmms","op":"subscribe"}`, feeds.Notice{Kind: feeds.NoticeAck, Request: -1})
	f(`{"success":false,"ret_msg":"error:handler not found,topic:orderbook.1000.NOPEUSDT","conn_id":"x","req_id":"3","op":"subscribe"}`,
		feeds.Notice{Kind: feeds.NoticeRefused, Request: 2, Text: "error:handler not found,topic:orderbook.1000.NOPEUSDT"})
	f(`{"success":false,"ret_msg":"Invalid symbol :[orderbook.1000.NOPEUSDT]","conn_id":"x","req_id":"3","op":"subscribe"}`,
		feeds.Notice{Kind: feeds.NoticeRefused, Request: 2, Text: "Invalid symbol :[orderbook.1000.NOPEUSDT]"})
	f(`{"success":false,"ret_msg":"args size >10","conn_id":"x","op":"subscribe"}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Text: "args size >10"})
	f(`{"success":false,"ret_msg":"error:invalid op","conn_id":"x"}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Text: "error:invalid op"})
	f(`{"success":false,"ret_msg":"`+strings.Repeat("é", 1000)+`","op":"subscribe"}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Text: strings.Repeat("é", 128)})
	f(`{"success":true,"ret_msg":"pong","conn_id":"x","op":"ping"}`, feeds.Notice{Kind: feeds.NoticePong})
	f(`{"success":true,"ret_msg":"pong","conn_id":"x","req_id":"","op":"ping"}`, feeds.Notice{Kind: feeds.NoticePong})
	f(`{"args":["1672916271846"],"op":"pong"}`, feeds.Notice{Kind: feeds.NoticePong})
	for _, topic := range []string{"kline.5.BTCUSDT", "orderbook.full.BTCUSDT", "orderbook.rpi.BTCUSDT", "adlAlert.BTCUSDT", "insurance.USDT", "priceLimit.BTCUSDT", "liquidation.BTCUSDT"} {
		f(`{"topic":"`+topic+`","type":"delta","ts":1,"data":{"s":"BTCUSDT","b":[],"a":[],"u":1}}`, feeds.Notice{Kind: feeds.NoticeIgnored})
	}
	if n := b.signs(feeds.CanaryMessage) + b.signs(feeds.CanaryField); n != 0 {
		t.Errorf("%d signs of change in documented messages", n)
	}
}

// A number finer than the scale declares a finer one, in a packet ahead of
// the data; the next frame finds it in force.
func TestFinerNumbersRescale(t *testing.T) {
	t.Parallel()
	for _, frame := range []string{bookDelta, `{"data":` + bookDelta[strings.Index(bookDelta, `{"s"`):strings.Index(bookDelta, `,"cts"`)] + `,"ts":1,"type":"delta","topic":"orderbook.1000.BTCUSDT"}`} {
		b := newBench(t, "bybit-linear", 0, 3)
		got := b.decode(frame)
		if r := got[0].Rescale(); r.Kind != tick.KindRescale || r.Instrument != 7 || r.PriceDigits != 1 || r.SizeDigits != 6 || r.Ordinal != 9 || r.Line != 4 {
			t.Fatalf("rescale %+v", r)
		}
		if want := []tick.Level{{Price: 787108}, {Price: 787168, Size: 27559}, {Price: 787485}}; !slices.Equal(tick.Levels(got[1:]), want) {
			t.Errorf("levels %v, want %v", tick.Levels(got[1:]), want)
		}
		if b.entry.PriceDigits != 1 || b.entry.SizeDigits != 6 {
			t.Errorf("entry %+v", b.entry)
		}
		if got := b.decode(bookSnapshot); got[0].KindOf() != tick.KindSnapshot {
			t.Errorf("kind %d after the rescale", got[0].KindOf())
		}
	}
	// The second trade of a message makes the first finer too.
	b := newBench(t, "bybit-spot", 1, 2)
	got := b.decode(spotTrades)
	if len(got) != 3 || got[0].Rescale().SizeDigits != 6 || got[1].Trade().Size != 60000 || got[2].Trade().Size != 12 {
		t.Errorf("%d packets, %+v", len(got), got)
	}
	for _, f := range []func(string) string{
		func(n string) string { return strings.Replace(spotTrades, "0.000012", n, 1) },
		func(n string) string { return strings.Replace(bookDelta, "0.027559", n, 1) },
		func(n string) string { return strings.Replace(quoteFrame, "1.776", n, 1) },
		func(n string) string { return strings.Replace(liquidation, "0.25", n, 1) },
		func(n string) string { return strings.Replace(tickerAll, "59972.256", n, 1) },
	} {
		b := newBench(t, "bybit-linear", 1, 6)
		b.refused(f("0.0000000000000000001"), feeds.ErrNumberRange)
		b.refused(f(strings.Repeat("7", 60)), feeds.ErrNumberRange)
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	b := newBench(t, "bybit-linear", 2, 6)
	malformed := func(frame string) { t.Helper(); b.refused(frame, feeds.ErrMalformed) }

	for _, frame := range append([]string{`{"success":true,"ret_msg":"","conn_id":"x","req_id":"1","op":"subscribe"}`, `{"op":"pong"}`}, frames...) {
		for i := range frame {
			malformed(frame[:i])
		}
		malformed(frame + "}")
		malformed(frame + frame)
		malformed(strings.Replace(frame, `{"`, `{"topic":"publicTrade.BTCUSDT","topic":"publicTrade.BTCUSDT","`, 1))
	}
	for _, frame := range []string{" ", "[", "NaN", "\x00", "\xff\xfe", `{"topic":"publicTrade.BTCUSDT"}`, `{"topic":5,"data":[]}`, `{"topic":null}`, strings.Repeat(`{"data":`, 1_000_000)} {
		malformed(frame)
	}

	// A key missing, standing twice, or of another type, in every message that needs it.
	required := func(frame string, keys ...string) {
		t.Helper()
		for _, key := range keys {
			quoted := `"` + key + `":`
			if strings.Count(frame, quoted) != 1 {
				t.Fatalf("%s in %s", quoted, frame)
			}
			malformed(strings.Replace(frame, quoted, `"-`+key+`":`, 1))
			malformed(strings.Replace(frame, quoted, quoted+`null,`+quoted, 1))
			for _, other := range []string{`null`, `{}`, `true`, `-1`, `""`} {
				malformed(strings.Replace(frame, quoted, quoted+other+`,"-":`, 1))
			}
		}
	}
	required(bookDelta, "s", "b", "a", "u")
	required(bookSnapshot, "s", "b", "a", "u")
	required(quoteFrame, "s", "b", "a", "u")
	required(linearTrade, "T", "s", "S", "v", "p", "i")
	required(liquidation, "T", "s", "S", "v", "p")
	required(tickerDelta, "symbol", "ts")
	for _, frame := range frames {
		malformed(strings.Replace(frame, `"data":`, `"data":5,"-":`, 1))
		malformed(strings.Replace(frame, `"data":`, `"other":`, 1))
	}
	malformed(strings.NewReplacer(`"ts"`, `"-ts"`, `"cts"`, `"-cts"`).Replace(bookDelta)) // no time at all
	malformed(strings.Replace(bookDelta, `"cts":1787612486108`, `"cts":"1787612486108"`, 1))
	malformed(strings.Replace(linearTrade, `"BT":false`, `"BT":"false"`, 1))
	malformed(strings.Replace(linearTrade, `"Buy"`, `"buy"`, 1))
	for _, id := range []string{"", "x", "20f43950-d8dd-5b31-9112-a178eb6023aX", "20f43950d8dd-5b31-9112-a178eb6023af-", "12345678901234567890", "-1"} {
		malformed(strings.Replace(linearTrade, "20f43950-d8dd-5b31-9112-a178eb6023af", id, 1))
	}
	// A message about one symbol inside another's topic.
	for _, frame := range frames {
		malformed(strings.NewReplacer(`"s":"BTCUSDT"`, `"s":"ETHUSDT"`, `"symbol":"BTCUSDT"`, `"symbol":"ETHUSDT"`).Replace(frame))
	}

	for _, n := range []string{`""`, `"NaN"`, `"-1"`, `"0x10"`, `" 1"`, `"+1"`, `"1."`, `".5"`, `"1e"`, `"1,5"`, `"\u0031"`, `null`, `true`, `[]`, `{}`, `-1`, `01`} {
		malformed(strings.Replace(linearTrade, `"16578.50"`, n, 1))
		malformed(strings.Replace(linearTrade, `"0.001"`, n, 1))
		malformed(strings.Replace(quoteFrame, `"1.776"`, n, 1))
		malformed(strings.Replace(bookDelta, `"78716.8"`, n, 1))
		malformed(strings.Replace(bookDelta, `"0.027559"`, n, 1))
		malformed(strings.Replace(liquidation, `"0.25"`, n, 1))
		if n != `""` && n != `"-1"` && n != `-1` { // empty is absent; a mark price may be anything
			malformed(strings.Replace(tickerAll, `"63560.80"`, n, 1))
			malformed(strings.Replace(tickerAll, `"59972.256"`, n, 1))
			malformed(strings.Replace(tickerAll, `"-0.00005013"`, n, 1))
		}
	}
	malformed(strings.Replace(tickerAll, `"59972.256"`, `"-1"`, 1))
	malformed(strings.Replace(tickerAll, `"1786665600000"`, `"soon"`, 1))
	malformed(strings.Replace(tickerAll, `"1786665600000"`, `1786665600000`, 1))
	for _, n := range []string{`"0"`, `0`, `"0.000"`} { // of a price, or a trade's size
		malformed(strings.Replace(linearTrade, `"16578.50"`, n, 1))
		malformed(strings.Replace(linearTrade, `"0.001"`, n, 1))
		malformed(strings.Replace(bookDelta, `"78716.8"`, n, 1))
		malformed(strings.Replace(quoteFrame, `"63561.5"`, n, 1))
		malformed(strings.Replace(liquidation, `"60044.99"`, n, 1))
	}
	for _, levels := range []string{`[[]]`, `[["1"]]`, `["1","2"]`, `[["1","2"]`, `[["1","2"],]`, `[["1" "2"]]`, `{"1":"2"}`, `[null]`} {
		malformed(strings.Replace(bookDelta, `[["78710.8","0"]]`, levels, 1))
		malformed(strings.Replace(quoteFrame, `[["63561.5","1.776"]]`, levels, 1))
	}
	// The second of two trades spoils the message as a whole.
	malformed(strings.Replace(spotTrades, `"0.000012"`, `"0"`, 1))

	for _, symbol := range []string{"ETHUSDT", "btcusdt", strings.Repeat("A", 64)} {
		for _, frame := range frames {
			b.refused(strings.ReplaceAll(frame, "BTCUSDT", symbol), feeds.ErrUnknownSymbol)
		}
	}
	for _, symbol := range []string{"", "\xff\xfe", strings.Repeat("A", 65), strings.Repeat("A", 10_000)} {
		malformed(strings.ReplaceAll(linearTrade, "BTCUSDT", symbol))
	}
	for _, frame := range []string{`{}`, `[]`, `1`, `null`, `"text"`, `{"topic":""}`, `{"topic":"Tickers.BTCUSDT","data":{}}`, `{"topic":"` + strings.Repeat("new", 1000) + `"}`,
		`{"data":{}}`, `{"op":"auth","success":true}`, `{"success":true}`, `{"success":1,"op":"subscribe"}`,
		strings.Replace(bookDelta, `"delta"`, `"partial"`, 1), strings.Replace(bookDelta, `"type":"delta",`, ``, 1)} {
		b.refused(frame, feeds.ErrUnknownMessage)
	}
}

// What no document has is told once, and the message is taken all the same.
func TestCanary(t *testing.T) {
	t.Parallel()
	b := newBench(t, "bybit-linear", 2, 6)
	for _, frame := range frames {
		b.decode(frame)
	}
	if n := b.signs(feeds.CanaryField); n != 0 {
		t.Errorf("%d unknown fields in frames of today", n)
	}
	for range 3 {
		b.decode(strings.Replace(bookDelta, `"seq"`, `"pu":5,"seq"`, 1))
		b.decode(strings.Replace(bookDelta, `"ts"`, `"lane":{"x":[]},"ts"`, 1))
		b.decode(strings.Replace(linearTrade, `"BT"`, `"mm":true,"BT"`, 1))
		b.decode(strings.Replace(tickerDelta, `"symbol"`, `"premium":"1","symbol"`, 1))
		b.decode(strings.Replace(liquidation, `"T"`, `"kind":1,"T"`, 1))
	}
	if n := b.signs(feeds.CanaryField); n != 5 {
		t.Errorf("%d unknown fields, want 5", n)
	}
	b.refused(`{"topic":"vwap.BTCUSDT","type":"snapshot","data":{}}`, feeds.ErrUnknownMessage)
	b.refused(`{"topic":"vwap.ETHUSDT","type":"snapshot","data":{}}`, feeds.ErrUnknownMessage)
	b.refused(strings.Replace(bookDelta, `"delta"`, `"partial"`, 1), feeds.ErrUnknownMessage)
	if n := b.signs(feeds.CanaryMessage); n != 2 {
		t.Errorf("%d unknown messages, want 2", n)
	}
}

// A wrong frame about a new symbol introduces nothing.
func TestDiscoverOnlyFromGoodFrames(t *testing.T) {
	t.Parallel()
	b := newBench(t, "bybit-linear", 2, 6)
	var found []string
	b.table.Discover = func(symbol string) *feeds.Entry {
		found = append(found, symbol)
		return &feeds.Entry{Symbol: symbol, ID: 8, PriceDigits: 2, SizeDigits: 6}
	}
	frame := strings.ReplaceAll(bookDelta, "BTCUSDT", "ETHUSDT")
	for i := range frame {
		b.refused(frame[:i], feeds.ErrMalformed)
	}
	b.noticed(`{"topic":"kline.5.ETHUSDT","data":[]}`, feeds.Notice{Kind: feeds.NoticeIgnored})
	if found != nil {
		t.Fatalf("discovered %v", found)
	}
	if id := b.decode(frame)[0].Header().Instrument; id != 8 || !slices.Equal(found, []string{"ETHUSDT"}) {
		t.Errorf("instrument %d, discovered %v", id, found)
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	f := func(time string, want int64) {
		t.Helper()
		b := newBench(t, "bybit-linear", 2, 6)
		if got := b.decode(strings.Replace(linearTrade, "1672304486865", time, 1))[0].Header().ExchangeNanos; got != want {
			t.Errorf("%s: %d ns, want %d", time, got, want)
		}
	}
	f("1672304486865", 1672304486865e6)
	f("0", 0)
	f("9223372036854", 9223372036854e6)
	f("9223372036855", 0) // beyond what ns in int64 can hold
	f("9223372036854775807", 0)
}

// A message with more levels than a packet may hold becomes fragments, which
// together say the same.
func TestFragments(t *testing.T) {
	t.Parallel()
	f := func(bids, asks int, asksFirst bool, wantPackets int) {
		t.Helper()
		side := func(n, from int) string {
			levels := [][2]string{}
			for i := range n {
				levels = append(levels, [2]string{fmt.Sprint(from + i), fmt.Sprint(i % 10)})
			}
			text, _ := json.Marshal(levels)
			return string(text)
		}
		sides := `"b":` + side(bids, 1) + `,"a":` + side(asks, 1_000_001)
		if asksFirst {
			sides = `"a":` + side(asks, 1_000_001) + `,"b":` + side(bids, 1)
		}
		units := newBench(t, "bybit-linear", 0, 0).decode(`{"topic":"orderbook.1000.BTCUSDT","type":"snapshot","ts":5,"data":{"s":"BTCUSDT",` + sides + `,"u":20}}`)
		packets, gotBids, gotAsks := 0, 0, 0
		for len(units) > 0 {
			d := units[0].Depth()
			if d.Kind != tick.KindSnapshot || d.FirstID != 20 || d.LastID != 20 || d.ExchangeNanos != 5e6 || d.Instrument != 7 {
				t.Errorf("fragment %d: %+v", packets, d)
			}
			for i, l := range tick.Levels(units) {
				want := tick.Level{Price: int64(gotBids + 1), Size: int64(gotBids % 10)}
				if i < int(d.Bids) {
					gotBids++
				} else {
					want = tick.Level{Price: int64(1_000_001 + gotAsks), Size: int64(gotAsks % 10)}
					gotAsks++
				}
				if l != want {
					t.Fatalf("level %+v, want %+v", l, want)
				}
			}
			packets++
			units = units[tick.PacketUnits(&units[0]):]
		}
		if packets != wantPackets || gotBids != bids || gotAsks != asks {
			t.Errorf("%d+%d levels: %d packets with %d+%d, want %d", bids, asks, packets, gotBids, gotAsks, wantPackets)
		}
	}
	for _, asksFirst := range []bool{false, true} {
		f(0, 0, asksFirst, 1)
		f(1000, 1000, asksFirst, 1)
		f(tick.MaxLevels, 0, asksFirst, 1)
		f(tick.MaxLevels, 1, asksFirst, 2)
		f(5000, 5000, asksFirst, 3)
	}
}

// What a message before left in the buffer must not show: the log compares bytes.
func TestPaddingIsZero(t *testing.T) {
	t.Parallel()
	for _, frame := range frames {
		b := newBench(t, "bybit-linear", 2, 8)
		clean := b.decode(frame)
		dirty := make([]tick.Unit, 40)
		for i := range dirty {
			for j := range dirty[i] {
				dirty[i][j] = math.MaxUint64
			}
		}
		got, _, err := b.decoder.Decode(dirty[:0], []byte(frame), stamp)
		if err != nil || !reflect.DeepEqual(got, clean) {
			t.Errorf("%s: %v\ngot  %x\nwant %x", frame, err, got, clean)
		}
	}
}

func TestDecodeZeroAllocs(t *testing.T) {
	for _, frame := range frames {
		b := newBench(t, "bybit-linear", 2, 8)
		text := []byte(frame)
		units := make([]tick.Unit, 0, 4096)
		run := func() {
			if _, _, err := b.decoder.Decode(units, text, stamp); err != nil {
				t.Fatal(err)
			}
		}
		run()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%v allocations: %s", n, frame)
		}
	}
}

// Whatever comes, the decoder does not panic, and what it takes is well-formed.
func FuzzDecode(f *testing.F) {
	for i, frame := range frames {
		f.Add(frame, uint8(i), uint8(2), uint8(6))
	}
	f.Add(`{"success":false,"ret_msg":"error:handler not found,topic:x\u00e9","conn_id":"x","req_id":"1","op":"subscribe"}`, uint8(0), uint8(0), uint8(0))
	f.Add(`{"data":[],"topic":"publicTrade.X"}`, uint8(1), uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, frame string, venue, priceDigits, sizeDigits uint8) {
		b := newBench(t, markets[int(venue)%len(markets)].venue, priceDigits%(tick.MaxDigits+1), sizeDigits%(tick.MaxDigits+1))
		for range 2 { // the second time at the scale that the first asked for
			units, notice, err := b.decoder.Decode(nil, []byte(frame), stamp)
			if err != nil && (len(units) != 0 || notice != (feeds.Notice{})) {
				t.Fatalf("%d units, %+v with %v", len(units), notice, err)
			}
			if err := fault(units); err != nil {
				t.Fatalf("%q: %v", frame, err)
			}
			if err == nil && !json.Valid([]byte(frame)) {
				t.Fatalf("took %q", frame)
			}
		}
	})
}

// fault says what a decoder may not return without an error: a frame has one
// book here.
func fault(units []tick.Unit) error {
	if err := tick.WellFormed(units); err != nil {
		return err
	}
	data := 0
	for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
		switch h := units[0].Header(); h.Kind {
		case tick.KindRescale:
			continue
		case tick.KindQuote, tick.KindDepth, tick.KindSnapshot:
			if first := h.Flags&tick.FlagFirst != 0; first != (data == 0) {
				return fmt.Errorf("fragments do not join: %d", data)
			}
		case tick.KindStatus:
			return fmt.Errorf("kind %d", h.Kind)
		}
		data++
	}
	return nil
}
