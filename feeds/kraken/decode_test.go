package kraken

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"tickproc/feeds"
	"tickproc/feeds/wire"
	"tickproc/tick"
)

const (
	tradeUpdate = `{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":83744.3,"qty":0.00044780,"ord_type":"limit","trade_id":109116693,"timestamp":"2026-09-25T17:48:26.844359Z"}]}`
	tickerBBO   = `{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":83744.2,"bid_qty":0.56251979,"ask":83744.3,"ask_qty":0.00044780,"last":83744.3,"volume":3156.84782110,"vwap":84174.6,"low":83163.6,"high":85247.4,"change":-429.3,"change_pct":-0.51,"trades":135262,"timestamp":"2026-09-25T17:48:26.844359Z"}]}`
	bookUpdate  = `{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":78858.8,"qty":0.00000000},{"price":78857.0,"qty":0.34775324}],"asks":[{"price":78871.6,"qty":4.2}],"checksum":2416540570,"timestamp":"2026-08-24T22:21:58.343688Z"}]}`
	bookWhole   = `{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":78871.5,"qty":0.01266503}],"asks":[{"price":78871.6,"qty":4.21103066},{"price":78872.2,"qty":0.41892437}],"checksum":1406471562,"timestamp":"2026-08-24T22:21:57.110183Z"}]}`
	ack         = `{"method":"subscribe","result":{"channel":"book","depth":1000,"snapshot":true,"symbol":"BTC/USD"},"success":true,"time_in":"2026-08-24T22:21:56.724795Z","time_out":"2026-08-24T22:21:56.724853Z","req_id":33}`
	refusal     = `{"error":"Currency pair not supported BTC/USD","method":"subscribe","success":false,"symbol":"BTC/USD","time_in":"2026-09-25T17:48:54.701041Z","time_out":"2026-09-25T17:48:54.701062Z","req_id":33}`
)

var stamp = feeds.Stamp{Line: 4, Ordinal: 9, ReceiveNanos: 1_790_358_506_000_000_000}

// nanosAt reads a time the slow way.
func nanosAt(text string) int64 {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return at.UnixNano()
}

// bench is a decoder that knows BTC/USD, id 7, and ETH/USD, id 8, at the given
// scale.
type bench struct {
	t       testing.TB
	entry   *feeds.Entry
	table   *feeds.Table
	decoder feeds.Decoder
}

func newBench(t testing.TB, priceDigits, sizeDigits uint8) *bench {
	b := &bench{t: t, table: feeds.NewTable(nil)}
	b.entry = &feeds.Entry{Symbol: "BTC/USD", ID: 7, PriceDigits: priceDigits, SizeDigits: sizeDigits}
	b.table.Add(b.entry)
	b.table.Add(&feeds.Entry{Symbol: "ETH/USD", ID: 8, PriceDigits: priceDigits, SizeDigits: sizeDigits})
	b.decoder = new(venue).NewDecoder(nil, b.table)
	return b
}

// decode expects packets.
func (b *bench) decode(frame string) []tick.Unit {
	b.t.Helper()
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

func header(kind tick.Kind, flags tick.Flags, exchangeNanos int64) tick.Header {
	return tick.Header{Kind: kind, Flags: tick.FlagFirst | tick.FlagLast | flags, Line: 4, Instrument: 7, Ordinal: 9,
		ExchangeNanos: exchangeNanos, ReceiveNanos: 1_790_358_506_000_000_000}
}

func wellFormed(t testing.TB, units []tick.Unit) {
	t.Helper()
	if err := fault(units); err != nil {
		t.Fatal(err)
	}
}

// fault says what a decoder may not return without an error: the venue has
// no ids of books.
func fault(units []tick.Unit) error {
	if err := tick.WellFormed(units); err != nil {
		return err
	}
	for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
		u := &units[0]
		h := u.Header()
		if h.Line != 4 || h.Ordinal != 9 || h.Instrument != 7 && h.Instrument != 8 {
			return fmt.Errorf("header %+v", *h)
		}
		switch h.Kind {
		case tick.KindTrade:
			if x := u.Trade(); x.Price <= 0 || x.Size <= 0 || x.ID.Hi != 0 {
				return fmt.Errorf("trade %+v", *x)
			}
		case tick.KindQuote, tick.KindDepth, tick.KindSnapshot:
			if d := u.Depth(); d.FirstID != 0 || d.LastID != 0 || d.PrevID != 0 {
				return fmt.Errorf("depth %+v", *d)
			}
		case tick.KindRescale, tick.KindStatus:
		default:
			return fmt.Errorf("kind %d", h.Kind)
		}
	}
	return nil
}

