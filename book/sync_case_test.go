package book

import (
	"bytes"
	"errors"
	"testing"

	"tickproc/tick"
)

// must says in one line what a Sync has to be.
func must(t *testing.T, s *Sync, state State, reason tick.Reason, lastID uint64) {
	t.Helper()
	got, why := s.State()
	if got != state || why != reason || (state == Valid && s.LastID() != lastID) {
		t.Fatalf("state %d for %v at %d, want %d for %v at %d", got, why, s.LastID(), state, reason, lastID)
	}
	if s.IsValid() {
		s.Book.Check()
	}
}

// owes takes the resync that must be owed, exactly once.
func owes(t *testing.T, s *Sync) uint64 {
	t.Helper()
	epoch, owed := s.TakeResync()
	if _, again := s.TakeResync(); !owed || again {
		t.Fatalf("a resync is owed: %v, a second: %v", owed, again)
	}
	return epoch
}

func owesNothing(t *testing.T, s *Sync) {
	t.Helper()
	if _, owed := s.TakeResync(); owed {
		t.Fatal("a resync is owed")
	}
}

// small packets: levels alternate price, size; a message of ids first..last.
func side(numbers ...int64) (out []tick.Level) {
	for i := 0; i < len(numbers); i += 2 {
		out = append(out, tick.Level{Price: numbers[i], Size: numbers[i+1]})
	}
	return out
}

func message(first, last, prev uint64, bids, asks []tick.Level) []tick.Unit {
	p := depthPacket(tick.KindDepth, bids, asks)
	d := p[0].Depth()
	d.FirstID, d.LastID, d.PrevID = first, last, prev
	return p
}

func whole(id, epoch uint64, bids, asks []tick.Level) []tick.Unit {
	p := depthPacket(tick.KindSnapshot, bids, asks)
	p[0].Depth().LastID, p[0].Depth().PrevID = id, epoch
	return p
}

// synced returns a valid book 99|101 at id 10.
func synced(t *testing.T, rule tick.SyncRule) *Sync {
	t.Helper()
	s := NewSync(rule, 0, 0)
	s.Up()
	s.TakeResync()
	s.Snapshot(whole(10, 0, side(99, 5), side(101, 6)), ignore{})
	must(t, s, Valid, tick.ReasonNone, 10)
	return s
}

// A snapshot of an older connection or request is refused; one that nobody
// asked for (a recorded one) is taken whenever the book needs it.
func TestSnapshotEpochs(t *testing.T) {
	t.Parallel()
	book := func(epoch uint64) []tick.Unit { return whole(10, epoch, side(99, 5), side(101, 6)) }
	s := NewSync(spotRule, 0, 0)
	must(t, s, Down, tick.ReasonStart, 0)
	owesNothing(t, s)
	s.Snapshot(book(0), ignore{})
	must(t, s, Down, tick.ReasonStart, 0)

	s.Up()
	must(t, s, Waiting, tick.ReasonStart, 0)
	asked := owes(t, s)
	s.Up() // said twice, owed once
	owesNothing(t, s)
	s.Snapshot(book(asked+1), ignore{})
	must(t, s, Waiting, tick.ReasonStart, 0)
	s.Snapshot(book(asked), ignore{})
	must(t, s, Valid, tick.ReasonNone, 10)
	s.Snapshot(book(0), ignore{}) // not needed
	if s.Counts.SnapshotsRefused != 3 || s.Counts.SnapshotsApplied != 1 {
		t.Errorf("%+v", s.Counts)
	}

	// The connection ends: what was asked for before is of the past, also
	// when the answer arrives after the next connection has begun.
	s.Invalidate(tick.ReasonSequence)
	old := owes(t, s)
	s.Down(tick.ReasonDisconnect)
	must(t, s, Down, tick.ReasonDisconnect, 0)
	s.Invalidate(tick.ReasonSilence) // nothing is expected while it is down
	must(t, s, Down, tick.ReasonDisconnect, 0)
	s.Snapshot(book(old), ignore{})
	s.Up()
	s.Snapshot(book(old), ignore{})
	must(t, s, Waiting, tick.ReasonDisconnect, 0)
	fresh := owes(t, s)
	s.Snapshot(book(old), ignore{})
	must(t, s, Waiting, tick.ReasonDisconnect, 0)
	s.Snapshot(book(fresh), ignore{})
	must(t, s, Valid, tick.ReasonNone, 10)

	s.Invalidate(tick.ReasonOverload)
	must(t, s, Waiting, tick.ReasonOverload, 0)
	s.Snapshot(book(0), ignore{})
	must(t, s, Valid, tick.ReasonNone, 10)
}

