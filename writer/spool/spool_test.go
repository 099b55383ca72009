package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tickproc/internal/vfs"
)

// What was put is sent in order; a restart goes on behind what was
// acknowledged, and sends the rest, then what comes.
func TestRestartGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, options(dir, nil))
	for n := range 10 {
		put(s, 0, n)
	}
	put(s, 1, 100)
	if got := next(t, s, 0); got != "" {
		t.Fatalf("%q is sent before it is on disk", got)
	}
	flush(t, s)
	for n := range 4 {
		if got := next(t, s, 0); got != line(n) {
			t.Fatalf("got %q", got)
		}
	}
	s.SetNote(0, []byte("noted"))
	flush(t, s)
	if got := next(t, s, 0); got != line(4) { // its acknowledgement is lost
		t.Fatal(got)
	}
	// Killed here.
	s = open(t, options(dir, nil))
	if got := s.Rows(); got[0] != 6 || got[1] != 1 {
		t.Errorf("%d rows wait", got)
	}
	if string(s.Note(0)) != "noted" {
		t.Errorf("note %q", s.Note(0))
	}
	put(s, 0, 10)
	b, err := s.Next(0, 3, 1<<20)
	if err != nil || !b.Again || string(b.Lines) != line(4)+line(5)+line(6) || b.Rows != 3 {
		t.Fatalf("%+v, %v", b, err)
	}
	s.Progress(0, b, len(line(4)), 1)
	if got := s.Rows()[0]; got != 6 {
		t.Errorf("%d rows wait", got)
	}
	if !s.Abandon(0, b) || s.Rows()[0] != 7 {
		t.Errorf("%d rows wait after the batch was given back", s.Rows()[0])
	}
	equal(t, "old ones", all(t, s, 0), lines(4, 10))
	flush(t, s)
	equal(t, "new ones", all(t, s, 0), lines(10, 11))
	if lost, left := s.Close(); fmt.Sprint(lost, left) != "[0 0] [0 1]" {
		t.Errorf("lost %v, left %v", lost, left)
	}
	s = open(t, options(dir, nil))
	equal(t, "nothing", all(t, s, 0), nil)
	equal(t, "the other table", all(t, s, 1), lines(100, 101))
	s.Close()
}

// What was acknowledged is sent again, as it was, from a time on; then what
// waited.
func TestRewind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	clock := &clockOf{now: 1}
	s := open(t, options(dir, func(o *Options) { o.Now, o.SegmentBytes = clock.Now, 4<<10 }))
	for n := range 100 {
		clock.add(1)
		put(s, 0, n)
	}
	flush(t, s)
	equal(t, "first", all(t, s, 0), lines(0, 100))
	put(s, 0, 100)
	flush(t, s)
	if rows, err := s.Rewind(0, 52); rows != 50 || err != nil {
		t.Fatalf("%d rows, %v", rows, err)
	}
	if got := s.Rows()[0]; got != 51 {
		t.Errorf("%d rows wait", got)
	}
	b, err := s.Next(0, 1000, 1<<20)
	if err != nil || !b.Again || b.Rows > 50 || !strings.HasPrefix(string(b.Lines), line(50)+line(51)) {
		t.Fatalf("%+v, %v", b, err)
	}
	s.Abandon(0, b)
	equal(t, "again", all(t, s, 0), lines(50, 101))
	if rows, err := s.Rewind(0, 0); rows != 101 || err != nil {
		t.Fatalf("%d rows, %v", rows, err)
	}
	var kept []string
	if err := s.Kept(0, 0, func(_, _ int64, meta []byte, payload func() ([]byte, error)) bool {
		p, err := payload()
		kept = append(kept, string(meta)+" "+string(p))
		return err == nil
	}); err != nil || len(kept) != 101 || kept[7] != "meta 7 row 7\n" {
		t.Errorf("%d kept, %v", len(kept), err)
	}
	s.Close()
	s = open(t, options(dir, nil)) // what is sent again counts as not acknowledged
	equal(t, "after a restart", all(t, s, 0), lines(0, 101))
	s.Close()
}

