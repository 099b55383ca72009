package indicators

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tickproc/tick"
)

const (
	second = int64(time.Second)
	milli  = int64(time.Millisecond)
)

// noon is where the hand-written examples begin: 2024-08-08 12:00 UTC.
var noon = time.Date(2024, 8, 8, 12, 0, 0, 0, time.UTC).UnixNano()

// parse reads rows back from units.
func parse(t testing.TB, units []tick.Unit) (bars []tick.BarRow, windows []tick.WindowRow) {
	t.Helper()
	for len(units) > 0 {
		switch units[0].KindOf() {
		case tick.RowBar:
			bars = append(bars, *units[0].BarRow())
		case tick.RowWindow:
			windows = append(windows, *units[0].WindowRow())
		default:
			t.Fatalf("row of kind %d", units[0].KindOf())
		}
		units = units[tick.PacketUnits(&units[0]):]
	}
	return bars, windows
}

// text shows rows one a line:
//
//	bar 12:00:00 open high low close volume=buy+sell notional n=trades rev [final] [complete]
//	window 12:00:01 volume notional n=trades rev [final] [complete]
func text(t testing.TB, units []tick.Unit) string {
	t.Helper()
	clock := func(nanos int64) string { return time.Unix(0, nanos).UTC().Format("15:04:05.999999999") }
	flags := func(f tick.RowFlags) string {
		var s string
		if f&tick.RowFinal != 0 {
			s += " final"
		}
		if f&tick.RowComplete != 0 {
			s += " complete"
		}
		return s
	}
	var lines []string
	bars, windows := parse(t, units)
	for _, r := range bars {
		lines = append(lines, fmt.Sprintf("bar %s %d %d %d %d %v=%v+%v %v n=%d rev%d%s", clock(r.TsNanos), r.Open, r.High, r.Low, r.Close,
			r.Volume.Big(), r.BuyVolume.Big(), r.SellVolume.Big(), r.Notional.Big(), r.Trades, r.Rev, flags(r.Flags)))
	}
	for _, r := range windows {
		lines = append(lines, fmt.Sprintf("window %s %v %v n=%d rev%d%s", clock(r.TsNanos), r.Volume.Big(), r.Notional.Big(), r.Trades, r.Rev, flags(r.Flags)))
	}
	return strings.Join(lines, "\n")
}

// story drives one indicator by hand, in milliseconds after noon.
type story struct {
	t        *testing.T
	in       Indicator
	coverage *Coverage
	ids      uint64
}

func newStory(t *testing.T, spec Spec) *story {
	t.Helper()
	if err := spec.Validate(); err != nil {
		t.Fatal(err)
	}
	coverage := new(Coverage)
	return &story{t: t, in: spec.New(coverage), coverage: coverage}
}

func at(ms int64) int64 { return noon + ms*milli }

// trade buys; a negative size is a sale.
func (s *story) trade(ms, price, size int64) {
	s.ids++
	s.tradeID(ms, s.ids, price, size)
}

func (s *story) tradeID(ms int64, id uint64, price, size int64) {
	s.in.Trade(&Trade{TsNanos: at(ms), ID: tick.ID{Lo: id}, Price: price, Size: max(size, -size), Sell: size < 0})
}

func (s *story) same(what string, out *Out, want []string) {
	s.t.Helper()
	if got := text(s.t, out.Rows); got != strings.Join(want, "\n") {
		s.t.Errorf("%s gave\n%s\nwant\n%s", what, got, strings.Join(want, "\n"))
	}
}

// advance says what must come at that venue time.
func (s *story) advance(ms int64, want ...string) {
	s.t.Helper()
	var out Out
	s.in.Advance(at(ms), &out)
	s.same(fmt.Sprintf("Advance(%d ms)", ms), &out, want)
}

func (s *story) revise(from, to int64, want ...string) {
	s.t.Helper()
	var out Out
	s.in.Revise(at(from), at(to), &out)
	s.same(fmt.Sprintf("Revise(%d, %d ms)", from, to), &out, want)
}

func (s *story) finish(want ...string) {
	s.t.Helper()
	var out Out
	s.in.Finish(&out)
	s.same("Finish", &out, want)
}

func (s *story) deadline(ms int64) {
	s.t.Helper()
	if got := s.in.Deadline(); got != at(ms) {
		s.t.Errorf("deadline %d ms, want %d", (got-noon)/milli, ms)
	}
}

func (s *story) deadlineIs(want int64) {
	s.t.Helper()
	if got := s.in.Deadline(); got != want {
		s.t.Errorf("deadline %d, want %d", got, want)
	}
}

// The header of a row carries what the caller said of it.
func TestRowHeaders(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds {
		in := kind.Default.New(new(Coverage))
		in.Trade(&Trade{TsNanos: noon, Price: 5, Size: 1})
		out := Out{Instrument: 7, PriceDigits: 2, SizeDigits: 3, NowNanos: 99}
		in.Finish(&out)
		h := *out.Rows[0].RowHeader()
		if h.Instrument != 7 || h.PriceDigits != 2 || h.SizeDigits != 3 || h.ReceiveNanos != 99 || h.Source != tick.TimeExchange || h.Ord != 0 {
			t.Errorf("%s: header %+v", kind.Name, h)
		}
	}
}

// Rows go behind those that the caller collected already.
func TestRowsAreAppended(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds {
		in := kind.Default.New(new(Coverage))
		in.Trade(&Trade{TsNanos: noon, Price: 5, Size: 1})
		var once Out
		in.Finish(&once)
		twice := Out{Rows: slices.Clone(once.Rows)}
		in.Finish(&twice)
		if !slices.Equal(twice.Rows, append(slices.Clone(once.Rows), once.Rows...)) {
			t.Errorf("%s: a second Finish did not append the same rows", kind.Name)
		}
	}
}
