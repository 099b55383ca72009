package vfs

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

// A file is written under another name, made durable, and takes its place: what
// a snapshot does.
func TestReplaceAFile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(OS.MkdirAll(dir))
	name := filepath.Join(dir, "it")
	// A process that was killed has left one behind.
	must(WriteNew(OS, name+".tmp", []byte("half, and longer than what follows")))
	for _, text := range []string{"first", "second, longer"} {
		must(Replace(OS, name, []byte(text)))
		got, err := ReadFile(OS, name, 100)
		must(err)
		if string(got) != text {
			t.Errorf("read %q, want %q", got, text)
		}
	}
	if _, err := ReadFile(OS, name, 3); err == nil {
		t.Error("a file larger than it may be was read")
	}
	all, err := OS.List(dir)
	must(err)
	if len(all) != 1 || all[0].Name != "it" || all[0].Size != 14 || all[0].Dir || all[0].ModNanos == 0 {
		t.Errorf("listed %+v", all)
	}
	if _, err := OS.Create(name); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file that exists was created: %v", err)
	}
	if _, err := OS.OpenWrite(name + ".tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is gone was opened: %v", err)
	}
}

func TestAllocate(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "room")
	f, err := OS.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, do := range []func(int64) error{f.Allocate, f.(osFile).zeros} {
		before, _ := f.Size()
		if err := do(before + 70_000); err != nil {
			t.Fatal(err)
		}
		if size, _ := f.Size(); size != before+70_000 {
			t.Errorf("%d bytes, want %d", size, before+70_000)
		}
	}
}

func TestLockIsHeldByOne(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(name); !errors.Is(err, ErrLocked) {
		t.Errorf("locked twice: %v", err)
	}
	unlock()
	again, err := Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	again()
}
