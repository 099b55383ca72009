package kraken

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"tickproc/book"
	"tickproc/feeds"
	"tickproc/internal/testdata"
	"tickproc/tick"
)

// recorded is one line of a capture.
type recorded struct{ tag, body string }

func capture(t testing.TB, file string) (all []recorded) {
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
	var text bytes.Buffer
	if _, err := text.ReadFrom(z); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(text.String()) {
		if line[0] != '#' {
			_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			tag, body, _ := strings.Cut(rest, " ")
			all = append(all, recorded{tag, body})
		}
	}
	return all
}

func sample(t testing.TB, path ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{testdata.Dir(t), "samples"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// ignore hears of deltas and does nothing.
type ignore struct{}

func (ignore) BeforeDelta(*tick.Depth) {}
func (ignore) AfterDelta(*tick.Depth)  {}

// Every frame of today's wire is understood, and the book follows the venue's
// checksums, the snapshot's included.
func TestWireSamples2026(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 8)
	rule := tick.SyncRule{Snapshot: tick.SnapshotInBand, Checksum: tick.ChecksumKraken, ChecksumDepth: 10, ChecksumPriceDigits: 1, ChecksumSizeDigits: 8, Truncate: 10}
	s := book.NewSync(rule, 1, 8)
	s.Up()
	notices := map[feeds.NoticeKind]int{}
	for line := range bytes.Lines(sample(t, "wire-2026", "kraken_book.jsonl")) {
		units, notice, err := b.decoder.Decode(nil, line, stamp)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		notices[notice.Kind]++
		if len(units) == 0 {
			continue
		}
		wellFormed(t, units)
		if units[0].KindOf() == tick.KindSnapshot {
			s.Snapshot(units, ignore{})
		} else {
			s.Delta(units, ignore{})
		}
		if !s.IsValid() {
			_, reason := s.State()
			t.Fatalf("%s: invalid for %v", line, reason)
		}
	}
	if notices[feeds.NoticeAck] != 1 || notices[feeds.NoticePong] != 2 || notices[feeds.NoticeIgnored] != 1 {
		t.Errorf("notices %v", notices)
	}
	if s.Counts.Checksums != 4 || s.Counts.Applied != 3 || s.Counts.SnapshotsApplied != 1 {
		t.Errorf("%+v", s.Counts)
	}
	// From the frames by hand: three changes below the best nine.
	want := []tick.Level{{Price: 788715, Size: 1266503}, {Price: 788588}, {Price: 788570, Size: 34775324}, {Price: 788568, Size: 60870868}}
	if got := s.Book.Bids.Best(); got != want[0] {
		t.Errorf("best bid %+v", got)
	}
	bids := make([]tick.Level, s.Book.Bids.Len())
	s.Book.Bids.CopyBest(bids)
	if len(bids) != 10 || !slices.Equal(bids[8:], want[2:]) {
		t.Errorf("bids %+v", bids)
	}
}

// Documents' frames, whose checksums are made up.
func TestDocumentSamples(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 8)
	read := func(name string) string { return string(sample(t, "nautilus", "kraken", name)) }
	got := b.decode(read("ws_book_snapshot.json"))
	if d := got[0].Depth(); d.Checksum != 2439117997 || d.Bids != 3 || d.LevelCount != 6 || tick.Levels(got)[5] != (tick.Level{Price: 1059558, Size: 300000}) || d.ExchangeNanos != nanosAt("2023-10-06T17:35:55.440295Z") {
		t.Errorf("%+v %v", d, tick.Levels(got))
	}
	got = b.decode(read("ws_book_update.json"))
	if d := got[0].Depth(); d.Kind != tick.KindDepth || d.Checksum != 2114181697 || d.LevelCount != 1 || tick.Levels(got)[0] != (tick.Level{Price: 1059442, Size: 25000000}) {
		t.Errorf("%+v %v", d, tick.Levels(got))
	}
	got = b.decode(read("ws_ticker_snapshot.json"))
	if d := got[0].Depth(); d.ExchangeNanos != nanosAt("2022-12-25T09:30:59.123456Z") || tick.Levels(got)[1] != (tick.Level{Price: 1059443, Size: 320000000}) {
		t.Errorf("%+v %v", d, tick.Levels(got))
	}
	got = b.decode(read("ws_trade_update.json"))
	sell := tick.Trade{Header: header(tick.KindTrade, tick.FlagSell, nanosAt("2023-10-06T17:35:56.123456Z")), ID: tick.ID{Lo: 10218209}, Price: 1059105, Size: 12460}
	if len(got) != 2 || got[0].Trade().ID.Lo != 10218208 || *got[1].Trade() != sell {
		t.Errorf("%d trades, %+v", len(got), got[1].Trade())
	}
	b.noticed(read("ws_pong.json"), feeds.Notice{Kind: feeds.NoticePong})
	b.noticed(read("ws_subscribe_response.json"), feeds.Notice{Kind: feeds.NoticeAck, Request: -1, Channel: tick.ChannelQuotes, Instrument: 7})
	for _, name := range []string{"ws_ohlc_update.json", "ws_l3_snapshot.json", "ws_l3_update_add.json", "ws_l3_update_delete.json", "ws_l3_update_modify_price.json", "ws_l3_update_modify_qty.json"} {
		b.noticed(read(name), feeds.Notice{Kind: feeds.NoticeIgnored})
	}
	// The futures are another venue.
	for _, name := range []string{"ws_futures_book_delta.json", "ws_futures_ticker.json", "ws_futures_trade.json"} {
		b.refused(read(name), feeds.ErrUnknownMessage)
	}
}

