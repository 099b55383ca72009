package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// small is a spool of six records in one segment, as it lies on the disk.
type small struct {
	disk      *memFS
	dir, name string
	content   []byte
	ends      []int64 // of the records
}

func smallSpool(t *testing.T) small {
	t.Helper()
	x := small{disk: newMemFS(), dir: "/spool"}
	s := open(t, x.options())
	for n := range 6 {
		put(s, 0, n)
	}
	s.Close()
	x.name = x.segments()[0]
	x.content = slices.Clone(x.disk.files[x.name].data)
	if err := s.Kept(0, 0, func(_, end int64, _ []byte, _ func() ([]byte, error)) bool {
		x.ends = append(x.ends, end)
		return true
	}); err != nil || len(x.ends) != 6 {
		t.Fatal(x.ends, err)
	}
	return x
}

func (x *small) options() Options { return options(x.dir, func(o *Options) { o.FS = x.disk }) }

func (x *small) segments() (names []string) {
	for _, name := range sortedNames(x.disk.files) {
		if strings.HasPrefix(filepath.Base(name), "trades-") {
			names = append(names, name)
		}
	}
	return names
}

// write is the segment as a kill leaves it before anything was known to be synced.
func (x *small) write(content []byte) {
	_ = x.disk.Remove("/spool/acked")
	x.disk.files[x.name] = &memFile{fs: x.disk, name: x.name, data: slices.Clone(content)}
}

// Wherever in its last three records a segment is cut, it ends with its last
// whole record, marks say so, and what comes next follows it.
func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	x := smallSpool(t)
	for size := x.ends[2]; size <= x.ends[5]; size++ {
		x.write(x.content[:size])
		whole := 0
		for whole < 6 && x.ends[whole] <= size {
			whole++
		}
		s := open(t, x.options())
		if got := s.Stats.TornBytes.Load(); got != uint64(size-x.ends[whole-1]) {
			t.Fatalf("cut at %d: %d bytes torn", size, got)
		}
		if got := s.lanes[0].marks; len(got) != 1 || got[0].Position != uint64(whole-1) {
			t.Fatalf("cut at %d: marks %v", size, got)
		}
		put(s, 0, 77)
		s.Close()
		for range 2 {
			s = open(t, x.options())
			put(s, 0, 78)
			s.writeRound()
			equal(t, fmt.Sprint("cut at ", size), all(t, s, 0), append(lines(0, whole), line(77), line(78)))
			if l := s.TakeLosses(); len(l) != 0 {
				t.Fatalf("cut at %d: %v", size, l)
			}
			s.lanes[0].reader.close()
			// Killed before anything was synced: the acknowledgements are lost.
			_ = x.disk.Remove(s.lanes[0].active.name)
		}
		for _, name := range append(x.segments(), "/spool/acked") {
			_ = x.disk.Remove(name)
		}
	}
}

