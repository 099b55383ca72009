package coinbase

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

const (
	depthFrame = `{"channel":"l2_data","timestamp":"2026-08-24T22:34:13.82310097Z","sequence_num":7,"events":[{"type":"update","product_id":"BTC-USD","updates":[` +
		`{"side":"bid","event_time":"2026-08-24T22:34:13.788063Z","price_level":"78855.8","new_quantity":"0.0023974"},` +
		`{"side":"offer","event_time":"2026-08-24T22:34:13.788063Z","price_level":"78856.06","new_quantity":"0.18983151"},` +
		`{"side":"bid","event_time":"2026-08-24T22:34:13.788063Z","price_level":"78854.48","new_quantity":"0"}]}]}`
	tradesFrame = `{"channel":"market_trades","timestamp":"2026-08-24T22:34:14.715382929Z","sequence_num":8,"events":[{"type":"update","trades":[` +
		`{"product_id":"BTC-USD","trade_id":"929248663","price":"78856.06","size":"0.00003338","time":"2026-08-24T22:34:14.654578Z","side":"BUY"},` +
		`{"product_id":"BTC-USD","trade_id":"929248662","price":"78855.8","size":"0.00099993","time":"2026-08-24T22:34:14.613311Z","side":"SELL"}]}]}`
	tickerFrame = `{"channel":"ticker","timestamp":"2026-08-24T22:34:15.000000001Z","sequence_num":9,"events":[{"type":"update","tickers":[` +
		`{"type":"ticker","product_id":"BTC-USD","price":"78856.06","volume_24_h":"15328.12","low_24_h":"67500","high_24_h":"79200","low_52_w":"25000",` +
		`"high_52_w":"99000","price_percent_chg_24_h":"1.85","best_bid":"78855.8","best_bid_quantity":"1.5","best_ask":"78856.06","best_ask_quantity":"0.18983151"}]}]}`
	ackFrame       = `{"channel":"subscriptions","timestamp":"2026-08-24T22:34:13.813379359Z","sequence_num":3,"events":[{"subscriptions":{"level2":["BTC-USD"]}}]}`
	heartbeatFrame = `{"channel":"heartbeats","timestamp":"2026-08-24T22:34:16.260465255Z","sequence_num":4,"events":[{"current_time":"2026-08-24 22:34:16.25788961 +0000 UTC m=+139651.272674714","heartbeat_counter":139651}]}`
	errorFrame     = `{"type":"error","message":"authentication failure"}`
)

var stamp = feeds.Stamp{Line: 4, Ordinal: 9, ReceiveNanos: 1_787_610_856_000_000_000}

// bench is a decoder that knows BTC-USD, id 7, and ETH-USD, id 8, at a scale.
type bench struct {
	t       testing.TB
	entry   *feeds.Entry
	table   *feeds.Table
	decoder *decoder
}

func newBench(t testing.TB, priceDigits, sizeDigits uint8) *bench {
	b := &bench{t: t, table: feeds.NewTable(nil)}
	b.entry = &feeds.Entry{Symbol: "BTC-USD", ID: 7, PriceDigits: priceDigits, SizeDigits: sizeDigits}
	b.table.Add(b.entry)
	b.table.Add(&feeds.Entry{Symbol: "ETH-USD", ID: 8, PriceDigits: priceDigits, SizeDigits: sizeDigits})
	b.reopen()
	return b
}

// reopen begins a new socket.
func (b *bench) reopen() {
	b.decoder = adapter{}.NewDecoder(nil, b.table).(*decoder)
}

