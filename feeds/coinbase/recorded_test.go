package coinbase

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tickproc/book"
	"tickproc/feeds"
	"tickproc/internal/testdata"
	"tickproc/tick"
)

// reader decodes frames of one socket and says what they hold.
type reader struct {
	t       *testing.T
	table   *feeds.Table
	decoder feeds.Decoder
	digits  map[uint32][2]uint8
	symbols []string
	ordinal uint64
}

func newReader(t *testing.T) *reader {
	r := &reader{t: t, table: feeds.NewTable(nil), digits: map[uint32][2]uint8{}}
	r.table.Discover = func(symbol string) *feeds.Entry {
		r.symbols = append(r.symbols, symbol)
		return &feeds.Entry{Symbol: symbol, ID: uint32(len(r.symbols) - 1)}
	}
	r.decoder = adapter{}.NewDecoder(nil, r.table)
	return r
}

func (r *reader) units(frame []byte) ([]tick.Unit, feeds.Notice) {
	r.t.Helper()
	r.ordinal++
	units, notice, err := r.decoder.Decode(nil, frame, feeds.Stamp{Ordinal: r.ordinal, ReceiveNanos: 1_800_000_000_000_000_000})
	if err != nil {
		r.t.Fatalf("%.300s: %v", frame, err)
	}
	wellFormed(r.t, units)
	return units, notice
}

// said puts the packets of a frame, or its notice, into words.
func (r *reader) said(frame []byte) (lines []string) {
	r.t.Helper()
	units, notice := r.units(frame)
	switch notice.Kind {
	case feeds.NoticeNone:
	case feeds.NoticeAck:
		lines = append(lines, fmt.Sprintf("ack %d", notice.Request))
	case feeds.NoticePong:
		lines = append(lines, "heartbeat")
	case feeds.NoticeIgnored:
		lines = append(lines, "ignored")
	default:
		lines = append(lines, fmt.Sprintf("%+v", notice))
	}
	for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
		u := &units[0]
		h := u.Header()
		d := r.digits[h.Instrument]
		level := func(price, size int64) string {
			return tick.Number{Mantissa: size, Digits: d[1]}.String() + "@" + tick.Number{Mantissa: price, Digits: d[0]}.String()
		}
		switch h.Kind {
		case tick.KindRescale:
			r.digits[h.Instrument] = [2]uint8{u.Rescale().PriceDigits, u.Rescale().SizeDigits}
		case tick.KindTrade:
			side := "buy"
			if h.Flags&tick.FlagSell != 0 {
				side = "sell"
			}
			tr := u.Trade()
			lines = append(lines, fmt.Sprintf("trade %s %d %s %s %d", r.symbols[h.Instrument], tr.ID.Lo, side, level(tr.Price, tr.Size), h.ExchangeNanos))
		default:
			kind := map[tick.Kind]string{tick.KindDepth: "depth", tick.KindSnapshot: "snapshot", tick.KindQuote: "quote"}[h.Kind]
			depth := u.Depth()
			var sides [2][]string
			for i, l := range tick.Levels(units) {
				side := 0
				if i >= int(depth.Bids) {
					side = 1
				}
				sides[side] = append(sides[side], level(l.Price, l.Size))
			}
			lines = append(lines, fmt.Sprintf("%s %s %v %v %d", kind, r.symbols[h.Instrument], sides[0], sides[1], h.ExchangeNanos))
		}
	}
	return lines
}

