package engine

import (
	"slices"
	"testing"
	"time"

	"tickproc/tick"
)

// A finer number comes: its line says so first, all state follows exactly, and
// the line that knows nothing of it is still understood.
func TestRescale(t *testing.T) {
	t.Parallel()
	tell(t, Options{Intervals: []time.Duration{time.Second}}, "trade bar book quote", `
		 8.0 catalog BTC digits=1/0
			> book BTC 8.000 seq=0 invalid est
			> quote BTC 8.000 seq=0 0x0 0x0 invalid est
		 8.1 depth BTC 1..1 line=2
		 8.1 snapshot BTC 0 99x1 98x1 | 101x1 line=3
			> book BTC 8.100 seq=0 99x1 98x1 | 101x1 est
		10.0 trade BTC 1 100.1x1 line=1
			> book BTC 8.100 seq=1 99x1 98x1 | 101x1
			> trade BTC 10.000 id=1 buy 100.1x1
		10.1 quote BTC 2 99.1x1 101x1 line=2
			> quote BTC 10.100 seq=2 99.1x1 101x1
		10.2 depth BTC 2..2 99.1x1 line=2
		10.3 rescale BTC 2/3 line=1
		10.4 trade BTC 2 100.12x0.001 line=1
			> trade BTC 10.400 id=2 buy 100.12x0.001
		10.5 quote BTC 3 99.1x1 101x1 line=2     // unchanged, though at another scale
		10.6 quote BTC 4 99.2x1 101x1 line=2
			> quote BTC 10.600 seq=4 99.2x1 101x1
		11.0 depth BTC 3..4 99.2x1 line=2
			> book BTC 10.200 seq=2 99.1x1 99x1 98x1 | 101x1
		11.3 tick
			> bar BTC 1s 10.000 100.1 100.12 100.1 100.12 v=1.001 n=100.20012 buy=1.001 sell=0 trades=2 rev=0
		12.3 tick
			> book BTC 11.000 seq=4 99.2x1 99.1x1 99x1 98x1 | 101x1
	`)
}

// What int64 cannot hold ends the instrument, visibly, and shows no number at
// the wrong scale.
func TestRescaleOverflow(t *testing.T) {
	t.Parallel()
	const begin = `
		 8.0 catalog BTC digits=0/0
		 8.1 depth BTC 1..1
		 8.1 snapshot BTC 0 99x1 | 101x1
		10.0 trade BTC 1 100x1
		10.1 quote BTC 1 99x1 101x1
		10.2 depth BTC 2..2 98x1
	`
	f := func(text string) {
		t.Helper()
		s := newStory(t, secondBars, "none")
		s.tell(begin)
		s.kinds = "  "
		s.tell(text)
		if r := s.shard.Reports(0)[0]; r.Valid || r.Reason.String() != "range" || r.Counts.OutOfRange != 1 {
			t.Errorf("%+v", r)
		}
	}
	// State at a scale that it does not fit.
	f(`
		10.3 depth BTC 3..3 97x9000000000
		10.4 rescale BTC 0/18 line=2
			> gap trades BTC 10.000.. range
			> gap quotes BTC 10.100.. range
			> quote BTC 10.400 seq=0 0x0 0x0 invalid est
			> gap depth BTC 10.300.. range
			> book BTC 10.400 seq=0 invalid est
		10.5 trade BTC 2 100x1               // nobody listens any more
		13.0 tick
		finish
	`)
	f(`
		10.3 trade BTC 2 100x9000000000
			> trade BTC 10.300 id=2 buy 100x9000000000
		10.4 rescale BTC 18/0 line=2
			> gap trades BTC 10.300.. range
			> gap quotes BTC 10.100.. range
			> quote BTC 10.400 seq=0 0x0 0x0 invalid est
			> gap depth BTC 10.200.. range
			> book BTC 10.400 seq=0 invalid est
		13.0 tick
	`)
	f(`
		10.3 quote BTC 2 99x9000000000 101x1
			> quote BTC 10.300 seq=2 99x9000000000 101x1
		10.4 rescale BTC 0/10 line=2
			> gap trades BTC 10.000.. range
			> gap quotes BTC 10.300.. range
			> quote BTC 10.400 seq=0 0x0 0x0 invalid est
			> gap depth BTC 10.200.. range
			> book BTC 10.400 seq=0 99x1 98x1 | 101x1 invalid est
		13.0 tick
	`)
	// A packet of a coarse line that does not fit the fine state.
	f(`
		10.3 rescale BTC 0/16 line=2
		10.4 trade BTC 2 100x9000000000
			> gap trades BTC 10.000.. range
			> gap quotes BTC 10.100.. range
			> quote BTC 10.400 seq=0 99x1 101x1 invalid est
			> book BTC 10.200 seq=2 99x1 98x1 | 101x1
			> gap depth BTC 10.200.. range
			> book BTC 10.400 seq=0 99x1 98x1 | 101x1 invalid est
		13.0 tick
	`)
}

