package book

import (
	"testing"

	"tickproc/tick"
)

// by stamps a packet with its line and time.
func by(line uint16, at int64, p []tick.Unit) []tick.Unit {
	p[0].Header().Line, p[0].Header().ReceiveNanos = line, at
	return p
}

// shares returns a valid book 99|101 at id 10 that lines 1 and 2 deliver.
func shares(t *testing.T, rule tick.SyncRule) *Sync {
	t.Helper()
	s := NewSync(rule, 0, 0)
	s.Hold = testHold
	s.Up()
	s.TakeResync()
	s.Snapshot(by(1, 0, whole(10, 0, side(99, 5), side(101, 6))), ignore{})
	s.Share(1, 2)
	must(t, s, Valid, tick.ReasonNone, 10)
	return s
}

func counted(line uint16, at int64, id uint64) []tick.Unit {
	return by(line, at, message(0, id, 0, side(98, int64(id)), nil))
}

// A snapshot that is older than the book, by another line, is of a line that
// is behind: what the others go on with stays.
func TestOlderSnapshotOfAnotherLine(t *testing.T) {
	t.Parallel()
	s := shares(t, counterRule)
	for id := uint64(11); id <= 20; id++ {
		s.Delta(counted(1, int64(id), id), ignore{})
	}
	s.Snapshot(by(2, 21, whole(15, 0, side(99, 5, 98, 15), side(101, 6))), ignore{})
	must(t, s, Valid, tick.ReasonNone, 20)
	s.Delta(counted(2, 22, 16), ignore{})
	s.Delta(counted(1, 23, 21), ignore{})
	s.Delta(counted(2, 24, 17), ignore{})
	s.Expire(21+testHold, ignore{})
	must(t, s, Valid, tick.ReasonNone, 21)
	if s.Counts.SnapshotsOlder != 1 || s.Counts.Copies != 2 || s.Counts.Duplicate != 0 {
		t.Errorf("%+v", s.Counts)
	}
	// A newer one is taken, whoever brings it.
	s.Snapshot(by(2, 30, whole(25, 0, side(97, 5), side(101, 6))), ignore{})
	must(t, s, Valid, tick.ReasonNone, 25)
	s.Delta(counted(1, 31, 22), ignore{})
	s.Delta(counted(1, 32, 26), ignore{})
	must(t, s, Valid, tick.ReasonNone, 26)
	// And where the line is the only one, any is.
	s.Unshare(1)
	s.Snapshot(by(2, 33, whole(3, 0, side(97, 5), side(101, 6))), ignore{})
	must(t, s, Valid, tick.ReasonNone, 3)
	owesNothing(t, s)
}

// The venue begins its ids anew on one line: once the line has gone on from
// there while the old stream stood still, the book goes with it.
func TestRestartOnOneLine(t *testing.T) {
	t.Parallel()
	f := func(rule tick.SyncRule, next func(line uint16, at int64, prev, id uint64) []tick.Unit) {
		t.Helper()
		s := shares(t, rule)
		s.Delta(next(1, 1, 10, 11), ignore{})
		s.Snapshot(by(2, 2, whole(1, 0, side(50, 5), side(60, 6))), ignore{})
		s.Expire(2+testHold, ignore{})
		must(t, s, Valid, tick.ReasonNone, 11) // the snapshot alone may be late
		s.Delta(next(2, 3, 1, 2), ignore{})
		must(t, s, Valid, tick.ReasonNone, 11)
		if at := s.Deadline(); at != 2+testHold {
			t.Fatalf("due at %d", at)
		}
		s.Expire(2+testHold, ignore{})
		must(t, s, Valid, tick.ReasonNone, 2)
		if s.Book.Asks.Best().Price != 60 {
			t.Errorf("%v", s.Book)
		}
		s.Delta(next(2, 200, 2, 3), ignore{})
		s.Snapshot(by(1, 201, whole(1, 0, side(50, 5), side(60, 6))), ignore{}) // the other line follows
		s.Delta(next(1, 202, 1, 2), ignore{})
		s.Delta(next(1, 203, 2, 3), ignore{})
		s.Delta(next(1, 204, 3, 4), ignore{})
		s.Delta(next(2, 205, 3, 4), ignore{})
		must(t, s, Valid, tick.ReasonNone, 4)
		owesNothing(t, s)
		// Both begin anew at once.
		s.Snapshot(by(2, 300, whole(1, 0, side(40, 5), side(60, 6))), ignore{})
		must(t, s, Valid, tick.ReasonNone, 4)
		s.Snapshot(by(1, 301, whole(1, 0, side(40, 5), side(60, 6))), ignore{})
		must(t, s, Valid, tick.ReasonNone, 1)
	}
	f(counterRule, func(line uint16, at int64, _, id uint64) []tick.Unit {
		return by(line, at, message(0, id, 0, nil, nil))
	})
	f(chainRule, func(line uint16, at int64, prev, id uint64) []tick.Unit {
		return by(line, at, message(0, id, prev, nil, nil))
	})
}

