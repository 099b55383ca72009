package book

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"tickproc/tick"
)

const testHold = 100

// A carried message is one of a stream on a line: a delta by number, or the
// snapshot at the place where delta number begins.
type carried struct {
	snapshot bool
	number   int
}

// twoLines plays what two lines carry into one book.
type twoLines struct {
	t     *testing.T
	v     *stream
	s     *Sync
	now   int64
	story []string
	// wasValid: the book has been valid since.
	wasValid, broke bool
	got             map[int]bool // messages that came, or that a snapshot told of
}

func newTwoLines(t *testing.T, v *stream) *twoLines {
	x := &twoLines{t: t, v: v, s: NewSync(v.rule, 0, 0), got: map[int]bool{}}
	x.s.Hold = testHold
	x.s.Up()
	x.s.Share(1, 2)
	return x
}

func (x *twoLines) give(line uint16, m carried) {
	x.now++
	x.expire()
	var p []tick.Unit
	if m.snapshot {
		p = slices.Clone(x.v.snapshot(x.v.deltas[m.number].prev, 0))
		for i := range m.number {
			x.got[i] = true
		}
	} else {
		x.got[m.number] = true
		p = slices.Clone(x.v.delta(m.number))
	}
	p[0].Header().Line, p[0].Header().ReceiveNanos = line, x.now
	if x.story = append(x.story, fmt.Sprintf("%d: line %d %+v", x.now, line, m)); m.snapshot {
		x.s.Snapshot(p, ignore{})
	} else {
		x.s.Delta(p, ignore{})
	}
	x.look()
}

func (x *twoLines) rest(number int) {
	x.story = append(x.story, fmt.Sprintf("%d: REST %d", x.now, number))
	x.s.TakeResync()
	p := slices.Clone(x.v.snapshot(x.v.deltas[number].prev, x.s.epoch))
	p[0].Header().Line, p[0].Header().ReceiveNanos = 9, x.now
	x.s.Snapshot(p, ignore{})
	x.look()
}

func (x *twoLines) expire() {
	if x.s.Deadline() <= x.now {
		x.story = append(x.story, fmt.Sprintf("%d: expire", x.now))
		x.s.Expire(x.now, ignore{})
		x.look()
	}
}

// look: a book that says it is valid is the venue's.
func (x *twoLines) look() {
	x.t.Helper()
	if x.now%3 == 0 && !underRace {
		x.s = reloaded(x.t, x.s) // it goes on as if nothing had been
	}
	if !x.s.IsValid() {
		x.broke = x.broke || x.wasValid
		return
	}
	x.wasValid = true
	x.s.Book.Check()
	if place := x.v.place(x.s.LastID()); !x.v.books[place].is(&x.s.Book) {
		x.fail("the book is not the venue's at %d", x.s.LastID())
	}
}

func (x *twoLines) fail(format string, args ...any) {
	x.t.Helper()
	for _, line := range x.story[max(0, len(x.story)-25):] {
		x.t.Log(line)
	}
	x.t.Fatalf(format, args...)
}

// merges calls do with every way to merge two sequences, as the line of each step.
func merges(a, b int, lines []uint16, do func(lines []uint16)) {
	if a+b == 0 {
		do(lines)
		return
	}
	if a > 0 {
		merges(a-1, b, append(lines, 1), do)
	}
	if b > 0 {
		merges(a, b-1, append(lines, 2), do)
	}
}

// losses are a sequence whole and with every set of at most two messages
// missing; snapshots are never lost.
func losses(all []carried) (out [][]carried) {
	out = append(out, all)
	for i := range all {
		if all[i].snapshot {
			continue
		}
		one := slices.Delete(slices.Clone(all), i, i+1)
		out = append(out, one)
		for j := i; j < len(one); j++ {
			out = append(out, slices.Delete(slices.Clone(one), j, j+1))
		}
	}
	return out
}

// Every interleaving of two lines, each with every loss: what one of them
// brought is in the book in the end and it was never invalid; what neither
// brought breaks it when the hold is over.
func TestTwoLinesExhaustive(t *testing.T) {
	t.Parallel()
	f := func(name string, rule tick.SyncRule, step uint64, widths ...int) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newStream(seeded(t), rule, step, widths)
			n := len(widths)
			inBand := rule.Snapshot == tick.SnapshotInBand
			var all []carried
			for i := range n {
				all = append(all, carried{number: i})
			}
			whole, lost := 0, 0
			for from := range n - 1 { // where line 2 comes in
				a, b := all, all[from:]
				if inBand {
					a = append([]carried{{true, 0}}, a...)
					b = append([]carried{{true, from}}, b...)
				} else if from > 0 {
					continue // REST: the same as losing the first ones
				}
				for _, a := range losses(a) {
					for _, b := range losses(b) {
						merges(len(a), len(b), nil, func(lines []uint16) {
							x := newTwoLines(t, v)
							if !inBand {
								x.rest(0)
							}
							a, b := a, b
							for _, line := range lines {
								m := &a
								if line == 2 {
									m = &b
								}
								x.give(line, (*m)[0])
								*m = (*m)[1:]
							}
							if x.end(n) {
								whole++
							} else {
								lost++
							}
						})
					}
				}
			}
			if whole < 100 || lost < 100 {
				t.Errorf("%d whole, %d with a loss: shows nothing", whole, lost)
			}
		})
	}
	f("range over REST", spotRule, 1, 1, 2, 1, 1)
	f("chain over REST", futuresRule, 2, 1, 2, 1, 1)
	f("counter over REST", polledRule, 1, 1, 1, 1, 1)
	f("chain in-band", chainRule, 5, 1, 2, 1, 1)
	f("counter in-band", counterRule, 1, 1, 1, 1, 1)
}

