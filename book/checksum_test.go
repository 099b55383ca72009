package book

import (
	"bytes"
	"encoding/json"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"tickproc/internal/testdata"
	"tickproc/tick"
)

// The text that is summed, for a book small enough to write down.
func TestChecksumText(t *testing.T) {
	t.Parallel()
	b := New()
	b.Apply([]tick.Level{{Price: 50, Size: 1050}, {Price: 45, Size: 1200}, {Price: 1000, Size: 70}}, 2)
	f := func(rule tick.SyncRule, text string) {
		t.Helper()
		if got, want := Checksum(&b, rule, 2, 3), crc32.ChecksumIEEE([]byte(text)); got != want {
			t.Errorf("%d, want %d, the sum of %q", got, want, text)
		}
	}
	// 0.50 for 1.050, 0.45 for 1.200; 10.00 for 0.070.
	kraken := tick.SyncRule{Checksum: tick.ChecksumKraken, ChecksumDepth: 10, ChecksumPriceDigits: 2, ChecksumSizeDigits: 3}
	f(kraken, "1000"+"70"+"50"+"1050"+"45"+"1200")
	kraken.ChecksumPriceDigits, kraken.ChecksumSizeDigits = 4, 8
	f(kraken, "100000"+"7000000"+"5000"+"105000000"+"4500"+"120000000")
	kraken.ChecksumPriceDigits, kraken.ChecksumSizeDigits = 1, 2 // coarser than the book's scale
	f(kraken, "100"+"7"+"5"+"105"+"4"+"120")
	kraken.ChecksumDepth = 1
	f(kraken, "100"+"7"+"5"+"105")

	okx := tick.SyncRule{Checksum: tick.ChecksumOKX, ChecksumDepth: 25, ChecksumPriceDigits: 255, ChecksumSizeDigits: 255}
	f(okx, "0.5:1.05:10:0.07:0.45:1.2")
	okx.ChecksumPriceDigits, okx.ChecksumSizeDigits = 2, 3
	f(okx, "0.50:1.050:10.00:0.070:0.45:1.200")
	okx.ChecksumDepth = 1
	f(okx, "0.50:1.050:10.00:0.070")
	b.Clear()
	f(okx, "")

	defer func() {
		if recover() == nil {
			t.Error("a rule without a checksum has one")
		}
	}()
	Checksum(&b, tick.SyncRule{}, 0, 0)
}

// Every checksum of the recorded sessions follows from our scaled integers,
// and a planted error shows at once.
func TestRecordedChecksums(t *testing.T) {
	t.Parallel()
	f := func(name string, messages func(t *testing.T) []wireBook, rule func(first *wireBook) tick.SyncRule, want uint64) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := messages(t)
			checked := replay(t, list, rule)
			t.Logf("%d checksums agree", checked)
			if checked != want {
				t.Errorf("%d checksums agree, want %d", checked, want)
			}
			planted(t, list, rule)
		})
	}
	f("kraken v1", krakenV1, krakenRule(1000), 4269)
	f("okx before seqId", okxRecorded, okxRule, 290)
	f("kraken v2", krakenV2, krakenRule(10), 4)
}

// Today's OKX sends 0 for a checksum; its chain holds all the same.
func TestRecordedChain(t *testing.T) {
	t.Parallel()
	rule := func(*wireBook) tick.SyncRule {
		r := okxRule(nil)
		r.Sequence = tick.SequenceChain
		return r
	}
	messages := okxSample(t)
	if checked := replay(t, messages, rule); checked != 0 {
		t.Errorf("%d checksums", checked)
	}
	books := newBooks(t, messages, rule)
	lost := 3
	for i := range messages {
		if i == lost {
			continue
		}
		books.take(&messages[i])
		if valid := books.syncs["BTC-USDT"].IsValid(); valid != (i < lost) {
			t.Fatalf("message %d of %d, number %d lost: valid %v", i, len(messages), lost, valid)
		}
	}
}

