package shm

import (
	"runtime"
	"sync"
	"testing"

	"tickproc/book"
	"tickproc/tick"
	"tickproc/writer/shm/layout"
	"tickproc/writer/shm/reader"
)

// plain is the slow and obvious model: all that was published, by position.
type plain map[uint64][]tick.Unit

// A reader gets every message in order, or is told how much it lost: beside it
// the list of all that was published.
func TestRing(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	w := small(t, Options{})
	r, p := w.Ring(0), plain{}
	readers := map[string]*reader.Ring{"eager": open(t, w.Dir()).Ring(0), "lazy": open(t, w.Dir()).Ring(0)}
	count, end, lost := map[string]int{}, map[string]uint64{}, map[string]uint64{}
	var m reader.Message
	read := func(name string) bool {
		from := readers[name]
		if !from.Next(&m) {
			return false
		}
		want, published := p[m.Position]
		lost[name] += m.Lost
		switch {
		case !published:
			t.Fatalf("%s: a message at %d, where none began", name, m.Position)
		case m.Position != end[name]+m.Lost || from.Lost() != lost[name]:
			t.Fatalf("%s: %d after %d, and %d lost, %d in all", name, m.Position, end[name], m.Lost, from.Lost())
		case !same(&m, want):
			t.Fatalf("%s: at %d %x, want %x", name, m.Position, m.Words(), want)
		}
		count[name]++
		end[name] = from.Position()
		return true
	}
	for n := uint64(1); n < rounds(20_000); n++ {
		rows := trade(uint32(n%5), n)
		if random.IntN(3) == 0 {
			rows = someDepth(n, random.IntN(layout.DepthLevelsMax))
		}
		p[r.next] = rows
		if r.Rows(rows); random.IntN(4) == 0 {
			r.End()
		}
		for read("eager") {
		}
		if random.IntN(50) == 0 {
			for range random.IntN(100) {
				read("lazy")
			}
		}
		if random.IntN(100) == 0 {
			r.End()
			readers["late"] = open(t, w.Dir()).Ring(0)
			end["late"], lost["late"] = r.next, 0
			if readers["late"].Position() != r.next || read("late") {
				t.Fatal("who joins late begins with what comes next")
			}
		}
	}
	if lost := readers["eager"].Lost(); lost > 0 || count["eager"] != len(p) {
		t.Errorf("who always reads lost %d, and had %d of %d", lost, count["eager"], len(p))
	}
	if lost := readers["lazy"].Lost(); lost == 0 || count["lazy"] < 100 {
		t.Errorf("too little happened: lost %d, had %d", lost, count["lazy"])
	}
	if r.End(); r.Messages() != uint64(len(p)) || r.Bytes() != 64*r.next {
		t.Errorf("%d messages of %d bytes", r.Messages(), r.Bytes())
	}
}

// someDepth makes levels that tell their number and place.
func someDepth(n uint64, count int) []tick.Unit {
	levels := make([]tick.Level, count)
	for i := range levels {
		levels[i] = tick.Level{Price: int64(n), Size: int64(i)}
	}
	return depth(uint32(n%5), n, levels[:count/2], levels[count/2:])
}

func same(m *reader.Message, rows []tick.Unit) bool {
	if m.Kind() == layout.KindTrade {
		x, y := rows[0].TradeRow(), m.Trade()
		return rows[0].KindOf() == tick.RowTrade && y.Price == x.Price && y.Size == x.Size && y.ID.Lo == x.ID.Lo && uint64(y.ID.Hi) == x.ID.Hi && m.Nanos() == x.TsNanos
	}
	x, d := rows[0].BookRow(), m.Depth()
	if rows[0].KindOf() != tick.RowDepth || d.LastID != x.Seq || d.Bids != int(x.Bids) || d.Levels != int(x.LevelCount) {
		return false
	}
	for i, l := range tick.RowLevels(rows) {
		if m.Level(i) != (reader.Level{Price: l.Price, Size: l.Size}) {
			return false
		}
	}
	return true
}