// In-band, a snapshot is itself the proof that the venue delivers, whatever
// was said before.
func TestInBandSnapshotIsProof(t *testing.T) {
	t.Parallel()
	s := NewSync(chainRule, 0, 0)
	s.Delta(message(0, 9, 8, nil, nil), ignore{})
	must(t, s, Down, tick.ReasonStart, 0)
	s.Snapshot(whole(10, 0, side(99, 5), side(101, 6)), ignore{})
	must(t, s, Valid, tick.ReasonNone, 10)
	s.Up()
	must(t, s, Valid, tick.ReasonNone, 10)
	owesNothing(t, s)
	s.Delta(message(0, 15, 10, side(99, 7), nil), ignore{})
	s.Snapshot(whole(40, 0, side(95, 5), nil), ignore{}) // at any time
	must(t, s, Valid, tick.ReasonNone, 40)
	if s.Unsynced() != 1 || s.Counts.Applied != 1 || s.Book.Bids.Best().Price != 95 || s.Book.Asks.Len() != 0 {
		t.Errorf("%+v %v", s.Counts, s.Book)
	}
}

// The venue's quotes ran ahead of its depth: the snapshot alone proves
// nothing about the stream.
func TestStaleNeedsTheStreamToMove(t *testing.T) {
	t.Parallel()
	book := func(id, epoch uint64) []tick.Unit { return whole(id, epoch, side(99, 5), side(101, 6)) }
	s := synced(t, spotRule)
	s.Invalidate(tick.ReasonStale)
	s.Snapshot(book(20, owes(t, s)), ignore{})
	must(t, s, Waiting, tick.ReasonStale, 0)
	owesNothing(t, s)
	// Another fault, and another snapshot: the stream still stands.
	s.Invalidate(tick.ReasonSilence)
	s.Snapshot(book(30, owes(t, s)), ignore{})
	must(t, s, Waiting, tick.ReasonStale, 0)
	// So too where the snapshot itself is bad.
	s.Invalidate(tick.ReasonStale)
	s.Snapshot(whole(35, owes(t, s), side(101, 5), side(101, 6)), ignore{})
	must(t, s, Waiting, tick.ReasonCrossed, 0)
	s.Snapshot(book(36, owes(t, s)), ignore{})
	must(t, s, Waiting, tick.ReasonStale, 0)
	// It moves: now a fresh snapshot is wanted, once, and believed.
	s.Delta(message(37, 40, 0, side(99, 7), nil), ignore{})
	epoch := owes(t, s)
	s.Delta(message(41, 41, 0, side(98, 7), nil), ignore{})
	owesNothing(t, s)
	s.Snapshot(book(39, epoch), ignore{})
	must(t, s, Valid, tick.ReasonNone, 41)
	if best := s.Book.Bids.Best(); best != (tick.Level{Price: 99, Size: 7}) {
		t.Errorf("best bid %v", best)
	}

	// It moves before the snapshot comes: no second one is needed.
	s.Invalidate(tick.ReasonStale)
	epoch = owes(t, s)
	s.Delta(message(50, 50, 0, side(99, 8), nil), ignore{})
	owesNothing(t, s)
	s.Snapshot(book(60, epoch), ignore{})
	must(t, s, Valid, tick.ReasonNone, 60)

	// What had come before it stood still is no movement.
	s.Invalidate(tick.ReasonOverload)
	s.Delta(message(62, 62, 0, side(99, 9), nil), ignore{})
	s.Invalidate(tick.ReasonStale)
	s.Snapshot(book(60, owes(t, s)), ignore{}) // too old for what waits
	must(t, s, Waiting, tick.ReasonSequence, 0)
	s.Snapshot(book(65, owes(t, s)), ignore{})
	must(t, s, Waiting, tick.ReasonStale, 0)

	// A new connection starts without suspicion.
	s.Invalidate(tick.ReasonStale)
	s.Down(tick.ReasonReconnect)
	s.Up()
	s.Snapshot(book(70, owes(t, s)), ignore{})
	must(t, s, Valid, tick.ReasonNone, 70)

	// In-band, the snapshot is the stream.
	s = synced(t, counterRule)
	s.Invalidate(tick.ReasonStale)
	s.Snapshot(book(80, 0), ignore{})
	must(t, s, Valid, tick.ReasonNone, 80)
}

