package bybit

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shopspring/decimal"

	"tickproc/book"
	"tickproc/feeds"
	"tickproc/internal/testdata"
	"tickproc/tick"
)

func sample(t testing.TB, path ...string) []byte {
	t.Helper()
	file := filepath.Join(append([]string{testdata.Dir(t), "samples"}, path...)...)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(file) == ".gz" {
		z, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if text, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	return text
}

// recordedBooks are books as they came: a snapshot and its deltas.
var recordedBooks = []struct {
	venue, symbol string
	path          []string
	levels        int // of the topic's window
	deltas        int
	lastID        uint64
}{
	{"bybit-spot", "BTCUSDT", []string{"wire-2026", "bybit_orderbook.jsonl"}, 50, 8, 217107092},
	{"bybit-linear", "XRPUSDT", []string{"nautilus", "bybit-xrpusdt-ob500.jsonl.gz"}, 500, 49, 0},
}

func linesOf(t testing.TB, path []string) (lines [][]byte) {
	for line := range bytes.Lines(sample(t, path...)) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, line)
		}
	}
	return lines
}

// A recorded book keeps in step with one that is kept the slow way, and never
// holds more than the topic's window: what leaves it is told.
func TestRecordedBooks(t *testing.T) {
	t.Parallel()
	for _, r := range recordedBooks {
		k := newKeeper(t, r.venue, r.symbol)
		slow := slowBook{}
		for _, line := range linesOf(t, r.path) {
			notice := k.frame(line)
			if notice.Kind == feeds.NoticeAck {
				continue
			}
			slow.frame(t, line)
			if got, want := k.levels(), slow.levels(); !k.sync.IsValid() || !maps.Equal(got, want) {
				t.Fatalf("%s: after %.100s: valid %v, %d levels, want %d", r.symbol, line, k.sync.IsValid(), len(got), len(want))
			}
			if n := max(k.sync.Book.Bids.Len(), k.sync.Book.Asks.Len()); n > r.levels {
				t.Fatalf("%s: %d levels on a side of a window of %d", r.symbol, n, r.levels)
			}
		}
		c := k.sync.Counts
		if c.SnapshotsApplied != 1 || c.Applied != uint64(r.deltas) || c.Gaps+c.Duplicate+c.Unsynced+c.Dropped != 0 || r.lastID != 0 && k.sync.LastID() != r.lastID {
			t.Errorf("%s: %+v, last id %d", r.symbol, c, k.sync.LastID())
		}
	}
}

// Any message lost, doubled, or exchanged with its neighbour is noticed just
// there, and the book is invalid until a snapshot comes.
func TestRecordedBookWithFaults(t *testing.T) {
	t.Parallel()
	for _, r := range recordedBooks {
		var lines [][]byte
		for _, line := range linesOf(t, r.path) {
			if bytes.Contains(line, []byte(`"topic"`)) {
				lines = append(lines, line)
			}
		}
		for i := 1; i < len(lines); i++ {
			lost := newKeeper(t, r.venue, r.symbol)
			for j, line := range lines {
				if j == i {
					continue
				}
				lost.frame(line)
				if valid := lost.sync.IsValid(); valid != (j < i) {
					t.Fatalf("%s: without message %d the book after %d is valid: %v", r.symbol, i, j, valid)
				}
			}
			if lost.frame(lines[0]); !lost.sync.IsValid() {
				t.Fatalf("%s: a snapshot does not make the book valid again", r.symbol)
			}

			doubled := newKeeper(t, r.venue, r.symbol)
			for j, line := range lines {
				doubled.frame(line)
				if j == i {
					doubled.frame(line)
				}
			}
			if c := doubled.sync.Counts; !doubled.sync.IsValid() || c.Duplicate != 1 || c.Gaps != 0 {
				t.Fatalf("%s: message %d doubled: %+v", r.symbol, i, c)
			}

			if i+1 == len(lines) {
				continue
			}
			exchanged := newKeeper(t, r.venue, r.symbol)
			for _, line := range lines[:i] {
				exchanged.frame(line)
			}
			if exchanged.frame(lines[i+1]); exchanged.sync.IsValid() {
				t.Fatalf("%s: message %d ahead of %d is taken", r.symbol, i+1, i)
			}
			if exchanged.frame(lines[i]); exchanged.sync.IsValid() {
				t.Fatalf("%s: message %d behind %d makes the book valid", r.symbol, i, i+1)
			}
		}
	}
}

