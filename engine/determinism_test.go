package engine

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tickproc/indicators"
	"tickproc/tick"
)

var everything = Options{Intervals: []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour},
	Windows: []indicators.WindowSpec{{Span: 10 * time.Second, Step: time.Second}, {}}, Nbbo: true}

// manyMarkets is a tape of several instruments under different rules, in the
// order of a capture: by receive time, then by line.
func manyMarkets(t testing.TB, random *rand.Rand, span time.Duration) []tick.Unit {
	var defs []tick.Instrument
	for id, rule := range []string{"spot", "futures", "spot", "spot", "futures"} {
		def := define(uint32(id), string(rune('A'+id)))
		def.Sync = rules[rule]
		def.Base, def.Underlying = underlying(uint32(id)), underlying(uint32(id))
		switch id {
		case 2:
			def.Channels &^= tick.ChannelQuotes
		case 3:
			def.TradeIDs = tick.TradeIDInteger
		}
		defs = append(defs, def)
	}
	w := newWorld(t, random, everything, defs...)
	w.run(span)
	w.stop()
	return inOrder(w.tape)
}

// underlying is shared by A and D, and by B and E: their quotes are consolidated.
func underlying(id uint32) string { return string(rune('A' + id%3)) }

func inOrder(tape []tick.Unit) []tick.Unit {
	packets := packetsOf(tape)
	slices.SortStableFunc(packets, func(a, b []tick.Unit) int {
		x, y := a[0].Header(), b[0].Header()
		return cmp.Or(cmp.Compare(x.ReceiveNanos, y.ReceiveNanos), cmp.Compare(x.Line, y.Line))
	})
	return slices.Concat(packets...)
}

func packetsOf(tape []tick.Unit) (all [][]tick.Unit) {
	eachRow(tape, func(p []tick.Unit) { all = append(all, p) })
	return all
}

// outcome is all that comes of a tape: the bytes of each instrument's rows, in
// order, and the state in the end.
type outcome struct {
	rows      map[uint32][]byte
	positions []tick.PositionRow
	known     int // definitions that are told again
	hash      uint64
}

func (o *outcome) add(rows []tick.Unit) {
	if o.rows == nil {
		o.rows = map[uint32][]byte{}
	}
	eachRow(rows, func(row []tick.Unit) {
		if row[0].KindOf() == tick.RowPosition {
			o.positions = append(o.positions, *row[0].PositionRow())
			return
		}
		if row[0].KindOf() == tick.KindCatalog && row[0].Header().Flags&tick.FlagKnown != 0 {
			o.known++
			return
		}
		id := row[0].RowHeader().Instrument
		if row[0].KindOf() == tick.KindCatalog {
			id = row[0].Header().Instrument
		}
		for _, u := range row {
			for _, word := range u {
				o.rows[id] = binary.LittleEndian.AppendUint64(o.rows[id], word)
			}
		}
	})
}

func (o *outcome) mustBe(t *testing.T, what string, want outcome) {
	t.Helper()
	if len(o.rows) != len(want.rows) || len(want.rows) == 0 {
		t.Fatalf("%s: rows of %d instruments, want %d", what, len(o.rows), len(want.rows))
	}
	for id, rows := range want.rows {
		if !bytes.Equal(rows, o.rows[id]) {
			t.Errorf("%s: other rows of instrument %d", what, id)
		}
	}
	if o.hash != want.hash {
		t.Errorf("%s: another state", what)
	}
}

// outcomeOf applies a tape in batches of so many packets.
func outcomeOf(tape []tick.Unit, batch func() int) outcome {
	var o outcome
	s := NewShard(everything)
	for packets := packetsOf(tape); len(packets) > 0; {
		n := min(batch(), len(packets))
		s.Apply(slices.Concat(packets[:n]...))
		o.add(s.TakeRows())
		packets = packets[n:]
	}
	s.Finish()
	o.add(s.TakeRows())
	o.hash = s.StateHash()
	return o
}

func consolidatedRows(tape []tick.Unit) (n int) {
	s := NewShard(everything)
	s.Apply(tape)
	eachRow(s.TakeRows(), func(row []tick.Unit) {
		if row[0].KindOf() == tick.RowNbbo {
			n++
		}
	})
	return n
}

// Neither the size of batches nor the number of shards changes a row.
func TestSameTapeSameBytes(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	tape := manyMarkets(t, random, 30*time.Second)
	one := func() int { return 1 }
	want := outcomeOf(tape, one)
	if n := consolidatedRows(tape); n < 100 {
		t.Fatalf("%d consolidated rows", n)
	}
	f := func(what string, batch func() int) {
		t.Helper()
		got := outcomeOf(tape, batch)
		got.mustBe(t, what, want)
	}
	f("again", one)
	f("by 7", func() int { return 7 })
	f("by some", func() int { return 1 + random.IntN(300) })
	f("at once", func() int { return len(tape) })
	for shards := uint32(2); shards <= 4; shards++ {
		var got outcome
		for shard := range shards {
			// Each gets what is about its own instruments, and all of the time.
			var part []tick.Unit
			for _, p := range packetsOf(tape) {
				if h := p[0].Header(); h.Kind == tick.KindTick || h.Instrument%3%shards == shard {
					part = append(part, p...)
				}
			}
			o := outcomeOf(part, func() int { return 1 + random.IntN(20) })
			for id, rows := range o.rows {
				if got.rows == nil {
					got.rows = map[uint32][]byte{}
				}
				got.rows[id] = rows
			}
			got.hash += o.hash
		}
		got.mustBe(t, "shards", want)
	}
}