// translate writes a recorded message of the older websocket as today's: the
// rules of books and checksums did not change.
func translate(t testing.TB, frame string) (symbol string, digits [2]uint8, text []byte) {
	var parts []json.RawMessage
	if !strings.HasPrefix(frame, "[") || !strings.Contains(frame, `"book-1000"`) {
		return
	}
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(json.Unmarshal([]byte(frame), &parts))
	check(json.Unmarshal(parts[len(parts)-1], &symbol))
	kind, sum := "update", uint64(0)
	var sides [2]strings.Builder
	for _, part := range parts[1 : len(parts)-2] {
		var body struct {
			As, Bs, A, B [][]string
			C            string
		}
		check(json.Unmarshal(part, &body))
		if body.As != nil {
			kind = "snapshot"
		}
		if body.C != "" {
			var err error
			sum, err = strconv.ParseUint(body.C, 10, 32)
			check(err)
		}
		for i, lists := range [2][2][][]string{{body.Bs, body.B}, {body.As, body.A}} {
			for _, list := range lists {
				for _, l := range list {
					if sides[i].Len() > 0 {
						sides[i].WriteByte(',')
					}
					sides[i].WriteString(`{"price":` + l[0] + `,"qty":` + l[1] + `}`)
					digits = [2]uint8{uint8(len(l[0]) - strings.Index(l[0], ".") - 1), uint8(len(l[1]) - strings.Index(l[1], ".") - 1)}
				}
			}
		}
	}
	text = []byte(`{"channel":"book","type":"` + kind + `","data":[{"symbol":"` + symbol + `","bids":[` + sides[0].String() + `],"asks":[` + sides[1].String() +
		`],"checksum":` + strconv.FormatUint(sum, 10) + `,"timestamp":"2021-04-17T16:48:53.000001Z"}]}`)
	return symbol, digits, text
}

// translated returns the recorded books as today's frames, and the wire's
// digits by symbol.
func translated(t testing.TB) (frames [][]byte, digits map[string][2]uint8) {
	digits = map[string][2]uint8{}
	for _, l := range capture(t, "kraken-sample.gz") {
		if l.tag == "text" {
			if symbol, d, text := translate(t, l.body); text != nil {
				digits[symbol] = d
				frames = append(frames, text)
			}
		}
	}
	return frames, digits
}

