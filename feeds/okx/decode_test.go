package okx

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

const (
	tradeFrame    = `{"arg":{"channel":"trades-all","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","tradeId":"130639474","px":"42219.9","sz":"0.12","side":"sell","source":"0","ts":"1630048897897"}]}`
	quoteFrame    = `{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT-SWAP"},"data":[{"asks":[["8476.98","415","0","13"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","seqId":123456}]}`
	snapshotFrame = `{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"snapshot","data":[{"asks":[["8476.98","415","0","13"],["8477","7","0","2"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","checksum":-855196043,"seqId":123456,"prevSeqId":-1}]}`
	updateFrame   = `{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"update","data":[{"asks":[["8476.98","0","0","0"]],"bids":[["8476.97","256.5","0","12"],["8475.55","101","0","1"]],"ts":"1597026383185","checksum":0,"seqId":123457,"prevSeqId":123456}]}`
	fundingFrame  = `{"arg":{"channel":"funding-rate","instId":"BTC-USDT-SWAP"},"data":[{"formulaType":"noRate","fundingRate":"0.0001875391284828","fundingTime":"1700726400000","impactValue":"","instId":"BTC-USDT-SWAP","instType":"SWAP","interestRate":"","method":"current_period","maxFundingRate":"0.00375","minFundingRate":"-0.00375","nextFundingRate":"","nextFundingTime":"1700755200000","premium":"0.0001233824646391","settFundingRate":"0.0001699799259033","settState":"settled","ts":"1700724675402"}]}`
	markFrame     = `{"arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","markPx":"42310.65","ts":"1630049139746"}]}`
	indexFrame    = `{"arg":{"channel":"index-tickers","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","idxPx":"42300.125","high24h":"0.5","low24h":"0.1","open24h":"0.1","sodUtc0":"0.1","sodUtc8":"0.1","ts":"1597026383085"}]}`
	interestFrame = `{"arg":{"channel":"open-interest","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","instType":"SWAP","oi":"2216113.01000000309","oiCcy":"22161.1301000000309","oiUsd":"1939251795.54769270396321","ts":"1743041250440"}]}`
	forcedFrame   = `{"id":"1512","arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkLoss":"0","bkPx":"0.007831","ccy":"","posSide":"short","side":"buy","sz":"13","ts":"1692266434010"}],"instFamily":"IOST-USDT","instId":"IOST-USDT-SWAP","instType":"SWAP","uly":"IOST-USDT"},` +
		`{"details":[{"bkLoss":"0","bkPx":"42000.5","ccy":"","posSide":"long","side":"sell","sz":"2.5","ts":"1692266434011"},{"bkLoss":"0","bkPx":"42001","ccy":"","posSide":"net","side":"buy","sz":"1","ts":"1692266434009"}],"instFamily":"BTC-USDT","instId":"BTC-USDT-SWAP","instType":"SWAP","uly":"BTC-USDT"}]}`
	ackFrame = `{"id":"1","event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"connId":"a4d3ae55"}`
)

var dataFrames = []string{tradeFrame, quoteFrame, snapshotFrame, updateFrame, fundingFrame, markFrame, interestFrame, forcedFrame}

const received = 1_743_041_250_500_000_000

var stamp = feeds.Stamp{Line: 4, Ordinal: 9, ReceiveNanos: received}

// bench is a decoder that knows BTC-USDT-SWAP, id 7, at the given scale.
type bench struct {
	t       testing.TB
	entry   *feeds.Entry
	table   *feeds.Table
	decoder feeds.Decoder
}