func TestCrossedBook(t *testing.T) {
	t.Parallel()
	s := synced(t, spotRule)
	s.Delta(message(11, 11, 0, side(101, 1), nil), ignore{})
	must(t, s, Waiting, tick.ReasonCrossed, 0)
	epoch := owes(t, s)
	s.Delta(message(12, 12, 0, side(101, 0), nil), ignore{})
	owesNothing(t, s)
	// A snapshot may be crossed, or become so by what waited.
	s.Snapshot(whole(11, epoch, side(101, 1), side(101, 6)), ignore{})
	must(t, s, Waiting, tick.ReasonCrossed, 0)
	s.Delta(message(13, 13, 0, nil, side(98, 3)), ignore{})
	s.Snapshot(whole(11, owes(t, s), side(99, 5), side(102, 6)), ignore{})
	must(t, s, Waiting, tick.ReasonCrossed, 0)
	if s.Counts.Applied != 3 || s.Unsynced() != 0 {
		t.Errorf("%+v, %d unsynced", s.Counts, s.Unsynced())
	}
	s.Snapshot(whole(13, owes(t, s), side(97, 5), side(98, 3)), ignore{})
	must(t, s, Valid, tick.ReasonNone, 13)

	// A book without one side crosses nothing.
	s.Delta(message(14, 14, 0, nil, side(98, 0)), ignore{})
	s.Delta(message(15, 15, 0, side(500, 1), nil), ignore{})
	must(t, s, Valid, tick.ReasonNone, 15)

	// Some venues' books cross for moments by design.
	rule := spotRule
	rule.MayCross = true
	s = synced(t, rule)
	s.Delta(message(11, 11, 0, side(101, 1), nil), ignore{})
	must(t, s, Valid, tick.ReasonNone, 11)

	// A whole image that is crossed is not believed; the next one may be.
	s = synced(t, imageRule)
	s.Delta(message(0, 11, 0, side(101, 1), side(101, 1)), ignore{})
	must(t, s, Waiting, tick.ReasonCrossed, 0)
	s.Delta(message(0, 12, 0, side(100, 1), side(101, 1)), ignore{})
	must(t, s, Valid, tick.ReasonNone, 12)
}

func TestChecksumMismatch(t *testing.T) {
	t.Parallel()
	s := synced(t, checksumRule)
	right := New()
	next := func(bids []tick.Level) []tick.Unit {
		p := message(0, 0, 0, bids, nil)
		right.Apply(bids, len(bids))
		p[0].Depth().Checksum = Checksum(&right, checksumRule, 0, 0)
		return p
	}
	right.Apply(append(side(99, 5), side(101, 6)...), 1)
	s.Delta(next(side(98, 3)), ignore{})
	must(t, s, Valid, tick.ReasonNone, 0)
	lost := next(side(97, 4))
	s.Delta(next(side(98, 2)), ignore{})
	must(t, s, Waiting, tick.ReasonChecksum, 0)
	owes(t, s)
	s.Delta(lost, ignore{}) // too late: what was applied meanwhile is unknown
	must(t, s, Waiting, tick.ReasonChecksum, 0)
	owesNothing(t, s)
	// A snapshot is checked too.
	bad := whole(0, 0, side(99, 5), side(101, 6))
	bad[0].Depth().Checksum = 1
	s.Snapshot(bad, ignore{})
	must(t, s, Waiting, tick.ReasonChecksum, 0)
	owes(t, s)
	good := whole(0, 0, levels(map[int64]int64{99: 5, 98: 2, 97: 4}), side(101, 6))
	good[0].Depth().Checksum = Checksum(&right, checksumRule, 0, 0)
	s.Snapshot(good, ignore{})
	must(t, s, Valid, tick.ReasonNone, 0)
	if s.Counts.Checksums != 2 || s.Counts.Applied != 2 || s.Unsynced() != 1 {
		t.Errorf("%+v", s.Counts)
	}
	// Where the venue gives none, nothing is compared.
	s.Delta(message(0, 0, 0, side(90, 1), nil), ignore{})
	must(t, s, Valid, tick.ReasonNone, 0)
}