// Readers that run into the writer read whole messages or none, however the two
// meet: every message tells what it must hold.
func TestRingUnderFire(t *testing.T) {
	t.Parallel()
	w := small(t, Options{})
	r := w.Ring(0)
	most := rounds(60_000)
	var reading sync.WaitGroup
	for range 3 {
		from := open(t, w.Dir()).Ring(0)
		reading.Go(func() {
			var m reader.Message
			var last uint64
			for last < most {
				if !from.Next(&m) {
					runtime.Gosched()
					continue
				}
				n := uint64(m.ReceiveNanos() - 2000)
				if m.Kind() == layout.KindDepth {
					n = m.Depth().LastID
				}
				want := trade(uint32(n%5), n)
				if n%3 == 0 {
					want = someDepth(n, int(n%700))
				}
				if n <= last || !same(&m, want) {
					t.Errorf("after %d came %d: %x", last, n, m.Words())
					return
				}
				last = n
			}
		})
	}
	for n := uint64(1); n <= most; n++ {
		if n%3 == 0 {
			r.Rows(someDepth(n, int(n%700)))
		} else {
			r.Rows(trade(uint32(n%5), n))
		}
		r.End()
		if n%64 == 0 {
			runtime.Gosched()
		}
	}
	reading.Wait()
}

// An image is whole, or not had; so is a definition.
func TestImageUnderFire(t *testing.T) {
	t.Parallel()
	w := small(t, Options{})
	r := w.Ring(0)
	most := int64(rounds(30_000))
	in := btc()
	in.ID = 0
	r.Rows(catalogOf(t, in))
	var reading sync.WaitGroup
	for range 2 {
		from := open(t, w.Dir())
		reading.Go(func() {
			var x reader.Image
			var last int64
			for last < most {
				if !from.Image(0, &x) {
					runtime.Gosched()
					continue
				}
				n := x.ReceiveNanos
				good := n >= last && x.OffsetNanos == -n && x.LastID == uint64(n) && x.Valid == (n%2 == 0) && len(x.Bids) == int(n%10)+1 && len(x.Asks) == int(n%10)+1 &&
					x.Trade.ID.Lo == uint64(n) && x.BidTotal == len(x.Bids)
				for i := range x.Bids {
					good = good && x.Bids[i] == reader.Level{Price: 1000 - int64(i), Size: n} && x.Asks[i] == reader.Level{Price: 2000 + int64(i), Size: n}
				}
				if !good {
					t.Errorf("after %d a torn image: %+v", last, x)
					return
				}
				if last = n; n%64 == 0 {
					if got, ok := from.Instrument(0); ok && (got.Tick.Mantissa != got.Lot.Mantissa || got.Symbol != "BTCUSDT") {
						t.Errorf("a torn definition: %+v", got)
						return
					}
				}
			}
		})
	}
	for n := int64(1); n <= most; n++ {
		bids, asks := book.NewSide(true), book.NewSide(false)
		for i := range n%10 + 1 {
			bids.Set(1000-i, n)
			asks.Set(2000+i, n)
		}
		r.Rows(trade(0, uint64(n)))
		r.Image(&Standing{Valid: n%2 == 0, ReceiveNanos: n, OffsetNanos: -n, LastID: uint64(n)}, &bids, &asks)
		r.End()
		if n%16 == 0 {
			in.Tick.Mantissa, in.Lot.Mantissa = n, n
			r.Rows(catalogOf(t, in))
			runtime.Gosched()
		}
	}
	reading.Wait()
}

// What is published costs no allocation, nor does reading it.
func TestPublishZeroAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	w := small(t, Options{})
	from := open(t, w.Dir())
	r, ring := w.Ring(0), from.Ring(0)
	bids, asks := sides([]tick.Level{{Price: 1, Size: 1}}, []tick.Level{{Price: 2, Size: 1}})
	var m reader.Message
	var x reader.Image
	n := uint64(0)
	from.Image(3, &x)
	rows := append(trade(3, 1), someDepth(2, 40)...)
	f := func() {
		n++
		r.Rows(rows)
		r.Image(&Standing{Instrument: 3}, bids, asks)
		r.End()
		for ring.Next(&m) {
		}
		from.Image(3, &x)
	}
	f()
	if n := testing.AllocsPerRun(1000, f); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
