package binance

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

const (
	spotTrade  = `{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}`
	usdmTrade  = `{"e":"trade","E":1723161256322,"T":1723161256321,"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":false}`
	spotQuote  = `{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}`
	usdmQuote  = `{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256399}`
	spotDepth  = `{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":50093239203,"u":50093239207,"b":[["61837.63000000","1.50000000"],["55653.87000000","0.00000000"]],"a":[["61838.04000000","0.32332000"]]}}`
	usdmDepth  = `{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT","U":5123107832006,"u":5123107837557,"pu":5123107831937,"b":[["58710.20","0.014"]],"a":[]}`
	spotBody   = `{"lastUpdateId":50093239218,"bids":[["61837.63000000","3.78826000"]],"asks":[["61837.64000000","1.60520000"],["61838.00000000","2.00000000"]]}`
	usdmBody   = `{"lastUpdateId":5123107852948,"E":1723161256501,"T":1723161256493,"bids":[["61800.20","2.909"]],"asks":[["61800.30","0.5"]]}`
	spotBodyAt = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=5000"
	usdmBodyAt = "http://127.0.0.1:7001/some/prefix/fapi/v1/depth?limit=1000&symbol=BTCUSDT"
)

var stamp = feeds.Stamp{Line: 4, Ordinal: 9, ReceiveNanos: 1_723_161_255_000_000_000}

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
		ExchangeNanos: exchangeNanos, ReceiveNanos: 1_723_161_255_000_000_000}
}

func TestTrade(t *testing.T) {
	f := func(venue, frame string, want tick.Trade) {
		t.Helper()
		if got := *newBench(t, venue, 2, 5).decode(frame)[0].Trade(); got != want {
			t.Errorf("%s\ngot  %+v\nwant %+v", frame, got, want)
		}
	}
	f("binance-spot", spotTrade, tick.Trade{Header: header(tick.KindTrade, tick.FlagSell, 1723161255342e6), ID: tick.ID{Lo: 3735683259}, Price: 6183763, Size: 2000})
	f("binance-usdm", usdmTrade, tick.Trade{Header: header(tick.KindTrade, 0, 1723161256321e6), ID: tick.ID{Lo: 5266583935}, Price: 6180030, Size: 600})
	// What is no market trade still takes an id, and may have no price.
	f("binance-usdm", strings.NewReplacer("MARKET", "NA", "61800.30", "0", "0.006", "0").Replace(usdmTrade),
		tick.Trade{Header: header(tick.KindTrade, tick.FlagNotMarket, 1723161256321e6), ID: tick.ID{Lo: 5266583935}})
}

func TestQuote(t *testing.T) {
	f := func(venue, frame string, nanos int64, id uint64, levels ...tick.Level) {
		t.Helper()
		got := newBench(t, venue, 2, 5).decode(frame)
		want := tick.Depth{Header: header(tick.KindQuote, 0, nanos), FirstID: id, LastID: id, Bids: 1, LevelCount: 2}
		if *got[0].Depth() != want || !slices.Equal(tick.Levels(got), levels) {
			t.Errorf("%s\ngot  %+v %v\nwant %+v %v", frame, *got[0].Depth(), tick.Levels(got), want, levels)
		}
	}
	f("binance-spot", spotQuote, 0, 50093239212, tick.Level{Price: 6183763, Size: 378826}, tick.Level{Price: 6183764, Size: 154698})
	f("binance-usdm", usdmQuote, 1723161256313e6, 5123107839020, tick.Level{Price: 6180020, Size: 250700}, tick.Level{Price: 6180030, Size: 251000})
	// An empty side.
	f("binance-spot", `{"u":5,"s":"BTCUSDT","b":"0.00000000","B":"0.00000000","a":"61837.64000000","A":"1.5"}`, 0, 5,
		tick.Level{}, tick.Level{Price: 6183764, Size: 150000})
}