// decode expects packets, on a socket of their own.
func (b *bench) decode(frame string) []tick.Unit {
	b.t.Helper()
	b.reopen()
	units, notice, err := b.decoder.Decode(nil, []byte(frame), stamp)
	if err != nil || notice != (feeds.Notice{}) || len(units) == 0 {
		b.t.Fatalf("%s: %d units, %+v, %v", frame, len(units), notice, err)
	}
	wellFormed(b.t, units)
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

// noticed expects a notice alone, on the socket as it is.
func (b *bench) noticed(frame string, want feeds.Notice) {
	b.t.Helper()
	units, notice, err := b.decoder.Decode(nil, []byte(frame), stamp)
	if err != nil || len(units) != 0 || notice != want {
		b.t.Errorf("%.300s\n%d units, %+v, %v; want %+v", frame, len(units), notice, err, want)
	}
}

func header(kind tick.Kind, flags tick.Flags, exchangeNanos int64) tick.Header {
	return tick.Header{Kind: kind, Flags: tick.FlagFirst | tick.FlagLast | flags, Line: 4, Instrument: 7, Ordinal: 9,
		ExchangeNanos: exchangeNanos, ReceiveNanos: 1_787_610_856_000_000_000}
}

// at is a time of 2026-08-24 22:34:00 UTC and so many ns.
func at(nanos int64) int64 { return 1_787_610_840_000_000_000 + nanos }

func (b *bench) depth(frame string, want tick.Depth, levels ...tick.Level) {
	b.t.Helper()
	got := b.decode(frame)
	if *got[0].Depth() != want || !slices.Equal(tick.Levels(got), levels) || len(got) != tick.DepthUnits(len(levels)) {
		b.t.Errorf("%s\ngot  %+v %v\nwant %+v %v", frame, *got[0].Depth(), tick.Levels(got), want, levels)
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 8)
	want := tick.Depth{Header: header(tick.KindDepth, 0, at(13_788_063_000)), Bids: 2, LevelCount: 3}
	levels := []tick.Level{{Price: 7885580, Size: 239740}, {Price: 7885448}, {Price: 7885606, Size: 18983151}}
	b.depth(depthFrame, want, levels...)

	whole := want
	whole.Kind = tick.KindSnapshot
	b.depth(strings.Replace(depthFrame, "update", "snapshot", 1), whole, levels...)
	b.depth(strings.Replace(depthFrame, `"offer"`, `"ask"`, 1), want, levels...)

	// The newest level tells the time; without any it is the envelope's.
	later := want
	later.ExchangeNanos = at(13_900_000_000)
	b.depth(strings.Replace(depthFrame, "13.788063Z", "13.9Z", 1), later, levels...)
	later.ExchangeNanos = at(13_823_100_970)
	for _, none := range []string{"1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"} {
		b.depth(strings.ReplaceAll(depthFrame, "2026-08-24T22:34:13.788063Z", none), later, levels...)
	}
	b.depth(strings.ReplaceAll(depthFrame, `"event_time":"2026-08-24T22:34:13.788063Z",`, ""), later, levels...)

	// Keys in any order, white space, keys nobody knows, bare numbers, escapes.
	b.depth(`
	{ "events" : [ { "updates" : [ { "new_quantity" : 0.0023974 , "price_level":"78855.80","side":"bid","event_time":"2026-08-24T22:34:13.788063Z" },
	   {"x":[{"y":"\"\u00e9"}],"price_level":7885606e-2,"side":"offer","new_quantity":"0.18983151000"},{"side":"bid","price_level":"78854.48","new_quantity":"-0"} ],
	   "product_id" : "BTC\u002dUSD", "new":null, "type":"update"} ],
	  "sequence_num":7,"client_id":"","timestamp":"2026-08-24T22:34:13.82310097Z","channel":"l2_data" } `, want, levels...)
	b.depth(strings.NewReplacer(`"type":"update",`, "", `}]}]}`, `}],"type":"update"}]}`).Replace(depthFrame), want, levels...)

	// A whole book may be empty; changes without levels are no message.
	empty := tick.Depth{Header: header(tick.KindSnapshot, 0, at(13_823_100_970))}
	from := strings.Index(depthFrame, `"updates":[`) + len(`"updates":[`)
	nothing := depthFrame[:from] + "]}]}"
	b.depth(strings.Replace(nothing, "update", "snapshot", 1), empty)
	b.reopen()
	b.noticed(nothing, feeds.Notice{Kind: feeds.NoticeIgnored})
}

// Several events of several products may stand in one frame, and products
// that nobody subscribed among them cost the others nothing.
func TestSeveralProductsInAFrame(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 8)
	one := depthFrame[strings.Index(depthFrame, `{"type"`) : len(depthFrame)-2]
	eth := strings.Replace(one, "BTC-USD", "ETH-USD", 1)
	doge := strings.Replace(one, "BTC-USD", "DOGE-USD", 1)
	instruments := func(frame string) (ids []uint32) {
		for units := b.decode(frame); len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
			if d := units[0].Depth(); d.Kind != tick.KindDepth || d.LevelCount != 3 || d.Bids != 2 {
				t.Errorf("%+v", d)
			}
			ids = append(ids, units[0].Header().Instrument)
		}
		return ids
	}
	f := func(events []string, want ...uint32) {
		t.Helper()
		if got := instruments(strings.Replace(depthFrame, one, strings.Join(events, ","), 1)); !slices.Equal(got, want) {
			t.Errorf("instruments %v, want %v", got, want)
		}
	}
	f([]string{one, eth}, 7, 8)
	f([]string{eth, doge, one}, 8, 7)
	f([]string{doge, eth, doge}, 8)
	b.refused(strings.Replace(depthFrame, one, doge+","+doge, 1), feeds.ErrUnknownSymbol)

	b.table.Discover = func(symbol string) *feeds.Entry {
		return &feeds.Entry{Symbol: symbol, ID: 9, PriceDigits: 2, SizeDigits: 8}
	}
	f([]string{doge, eth}, 9, 8)

	trades := strings.Replace(tradesFrame, "BTC-USD", "SOL-USD", 1)
	b.table.Discover = nil
	if got := b.decode(trades); len(got) != 1 || got[0].Trade().ID.Lo != 929248662 {
		t.Errorf("%d units", len(got))
	}
}