// A line that goes back without a snapshot has lost one: it is no copy.
func TestLostRestart(t *testing.T) {
	t.Parallel()
	s := shares(t, counterRule)
	s.Delta(counted(1, 1, 11), ignore{})
	s.Delta(counted(1, 2, 3), ignore{})
	must(t, s, Valid, tick.ReasonNone, 11)
	line, broke := s.Expire(2+testHold, ignore{})
	if must(t, s, Waiting, tick.ReasonSequence, 0); line != 1 || !broke {
		t.Errorf("line %d, broke %v", line, broke)
	}
}

// What is held back is let go when the line that could fill the hole ends, or
// when it is too much.
func TestHoldEnds(t *testing.T) {
	t.Parallel()
	s := shares(t, counterRule)
	s.Delta(counted(1, 1, 12), ignore{})
	must(t, s, Valid, tick.ReasonNone, 10)
	s.Unshare(2)
	must(t, s, Waiting, tick.ReasonSequence, 0)
	if s.Counts.Gaps != 1 || s.Unsynced() != 1 {
		t.Errorf("%+v", s.Counts)
	}
	// The line that is ahead ends: the other may still come as far.
	s = shares(t, counterRule)
	s.Delta(counted(1, 1, 12), ignore{})
	s.Unshare(1)
	must(t, s, Valid, tick.ReasonNone, 10)
	s.Delta(counted(2, 2, 11), ignore{})
	must(t, s, Valid, tick.ReasonNone, 12)
	s.Delta(counted(2, 3, 12), ignore{})
	s.Delta(counted(2, 4, 13), ignore{})
	must(t, s, Valid, tick.ReasonNone, 13)
	// Too much.
	s = shares(t, counterRule)
	bids := make([]tick.Level, 1000)
	for i := range bids {
		bids[i] = tick.Level{Price: int64(i % 90), Size: 1}
	}
	n := uint64(0)
	for ; s.IsValid(); n++ {
		s.Delta(by(1, 1, message(0, 12+n, 0, bids, nil)), ignore{})
	}
	if want := uint64(heldUnitsMax/tick.DepthUnits(1000) + 1); n != want || s.Unsynced() != n {
		t.Errorf("broke after %d messages, want %d; %+v", n, want, s.Counts)
	}
	// REST: what was held waits for the snapshot, and joins it.
	s = shares(t, spotRule)
	s.Delta(by(1, 1, message(11, 11, 0, nil, nil)), ignore{})
	s.Delta(by(1, 2, message(13, 13, 0, side(98, 13), nil)), ignore{})
	s.Expire(2+testHold, ignore{})
	must(t, s, Waiting, tick.ReasonSequence, 0)
	s.Delta(by(2, 200, message(12, 12, 0, side(98, 12), nil)), ignore{})
	s.Snapshot(whole(11, owes(t, s), side(99, 5), side(101, 6)), ignore{})
	must(t, s, Valid, tick.ReasonNone, 13)
	if s.Book.Bids.Level(1).Size != 13 {
		t.Errorf("%v", s.Book)
	}
}

// A break while a resync is on its way is mended by the same answer: it is
// asked for once. What answers, and is bad, is asked for again.
func TestResyncIsAskedForOnce(t *testing.T) {
	t.Parallel()
	for _, rule := range []tick.SyncRule{counterRule, chainRule, checksumRule} {
		s := synced(t, rule)
		s.Invalidate(tick.ReasonOverload)
		owes(t, s)
		for range 100 {
			s.Delta(counted(0, 0, 50), ignore{})
			s.Invalidate(tick.ReasonOverload)
			owesNothing(t, s)
		}
		s.Snapshot(whole(60, 0, side(102, 5), side(101, 6)), ignore{})
		must(t, s, Waiting, tick.ReasonCrossed, 0)
		owes(t, s)
		s.AskAgain() // no answer came
		owes(t, s)
		s.Snapshot(whole(60, 0, side(99, 5), side(101, 6)), ignore{})
		s.AskAgain()
		owesNothing(t, s)
		s.Invalidate(tick.ReasonSilence)
		owes(t, s)
		s.Down(tick.ReasonDisconnect)
		s.AskAgain()
		owesNothing(t, s)
	}
	// Whole books: only a good one is an answer.
	s := NewSync(imageRule, 0, 0)
	s.Up()
	for i := range 100 {
		s.Delta(message(0, 0, 0, side(102, 5), side(101, 6)), ignore{})
		if must(t, s, Waiting, tick.ReasonCrossed, 0); i == 0 {
			owes(t, s)
		}
		owesNothing(t, s)
	}
	s.Delta(message(0, 0, 0, side(99, 5), side(101, 6)), ignore{})
	must(t, s, Valid, tick.ReasonNone, 0)
}