// Whichever bit of a segment is flipped: a damaged record is never sent, what
// is whole is, and each record that is missing is reported or was cut at the end.
func TestEveryBitOfASegment(t *testing.T) {
	t.Parallel()
	x := smallSpool(t)
	f := func(t *testing.T, when string, flip func(bad []byte, open func() *Spool) *Spool) {
		for i := range 8 * len(x.content) {
			bad := append([]byte(nil), x.content...)
			bad[i/8] ^= 1 << (i % 8)
			hit := 0
			for x.ends[hit] <= int64(i/8) {
				hit++
			}
			s := flip(bad, func() *Spool { return open(t, x.options()) })
			want := append(lines(0, hit), lines(hit+1, 6)...)
			got := all(t, s, 0)
			if strings.Join(got, "") != strings.Join(want, "") {
				t.Fatalf("%s, bit %d: sent %q", when, i, got)
			}
			losses := s.TakeLosses()
			switch {
			case s.Stats.TornBytes.Load() > 0:
				if hit != 5 || len(losses) != 0 {
					t.Fatalf("%s, bit %d: torn, and %v lost", when, i, losses)
				}
			case len(losses) != 1 || !losses[0].Damaged:
				t.Fatalf("%s, bit %d: losses %v", when, i, losses)
			case losses[0].Rows == 1:
				if string(losses[0].Meta) != fmt.Sprintf("meta %d", hit) {
					t.Fatalf("%s, bit %d: %+v", when, i, losses[0])
				}
			case losses[0].Rows == -1:
				before, after := "", ""
				if hit > 0 {
					before = fmt.Sprintf("meta %d", hit-1)
				}
				if hit < 5 {
					after = fmt.Sprintf("meta %d", hit+1)
				}
				if string(losses[0].Before) != before || string(losses[0].After) != after {
					t.Fatalf("%s, bit %d: %+v", when, i, losses[0])
				}
			default:
				t.Fatalf("%s, bit %d: %+v", when, i, losses[0])
			}
			if rows := s.Rows()[0]; rows != 0 {
				t.Fatalf("%s, bit %d: %d rows wait", when, i, rows)
			}
			s.lanes[0].reader.close()
		}
	}
	f(t, "before the start", func(bad []byte, open func() *Spool) *Spool {
		x.write(bad)
		s := open()
		// Rows that cannot be sent are to be made again: marks stand before them.
		if m := s.lanes[0].marks; len(m) > 0 && s.Stats.TornBytes.Load() == 0 && !s.lanes[0].unmarked {
			t.Fatalf("marks %v over damage", m)
		}
		return s
	})
	f(t, "after the start", func(bad []byte, open func() *Spool) *Spool {
		x.write(x.content)
		s := open()
		x.write(bad)
		return s
	})
}

// The acked positions and the marks of a checkpoint survive a torn write: the
// ones before hold.
func TestEveryBitOfASlot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, options(dir, nil))
	for n := range 6 {
		put(s, 0, n)
	}
	flush(t, s)
	next(t, s, 0)
	flush(t, s)
	next(t, s, 0)
	flush(t, s)
	name := filepath.Join(dir, "acked")
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	slot := int(s.acks.count%2) * acksBytes
	used := len(s.acks.last) + slotOverhead
	for i := range 8 * used {
		bad := append([]byte(nil), content...)
		bad[slot+i/8] ^= 1 << (i % 8)
		if err := os.WriteFile(name, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		s := open(t, options(dir, nil))
		if got := s.Rows()[0]; got != 5 {
			t.Fatalf("bit %d: %d rows wait, want 5: one is sent twice", i, got)
		}
	}
}

// Whole files go missing: what is there is sent, and each hole is reported once.
func TestFilesAreMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	small := func(o *Options) { o.SegmentBytes = 250 } // two records each
	s := open(t, options(dir, small))
	for n := range 10 {
		put(s, 0, n)
	}
	s.Close()
	names, _ := filepath.Glob(filepath.Join(dir, "trades-*.seg"))
	if len(names) != 5 {
		t.Fatal(names)
	}
	os.Remove(names[0])
	os.Remove(names[2])
	s = open(t, options(dir, small))
	equal(t, "what is left", all(t, s, 0), append(lines(2, 4), lines(6, 10)...))
	losses := s.TakeLosses()
	if len(losses) != 2 || losses[0].Rows != -1 || losses[1].Rows != -1 || string(losses[1].Before) != "meta 3" {
		t.Errorf("%+v", losses)
	}
	s.Close()
}

// The disk does not give back what it has: it is asked some times, and then the
// rest of that file is given up.
func TestReadFails(t *testing.T) {
	t.Parallel()
	x := smallSpool(t)
	disk := &faults{FS: x.disk}
	o := x.options()
	o.FS = disk
	s := open(t, o)
	put(s, 0, 6)
	flush(t, s)
	s.mu.Lock()
	s.lanes[0].mem, s.lanes[0].memWritten = nil, 0
	s.mu.Unlock()
	disk.set(func(f *faults) {
		f.read = func(name string) error {
			if name == x.name {
				return errIO
			}
			return nil
		}
	})
	for range 2 {
		if b, err := s.Next(0, 1, 1); b != nil || err == nil {
			t.Fatal(b, err)
		}
	}
	equal(t, "the next file", all(t, s, 0), lines(6, 7))
	if l := s.TakeLosses(); len(l) != 1 || !l[0].Damaged {
		t.Errorf("%+v", l)
	}
	s.Close()
}