func newBench(t testing.TB, priceDigits, sizeDigits uint8) *bench {
	b := &bench{t: t, table: feeds.NewTable(nil)}
	b.entry = &feeds.Entry{Symbol: "BTC-USDT-SWAP", ID: 7, PriceDigits: priceDigits, SizeDigits: sizeDigits}
	b.table.Add(b.entry)
	b.decoder = venue{}.NewDecoder(nil, b.table)
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
		b.t.Fatalf("%s: %v", frame, err)
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
		b.t.Errorf("%.400s\n%d units, %+v, entry %+v, error %v, want %v", frame, len(units), notice, *b.entry, err, kind)
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

func header(kind tick.Kind, flags tick.Flags, exchangeNanos int64) tick.Header {
	return tick.Header{Kind: kind, Flags: tick.FlagFirst | tick.FlagLast | flags, Line: 4, Instrument: 7, Ordinal: 9,
		ExchangeNanos: exchangeNanos, ReceiveNanos: received}
}

var ignored = feeds.Notice{Kind: feeds.NoticeIgnored}

func TestTrade(t *testing.T) {
	t.Parallel()
	want := tick.Trade{Header: header(tick.KindTrade, tick.FlagSell, 1630048897897e6), ID: tick.ID{Lo: 130639474}, Price: 4221990, Size: 120}
	if got := *newBench(t, 2, 3).decode(tradeFrame)[0].Trade(); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	want.Flags &^= tick.FlagSell
	if got := *newBench(t, 2, 3).decode(strings.Replace(tradeFrame, "sell", "buy", 1))[0].Trade(); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The venue greets a subscription of trades with the last one, which may be
// old: it is no news. Later ones are.
func TestTradeFromBeforeTheSubscription(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 3)
	ack := strings.Replace(ackFrame, "books", "trades-all", 1)
	isBackfill := func() bool { return b.decode(tradeFrame)[0].Trade().Flags&tick.FlagBackfill != 0 }
	if isBackfill() {
		t.Error("a trade before any answer counts as backfill")
	}
	b.noticed(ack, feeds.Notice{Kind: feeds.NoticeAck, Channel: tick.ChannelTrades, Instrument: 7})
	b.refused(tradeFrame[:len(tradeFrame)-1], feeds.ErrMalformed)
	if first, second := isBackfill(), isBackfill(); !first || second {
		t.Errorf("first %v, second %v", first, second)
	}
	b.noticed(ack, feeds.Notice{Kind: feeds.NoticeAck, Channel: tick.ChannelTrades, Instrument: 7})
	if b.decode(strings.Replace(tradeFrame, "1630048897897", "1743041250501", 1))[0].Trade().Flags&tick.FlagBackfill != 0 {
		t.Error("a trade from after the answer counts as backfill")
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	f := func(frame string, id uint64, levels ...tick.Level) {
		t.Helper()
		got := newBench(t, 2, 1).decode(frame)
		want := tick.Depth{Header: header(tick.KindQuote, 0, 1597026383085e6), FirstID: id, LastID: id, Bids: 1, LevelCount: 2}
		if *got[0].Depth() != want || !slices.Equal(tick.Levels(got), levels) {
			t.Errorf("%s\ngot  %+v %v\nwant %+v %v", frame, *got[0].Depth(), tick.Levels(got), want, levels)
		}
	}
	f(quoteFrame, 123456, tick.Level{Price: 847697, Size: 2560}, tick.Level{Price: 847698, Size: 4150})
	f(strings.Replace(quoteFrame, `,"seqId":123456`, "", 1), 0, tick.Level{Price: 847697, Size: 2560}, tick.Level{Price: 847698, Size: 4150})
	f(strings.Replace(quoteFrame, `[["8476.97","256","0","12"]]`, "[]", 1), 123456, tick.Level{}, tick.Level{Price: 847698, Size: 4150})
}

func TestDepth(t *testing.T) {
	t.Parallel()
	f := func(frame string, want tick.Depth, levels ...tick.Level) {
		t.Helper()
		got := newBench(t, 2, 1).decode(frame)
		if *got[0].Depth() != want || !slices.Equal(tick.Levels(got), levels) || len(got) != tick.DepthUnits(len(levels)) {
			t.Errorf("%s\ngot  %+v %v\nwant %+v %v", frame, *got[0].Depth(), tick.Levels(got), want, levels)
		}
	}
	// prevSeqId -1 is nobody's id; a negative checksum is its 32 bits.
	snapshot := tick.Depth{Header: header(tick.KindSnapshot, 0, 1597026383085e6), FirstID: 123456, LastID: 123456, Checksum: 3439771253, Bids: 1, LevelCount: 3}
	levels := []tick.Level{{Price: 847697, Size: 2560}, {Price: 847698, Size: 4150}, {Price: 847700, Size: 70}}
	f(snapshotFrame, snapshot, levels...)
	update := tick.Depth{Header: header(tick.KindDepth, 0, 1597026383185e6), LastID: 123457, PrevID: 123456, Bids: 2, LevelCount: 3}
	changes := []tick.Level{{Price: 847697, Size: 2565}, {Price: 847555, Size: 1010}, {Price: 847698}}
	f(updateFrame, update, changes...)
	// Nothing changed for a minute: the same id twice, and no levels.
	f(`{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"update","data":[{"asks":[],"bids":[],"ts":"1597026383185","checksum":0,"seqId":15,"prevSeqId":15}]}`,
		tick.Depth{Header: header(tick.KindDepth, 0, 1597026383185e6), LastID: 15, PrevID: 15})
	// Ids begin anew after maintenance.
	f(`{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"update","data":[{"asks":[],"bids":[],"ts":"1597026383185","checksum":0,"seqId":0,"prevSeqId":15}]}`,
		tick.Depth{Header: header(tick.KindDepth, 0, 1597026383185e6), PrevID: 15})
	// Keys in any order, white space, bare numbers, bids ahead of asks, arg behind the data.
	f(` { "data" : [ { "prevSeqId":123456,"seqId":123457 , "bids":[ [8476.970, 2565e-1 ] ,["8475.55","101","0","1",{}]],"ts":1597026383185, "asks":[["8476.98","-0"]] } ],
	 "action":"update" , "arg":{"instId":"BTC-USDT-SWAP","channel":"books"} } `, update, changes...)
	f(strings.Replace(updateFrame, `"action":"update",`, "", 1)[:len(updateFrame)-len(`"action":"update",`)-1]+`,"action":"update"}`, update, changes...)
	// A symbol with escapes is the same symbol.
	f(strings.Replace(updateFrame, `"BTC-USDT-SWAP"`, `"\u0042TC-\u0055SDT-SWAP"`, 1), update, changes...)
	// From before ids were: the checksum stands for them.
	old := update
	old.LastID, old.PrevID, old.Checksum = 0, 0, 664471393
	f(strings.Replace(updateFrame, `"checksum":0,"seqId":123457,"prevSeqId":123456`, `"checksum":664471393`, 1), old, changes...)
}

// More levels than a packet holds become fragments.
func TestDepthInFragments(t *testing.T) {
	t.Parallel()
	side := func(n, from int) string {
		var levels []string
		for i := range n {
			levels = append(levels, fmt.Sprintf(`["%d","%d","0","1"]`, from+i, 1+i%10))
		}
		return strings.Join(levels, ",")
	}
	frame := fmt.Sprintf(`{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"action":"snapshot","data":[{"asks":[%s],"bids":[%s],"ts":"5","seqId":20,"prevSeqId":-1}]}`,
		side(tick.MaxLevels+7, 100_001), side(9, 1))
	units := newBench(t, 0, 0).decode(frame)
	packets, bids, asks := 0, 0, 0
	for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
		d := units[0].Depth()
		packets, bids, asks = packets+1, bids+int(d.Bids), asks+int(d.LevelCount-d.Bids)
		if d.LastID != 20 || d.Kind != tick.KindSnapshot {
			t.Errorf("%+v", d)
		}
	}
	if packets != 2 || bids != 9 || asks != tick.MaxLevels+7 {
		t.Errorf("%d packets, %d bids, %d asks", packets, bids, asks)
	}
}

func TestReferencePrices(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 1)
	f := func(frame string, want tick.Mark) {
		t.Helper()
		if got := *b.decode(frame)[0].Mark(); got != want {
			t.Errorf("%s\ngot  %+v\nwant %+v", frame, got, want)
		}
	}
	none := int64(tick.Absent)
	// What is paid at fundingTime is the rate told.
	f(fundingFrame, tick.Mark{Header: header(tick.KindMark, 0, 1700724675402e6), Mark: none, Index: none, FundingRate: 1875391284828, RateDigits: 16, NextFundingSeconds: 1700726400})
	f(strings.Replace(fundingFrame, "0.0001875391284828", "-0.0001", 1), tick.Mark{Header: header(tick.KindMark, 0, 1700724675402e6), Mark: none, Index: none, FundingRate: -1, RateDigits: 4, NextFundingSeconds: 1700726400})
	f(strings.Replace(fundingFrame, "0.0001875391284828", "", 1), tick.Mark{Header: header(tick.KindMark, 0, 1700724675402e6), Mark: none, Index: none, FundingRate: none, NextFundingSeconds: 1700726400})
	f(markFrame, tick.Mark{Header: header(tick.KindMark, 0, 1630049139746e6), Mark: 4231065, Index: none, FundingRate: none, PriceDigits: 2})
	b.noticed(strings.NewReplacer("0.0001875391284828", "", "1700726400000", "").Replace(fundingFrame), ignored)
}

