package wire

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"tickproc/feeds"
	"tickproc/tick"
)

// levelsOf reads {"SYMBOL":[["price","size"],…],…}: every member a book of bids.
type levelsOf struct {
	Frame
	readings int
}

func (l *levelsOf) Read() {
	l.readings++
	s := &l.Scan
	for more := s.Object(); more; more = s.Next('}') {
		if !l.Lookup(s.Key()) {
			return
		}
		l.Depth.Begin(l.Out, s.Left())
		l.Side()
		l.Out = l.Depth.Finish(tick.Depth{Header: l.At.Header(tick.KindDepth, l.Instrument(), 0)})
	}
	l.Complete()
}

var at = feeds.Stamp{Line: 3, Ordinal: 7, ReceiveNanos: 99}

func newLevels(entries ...*feeds.Entry) *levelsOf {
	l := &levelsOf{}
	table := feeds.NewTable(nil)
	for _, e := range entries {
		table.Add(e)
	}
	l.Init("toy", table)
	return l
}

func (l *levelsOf) run(dst []tick.Unit, text string) ([]tick.Unit, error) {
	units, _, err := l.Run(l, dst, []byte(text), at)
	return units, err
}

// kinds renders packets as "rescale 0 2/1" and "depth 1 [5@10]".
func kinds(units []tick.Unit) (all []string) {
	for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
		switch h := units[0].Header(); h.Kind {
		case tick.KindRescale:
			r := units[0].Rescale()
			all = append(all, fmt.Sprintf("rescale %d %d/%d", h.Instrument, r.PriceDigits, r.SizeDigits))
		default:
			text := fmt.Sprintf("depth %d", h.Instrument)
			for _, level := range tick.Levels(units) {
				text += fmt.Sprintf(" %d@%d", level.Size, level.Price)
			}
			all = append(all, text)
		}
	}
	return all
}

// A frame about several instruments, of which two become finer, is read again
// until all fits; the rescales stand before the data, and are in force after.
func TestSeveralInstrumentsBecomeFiner(t *testing.T) {
	t.Parallel()
	a, b, c := &feeds.Entry{Symbol: "A", ID: 0}, &feeds.Entry{Symbol: "B", ID: 1, PriceDigits: 1}, &feeds.Entry{Symbol: "C", ID: 2}
	l := newLevels(a, b, c)
	units, err := l.run(nil, `{"A":[["1.5","2"]],"B":[["7.2","0.25"]],"C":[["3","4"]],"A":[["2","0.125"]]}`)
	want := []string{"rescale 0 1/3", "rescale 1 1/2", "depth 0 2000@15", "depth 1 25@72", "depth 2 4@3", "depth 0 125@20"}
	if err != nil || !slices.Equal(kinds(units), want) {
		t.Fatalf("%v\n%v\nwant\n%v", err, kinds(units), want)
	}
	if *a != (feeds.Entry{Symbol: "A", PriceDigits: 1, SizeDigits: 3}) || b.SizeDigits != 2 || c.SizeDigits != 0 {
		t.Errorf("scales %+v %+v %+v", a, b, c)
	}
	readings := l.readings
	if units, err = l.run(nil, `{"A":[["1.5","2"]]}`); err != nil || len(kinds(units)) != 1 || l.readings != readings+1 {
		t.Errorf("%v %v in %d readings", kinds(units), err, l.readings-readings)
	}
}

