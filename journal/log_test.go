package journal

import (
	"testing"

	"tickproc/tick"
)

// writes appends n batches of different sizes and remembers them.
func writes(l *Log, from, n int) (all []logged) {
	for i := range n {
		number := uint64(from + i)
		b := aBatch(number, 1+int(number)*5%7)
		at := l.Appended()
		if end := l.Append(b); end != at+uint64(len(b))+1 {
			panic("wrong end")
		}
		all = append(all, logged{at, b})
	}
	return all
}

// A service starts, writes, is killed, starts again, writes on, stops cleanly
// and starts a third time: everything is there, once and in order.
func TestAStoryOfThreeRuns(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 1)
	l, found := m.open()
	if !found.New || found.End != 0 || found.Lost() {
		t.Errorf("of a new log: %+v", found)
	}
	all := writes(l, 1, 3)
	m.pass()
	l.Drain(m.now)
	if l.Synced() != l.Appended() {
		t.Error("what was due is not synced")
	}
	all = append(all, writes(l, 4, 2)...) // in the ring alone
	end, id := l.Appended(), l.Identity()

	m.crash(false)
	l, found = m.open()
	if found.New || found.Clean || found.Lost() || found.End != end || found.Identity != id || found.Batches != 5 {
		t.Errorf("after a kill: %+v", found)
	}
	wantBatches(t, readAll(t, l, 0), all)
	for i := range 30 { // over several segments
		all = append(all, writes(l, 6+i, 1)...)
		m.pass()
		l.Drain(m.now)
	}
	must(t, l.Close())
	if len(m.memory.rings) != 0 {
		t.Error("the ring is left")
	}

	l, found = m.open()
	if !found.Clean || found.Lost() {
		t.Errorf("after a clean end: %+v", found)
	}
	wantBatches(t, readAll(t, l, 0), all)
	wantBatches(t, readAll(t, l, all[20].position), all[20:])
	if got := readAll(t, l, l.Appended()); len(got) != 0 {
		t.Errorf("%d batches behind the end", len(got))
	}
	if err := l.Read(all[3].position+1, func(uint64, []tick.Unit) error { return nil }); err == nil {
		t.Error("read from inside a batch")
	}
}

func TestAppendZeroAllocs(t *testing.T) {
	skipUnderRace(t)
	m := newMachine(t, 2)
	m.o.RingBytes, m.o.SegmentBytes, m.o.ReserveBytes = 1<<20, 1<<20, 1<<20
	l, _ := m.open()
	b := aBatch(3, 8)
	if n := testing.AllocsPerRun(1000, func() {
		if l.Room() < 9 {
			t.Fatal("the ring is too small for the test")
		}
		l.Append(b)
	}); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}