// One difference from the venue's own quotes may be a quirk, three in a row
// are ours.
func TestQuotesDiffer(t *testing.T) {
	t.Parallel()
	rule := spotRule
	rule.QuoteIDs = true
	id := uint64(10)
	step := func(s *Sync, agrees bool) {
		id++
		bid := tick.Level{Price: 99, Size: int64(id)}
		seen := bid
		if !agrees {
			seen.Size++
		}
		s.Quotes.Remember(id, seen, tick.Level{Price: 101, Size: 6})
		s.Delta(message(id, id, 0, []tick.Level{bid}, nil), ignore{})
	}
	s := synced(t, rule)
	for _, agrees := range []bool{false, false, true, false, false} {
		step(s, agrees)
		must(t, s, Valid, tick.ReasonNone, id)
	}
	id++ // a message without a quote of its id says nothing either way
	s.Delta(message(id, id, 0, nil, nil), ignore{})
	must(t, s, Valid, tick.ReasonNone, id)
	step(s, false)
	must(t, s, Waiting, tick.ReasonQuoteDiffer, 0)
	if s.Quotes.Agreed != 1 || s.Quotes.Differed != 5 {
		t.Errorf("%d agreed, %d differed", s.Quotes.Agreed, s.Quotes.Differed)
	}
	// The new book is not charged with the old one's differences.
	again := func() {
		t.Helper()
		s.Snapshot(whole(id, owes(t, s), side(99, 5), side(101, 6)), ignore{})
		must(t, s, Valid, tick.ReasonNone, id)
		step(s, false)
		step(s, false)
		must(t, s, Valid, tick.ReasonNone, id)
	}
	again()
	s.Invalidate(tick.ReasonOverload)
	again()

	// Where quotes name no book ids, they are not compared.
	s, id = synced(t, spotRule), 10
	for range 5 {
		step(s, false)
	}
	must(t, s, Valid, tick.ReasonNone, id)
}

func TestBufferOverflow(t *testing.T) {
	t.Parallel()
	bids := make([]tick.Level, tick.MaxLevels)
	for i := range bids {
		bids[i] = tick.Level{Price: int64(i), Size: 1}
	}
	big := func(id uint64) []tick.Unit { return message(id, id, 0, bids, nil) }
	room := uint64(bufferUnitsMax / len(big(1)))

	s := NewSync(spotRule, 0, 0)
	s.Up()
	epoch := owes(t, s)
	id := uint64(0)
	for range room {
		id++
		s.Delta(big(id), ignore{})
		must(t, s, Waiting, tick.ReasonStart, 0)
	}
	owesNothing(t, s)
	id++
	s.Delta(big(id), ignore{})
	must(t, s, Waiting, tick.ReasonBuffer, 0)
	if s.Unsynced() != room+1 || s.Counts.Unsynced != room {
		t.Errorf("%d unsynced, %d of them gone, want %d gone", s.Unsynced(), s.Counts.Unsynced, room)
	}
	// What was asked for before would be too old for what waits now.
	s.Snapshot(whole(1, epoch, nil, side(1e9, 1)), ignore{})
	if s.IsValid() {
		t.Fatal("a book with a hole is valid")
	}
	s.Snapshot(whole(id, owes(t, s), nil, side(1e9, 1)), ignore{})
	must(t, s, Valid, tick.ReasonNone, id)

	// While the venue delivers nothing there is nobody to ask.
	s.Down(tick.ReasonSilence)
	for range 2*room + 1 {
		id++
		s.Delta(big(id), ignore{})
		must(t, s, Down, tick.ReasonSilence, 0)
		owesNothing(t, s)
	}
	s.Up()
	s.Snapshot(whole(id-1, owes(t, s), nil, side(1e9, 1)), ignore{})
	must(t, s, Valid, tick.ReasonNone, id)
}