// A frame with a fault leaves nothing: no packets, no scale.
func TestFaultLeavesNothing(t *testing.T) {
	t.Parallel()
	f := func(text string, kind error) {
		t.Helper()
		e := &feeds.Entry{Symbol: "A"}
		l := newLevels(e)
		dst := make([]tick.Unit, 2, 64)
		units, err := l.run(dst, text)
		if !errors.Is(err, kind) || len(units) != 2 || *e != (feeds.Entry{Symbol: "A"}) {
			t.Errorf("%s: %v, %d units, %+v; want %v", text, err, len(units), *e, kind)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
	f(`{"A":[["1.5","2"]]`, feeds.ErrMalformed)
	f(`{"A":[["1.5","2"],["x","1"]]}`, feeds.ErrMalformed)
	f(`{"A":[["1.5"]]}`, feeds.ErrMalformed)
	f(`{"A":[["-1.5","2"]]}`, feeds.ErrMalformed)
	f(`{"A":[["0","2"]]}`, feeds.ErrMalformed)
	f(`{"A":[["1.5","2"]],"Z":[]}`, feeds.ErrUnknownSymbol)
	f(`{"":[]}`, feeds.ErrMalformed)
	f(`{"`+strings.Repeat("A", 1000)+`":[]}`, feeds.ErrMalformed)
	f(`{"A":[["99999999999999999999","2"]]}`, feeds.ErrNumberRange)
	f(`{"A":[["1.5","2"]]} trailing`, feeds.ErrMalformed)
}

// Levels of both sides in any order become bids, then asks, each side in its
// own order, in fragments of no more than tick.MaxLevels.
func TestMixedSides(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 7, tick.MaxLevels - 1, tick.MaxLevels, tick.MaxLevels + 1, 3*tick.MaxLevels + 5} {
		var w DepthWriter
		w.Begin(make([]tick.Unit, 1), 0) // behind a unit that was there
		var bids, asks []tick.Level
		for i := range n {
			l := tick.Level{Price: int64(i + 1), Size: int64(i)}
			ask := i%3 == 0
			if ask {
				asks = append(asks, l)
			} else {
				bids = append(bids, l)
			}
			w.Mixed(ask, l.Price, l.Size)
		}
		head := tick.Depth{LastID: 5}
		head.Kind = tick.KindSnapshot
		units := w.Finish(head)[1:]
		var gotBids, gotAsks []tick.Level
		fragments := 0
		for rest := units; len(rest) > 0; rest = rest[tick.PacketUnits(&rest[0]):] {
			d := rest[0].Depth()
			levels := tick.Levels(rest)
			gotBids, gotAsks = append(gotBids, levels[:d.Bids]...), append(gotAsks, levels[d.Bids:]...)
			first, last := d.Flags&tick.FlagFirst != 0, d.Flags&tick.FlagLast != 0
			if first != (fragments == 0) || last != (len(rest) == tick.PacketUnits(&rest[0])) || d.LastID != 5 || len(levels) > tick.MaxLevels {
				t.Errorf("%d levels: fragment %d: first %v, last %v, %d levels", n, fragments, first, last, len(levels))
			}
			fragments++
		}
		if !slices.Equal(gotBids, bids) || !slices.Equal(gotAsks, asks) || fragments != max(1, (n+tick.MaxLevels-1)/tick.MaxLevels) {
			t.Errorf("%d levels: %d bids, %d asks in %d fragments", n, len(gotBids), len(gotAsks), fragments)
		}
	}
}

// reference reads {"m":…,"i":…,"r":…,"t":seconds}, each optional.
type reference struct{ Frame }

func (r *reference) Read() {
	var out Reference
	s := &r.Scan
	for more := s.Object(); more; more = s.Next('}') {
		switch key := s.Key(); string(key) {
		case "m":
			out.Mark, out.HasMark = r.Number(s.Value()), true
		case "i":
			out.Index, out.HasIndex = r.Number(s.Value()), true
		case "r":
			out.Rate, out.HasRate = r.Number(s.Value()), true
		case "t":
			out.NextFundingNanos = int64(s.Value().Uint) * 1e9
		default:
			r.Strange("mark", key)
			s.Skip()
		}
	}
	if r.Complete() && r.Lookup([]byte("A")) {
		r.Mark(out, 11)
	}
}

// Reference prices keep their own digits, and what is not told is absent.
func TestReference(t *testing.T) {
	t.Parallel()
	table := feeds.NewTable(nil)
	table.Add(&feeds.Entry{Symbol: "A", ID: 4})
	var told strings.Builder
	table.Canary = feeds.NewCanary(slog.New(slog.NewTextHandler(&told, nil)))
	r := &reference{}
	r.Init("toy", table)
	f := func(text string, want tick.Mark) {
		t.Helper()
		units, _, err := r.Run(r, nil, []byte(text), at)
		want.Header = at.Header(tick.KindMark, 4, 11)
		if err != nil || len(units) != 1 || *units[0].Mark() != want {
			t.Errorf("%s: %v %+v, want %+v", text, err, units, want)
		}
	}
	f(`{"m":"5.25","i":"5.3","r":"-0.000125","t":1700000000}`, tick.Mark{Mark: 525, Index: 530, FundingRate: -125, NextFundingSeconds: 1700000000, PriceDigits: 2, RateDigits: 6})
	f(`{"r":1e-4}`, tick.Mark{Mark: tick.Absent, Index: tick.Absent, FundingRate: 1, RateDigits: 4})
	f(`{"i":0.000001,"new":[{"x":1}]}`, tick.Mark{Mark: tick.Absent, Index: 1, FundingRate: tick.Absent, PriceDigits: 6})
	f(`{"t":1,"new":2,"newer":3}`, tick.Mark{Mark: tick.Absent, Index: tick.Absent, FundingRate: tick.Absent, NextFundingSeconds: 1})
	if strings.Count(told.String(), "mark.new\n") != 1 || strings.Count(told.String(), "mark.newer") != 1 {
		t.Errorf("told %s", told.String())
	}
	// Nothing told is no packet.
	if units, _, err := r.Run(r, nil, []byte(`{}`), at); err != nil || len(units) != 0 {
		t.Errorf("%d units, %v", len(units), err)
	}
	if _, _, err := r.Run(r, nil, []byte(`{"m":"10000000000000000000","i":"0.0001"}`), at); !errors.Is(err, feeds.ErrNumberRange) {
		t.Errorf("a number that no int64 holds: %v", err)
	}
}

func TestSideZeroAllocs(t *testing.T) {
	l := newLevels(&feeds.Entry{Symbol: "A", PriceDigits: 2, SizeDigits: 2})
	frame := []byte(`{"A":[["1.5","2"],["1.25","3.75"],[1.5,2,"more"],["1.50000","0"]]}`)
	var units []tick.Unit
	if n := testing.AllocsPerRun(100, func() {
		var err error
		if units, _, err = l.Run(l, units[:0], frame, at); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