// The name of an index is also that of a spot symbol: its price goes to the
// derivatives of the index alone.
func TestIndexPrice(t *testing.T) {
	t.Parallel()
	adapter, _ := New("okx")
	instrument := func(id uint32, symbol string) *tick.Instrument {
		in := adapter.Instrument(symbol)
		in.ID = id
		return &in
	}
	spot, swap, future, other := instrument(0, "BTC-USDT"), instrument(1, "BTC-USDT-SWAP"), instrument(2, "BTC-USDT-261225"), instrument(3, "BTC-USD-SWAP")
	unasked := instrument(4, "BTC-USDT-270625")
	table := feeds.NewTable([]*tick.Instrument{spot, swap, future, other, unasked})
	all := adapter.Channels()
	d := adapter.NewDecoder(&feeds.Connection{Subscriptions: []feeds.Subscription{
		{Instrument: spot, Channels: all}, {Instrument: swap, Channels: all}, {Instrument: future, Channels: all}, {Instrument: other, Channels: all}, {Instrument: unasked, Channels: tick.ChannelDepth}}}, table)
	goTo := func(d feeds.Decoder, frame string, want ...uint32) {
		t.Helper()
		units, notice, err := d.Decode(nil, []byte(frame), stamp)
		var got []uint32
		for i := range units {
			m := units[i].Mark()
			if got = append(got, m.Instrument); m.Kind != tick.KindMark || m.Index != 42300125 || m.PriceDigits != 3 || m.Mark != tick.Absent || m.ExchangeNanos != 1597026383085e6 {
				t.Errorf("%+v", m)
			}
		}
		if err != nil || !slices.Equal(got, want) || (notice == ignored) != (len(want) == 0) {
			t.Errorf("goes to %v, want %v; %+v, %v", got, want, notice, err)
		}
	}
	goTo(d, indexFrame, 1, 2)
	goTo(d, strings.ReplaceAll(indexFrame, "BTC-USDT", "BTC-USD"), 3)
	goTo(d, strings.ReplaceAll(indexFrame, "BTC-USDT", "ETH-USD"))

	// A capture has no plan: the derivative shows itself first.
	d = adapter.NewDecoder(nil, table)
	goTo(d, indexFrame)
	for range 3 {
		if _, _, err := d.Decode(nil, []byte(markFrame), stamp); err != nil {
			t.Fatal(err)
		}
	}
	goTo(d, indexFrame, 1)
}