func TestDepth(t *testing.T) {
	f := func(venue, frame string, want tick.Depth, levels ...tick.Level) {
		t.Helper()
		got := newBench(t, venue, 2, 5).decode(frame)
		if *got[0].Depth() != want || !slices.Equal(tick.Levels(got), levels) || len(got) != tick.DepthUnits(len(levels)) {
			t.Errorf("%s\ngot  %+v %v\nwant %+v %v", frame, *got[0].Depth(), tick.Levels(got), want, levels)
		}
	}
	spot := tick.Depth{Header: header(tick.KindDepth, 0, 1723161255308e6), FirstID: 50093239203, LastID: 50093239207, Bids: 2, LevelCount: 3}
	levels := []tick.Level{{Price: 6183763, Size: 150000}, {Price: 5565387}, {Price: 6183804, Size: 32332}}
	f("binance-spot", spotDepth, spot, levels...)
	f("binance-usdm", usdmDepth,
		tick.Depth{Header: header(tick.KindDepth, 0, 1723161256298e6), FirstID: 5123107832006, LastID: 5123107837557, PrevID: 5123107831937, Bids: 1, LevelCount: 1},
		tick.Level{Price: 5871020, Size: 1400})
	// Changes without levels still move the ids.
	f("binance-usdm", strings.Replace(usdmDepth, `["58710.20","0.014"]`, "", 1),
		tick.Depth{Header: header(tick.KindDepth, 0, 1723161256298e6), FirstID: 5123107832006, LastID: 5123107837557, PrevID: 5123107831937})
	// Keys in any order, white space, keys and elements nobody knows, bare numbers.
	f("binance-spot", `
	{ "data" : { "new" : {"a":[{"b":[1,-2.5e3,null,"\"\u00e9"]}]} , "a":[ [ 61838.04 , "0.32332" , [] ] ], "b":[ ["61837.630", 15e-1],["55653.87","-0"]],
	  "u":50093239207,"U":50093239203,"s":"BTCUSDT","E":1723161255308,"e":"depthUpdate" }, "stream" : "btcusdt@depth" } `, spot, levels...)
	// A symbol with escapes is the same symbol.
	f("binance-spot", strings.Replace(spotDepth, `"BTCUSDT"`, `"\u0042TC\u0055SDT"`, 1), spot, levels...)
}

func TestNotices(t *testing.T) {
	b := newBench(t, "binance-usdm", 2, 5)
	f := b.noticed
	f(`{"result":null,"id":1}`, feeds.Notice{Kind: feeds.NoticeAck, Request: 0})
	f(` { "id" : 12 , "result" : null } `, feeds.Notice{Kind: feeds.NoticeAck, Request: 11})
	f(`{"result":null,"id":"x"}`, feeds.Notice{Kind: feeds.NoticeAck, Request: -1})
	f(`{"result":["a@trade"],"id":3}`, feeds.Notice{Kind: feeds.NoticeIgnored})
	f(`{"error":{"code":2,"msg":"Invalid request: \"x\""},"id":3}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: 2, Code: 2, Text: `Invalid request: "x"`})
	f(`{"code":-1121,"msg":"Invalid symbol.","id":1}`, feeds.Notice{Kind: feeds.NoticeRefused, Code: -1121, Text: "Invalid symbol."})
	f(`{"error":"nope","id":null}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Text: "nope"})
	f(`{"code":1,"msg":"`+strings.Repeat("é", 1000)+`"}`, feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Code: 1, Text: strings.Repeat("é", 128)})
	f(`{"e":"serverShutdown","E":1770123456789}`, feeds.Notice{Kind: feeds.NoticeReconnect})
	f(`{"event":{"e":"serverShutdown","E":1770123456789}}`, feeds.Notice{Kind: feeds.NoticeReconnect})
	ignored := feeds.Notice{Kind: feeds.NoticeIgnored}
	f(`{"stream":"x@aggTrade","data":{"e":"aggTrade","E":1,"s":"XUSDT","a":425085,"p":"13.80480000","q":"2.1","f":439577,"l":439577,"T":2,"m":false,"M":true}}`, ignored)
	f(`{"e":"kline","E":1,"s":"XUSDT","k":{"t":1,"T":2,"s":"XUSDT"}}`, ignored)
	f(`{"e":"24hrTicker","E":1,"s":"X","p":"-0.0015","P":"250.00","b":"0.0024","B":"10","a":"0.0026","A":"100"}`, ignored)
	f(`{"stream":"!ticker@arr","data":[{"e":"24hrTicker"}]}`, ignored)
	f(`{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[]}`, ignored)
	// These carry the event of the full book, but are none of it.
	for _, other := range []string{"depth20@100ms", "depth5", "rpiDepth@500ms"} {
		f(strings.Replace(spotDepth, "depth@100ms", other, 1), ignored)
	}

	// Requests are numbered from 1 on the wire.
	for id, want := range map[int]int{1: 0, 2: 1, 0: -1} {
		_, n, err := b.decoder.Decode(nil, fmt.Appendf(nil, `{"result":null,"id":%d}`, id), stamp)
		if err != nil || n.Request != want {
			t.Errorf("id %d: request %d, %v, want %d", id, n.Request, err, want)
		}
	}
}