// books are the books of all symbols of a session.
type books struct {
	t      testing.TB
	rule   func(first *wireBook) tick.SyncRule
	scales map[string]scale
	syncs  map[string]*Sync
}

func newBooks(t testing.TB, messages []wireBook, rule func(first *wireBook) tick.SyncRule) *books {
	return &books{t, rule, scales(t, messages), map[string]*Sync{}}
}

func (b *books) take(m *wireBook) *Sync {
	scale := b.scales[m.symbol]
	p := m.packet(b.t, scale)
	s := b.syncs[m.symbol]
	if s == nil {
		s = NewSync(b.rule(m), scale.price, scale.size)
		s.Up()
		b.syncs[m.symbol] = s
	}
	if m.snapshot {
		s.Snapshot(p, ignore{})
	} else {
		s.Delta(p, ignore{})
	}
	return s
}

// replay runs a session, in which no book may ever be wrong, and returns how
// many checksums agreed.
func replay(t *testing.T, messages []wireBook, rule func(first *wireBook) tick.SyncRule) (checked uint64) {
	t.Helper()
	b := newBooks(t, messages, rule)
	for i := range messages {
		s := b.take(&messages[i])
		if _, reason := s.State(); !s.IsValid() {
			t.Fatalf("message %d, %s: invalid for %v", i, messages[i].symbol, reason)
		}
		s.Book.Check()
	}
	for _, s := range b.syncs {
		checked += s.Counts.Checksums
		if s.Unsynced() != 0 || s.Counts.Gaps != 0 {
			t.Errorf("%+v", s.Counts)
		}
	}
	return checked
}

// planted changes one digit of the best bid of one message in each symbol, and
// expects that very message to be refused, and the next snapshot to mend it.
func planted(t *testing.T, messages []wireBook, rule func(first *wireBook) tick.SyncRule) {
	t.Helper()
	clean, bad := newBooks(t, messages, rule), newBooks(t, messages, rule)
	done := map[string]bool{}
	for i := range messages {
		m := messages[i]
		best := clean.take(&m).Book.Bids.Best().Price
		at := -1
		for j, l := range m.bids {
			price, _ := tick.ParseScaled([]byte(l.price), clean.scales[m.symbol].price)
			if price == best {
				at = j
			}
		}
		if done[m.symbol] || m.snapshot || at < 0 || m.checksum == 0 {
			if !done[m.symbol] {
				bad.take(&m)
			}
			continue
		}
		corrupt := m
		corrupt.bids = append([]wireLevel(nil), m.bids...)
		digit := strings.TrimRight(corrupt.bids[at].size, "0.")
		last := digit[len(digit)-1]
		corrupt.bids[at].size = digit[:len(digit)-1] + string('1'+(last-'0')%9) + corrupt.bids[at].size[len(digit):]
		s := bad.take(&corrupt)
		if _, reason := s.State(); s.IsValid() || reason != tick.ReasonChecksum {
			t.Errorf("%s: size %s for %s went unnoticed", m.symbol, corrupt.bids[at].size, m.bids[at].size)
		}
		if _, owed := s.TakeResync(); !owed {
			t.Errorf("%s: no resync is owed", m.symbol)
		}
		done[m.symbol] = true
	}
	if len(done) < len(clean.syncs)*2/3 {
		t.Errorf("only %d of %d symbols had a message about their best bid", len(done), len(clean.syncs))
	}
}

// krakenRule: the digits of the wire are fixed for each pair; the first
// snapshot shows them.
func krakenRule(depth uint16) func(first *wireBook) tick.SyncRule {
	digits := func(text string) uint8 {
		_, fraction, _ := strings.Cut(text, ".")
		return uint8(len(fraction))
	}
	return func(first *wireBook) tick.SyncRule {
		return tick.SyncRule{Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceNone, Checksum: tick.ChecksumKraken, ChecksumDepth: 10,
			ChecksumPriceDigits: digits(first.bids[0].price), ChecksumSizeDigits: digits(first.bids[0].size), Truncate: depth}
	}
}