// Acknowledged segments go when they are old, or too many; others never.
func TestHorizon(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	clock := &clockOf{now: 1}
	s := open(t, options(dir, func(o *Options) {
		o.Now, o.SegmentBytes, o.Horizon, o.HorizonBytes = clock.Now, 1<<10, time.Hour, 4<<10
	}))
	disk := func() int64 { s.writeRound(); return s.Stats.DiskBytes.Load() }
	for n := range 100 {
		put(s, 0, n)
	}
	flush(t, s)
	whole := disk()
	for range 50 {
		next(t, s, 0)
	}
	if got := disk(); got >= whole || got < whole/2+2<<10 {
		t.Errorf("%d bytes of %d are kept", got, whole)
	}
	flush(t, s)
	half := disk()
	clock.add(int64(time.Hour))
	if got := disk(); got >= half-2<<10 {
		t.Errorf("%d bytes of %d are kept beyond the horizon", got, half)
	}
	equal(t, "the rest", all(t, s, 0), lines(50, 100))
	s.Close()
}

// A checkpoint is done when all before it is durable, also for a table that had
// no rows; marks are what every table has.
func TestMarks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := func(what, want string) {
		t.Helper()
		s := open(t, options(dir, nil))
		if got := fmt.Sprint(s.Marks()); got != want {
			t.Errorf("%s: marks %s, want %s", what, got, want)
		}
	}
	s := open(t, options(dir, nil))
	put(s, 0, 5)
	flush(t, s)
	f("one table of two", "map[]")
	put(s, 1, 4)
	flush(t, s)
	f("both", "map[0:{1 4}]")
	answers := make(chan error, 9)
	s.Checkpoint([]ShardMark{{0, Mark{1, 9}}, {1, Mark{2, 7}}}, func(err error) { answers <- err })
	if len(answers) != 0 {
		t.Fatal("answered by the caller")
	}
	put(s, 0, 10) // behind the checkpoint
	if err := s.syncRound(); err != nil || len(answers) != 1 || <-answers != nil {
		t.Fatal(err, len(answers))
	}
	f("checkpoint", "map[0:{1 9} 1:{2 7}]")
	s.Checkpoint([]ShardMark{{1, Mark{2, 8}}}, func(err error) { answers <- err })
	if _ = s.syncRound(); len(answers) != 0 {
		t.Fatal("done before the record was written")
	}
	s.writeRound()
	if _ = s.syncRound(); len(answers) != 1 || <-answers != nil {
		t.Fatal("not done")
	}
	f("a row of one table", "map[0:{1 9} 1:{2 8}]")
	s.Checkpoint(nil, func(err error) { answers <- err })
	s.Close()
	if err := <-answers; err != nil {
		t.Error(err)
	}
	memory := open(t, options("", nil))
	memory.Checkpoint(nil, func(err error) { answers <- err })
	if err := <-answers; err == nil {
		t.Error("memory was said to be durable")
	}
}

// The goroutines do it all: what is put arrives, in order, in both tables.
func TestRuns(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{t.TempDir(), ""} {
		s := open(t, options(dir, func(o *Options) { o.SegmentBytes, o.SyncInterval = 8<<10, time.Millisecond }))
		s.Start()
		const n = 3000
		got := make(chan []string, 2)
		for table := range 2 {
			go func() {
				var all []string
				for len(all) < n {
					b, err := s.Next(table, 7, 100)
					if err != nil {
						t.Error(err)
					}
					if b == nil {
						<-s.Wake(table)
						continue
					}
					all = append(all, strings.SplitAfter(strings.TrimSuffix(string(b.Lines), "\n"), "\n")...)
					s.Progress(table, b, len(b.Lines), b.Rows)
				}
				got <- all
			}()
		}
		for i := range n {
			put(s, 0, i)
			put(s, 1, i)
		}
		for range 2 {
			have := strings.Join(<-got, "")
			want := strings.Join(lines(0, n), "")
			if strings.ReplaceAll(have, "\n", "") != strings.ReplaceAll(want, "\n", "") {
				t.Errorf("dir %q: rows are missing or out of order", dir)
			}
		}
		if lost, left := s.Close(); fmt.Sprint(lost, left) != "[0 0] [0 0]" {
			t.Errorf("lost %v, left %v", lost, left)
		}
	}
}