// Buffered messages survive snapshots that are too old for them.
func TestTooOldSnapshots(t *testing.T) {
	t.Parallel()
	s := NewSync(spotRule, 0, 0)
	s.Up()
	for id := uint64(21); id < 30; id++ {
		s.Delta(message(id, id, 0, side(int64(id), 1), nil), ignore{})
	}
	for n := range uint64(3) {
		s.Snapshot(whole(10+n, owes(t, s), side(5, 5), side(101, 6)), ignore{})
		must(t, s, Waiting, tick.ReasonSequence, 0)
	}
	s.Snapshot(whole(20, owes(t, s), side(5, 5), side(101, 6)), ignore{})
	must(t, s, Valid, tick.ReasonNone, 29)
	if s.Book.Bids.Len() != 10 || s.Counts.SnapshotsTooOld != 3 || s.Counts.Applied != 9 || s.Counts.Gaps != 0 {
		t.Errorf("%d bids, %+v", s.Book.Bids.Len(), s.Counts)
	}
}

// A chain is its links: ids may jump, stand still, or start anew. What is
// lost around a new start shows all the same.
func TestChainStartsAnew(t *testing.T) {
	t.Parallel()
	link := func(prev, last uint64) []tick.Unit { return message(0, last, prev, side(99, int64(last)), nil) }
	s := synced(t, chainRule)
	s.Delta(link(10, 500), ignore{})
	s.Delta(link(500, 500), ignore{}) // quiet
	s.Delta(link(500, 7), ignore{})   // after maintenance
	s.Delta(link(7, 9), ignore{})
	must(t, s, Valid, tick.ReasonNone, 9)
	s.Delta(link(7, 9), ignore{}) // twice
	must(t, s, Valid, tick.ReasonNone, 9)
	if s.Counts.Applied != 4 || s.Counts.Duplicate != 1 {
		t.Errorf("%+v", s.Counts)
	}

	s = synced(t, chainRule)
	s.Delta(link(10, 500), ignore{})
	// 500 → 7 is lost.
	s.Delta(link(7, 9), ignore{})
	must(t, s, Waiting, tick.ReasonSequence, 0)
	if owes(t, s); s.Counts.Gaps != 1 || s.Unsynced() != 1 {
		t.Errorf("%+v", s.Counts)
	}
}

// Fragments of one message are one message, and those of snapshots and of
// deltas, which come by different lines, may be mixed.
func TestFragments(t *testing.T) {
	t.Parallel()
	v := newStream(seeded(t), spotRule, 1, []int{6, 5, 6, 2})
	last := v.deltas[3].last
	for snapshotID := v.ids[0]; snapshotID <= v.deltas[2].last; snapshotID++ {
		var deltas [][]tick.Unit
		var number []int
		for i := range 3 {
			for _, p := range fragments(v.delta(i), 2) {
				deltas, number = append(deltas, p), append(number, i)
			}
		}
		snapshot := fragments(v.snapshot(snapshotID, 0), 3)
		// Every way to merge the two, as bits: 1 takes from the snapshot.
		all := len(deltas) + len(snapshot)
		for bits := range 1 << all {
			if ones(bits) != len(snapshot) {
				continue
			}
			p := newPair(t, v)
			p.up()
			d, sn := 0, 0
			for i := range all {
				if bits>>i&1 == 1 {
					p.s.Snapshot(snapshot[sn], ignore{})
					if sn++; sn == len(snapshot) {
						p.m.snapshot(snapshotID, 0)
					}
				} else {
					p.s.Delta(deltas[d], ignore{})
					if d++; d == len(deltas) || number[d] != number[d-1] {
						p.m.delta(number[d-1])
					}
				}
				p.compare("fragment", uint64(d), uint64(sn))
			}
			p.finish(v.deltas[2].last)
			p.mustBeValidAt(last)
		}
	}
}