func TestTrade(t *testing.T) {
	t.Parallel()
	nanos := nanosAt("2026-09-25T17:48:26.844359Z")
	buy := tick.Trade{Header: header(tick.KindTrade, 0, nanos), ID: tick.ID{Lo: 109116693}, Price: 837443, Size: 44780}
	f := func(frame string, want ...tick.Trade) {
		t.Helper()
		got := newBench(t, 1, 8).decode(frame)
		if len(got) != len(want) {
			t.Fatalf("%s: %d trades", frame, len(got))
		}
		for i := range want {
			if *got[i].Trade() != want[i] {
				t.Errorf("%s\ngot  %+v\nwant %+v", frame, *got[i].Trade(), want[i])
			}
		}
	}
	f(tradeUpdate, buy)
	// The side is the taker's.
	sell := buy
	sell.Flags |= tick.FlagSell
	f(strings.Replace(tradeUpdate, `"buy"`, `"sell"`, 1), sell)
	// One message may hold several trades, also of several pairs.
	second := strings.NewReplacer(`BTC/USD`, `ETH/USD`, `109116693`, `5`).Replace(between(tradeUpdate, "[", "]"))
	other := buy
	other.Instrument, other.ID.Lo = 8, 5
	f(strings.Replace(tradeUpdate, "}]}", "},"+second+"]}", 1), buy, other)
	// Keys in any order, white space, exponents, numbers in quotes, an escaped slash.
	f(` { "data" : [ {"trade_id":109116693,"qty":"0.0004478","price":8.37443E+4,"side":"buy","timestamp":"2026-09-25T19:48:26.844359+02:00", "symbol" : "BTC\/USD" } ] ,
	"type":"update" , "channel" : "trade" } `, buy)
}

