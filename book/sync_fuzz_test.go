package book

import (
	"testing"

	"tickproc/tick"
)

// Whatever comes, and in whatever order: no panic, an ordered and uncrossed
// book whenever it is valid, and the same history gives the same bytes, also
// where the book is saved and loaded after every step.
func FuzzSync(f *testing.F) {
	f.Add([]byte{0, 0, 1, 3, 2, 10, 0, 10, 9, 2, 1, 5, 3, 1, 6, 1, 3, 0, 11, 11, 10, 1, 1, 7, 3})
	f.Add([]byte("\x01fragments and rescales, mixed with losses\x05\x06\x07\x08\x09"))
	for rule := range byte(len(fuzzRules)) {
		f.Add(append([]byte{rule}, "\x00\x02\x03\x05\x00\x05\x00\x21\x31\x41\x51\x03\x05\x06\x05\x01\x20\x11\x04\x09\x03"...))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 4096 {
			return
		}
		if fuzzSync(t, input, false) != fuzzSync(t, input, true) {
			t.Fatal("the same history, other bytes")
		}
	})
}

var fuzzRules = []tick.SyncRule{spotRule, futuresRule, linkedRule, polledRule, chainRule, counterRule, checksumRule, imageRule,
	{Snapshot: tick.SnapshotREST, Sequence: tick.SequenceNone, Truncate: 3, MayCross: true},
	{Snapshot: tick.SnapshotREST, Sequence: tick.SequenceRange, Join: 1, QuoteIDs: true},
	{Snapshot: tick.SnapshotInBand, Sequence: tick.SequenceNone, Checksum: tick.ChecksumKraken, ChecksumDepth: 10, ChecksumPriceDigits: 3, ChecksumSizeDigits: 1, Truncate: 4},
}

func fuzzSync(t *testing.T, input []byte, reload bool) string {
	next := func() byte {
		if len(input) == 0 {
			return 0
		}
		b := input[0]
		input = input[1:]
		return b
	}
	rule := fuzzRules[int(next())%len(fuzzRules)]
	return fuzzSyncFrom(t, NewSync(rule, 2, 2), next, func() bool { return len(input) > 0 }, reload)
}

// fuzzSyncFrom lets all befall a book that bytes say.
func fuzzSyncFrom(t *testing.T, s *Sync, next func() byte, more func() bool, reload bool) string {
	rule := s.Rule
	var given, scale int64 = 0, 1
	packet := func(kind tick.Kind) []tick.Unit {
		shape := next()
		levels := make([]tick.Level, shape>>2&7)
		flags := tick.Flags(0)
		switch shape & 3 { // most messages are whole
		case 0, 1:
			flags = tick.FlagFirst | tick.FlagLast
		case 2:
			flags = tick.FlagFirst
		case 3:
			flags = tick.Flags(shape>>5&1) * tick.FlagLast
		}
		p := depthPacket(kind, levels, nil)
		d := p[0].Depth()
		d.Flags = flags
		d.Bids = uint16(int(shape>>5) % (len(levels) + 1))
		d.FirstID, d.LastID, d.PrevID = uint64(next()), uint64(next()), uint64(next())
		if shape&0x80 != 0 {
			d.Checksum = uint32(next())
		}
		for i := range tick.Levels(p) {
			price := int64(next())
			tick.Levels(p)[i] = tick.Level{Price: price * scale, Size: int64(next()%4) << (next() % 62)}
		}
		return p
	}
	given = int64(s.Counts.Applied + s.Counts.Dropped + s.Counts.Duplicate + s.Unsynced())
	for more() {
		before := s.Counts
		switch op := next() % 12; op {
		case 0:
			s.Up()
		case 1:
			s.Down(tick.Reason(next() % 16))
		case 2:
			s.Invalidate(tick.Reason(next() % 16))
		case 3, 4:
			s.Snapshot(packet(tick.KindSnapshot), ignore{})
		case 5:
			s.TakeResync()
		case 6:
			factor := int64(1 + next()%3)
			if s.Rescale(factor, 1+int64(next()%2), 2, 2) == nil && scale < 1<<40 {
				scale *= factor
			}
		case 7:
			s.Quotes.Remember(uint64(next()), tick.Level{Price: int64(next()), Size: 1}, tick.Level{Price: int64(next()), Size: 1})
		default:
			s.Delta(packet(tick.KindDepth), ignore{})
		}
		if s.IsValid() {
			s.Book.Check()
			if s.Book.Crossed() && !rule.MayCross {
				t.Fatal("valid and crossed")
			}
		}
		state, reason := s.State()
		if (state == Valid) != (reason == tick.ReasonNone) && reason != tick.ReasonNone {
			t.Fatalf("state %d for %v", state, reason)
		}
		c := s.Counts
		sum := int64(c.Applied + c.Dropped + c.Duplicate + s.Unsynced())
		if sum < given || sum > given+1 || c.SnapshotsApplied < before.SnapshotsApplied {
			t.Fatalf("one step made %d messages of %d: %+v", sum, given, c)
		}
		given = sum
		if reload {
			s = reloaded(t, s)
		}
	}
	return string(saved(s.Code))
}
