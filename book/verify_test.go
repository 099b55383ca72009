package book

import (
	"testing"

	"tickproc/tick"
)

// summed gives a message the checksum that its book will have, made wrong by so much.
func summed(s *Sync, p []tick.Unit, wrong uint32) []tick.Unit {
	b := New()
	for i := range s.Book.Bids.Len() {
		l := s.Book.Bids.Level(i)
		b.Bids.Set(l.Price, l.Size)
	}
	for i := range s.Book.Asks.Len() {
		l := s.Book.Asks.Level(i)
		b.Asks.Set(l.Price, l.Size)
	}
	if p[0].KindOf() == tick.KindSnapshot {
		b.Clear()
	}
	b.Apply(tick.Levels(p), int(p[0].Depth().Bids))
	if n := int(s.Rule.Truncate); n > 0 {
		b.Bids.Truncate(n)
		b.Asks.Truncate(n)
	}
	p[0].Depth().Checksum = Checksum(&b, s.Rule, 0, 0) + wrong
	return p
}

// A checksum that is always 0 is none: said after 16 messages, and forgotten
// with the first that has one.
func TestChecksumAbsent(t *testing.T) {
	t.Parallel()
	s := NewSync(checksumRule, 0, 0)
	s.Snapshot(whole(0, 0, side(99, 5), side(101, 6)), ignore{})
	for i := 1; i < checksumZerosMax; i++ {
		if s.ChecksumAbsent() {
			t.Fatalf("after %d messages", i)
		}
		s.Delta(message(0, 0, 0, side(98, int64(i)), nil), ignore{})
	}
	if !s.ChecksumAbsent() {
		t.Fatal("it is absent")
	}
	s.Delta(summed(s, message(0, 0, 0, side(98, 77), nil), 0), ignore{})
	if s.ChecksumAbsent() || s.Counts.Checksums != 1 {
		t.Errorf("it is there: %+v", s.Counts)
	}
	s.Delta(summed(s, message(0, 0, 0, side(98, 78), nil), 1), ignore{})
	must(t, s, Waiting, tick.ReasonChecksum, 0)
	if synced(t, counterRule).ChecksumAbsent() {
		t.Error("a venue without one misses none")
	}
}

// A checksum that stays the same while the book changes is the venue's fault:
// the eighth failure no longer breaks the book, until it moves again.
func TestChecksumConstant(t *testing.T) {
	t.Parallel()
	s := NewSync(checksumRule, 0, 0)
	constant := func(p []tick.Unit) []tick.Unit {
		p[0].Depth().Checksum = 12345
		return p
	}
	for i := 1; i < checksumFailsMax; i++ {
		s.Snapshot(constant(whole(0, 0, side(99, int64(i)), side(101, 6))), ignore{})
		must(t, s, Waiting, tick.ReasonChecksum, 0)
		s.Snapshot(constant(whole(0, 0, side(99, int64(i)), side(101, 6))), ignore{}) // the same book proves nothing
		must(t, s, Waiting, tick.ReasonChecksum, 0)
	}
	s.Snapshot(constant(whole(0, 0, side(99, 100), side(101, 6))), ignore{})
	for i := range int64(20) {
		if must(t, s, Valid, tick.ReasonNone, 0); !s.ChecksumConstant() {
			t.Fatal("it is constant")
		}
		s.Delta(constant(message(0, 0, 0, side(98, i+1), nil)), ignore{})
	}
	s.Delta(summed(s, message(0, 0, 0, side(98, 50), nil), 0), ignore{})
	must(t, s, Valid, tick.ReasonNone, 0)
	if s.ChecksumConstant() || s.Counts.Checksums != 1 {
		t.Errorf("it moved: %+v", s.Counts)
	}
	s.Delta(summed(s, message(0, 0, 0, side(98, 51), nil), 1), ignore{})
	must(t, s, Waiting, tick.ReasonChecksum, 0)
}

// Kraken: the entries of a message apply in their order, then the book is cut,
// then it is summed; also where it holds fewer levels than the sum covers.
func TestChecksumAfterTruncation(t *testing.T) {
	t.Parallel()
	rule := tick.SyncRule{Snapshot: tick.SnapshotInBand, Checksum: tick.ChecksumKraken, ChecksumDepth: 10, Truncate: 3}
	s := NewSync(rule, 0, 0)
	s.Snapshot(summed(s, whole(0, 0, side(99, 5, 98, 4, 97, 3), side(101, 6)), 0), ignore{})
	must(t, s, Valid, tick.ReasonNone, 0)
	// 100 comes, goes and comes with another size; 97 leaves without a word.
	p := message(0, 0, 0, side(100, 1, 100, 0, 100, 7), side(101, 1, 101, 2))
	want := New()
	want.Apply(append(side(100, 7, 99, 5, 98, 4), side(101, 2)...), 3)
	p[0].Depth().Checksum = Checksum(&want, rule, 0, 0)
	s.Delta(p, ignore{})
	must(t, s, Valid, tick.ReasonNone, 0)
	if s.Counts.Checksums != 2 || s.Book.Bids.Len() != 3 || s.Book.Bids.Best().Size != 7 || s.Book.Asks.Best().Size != 2 {
		t.Errorf("%+v %v", s.Counts, s.Book)
	}
}