// A number finer than the scale declares a finer one, in a packet ahead of
// the data; the next frame finds it in force.
func TestFinerNumbersRescale(t *testing.T) {
	b := newBench(t, "binance-spot", 0, 3)
	got := b.decode(spotDepth)
	if r := got[0].Rescale(); r.Kind != tick.KindRescale || r.Instrument != 7 || r.PriceDigits != 2 || r.SizeDigits != 5 || r.Ordinal != 9 || r.Line != 4 {
		t.Fatalf("rescale %+v", r)
	}
	if want := []tick.Level{{Price: 6183763, Size: 150000}, {Price: 5565387}, {Price: 6183804, Size: 32332}}; !slices.Equal(tick.Levels(got[1:]), want) {
		t.Errorf("levels %v, want %v", tick.Levels(got[1:]), want)
	}
	if b.entry.PriceDigits != 2 || b.entry.SizeDigits != 5 {
		t.Errorf("entry %+v", b.entry)
	}
	if got := b.decode(spotQuote); got[0].KindOf() != tick.KindQuote {
		t.Errorf("kind %d after the rescale", got[0].KindOf())
	}
	// As fine as any, and no finer.
	got = b.decode(strings.Replace(spotTrade, "0.02000000", "0.000000000000000001", 1))
	if r := got[0].Rescale(); r.SizeDigits != 18 || r.PriceDigits != 2 || got[1].Trade().Size != 1 {
		t.Errorf("rescale %+v, size %d", r, got[1].Trade().Size)
	}
	b.refused(strings.Replace(spotTrade, "0.02000000", "0.0000000000000000001", 1), feeds.ErrNumberRange)
	// At 18 digits 12 does not fit any more.
	b.refused(strings.Replace(spotTrade, "0.02000000", "12", 1), feeds.ErrNumberRange)
	// A finer price that fits must not be kept when a size beside it does not.
	b.refused(strings.NewReplacer("61837.63000000", "61837.631", "0.02000000", "12").Replace(spotTrade), feeds.ErrNumberRange)
}

