package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tickproc/tick"
)

// The book after the last message before each boundary, keyed by it.
func TestSamples(t *testing.T) {
	t.Parallel()
	const begin = `
		 9.0 catalog BTC channels=depth+quotes
		 9.0 depth BTC 1..1 99x1
		 9.0 snapshot BTC 0 | 101x1
	`
	f := func(options Options, text string) {
		t.Helper()
		s := newStory(t, options, "none")
		s.tell(begin)
		s.kinds = " book "
		s.tell(text)
	}
	f(Options{}, `
		 9.5 depth BTC 2..2 99x2
		 9.999 depth BTC 3..3 99x3
		10.0 depth BTC 4..4 99x4         // on the boundary: of the next second
			> book BTC 9.999 seq=3 99x3 | 101x1
		10.5 depth BTC 5..5 99x5
		11.249 tick
		11.25 tick                       // nobody else writes it
			> book BTC 10.500 seq=5 99x5 | 101x1
		12.0 depth BTC 6..6 99x6
		12.1 depth BTC 7..7 99x5
		13.5 depth BTC 8..8 97x1         // 12.1 left nothing changed since 10.5
		15.0 depth BTC 9..9 97x2
			> book BTC 13.500 seq=8 99x5 97x1 | 101x1
	`)
	// The timer may be told to wait longer for the message that writes the row.
	f(Options{BookGrace: 2 * time.Second}, `
		10.5 depth BTC 2..2 99x2
			> book BTC 9.000 seq=1 99x1 | 101x1
		12.9 depth BTC 3..3 99x3
			> book BTC 10.500 seq=2 99x2 | 101x1
		14.999 tick
		15.0 tick
			> book BTC 12.900 seq=3 99x3 | 101x1
	`)
	// Beyond the depth that is sampled nothing changes.
	f(Options{BookDepth: 1}, `
		10.5 depth BTC 2..2 98x2 | 102x1
			> book BTC 9.000 seq=1 99x1 | 101x1
		11.5 depth BTC 3..3 98x3
		12.5 depth BTC 4..4 99x3
		13.5 depth BTC 5..5 98x0
			> book BTC 12.500 seq=4 99x3 | 101x1
	`)
	// At equal times and ids, ordinals tell rows apart.
	f(Options{BookOnChange: true}, `
		10.5 depth BTC 2..2 99x2
			> book BTC 10.500 seq=2 99x2 | 101x1
		10.5 depth BTC 3..3 99x2
		10.5 depth BTC 4..4 99x3
			> book BTC 10.500 seq=4 99x3 | 101x1
	`)
	s := newStory(t, Options{BookOnChange: true}, "book")
	s.tell(`
		 9.0 catalog BTC channels=depth rule=images
			> book BTC 9.000 seq=0 invalid est
		10.5 depth BTC 0..0 99x1
			> book BTC 10.500 seq=0 99x1
			> book BTC 10.500000001 seq=0 99x1 est
		10.5 depth BTC 0..0 99x2
			> book BTC 10.500 seq=0 99x2 ord=1
		10.5 depth BTC 0..0 99x2
		10.5 depth BTC 0..0 99x3
			> book BTC 10.500 seq=0 99x3 ord=2
		10.6 depth BTC 0..0 99x3
	`)
}

// The same rows come of the same messages: written by the next message or by
// the clock, from deltas as they came or from those that waited for a snapshot.
func TestSamplesAreTheSame(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for range 20 {
		world := newWorld(t, random, Options{})
		m := &market{w: world, def: define(0, "BTC"), books: []truthBook{{bids: []tick.Level{{Price: 1000, Size: 5}}, asks: []tick.Level{{Price: 1010, Size: 5}}}}}
		var deltas [][]tick.Unit
		for id := uint64(1); id <= 60; id++ {
			world.now += int64(random.IntN(400)) * 1e6
			m.books = append(m.books, m.books[id-1].next(random))
			h := m.header(lineDepth)
			h.ExchangeNanos = h.ReceiveNanos - int64(1+random.IntN(50))*1e6
			deltas = append(deltas, m.delta(h, id))
		}
		want := samples(m, deltas, 0, func() int { return 1 })
		if len(want) < 5 {
			t.Fatalf("only %d samples", len(want))
		}
		for _, name := range []string{"clock", "late snapshot", "both"} {
			late, ticks := 0, func() int { return 1 }
			if name != "clock" {
				late = random.IntN(len(deltas) + 1)
			}
			if name != "late snapshot" {
				ticks = func() int { return random.IntN(4) }
			}
			if got := samples(m, deltas, late, ticks); !slices.Equal(got, want) {
				t.Errorf("%s after %d:\n%s", name, late, diff(want, got))
			}
		}
	}
}

// delta is the message about one update id.
func (m *market) delta(h tick.Header, id uint64) []tick.Unit {
	var bids, asks []tick.Level
	if b := m.books[id]; b.bid {
		bids = []tick.Level{b.change}
	} else {
		asks = []tick.Level{b.change}
	}
	return depthPacket(h, tick.KindDepth, id, id, id-1, bids, asks)
}

// samples gives a shard the deltas, the snapshot after some of them, and the
// time between any two in some steps.
func samples(m *market, deltas [][]tick.Unit, late int, steps func() int) (rows []string) {
	s := NewShard(Options{})
	now := deltas[0][0].Header().ReceiveNanos - 1
	apply := func(p []tick.Unit) {
		s.Apply(p)
		eachRow(s.TakeRows(), func(row []tick.Unit) {
			if r := row[0].RowHeader(); r.Kind == tick.RowBook && r.Source == tick.TimeExchange {
				rows = append(rows, fmt.Sprint(rowText(row, "BTC"), " recv ", r.ReceiveNanos))
			}
		})
	}
	header := func(kind tick.Kind) tick.Header {
		return tick.Header{Kind: kind, Line: 1, Instrument: m.def.ID, ReceiveNanos: now}
	}
	catalog, _ := tick.AppendCatalog(nil, header(tick.KindCatalog), m.def)
	apply(catalog)
	apply(tick.AppendEvent(nil, header(tick.KindUp), tick.ChannelDepth, 0))
	snapshot := func() {
		apply(depthPacket(header(tick.KindSnapshot), tick.KindSnapshot, 0, 0, 0, m.books[0].bids, m.books[0].asks))
	}
	for i, p := range deltas {
		if i == late {
			snapshot()
		}
		from, to := now, p[0].Header().ReceiveNanos
		for n, i := steps(), 1; i < n; i++ {
			apply(tickPacket(from + (to-from)*int64(i)/int64(n)))
		}
		now = to
		apply(p)
	}
	if late == len(deltas) {
		snapshot()
	}
	apply(tickPacket(now + 10e9))
	return rows
}