func TestOpenInterest(t *testing.T) {
	t.Parallel()
	want := tick.OpenInterest{Header: header(tick.KindOpenInterest, 0, 1743041250440e6), Size: 221611301000000309, SizeDigits: 11}
	if got := *newBench(t, 0, 0).decode(interestFrame)[0].OpenInterest(); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The stream tells forced orders of all instruments of a type; others than
// those asked for are no fault.
func TestLiquidations(t *testing.T) {
	t.Parallel()
	want := []tick.Trade{
		{Header: header(tick.KindLiquidation, tick.FlagSell, 1692266434011e6), Price: 420005, Size: 250},
		{Header: header(tick.KindLiquidation, 0, 1692266434009e6), Price: 420010, Size: 100},
	}
	units := newBench(t, 1, 2).decode(forcedFrame)
	if len(units) != 2 || *units[0].Trade() != want[0] || *units[1].Trade() != want[1] {
		t.Errorf("got %+v\n%+v\nwant %+v", *units[0].Trade(), *units[1].Trade(), want)
	}
	newBench(t, 1, 2).noticed(strings.Replace(forcedFrame, "BTC-USDT-SWAP", "ETH-USDT-SWAP", 1), ignored)
	// Known by its book only.
	in := venue{}.Instrument("BTC-USDT-SWAP")
	in.ID = 7
	d := venue{}.NewDecoder(&feeds.Connection{Subscriptions: []feeds.Subscription{{Instrument: &in, Channels: tick.ChannelDepth}}}, feeds.NewTable([]*tick.Instrument{&in}))
	if units, notice, err := d.Decode(nil, []byte(forcedFrame), stamp); len(units) != 0 || notice != ignored || err != nil {
		t.Errorf("%d units, %+v, %v", len(units), notice, err)
	}
	// One that is broken spoils the frame, whomever it is about.
	newBench(t, 1, 2).refused(strings.Replace(forcedFrame, `"side":"buy","sz":"13"`, `"sz":"13"`, 1), feeds.ErrMalformed)
}

func TestNotices(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 1)
	f := b.noticed
	f("pong", feeds.Notice{Kind: feeds.NoticePong})
	depth := feeds.Notice{Kind: feeds.NoticeAck, Request: 0, Channel: tick.ChannelDepth, Instrument: 7}
	f(ackFrame, depth)
	f(strings.Replace(ackFrame, "subscribe", "unsubscribe", 1), depth)
	depth.Request = 1511
	f(strings.Replace(ackFrame, `"id":"1"`, `"id":"1512"`, 1), depth)
	depth.Request = -1
	f(strings.Replace(ackFrame, `"id":"1",`, "", 1), depth)
	for _, id := range []string{"a1", "0", "01", "1234567890", ""} {
		f(strings.Replace(ackFrame, `"id":"1"`, `"id":"`+id+`"`, 1), depth)
	}
	for channel, c := range map[string]tick.Channels{"trades-all": tick.ChannelTrades, "bbo-tbt": tick.ChannelQuotes, "funding-rate": tick.ChannelFunding, "mark-price": tick.ChannelFunding, "open-interest": tick.ChannelOpenInterest} {
		f(strings.Replace(ackFrame, "books", channel, 1), feeds.Notice{Kind: feeds.NoticeAck, Channel: c, Instrument: 7})
	}
	// One answer for all instruments of a type.
	f(`{"id":"3","event":"subscribe","arg":{"channel":"liquidation-orders","instType":"SWAP"},"connId":"a4d3ae55"}`, feeds.Notice{Kind: feeds.NoticeAck, Request: 2})
	// An index is answered for by a derivative of it.
	index := strings.NewReplacer("books", "index-tickers", "BTC-USDT-SWAP", "BTC-USDT").Replace(ackFrame)
	f(index, ignored)
	b.decode(markFrame)
	f(index, feeds.Notice{Kind: feeds.NoticeAck, Channel: tick.ChannelFunding, Instrument: 7})
	// What others asked for.
	f(strings.Replace(ackFrame, "books", "tickers", 1), ignored)
	f(strings.Replace(ackFrame, "books", "channel-of-tomorrow", 1), ignored)
	f(strings.Replace(ackFrame, "BTC-USDT-SWAP", "ETH-USDT", 1), ignored)

	const wrong = `Wrong URL or channel:bbo-tbt,instId:BTC-USDT-SWAP doesn't exist. Please use the correct URL, channel and parameters referring to API document.`
	refusal := func(msg string) string {
		return `{"id":"4","event":"error","code":"60018","msg":"` + msg + `","connId":"a4d3ae55"}`
	}
	f(refusal(wrong), feeds.Notice{Kind: feeds.NoticeRefused, Request: 3, Channel: tick.ChannelQuotes, Instrument: 7, Code: 60018, Text: wrong})
	elsewhere := strings.Replace(wrong, "BTC-USDT-SWAP", "X-Y", 1)
	f(refusal(elsewhere), feeds.Notice{Kind: feeds.NoticeRefused, Request: 3, Code: 60018, Text: elsewhere})
	f(`{"event":"error","code":"60012","msg":"Invalid request: {\"op\": \"subscribe\"}","connId":"a4d3ae55","id":"4"}`,
		feeds.Notice{Kind: feeds.NoticeRefused, Request: 3, Code: 60012, Text: `Invalid request: {"op": "subscribe"}`})
	f(`{"event":"error","code":"60014","msg":"Requests too frequent"}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Code: 60014, Text: "Requests too frequent"})
	f(`{"event":"error","id":"4","code":"60018","msg":"no","arg":{"channel":"books","instId":"BTC-USDT-SWAP"}}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: 3, Channel: tick.ChannelDepth, Instrument: 7, Code: 60018, Text: "no"})
	f(refusal(strings.Repeat("é", 1000)), feeds.Notice{Kind: feeds.NoticeRefused, Request: 3, Code: 60018, Text: strings.Repeat("é", 128)})

	f(`{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please reconnect.","connId":"a4d3ae55"}`,
		feeds.Notice{Kind: feeds.NoticeReconnect, Code: 64008, Text: "The connection will soon be closed for a service upgrade. Please reconnect."})
	f(`{"event":"notice","code":"64999","msg":"slow today"}`, feeds.Notice{Kind: feeds.NoticeMaintenance, Code: 64999, Text: "slow today"})
	f(`{"event":"channel-conn-count","channel":"orders","connCount":"2","connId":"abcd1234"}`, ignored)
	for _, channel := range []string{"trades", "tickers", "books5", "books-l2-tbt", "candle1D", "instruments", "mark-price-candle1m"} {
		f(`{"arg":{"channel":"`+channel+`","instId":"BTC-USDT-SWAP"},"data":[["1597026383085","8533.02"]]}`, ignored)
	}
	f(strings.Replace(markFrame, `[{"instType":"SWAP","instId":"BTC-USDT-SWAP","markPx":"42310.65","ts":"1630049139746"}]`, "[]", 1), ignored)
}