// Without its identity no segment can be trusted, and one of another spool is
// not taken.
func TestIdentity(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, options(dir, nil))
	put(s, 0, 0)
	s.Close()
	name := filepath.Join(dir, "identity")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(text) {
		bad := append([]byte(nil), text...)
		bad[i/8] ^= 1 << (i % 8)
		if err := os.WriteFile(name, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(options(dir, nil)); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
	os.Remove(name)
	if _, err := Open(options(dir, nil)); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("%v", err)
	}
	other := t.TempDir()
	open(t, options(other, nil)).Close()
	segments, _ := filepath.Glob(filepath.Join(dir, "trades-*.seg"))
	content, _ := os.ReadFile(segments[0])
	if err := os.WriteFile(filepath.Join(other, filepath.Base(segments[0])), content, 0o644); err != nil {
		t.Fatal(err)
	}
	s = open(t, options(other, nil))
	equal(t, "another spool's", all(t, s, 0), nil)
	s.Close()
}

// The disk is full, or fails: memory stands in, loudly, and the disk has it all
// when it is back.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	f := func(name string, fail error, short int) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, clock := t.TempDir(), &clockOf{now: 1}
			disk := &faults{FS: vfs.OS}
			o := options(dir, func(o *Options) { o.FS, o.Now, o.MemoryBytes = disk, clock.Now, 200 })
			s := open(t, o)
			for n := range 5 {
				put(s, 0, n)
			}
			flush(t, s)
			disk.set(func(f *faults) {
				f.write = func(_ string, b []byte, _ int64) (int, error) { return min(short, len(b)), fail }
			})
			for n := range 5 {
				put(s, 0, 5+n)
			}
			s.writeRound()
			if s.Stats.Down.Load() != 1 || s.Stats.WriteFails.Load() == 0 {
				t.Errorf("down %d", s.Stats.Down.Load())
			}
			answer := make(chan error, 1)
			s.Checkpoint(nil, func(err error) { answer <- err })
			_ = s.syncRound()
			if err := <-answer; !errors.Is(err, fail) {
				t.Errorf("checkpoint: %v", err)
			}
			// A full disk gives up what it has before it takes nothing.
			first := 0
			for _, l := range s.TakeLosses() {
				first += l.Rows
			}
			if first != 0 && !errors.Is(fail, errFull) {
				t.Errorf("%d rows lost", first)
			}
			equal(t, "from disk, then from memory", all(t, s, 0), lines(first, 10))
			for n := range 100 {
				put(s, 0, 10+n)
			}
			lost := 0
			for _, l := range s.TakeLosses() {
				lost += l.Rows
			}
			if lost == 0 || s.Rows()[0] != 100-lost {
				t.Errorf("%d rows lost, %d wait", lost, s.Rows()[0])
			}
			disk.set(func(f *faults) { f.write = nil })
			clock.add(downRetryNanos)
			flush(t, s)
			if s.Stats.Down.Load() != 0 {
				t.Error("still down")
			}
			s = open(t, o) // killed
			equal(t, "the newest", all(t, s, 0), lines(10+lost, 110))
			s.Close()
		})
	}
	f("full", errFull, 0)
	f("full, short write", errFull, 30)
	f("error", errIO, 0)
	f("error, short write", errIO, 90)
}