func ones(bits int) (n int) {
	for ; bits > 0; bits &= bits - 1 {
		n++
	}
	return n
}

// Half a message is no message.
func TestLostFragments(t *testing.T) {
	t.Parallel()
	bids := side(90, 1, 91, 2, 92, 3, 93, 4)
	// The beginning is lost, then the end.
	s := synced(t, spotRule)
	parts := fragments(message(11, 12, 0, bids, nil), 2)
	s.Delta(parts[1], ignore{})
	must(t, s, Valid, tick.ReasonNone, 10)
	s.Delta(parts[0], ignore{})
	s.Delta(message(13, 13, 0, side(99, 1), nil), ignore{})
	must(t, s, Waiting, tick.ReasonSequence, 0)

	// We dropped a fragment under overload and said so: the rest of that
	// message, delta or snapshot, is worth nothing.
	s = synced(t, chainRule)
	parts = fragments(message(0, 11, 10, bids, nil), 1)
	s.Delta(parts[0], ignore{})
	s.Invalidate(tick.ReasonOverload)
	owes(t, s)
	parts = fragments(whole(20, 0, bids, side(101, 1)), 1)
	s.Snapshot(parts[0], ignore{})
	s.Invalidate(tick.ReasonOverload)
	for _, p := range parts[2:] {
		s.Snapshot(p, ignore{})
		must(t, s, Waiting, tick.ReasonOverload, 0)
	}
	s.Snapshot(whole(30, 0, bids, side(101, 1)), ignore{})
	must(t, s, Valid, tick.ReasonNone, 30)
	if s.Book.Bids.Len() != 4 {
		t.Errorf("bids %v", s.Book.Bids.all())
	}
}

// A finer scale reaches everything: the book, what waits, half a message,
// the quotes.
func TestRescale(t *testing.T) {
	t.Parallel()
	rule := spotRule
	rule.QuoteIDs = true
	s := synced(t, rule)
	s.Quotes.Remember(13, tick.Level{Price: 99, Size: 5}, tick.Level{Price: 101, Size: 6})
	parts := fragments(message(11, 12, 0, side(97, 2, 98, 3), nil), 1)
	s.Delta(parts[0], ignore{})
	rescale := func(price, size int64) {
		t.Helper()
		if err := s.Rescale(price, size, 1, 2); err != nil {
			t.Fatal(err)
		}
	}
	rescale(10, 100)
	must(t, s, Valid, tick.ReasonNone, 10)
	tick.Levels(parts[1])[0] = tick.Level{Price: 980, Size: 300} // at the new scale
	s.Delta(parts[1], ignore{})
	s.Delta(message(13, 13, 0, side(960, 100), nil), ignore{})
	want := New()
	want.Apply(append(side(990, 500, 980, 300, 970, 200, 960, 100), side(1010, 600)...), 4)
	if !bytes.Equal(saved(s.Book.code), saved(want.code)) || s.Quotes.Agreed != 1 {
		t.Errorf("%v, %d agreed", s.Book, s.Quotes.Agreed)
	}

	s.Invalidate(tick.ReasonOverload)
	s.Delta(message(14, 14, 0, side(950, 1), nil), ignore{})
	parts = fragments(whole(13, owes(t, s), side(900, 5), side(1010, 6)), 1)
	s.Snapshot(parts[0], ignore{})
	rescale(1, 10)
	tick.Levels(parts[1])[0].Size = 60
	s.Snapshot(parts[1], ignore{})
	must(t, s, Valid, tick.ReasonNone, 14)
	if s.Book.Bids.Best() != (tick.Level{Price: 950, Size: 10}) || s.Book.Bids.Level(1).Size != 50 || s.Book.Asks.Best().Size != 60 {
		t.Errorf("%v", s.Book)
	}
}