// A recorded session of ten pairs follows all its 4,269 checksums, with
// truncation to the subscribed depth; a message that is lost, and touches the
// best ten, shows at once.
func TestRecordedChecksums(t *testing.T) {
	t.Parallel()
	frames, digits := translated(t)
	table := feeds.NewTable(nil)
	var symbols []string
	var syncs []*book.Sync
	table.Discover = func(symbol string) *feeds.Entry {
		d := digits[symbol]
		rule := new(venue).Instrument("X").Sync
		rule.Checksum, rule.ChecksumDepth, rule.ChecksumPriceDigits, rule.ChecksumSizeDigits = tick.ChecksumKraken, 10, d[0], d[1]
		s := book.NewSync(rule, d[0], d[1])
		s.Up()
		symbols, syncs = append(symbols, symbol), append(syncs, s)
		return &feeds.Entry{Symbol: symbol, ID: uint32(len(syncs) - 1), PriceDigits: d[0], SizeDigits: d[1]}
	}
	decoder := new(venue).NewDecoder(nil, table)
	deepest := 0
	for _, frame := range frames {
		units, notice, err := decoder.Decode(nil, frame, stamp)
		if err != nil || notice.Kind != feeds.NoticeNone {
			t.Fatalf("%.300s: %+v, %v", frame, notice, err)
		}
		d := units[0].Depth()
		s := syncs[d.Instrument]
		if d.Kind == tick.KindSnapshot {
			s.Snapshot(units, ignore{})
		} else {
			s.Delta(units, ignore{})
		}
		if _, reason := s.State(); !s.IsValid() {
			t.Fatalf("%s: invalid for %v after %.300s", symbols[d.Instrument], reason, frame)
		}
		deepest = max(deepest, s.Book.Bids.Len(), s.Book.Asks.Len())
	}
	checked := uint64(0)
	for _, s := range syncs {
		checked += s.Counts.Checksums
		s.Book.Check()
	}
	if checked != 4269 || len(syncs) != 10 || deepest > 1000 {
		t.Errorf("%d checksums of %d books, %d levels", checked, len(syncs), deepest)
	}
}

// Lost, doubled or reordered messages, at every position of a session: where
// the best ten end up other than the venue's, the checksum of that very
// message, or the next, says so; a fresh snapshot mends it.
func TestLossShowsInTheChecksum(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, 8)
	var messages [][]tick.Unit
	for line := range bytes.Lines(sample(t, "wire-2026", "kraken_book.jsonl")) {
		if units, _, err := b.decoder.Decode(nil, line, stamp); err != nil {
			t.Fatal(err)
		} else if len(units) > 0 {
			messages = append(messages, units)
		}
	}
	rule := tick.SyncRule{Snapshot: tick.SnapshotInBand, Checksum: tick.ChecksumKraken, ChecksumDepth: 10, ChecksumPriceDigits: 1, ChecksumSizeDigits: 8, Truncate: 10}
	// play returns after which message the book was found wrong, -1 = never.
	play := func(order ...int) int {
		s := book.NewSync(rule, 1, 8)
		s.Up()
		for at, i := range order {
			if messages[i][0].KindOf() == tick.KindSnapshot {
				s.Snapshot(messages[i], ignore{})
			} else {
				s.Delta(messages[i], ignore{})
			}
			if !s.IsValid() {
				if _, reason := s.State(); reason != tick.ReasonChecksum {
					t.Errorf("%v: invalid for %v", order, reason)
				}
				if s.Snapshot(messages[0], ignore{}); !s.IsValid() {
					t.Errorf("%v: a fresh snapshot does not mend it", order)
				}
				return at
			}
		}
		return -1
	}
	f := func(want int, order ...int) {
		t.Helper()
		if got := play(order...); got != want {
			t.Errorf("%v: found after %d, want %d", order, got, want)
		}
	}
	f(-1, 0, 1, 2, 3)
	f(1, 0, 2) // 1 lost
	// 2 behind 3: truncation leaves what 2 says, until something else is said.
	f(-1, 0, 1, 3, 2)
	f(1, 0, 2, 1, 3)  // 1 behind 2
	f(-1, 0, 1, 1, 2) // doubled: absolute sizes say the same again
	f(-1, 0, 1, 2, 2) //
	f(-1, 0, 1, 2, 3, 3)
	f(-1, 0, 0, 1, 2)
}