// A sync that fails is not repeated on its file: what is not known to be
// durable is written to a new one, at the same offsets.
func TestSyncFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	disk := &faults{FS: vfs.OS}
	synced := map[string]bool{}
	o := options(dir, func(o *Options) { o.FS = disk })
	s := open(t, o)
	for n := range 5 {
		put(s, 0, n)
	}
	flush(t, s)
	for n := range 5 {
		put(s, 0, 5+n)
	}
	s.writeRound()
	equal(t, "sent meanwhile", all(t, s, 0)[:7], lines(0, 7))
	disk.set(func(f *faults) {
		f.sync = func(name string) error {
			if synced[name] {
				t.Errorf("%s was synced again", name)
			}
			if strings.HasSuffix(name, ".seg") && len(synced) == 0 {
				synced[name] = true
				return errIO
			}
			return nil
		}
	})
	if err := s.syncRound(); !errors.Is(err, errIO) {
		t.Fatal(err)
	}
	flush(t, s)
	segments, _ := filepath.Glob(filepath.Join(dir, "trades-*.seg"))
	if len(segments) != 2 {
		t.Fatalf("segments %v", segments)
	}
	// What was never synced of the old file is gone with a power cut.
	for name := range synced {
		if err := os.Truncate(name, segmentEnd(t, segments[1])-segmentEnd(t, segments[0])); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, o)
	if rows, err := s.Rewind(0, 0); err != nil || rows != 10 {
		t.Errorf("%d rows, %v", rows, err)
	}
	equal(t, "all of them", all(t, s, 0), lines(0, 10))
	s.Close()
}

func segmentEnd(t *testing.T, name string) int64 {
	t.Helper()
	_, first, ok := parseSegment(filepath.Base(name))
	if !ok {
		t.Fatal(name)
	}
	return first
}

// At its limit the spool first gives up what is acknowledged, then the oldest
// rows of the first table in the order; each is named. So does a full disk when
// memory is short too.
func TestLimit(t *testing.T) {
	t.Parallel()
	f := func(name string, change func(*Options)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, options(t.TempDir(), func(o *Options) { o.SegmentBytes = 1 << 10; change(o) }))
			for n := range 40 {
				put(s, 0, n)
				flush(t, s)
				put(s, 1, n)
				flush(t, s)
			}
			for range 10 {
				next(t, s, 0)
			}
			b, err := s.Next(1, 1, 1<<20) // in flight: it may be committed already
			if err != nil {
				t.Fatal(err)
			}
			lost := [2]map[string]int{{}, {}}
			rows := [2]int{}
			for n := range 80 {
				put(s, 0, 40+n)
				flush(t, s)
				for _, l := range s.TakeLosses() {
					lost[l.Table][string(l.Meta)]++
					rows[l.Table] += l.Rows
				}
			}
			if s.Stats.DiskBytes.Load() > 16<<10 {
				t.Errorf("%d bytes", s.Stats.DiskBytes.Load())
			}
			if rows[1] != 39 || lost[1]["meta 0"] != 0 || lost[1]["meta 39"] != 1 || rows[0] == 0 {
				t.Errorf("lost %v, %v", rows, lost)
			}
			if s.Abandon(1, b) {
				t.Error("the last copy was given back")
			}
			s.Progress(1, b, len(b.Lines), b.Rows)
			for n := range rows[0] {
				if lost[0][fmt.Sprintf("meta %d", 10+n)] != 1 {
					t.Errorf("row %d was not reported", n)
				}
			}
			equal(t, "the rest", all(t, s, 0), lines(10+rows[0], 120))
			if got := s.State(); s.Rows()[0] != 0 || s.Rows()[1] != 0 || got.Bytes != 0 {
				t.Errorf("%+v", got)
			}
			s.Close()
		})
	}
	f("of bytes", func(o *Options) { o.MaxBytes = 10 << 10 })
	const oneRow = 10
	f("of the disk", func(o *Options) {
		o.FreeBytes, o.MemoryBytes = 1<<20, oneRow
		dir := o.Dir
		o.Space = func() (free, size int64, err error) {
			total := int64(0)
			entries, err := vfs.OS.List(dir)
			for _, e := range entries {
				if strings.HasSuffix(e.Name, ".seg") {
					total += e.Size
				}
			}
			return 1<<20 + 10<<10 - total, 1 << 40, err
		}
	})
	f("the disk is full", func(o *Options) {
		o.MemoryBytes = oneRow
		dir := o.Dir
		o.FS = &faults{FS: vfs.OS, write: func(name string, b []byte, at int64) (int, error) {
			total := int64(0)
			entries, _ := vfs.OS.List(dir)
			for _, e := range entries {
				if strings.HasSuffix(e.Name, ".seg") {
					total += e.Size
				}
			}
			if total+int64(len(b)) > 10<<10 && strings.HasSuffix(name, ".seg") {
				return 0, errFull
			}
			return 0, nil
		}}
	})
}

