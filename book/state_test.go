package book

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"unsafe"

	"tickproc/internal/state"
	"tickproc/tick"
)

// saved returns what a piece writes of itself.
func saved(code func(c *state.Coder)) []byte {
	var c state.Coder
	c.Save(nil)
	code(&c)
	return c.Bytes()
}

// reloaded returns a book that knows no more of s than what s wrote; totals are
// carried over, because they are not state.
func reloaded(t testing.TB, s *Sync) *Sync {
	t.Helper()
	src := saved(s.Code)
	back, err := load(s.Rule, s.digits.price, s.digits.size, src)
	if err != nil {
		t.Fatalf("what was saved cannot be loaded: %v", err)
	}
	if !bytes.Equal(saved(back.Code), src) {
		t.Fatal("what was loaded is saved as other bytes")
	}
	back.Hold, back.Counts, back.Book.Orphans = s.Hold, s.Counts, s.Book.Orphans
	back.Quotes.Agreed, back.Quotes.Differed = s.Quotes.Agreed, s.Quotes.Differed
	return back
}

func load(rule tick.SyncRule, priceDigits, sizeDigits uint8, src []byte) (*Sync, error) {
	var c state.Coder
	c.Load(src)
	s := NewSync(rule, priceDigits, sizeDigits)
	s.Code(&c)
	return s, c.End()
}

// A long story of several lines, with books aside, held messages and halves,
// cut at every byte: never taken for a whole one.
func TestCutStateIsRefused(t *testing.T) {
	t.Parallel()
	for _, src := range richStates(t) {
		for cut := range src.bytes {
			if _, err := load(src.rule, 0, 0, src.bytes[:cut]); !errors.Is(err, state.ErrDamaged) {
				t.Fatalf("%d of %d bytes: %v", cut, len(src.bytes), err)
			}
		}
	}
}

type richState struct {
	rule  tick.SyncRule
	bytes []byte
}

// richStates have something of everything that a state may hold.
func richStates(t testing.TB) (all []richState) {
	for i, rule := range []tick.SyncRule{spotRule, chainRule, counterRule, checksumRule, imageRule} {
		s := NewSync(rule, 0, 0)
		s.Hold = testHold
		s.Up()
		v := newStream(rand.New(rand.NewPCG(1, uint64(i))), rule, 1, []int{1, 1, 1, 1, 1, 1, 1, 1})
		give := func(line uint16, p []tick.Unit) {
			p = bytesOfPacket(p)
			p[0].Header().Line = line
			if p[0].KindOf() == tick.KindSnapshot {
				s.Snapshot(p, ignore{})
			} else {
				s.Delta(p, ignore{})
			}
		}
		give(1, v.delta(0))
		give(1, v.snapshot(v.deltas[1].prev, 0))
		give(1, v.delta(1))
		if rule.Sequence != tick.SequenceNone {
			s.Share(1, 2)
			give(2, v.delta(1))
			give(1, v.delta(2))
			give(2, v.snapshot(v.deltas[1].prev, 0)) // behind: aside
			give(2, v.delta(1))
			give(1, v.delta(4)) // held back
		}
		s.Quotes.Remember(3, tick.Level{Price: 1, Size: 1}, tick.Level{Price: 2, Size: 1})
		give(1, fragments(message(0, 90, 80, side(9, 9, 8, 8), nil), 1)[0])
		all = append(all, richState{rule, saved(s.Code)})
	}
	return all
}

func bytesOfPacket(p []tick.Unit) []tick.Unit { return append([]tick.Unit(nil), p...) }

// Whatever the bytes: they are refused, or they are a book that lives on.
func FuzzLoadSync(f *testing.F) {
	for i, x := range richStates(f) {
		f.Add(byte(i), x.bytes, []byte("\x03\x05\x06\x05\x01\x20\x11\x04\x09\x03\x02\x03\x05\x00\x05\x00\x21"))
	}
	f.Fuzz(func(t *testing.T, which byte, src, story []byte) {
		rule := []tick.SyncRule{spotRule, chainRule, counterRule, checksumRule, imageRule}[which%5]
		s, err := load(rule, 2, 2, src)
		if err != nil {
			if !errors.Is(err, state.ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(saved(s.Code), src) {
			t.Error("what was loaded is saved as other bytes")
		}
		if s.shared != nil || len(story) > 4096 {
			return // which lines there are is for the instrument to check
		}
		next := func() byte {
			if len(story) == 0 {
				return 0
			}
			b := story[0]
			story = story[1:]
			return b
		}
		fuzzSyncFrom(t, s, next, func() bool { return len(story) > 0 }, false)
	})
}

// What is copied as it lies in memory has neither padding nor truths.
func TestPlainValuesHaveNoPadding(t *testing.T) {
	t.Parallel()
	if a, b := unsafe.Sizeof(quote{}), unsafe.Sizeof(chainLink{}); a != 8+2*16 || b != 2*8 {
		t.Errorf("sizes %d and %d", a, b)
	}
}

// In a hash a line is its place, and a message that waits is nobody's.
func TestHashOfSyncKnowsNoNames(t *testing.T) {
	t.Parallel()
	f := func(line uint16, instrument uint32) string {
		s := NewSync(spotRule, 0, 0)
		s.Up()
		p := message(11, 12, 0, side(98, 1), nil)
		h := p[0].Header()
		h.Line, h.Instrument, h.Ordinal = line, instrument, uint64(line)
		s.Delta(p, ignore{})
		var c state.Coder
		c.Hash(nil)
		c.NameLines(1, func(int) uint16 { return line })
		s.Code(&c)
		return string(c.Bytes())
	}
	if f(1, 2) != f(3, 4) {
		t.Error("names of lines and instruments are in the hash")
	}
}