func okxRule(*wireBook) tick.SyncRule {
	return tick.SyncRule{Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceNone, Checksum: tick.ChecksumOKX, ChecksumDepth: 25,
		ChecksumPriceDigits: shortestDigits, ChecksumSizeDigits: shortestDigits}
}

// krakenV1 reads [channel, {…}, {…}, "book-1000", "XBT/USD"].
func krakenV1(t *testing.T) (out []wireBook) {
	for _, frame := range frames(t, "kraken-sample.gz", "") {
		var parts []json.RawMessage
		if !strings.HasPrefix(frame, "[") || !strings.Contains(frame, `"book-`) {
			continue
		}
		decode(t, []byte(frame), &parts)
		var m wireBook
		decode(t, parts[len(parts)-1], &m.symbol)
		for _, part := range parts[1 : len(parts)-2] {
			var body struct {
				As, Bs, A, B [][]string
				C            string
			}
			decode(t, part, &body)
			m.snapshot = m.snapshot || body.As != nil
			m.asks = append(append(m.asks, texts(body.As)...), texts(body.A)...)
			m.bids = append(append(m.bids, texts(body.Bs)...), texts(body.B)...)
			if body.C != "" {
				sum, err := strconv.ParseUint(body.C, 10, 32)
				if err != nil {
					t.Fatal(err)
				}
				m.checksum = uint32(sum)
			}
		}
		out = append(out, m)
	}
	return out
}

// krakenV2 reads numbers as their text, which the checksum is over.
func krakenV2(t *testing.T) (out []wireBook) {
	for _, line := range sample(t, "kraken_book.jsonl") {
		type level struct{ Price, Qty json.Number }
		var body struct {
			Channel, Type string
			Data          []struct {
				Symbol     string
				Bids, Asks []level
				Checksum   uint32
			}
		}
		if !bytes.Contains(line, []byte(`"channel":"book","type"`)) {
			continue
		}
		decode(t, line, &body)
		list := func(in []level) (out []wireLevel) {
			for _, l := range in {
				out = append(out, wireLevel{l.Price.String(), l.Qty.String()})
			}
			return out
		}
		for _, d := range body.Data {
			out = append(out, wireBook{symbol: d.Symbol, snapshot: body.Type == "snapshot", bids: list(d.Bids), asks: list(d.Asks), checksum: d.Checksum})
		}
	}
	return out
}

func okxRecorded(t *testing.T) (out []wireBook) {
	for _, frame := range frames(t, "okx-sample.gz", "") {
		out = append(out, okx(t, []byte(frame))...)
	}
	return out
}

func okxSample(t *testing.T) (out []wireBook) {
	for _, line := range sample(t, "okx_books.jsonl") {
		out = append(out, okx(t, line)...)
	}
	if len(out) != 7 {
		t.Fatalf("%d messages", len(out))
	}
	return out
}

func okx(t *testing.T, frame []byte) (out []wireBook) {
	var body struct {
		Arg    struct{ Channel, InstID string }
		Action string
		Data   []struct {
			Asks, Bids       [][]string
			Checksum         int32
			SeqID, PrevSeqID int64
		}
	}
	if !bytes.Contains(frame, []byte(`"channel":"books"`)) || !bytes.Contains(frame, []byte(`"action"`)) {
		return nil
	}
	decode(t, frame, &body)
	for _, d := range body.Data {
		out = append(out, wireBook{symbol: body.Arg.InstID, snapshot: body.Action == "snapshot", bids: texts(d.Bids), asks: texts(d.Asks),
			checksum: uint32(d.Checksum), last: uint64(d.SeqID), prev: uint64(d.PrevSeqID)})
	}
	return out
}

func texts(rows [][]string) (out []wireLevel) {
	for _, row := range rows {
		out = append(out, wireLevel{row[0], row[1]})
	}
	return out
}

// sample reads the lines of a file of single messages.
func sample(t *testing.T, name string) [][]byte {
	t.Helper()
	all, err := os.ReadFile(filepath.Join(testdata.Dir(t), "samples", "wire-2026", name))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(all), []byte("\n"))
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
}