// The venue tells the side of the order that rested; trades stand newest first.
func TestTrades(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 8)
	f := func(frame string, want ...tick.Trade) {
		t.Helper()
		got := b.decode(frame)
		for i := range got {
			if i >= len(want) || *got[i].Trade() != want[i] {
				t.Errorf("%s\ntrade %d: %+v\nwant %+v", frame, i, *got[i].Trade(), want)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d trades, want %d", len(got), len(want))
		}
	}
	older := tick.Trade{Header: header(tick.KindTrade, 0, at(14_613_311_000)), ID: tick.ID{Lo: 929248662}, Price: 7885580, Size: 99993}
	newer := tick.Trade{Header: header(tick.KindTrade, tick.FlagSell, at(14_654_578_000)), ID: tick.ID{Lo: 929248663}, Price: 7885606, Size: 3338}
	f(tradesFrame, older, newer)
	// In the other order they stay; bare ids are the same ids.
	f(strings.NewReplacer(`"929248663"`, "929248661").Replace(tradesFrame),
		func() tick.Trade { n := newer; n.ID.Lo = 929248661; return n }(), older)
	// A snapshot on subscribing happened before; its type may stand behind.
	older.Flags |= tick.FlagBackfill
	newer.Flags |= tick.FlagBackfill
	f(strings.Replace(tradesFrame, "update", "snapshot", 1), older, newer)
	f(strings.NewReplacer(`"type":"update",`, "", `]}]}`, `],"type":"snapshot"}]}`).Replace(tradesFrame), older, newer)
	b.reopen()
	b.noticed(`{"channel":"market_trades","timestamp":"2026-08-24T22:34:14Z","sequence_num":8,"events":[{"type":"update","trades":[]}]}`, feeds.Notice{Kind: feeds.NoticeIgnored})
	b.noticed(`{"channel":"market_trades","timestamp":"2026-08-24T22:34:14Z","sequence_num":9,"events":[]}`, feeds.Notice{Kind: feeds.NoticeIgnored})
}