// A tape on which one line turns finer, at any moment, while the others stay
// coarse: the same decimals as if all had been fine from the beginning.
func TestRescaledTape(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for range 6 {
		w := newWorld(t, random, everything, define(0, "BTC"))
		w.run(8 * time.Second)
		w.stop()
		packets := packetsOf(w.tape)
		line := uint16(1 + random.IntN(lineCount-1))
		prices, sizes := random.IntN(len(packets)), random.IntN(len(packets)) // when they turn finer
		if random.IntN(2) == 0 {
			prices = sizes
		}
		var fine, mixed []tick.Unit
		price, size := uint8(0), uint8(0) // of the line, on the mixed tape
		for i, p := range packets {
			h := *p[0].Header()
			if h.Kind == tick.KindCatalog {
				mixed = append(mixed, p...)
				def := p[0].Catalog().Definition()
				def.PriceDigits, def.SizeDigits = 2, 3
				q, _ := tick.AppendCatalog(nil, h, def)
				fine = append(fine, q...)
				continue
			}
			if i >= prices && price == 0 || i >= sizes && size == 0 {
				if i >= prices {
					price = 2
				}
				if i >= sizes {
					size = 3
				}
				says := tick.Header{Line: line, Instrument: 0, ReceiveNanos: h.ReceiveNanos}
				mixed = tick.AppendRescale(mixed, says, price, size)
				fine = tick.AppendRescale(fine, says, 2, 3)
			}
			p = slices.Clone(p)
			all := scaled(p, 2, 3)
			if h.Line != line {
				mixed = append(mixed, p...)
			} else {
				if h.Kind == tick.KindTrade && price > 0 && size > 0 {
					all[0].Trade().Price += int64(i % 100)
					all[0].Trade().Size += int64(i % 1000)
				}
				mixed = append(mixed, scaled(all, int(price)-2, int(size)-3)...)
			}
			fine = append(fine, all...)
		}
		if want, got := texts(fine), texts(mixed); !slices.Equal(got, want) {
			t.Errorf("line %d, finer at %d and %d of %d:\n%s", line, prices, sizes, len(packets), diff(want, got))
		}
	}
}

// scaled is the packet with more digits, or fewer where none are lost.
func scaled(p []tick.Unit, price, size int) []tick.Unit {
	p = slices.Clone(p)
	by := func(v *int64, digits int) {
		if digits >= 0 {
			*v *= tick.Pow10(uint8(digits))
		} else {
			*v /= tick.Pow10(uint8(-digits))
		}
	}
	switch p[0].KindOf() {
	case tick.KindTrade:
		by(&p[0].Trade().Price, price)
		by(&p[0].Trade().Size, size)
	case tick.KindDepth, tick.KindSnapshot, tick.KindQuote:
		levels := tick.Levels(p)
		for i := range levels {
			by(&levels[i].Price, price)
			by(&levels[i].Size, size)
		}
	}
	return p
}

// texts applies a tape and returns its rows and commands in words.
func texts(tape []tick.Unit) (all []string) {
	s := NewShard(everything)
	s.Apply(tape)
	s.Finish()
	for _, units := range [][]tick.Unit{s.TakeRows(), s.TakeCommands()} {
		eachRow(units, func(row []tick.Unit) {
			if row[0].KindOf() != tick.KindCatalog {
				all = append(all, rowText(row, "BTC"))
			}
		})
	}
	return all
}