// The state's hash tells apart what will go on differently.
func TestStateHash(t *testing.T) {
	t.Parallel()
	f := func(a, b string) {
		t.Helper()
		const begin = `
			 8.0 catalog BTC
			 8.0 depth BTC 1..1
			 8.0 snapshot BTC 0 99x1 | 101x1
			 9.0 trade BTC 5 100x1
			 9.0 quote BTC 1 99x1 101x1
			 9.0 catalog two base=BTC channels=quotes+funding+open_interest+liquidations`
		var hashes [2]uint64
		for i, text := range []string{a, b} {
			s := newStory(t, everything, "none")
			s.tell(begin)
			s.tell(text)
			hashes[i] = s.shard.StateHash()
		}
		if same := a == b; (hashes[0] == hashes[1]) != same {
			t.Errorf("%s and %s: %x", a, b, hashes)
		}
	}
	f("", "")
	f("9.1 trade BTC 6 100x1", "9.1 trade BTC 6 100x2")
	f("9.1 trade BTC 7 100x1\n9.2 trade BTC 6 100x1 @9.1", "9.1 trade BTC 6 100x1\n9.2 trade BTC 7 100x1 @9.1")
	f("9.1 down BTC trades silence", "9.1 down BTC trades disconnect")
	f("9.1 quote BTC 1 99x1 101x1", "9.1 quote BTC 1 99x1 101x2")
	f("9.1 quote BTC 5 99x1 101x1", "9.2 quote BTC 5 99x1 101x1 @9.1")                                                    // stale later
	f("9.1 quote BTC 5 99x1 101x1\n9.2 quote BTC 6 99x1 101x1", "9.1 quote BTC 5 99x1 101x1\n9.2 quote BTC 7 99x1 101x1") // meets another delta
	f("9.1 depth BTC 2..2 98x1", "9.1 depth BTC 2..2 98x2")
	f("9.1 depth BTC 2..2 98x1", "9.2 depth BTC 2..2 98x1 @9.1") // silent later
	f("9.1 up BTC depth line=2\n9.2 depth BTC 3..3", "9.1 up BTC depth line=2\n9.2 depth BTC 3..3 line=2")
	f("9.1 up BTC depth line=2\n9.1 depth BTC 3..3", "9.1 up BTC depth line=2\n9.1 depth BTC 3..3 98x1")
	f("9.1 up BTC quotes line=2", "9.1 up BTC trades line=2")
	f("9.1 rescale BTC 0/0 line=2", "9.1 rescale BTC 0/0")
	f("9.1 rescale BTC 1/0 line=2", "9.1 rescale BTC 0/1 line=2")
	f("9.1 mark two mark=1", "9.1 mark two mark=2")
	f("9.1 mark two mark=1", "9.1 mark two index=1")
	f("9.1 mark two next=100.0", "9.1 mark two next=200.0")
	f("9.1 interest two 1", "9.1 interest two 1.5")
	f("9.1 forced two 100x1", "9.1 forced two 100x1 @9.2") // the next of these times is the second of one of them
	f("9.1 status two halted", "9.1 status two trading")
	f("9.1 catalog two contract=2", "9.1 catalog two contract=3")
	f("9.1 catalog two tick=2", "9.1 catalog two lot=2")
	f("9.1 quote two 1 99x2 101x1", "9.2 quote two 1 99x2 101x1 @9.1")                                                    // counts for longer
	f("9.1 quote two 1 98x1 101x1\n9.2 quote two 2 99x1 101x1", "9.1 quote two 1 99x1 101x1\n9.2 quote two 2 99x1 101x1") // what was written last, and when
}

// Names are no state: another capture of the same market gives other numbers to
// lines, instruments and frames.
func TestStateHashKnowsNoNames(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	tape := packetsOf(manyMarkets(t, random, 5*time.Second))
	one, other := NewShard(everything), NewShard(everything)
	for i, p := range tape {
		one.Apply(p)
		p = slices.Clone(p)
		h := p[0].Header()
		if h.Line, h.Ordinal = h.Line*7+3, uint64(i); h.Kind != tick.KindTick {
			h.Instrument += 5
		}
		other.Apply(p)
		if i%50 == 0 && one.StateHash() != other.StateHash() {
			t.Fatalf("after packet %d: another hash", i)
		}
	}
}