// After a restart of the venue u begins at 1 with a new book, at any time.
func TestRestart(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, "bybit-linear", "BTCUSDT")
	message := func(kind string, id int, bid string) []byte {
		return fmt.Appendf(nil, `{"topic":"orderbook.1000.BTCUSDT","type":"%s","ts":5,"data":{"s":"BTCUSDT","b":[["%s","1"]],"a":[],"u":%d,"seq":9},"cts":5}`, kind, bid, id)
	}
	want := func(id uint64, bids ...string) {
		t.Helper()
		levels := map[string]string{}
		for _, b := range bids {
			levels["bid "+b] = "1"
		}
		if !k.sync.IsValid() || k.sync.LastID() != id || !maps.Equal(k.levels(), levels) {
			t.Errorf("valid %v at %d: %v, want %d: %v", k.sync.IsValid(), k.sync.LastID(), k.levels(), id, levels)
		}
	}
	k.frame(message("snapshot", 100, "50"))
	k.frame(message("delta", 101, "49"))
	want(101, "50", "49")
	k.frame(message("snapshot", 1, "40"))
	want(1, "40")
	k.frame(message("delta", 2, "39"))
	want(2, "40", "39")
	k.frame(message("delta", 1, "30"))
	want(1, "30")
	k.frame(message("snapshot", 77, "20")) // resent at any time
	want(77, "20")
	k.frame(message("delta", 78, "19"))
	want(78, "20", "19")
}

// keeper keeps the book of one symbol the way a shard does.
type keeper struct {
	t       testing.TB
	decoder feeds.Decoder
	sync    *book.Sync
	price   uint8
	size    uint8
	ordinal uint64
}

func newKeeper(t testing.TB, venue, symbol string) *keeper {
	adapter, _ := New(venue)
	in := adapter.Instrument(symbol)
	in.PriceDigits, in.SizeDigits = 0, 0
	k := &keeper{t: t, decoder: adapter.NewDecoder(nil, feeds.NewTable([]*tick.Instrument{&in})), sync: book.NewSync(in.Sync, 0, 0)}
	k.sync.Up()
	return k
}

func (k *keeper) BeforeDelta(*tick.Depth) {}
func (k *keeper) AfterDelta(*tick.Depth)  {}

func (k *keeper) frame(frame []byte) feeds.Notice {
	k.t.Helper()
	k.ordinal++
	units, notice, err := k.decoder.Decode(nil, frame, feeds.Stamp{Line: 1, Ordinal: k.ordinal, ReceiveNanos: int64(k.ordinal)})
	if err != nil {
		k.t.Fatalf("%.300s: %v", frame, err)
	}
	if err := fault(units); err != nil {
		k.t.Fatalf("%.300s: %v", frame, err)
	}
	for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
		switch p := units[:tick.PacketUnits(&units[0])]; p[0].KindOf() {
		case tick.KindRescale:
			r := p[0].Rescale()
			if err := k.sync.Rescale(pow10(r.PriceDigits-k.price), pow10(r.SizeDigits-k.size), r.PriceDigits, r.SizeDigits); err != nil {
				k.t.Fatal(err)
			}
			k.price, k.size = r.PriceDigits, r.SizeDigits
		case tick.KindSnapshot:
			k.sync.Snapshot(p, k)
		case tick.KindDepth:
			k.sync.Delta(p, k)
		default:
			k.t.Fatalf("kind %d in a book's frame", p[0].KindOf())
		}
	}
	return notice
}

func pow10(n uint8) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// levels by side and price, in decimals.
func (k *keeper) levels() map[string]string {
	all := map[string]string{}
	for name, side := range map[string]*book.Side{"bid ": &k.sync.Book.Bids, "ask ": &k.sync.Book.Asks} {
		levels := make([]tick.Level, side.Len())
		side.CopyBest(levels)
		for _, l := range levels {
			all[name+decimal.New(l.Price, -int32(k.price)).String()] = decimal.New(l.Size, -int32(k.size)).String()
		}
	}
	return all
}

// slowBook is a book by side and price, in decimals.
type slowBook map[string]string

func (b slowBook) levels() map[string]string { return b }

