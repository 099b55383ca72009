package okx

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tickproc/book"
	"tickproc/feeds"
	"tickproc/internal/testdata"
	"tickproc/tick"
)

// reader decodes messages as they come and keeps the books that they make.
type reader struct {
	t       *testing.T
	decoder feeds.Decoder
	symbols []string
	books   []*book.Sync
	scales  [][2]uint8 // of the books: they begin at 0, as entries do
	kinds   map[tick.Kind]int
	notices map[feeds.NoticeKind]int
}

func newReader(t *testing.T) *reader {
	r := &reader{t: t, kinds: map[tick.Kind]int{}, notices: map[feeds.NoticeKind]int{}}
	table := feeds.NewTable(nil)
	table.Discover = func(symbol string) *feeds.Entry {
		id := uint32(len(r.symbols))
		r.symbols = append(r.symbols, symbol)
		sync := book.NewSync(venue{}.Instrument(symbol).Sync, 0, 0)
		sync.Up()
		r.books, r.scales = append(r.books, sync), append(r.scales, [2]uint8{})
		return &feeds.Entry{Symbol: symbol, ID: id}
	}
	r.decoder = venue{}.NewDecoder(nil, table)
	return r
}

func (r *reader) BeforeDelta(*tick.Depth) {}
func (r *reader) AfterDelta(*tick.Depth)  {}

func (r *reader) frame(text []byte) []tick.Unit {
	r.t.Helper()
	units, notice, err := r.decoder.Decode(nil, text, stamp)
	if err != nil {
		r.t.Fatalf("%.300s: %v", text, err)
	}
	if err := fault(units); err != nil {
		r.t.Fatalf("%.300s: %v", text, err)
	}
	r.notices[notice.Kind]++
	for rest := units; len(rest) > 0; rest = rest[tick.PacketUnits(&rest[0]):] {
		h := rest[0].Header()
		r.kinds[h.Kind]++
		sync := r.books[h.Instrument]
		p := rest[:tick.PacketUnits(&rest[0])]
		switch h.Kind {
		case tick.KindRescale:
			price, size := p[0].Rescale().PriceDigits, p[0].Rescale().SizeDigits
			was := r.scales[h.Instrument]
			if err := sync.Rescale(tick.Pow10(price-was[0]), tick.Pow10(size-was[1]), price, size); err != nil {
				r.t.Fatal(err)
			}
			r.scales[h.Instrument] = [2]uint8{price, size}
		case tick.KindSnapshot:
			sync.Snapshot(p, r)
		case tick.KindDepth:
			sync.Delta(p, r)
		}
		if h.Kind == tick.KindSnapshot || h.Kind == tick.KindDepth {
			if state, reason := sync.State(); state != book.Valid {
				r.t.Fatalf("%s: %v after %.300s", r.symbols[h.Instrument], reason, text)
			}
		}
	}
	return units
}

// Today's session: the chain of ids holds, the book stands, and the checksum
// that is always 0 is taken for none.
func TestBooksOf2026(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	for line := range bytes.Lines(sample(t, "wire-2026", "okx_books.jsonl")) {
		r.frame(bytes.TrimSpace(line))
	}
	if r.kinds[tick.KindSnapshot] != 1 || r.kinds[tick.KindDepth] != 6 || r.notices[feeds.NoticeAck] != 1 {
		t.Fatalf("packets %v, notices %v", r.kinds, r.notices)
	}
	s := r.books[0]
	if s.LastID() != 80274875033 || s.Counts.Applied != 6 || s.Counts.Checksums != 0 || s.Counts.Gaps != 0 || s.Book.Orphans != 0 {
		t.Errorf("at %d, %+v, %d orphans", s.LastID(), s.Counts, s.Book.Orphans)
	}
	// The last message left 78722.2 bid and 0.44699492 at 78722.3.
	bid, ask := s.Book.Bids.Best(), s.Book.Asks.Best()
	price, size := r.scales[0][0], r.scales[0][1]
	if tick.FormatScaled(bid.Price, price) != "78722.2" || tick.FormatScaled(ask.Price, price) != "78722.3" || tick.FormatScaled(ask.Size, size) != "0.44699492" {
		t.Errorf("bid %+v, ask %+v at %d, %d digits", bid, ask, price, size)
	}
}

// A message that is lost breaks the chain; the next snapshot mends it.
func TestLossBreaksTheChain(t *testing.T) {
	t.Parallel()
	var lines [][]byte
	for line := range bytes.Lines(sample(t, "wire-2026", "okx_books.jsonl")) {
		lines = append(lines, bytes.TrimSpace(line))
	}
	for lost := 2; lost < len(lines)-1; lost++ {
		r := newReader(t)
		for _, line := range lines[:lost] {
			r.frame(line)
		}
		units, _, err := r.decoder.Decode(nil, lines[lost+1], stamp)
		if err != nil {
			t.Fatal(err)
		}
		for ; units[0].KindOf() != tick.KindDepth; units = units[1:] {
		}
		r.books[0].Delta(units, r)
		if state, reason := r.books[0].State(); state == book.Valid || reason != tick.ReasonSequence {
			t.Errorf("without message %d: %v, %v", lost, state, reason)
		}
		r.frame(lines[1])
		r.frame(lines[2])
	}
}