// On a small disk a twentieth stays free, on a large one 1 GB. Below, rows wait in
// memory, and why can be asked.
func TestRoomThatStaysFree(t *testing.T) {
	t.Parallel()
	f := func(name string, asked, free, size int64, fail error, want int64) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := &clockOf{now: 1}
			s := open(t, options(t.TempDir(), func(o *Options) {
				o.FreeBytes, o.Now = asked, clock.Now
				o.Space = func() (int64, int64, error) { return free, size, fail }
			}))
			if s.o.FreeBytes != want {
				t.Errorf("%d bytes stay free, want %d", s.o.FreeBytes, want)
			}
			put(s, 0, 0)
			s.writeRound()
			takes := fail != nil || free > want
			if err := s.Down(); takes != (err == nil) {
				t.Errorf("down: %v", err)
			} else if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("less than %.1f MB are free on the disk of %s", float64(want)/1e6, s.o.Dir)) {
				t.Error(err)
			}
			free = size
			clock.add(downRetryNanos)
			s.writeRound()
			if err := s.Down(); err != nil {
				t.Errorf("with room again: %v", err)
			}
			s.Close()
		})
	}
	f("small disk", 0, 34e6, 40e6, nil, 2e6)
	f("small disk, filled", 0, 1_900_000, 40e6, nil, 2e6)
	f("large disk", 0, 2e9, 1e12, nil, 1e9)
	f("large disk, filled", 0, 9e8, 1e12, nil, 1e9)
	f("as asked", 5e6, 4e6, 1e12, nil, 5e6)
	f("a disk that does not say", 0, 0, 0, errIO, 1e9)
	if err := open(t, options("", nil)).Down(); err != nil {
		t.Errorf("without a directory: %v", err)
	}
}

// A disk that others have filled takes nothing, and nothing is lost by that while
// memory has room: what is acknowledged makes way, what waits stays, is delivered,
// and is on disk again when there is room.
func TestFullDiskWaitsInMemory(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	clock := &clockOf{now: 1}
	o := options(t.TempDir(), func(o *Options) {
		o.SegmentBytes, o.Now = 1<<10, clock.Now
		o.FS = &faults{FS: vfs.OS, write: func(name string, _ []byte, _ int64) (int, error) {
			if full.Load() && strings.HasSuffix(name, ".seg") {
				return 0, errFull
			}
			return 0, nil
		}}
	})
	s := open(t, o)
	for n := range 40 {
		put(s, 0, n)
	}
	flush(t, s)
	for n := range 20 {
		equal(t, "before", []string{next(t, s, 0)}, lines(n, n+1))
	}
	full.Store(true)
	for n := range 40 {
		put(s, 0, 40+n)
		s.writeRound()
		clock.add(2e9)
	}
	if s.Stats.Down.Load() != 1 || s.Stats.KeptBytes.Load() != 0 {
		t.Errorf("%d tables are down, %d acknowledged bytes are kept", s.Stats.Down.Load(), s.Stats.KeptBytes.Load())
	}
	if s.Stats.Unkept.Load() == 0 {
		t.Error("that they made way is not told")
	}
	for n := 20; n < 60; n++ {
		equal(t, "while it is full", []string{next(t, s, 0)}, lines(n, n+1))
	}
	full.Store(false)
	clock.add(2e9)
	flush(t, s)
	if lost := s.TakeLosses(); len(lost) > 0 || s.Stats.Down.Load() != 0 {
		t.Errorf("lost %+v, %d tables are down", lost, s.Stats.Down.Load())
	}
	s.Close()
	s = open(t, o)
	equal(t, "after a restart", all(t, s, 0), lines(60, 80))
	s.Close()
}
