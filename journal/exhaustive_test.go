package journal

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"unsafe"

	"tickproc/internal/vfs"
	"tickproc/tick"
)

// smallLog writes a log of some batches over segments; the last ones are synced
// and what Close does is left out.
func smallLog(t testing.TB, batches int, segmentBytes int64) (*machine, []logged) {
	t.Helper()
	m := newMachine(t, 5)
	m.o.SegmentBytes = segmentBytes
	l, _ := m.open()
	var all []logged
	for i := range batches {
		all = append(all, writes(l, 1+i, 1)...)
		m.pass()
		l.Drain(m.now)
	}
	return m, all
}

// lastSegment is the name of the newest segment.
func (m *machine) lastSegment() string {
	all, err := listSegments(m.disk, m.o.Dir, 0)
	must(m.t, err)
	return filepath.Join(m.o.Dir, all[len(all)-1].name)
}

// copyMachine is the same machine, to be harmed.
func (m *machine) copy(power bool) *machine {
	c := *m
	c.crash(power)
	return &c
}

// loadedIsTold looks at the log and checks that everything read is what was
// appended, at its place, and that what is missing is told: as a cut, a damage,
// or an unknown log.
func loadedIsTold(t testing.TB, m *machine, want []logged, what string) Found {
	t.Helper()
	v, err := Inspect(m.options())
	must(t, err)
	i := 0
	missing := false
	err = v.Read(v.First, func(position uint64, batch []tick.Unit) error {
		for i < len(want) && want[i].position < position {
			missing = true
			i++
		}
		if i == len(want) || !same(logged{position, batch}, want[i]) {
			t.Fatalf("%s: the batch at %d is another one", what, position)
		}
		i++
		return nil
	})
	must(t, err)
	if (missing || i < len(want)) && len(v.Cuts)+len(v.Damages) == 0 {
		t.Fatalf("%s: a loss is not told: %+v", what, v.Found)
	}
	return v.Found
}

// openedLikeThat opens what was looked at: refused, or with the same findings.
func openedLikeThat(t testing.TB, m *machine, found Found) {
	t.Helper()
	c := m.copy(false)
	l, again, err := Open(c.options())
	if len(found.Damages) > 0 {
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("damage is not refused: %v", err)
		}
		o := c.options()
		o.OnDamage = Skip
		if l, again, err = Open(o); found.Identity == 0 {
			return
		}
	}
	if err != nil || again.End != found.End || again.Batches != found.Batches {
		t.Fatalf("opened %+v (%v), seen was %+v", again, err, found)
	}
	if have := readAll(t, l, again.First); uint64(len(have)) != found.Batches {
		t.Fatalf("read %d batches, seen were %d", len(have), found.Batches)
	}
	// What Open repaired is seen by the next one as it was.
	end := l.Append(aBatch(1, 2))
	c.crash(false)
	o := c.options()
	o.OnDamage = Skip
	l, again, err = Open(o)
	if err != nil || again.End != end || uint64(len(readAll(t, l, again.First))) != found.Batches+1 {
		t.Fatalf("opened again %+v (%v), seen was %+v", again, err, found)
	}
}

// openEvery is how many flipped bits are looked at for one with which the log is
// also opened, which takes a copy of the disk.
const openEvery = 61

// The log is cut at every byte of its last three batches: what comes back is
// every batch before the cut, and no other.
func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	m, all := smallLog(t, 8, 4096)
	name := m.lastSegment()
	_, _, first, _ := parseSegmentName(filepath.Base(name))
	from := all[len(all)-3].position
	last := all[len(all)-1]
	end := last.position + uint64(len(last.batch)) + 1
	if first > from {
		t.Fatal("the last three batches are not in one segment")
	}
	for at := offsetOf(from, first); at <= offsetOf(end, first); at += bitStep {
		for _, zeros := range []bool{false, true} { // the file ends, or is allocated and was not written
			c := m.copy(true)
			f, err := c.disk.OpenWrite(name)
			must(t, err)
			size, _ := f.Size()
			must(t, f.Truncate(at))
			if zeros {
				must(t, f.Truncate(size))
			}
			must(t, f.Sync())
			l, found := c.open()
			good := 0
			for good < len(all) && offsetOf(all[good].position+uint64(len(all[good].batch))+1, first) <= at {
				good++
			}
			wantBatches(t, readAll(t, l, 0), all[:good])
			if !found.RingLost {
				t.Fatalf("cut at %d: %+v", at, found)
			}
			// It goes on, and the new batches are there at the next start.
			more := writes(l, 100, 2)
			c.crash(false)
			l, _ = c.open()
			wantBatches(t, readAll(t, l, 0), append(slices.Clone(all[:good]), more...))
		}
	}
}

// Every single bit of a small segment is flipped, in a log of two segments, after
// a power cut and after a clean end: it is detected where it costs a batch, and
// no batch comes back as another.
func TestEveryBitOfASegment(t *testing.T) {
	t.Parallel()
	m, all := smallLog(t, 6, 1280)
	segments, err := listSegments(m.disk, m.o.Dir, 0)
	must(t, err)
	if len(segments) != 2 {
		t.Fatalf("%d segments", len(segments))
	}
	clean := m.copy(false)
	l, _ := clean.open()
	must(t, l.Close())
	for _, c := range []struct {
		how string
		m   *machine
	}{{"power cut", m.copy(true)}, {"clean end", clean}} {
		segments, err := listSegments(c.m.disk, m.o.Dir, 0)
		must(t, err)
		for _, s := range segments {
			name := filepath.Join(m.o.Dir, s.name)
			f, err := c.m.disk.Open(name)
			must(t, err)
			size, _ := f.Size()
			used := size
			if s == segments[len(segments)-1] {
				used = offsetOf(all[len(all)-1].position+uint64(len(all[len(all)-1].batch))+1, s.header.first)
			}
			for bit := int64(0); bit < used*8; bit += bitStep {
				must(t, c.m.disk.Flip(name, bit))
				found := loadedIsTold(t, c.m, all, c.how+" "+s.name)
				if bit%openEvery == 0 {
					openedLikeThat(t, c.m, found)
				}
				must(t, c.m.disk.Flip(name, bit))
				lastFrames := s == segments[len(segments)-1] && c.how == "power cut"
				if found.Identity != 0 && len(found.Damages) == 0 && !(lastFrames && len(found.Cuts) > 0) {
					// Only what holds nothing may differ unseen.
					if at := uint64(bit/8/unitBytes) - headerUnits + s.header.first; at < s.limit && covered(all, at) {
						t.Fatalf("%s: %s bit %d is not detected: %+v", c.how, s.name, bit, found)
					}
				}
			}
		}
	}
}

