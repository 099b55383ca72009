package journal

import "testing"

// A segment loses a batch that the part in memory still has: a check of the
// files says so, a start misses nothing, and afterwards the disk has it again.
func TestWhatMemoryCovers(t *testing.T) {
	t.Parallel()
	m, all := smallLog(t, 8, 4096)
	clean, err := Fsck(m.options())
	must(t, err)
	if len(clean.Faults) > 0 {
		t.Fatalf("a good log has faults: %+v", clean.Faults)
	}

	name := m.lastSegment()
	f, err := m.disk.OpenWrite(name)
	must(t, err)
	lost := all[3]
	at := offsetOf(lost.position, 0) + unitBytes
	_, err = f.WriteAt([]byte{0xff}, at)
	must(t, err)
	must(t, f.Sync())

	report, err := Fsck(m.options())
	must(t, err)
	end := lost.position + 1 + uint64(len(lost.batch))
	if len(report.Faults) != 1 || report.Faults[0].From != lost.position || report.Faults[0].To != end || report.Faults[0].File != name {
		t.Fatalf("told %+v, lost were positions %d to %d of %s", report.Faults, lost.position, end, name)
	}

	m.crash(false)
	l, found := m.open()
	if len(found.Covered) != 1 || len(found.Damages) > 0 {
		t.Fatalf("%+v", found)
	}
	wantBatches(t, readAll(t, l, 0), all)

	m.crash(true)
	l, found = m.open()
	if len(found.Covered)+len(found.Damages)+len(found.Cuts) > 0 {
		t.Fatalf("%+v", found)
	}
	wantBatches(t, readAll(t, l, 0), all)
}