// What int64 cannot hold makes the book invalid, wherever it is.
func TestRescaleOutOfRange(t *testing.T) {
	t.Parallel()
	f := func(where string, prepare func(s *Sync)) {
		t.Helper()
		s := synced(t, spotRule)
		prepare(s)
		given := s.Unsynced() + s.Counts.Applied
		if err := s.Rescale(1, 10, 0, 1); !errors.Is(err, tick.ErrRange) {
			t.Fatalf("%s: %v", where, err)
		}
		must(t, s, Waiting, tick.ReasonRange, 0)
		if s.Book.Bids.Len()+s.Book.Asks.Len() != 0 || s.Unsynced()+s.Counts.Applied != given {
			t.Errorf("%s: %v, %+v", where, s.Book, s.Counts)
		}
		s.Snapshot(whole(50, owes(t, s), side(99, 50), side(101, 60)), ignore{})
		must(t, s, Valid, tick.ReasonNone, 50)
	}
	huge := side(98, 4e18)
	f("in the book", func(s *Sync) { s.Delta(message(11, 11, 0, huge, nil), ignore{}) })
	f("at the asks", func(s *Sync) { s.Delta(message(11, 11, 0, nil, side(102, 4e18)), ignore{}) })
	f("in the buffer", func(s *Sync) {
		s.Invalidate(tick.ReasonOverload)
		s.Delta(message(11, 11, 0, nil, nil), ignore{})
		s.Delta(message(12, 12, 0, huge, nil), ignore{})
	})
	f("in half a message", func(s *Sync) { s.Delta(fragments(message(11, 11, 0, append(huge, huge...), nil), 1)[0], ignore{}) })
	f("in half a snapshot", func(s *Sync) {
		s.Invalidate(tick.ReasonOverload)
		s.Snapshot(fragments(whole(11, 0, append(huge, huge...), nil), 1)[0], ignore{})
	})

	s := NewSync(spotRule, 0, 0) // and while down it is merely empty
	s.Delta(message(11, 11, 0, huge, nil), ignore{})
	if err := s.Rescale(1, 10, 0, 1); !errors.Is(err, tick.ErrRange) {
		t.Fatal(err)
	}
	must(t, s, Down, tick.ReasonStart, 0)
	owesNothing(t, s)
}

// Levels beyond the subscribed depth are forgotten, because the venue does
// not tell that they left.
func TestTruncate(t *testing.T) {
	t.Parallel()
	rule := chainRule
	rule.Truncate = 2
	s := NewSync(rule, 0, 0)
	s.Snapshot(whole(10, 0, side(99, 5, 98, 5, 97, 5), side(101, 6, 102, 6, 103, 6)), ignore{})
	s.Delta(message(0, 11, 10, side(100, 1), nil), ignore{})
	if b := &s.Book; b.Bids.Len() != 2 || b.Asks.Len() != 2 || b.Bids.Level(1).Price != 99 || b.Asks.Level(1).Price != 102 {
		t.Errorf("%v", s.Book)
	}
	// Cut only when the whole message is in: an order of entries may pass
	// through a deeper book.
	s.Delta(message(0, 12, 11, side(96, 1, 100, 0, 99, 0), nil), ignore{})
	if s.Book.Bids.Len() != 1 || s.Book.Bids.Best().Price != 96 {
		t.Errorf("%v", s.Book)
	}
}

// witness writes down what a listener sees.
type witness struct {
	s   *Sync
	log []uint64
}

func (w *witness) BeforeDelta(d *tick.Depth) { w.log = append(w.log, w.s.LastID()) }
func (w *witness) AfterDelta(d *tick.Depth) {
	w.log = append(w.log, d.LastID)
	if w.s.LastID() != d.LastID {
		panic("the book is not at the message yet")
	}
}

// The listener sees every delta that is applied, at once or after waiting,
// and no other.
func TestListener(t *testing.T) {
	t.Parallel()
	s := NewSync(spotRule, 0, 0)
	s.Up()
	w := &witness{s: s}
	for id := uint64(8); id < 13; id++ {
		s.Delta(message(id, id, 0, nil, nil), w)
	}
	s.Snapshot(whole(10, 0, side(99, 5), side(101, 6)), w)
	s.Delta(message(12, 12, 0, nil, nil), w) // a duplicate
	s.Delta(message(13, 13, 0, nil, nil), w)
	s.Delta(message(15, 15, 0, nil, nil), w) // after a loss
	want := []uint64{10, 11, 11, 12, 12, 13}
	if len(w.log) != len(want) {
		t.Fatalf("%v, want %v", w.log, want)
	}
	for i := range want {
		if w.log[i] != want[i] {
			t.Fatalf("%v, want %v", w.log, want)
		}
	}
}

