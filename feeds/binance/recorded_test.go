package binance

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"tickproc/feeds"
	"tickproc/internal/testdata"
	"tickproc/tick"
)

// Every recorded message, read by the decoder and by encoding/json, says the
// same in every field and level. Scales begin at 0, so that they are found on
// the way.
func TestRecordedMessagesAgreeWithEncodingJSON(t *testing.T) {
	for _, c := range []struct{ venue, file string }{
		{"binance-spot", "binance-spot-btcusdt-20240808.gz"},
		{"binance-usdm", "binance-usdm-btcusdt-20240808.gz"},
		{"binance-coinm", "binance-coinm-btcusd_perp-20240808.gz"},
		{"binance-spot", "binance-us-sample.gz"},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			s := newSession(t, c.venue)
			lines := capture(t, c.file)
			if testing.Short() { // the race detector makes encoding/json very slow
				lines = lines[:min(len(lines), 5000)]
			}
			for _, l := range lines {
				s.line(l)
			}
			t.Logf("%d frames, %d packets, %d levels, %d rescales, notices %v", s.stamp.Ordinal, s.packets, s.levels, s.rescales, s.notices)
			if s.packets == 0 || s.levels == 0 {
				t.Error("nothing was decoded")
			}
		})
	}
}

func TestWireSamples2026(t *testing.T) {
	dir := filepath.Join(testdata.Dir(t), "samples", "wire-2026")
	s := newSession(t, "binance-spot")
	frames, err := os.ReadFile(filepath.Join(dir, "binance_us_depth.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(frames) {
		s.line(recorded{tag: "text", body: line})
	}
	body, err := os.ReadFile(filepath.Join(dir, "binance_us_snapshot.json"))
	if err != nil {
		t.Fatal(err)
	}
	s.line(recorded{tag: "rest", url: "https://api.binance.us/api/v3/depth?symbol=BTCUSDT&limit=1000", body: body})
	if s.packets != int(s.stamp.Ordinal) {
		t.Errorf("%d packets of %d messages", s.packets, s.stamp.Ordinal)
	}
}

// recorded is one line of a capture.
type recorded struct {
	tag, url string
	body     []byte
}

func capture(t testing.TB, file string) []recorded {
	t.Helper()
	f, err := os.Open(filepath.Join(testdata.Dir(t), "captures", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(bufio.NewReader(z))
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	for line := range bytes.Lines(text) {
		if line[0] == '#' {
			continue
		}
		_, rest, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		tag, body, _ := bytes.Cut(rest, []byte(" "))
		r := recorded{tag: string(tag), body: body}
		if r.tag == "rest" {
			url, body, _ := bytes.Cut(body, []byte(" "))
			r.url, r.body = string(url), body
		}
		all = append(all, r)
	}
	return all
}

// session decodes a capture and compares with the slow way.
type session struct {
	t                         *testing.T
	adapter                   feeds.Adapter
	table                     *feeds.Table
	decoder                   feeds.Decoder
	stamp                     feeds.Stamp
	symbols                   []string
	scales                    map[uint32][2]uint8
	units                     []tick.Unit
	packets, levels, rescales int
	notices                   map[feeds.NoticeKind]int
}

func newSession(t *testing.T, venue string) *session {
	adapter, ok := New(venue)
	if !ok {
		t.Fatalf("no adapter %s", venue)
	}
	s := &session{t: t, adapter: adapter, table: feeds.NewTable(nil), scales: map[uint32][2]uint8{}, notices: map[feeds.NoticeKind]int{}}
	s.table.Discover = func(symbol string) *feeds.Entry {
		s.symbols = append(s.symbols, symbol)
		return &feeds.Entry{Symbol: symbol, ID: uint32(len(s.symbols))}
	}
	s.decoder = adapter.NewDecoder(nil, s.table)
	return s
}

func (s *session) line(l recorded) {
	s.t.Helper()
	s.stamp = feeds.Stamp{Line: 3, Ordinal: s.stamp.Ordinal + 1, ReceiveNanos: 1_700_000_000_000_000_000 + int64(s.stamp.Ordinal)}
	var err error
	switch l.tag {
	case "text":
		var notice feeds.Notice
		s.units, notice, err = s.decoder.Decode(s.units[:0], l.body, s.stamp)
		s.notices[notice.Kind]++
	case "rest":
		if strings.Contains(l.url, "exchangeInfo") {
			if in, err := s.adapter.ParseCatalog(l.body); err != nil || len(in) == 0 {
				s.t.Fatalf("catalog: %d instruments, %v", len(in), err)
			}
		}
		s.units, err = s.adapter.DecodeREST(s.units[:0], l.url, l.body, s.table, s.stamp, 7)
	case "open":
		if streams, _ := s.adapter.Streams(string(l.body), nil); len(streams) == 0 {
			s.t.Errorf("%s shows no streams", l.body)
		}
		return
	}
	if err != nil {
		s.t.Fatalf("%.300s: %v", l.body, err)
	}
	got := s.read(s.units)
	want := slowly(s.t, l)
	if !reflect.DeepEqual(got, want) {
		s.t.Fatalf("%.300s\ngot  %+v\nwant %+v", l.body, got, want)
	}
}

// said is what a message says, in decimals.
type said struct {
	kind              tick.Kind
	symbol            string
	nanos             int64
	sell, notMarket   bool
	id                uint64
	price, size       string
	first, last, prev uint64
	bids, asks        [][2]string
}

// read turns packets into what they say, joining fragments.
func (s *session) read(units []tick.Unit) *said {
	s.t.Helper()
	var m *said
	wellFormed(s.t, units)
	for len(units) > 0 {
		u := &units[0]
		h := u.Header()
		if h.Line != s.stamp.Line || h.Ordinal != s.stamp.Ordinal || h.ReceiveNanos != s.stamp.ReceiveNanos {
			s.t.Fatalf("stamp: %+v", h)
		}
		scale := s.scales[h.Instrument]
		decimalOf := func(v int64, digits uint8) string { return decimal.New(v, -int32(digits)).String() }
		switch h.Kind {
		case tick.KindRescale:
			r := u.Rescale()
			if r.PriceDigits < scale[0] || r.SizeDigits < scale[1] || scale == [2]uint8{r.PriceDigits, r.SizeDigits} {
				s.t.Fatalf("rescale from %v to %d, %d", scale, r.PriceDigits, r.SizeDigits)
			}
			s.scales[h.Instrument] = [2]uint8{r.PriceDigits, r.SizeDigits}
			s.rescales++
		case tick.KindTrade:
			t := u.Trade()
			m = &said{kind: h.Kind, nanos: h.ExchangeNanos, sell: h.Flags&tick.FlagSell != 0, notMarket: h.Flags&tick.FlagNotMarket != 0,
				id: t.ID.Lo, price: decimalOf(t.Price, scale[0]), size: decimalOf(t.Size, scale[1])}
			s.packets++
		default:
			d := u.Depth()
			if m == nil {
				m = &said{kind: h.Kind, nanos: h.ExchangeNanos, first: d.FirstID, last: d.LastID, prev: d.PrevID}
			}
			for i, l := range tick.Levels(units) {
				level := [2]string{decimalOf(l.Price, scale[0]), decimalOf(l.Size, scale[1])}
				if i < int(d.Bids) {
					m.bids = append(m.bids, level)
				} else {
					m.asks = append(m.asks, level)
				}
				s.levels++
			}
			s.packets++
		}
		if m != nil {
			m.symbol = s.symbols[h.Instrument-1]
		}
		units = units[tick.PacketUnits(u):]
	}
	return m
}

// slowly reads a message by encoding/json; nil where it is no market data of ours.
func slowly(t *testing.T, l recorded) *said {
	t.Helper()
	// encoding/json takes e for E, so keys must be told apart in maps.
	var top, data map[string]json.RawMessage
	must := func(raw []byte, into any) {
		t.Helper()
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
	}
	must(l.body, &top)
	data = top
	if inner, ok := top["data"]; ok {
		must(inner, &data)
	}
	text := func(key string) (s string) {
		if raw, ok := data[key]; ok {
			must(raw, &s)
		}
		return s
	}
	uint := func(key string) (v uint64) {
		if raw, ok := data[key]; ok {
			must(raw, &v)
		}
		return v
	}
	number := func(key string) string { return decimal.RequireFromString(text(key)).String() }
	levels := func(key string) (all [][2]string) {
		must(data[key], &all)
		for i, l := range all {
			for j, n := range l {
				all[i][j] = decimal.RequireFromString(n).String()
			}
		}
		if len(all) == 0 {
			return nil
		}
		return all
	}
	nanos := func() int64 {
		if _, ok := data["T"]; ok {
			return int64(uint("T")) * 1e6
		}
		return int64(uint("E")) * 1e6
	}
	if l.tag == "rest" {
		if !strings.Contains(l.url, "/depth?") {
			return nil
		}
		_, symbol, _ := strings.Cut(l.url, "symbol=")
		symbol, _, _ = strings.Cut(symbol, "&")
		id := uint("lastUpdateId")
		return &said{kind: tick.KindSnapshot, symbol: symbol, nanos: nanos(), first: id, last: id, prev: 7, bids: levels("bids"), asks: levels("asks")}
	}
	m := &said{symbol: text("s"), nanos: nanos()}
	switch event := text("e"); {
	case event == "trade":
		m.kind, m.id, m.price, m.size = tick.KindTrade, uint("t"), number("p"), number("q")
		must(data["m"], &m.sell)
		m.notMarket = text("X") != "" && text("X") != "MARKET"
	case event == "depthUpdate":
		m.kind, m.first, m.last, m.prev, m.bids, m.asks = tick.KindDepth, uint("U"), uint("u"), uint("pu"), levels("b"), levels("a")
	case event == "bookTicker" || event == "" && data["u"] != nil:
		m.kind, m.first, m.last = tick.KindQuote, uint("u"), uint("u")
		m.bids, m.asks = [][2]string{{number("b"), number("B")}}, [][2]string{{number("a"), number("A")}}
	default:
		return nil
	}
	return m
}

// wellFormed holds whatever a decoder may return without an error.
func wellFormed(t testing.TB, units []tick.Unit) {
	t.Helper()
	if err := fault(units); err != nil {
		t.Fatal(err)
	}
}

// fault says what a decoder may not return without an error: a frame is one
// message here.
func fault(units []tick.Unit) error {
	if err := tick.WellFormed(units); err != nil {
		return err
	}
	data := 0
	for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
		u := &units[0]
		switch h := u.Header(); h.Kind {
		case tick.KindRescale:
			continue
		case tick.KindQuote, tick.KindDepth, tick.KindSnapshot:
			if first := h.Flags&tick.FlagFirst != 0; first != (data == 0) {
				return fmt.Errorf("fragments do not join: %d", data)
			}
		case tick.KindStatus:
			return fmt.Errorf("kind %d", h.Kind)
		default:
			if data > 0 {
				return fmt.Errorf("kind %d beside other packets", h.Kind)
			}
		}
		data++
	}
	return nil
}