func TestQuote(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 8)
	quote := func(nanos int64) tick.Depth {
		return tick.Depth{Header: header(tick.KindQuote, 0, nanos), Bids: 1, LevelCount: 2}
	}
	bid, ask := tick.Level{Price: 7885580, Size: 150000000}, tick.Level{Price: 7885606, Size: 18983151}
	b.depth(tickerFrame, quote(at(15_000_000_001)), bid, ask)
	b.depth(strings.Replace(tickerFrame, "update", "snapshot", 1), quote(at(15_000_000_001)), bid, ask)
	b.depth(strings.Replace(tickerFrame, `"best_bid":`, `"time":"2026-08-24T22:34:14.9Z","best_bid":`, 1), quote(at(14_900_000_000)), bid, ask)
	// An empty side.
	b.depth(strings.NewReplacer(`"78855.8"`, `""`, `"1.5"`, `""`).Replace(tickerFrame), quote(at(15_000_000_001)), tick.Level{}, ask)
	b.depth(strings.NewReplacer(`"78855.8"`, `"0"`, `"1.5"`, `"0"`).Replace(tickerFrame), quote(at(15_000_000_001)), tick.Level{}, ask)
}

// The venue names no request: answers come in the order of requests.
func TestNotices(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 8)
	f := b.noticed
	number := func(frame string, n int) string {
		i := strings.Index(frame, `"sequence_num":`) + len(`"sequence_num":`)
		return frame[:i] + strconv.Itoa(n) + frame[i+1:]
	}
	f(number(ackFrame, 0), feeds.Notice{Kind: feeds.NoticeAck, Request: 0})
	f(errorFrame, feeds.Notice{Kind: feeds.NoticeRefused, Request: 1, Text: "authentication failure"})
	f(`{"type":"error","message":"subscribe or unsubscribe required"}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Text: "subscribe or unsubscribe required"})
	f(number(ackFrame, 1), feeds.Notice{Kind: feeds.NoticeAck, Request: 2})
	f(number(heartbeatFrame, 2), feeds.Notice{Kind: feeds.NoticePong})
	f(` { "type" : "error" } `, feeds.Notice{Kind: feeds.NoticeRefused, Request: 3})
	f(`{"message":"say \"é\"`+strings.Repeat("é", 1000)+`","type":"error"}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: 4, Text: `say "é"` + strings.Repeat("é", 123)})
	f(number(ackFrame, 3), feeds.Notice{Kind: feeds.NoticeAck, Request: 5})
	ignored := feeds.Notice{Kind: feeds.NoticeIgnored}
	for i, channel := range []string{"ticker_batch", "candles", "status", "user", "futures_balance_summary"} {
		f(fmt.Sprintf(`{"channel":%q,"client_id":"","timestamp":"2026-08-24T22:34:14Z","sequence_num":%d,"events":[{"type":"snapshot","products":[{}]}]}`, channel, 4+i), ignored)
	}
	// A new socket counts its own requests.
	b.reopen()
	f(ackFrame, feeds.Notice{Kind: feeds.NoticeAck, Request: 0})
}