// The same history gives the same bytes; what decides the future shows in them.
func TestSyncState(t *testing.T) {
	t.Parallel()
	state := func(change func(s *Sync)) string {
		s := synced(t, chainRule)
		s.Delta(message(0, 20, 10, side(98, 1), nil), ignore{})
		if change != nil {
			change(s)
		}
		return string(saved(s.Code))
	}
	first := state(nil)
	if again := state(nil); again != first {
		t.Error("the same history, other bytes")
	}
	seen := map[string]string{first: "nothing"}
	f := func(what string, change func(s *Sync)) {
		t.Helper()
		got := state(change)
		if before, twice := seen[got]; twice {
			t.Errorf("%s looks like %s", what, before)
		}
		seen[got] = what
	}
	f("a level", func(s *Sync) { s.Book.Asks.Set(101, 7) })
	f("a side", func(s *Sync) { s.Book.Bids.Set(101, 6); s.Book.Asks.Set(101, 0) })
	f("an id", func(s *Sync) { s.Delta(message(0, 21, 20, nil, nil), ignore{}) })
	f("the link before", func(s *Sync) { s.Delta(message(0, 20, 20, nil, nil), ignore{}) })
	f("invalid", func(s *Sync) { s.Invalidate(tick.ReasonSilence) })
	f("invalid otherwise", func(s *Sync) { s.Invalidate(tick.ReasonStale) })
	f("asked", func(s *Sync) { s.Invalidate(tick.ReasonStale); s.TakeResync() })
	f("down", func(s *Sync) { s.Down(tick.ReasonSilence) })
	f("half a delta", func(s *Sync) { s.Delta(fragments(message(0, 21, 20, side(9, 9, 8, 8), nil), 1)[0], ignore{}) })
	f("half a snapshot", func(s *Sync) { s.Snapshot(fragments(whole(21, 20, side(9, 9, 8, 8), nil), 1)[0], ignore{}) })
}

// hot path: messages that are applied, that wait, and that are spliced.
func TestDeltaZeroAllocs(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	rule := spotRule
	rule.QuoteIDs = true
	s := synced(t, rule)
	id := uint64(10)
	wide := message(0, 0, 0, side(95, 1, 96, 1, 94, 1), side(103, 1, 104, 1))
	parts := fragments(wide, 2)
	snapshot := whole(0, 0, side(99, 5), side(101, 6))
	next := func(p []tick.Unit) []tick.Unit {
		p[0].Depth().FirstID, p[0].Depth().LastID = id, id
		return p
	}
	run := func() {
		for i := range 50 {
			id++
			tick.Levels(wide)[0].Size = int64(i) // a level that comes and goes
			s.Quotes.Remember(id, tick.Level{Price: 99, Size: 5}, tick.Level{Price: 101, Size: 6})
			s.Delta(next(wide), ignore{})
			id++
			for _, p := range parts {
				s.Delta(next(p), ignore{})
			}
		}
		s.Invalidate(tick.ReasonOverload)
		s.TakeResync()
		for range 20 {
			id++
			s.Delta(next(wide), ignore{})
		}
		snapshot[0].Depth().LastID = id - 5
		s.Snapshot(snapshot, ignore{})
		if !s.IsValid() {
			panic("BUG: the test lost its book")
		}
	}
	run()
	if n := testing.AllocsPerRun(20, run); n != 0 {
		t.Errorf("%v allocations", n)
	}

	sum := synced(t, checksumRule)
	p := message(0, 0, 0, side(98, 1), nil)
	run = func() {
		p[0].Depth().Checksum = 0
		tick.Levels(p)[0].Size++
		sum.Delta(p, ignore{})
		p[0].Depth().Checksum = Checksum(&sum.Book, checksumRule, 0, 0)
		sum.Delta(p, ignore{})
	}
	if n := testing.AllocsPerRun(100, run); n != 0 || !sum.IsValid() || sum.Counts.Checksums < 100 {
		t.Errorf("%v allocations with a checksum, %+v", n, sum.Counts)
	}
}