func (b slowBook) frame(t testing.TB, frame []byte) {
	var m struct {
		Type string
		Data struct{ B, A [][2]string }
	}
	if err := json.Unmarshal(frame, &m); err != nil {
		t.Fatal(err)
	}
	if m.Type == "snapshot" {
		clear(b)
	}
	for name, side := range map[string][][2]string{"bid ": m.Data.B, "ask ": m.Data.A} {
		for _, l := range side {
			price, size := decimal.RequireFromString(l[0]), decimal.RequireFromString(l[1])
			if key := name + price.String(); size.IsZero() {
				delete(b, key)
			} else {
				b[key] = size.String()
			}
		}
	}
}

// What other programs keep as samples of this protocol is read, or refused
// for a reason.
func TestSamples(t *testing.T) {
	t.Parallel()
	type seen struct {
		kinds  []tick.Kind
		notice feeds.Notice
		err    error
	}
	f := func(venue, file string, want seen) {
		t.Helper()
		adapter, _ := New(venue)
		table := feeds.NewTable(nil)
		table.Discover = func(symbol string) *feeds.Entry { return &feeds.Entry{Symbol: symbol, ID: 3} }
		units, notice, err := adapter.NewDecoder(nil, table).Decode(nil, sample(t, "nautilus", "bybit", file), stamp)
		var kinds []tick.Kind
		for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
			kinds = append(kinds, units[0].KindOf())
		}
		if !slices.Equal(kinds, want.kinds) || notice != want.notice || !errors.Is(err, want.err) {
			t.Errorf("%s: kinds %v, %+v, %v; want %+v", file, kinds, notice, err, want)
		}
	}
	f("bybit-linear", "ws_orderbook_snapshot.json", seen{kinds: []tick.Kind{tick.KindRescale, tick.KindQuote}})
	f("bybit-linear", "ws_ticker_linear.json", seen{kinds: []tick.Kind{tick.KindMark, tick.KindOpenInterest}})
	f("bybit-linear", "ws_ticker_option.json", seen{kinds: []tick.Kind{tick.KindMark, tick.KindOpenInterest}})
	f("bybit-linear", "ws_kline.json", seen{notice: feeds.Notice{Kind: feeds.NoticeIgnored}})
	f("bybit-linear", "ws_subscription_ack.json", seen{notice: feeds.Notice{Kind: feeds.NoticeAck, Request: -1}})
	f("bybit-linear", "ws_subscription_failure.json", seen{notice: feeds.Notice{Kind: feeds.NoticeRefused, Request: -1, Text: "Invalid topic: invalid.topic.BTCUSDT"}})
	// Of 2024: the first level has no deltas since.
	f("bybit-linear", "ws_orderbook_delta.json", seen{err: feeds.ErrUnknownMessage})
	// The sample's topic, trade.linear.BTCUSDT, is none of the venue's.
	f("bybit-linear", "ws_public_trade.json", seen{err: feeds.ErrUnknownMessage})
	// Answers of private sockets, in other words than the public ones'.
	f("bybit-linear", "ws_auth_success.json", seen{err: feeds.ErrUnknownMessage})
	f("bybit-linear", "ws_order_response.json", seen{err: feeds.ErrUnknownMessage})
	f("bybit-linear", "ws_auth_failure.json", seen{notice: feeds.Notice{Kind: feeds.NoticeRefused, Request: -1}})

	b := newBench(t, "bybit-linear", 2, 3)
	trade := bytes.Replace(sample(t, "nautilus", "bybit", "ws_public_trade.json"), []byte("trade.linear."), []byte("publicTrade."), 1)
	want := tick.Trade{Header: header(tick.KindTrade, 0, 1709891679000e6), ID: tick.ID{Hi: 0x9dc75fca4bdd4773, Lo: 0x9f786f5d7ab2a110}, Price: 2745100, Size: 10}
	if got := b.decode(string(trade)); *got[0].Trade() != want {
		t.Errorf("got  %+v\nwant %+v", *got[0].Trade(), want)
	}
	mark := b.decode(string(sample(t, "nautilus", "bybit", "ws_ticker_linear.json")))[0].Mark()
	if w := (tick.Mark{Header: header(tick.KindMark, 0, 1673272861686e6), Mark: 1721733, Index: 1722736, PriceDigits: 2, FundingRate: -212, RateDigits: 6, NextFundingSeconds: 1673280000}); *mark != w {
		t.Errorf("got  %+v\nwant %+v", *mark, w)
	}
}