// An in-band stream that stands still twice is believed again only when it moves.
func TestInBandStandsStill(t *testing.T) {
	t.Parallel()
	s := synced(t, counterRule)
	s.Delta(counted(0, 0, 11), ignore{})
	s.Invalidate(tick.ReasonStale)
	s.Snapshot(whole(20, 0, side(99, 5), side(101, 6)), ignore{})
	must(t, s, Valid, tick.ReasonNone, 20)
	s.Invalidate(tick.ReasonStale)
	for range 3 {
		s.Snapshot(whole(20, 0, side(99, 5), side(101, 6)), ignore{})
		must(t, s, Waiting, tick.ReasonStale, 0)
	}
	s.Delta(counted(0, 0, 21), ignore{})
	must(t, s, Valid, tick.ReasonNone, 21)
	s.Invalidate(tick.ReasonStale)
	s.Snapshot(whole(30, 0, side(99, 5), side(101, 6)), ignore{})
	must(t, s, Valid, tick.ReasonNone, 30)
}

// Fragments of two lines mix; a new beginning makes what came before void, and
// so does a loss on that line, and on that line alone.
func TestFragmentsOfTwoLines(t *testing.T) {
	t.Parallel()
	const levelsMax = 44_000
	bids, asks := make([]tick.Level, levelsMax/2), make([]tick.Level, levelsMax/2)
	for i := range bids {
		bids[i], asks[i] = tick.Level{Price: int64(50_000 - i), Size: 1}, tick.Level{Price: int64(50_001 + i), Size: 1}
	}
	cut := func(line uint16, id uint64, size int64) (out [][]tick.Unit) {
		for i := range bids {
			bids[i].Size = size
		}
		for at := 0; at < levelsMax; at += tick.MaxLevels {
			var b, a []tick.Level
			for i := at; i < min(at+tick.MaxLevels, levelsMax); i++ {
				if i < len(bids) {
					b = append(b, bids[i])
				} else {
					a = append(a, asks[i-len(bids)])
				}
			}
			p := by(line, 0, whole(id, 0, b, a))
			p[0].Header().Flags = 0
			out = append(out, p)
		}
		out[0][0].Header().Flags |= tick.FlagFirst
		out[len(out)-1][0].Header().Flags |= tick.FlagLast
		return out
	}
	s := shares(t, counterRule)
	one, two := cut(1, 100, 1), cut(2, 200, 2)
	mustHold := func(id uint64, size int64) {
		t.Helper()
		must(t, s, Valid, tick.ReasonNone, id)
		if s.Book.Bids.Len()+s.Book.Asks.Len() != levelsMax || s.Book.Bids.Best().Size != size {
			t.Fatalf("%d bids, %d asks, %v", s.Book.Bids.Len(), s.Book.Asks.Len(), s.Book.Bids.Best())
		}
	}
	for i := range one {
		s.Snapshot(one[i], ignore{})
		if i+1 < len(one) {
			must(t, s, Valid, tick.ReasonNone, 10) // built aside
		}
		if i > 0 {
			s.Snapshot(two[i-1], ignore{})
		}
	}
	mustHold(100, 1)
	s.Snapshot(two[len(two)-1], ignore{})
	mustHold(200, 2)

	one, two = cut(1, 300, 3), cut(2, 400, 4)
	for _, p := range one[:5] {
		s.Snapshot(p, ignore{})
	}
	for _, p := range two[:5] {
		s.Snapshot(p, ignore{})
	}
	s.LoseLine(1)
	for _, p := range one[6:] {
		s.Snapshot(p, ignore{})
	}
	mustHold(200, 2)
	for _, p := range two[5:] {
		s.Snapshot(p, ignore{})
	}
	mustHold(400, 4)

	one, again := cut(1, 500, 5), cut(1, 600, 6)
	for _, p := range append(one[:7:7], again...) {
		s.Snapshot(p, ignore{})
	}
	mustHold(600, 6)
	if len(s.parts) != 0 {
		t.Errorf("%d parts are left", len(s.parts))
	}
}

// A finer scale reaches what is held back and the books aside.
func TestRescaleShared(t *testing.T) {
	t.Parallel()
	s := shares(t, counterRule)
	s.Delta(counted(1, 1, 12), ignore{})
	s.Snapshot(by(2, 2, whole(1, 0, side(50, 5), side(60, 6))), ignore{})
	if err := s.Rescale(10, 1, 1, 0); err != nil {
		t.Fatal(err)
	}
	s.Delta(by(1, 3, message(0, 11, 0, side(970, 1), nil)), ignore{})
	must(t, s, Valid, tick.ReasonNone, 12)
	if s.Book.Bids.Level(1) != (tick.Level{Price: 980, Size: 12}) {
		t.Errorf("%v", s.Book)
	}
	s.Snapshot(by(1, 4, whole(1, 0, side(500, 5), side(600, 6))), ignore{})
	must(t, s, Valid, tick.ReasonNone, 1)
	if s.Book.Asks.Best().Price != 600 {
		t.Errorf("%v", s.Book)
	}
}
