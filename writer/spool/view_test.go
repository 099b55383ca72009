package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tickproc/internal/vfs"
)

// Another process sees what is kept and up to where it is acknowledged, while
// the owner goes on; what the owner removes is no error, and what is damaged is
// told from it.
func TestViewOfARunningSpool(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := OpenView(vfs.OS, dir, []string{"a", "b"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no spool: %v", err)
	}
	s, err := Open(Options{Dir: dir, Tables: []string{"a", "b"}, FreeBytes: -1, SegmentBytes: 4 << 10, Now: func() int64 { return 1 }})
	if err != nil {
		t.Fatal(err)
	}
	put := func(payload string) {
		s.Put(1, Record{Payload: []byte(payload), Rows: 1, OldestNanos: 1, Meta: []byte("meta of " + payload[:1])}, 0)
		s.writeRound()
	}
	ack := func(n int) {
		t.Helper()
		for range n {
			b, err := s.Next(1, 1, 1)
			if err != nil || b == nil {
				t.Fatal(b, err)
			}
			s.Progress(1, b, len(b.Lines), b.Rows)
		}
		if err := s.syncRound(); err != nil {
			t.Fatal(err)
		}
	}
	seen := func(v *View, from int64) (all string) {
		t.Helper()
		damaged, err := v.Records(1, from, func(r KeptRecord, meta []byte) error {
			state := "waits"
			if r.Offset < v.Acked(1) {
				state = "acked"
			}
			text, err := v.Payload(&r)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				text = []byte("gone")
			case errors.Is(err, ErrDamaged):
				text = []byte("damaged")
			case err != nil:
				return err
			}
			if string(meta) != "meta of a" && string(meta) != "meta of b" && string(meta) != "meta of c" {
				t.Errorf("meta %q", meta)
			}
			all += state + " " + string(text[:min(len(text), 7)]) + ", "
			return nil
		})
		if err != nil || damaged != 0 {
			t.Error(damaged, err)
		}
		return all
	}
	open := func() *View {
		t.Helper()
		v, err := OpenView(vfs.OS, dir, []string{"a", "b"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		return v
	}
	is := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	put("a")
	put("b" + strings.Repeat("-", 5<<10)) // a file of its own
	put("c")
	ack(2)
	v := open()
	is(seen(v, 0), "acked a, acked b------, waits c, ")
	is(seen(v, v.Acked(1)), "waits c, ")
	put("a")
	ack(2)
	is(seen(v, 0), "acked a, acked b------, waits c, ") // as it was
	is(seen(open(), 0), "acked a, acked b------, acked c, acked a, ")

	files, _ := filepath.Glob(filepath.Join(dir, "b-*.seg"))
	slices.Sort(files)
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-1] ^= 1
	if err := os.WriteFile(files[1], text, 0o644); err != nil {
		t.Fatal(err)
	}
	is(seen(v, 0), "acked damaged, waits c, ")
	s.Close()
	before, _ := os.ReadDir(dir)
	is(seen(open(), 0), "acked damaged, acked c, acked a, ")
	if after, _ := os.ReadDir(dir); len(after) != len(before) {
		t.Errorf("files %v, then %v", before, after)
	}
}
