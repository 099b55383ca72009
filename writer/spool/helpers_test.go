package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"testing"

	"tickproc/internal/vfs"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// clockOf is a clock that the test moves.
type clockOf struct {
	mu  sync.Mutex
	now int64
}

func (c *clockOf) Now() int64  { c.mu.Lock(); defer c.mu.Unlock(); return c.now }
func (c *clockOf) add(d int64) { c.mu.Lock(); defer c.mu.Unlock(); c.now += d }

// options of a spool that its test drives by hand: no goroutine runs.
func options(dir string, change func(*Options)) Options {
	o := Options{Dir: dir, Tables: []string{"trades", "quotes"}, DropOrder: []int{1, 0}, Logger: quiet(),
		Space: func() (free, size int64, err error) { return 1 << 50, 1 << 51, nil }, Now: (&clockOf{now: 1}).Now}
	if change != nil {
		change(&o)
	}
	return o
}

func open(t testing.TB, o Options) *Spool {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// line is a payload of one row.
func line(n int) string { return fmt.Sprintf("row %d\n", n) }

func put(s *Spool, table, n int) {
	s.Put(table, Record{Payload: []byte(line(n)), Rows: 1, OldestNanos: s.o.Now(), Meta: fmt.Appendf(nil, "meta %d", n),
		Marks: []ShardMark{{Shard: 0, Mark: Mark{1, uint64(n)}}}}, 0)
}

// flush brings what was put to the disk, durably.
func flush(t testing.TB, s *Spool) {
	t.Helper()
	s.writeRound()
	if err := s.syncRound(); err != nil {
		t.Fatal(err)
	}
}

// next takes one record and finishes it.
func next(t testing.TB, s *Spool, table int) string {
	t.Helper()
	b, err := s.Next(table, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if b == nil {
		return ""
	}
	lines := string(b.Lines)
	s.Progress(table, b, len(b.Lines), b.Rows)
	return lines
}

// all takes everything that waits.
func all(t testing.TB, s *Spool, table int) []string {
	t.Helper()
	var got []string
	for {
		l := next(t, s, table)
		if l == "" {
			return got
		}
		got = append(got, l)
	}
}

func lines(from, to int) []string {
	var all []string
	for n := from; n < to; n++ {
		all = append(all, line(n))
	}
	return all
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// faults is a disk that refuses.
type faults struct {
	vfs.FS
	mu     sync.Mutex
	create func(name string) error
	write  func(name string, b []byte, at int64) (n int, err error) // n bytes are written ahead of the error
	sync   func(name string) error
	read   func(name string) error
}

type faultyFile struct {
	vfs.File
	name string
	fs   *faults
}

func (f *faults) Create(name string) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.create != nil {
		if err := f.create(name); err != nil {
			return nil, err
		}
	}
	return f.wrap(f.FS.Create(name))(name)
}

func (f *faults) Open(name string) (vfs.File, error)      { return f.wrap(f.FS.Open(name))(name) }
func (f *faults) OpenWrite(name string) (vfs.File, error) { return f.wrap(f.FS.OpenWrite(name))(name) }

func (f *faults) wrap(file vfs.File, err error) func(string) (vfs.File, error) {
	return func(name string) (vfs.File, error) {
		if err != nil {
			return nil, err
		}
		return &faultyFile{file, name, f}, nil
	}
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	f.fs.mu.Lock()
	write := f.fs.write
	f.fs.mu.Unlock()
	if write != nil {
		if n, err := write(f.name, b, at); err != nil {
			_, _ = f.File.WriteAt(b[:n], at)
			return n, err
		}
	}
	return f.File.WriteAt(b, at)
}

func (f *faultyFile) Sync() error {
	f.fs.mu.Lock()
	sync := f.fs.sync
	f.fs.mu.Unlock()
	if sync != nil {
		if err := sync(f.name); err != nil {
			return err
		}
	}
	return f.File.Sync()
}

func (f *faultyFile) ReadAt(b []byte, at int64) (int, error) {
	f.fs.mu.Lock()
	read := f.fs.read
	f.fs.mu.Unlock()
	if read != nil {
		if err := read(f.name); err != nil {
			return 0, err
		}
	}
	return f.File.ReadAt(b, at)
}

func (f *faults) set(change func(*faults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

var (
	errFull = &pathError{syscall.ENOSPC}
	errIO   = &pathError{syscall.EIO}
)

type pathError struct{ error }

func (e *pathError) Unwrap() error { return e.error }

var _ = errors.Is(errFull, syscall.ENOSPC)