// covered reports whether a position is in a batch.
func covered(all []logged, at uint64) bool {
	return slices.ContainsFunc(all, func(l logged) bool { return l.position <= at && at <= l.position+uint64(len(l.batch)) })
}

// Every single bit of the ring is flipped after a kill. Some of its batches are
// in no segment: a flip there is detected.
func TestEveryBitOfARing(t *testing.T) {
	t.Parallel()
	m, all := smallLog(t, 5, 4096)
	l, _ := m.open()
	unsynced := l.Appended()
	all = append(all, writes(l, 50, 4)...)
	ring := m.memory.rings[ringName(0)]
	for bit := 0; bit < len(ring)*tick.UnitSize*8; bit += bitStep {
		if u := bit / 8 / unitBytes; u > ringCount && u < ringPage && bit%openEvery > 0 {
			continue // nobody reads the rest of the page
		}
		harmed := bytesOf(ring)
		harmed[bit/8] ^= 1 << (bit % 8)
		found := loadedIsTold(t, m, all, "ring")
		if bit%openEvery == 0 {
			openedLikeThat(t, m, found)
		}
		harmed[bit/8] ^= 1 << (bit % 8)
		at := uint64(bit/8/unitBytes - ringPage)
		if bit/8/unitBytes >= ringPage && at >= unsynced && covered(all, at) && len(found.Damages) == 0 {
			t.Fatalf("ring bit %d is not detected: %+v", bit, found)
		}
		if bit/8/unitBytes == 0 && len(found.Damages) == 0 {
			t.Fatalf("bit %d of the ring's header is not detected: %+v", bit, found)
		}
	}
}

// Every single bit of the clean mark and of what was found before.
func TestEveryBitOfSmallFiles(t *testing.T) {
	t.Parallel()
	m, all := smallLog(t, 5, 4096)
	l, _ := m.open()
	must(t, l.Close())
	name := filepath.Join(m.o.Dir, markName(0))
	data, err := vfs.ReadFile(m.disk, name, 1000)
	must(t, err)
	for bit := int64(0); bit < int64(len(data))*8; bit += bitStep {
		d := m.copy(false)
		must(t, d.disk.Flip(name, bit))
		if found := loadedIsTold(t, d, all, "mark"); found.Clean {
			t.Fatalf("bit %d of the mark is not detected", bit)
		}
	}

	m.memory = newSimMemory()
	must(t, m.disk.Remove(name))
	_, found := m.open()
	if !found.RingLost {
		t.Fatalf("%+v", found)
	}
	name = filepath.Join(m.o.Dir, incidentName(0))
	data, err = vfs.ReadFile(m.disk, name, 1000)
	must(t, err)
	for bit := int64(0); bit < int64(len(data))*8; bit += bitStep {
		d := m.copy(false)
		must(t, d.disk.Flip(name, bit))
		if _, found := d.open(); !found.RingLost || found.End == 0 {
			t.Fatalf("bit %d: what was found is forgotten: %+v", bit, found)
		}
	}
}

// A kill may leave any part of a batch in the ring, in any order: it is whole or
// it is not there.
func TestKilledAtEveryStoreOfAppend(t *testing.T) {
	t.Parallel()
	m, all := smallLog(t, 9, 4096) // so that the ring wraps below
	l, _ := m.open()
	for i := range 5 {
		all = append(all, writes(l, 60+i, 1)...)
		m.pass()
		l.Drain(m.now)
	}
	before := m.copy(false)
	all = append(all, writes(l, 100, 1)...)
	old, fresh := before.memory.rings[ringName(0)], m.memory.rings[ringName(0)]
	words := func(u []tick.Unit) []uint64 { return unsafe.Slice(&u[0][0], 8*len(u)) }
	var changed, counts []int
	for i, w := range words(fresh) {
		switch {
		case words(old)[i] == w:
		case i/8 == ringCount:
			counts = append(counts, i)
		default:
			changed = append(changed, i)
		}
	}
	for round := range 200 {
		d := before.copy(false)
		to := words(d.memory.rings[ringName(0)])
		m.random.Shuffle(len(changed), func(i, j int) { changed[i], changed[j] = changed[j], changed[i] })
		for _, i := range append(slices.Clone(changed), counts...) { // these are stored last

			e := d.copy(false)
			l, found := e.open()
			have := readAll(t, l, 0)
			if found.Lost() && len(have) < len(all)-1 {
				t.Fatalf("%+v", found)
			}
			if n := len(all) - 1; len(have) == n {
				wantBatches(t, have, all[:n])
			} else {
				wantBatches(t, have, all)
			}
			to[i] = words(fresh)[i]
			if round > 20 && m.random.IntN(4) > 0 {
				break
			}
		}
	}
}