// The last trades, which come on subscribing, happened before: they are
// backfill, oldest first, however the venue orders them.
func TestTradeSnapshotIsBackfillOldestFirst(t *testing.T) {
	t.Parallel()
	element := between(tradeUpdate, "[", "]")
	var list []string
	for _, id := range []string{"12", "10", "11"} {
		list = append(list, strings.Replace(element, "109116693", id, 1))
	}
	frame := strings.NewReplacer(`"update"`, `"snapshot"`, element, strings.Join(list, ",")).Replace(tradeUpdate)
	got := newBench(t, 1, 8).decode(frame)
	for i, want := range []uint64{10, 11, 12} {
		if tr := got[i].Trade(); tr.ID.Lo != want || tr.Flags&tick.FlagBackfill == 0 {
			t.Errorf("trade %d: id %d, flags %b", i, tr.ID.Lo, tr.Flags)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d trades", len(got))
	}
	newBench(t, 1, 8).noticed(`{"channel":"trade","type":"snapshot","data":[]}`, feeds.Notice{Kind: feeds.NoticeIgnored})
}

func TestQuote(t *testing.T) {
	t.Parallel()
	f := func(frame string, nanos int64, levels ...tick.Level) {
		t.Helper()
		got := newBench(t, 1, 8).decode(frame)
		want := tick.Depth{Header: header(tick.KindQuote, 0, nanos), Bids: 1, LevelCount: 2}
		if *got[0].Depth() != want || !slices.Equal(tick.Levels(got), levels) {
			t.Errorf("%s\ngot  %+v %v\nwant %+v %v", frame, *got[0].Depth(), tick.Levels(got), want, levels)
		}
	}
	bid, ask := tick.Level{Price: 837442, Size: 56251979}, tick.Level{Price: 837443, Size: 44780}
	f(tickerBBO, nanosAt("2026-09-25T17:48:26.844359Z"), bid, ask)
	f(strings.Replace(tickerBBO, "update", "snapshot", 1), nanosAt("2026-09-25T17:48:26.844359Z"), bid, ask)
	// The time is new: without it the time of receipt will do.
	f(strings.Replace(tickerBBO, `,"timestamp":"2026-09-25T17:48:26.844359Z"`, "", 1), 0, bid, ask)
	f(strings.NewReplacer(`"bid":83744.2`, `"bid":0.0`, `"bid_qty":0.56251979`, `"bid_qty":0`).Replace(tickerBBO), nanosAt("2026-09-25T17:48:26.844359Z"), tick.Level{}, ask)
}

func TestBook(t *testing.T) {
	t.Parallel()
	f := func(frame string, want tick.Depth, levels ...tick.Level) {
		t.Helper()
		got := newBench(t, 1, 8).decode(frame)
		if *got[0].Depth() != want || !slices.Equal(tick.Levels(got), levels) || len(got) != tick.DepthUnits(len(levels)) {
			t.Errorf("%s\ngot  %+v %v\nwant %+v %v", frame, *got[0].Depth(), tick.Levels(got), want, levels)
		}
	}
	whole := tick.Depth{Header: header(tick.KindSnapshot, 0, nanosAt("2026-08-24T22:21:57.110183Z")), Checksum: 1406471562, Bids: 1, LevelCount: 3}
	wholeLevels := []tick.Level{{Price: 788715, Size: 1266503}, {Price: 788716, Size: 421103066}, {Price: 788722, Size: 41892437}}
	f(bookWhole, whole, wholeLevels...)
	change := tick.Depth{Header: header(tick.KindDepth, 0, nanosAt("2026-08-24T22:21:58.343688Z")), Checksum: 2416540570, Bids: 2, LevelCount: 3}
	levels := []tick.Level{{Price: 788588}, {Price: 788570, Size: 34775324}, {Price: 788716, Size: 420000000}}
	f(bookUpdate, change, levels...)
	// A snapshot may have no time; an update must.
	whole.ExchangeNanos = 0
	f(strings.Replace(bookWhole, `,"timestamp":"2026-08-24T22:21:57.110183Z"`, "", 1), whole, wholeLevels...)
	// Levels may come before the symbol, asks before bids, and channel and type
	// behind the data.
	f(`{"data":[{"asks":[{"qty":4.2,"price":78871.60}],"checksum":2416540570,"bids":[ {"price":7.88588e4,"qty":0E-8} ,{"price" : "78857" ,"qty":34775324e-8 }],"timestamp":"2026-08-24T22:21:58.343688Z","symbol":"BTC/USD"}],"type":"update","channel":"book"}`, change, levels...)
	f(`{"channel":"book","type":"update","data":[{"asks":[{"price":78871.6,"qty":4.2}],"symbol":"BTC/USD","bids":[{"price":78858.8,"qty":0.0},{"price":78857,"qty":0.34775324}],"timestamp":"2026-08-24T22:21:58.343688Z","checksum":2416540570}]}`, change, levels...)
	f(`{"channel":"book","type":"update","data":[{"bids":[{"price":78858.8,"qty":0.0},{"price":78857,"qty":0.34775324}],"symbol":"BTC/USD","asks":[{"price":78871.6,"qty":4.2}],"timestamp":"2026-08-24T22:21:58.343688Z","checksum":2416540570}]}`, change, levels...)
	f(strings.Replace(bookUpdate, "BTC/USD", `\u0042TC\/USD`, 1), change, levels...)
	// Several changes of one price keep their order.
	change.Bids, change.LevelCount = 2, 2
	f(`{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":5.0,"qty":1.00000000},{"price":5.0,"qty":0.00000000}],"asks":[],"checksum":2416540570,"timestamp":"2026-08-24T22:21:58.343688Z"}]}`, change,
		tick.Level{Price: 50, Size: 100000000}, tick.Level{Price: 50})
	// Books of two pairs in one message.
	got := newBench(t, 1, 8).decode(strings.Replace(bookWhole, "}]}", "},"+strings.Replace(between(bookWhole, `"data":[`, "]}"), "BTC", "ETH", 1)+"]}", 1))
	if n := tick.PacketUnits(&got[0]); len(got) != 2*n || got[n].Header().Instrument != 8 || !slices.Equal(tick.Levels(got[n:]), wholeLevels) {
		t.Errorf("%d units", len(got))
	}
}

// between returns what stands between the first of two texts and the last of
// the other.
func between(text, open, end string) string {
	_, text, _ = strings.Cut(text, open)
	return text[:strings.LastIndex(text, end)]
}

func TestFinerNumbersRescale(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0, 3)
	got := b.decode(bookUpdate)
	if r := got[0].Rescale(); r.Kind != tick.KindRescale || r.Instrument != 7 || r.PriceDigits != 1 || r.SizeDigits != 8 {
		t.Fatalf("rescale %+v", r)
	}
	if want := []tick.Level{{Price: 788588}, {Price: 788570, Size: 34775324}, {Price: 788716, Size: 420000000}}; !slices.Equal(tick.Levels(got[1:]), want) {
		t.Errorf("levels %v, want %v", tick.Levels(got[1:]), want)
	}
	if b.entry.PriceDigits != 1 || b.entry.SizeDigits != 8 {
		t.Errorf("entry %+v", b.entry)
	}
	if got := b.decode(tickerBBO); got[0].KindOf() != tick.KindQuote {
		t.Errorf("kind %d after the rescale", got[0].KindOf())
	}
	got = b.decode(strings.Replace(tradeUpdate, "0.00044780", "4.478e-12", 1))
	if r := got[0].Rescale(); r.SizeDigits != 15 || got[1].Trade().Size != 4478 {
		t.Errorf("rescale %+v, size %d", r, got[1].Trade().Size)
	}
	b.refused(strings.Replace(tradeUpdate, "0.00044780", "1e-19", 1), feeds.ErrNumberRange)
	b.refused(strings.NewReplacer("83744.3", "83744.31", "0.00044780", "12345").Replace(tradeUpdate), feeds.ErrNumberRange)
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 8)
	malformed := func(frame string) { t.Helper(); b.refused(frame, feeds.ErrMalformed) }
	late := func(frame string) string { // channel behind the data
		return `{` + strings.Replace(strings.TrimPrefix(frame, "{")[:len(frame)-2], between(frame, "{", `,"type"`)+",", "", 1) + "," + between(frame, "{", `,"type"`) + "}"
	}
	for _, frame := range []string{tradeUpdate, tickerBBO, bookUpdate, bookWhole, ack, refusal, `{"channel":"heartbeat"}`, late(bookUpdate), late(tradeUpdate)} {
		if _, _, err := b.decoder.Decode(nil, []byte(frame), stamp); err != nil {
			t.Fatalf("%s: %v", frame, err)
		}
		for i := range frame {
			malformed(frame[:i])
		}
		malformed(frame + "}")
		malformed(frame + frame)
	}
	for _, frame := range []string{" ", "[", "NaN", "\x00", "\xff\xfe"} {
		malformed(frame)
	}
	malformed(strings.Replace(tradeUpdate, `"side"`, `"x":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`,"side"`, 1))
	malformed(strings.Repeat(`{"data":`, 1_000_000))
	malformed(`{"channel":"book","type":"update","data":` + strings.Repeat(`[`, 1_000_000))

	// Duplicate keys: which value would count?
	for _, key := range []string{`"channel":`, `"type":`, `"data":`, `"symbol":`, `"price":`, `"qty":`, `"trade_id":`, `"side":`, `"timestamp":`} {
		malformed(strings.Replace(tradeUpdate, key, key+`"1",`+key, 1))
	}
	for _, key := range []string{`"bids":`, `"asks":`} {
		malformed(strings.Replace(bookUpdate, key, key+`[],`+key, 1))
		malformed(strings.Replace(late(bookUpdate), key, key+`[],`+key, 1))
	}
	malformed(strings.Replace(bookUpdate, `{"price":`, `{"price":1,"price":`, 1))
	malformed(strings.Replace(bookUpdate, `"qty":0.34775324`, `"qty":0.34775324,"qty":1`, 1))

	// A key missing, or of another type.
	for frame, keys := range map[string][]string{
		tradeUpdate: {"symbol", "side", "price", "qty", "trade_id", "timestamp"},
		tickerBBO:   {"symbol", "bid", "bid_qty", "ask", "ask_qty"},
		bookUpdate:  {"symbol", "bids", "asks", "checksum", "timestamp"},
		bookWhole:   {"symbol", "bids", "asks", "checksum"},
	} {
		for _, key := range append(keys, "data") {
			for _, f := range []string{frame, late(frame)} {
				malformed(strings.Replace(f, `"`+key+`":`, `"_`+key+`":`, 1))
				for _, wrong := range []string{"null", "true", "{}", `""`} {
					malformed(strings.Replace(f, `"`+key+`":`, `"`+key+`":`+wrong+`,"_`+key+`":`, 1))
				}
			}
		}
		malformed(strings.Replace(frame, `"type":`, `"_type":`, 1))
		malformed(strings.Replace(frame, `"type":`, `"type":5,"_type":`, 1))
	}
	for _, sum := range []string{"-1", "1.5", "4294967296", `"1"`} {
		malformed(strings.Replace(bookUpdate, "2416540570", sum, 1))
	}
	for _, id := range []string{"-1", "1.5", `"5"`} {
		malformed(strings.Replace(tradeUpdate, "109116693", id, 1))
	}
	malformed(strings.Replace(tradeUpdate, `"buy"`, `"BUY"`, 1))
	for _, at := range []string{"", "2026-09-25", "2026-09-25T17:48:26", "2026-13-25T17:48:26Z", "2026-02-29T17:48:26Z", "2026-09-25 17:48:26Z", "2026-09-25T24:48:26Z", "2026-09-25T17:48:26.Z", "2026-09-25T17:48:26+0200", "1790358506"} {
		malformed(strings.Replace(tradeUpdate, "2026-09-25T17:48:26.844359Z", at, 1))
	}

	// Numbers.
	for _, n := range []string{`""`, `"NaN"`, `"-1"`, `" 1"`, `"1."`, `".5"`, `"1,5"`, `null`, `true`, `[]`, `{}`, `-1`, `01`, `1.`, `.5`, `+1`, `1e`, `1.5.2`, `0x10`} {
		malformed(strings.Replace(tradeUpdate, `83744.3`, n, 1))
		malformed(strings.Replace(tradeUpdate, `0.00044780`, n, 1))
		malformed(strings.Replace(tickerBBO, `83744.2`, n, 1))
		malformed(strings.Replace(bookUpdate, `78857.0`, n, 1))
		malformed(strings.Replace(bookUpdate, `0.34775324`, n, 1))
	}
	for _, n := range []string{`0`, `0.0`, `-0`, `0e5`} { // of a price, or a trade's size
		malformed(strings.Replace(tradeUpdate, `83744.3`, n, 1))
		malformed(strings.Replace(tradeUpdate, `0.00044780`, n, 1))
		malformed(strings.Replace(tickerBBO, `83744.2`, n, 1))
		malformed(strings.Replace(bookUpdate, `78857.0`, n, 1))
	}
	for _, levels := range []string{`[{}]`, `[{"price":1.0}]`, `[{"qty":1.0}]`, `{"price":1.0,"qty":1.0}`, `[{"price":1.0,"qty":1.0}`, `[{"price":1.0,"qty":1.0},]`, `[{"price":1.0 "qty":1.0}]`, `[[1.0,1.0]]`, `[null]`, `[1]`} {
		malformed(strings.Replace(bookUpdate, `[{"price":78871.6,"qty":4.2}]`, levels, 1))
	}
	sixty := strings.Repeat("7", 60)
	for _, n := range []string{sixty, "0." + sixty, "1e30", "1e-30", "1e999999999", strings.Repeat("9", 1_000_000), "922337203685477580.8"} {
		b.refused(strings.Replace(tradeUpdate, `83744.3`, n, 1), feeds.ErrNumberRange)
		b.refused(strings.Replace(tickerBBO, `0.56251979`, n, 1), feeds.ErrNumberRange)
		b.refused(strings.Replace(bookUpdate, `0.34775324`, n, 1), feeds.ErrNumberRange)
		b.refused(strings.Replace(late(bookUpdate), `0.34775324`, n, 1), feeds.ErrNumberRange)
	}
	// A later element spoils the message as a whole.
	malformed(strings.Replace(tradeUpdate, "}]}", "},{}]}", 1))
	malformed(strings.Replace(tradeUpdate, "}]}", "},5]}", 1))
	b.refused(strings.Replace(tradeUpdate, "}]}", "},"+strings.Replace(between(tradeUpdate, "[", "]"), "BTC", "NOPE", 1)+"]}", 1), feeds.ErrUnknownSymbol)

	for _, symbol := range []string{"XBT/USD", "btc/usd", "BTCUSD", strings.Repeat("A", 64)} {
		for _, frame := range []string{tradeUpdate, tickerBBO, bookUpdate, bookWhole, late(bookUpdate)} {
			b.refused(strings.Replace(frame, "BTC/USD", symbol, 1), feeds.ErrUnknownSymbol)
		}
	}
	for _, symbol := range []string{"", "\xff\xfe", strings.Repeat("A", 65), strings.Repeat("A", 10_000), `\ud800` + strings.Repeat("A", 62)} {
		malformed(strings.Replace(tradeUpdate, "BTC/USD", symbol, 1))
	}
	for _, frame := range []string{`{}`, `[]`, `1`, `null`, `"text"`, `{"channel":"new"}`, `{"channel":5}`, `{"channel":"` + strings.Repeat("new", 1000) + `"}`, `{"method":"new","success":true}`, `{"method":7}`,
		strings.Replace(bookUpdate, "update", "delta", 1), strings.Replace(late(bookUpdate), "update", "delta", 1)} {
		b.refused(frame, feeds.ErrUnknownMessage)
	}
	malformed(`{"channel":"status","type":"update"}`)
	malformed(`{"channel":"status","type":"update","data":[]}`)
	malformed(`{"channel":"status","type":"update","data":[{"version":"2.0.10"}]}`)
	malformed(`{"channel":"status","type":"update","data":[{"system":5}]}`)
	malformed(`{"channel":"instrument","type":"update","data":[]}`)
	malformed(`{"channel":"instrument","type":"update"}`)
}

// A wrong message about a new symbol introduces nothing.
func TestDiscoverOnlyFromGoodFrames(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 8)
	var found []string
	b.table.Discover = func(symbol string) *feeds.Entry {
		found = append(found, symbol)
		return &feeds.Entry{Symbol: symbol, ID: 8, PriceDigits: 1, SizeDigits: 8}
	}
	frame := strings.Replace(bookUpdate, "BTC/USD", "SOL/USD", 1)
	for i := range frame {
		b.refused(frame[:i], feeds.ErrMalformed)
	}
	b.noticed(`{"channel":"ohlc","data":[{"symbol":"SOL/USD"}]}`, feeds.Notice{Kind: feeds.NoticeIgnored})
	b.noticed(strings.Replace(ack, "BTC/USD", "SOL/USD", 1), feeds.Notice{Kind: feeds.NoticeIgnored})
	if found != nil {
		t.Fatalf("discovered %v", found)
	}
	if id := b.decode(frame)[0].Header().Instrument; id != 8 || !slices.Equal(found, []string{"SOL/USD"}) {
		t.Errorf("instrument %d, discovered %v", id, found)
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	f := func(text string) {
		t.Helper()
		if got, ok := wire.ParseTime([]byte(text)); !ok || got != nanosAt(text) {
			t.Errorf("%s: %d, %v, want %d", text, got, ok, nanosAt(text))
		}
	}
	for _, text := range []string{"2026-08-24T22:21:57.110183Z", "2026-08-24T22:21:57Z", "1970-01-01T00:00:00Z", "2024-02-29T23:59:59.999999999Z", "2000-02-29T00:00:00.5Z", "2100-03-01T00:00:00Z",
		"2026-12-31T23:30:00.000001-05:30", "2027-01-01T00:00:00+14:00", "2261-12-31T23:59:59Z"} {
		f(text)
	}
	for day := range 5000 {
		f(time.Unix(int64(day)*86399*7+3, 0).UTC().Format(time.RFC3339Nano))
	}
	// Beyond what ns in int64 hold, and what is finer.
	for text, want := range map[string]int64{"1969-12-31T23:59:59Z": 0, "9999-12-31T23:59:59Z": 0, "1970-01-01T00:00:01.1234567899Z": 1123456789} {
		if got, ok := wire.ParseTime([]byte(text)); !ok || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, ok, want)
		}
	}
}

// A key that no document has is told once, and changes nothing.
func TestUnknownKeysAreToldOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	b := newBench(t, 1, 8)
	b.table.Canary = feeds.NewCanary(slog.New(slog.NewTextHandler(&log, nil)))
	told := func(want ...string) {
		t.Helper()
		var got []string
		for line := range strings.Lines(log.String()) {
			got = append(got, strings.Trim(between(line, "name=", "\n"), `"`))
		}
		if !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		log.Reset()
	}
	for _, frame := range []string{tradeUpdate, tickerBBO, bookUpdate, bookWhole} {
		b.decode(frame)
	}
	for _, frame := range []string{ack, refusal, `{"channel":"heartbeat"}`} {
		if _, _, err := b.decoder.Decode(nil, []byte(frame), stamp); err != nil {
			t.Error(err)
		}
	}
	told()
	for range 3 {
		b.decode(strings.Replace(tradeUpdate, `"side"`, `"liquidation":{"symbol":"x"},"side"`, 1))
		b.decode(strings.Replace(bookUpdate, `"qty"`, `"orders":3,"qty"`, 1))
		b.decode(strings.Replace(bookUpdate, `"type"`, `"seq":3,"type"`, 1))
		b.refused(`{"channel":"bbo"}`, feeds.ErrUnknownMessage)
	}
	told("trade.liquidation", "level.orders", "message.seq", "channel bbo")
	b.noticed(strings.Replace(ack, `"symbol"`, `"warnings":["tick_size is deprecated"],"symbol"`, 1), feeds.Notice{Kind: feeds.NoticeAck, Request: 2, Channel: tick.ChannelDepth, Instrument: 7})
	told("warning: tick_size is deprecated")
}

func FuzzDecode(f *testing.F) {
	for _, frame := range []string{tradeUpdate, tickerBBO, bookUpdate, bookWhole, ack, refusal, `{"channel":"heartbeat"}`, `{"method":"pong"}`,
		strings.Replace(tradeUpdate, "0.00044780", "1e-12", 1), `{"data":[{"symbol":"BTC/USD"}],"type":"update","channel":"book"}`,
		`{"channel":"status","type":"update","data":[{"system":"maintenance","upcoming_maintenance":[{"title":"x"}],"emergency":[]}]}`,
		`{"channel":"instrument","type":"update","data":{"assets":[],"pairs":[{"symbol":"BTC/USD","status":"post_only"}]}}`} {
		f.Add([]byte(frame), uint8(1), uint8(8))
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
		if notice.Kind != feeds.NoticeNone && len(out) != 2 {
			t.Fatalf("%q: notice %+v beside %d units", frame, notice, len(out)-2)
		}
		first := out[2:]
		for len(first) > 0 && first[0].KindOf() == tick.KindRescale {
			first = first[1:]
		}
		again, _, err := b.decoder.Decode(nil, frame, stamp)
		if err != nil || len(again) != len(first) || len(again) > 0 && !reflect.DeepEqual(again, first) {
			t.Fatalf("%q: again: %v\n%x\n%x", frame, err, again, first)
		}
	})
}

func TestDecodeZeroAllocs(t *testing.T) {
	b := newBench(t, 1, 8)
	frames := [][]byte{[]byte(tradeUpdate), []byte(tickerBBO), []byte(bookUpdate), []byte(bookWhole), []byte(strings.Replace(tradeUpdate, "update", "snapshot", 1)), []byte(`{"channel":"heartbeat"}`)}
	units := make([]tick.Unit, 0, 64)
	next := 0
	if n := testing.AllocsPerRun(100, func() {
		var err error
		if units, _, err = b.decoder.Decode(units[:0], frames[next%len(frames)], stamp); err != nil {
			t.Fatal(err)
		}
		next++
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}