func BenchmarkDecodeBook(b *testing.B) {
	frames, digits := translated(b)
	var changes [][]byte
	for _, f := range frames {
		if bytes.Contains(f[:64], []byte(`"update"`)) {
			changes = append(changes, f)
		}
	}
	benchmark(b, changes, digits, func() any { return new(bookJSON) })
}

func BenchmarkDecodeBookSnapshot(b *testing.B) {
	frames, digits := translated(b)
	var whole [][]byte
	for _, f := range frames {
		if bytes.Contains(f[:64], []byte(`"snapshot"`)) {
			whole = append(whole, f)
		}
	}
	benchmark(b, whole, digits, func() any { return new(bookJSON) })
}

// The older websocket's trades and tickers hold too little of today's: frames
// of one shape with other numbers are rotated.
func BenchmarkDecodeTrade(b *testing.B) {
	benchmark(b, rotated(tradeUpdate), nil, func() any { return new(tradeJSON) })
}

func BenchmarkDecodeQuote(b *testing.B) {
	benchmark(b, rotated(tickerBBO), nil, func() any { return new(quoteJSON) })
}

func rotated(frame string) (frames [][]byte) {
	for i := range 5000 {
		n := strconv.Itoa(10000 + i*7919%90000)
		frames = append(frames, []byte(strings.NewReplacer("83744.3", n+".3", "83744.2", n+".2", "0.00044780", "0.000"+n, "109116693", "1091"+n).Replace(frame)))
	}
	return frames
}

type (
	levelJSON struct{ Price, Qty json.Number }
	bookJSON  struct {
		Channel, Type string
		Data          []struct {
			Symbol     string
			Bids, Asks []levelJSON
			Checksum   uint32
			Timestamp  string
		}
	}
	tradeJSON struct {
		Channel, Type string
		Data          []struct {
			Symbol, Side string
			Price, Qty   json.Number
			TradeID      uint64 `json:"trade_id"`
			Timestamp    string
		}
	}
	quoteJSON struct {
		Channel, Type string
		Data          []struct {
			Symbol    string
			Bid, Ask  json.Number
			BidQty    json.Number `json:"bid_qty"`
			AskQty    json.Number `json:"ask_qty"`
			Timestamp string
		}
	}
)

// benchmark rotates over frames, so that neither caches nor branches can learn
// one of them; encoding/json into fitting structs, numbers left as text, is the
// thing to beat.
func benchmark(b *testing.B, frames [][]byte, digits map[string][2]uint8, target func() any) {
	size := 0
	for _, f := range frames {
		size += len(f)
	}
	b.Run("ours", func(b *testing.B) {
		table := feeds.NewTable(nil)
		table.Discover = func(symbol string) *feeds.Entry {
			return &feeds.Entry{Symbol: symbol, PriceDigits: max(1, digits[symbol][0]), SizeDigits: 8}
		}
		d := new(venue).NewDecoder(nil, table)
		var units []tick.Unit
		for _, f := range frames {
			units, _, _ = d.Decode(units[:0], f, stamp)
		}
		b.SetBytes(int64(size / len(frames)))
		b.ReportAllocs()
		next := 0
		for b.Loop() {
			var err error
			if units, _, err = d.Decode(units[:0], frames[next], stamp); err != nil || len(units) == 0 {
				b.Fatal(err)
			}
			if next++; next == len(frames) {
				next = 0
			}
		}
	})
	b.Run("json", func(b *testing.B) {
		b.SetBytes(int64(size / len(frames)))
		b.ReportAllocs()
		next := 0
		for b.Loop() {
			if err := json.Unmarshal(frames[next], target()); err != nil {
				b.Fatal(err)
			}
			if next++; next == len(frames) {
				next = 0
			}
		}
	})
}