// A number finer than the scale declares a finer one, in a packet ahead of
// the data; the next frame finds it in force.
func TestFinerNumbersRescale(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0, 0)
	got := b.decode(updateFrame)
	if r := got[0].Rescale(); r.Kind != tick.KindRescale || r.Instrument != 7 || r.PriceDigits != 2 || r.SizeDigits != 1 || r.Ordinal != 9 || r.Line != 4 {
		t.Fatalf("rescale %+v", r)
	}
	if want := []tick.Level{{Price: 847697, Size: 2565}, {Price: 847555, Size: 1010}, {Price: 847698}}; !slices.Equal(tick.Levels(got[1:]), want) {
		t.Errorf("levels %v, want %v", tick.Levels(got[1:]), want)
	}
	if got := b.decode(quoteFrame); got[0].KindOf() != tick.KindQuote {
		t.Errorf("kind %d after the rescale", got[0].KindOf())
	}
	// A finer price that fits must not be kept when a size beside it does not.
	b.refused(strings.NewReplacer("42219.9", "42219.9123", "0.12", strings.Repeat("9", 30)).Replace(tradeFrame), feeds.ErrNumberRange)
	// What no instrument has a scale for.
	b.refused(strings.Replace(interestFrame, "2216113.01000000309", strings.Repeat("9", 30), 1), feeds.ErrNumberRange)
	got = newBench(t, 0, 0).decode(forcedFrame)
	if got[0].Rescale().PriceDigits != 1 || got[0].Rescale().SizeDigits != 1 || got[1].Trade().Price != 420005 || len(got) != 3 {
		t.Errorf("%+v", got[0].Rescale())
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 1)
	malformed := func(frame string) { t.Helper(); b.refused(frame, feeds.ErrMalformed) }
	replaced := func(frame, old, new string) {
		t.Helper()
		if !strings.Contains(frame, old) {
			t.Fatalf("%s has no %s", frame, old)
		}
		malformed(strings.Replace(frame, old, new, 1))
	}
	for _, frame := range append([]string{indexFrame, ackFrame}, dataFrames...) {
		for i := range frame {
			malformed(frame[:i])
		}
		malformed(frame + "}")
		malformed(frame + frame)
	}
	for _, frame := range []string{" ", "[", "NaN", "\x00", "\xff\xfe", "pon", "pong ", "ping", `"pong`} {
		malformed(frame)
	}
	malformed(strings.Repeat(`{"arg":`, 1_000_000))
	malformed(strings.Repeat(`[`, 1_000_000))
	for _, frame := range []string{`{}`, `[]`, `1`, `"pong"`, `{"data":[]}`, `{"arg":{"channel":"books","instId":"BTC-USDT-SWAP"}}`, `{"arg":[],"data":[]}`,
		`{"arg":{"channel":"channel-of-tomorrow"},"data":[]}`, `{"event":"event-of-tomorrow"}`, `{"event":7}`, `{"event":"` + strings.Repeat("new", 1000) + `"}`} {
		b.refused(frame, feeds.ErrUnknownMessage)
	}

	// A key that counts is there once, and of its type.
	for frame, keys := range map[string][]string{
		tradeFrame:    {"tradeId", "px", "sz", "side", "ts"},
		quoteFrame:    {"asks", "bids", "ts"},
		snapshotFrame: {"asks", "bids", "ts", "seqId"},
		updateFrame:   {"asks", "bids", "ts", "seqId", "prevSeqId", "action"},
		fundingFrame:  {"fundingRate", "fundingTime"},
		markFrame:     {"markPx", "ts"},
		interestFrame: {"oi", "ts"},
		strings.Replace(forcedFrame, "IOST-USDT-SWAP", "BTC-USDT-SWAP", 1): {"details", "bkPx", "side", "sz", "ts"},
	} {
		for _, key := range keys {
			quoted := `"` + key + `":`
			for _, value := range []string{`{}`, `null`, `true`, `"x"`} {
				replaced(frame, quoted, quoted+value+`,"other":`)
			}
			if key != "action" { // nothing tells what an absent one is missed for
				replaced(frame, quoted, `"other":`)
			}
			replaced(frame, quoted, quoted+`"1",`+quoted)
		}
	}
	malformed(strings.Replace(updateFrame, `"action":"update",`, "", 1))
	for _, frame := range dataFrames {
		replaced(frame, `"arg":`, `"arg":{},"arg":`)
		replaced(frame, `"data":[`, `"data":[1,`)
		replaced(frame, `"data":`, `"data":{"a":1},"other":`)
		if frame != quoteFrame && frame != snapshotFrame && frame != updateFrame && frame != forcedFrame {
			malformed(strings.Replace(frame, `"instId":"BTC-USDT-SWAP",`, `"instId":"ETH-USDT-SWAP",`, 1)) // of the data
		}
	}
	// Ids and checksums.
	replaced(updateFrame, "123456", "-1")
	replaced(updateFrame, "123457", "-5")
	replaced(updateFrame, "123457", "1.5")
	replaced(updateFrame, `"seqId":123457,`, "")
	replaced(updateFrame, `"checksum":0,"seqId":123457,"prevSeqId":123456`, `"checksum":0`) // nothing would verify the book
	replaced(updateFrame, `"checksum":0`, `"checksum":4294967296`)
	replaced(updateFrame, `"checksum":0`, `"checksum":-2147483649`)
	replaced(updateFrame, `"checksum":0`, `"checksum":"0"`)

	for _, n := range []string{`""`, `"NaN"`, `"-1"`, `"0x10"`, `" 1"`, `"+1"`, `"1."`, `".5"`, `"1e"`, `"1,5"`, `"−1"`, `null`, `[]`, `{}`, `-1`, `01`} {
		replaced(tradeFrame, `"42219.9"`, n)
		replaced(tradeFrame, `"0.12"`, n)
		replaced(quoteFrame, `"8476.97"`, n)
		replaced(quoteFrame, `"256"`, n)
		replaced(updateFrame, `"8476.97"`, n)
		replaced(updateFrame, `"256.5"`, n)
		replaced(forcedFrame, `"42000.5"`, n)
		if n != `"-1"` && n != "-1" {
			replaced(markFrame, `"42310.65"`, n)
		}
		replaced(interestFrame, `"2216113.01000000309"`, n)
	}
	for _, n := range []string{`"0"`, `0`, `"0.000"`} {
		replaced(tradeFrame, `"42219.9"`, n)
		replaced(tradeFrame, `"0.12"`, n)
		replaced(quoteFrame, `"8476.97"`, n)
		replaced(updateFrame, `"8476.97"`, n)
	}
	for _, levels := range []string{`[[]]`, `[["1"]]`, `["1","2"]`, `[["1","2"]`, `[["1","2"],]`, `{"1":"2"}`, `[null]`} {
		replaced(updateFrame, `[["8476.98","0","0","0"]]`, levels)
		replaced(quoteFrame, `[["8476.98","415","0","13"]]`, levels)
	}
	for _, symbol := range []string{"ETH-USDT-SWAP", "btc-usdt-swap", strings.Repeat("A", 64)} {
		for _, frame := range []string{tradeFrame, quoteFrame, updateFrame, fundingFrame, markFrame, interestFrame} {
			b.refused(strings.ReplaceAll(frame, "BTC-USDT-SWAP", symbol), feeds.ErrUnknownSymbol)
		}
	}
	for _, symbol := range []string{"", "\xff\xfe", strings.Repeat("A", 65), strings.Repeat("A", 10_000)} {
		malformed(strings.ReplaceAll(updateFrame, "BTC-USDT-SWAP", symbol))
	}
	for time, want := range map[string]int64{"0": 0, "9223372036854": 9223372036854e6, "9223372036855": 0, "9999999999999999999": 0} {
		if got := newBench(t, 2, 2).decode(strings.Replace(tradeFrame, "1630048897897", time, 1))[0].Header().ExchangeNanos; got != want {
			t.Errorf("%s ms: %d ns, want %d", time, got, want)
		}
	}
}

