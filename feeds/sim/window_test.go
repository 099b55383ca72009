package sim

import (
	"cmp"
	"slices"
	"testing"

	"tickproc/tick"
)

// Random changes of a book; a client that knows nothing but the changes of the
// window always shows the book's first levels: by deleting what it is told to,
// or by forgetting what lies beyond the depth.
func TestWindowAgainstSlowModel(t *testing.T) {
	t.Parallel()
	for _, deletes := range []bool{true, false} {
		for _, depth := range []int{1, 3, 10} {
			r := newSource(uint64(depth), "window")
			in := &Instrument{}
			in.asks.asks = true
			for range 12 {
				in.bids.set(r.Int64N(100), 1+r.Int64N(4))
				in.asks.set(100+r.Int64N(100), 1+r.Int64N(4))
			}
			w := &window{depth: depth, deletes: deletes}
			w.reset(in)
			client := [2]map[int64]int64{{}, {}}
			for i, s := range []*side{&in.bids, &in.asks} {
				for _, l := range s.appendTop(nil, depth) {
					client[i][l.Price] = l.Size
				}
			}
			entered, left := 0, 0
			for step := range 5_000 {
				var touched [2][]int64
				for range 1 + r.IntN(6) {
					i := r.IntN(2)
					s, price := []*side{&in.bids, &in.asks}[i], int64(i)*100+r.Int64N(100)
					if r.IntN(3) == 0 && len(s.levels) > 0 {
						price = s.rank(int(min(r.distance(4), int64(len(s.levels)-1)))).Price
					}
					s.set(price, max(0, r.Int64N(6)-2))
					touched[i] = append(touched[i], price)
				}
				bids, asks := w.update(in, in.bids.appendChanged(nil, touched[0]), in.asks.appendChanged(nil, touched[1]))
				for i, changes := range [][]tick.Level{bids, asks} {
					s := []*side{&in.bids, &in.asks}[i]
					for k, l := range changes {
						if slices.ContainsFunc(changes[:k], func(other tick.Level) bool { return other.Price == l.Price }) {
							t.Fatalf("step %d: price %d is told twice: %v", step, l.Price, changes)
						}
						_, had := client[i][l.Price]
						switch {
						case l.Size == 0 && !had:
							t.Fatalf("step %d: %d is deleted and was not there", step, l.Price)
						case l.Size == 0:
							if s.size(l.Price) != 0 {
								left++ // still in the book, and no longer in the window
							}
							delete(client[i], l.Price)
						default:
							if client[i][l.Price] == l.Size {
								t.Fatalf("step %d: %d is told and has not changed", step, l.Price)
							}
							if !slices.Contains(touched[i], l.Price) {
								entered++
							}
							client[i][l.Price] = l.Size
						}
					}
					have := slowTop(client[i], s.asks, len(client[i]))
					if !deletes {
						have = have[:min(depth, len(have))]
						client[i] = map[int64]int64{}
						for _, l := range have {
							client[i][l.Price] = l.Size
						}
					}
					if want := s.appendTop(nil, depth); !slices.Equal(have, want) {
						t.Fatalf("deletes %v, depth %d, step %d: client %v, book %v", deletes, depth, step, have, want)
					}
				}
			}
			if entered == 0 || deletes != (left > 0) {
				t.Fatalf("deletes %v, depth %d: %d levels entered untouched, %d left", deletes, depth, entered, left)
			}
		}
	}
}

// Every instrument runs in the order of time, whatever its due times do.
func TestScheduleRunsInOrder(t *testing.T) {
	t.Parallel()
	r := newSource(1, "schedule")
	var s schedule
	var all []*Instrument
	for i := range 200 {
		in := &Instrument{order: i, nextNanos: r.Int64N(50), flushNanos: never, referenceNanos: never}
		all = append(all, in)
		s.add(in)
	}
	for range 5_000 {
		first := s.heap[0]
		want := slices.MinFunc(all, func(a, b *Instrument) int {
			return cmp.Or(cmp.Compare(a.due(), b.due()), cmp.Compare(a.order, b.order))
		})
		if first != want {
			t.Fatalf("runs %d due %d, want %d due %d", first.order, first.due(), want.order, want.due())
		}
		if r.IntN(100) == 0 && len(all) > 10 {
			gone := all[r.IntN(len(all))]
			s.remove(gone)
			all = slices.DeleteFunc(all, func(in *Instrument) bool { return in == gone })
			continue
		}
		first.nextNanos += r.Int64N(100)
		s.sink(0)
	}
}
