package journal

import (
	"errors"
	"syscall"
	"testing"

	"tickproc/internal/vfs/simdisk"
)

// rebooted is memory of which the host was started anew.
type rebooted struct{ Memory }

func (rebooted) Boot() uint64 { return 99 }

// A ring that lay on disk may have lost the end of its file with the power: then
// it is of no use, and the segments have all that was synced. Where the power did
// not go, a file that became shorter is damage.
func TestARingOnDiskLosesItsEnd(t *testing.T) {
	t.Parallel()
	for _, units := range []int{8, 16, 32} { // a power of two, as a whole ring has
		m := newMachine(t, uint64(units))
		o := m.options()
		o.Memory = rebooted{FileMemory(m.disk, o.Dir)}
		l, _, err := Open(o)
		must(t, err)
		all := writes(l, 1, 5)
		m.pass()
		l.Drain(m.now)
		f, err := m.disk.OpenWrite(o.Memory.Where(ringName(0)))
		must(t, err)
		must(t, f.Truncate(int64(ringPage+units)*unitBytes))
		must(t, f.Close())

		var damaged *DamagedError
		if _, _, err := Open(o); !errors.As(err, &damaged) {
			t.Errorf("%d units, the same boot: %v", units, err)
		}
		o.Memory = FileMemory(m.disk, o.Dir) // of this host
		again, found, err := Open(o)
		if err != nil {
			t.Fatalf("%d units: %v", units, err)
		}
		if !found.RingLost || len(found.Damages) > 0 {
			t.Errorf("%d units: %+v", units, found)
		}
		wantBatches(t, readAll(t, again, 0), all)
	}
}

// A ring is made whole or not at all: behind one without room every Append would
// fail.
func TestARingOnDiskHasRoom(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 1)
	m.disk.SetFaults(simdisk.Faults{Capacity: 4096})
	must(t, m.disk.MkdirAll(m.options().Dir))
	memory := FileMemory(m.disk, m.options().Dir)
	if _, err := memory.Make("full", 1<<16); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a ring that has no room: %v", err)
	}
	if units, err := memory.Load("full"); units != nil || err != nil {
		t.Errorf("%d units of it were left: %v", len(units), err)
	}
}
