package book

import (
	"testing"

	"tickproc/tick"
)

// Every interleaving of a short stream with two snapshots, whole and with
// every single fault: at each step the book is the venue's or says that it is
// not, a loss shows with the next message, and a fresh snapshot mends all.
func TestSyncExhaustive(t *testing.T) {
	t.Parallel()
	f := func(name string, rule tick.SyncRule, step uint64, widths ...int) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if underRace || testing.Short() {
				widths = widths[1:] // ten times slower, and nothing here runs in parallel
			}
			// The last message is kept for the end.
			v := newStream(seeded(t), rule, step, widths)
			for _, order := range orders(len(widths) - 1) {
				everySnapshot(t, v, order)
			}
		})
	}
	f("range over REST, as Binance spot", spotRule, 1, 1, 2, 2, 1, 1)
	f("chain over REST, as Binance futures", futuresRule, 2, 1, 2, 1, 1, 1)
	f("links alone, as HTX", linkedRule, 2, 1, 1, 2, 1)
	f("counter over REST, as KuCoin futures", polledRule, 1, 1, 1, 1, 1, 1)
	f("chain in-band, as OKX", chainRule, 5, 1, 2, 0, 1, 1)
	f("counter in-band, as Bybit", counterRule, 1, 1, 1, 1, 1, 1)
	f("checksum only, as Kraken", checksumRule, 1, 1, 2, 1, 2, 1)
	f("whole books, as Hyperliquid", imageRule, 1, 1, 2, 1, 2, 1)
}

// orders are the ways in which n messages may come: as sent, with one lost,
// with one coming a second time at any later moment, with two neighbours swapped.
func orders(n int) (out [][]int) {
	sent := make([]int, n)
	for i := range sent {
		sent[i] = i
	}
	out = append(out, sent)
	insert := func(at, message int, into []int) []int {
		return append(append(append([]int(nil), into[:at]...), message), into[at:]...)
	}
	for i := range n {
		out = append(out, append(append([]int(nil), sent[:i]...), sent[i+1:]...))
		for at := i + 1; at <= n; at++ {
			out = append(out, insert(at, i, sent))
		}
		if i+1 < n {
			swapped := append([]int(nil), sent...)
			swapped[i], swapped[i+1] = i+1, i
			out = append(out, swapped)
		}
	}
	return out
}

// everySnapshot tries two snapshots at any two moments, each of any place of
// the true stream, answering the present epoch, the one before, or none.
func everySnapshot(t *testing.T, v *stream, order []int) {
	newest := v.deltas[len(v.deltas)-1].prev
	var ids []uint64
	for id := v.ids[0]; id <= newest; id++ {
		if v.rule.Snapshot == tick.SnapshotInBand && !v.between(id) {
			continue
		}
		// Ids between two changes are alike: one of them will do.
		if place := v.place(id); len(ids) < 2 || id == v.ids[place] || id == v.ids[place]+1 {
			ids = append(ids, id)
		}
	}
	for first := 0; first <= len(order); first++ {
		for second := first; second <= len(order); second++ {
			for _, firstID := range ids {
				for _, secondID := range ids {
					for epochs := range 9 {
						if epochs > 0 && v.rule.Snapshot != tick.SnapshotREST {
							break // in-band, epochs mean nothing
						}
						p := newPair(t, v)
						p.up()
						for i := 0; i <= len(order); i++ {
							if i == first {
								p.snapshot(firstID, p.epoch(epochs%3))
							}
							if i == second {
								p.snapshot(secondID, p.epoch(epochs/3))
							}
							if i < len(order) {
								p.delta(order[i])
							}
						}
						p.finish(newest)
					}
				}
			}
		}
	}
}

// epoch to answer: none, the present one, the one before.
func (p *pair) epoch(which int) uint64 {
	return [...]uint64{0, p.m.epoch, max(p.m.epoch, 1) - 1}[which]
}