// A wrong frame about a new symbol introduces nothing.
func TestDiscoverOnlyFromGoodFrames(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 1)
	var found []string
	b.table.Discover = func(symbol string) *feeds.Entry {
		found = append(found, symbol)
		return &feeds.Entry{Symbol: symbol, ID: 8, PriceDigits: 2, SizeDigits: 3}
	}
	frame := strings.Replace(updateFrame, "BTC-USDT-SWAP", "ETH-USDT-SWAP", 1)
	for i := range frame {
		b.refused(frame[:i], feeds.ErrMalformed)
	}
	b.noticed(strings.Replace(ackFrame, "books", "tickers", 1), ignored)
	b.noticed(strings.Replace(forcedFrame, "BTC-USDT-SWAP", "SOL-USDT-SWAP", 1), ignored)
	b.noticed(indexFrame, ignored) // the index of a symbol is not the symbol
	if found != nil {
		t.Fatalf("discovered %v", found)
	}
	if id := b.decode(frame)[0].Header().Instrument; id != 8 || !slices.Equal(found, []string{"ETH-USDT-SWAP"}) {
		t.Errorf("instrument %d, discovered %v", id, found)
	}
}

// What no document has is told once, whatever comes with it; what we know and
// do not use is not told.
func TestCanary(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 1)
	b.table.Canary = feeds.NewCanary(slog.New(slog.NewTextHandler(io.Discard, nil)))
	for range 3 {
		for _, frame := range append([]string{ackFrame, indexFrame}, dataFrames...) {
			if _, _, err := b.decoder.Decode(nil, []byte(frame), stamp); err != nil {
				t.Fatal(err)
			}
		}
	}
	told := func(kind feeds.CanaryKind, want uint64) {
		t.Helper()
		if got := b.table.Canary.Signs[kind].Load(); got != want {
			t.Errorf("%v told %d times, want %d", kind, got, want)
		}
	}
	told(feeds.CanaryField, 0)
	told(feeds.CanaryMessage, 0)
	for range 3 {
		b.decode(strings.Replace(updateFrame, `"ts":`, `"newKey":{"a":[1]},"ts":`, 1))
		b.refused(`{"arg":{"channel":"channel-of-tomorrow"},"data":[]}`, feeds.ErrUnknownMessage)
	}
	told(feeds.CanaryField, 1)
	told(feeds.CanaryMessage, 1)
}