// A number finer than the scale declares a finer one, in a packet ahead of
// the data, for each product that needs one.
func TestFinerNumbersRescale(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 3)
	got := b.decode(depthFrame)
	if r := got[0].Rescale(); r.Kind != tick.KindRescale || r.Instrument != 7 || r.PriceDigits != 2 || r.SizeDigits != 8 || r.Ordinal != 9 || r.Line != 4 {
		t.Fatalf("rescale %+v", r)
	}
	if want := []tick.Level{{Price: 7885580, Size: 239740}, {Price: 7885448}, {Price: 7885606, Size: 18983151}}; !slices.Equal(tick.Levels(got[1:]), want) {
		t.Errorf("levels %v, want %v", tick.Levels(got[1:]), want)
	}
	if b.entry.PriceDigits != 2 || b.entry.SizeDigits != 8 {
		t.Errorf("entry %+v", b.entry)
	}
	if got := b.decode(tradesFrame); got[0].KindOf() != tick.KindTrade {
		t.Errorf("kind %d after the rescale", got[0].KindOf())
	}
	b.refused(strings.Replace(tradesFrame, "0.00003338", "0.0000000000000000001", 1), feeds.ErrNumberRange)
	b.refused(strings.NewReplacer("78856.06", "78856.0611", "0.00003338", "92233720368547758").Replace(tradesFrame), feeds.ErrNumberRange)

	// One is found in the second reading alone, when the products are known.
	b = newBench(t, 1, 3)
	b.table.Discover = func(symbol string) *feeds.Entry { return &feeds.Entry{Symbol: symbol, ID: 9} }
	one := depthFrame[strings.Index(depthFrame, `{"type"`) : len(depthFrame)-2]
	got = b.decode(strings.Replace(depthFrame, one, one+","+strings.Replace(one, "BTC", "NEW", 1), 1))
	if got[0].Rescale().Instrument != 7 || got[1].Rescale().Instrument != 9 || got[1].Rescale().SizeDigits != 8 || got[2].KindOf() != tick.KindDepth {
		t.Errorf("%+v %+v", got[0].Rescale(), got[1].Rescale())
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 8)
	malformed := func(frame string) { t.Helper(); b.refused(frame, feeds.ErrMalformed) }
	for _, frame := range []string{depthFrame, tradesFrame, tickerFrame, ackFrame, heartbeatFrame, errorFrame} {
		for i := range frame {
			malformed(frame[:i])
		}
		malformed(frame + "}")
		malformed(frame + frame)
	}
	for _, frame := range []string{" ", "[", "NaN", "\x00", "\xff\xfe", strings.Repeat(`{"events":`, 1_000_000), strings.Repeat("[", 1_000_000)} {
		malformed(frame)
	}

	// Keys twice, missing, of another type.
	for _, c := range []struct {
		frame string
		keys  []string
	}{
		{depthFrame, []string{"channel", "timestamp", "sequence_num", "events", "type", "product_id", "updates", "side", "price_level", "new_quantity"}},
		{tradesFrame, []string{"channel", "timestamp", "sequence_num", "events", "type", "trades", "product_id", "trade_id", "price", "size", "side", "time"}},
		{tickerFrame, []string{"channel", "timestamp", "sequence_num", "events", "tickers", "product_id", "best_bid", "best_bid_quantity", "best_ask", "best_ask_quantity"}},
		{ackFrame, []string{"channel", "timestamp", "sequence_num", "events"}},
	} {
		for _, key := range c.keys {
			quoted := `"` + key + `":`
			if !strings.Contains(c.frame, quoted) {
				t.Fatalf("%s has no %s", c.frame, key)
			}
			malformed(strings.Replace(c.frame, quoted, quoted+"null,"+quoted, 1))
			if key != "channel" {
				malformed(strings.Replace(c.frame, quoted, `"-`+key+`":`, 1))
			}
			for _, other := range []string{"null", "true", "{}", "-1.5"} {
				malformed(strings.Replace(c.frame, quoted, quoted+other+`,"-`+key+`":`, 1))
			}
		}
	}
	malformed(strings.Replace(depthFrame, `"event_time":`, `"event_time":1,"-event_time":`, 1))
	malformed(strings.Replace(depthFrame, `"event_time":`, `"event_time":"","event_time":`, 1))
	malformed(strings.Replace(depthFrame, `"bid"`, `"buy"`, 1))
	malformed(strings.Replace(tradesFrame, `"BUY"`, `"UNKNOWN_ORDER_SIDE"`, 1))
	for _, id := range []string{`""`, `"-1"`, `"1.5"`, `"a"`, `"12345678901234567890"`, "1.5", "-1"} {
		malformed(strings.Replace(tradesFrame, `"929248662"`, id, 1))
	}
	for _, n := range []string{`"7"`, "-1", "1.5", "12345678901234567890"} {
		malformed(strings.Replace(depthFrame, `"sequence_num":7`, `"sequence_num":`+n, 1))
	}

	// Numbers.
	for _, n := range []string{`""`, `"NaN"`, `"Infinity"`, `"-1"`, `"0x10"`, `" 1"`, `"1 "`, `"+1"`, `"1."`, `".5"`, `"1e"`, `"1,5"`, `"\u0031"`, `null`, `true`, `[]`, `{}`, `-1`, `01`} {
		malformed(strings.Replace(depthFrame, `"78854.48"`, n, 1))
		malformed(strings.Replace(depthFrame, `"0.18983151"`, n, 1))
		malformed(strings.Replace(tradesFrame, `"78855.8"`, n, 1))
		malformed(strings.Replace(tradesFrame, `"0.00099993"`, n, 1))
		if n != `""` {
			malformed(strings.Replace(tickerFrame, `"78855.8"`, n, 1))
			malformed(strings.Replace(tickerFrame, `"1.5"`, n, 1))
		}
	}
	for _, n := range []string{`"0"`, `"-0"`, `0`} {
		malformed(strings.Replace(depthFrame, `"78854.48"`, n, 1))
		malformed(strings.Replace(tradesFrame, `"78855.8"`, n, 1))
		malformed(strings.Replace(tradesFrame, `"0.00099993"`, n, 1))
		malformed(strings.Replace(tickerFrame, `"78855.8"`, n, 1)) // a size without a price
	}
	sixty := strings.Repeat("7", 60)
	for _, n := range []string{`"` + sixty + `"`, sixty, `"0.` + sixty + `"`, `"1e30"`, `"1e999999999"`, `"` + strings.Repeat("9", 1_000_000) + `"`} {
		b.refused(strings.Replace(depthFrame, `"0"`, n, 1), feeds.ErrNumberRange)
		b.refused(strings.Replace(tradesFrame, `"78855.8"`, n, 1), feeds.ErrNumberRange)
		b.refused(strings.Replace(tickerFrame, `"1.5"`, n, 1), feeds.ErrNumberRange)
	}
	// The channel stands behind, and what is wrong before it is found all the same.
	behind := strings.NewReplacer(`"channel":"l2_data",`, "", `}]}]}`, `}]}],"channel":"l2_data"}`, `"bid"`, `"buy"`).Replace(depthFrame)
	malformed(behind)

	for _, symbol := range []string{"DOGE-USD", "btc-usd", strings.Repeat("A", 64)} {
		for _, frame := range []string{depthFrame, tradesFrame, tickerFrame} {
			b.refused(strings.ReplaceAll(frame, "BTC-USD", symbol), feeds.ErrUnknownSymbol)
		}
	}
	for _, symbol := range []string{"", "\xff\xfe", strings.Repeat("A", 65), strings.Repeat("A", 10_000), `\ud800` + strings.Repeat("A", 62)} {
		malformed(strings.ReplaceAll(depthFrame, "BTC-USD", symbol))
	}
	for _, frame := range []string{`{}`, `[]`, `1`, `null`, `"text"`, `{"type":"welcome"}`, `{"message":"x"}`,
		strings.Replace(depthFrame, `"l2_data"`, `"level3"`, 1), strings.Replace(depthFrame, `"update"`, `"correction"`, 1)} {
		b.refused(frame, feeds.ErrUnknownMessage)
	}
}