// finish shows that what happened can be mended: a fresh snapshot makes the
// book valid, the stream goes on, and a loss that no message has shown yet
// shows with the next.
func (p *pair) finish(newest uint64) {
	last := len(p.v.deltas) - 1
	if !p.s.IsValid() {
		p.snapshot(newest, p.m.epoch)
		p.mustBeValidAt(newest)
	}
	p.delta(last)
	if !p.s.IsValid() {
		p.snapshot(p.v.deltas[last].last, p.m.epoch)
	}
	p.mustBeValidAt(p.v.deltas[last].last)
}

func (p *pair) mustBeValidAt(id uint64) {
	if !p.s.IsValid() || p.v.place(p.s.LastID()) != p.v.place(id) {
		_, reason := p.s.State()
		p.t.Fatalf("after %v: valid %v (%v) at %d, want %d", p.story, p.s.IsValid(), reason, p.s.LastID(), id)
	}
}

// A long life, with all that can befall a book in any order.
func TestSyncRandom(t *testing.T) {
	t.Parallel()
	f := func(name string, rule tick.SyncRule, step uint64, width int) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := seeded(t)
			for range 30 {
				widths := make([]int, 300)
				for i := range widths {
					widths[i] = 1
					if width > 1 {
						widths[i] += random.IntN(width)
					}
				}
				v := newStream(random, rule, step, widths)
				p := newPair(t, v)
				p.up()
				for at := 0; at+5 < len(widths); {
					id := v.deltas[at].prev
					id -= min(id-v.ids[0], random.Uint64N(8)) // a snapshot may be behind the stream
					for !p.m.rest() && !v.between(id) {
						id--
					}
					switch n := random.IntN(60); {
					case n == 0:
						at++ // lost
					case n == 1 && at > 0:
						p.delta(at - 1 - random.IntN(min(at, 5))) // again
					case n == 2:
						p.delta(at + 1) // swapped
						p.delta(at)
						at += 2
					case n == 3:
						p.invalidate(tick.ReasonOverload)
					case n == 4:
						p.invalidate(tick.ReasonStale)
					case n == 5:
						p.down()
						at += random.IntN(3)
						if p.m.rest() && random.IntN(2) == 0 {
							p.delta(at) // before the venue said that it delivers
							at++
						}
						p.snapshotWhileDown(id)
						p.up()
					case n < 15:
						p.snapshot(id, p.m.epoch)
					case n < 17:
						p.snapshot(id, p.epoch(random.IntN(3)))
					case n < 18 && p.m.rest():
						p.snapshot(id, p.m.epoch+5)
					default:
						p.delta(at)
						at++
					}
				}
				if !p.s.IsValid() { // perhaps it waits for the stream to move
					p.snapshot(v.deltas[len(widths)-1].prev, p.m.epoch)
				}
				p.delta(len(widths) - 1)
				if !p.s.IsValid() {
					p.snapshot(v.deltas[len(widths)-1].last, p.m.epoch)
				}
				p.mustBeValidAt(v.deltas[len(widths)-1].last)
			}
		})
	}
	f("range over REST", spotRule, 1, 4)
	f("chain over REST", futuresRule, 3, 4)
	f("links alone", linkedRule, 3, 4)
	f("counter over REST", polledRule, 1, 1)
	f("chain in-band", chainRule, 4, 4)
	f("counter in-band", counterRule, 1, 1)
	f("checksum only", checksumRule, 1, 4)
	f("whole books", imageRule, 1, 4)
}

// snapshotWhileDown: what was asked for before the end of the connection.
func (p *pair) snapshotWhileDown(id uint64) {
	if !p.m.rest() {
		return // in-band, a snapshot would itself be the proof that the venue delivers
	}
	refused := p.s.Counts.SnapshotsRefused
	p.snapshot(id, 0)
	p.snapshot(id, p.m.epoch-1)
	if p.s.Counts.SnapshotsRefused != refused+2 {
		p.t.Fatal("a snapshot was believed while the venue delivers nothing")
	}
}