// end tells whether all had come, and what must be true then.
func (x *twoLines) end(n int) bool {
	last := n - 1
	newest := x.v.deltas[last].last
	got := x.got
	missing := 0
	for i := range last + 1 {
		if !got[i] {
			missing++
		}
	}
	if missing == 0 {
		if !x.s.IsValid() || x.broke || x.s.LastID() != newest {
			_, reason := x.s.State()
			x.fail("all came: valid %v (%v), broke %v, at %d of %d", x.s.IsValid(), reason, x.broke, x.s.LastID(), newest)
		}
		return true
	}
	x.now += 2 * testHold
	x.expire()
	if x.s.IsValid() && x.s.LastID() != newest && x.s.waitingN > 0 {
		x.fail("what nobody brings is waited for still")
	}
	if x.s.IsValid() && got[last] && x.s.LastID() != newest {
		x.fail("a loss that the last message shows is not shown")
	}
	return false
}

// A long life of two lines that lose, double, delay and break on their own.
// Valid is true; and when each message comes by one of them in time, the book
// never breaks.
func TestTwoLinesRandom(t *testing.T) {
	t.Parallel()
	f := func(name string, rule tick.SyncRule, step uint64, width int) {
		for _, bounded := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, bounded %v", name, bounded), func(t *testing.T) {
				t.Parallel()
				random := seeded(t)
				for range 20 {
					twoRandomLines(t, random, rule, step, width, bounded)
				}
			})
		}
	}
	f("range over REST", spotRule, 1, 3)
	f("chain over REST", futuresRule, 3, 3)
	f("counter over REST", polledRule, 1, 1)
	f("chain in-band", chainRule, 4, 3)
	f("counter in-band", counterRule, 1, 1)
}

func twoRandomLines(t *testing.T, random *rand.Rand, rule tick.SyncRule, step uint64, width int, bounded bool) {
	widths := make([]int, 300)
	for i := range widths {
		widths[i] = 1 + random.IntN(width)
	}
	v := newStream(random, rule, step, widths)
	x := newTwoLines(t, v)
	type flight struct {
		at   int64
		line uint16
		m    carried
	}
	var flying []flight
	inBand := rule.Snapshot == tick.SnapshotInBand
	up := [3]bool{false, true, true}
	var last [3]int64 // lines keep their order
	fly := func(line uint16, at int64, m carried) {
		at = max(at, last[line])
		last[line] = at
		flying = append(flying, flight{at, line, m})
	}
	const every = 5
	if inBand {
		fly(1, 0, carried{true, 0})
		fly(2, 0, carried{true, 0})
	} else {
		x.rest(0)
	}
	applied := 0
	for i := range widths {
		sent := int64(i * every)
		carrier := uint16(1 + random.IntN(2)) // who surely brings it, when faults are bounded
		if bounded {
			for l := uint16(1); l <= 2; l++ {
				if !up[l] {
					carrier = 3 - l
				}
			}
		}
		for l := uint16(1); l <= 2; l++ {
			if !up[l] {
				if !bounded || random.IntN(4) == 0 {
					up[l] = true
					x.s.Share(3-l, l)
					if inBand {
						fly(l, sent+random.Int64N(20), carried{true, i})
					}
				}
			}
			if !up[l] || (!bounded || l != carrier) && random.IntN(6) == 0 {
				continue // lost
			}
			fly(l, sent+random.Int64N(30), carried{number: i})
			if random.IntN(10) == 0 {
				fly(l, sent+random.Int64N(30), carried{number: i})
			}
		}
		slices.SortStableFunc(flying, func(a, b flight) int { return int(a.at - b.at) })
		for len(flying) > 0 && flying[0].at <= sent+every {
			f := flying[0]
			flying = flying[1:]
			x.now = max(x.now, f.at)
			if up[f.line] {
				x.give(f.line, f.m)
			}
		}
		if !bounded && !inBand && !x.s.IsValid() && random.IntN(4) == 0 {
			x.rest(i - min(i, random.IntN(4)))
			x.broke, x.wasValid = false, x.s.IsValid()
		}
		if !bounded && inBand && !x.s.IsValid() && i+1 < len(widths) && random.IntN(4) == 0 {
			x.give(uint16(1+random.IntN(2)), carried{true, i + 1})
		}
		if !bounded && random.IntN(40) == 0 && up[1] && up[2] {
			l := uint16(1 + random.IntN(2))
			up[l] = false
			flying = slices.DeleteFunc(flying, func(f flight) bool { return f.line == l })
			x.story = append(x.story, fmt.Sprintf("line %d ends", l))
			x.s.Unshare(l)
			x.look()
		}
		if x.s.IsValid() {
			applied++
		}
		if bounded && x.broke {
			_, reason := x.s.State()
			x.fail("it broke (%v), though each message came by one line in time", reason)
		}
	}
	if applied < len(widths)/8 || bounded && x.s.Counts.Copies < 50 {
		x.fail("valid at %d of %d only, %+v", applied, len(widths), x.s.Counts)
	}
}