// A wrong frame about a new product introduces nothing.
func TestDiscoverOnlyFromGoodFrames(t *testing.T) {
	t.Parallel()
	for _, frame := range []string{depthFrame, tradesFrame, tickerFrame} {
		b := newBench(t, 2, 8)
		var found []string
		b.table.Discover = func(symbol string) *feeds.Entry {
			found = append(found, symbol)
			return &feeds.Entry{Symbol: symbol, ID: 9, PriceDigits: 2, SizeDigits: 8}
		}
		frame := strings.ReplaceAll(frame, "BTC-USD", "SOL-USD")
		for i := range frame {
			b.refused(frame[:i], feeds.ErrMalformed)
		}
		b.refused(strings.Replace(frame, `"sequence_num"`, `"number"`, 1), feeds.ErrMalformed)
		if found != nil {
			t.Fatalf("discovered %v", found)
		}
		if id := b.decode(frame)[0].Header().Instrument; id != 9 || !slices.Equal(found, []string{"SOL-USD"}) {
			t.Errorf("instrument %d, discovered %v", id, found)
		}
	}
}

// What the documents do not have is told once.
func TestCanary(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 8)
	b.table.Canary = feeds.NewCanary(slog.New(slog.NewTextHandler(io.Discard, nil)))
	told := func(fields, messages uint64) {
		t.Helper()
		c := b.table.Canary
		if f, m := c.Signs[feeds.CanaryField].Load(), c.Signs[feeds.CanaryMessage].Load(); f != fields || m != messages {
			t.Errorf("%d fields and %d messages told, want %d and %d", f, m, fields, messages)
		}
	}
	for _, frame := range []string{depthFrame, tradesFrame, tickerFrame} {
		b.decode(frame)
	}
	for _, frame := range []string{ackFrame, heartbeatFrame, errorFrame} {
		b.reopen()
		if _, _, err := b.decoder.Decode(nil, []byte(frame), stamp); err != nil {
			t.Fatal(err)
		}
	}
	told(0, 0)
	for i, c := range []struct{ frame, before string }{
		{depthFrame, `"channel"`}, {depthFrame, `"product_id"`}, {depthFrame, `"side"`}, {tradesFrame, `"trade_id"`}, {tickerFrame, `"best_bid"`},
	} {
		strange := strings.Replace(c.frame, c.before, fmt.Sprintf(`"new%d":{},`, i)+c.before, 1)
		b.decode(strange)
		b.decode(strange)
		told(uint64(i+1), 0)
	}
	for range 2 {
		b.refused(strings.Replace(depthFrame, `"l2_data"`, `"level3"`, 1), feeds.ErrUnknownMessage)
		b.refused(strings.Replace(depthFrame, `"update"`, `"correction"`, 1), feeds.ErrUnknownMessage)
		b.refused(`{"type":"welcome"}`, feeds.ErrUnknownMessage)
	}
	told(5, 3)
}