func TestBadInput(t *testing.T) {
	b := newBench(t, "binance-usdm", 2, 5)
	malformed := func(frame string) { t.Helper(); b.refused(frame, feeds.ErrMalformed) }

	for _, frame := range []string{spotTrade, usdmTrade, spotQuote, usdmQuote, usdmDepth, `{"result":null,"id":1}`} {
		for i := range frame {
			malformed(frame[:i])
		}
		malformed(frame + "}")
		malformed(frame + frame)
	}
	for _, frame := range []string{" ", "[", "NaN", "\x00", "\xff\xfe", `{"e":"trade"}`, `{"e":"depthUpdate","s":"BTCUSDT"}`, `{"e":"bookTicker","s":"BTCUSDT"}`} {
		malformed(frame)
	}

	// A nest deeper than any venue's.
	malformed(strings.Replace(usdmTrade, `"X"`, `"x":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+`,"X"`, 1))
	malformed(strings.Repeat(`{"data":`, 1_000_000))
	malformed(strings.Repeat(`[`, 1_000_000))

	// Duplicate keys: which value would count?
	malformed(strings.Replace(usdmTrade, `"p":`, `"p":"1","p":`, 1))
	malformed(strings.Replace(usdmDepth, `"b":`, `"b":[],"b":`, 1))
	malformed(strings.Replace(usdmDepth, `"a":[]`, `"a":[],"a":[]`, 1))
	malformed(`{"e":"trade",` + `"data":` + usdmTrade + `}`)

	// A key missing, or of another type.
	for _, key := range []string{"s", "t", "p", "q", "m"} {
		malformed(strings.Replace(usdmTrade, `"`+key+`":`, `"`+key+key+`":`, 1))
		malformed(strings.Replace(usdmTrade, `"`+key+`":`, `"`+key+`":[],"`+key+key+`":`, 1))
		malformed(strings.Replace(usdmTrade, `"`+key+`":`, `"`+key+`":null,"`+key+key+`":`, 1))
	}
	for _, key := range []string{"s", "U", "u", "pu", "b", "a"} {
		malformed(strings.Replace(usdmDepth, `"`+key+`":`, `"-`+key+`":`, 1))
		malformed(strings.Replace(usdmDepth, `"`+key+`":`, `"`+key+`":"","-`+key+`":`, 1))
	}
	malformed(strings.NewReplacer(`"E"`, `"EE"`, `"T"`, `"TT"`).Replace(usdmTrade)) // no time at all
	malformed(strings.Replace(usdmDepth, "5123107832006", "5123107837558", 1))      // U > u

	// Numbers.
	for _, n := range []string{`""`, `"NaN"`, `"Infinity"`, `"-1"`, `"0x10"`, `" 1"`, `"1 "`, `"+1"`, `"1."`, `".5"`, `"1e"`, `"1,5"`, `"\u0031"`, `"−1"`, `null`, `true`, `[]`, `{}`, `-1`, `01`} {
		malformed(strings.Replace(usdmTrade, `"61800.30"`, n, 1))
		malformed(strings.Replace(usdmTrade, `"0.006"`, n, 1))
		malformed(strings.Replace(usdmQuote, `"61800.20"`, n, 1))
		malformed(strings.Replace(usdmQuote, `"2.510"`, n, 1))
		malformed(strings.Replace(usdmDepth, `"58710.20"`, n, 1))
		malformed(strings.Replace(usdmDepth, `"0.014"`, n, 1))
	}
	for _, n := range []string{`"0"`, `"-0"`, `0`, `"0.000"`} { // of a price, or a trade's size
		malformed(strings.Replace(usdmTrade, `"61800.30"`, n, 1))
		malformed(strings.Replace(usdmTrade, `"0.006"`, n, 1))
		malformed(strings.Replace(usdmQuote, `"61800.20"`, n, 1))
		malformed(strings.Replace(usdmDepth, `"58710.20"`, n, 1))
	}
	for _, levels := range []string{`[[]]`, `[["1"]]`, `["1","2"]`, `[["1","2"]`, `[["1","2"],]`, `[["1","2",]]`, `[["1" "2"]]`, `{"1":"2"}`, `[null]`, `["1"]`} {
		malformed(strings.Replace(usdmDepth, `[["58710.20","0.014"]]`, levels, 1))
	}
	sixty := strings.Repeat("7", 60)
	for _, n := range []string{`"` + sixty + `"`, sixty, `"0.` + sixty + `"`, `"1e30"`, `"1e-30"`, `"1e999999999"`, `"` + strings.Repeat("9", 1_000_000) + `"`, `"92233720368547758.08"`} {
		b.refused(strings.Replace(usdmTrade, `"61800.30"`, n, 1), feeds.ErrNumberRange)
		b.refused(strings.Replace(usdmQuote, `"2.510"`, n, 1), feeds.ErrNumberRange)
		b.refused(strings.Replace(usdmDepth, `"0.014"`, n, 1), feeds.ErrNumberRange)
	}
	// A later level spoils the message as a whole.
	b.refused(strings.Replace(usdmDepth, `"a":[]`, `"a":[["1","1"],["1","`+sixty+`"]]`, 1), feeds.ErrNumberRange)
	malformed(strings.Replace(usdmDepth, `"a":[]`, `"a":[["1","1"],["1","-1"]]`, 1))
	malformed(strings.Replace(usdmDepth, `"a":[]`, `"a":[["1","1"],["1.00001","-1.00001"]]`, 1)) // finer and negative

	// 1e3 is a number.
	if p := b.decode(strings.Replace(usdmTrade, `"61800.30"`, `1e3`, 1))[0].Trade().Price; p != 100000 {
		t.Errorf("1e3 is %d", p)
	}

	for _, symbol := range []string{"ETHUSDT", "btcusdt", strings.Repeat("A", 64)} {
		b.refused(strings.Replace(usdmTrade, "BTCUSDT", symbol, 1), feeds.ErrUnknownSymbol)
		b.refused(strings.Replace(usdmDepth, "BTCUSDT", symbol, 1), feeds.ErrUnknownSymbol)
		b.refused(strings.Replace(spotQuote, "BTCUSDT", symbol, 1), feeds.ErrUnknownSymbol)
	}
	for _, symbol := range []string{"", "\xff\xfe", strings.Repeat("A", 65), strings.Repeat("A", 10_000), `\ud800` + strings.Repeat("A", 62)} {
		malformed(strings.Replace(usdmTrade, "BTCUSDT", symbol, 1))
	}
	for _, frame := range []string{`{}`, `[]`, `1`, `null`, `"text"`, `{"e":"` + strings.Repeat("new", 1000) + `"}`, `{"e":"Trade"}`, `{"stream":"a@b","data":{}}`, `{"stream":"a@b","data":[]}`, `{"id":1}`} {
		b.refused(frame, feeds.ErrUnknownMessage)
	}
}

// A wrong frame about a new symbol introduces nothing.
func TestDiscoverOnlyFromGoodFrames(t *testing.T) {
	b := newBench(t, "binance-usdm", 2, 5)
	var found []string
	b.table.Discover = func(symbol string) *feeds.Entry {
		found = append(found, symbol)
		return &feeds.Entry{Symbol: symbol, ID: 8, PriceDigits: 2, SizeDigits: 3}
	}
	frame := strings.Replace(usdmDepth, "BTCUSDT", "ETHUSDT", 1)
	for i := range frame {
		b.refused(frame[:i], feeds.ErrMalformed)
	}
	b.refused(strings.Replace(frame, `"U":`, `"UU":`, 1), feeds.ErrMalformed)
	b.noticed(`{"e":"kline","s":"ETHUSDT"}`, feeds.Notice{Kind: feeds.NoticeIgnored})
	if found != nil {
		t.Fatalf("discovered %v", found)
	}
	if id := b.decode(frame)[0].Header().Instrument; id != 8 || !slices.Equal(found, []string{"ETHUSDT"}) {
		t.Errorf("instrument %d, discovered %v", id, found)
	}
}

func TestTimes(t *testing.T) {
	f := func(time string, want int64) {
		t.Helper()
		b := newBench(t, "binance-usdm", 2, 5)
		if got := b.decode(strings.Replace(usdmTrade, "1723161256321", time, 1))[0].Header().ExchangeNanos; got != want {
			t.Errorf("%s: %d ns, want %d", time, got, want)
		}
	}
	f("1723161256321", 1723161256321e6)
	f("1723161256321456", 1723161256321456e3) // timeUnit=MICROSECOND
	f("1723161256", 1723161256e6)             // seconds: far off, for the shard to judge
	f("0", 0)
	f("999999999999999", 0) // beyond what ns in int64 can hold
	f("9223372036854", 9223372036854e6)
	f("9223372036855", 0)
	f("9223372036854775", 9223372036854775e3)
	f("9223372036854776", 0)
	f("1723161256321456789", 0) // nanoseconds are not Binance's

	b := newBench(t, "binance-usdm", 2, 5)
	for _, time := range []string{`"1723161256321"`, "-1", "1.5", "1e12", "null", strings.Repeat("1", 40)} {
		b.refused(strings.Replace(usdmTrade, "1723161256321", time, 1), feeds.ErrMalformed)
	}
	// Without a matching time, the send time.
	frame := strings.Replace(usdmTrade, `"T":1723161256321,`, "", 1)
	if got := b.decode(frame)[0].Header().ExchangeNanos; got != 1723161256322e6 {
		t.Errorf("send time: %d", got)
	}
}

// A message with more levels than a packet may hold becomes fragments, which
// together say the same.
func TestFragments(t *testing.T) {
	f := func(bids, asks int, deferred bool, wantPackets int) {
		t.Helper()
		side := func(n, from int) string {
			var levels [][2]string
			for i := range n {
				levels = append(levels, [2]string{fmt.Sprint(from + i), fmt.Sprint(i % 10)})
			}
			text, _ := json.Marshal(levels)
			if n == 0 {
				return "[]"
			}
			return string(text)
		}
		frame := fmt.Sprintf(`"b":%s,"a":%s`, side(bids, 1), side(asks, 1_000_001))
		head := `"e":"depthUpdate","E":5,"s":"BTCUSDT","U":10,"u":20,"pu":9`
		if deferred {
			frame = "{" + frame + "," + head + "}"
		} else {
			frame = "{" + head + "," + frame + "}"
		}
		units := newBench(t, "binance-usdm", 0, 0).decode(frame)
		packets, gotBids, gotAsks := 0, 0, 0
		for len(units) > 0 {
			d := units[0].Depth()
			if d.FirstID != 10 || d.LastID != 20 || d.PrevID != 9 || d.ExchangeNanos != 5e6 || d.Instrument != 7 {
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
	for _, deferred := range []bool{false, true} {
		f(0, 0, deferred, 1)
		f(1, 0, deferred, 1)
		f(0, 5, deferred, 1)
		f(7, 9, deferred, 1)
		f(tick.MaxLevels, 0, deferred, 1)
		f(tick.MaxLevels-1, 1, deferred, 1)
		f(tick.MaxLevels, 1, deferred, 2)
		f(tick.MaxLevels+1, 0, deferred, 2)
		f(5000, 5000, deferred, 3)
		f(100, 3*tick.MaxLevels, deferred, 4)
	}
}

// What a message before left in the buffer must not show: the log compares bytes.
func TestPaddingIsZero(t *testing.T) {
	b := newBench(t, "binance-usdm", 2, 5)
	clean := b.decode(usdmDepth)
	dirty := make([]tick.Unit, 40)
	for i := range dirty {
		for j := range dirty[i] {
			dirty[i][j] = math.MaxUint64
		}
	}
	got, _, err := b.decoder.Decode(dirty[:0], []byte(usdmDepth), stamp)
	if err != nil || !reflect.DeepEqual(got, clean) {
		t.Errorf("%v\n%x\n%x", err, got, clean)
	}
}

func TestDecodeZeroAllocs(t *testing.T) {
	for _, c := range []struct {
		venue  string
		frames []string
	}{
		{"binance-spot", []string{spotTrade, spotQuote, spotDepth, `{"e":"kline","k":{}}`}},
		{"binance-usdm", []string{usdmTrade, usdmQuote, usdmDepth}},
	} {
		b := newBench(t, c.venue, 2, 5)
		var units []tick.Unit
		next := 0
		frames := make([][]byte, len(c.frames))
		for i, f := range c.frames {
			frames[i] = []byte(f)
			units, _, _ = b.decoder.Decode(units[:0], frames[i], stamp)
		}
		units = slices.Grow(units, 64)
		if n := testing.AllocsPerRun(100, func() {
			var err error
			if units, _, err = b.decoder.Decode(units[:0], frames[next%len(frames)], stamp); err != nil {
				t.Fatal(err)
			}
			next++
		}); n != 0 {
			t.Errorf("%s: %v allocations a frame", c.venue, n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, frame := range []string{spotTrade, usdmTrade, spotQuote, usdmQuote, spotDepth, usdmDepth, `{"result":null,"id":1}`,
		`{"error":{"code":2,"msg":"x"},"id":3}`, `{"e":"serverShutdown"}`, strings.Replace(usdmTrade, "0.006", "1e-7", 1)} {
		f.Add([]byte(frame), uint8(0), uint8(2), uint8(5))
		f.Add([]byte(frame), uint8(1), uint8(0), uint8(0))
	}
	f.Fuzz(func(t *testing.T, frame []byte, venue, priceDigits, sizeDigits uint8) {
		b := newBench(t, Venues()[int(venue)%len(Venues())], priceDigits%(tick.MaxDigits+1), sizeDigits%(tick.MaxDigits+1))
		b.fuzz(frame, func(dst []tick.Unit) ([]tick.Unit, feeds.Notice, error) { return b.decoder.Decode(dst, frame, stamp) })
	})
}

func FuzzDecodeREST(f *testing.F) {
	for _, body := range []string{spotBody, usdmBody, `{"code":-1121,"msg":"Invalid symbol."}`, `{"lastUpdateId":1,"bids":[["1e-7","1"]],"asks":[]}`} {
		f.Add([]byte(body), uint8(0), uint8(2), uint8(5))
		f.Add([]byte(body), uint8(1), uint8(0), uint8(0))
	}
	f.Fuzz(func(t *testing.T, body []byte, venue, priceDigits, sizeDigits uint8) {
		b := newBench(t, Venues()[int(venue)%len(Venues())], priceDigits%(tick.MaxDigits+1), sizeDigits%(tick.MaxDigits+1))
		request, _ := b.adapter.SnapshotRequest(&tick.Instrument{Symbol: "BTCUSDT"})
		b.fuzz(body, func(dst []tick.Unit) ([]tick.Unit, feeds.Notice, error) {
			out, err := b.adapter.DecodeREST(dst, request.URL, body, b.table, stamp, 3)
			return out, feeds.Notice{}, err
		})
	})
}

// fuzz holds whatever the bytes: an error changes nothing, packets are well
// formed, a frame that is decoded again gives the same at a settled scale.
func (b *bench) fuzz(frame []byte, decode func([]tick.Unit) ([]tick.Unit, feeds.Notice, error)) {
	before := *b.entry
	dst := make([]tick.Unit, 2, 20)
	out, notice, err := decode(dst)
	if len(out) < 2 || !reflect.DeepEqual(out[:2], make([]tick.Unit, 2)) {
		b.t.Fatalf("%q: what was there changed", frame)
	}
	if err != nil {
		if len(out) != 2 || notice != (feeds.Notice{}) || *b.entry != before {
			b.t.Fatalf("%q: error %v, but %d units, %+v, %+v", frame, err, len(out)-2, notice, *b.entry)
		}
		return
	}
	if !json.Valid(frame) {
		b.t.Fatalf("%q: took broken JSON", frame)
	}
	wellFormed(b.t, out[2:])
	if notice.Kind != feeds.NoticeNone && len(out) != 2 {
		b.t.Fatalf("%q: notice %+v beside %d units", frame, notice, len(out)-2)
	}
	first := out[2:]
	if len(first) > 0 && first[0].KindOf() == tick.KindRescale {
		if *b.entry == before {
			b.t.Fatalf("%q: rescale without effect", frame)
		}
		first = first[1:]
	}
	again, _, err := decode(nil)
	if err != nil || len(again) != len(first) || len(again) > 0 && !reflect.DeepEqual(again, first) {
		b.t.Fatalf("%q: again: %v\n%x\n%x", frame, err, again, first)
	}
}