func TestDecodeZeroAllocs(t *testing.T) {
	b := newBench(t, 2, 11)
	var frames [][]byte
	for _, f := range append([]string{indexFrame, `{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{}]}`, "pong"}, dataFrames...) {
		frames = append(frames, []byte(f))
	}
	var units []tick.Unit
	for _, f := range frames {
		units, _, _ = b.decoder.Decode(units[:0], f, stamp)
	}
	units = slices.Grow(units, 64)
	next := 0
	if n := testing.AllocsPerRun(200, func() {
		var err error
		if units, _, err = b.decoder.Decode(units[:0], frames[next%len(frames)], stamp); err != nil {
			t.Fatal(err)
		}
		next++
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

// Whatever the bytes: an error changes nothing, packets are well formed, a
// frame that is decoded again gives the same at a settled scale.
func FuzzDecode(f *testing.F) {
	for _, frame := range append([]string{ackFrame, indexFrame, "pong", `{"event":"notice","code":"64008"}`, `{"event":"error","code":"60018","msg":"channel:books,instId:X"}`,
		strings.Replace(tradeFrame, "0.12", "1e-7", 1)}, dataFrames...) {
		f.Add([]byte(frame), uint8(2), uint8(1))
		f.Add([]byte(frame), uint8(0), uint8(0))
	}
	f.Fuzz(func(t *testing.T, frame []byte, priceDigits, sizeDigits uint8) {
		b := newBench(t, priceDigits%(tick.MaxDigits+1), sizeDigits%(tick.MaxDigits+1))
		before := *b.entry
		out, notice, err := b.decoder.Decode(make([]tick.Unit, 2, 20), frame, stamp)
		if len(out) < 2 || !reflect.DeepEqual(out[:2], make([]tick.Unit, 2)) {
			t.Fatalf("%q: what was there changed", frame)
		}
		if err != nil {
			if len(out) != 2 || notice != (feeds.Notice{}) || *b.entry != before {
				t.Fatalf("%q: error %v, but %d units, %+v, %+v", frame, err, len(out)-2, notice, *b.entry)
			}
			return
		}
		if !json.Valid(frame) && string(frame) != "pong" {
			t.Fatalf("%q: took broken JSON", frame)
		}
		first := out[2:]
		if err := fault(first); err != nil {
			t.Fatalf("%q: %v", frame, err)
		}
		if (notice.Kind == feeds.NoticeNone) != (len(first) > 0) {
			t.Fatalf("%q: notice %+v beside %d units", frame, notice, len(first))
		}
		if len(first) > 0 && first[0].KindOf() == tick.KindRescale {
			if *b.entry == before {
				t.Fatalf("%q: rescale without effect", frame)
			}
			first = first[1:]
		}
		again, _, err := b.decoder.Decode(nil, frame, stamp)
		if err != nil || len(again) != len(first) || len(again) > 0 && !reflect.DeepEqual(again, first) {
			t.Fatalf("%q: again: %v\n%x\n%x", frame, err, again, first)
		}
	})
}

// fault says what a decoder may not return without an error.
func fault(units []tick.Unit) error {
	if err := tick.WellFormed(units); err != nil {
		return err
	}
	for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
		u := &units[0]
		h := u.Header()
		if h.Ordinal != stamp.Ordinal || h.Line != stamp.Line || h.ReceiveNanos != stamp.ReceiveNanos {
			return fmt.Errorf("stamp %+v", *h)
		}
		switch h.Kind {
		case tick.KindTrade, tick.KindLiquidation:
			if x := u.Trade(); x.Price <= 0 || x.Size <= 0 {
				return fmt.Errorf("trade %+v", *x)
			}
		case tick.KindStatus:
			return fmt.Errorf("kind %d", h.Kind)
		}
	}
	return nil
}

// compact writes a sample that was laid out for people as the venue sends it.
func compact(t testing.TB, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