func wireFrames(t testing.TB) [][]byte {
	text, err := os.ReadFile(filepath.Join(testdata.Dir(t), "samples", "wire-2026", "coinbase_l2.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(text), []byte("\n"))
}

// The frames of a socket that subscribed one book, in the order in which they
// came: the whole book first, changes, and among them the acknowledgement.
func TestWireSamples2026(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	var got []string
	for _, frame := range wireFrames(t) {
		got = append(got, r.said(frame)...)
	}
	want := []string{
		"snapshot BTC-USD [0.04761770@78856.05 0.00050725@78855.79 0.02540066@78855.47 0.00239740@78854.48 0.02536318@78854.47 0.02500000@78854.21" +
			" 0.20000000@78854.10 0.00405802@78854.08 0.28996612@78854.04 0.20000000@78853.90 0.00008623@78852.23 0.00254826@78851.65 0.27901289@78851.47" +
			" 0.15734478@78851.21 0.04022929@78850.94]" +
			" [0.08011580@78856.06 0.28811070@78857.75 0.27901289@78857.76 0.16657159@78859.51 0.27901289@78860.90 0.00000150@78861.99 0.10194845@78863.39" +
			" 0.06000000@78863.43 0.00001400@78863.68 0.25735355@78864.53 0.15206508@78864.54 0.27901289@78864.56 0.55891093@78867.01 0.27901289@78867.02" +
			" 0.01004400@78867.10] 1787610853483122000",
		"ignored",
		"depth BTC-USD [0.04868907@78856.05] [0.08011579@78856.06] 1787610853592233000",
		"ack 0",
		"ignored",
		"depth BTC-USD [] [0.18983152@78856.06 0.02536216@78857.64 0.17851070@78857.75] 1787610853685628000",
		"ignored",
		"depth BTC-USD [0.00239740@78855.80 0.10195826@78855.79 0.00000000@78854.48] [0.18983151@78856.06] 1787610853788063000",
		"depth BTC-USD [] [0.18983150@78856.06] 1787610853848009000",
		"ignored",
		"depth BTC-USD [0.04868904@78856.05] [0.08023150@78856.06] 1787610853947268000",
		"depth BTC-USD [] [0.08023149@78856.06] 1787610854005584000",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestMessageSamples(t *testing.T) {
	t.Parallel()
	f := func(file string, want ...string) {
		t.Helper()
		frame, err := os.ReadFile(filepath.Join(testdata.Dir(t), "samples", "nautilus", "coinbase", file))
		if err != nil {
			t.Fatal(err)
		}
		if got := newReader(t).said(frame); !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", file, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	f("ws_l2_data_snapshot.json", "snapshot BTC-USD [1.50@68900.0 0.75@68899.5 2.30@68899.0] [0.50@68901.0 1.20@68901.5 0.80@68902.0] 1775572200123456000")
	f("ws_l2_data_update.json", "depth BTC-USD [2@68900] [0@68901] 1775572201456789000")
	f("ws_market_trades.json", "trade BTC-USD 995098700 sell 0.0015@68900.5 1775572202789012000", "trade BTC-USD 995098701 buy 0.0500@68900.0 1775572202800000000")
	f("ws_ticker.json", "quote BTC-USD [1.5@68900] [0.5@68901] 1775572203000000000")
	f("ws_subscriptions.json", "ack 0")
	f("ws_heartbeats.json", "heartbeat")
	f("ws_candles.json", "ignored")
}

// The recorded changes lead the recorded book to the book that the frames
// imply, level by level.
func TestRecordedBookJoins(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	sync := book.NewSync(syncRule, 0, 0)
	sync.Up()
	applied := &listener{}
	for _, frame := range wireFrames(t) {
		units, notice := r.units(frame)
		if notice.Kind == feeds.NoticeGap {
			t.Fatalf("%.100s: %+v", frame, notice)
		}
		for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
			p := units[:tick.PacketUnits(&units[0])]
			switch p[0].KindOf() {
			case tick.KindSnapshot:
				sync.Snapshot(p, applied)
			case tick.KindDepth:
				sync.Delta(p, applied)
			}
		}
	}
	if !sync.IsValid() || sync.Counts.Applied != 6 || applied.deltas != 7 || sync.Counts.SnapshotsApplied != 1 || sync.Counts.Unsynced != 0 || sync.Counts.Gaps != 0 {
		t.Fatalf("valid %v, %+v", sync.IsValid(), sync.Counts)
	}
	top := func(side interface{ CopyBest([]tick.Level) int }) []tick.Level {
		levels := make([]tick.Level, 4)
		return levels[:side.CopyBest(levels)]
	}
	// 78854.48 left, 78855.8 and 78857.64 came.
	bids := []tick.Level{{Price: 7885605, Size: 4868904}, {Price: 7885580, Size: 239740}, {Price: 7885579, Size: 10195826}, {Price: 7885547, Size: 2540066}}
	asks := []tick.Level{{Price: 7885606, Size: 8023149}, {Price: 7885764, Size: 2536216}, {Price: 7885775, Size: 17851070}, {Price: 7885776, Size: 27901289}}
	if b, a := top(&sync.Book.Bids), top(&sync.Book.Asks); !slices.Equal(b, bids) || !slices.Equal(a, asks) || sync.Book.Bids.Len() != 15 || sync.Book.Asks.Len() != 16 {
		t.Errorf("bids %v (%d)\nasks %v (%d)", b, sync.Book.Bids.Len(), a, sync.Book.Asks.Len())
	}
}

// listener counts the messages that changed the book, the whole book too.
type listener struct{ deltas int }

func (l *listener) BeforeDelta(*tick.Depth) {}
func (l *listener) AfterDelta(*tick.Depth)  { l.deltas++ }

// Without any one of the recorded frames the next one tells of a loss; a frame
// that comes twice changes nothing; two that change places are a loss, and
// late.
func TestRecordedFaultsAreNoticed(t *testing.T) {
	t.Parallel()
	frames := wireFrames(t)
	gaps := func(order []int) (gaps []feeds.Notice, said int) {
		r := newReader(t)
		for _, i := range order {
			units, notice := r.units(frames[i])
			if notice.Kind == feeds.NoticeGap {
				gaps = append(gaps, notice)
			}
			for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
				if units[0].KindOf() != tick.KindRescale {
					said++
				}
			}
		}
		return gaps, said
	}
	var all []int
	for i := range frames {
		all = append(all, i)
	}
	none, everything := gaps(all)
	if none != nil || everything != 7 {
		t.Fatalf("%v, %d packets", none, everything)
	}
	one := []feeds.Notice{{Kind: feeds.NoticeGap, Lost: 1}}
	for i := 1; i < len(all)-1; i++ {
		if got, _ := gaps(slices.Delete(slices.Clone(all), i, i+1)); !slices.Equal(got, one) {
			t.Errorf("without frame %d: %+v", i, got)
		}
		swapped := slices.Clone(all)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		if got, _ := gaps(swapped); !slices.Equal(got, one) {
			t.Errorf("frame %d behind the next: %+v", i, got)
		}
	}
	for i := range all {
		for j := i + 1; j <= len(all); j++ {
			if got, said := gaps(slices.Insert(slices.Clone(all), j, i)); got != nil || said != everything {
				t.Errorf("frame %d again before %d: %+v, %d packets", i, j, got, said)
			}
		}
	}
}