// The session of 2022, from before ids were: every message has a checksum,
// which verifies the book after it, and every one of them agrees.
func TestBooksOf2022(t *testing.T) {
	t.Parallel()
	file, err := os.Open(filepath.Join(testdata.Dir(t), "captures", "okx-sample.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zip, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(bufio.NewReader(zip))
	if err != nil {
		t.Fatal(err)
	}
	r := newReader(t)
	asked, catalogs, listed := 0, 0, 0
	for line := range strings.Lines(string(text)) {
		if line[0] == '#' {
			continue
		}
		_, line, _ = strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		tag, payload, _ := strings.Cut(line, " ")
		switch tag {
		case "text":
			r.frame([]byte(payload))
		case "sent":
			streams, _ := venue{}.Streams("", []byte(payload))
			asked += len(streams)
		case "rest":
			_, body, _ := strings.Cut(payload, " ")
			all, err := venue{}.ParseCatalog([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			catalogs, listed = catalogs+1, listed+len(all)
		}
	}
	var sums, deltas uint64
	for _, s := range r.books {
		sums, deltas = sums+s.Counts.Checksums, deltas+s.Counts.Applied
	}
	if len(r.books) != 3 || sums != uint64(r.kinds[tick.KindSnapshot])+deltas || sums != 290 {
		t.Errorf("%d books, %d checksums agree, %d snapshots, %d deltas", len(r.books), sums, r.kinds[tick.KindSnapshot], deltas)
	}
	if asked == 0 || catalogs != 25 || listed == 0 {
		t.Errorf("%d streams asked, %d catalogs of %d instruments", asked, catalogs, listed)
	}
	t.Logf("packets %v, notices %v, %d instruments in %d catalogs", r.kinds, r.notices, listed, catalogs)
}

// A level of the wrong size is noticed by the checksum alone.
func TestChecksumNoticesADamagedBook(t *testing.T) {
	t.Parallel()
	const text = `{"arg":{"channel":"books","instId":"X-Y"},"action":"snapshot","data":[{"asks":[["3366.8","9","0","3"],["3368","8","0","4"]],"bids":[["3366.1","7","0","3"],["3366","6","0","4"]],"ts":"1","checksum":-1881014294}]}`
	r := newReader(t)
	r.frame([]byte(text)) // the venue's own example: 3366.1:7:3366.8:9:3366:6:3368:8
	damaged := strings.Replace(text, `["3366","6"`, `["3366","5"`, 1)
	units, _, err := r.decoder.Decode(nil, []byte(damaged), stamp)
	if err != nil {
		t.Fatal(err)
	}
	r.books[0].Snapshot(units, r)
	if state, reason := r.books[0].State(); state == book.Valid || reason != tick.ReasonChecksum {
		t.Errorf("%v, %v", state, reason)
	}
}

// The single messages that people have collected.
func TestSamples(t *testing.T) {
	t.Parallel()
	f := func(file string, want tick.Kind, check func(u []tick.Unit) bool) {
		t.Helper()
		r := newReader(t)
		text := compact(t, sample(t, "nautilus", "okx", file))
		if want == 0 {
			if r.frame(text); r.notices[feeds.NoticeIgnored] != 1 {
				t.Errorf("%s: %v", file, r.notices)
			}
			return
		}
		units, _, err := r.decoder.Decode(nil, text, stamp)
		if err != nil || fault(units) != nil {
			t.Fatalf("%s: %v, %v", file, err, fault(units))
		}
		if units[0].KindOf() == tick.KindRescale {
			units = units[1:]
		}
		if units[0].KindOf() != want || !check(units) {
			t.Errorf("%s: kind %d, %v", file, units[0].KindOf(), units[0])
		}
	}
	f("ws_bbo_tbt.json", tick.KindQuote, func(u []tick.Unit) bool {
		l := tick.Levels(u)
		return u[0].Depth().LastID == 123456 && l[0] == tick.Level{Price: 847697, Size: 256} && l[1] == tick.Level{Price: 847698, Size: 415}
	})
	f("ws_books_snapshot.json", tick.KindSnapshot, func(u []tick.Unit) bool {
		d := u[0].Depth()
		return d.LastID == 123456 && d.PrevID == 0 && d.Bids == 8 && d.LevelCount == 16 && d.Checksum == 1<<32-855196043
	})
	f("ws_books_update.json", tick.KindDepth, func(u []tick.Unit) bool {
		d := u[0].Depth()
		return d.LastID == 123457 && d.PrevID == 123456 && d.Bids == 8 && d.LevelCount == 16
	})
	f("ws_funding_rate.json", tick.KindMark, func(u []tick.Unit) bool {
		m := u[0].Mark()
		return m.FundingRate == 1 && m.RateDigits == 4 && m.NextFundingSeconds == 1744590349 && m.Mark == tick.Absent
	})
	for _, file := range []string{"ws_candle.json", "ws_tickers.json", "ws_trades.json", "ws_instruments.json"} {
		f(file, 0, nil)
	}
}