// A book with more levels than a packet may hold becomes fragments, which
// together say the same, though the sides are mixed.
func TestFragments(t *testing.T) {
	t.Parallel()
	f := func(bids, asks, wantPackets int) {
		t.Helper()
		var levels []string
		for i := range max(bids, asks) {
			if i < asks {
				levels = append(levels, fmt.Sprintf(`{"side":"offer","event_time":"2026-08-24T22:34:13Z","price_level":"%d","new_quantity":"%d"}`, 1_000_001+i, i%10))
			}
			if i < bids {
				levels = append(levels, fmt.Sprintf(`{"side":"bid","event_time":"2026-08-24T22:34:13Z","price_level":"%d","new_quantity":"%d"}`, 1+i, i%10))
			}
		}
		frame := `{"channel":"l2_data","timestamp":"2026-08-24T22:34:14Z","sequence_num":7,"events":[{"type":"snapshot","product_id":"BTC-USD","updates":[` + strings.Join(levels, ",") + `]}]}`
		units := newBench(t, 0, 0).decode(frame)
		packets, gotBids, gotAsks := 0, 0, 0
		for len(units) > 0 {
			d := units[0].Depth()
			if d.Kind != tick.KindSnapshot || d.Instrument != 7 || d.ExchangeNanos != at(13e9) {
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
	f(1, 0, 1)
	f(0, 5, 1)
	f(tick.MaxLevels-1, 1, 1)
	f(tick.MaxLevels, 1, 2)
	f(20_000, 24_000, 11)
}

// What a message before left in the buffer must not show: the log compares bytes.
func TestPaddingIsZero(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, 8)
	clean := b.decode(depthFrame)
	dirty := make([]tick.Unit, 40)
	for i := range dirty {
		for j := range dirty[i] {
			dirty[i][j] = math.MaxUint64
		}
	}
	b.reopen()
	got, _, err := b.decoder.Decode(dirty[:0], []byte(depthFrame), stamp)
	if err != nil || !reflect.DeepEqual(got, clean) {
		t.Errorf("%v\n%x\n%x", err, got, clean)
	}
}

func TestDecodeZeroAllocs(t *testing.T) {
	b := newBench(t, 2, 8)
	var frames [][]byte
	var digits []int // where the number of a frame stands
	for _, f := range []string{depthFrame, tradesFrame, tickerFrame, heartbeatFrame, strings.Replace(depthFrame, "update", "snapshot", 1)} {
		frames, digits = append(frames, []byte(f)), append(digits, strings.Index(f, `"sequence_num":`)+len(`"sequence_num":`))
	}
	units := make([]tick.Unit, 0, 64)
	// The socket's count must rise: this rewrites the one digit of each frame.
	next := 0
	decode := func() {
		f := frames[next%len(frames)]
		f[digits[next%len(frames)]] = byte('0' + next%10)
		if next++; next%10 == 0 {
			b.decoder.count = frameCount{}
		}
		var err error
		if units, _, err = b.decoder.Decode(units[:0], f, stamp); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		decode()
	}
	if n := testing.AllocsPerRun(200, decode); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func FuzzDecode(f *testing.F) {
	for _, frame := range []string{depthFrame, tradesFrame, tickerFrame, ackFrame, heartbeatFrame, errorFrame,
		strings.Replace(depthFrame, "update", "snapshot", 1), strings.Replace(depthFrame, "0.0023974", "1e-7", 1),
		strings.NewReplacer(`"channel":"l2_data",`, "", `}]}]}`, `}]}],"channel":"l2_data"}`).Replace(depthFrame)} {
		f.Add([]byte(frame), uint8(2), uint8(8))
		f.Add([]byte(frame), uint8(0), uint8(0))
	}
	f.Fuzz(func(t *testing.T, frame []byte, priceDigits, sizeDigits uint8) {
		b := newBench(t, priceDigits%(tick.MaxDigits+1), sizeDigits%(tick.MaxDigits+1))
		before := *b.entry
		dst := make([]tick.Unit, 2, 20)
		out, notice, err := b.decoder.Decode(dst, frame, stamp)
		if len(out) < 2 || !reflect.DeepEqual(out[:2], make([]tick.Unit, 2)) {
			t.Fatalf("%q: what was there changed", frame)
		}
		if err != nil {
			if len(out) != 2 || notice != (feeds.Notice{}) || *b.entry != before {
				t.Fatalf("%q: error %v, but %d units, %+v, %+v", frame, err, len(out)-2, notice, *b.entry)
			}
			return
		}
		if !json.Valid(frame) {
			t.Fatalf("%q: took broken JSON", frame)
		}
		wellFormed(t, out[2:])
		if (notice.Kind == feeds.NoticeNone) != (len(out) > 2) {
			t.Fatalf("%q: notice %+v beside %d units", frame, notice, len(out)-2)
		}
		// On another socket it says the same at the settled scale.
		first := out[2:]
		for len(first) > 0 && first[0].KindOf() == tick.KindRescale {
			first = first[1:]
		}
		b.reopen()
		again, _, err := b.decoder.Decode(nil, frame, stamp)
		if err != nil || len(again) != len(first) || len(again) > 0 && !reflect.DeepEqual(again, first) {
			t.Fatalf("%q: again: %v\n%x\n%x", frame, err, again, first)
		}
	})
}

func wellFormed(t testing.TB, units []tick.Unit) {
	t.Helper()
	if err := fault(units); err != nil {
		t.Fatal(err)
	}
}

// fault says what a decoder may not return without an error.
func fault(units []tick.Unit) error {
	if err := tick.WellFormed(units); err != nil {
		return err
	}
	for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
		switch u := &units[0]; u.Header().Kind {
		case tick.KindTrade:
			if x := u.Trade(); x.Price <= 0 || x.Size <= 0 {
				return fmt.Errorf("trade %+v", *x)
			}
		case tick.KindRescale, tick.KindQuote, tick.KindDepth, tick.KindSnapshot:
		default:
			return fmt.Errorf("kind %d", u.Header().Kind)
		}
	}
	return nil
}
