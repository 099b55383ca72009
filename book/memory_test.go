package book

import (
	"testing"
	"unsafe"

	"tickproc/tick"
)

// bytes is what a side holds.
func (s *Side) bytes() int {
	return int(unsafe.Sizeof(*s)) + 8*cap(s.window.sizes) + 8*cap(s.window.words) + 16*blockSize*cap(s.far.slab) + 16*cap(s.far.blocks) + 4*cap(s.far.free)
}

// What a side costs: 22 bytes for each level there ever was at a time, which is
// 16 and room to grow; 8.125 bytes a slot of the window, of which there are at
// most 16,384, 64 a level, and levels/4 a level; and 2 KB.
func TestSideMemory(t *testing.T) {
	t.Parallel()
	const level, slot = 22, 8.125
	f := func(what string, levels int, apart int64, changes int, wantSlots int) {
		t.Helper()
		s := NewSide(true)
		var begin []tick.Level
		for i := range int64(levels) {
			begin = append(begin, tick.Level{Price: 1e9 - i*apart - i%2, Size: 1})
		}
		s.setAll(begin)
		random := seeded(t)
		for range changes {
			i := random.IntN(1 + random.IntN(levels))
			s.Set(begin[i].Price, 1+random.Int64N(2))
		}
		got, slots := s.bytes(), cap(s.window.sizes)
		if limit := level*levels + int(slot*float64(wantSlots)) + 2048; slots != wantSlots || got > limit {
			t.Errorf("%s: %d bytes in %d slots, want at most %d in %d", what, got, slots, limit, wantSlots)
		}
		t.Logf("%-45s %7d bytes, %5d slots", what, got, slots)
	}
	const quiet, busy = 50, 20_000
	f("10 levels, busy", 10, 2, busy, 0)
	f("50 levels, busy", 50, 2, busy, 256)
	f("150 levels, quiet", 150, 2, quiet, 0)
	f("150 levels, busy", 150, 2, busy, 256)
	f("1,000 levels, quiet", 1000, 2, quiet, 0)
	f("1,000 levels, busy", 1000, 2, busy, 2048)
	f("1,000 levels, busy, 30 ticks apart", 1000, 30, busy, slotsMax)
	f("1,000 levels, busy, 100 ticks apart", 1000, 100, busy, 0)
	f("5,000 levels, busy", 5000, 2, busy, slotsMax)
	f("22,000 levels, busy, 30 ticks apart", 22_000, 30, busy, slotsMax)
}
