package simdisk

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"

	"tickproc/internal/vfs"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, d vfs.FS, name string, data []byte) vfs.File {
	t.Helper()
	f, err := d.Create(name)
	must(t, err)
	_, err = f.WriteAt(data, 0)
	must(t, err)
	return f
}

func read(t *testing.T, d vfs.FS, name string) []byte {
	t.Helper()
	data, err := vfs.ReadFile(d, name, 1<<20)
	must(t, err)
	return data
}

// What was synced, file and directory, is there after a power cut; a kill
// leaves what was written.
func TestSyncedSurvivesAPowerCut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		d := New(rand.New(rand.NewPCG(seed, 1)), Faults{})
		must(t, d.MkdirAll("/a"))
		must(t, d.SyncDir("/"))
		synced, more := bytes.Repeat([]byte("s"), 5*SectorSize), bytes.Repeat([]byte("m"), 5*SectorSize)
		f := create(t, d, "/a/x.new", synced)
		must(t, f.Sync())
		must(t, d.Rename("/a/x.new", "/a/x"))
		must(t, d.SyncDir("/a"))
		_, err := f.WriteAt(more, int64(len(synced)))
		must(t, err)
		create(t, d, "/a/y", more)

		killed := d.Crash(false)
		if got := read(t, killed, "/a/x"); !bytes.Equal(got, append(bytes.Clone(synced), more...)) || len(read(t, killed, "/a/y")) != len(more) {
			t.Fatalf("seed %d: a kill lost what was written", seed)
		}
		cut := d.Crash(true)
		if got := read(t, cut, "/a/x"); !bytes.HasPrefix(got, synced) {
			t.Fatalf("seed %d: a power cut lost what was synced", seed)
		}
		if cut.Used() > killed.Used() {
			t.Errorf("seed %d: %d bytes used after, %d before", seed, cut.Used(), killed.Used())
		}
	}
}

// Chance shows every outcome for what was not synced: lost, kept, torn.
func TestUnsyncedMayBeLostKeptOrTorn(t *testing.T) {
	t.Parallel()
	d := New(rand.New(rand.NewPCG(2, 1)), Faults{})
	old, fresh := bytes.Repeat([]byte("o"), 4*SectorSize), bytes.Repeat([]byte("f"), 4*SectorSize)
	f := create(t, d, "/x", old)
	must(t, f.Sync())
	must(t, d.SyncDir("/"))
	_, err := f.WriteAt(fresh, 0)
	must(t, err)
	create(t, d, "/y", fresh)
	must(t, d.Rename("/y", "/z"))
	seen := map[string]int{}
	for range 300 {
		c := d.Crash(true)
		switch got := read(t, c, "/x"); {
		case bytes.Equal(got, old):
			seen["lost"]++
		case bytes.Equal(got, fresh):
			seen["kept"]++
		default:
			seen["torn"]++
			for s := 0; s < len(got); s += SectorSize {
				if sector := got[s : s+SectorSize]; !bytes.Equal(sector, old[:SectorSize]) && !bytes.Equal(sector, fresh[:SectorSize]) {
					t.Fatal("a sector is torn")
				}
			}
		}
		_, noY := c.Open("/y")
		_, noZ := c.Open("/z")
		switch {
		case noY == nil && noZ == nil:
			t.Fatal("a rename left both names")
		case noY == nil:
			seen["created"]++
		case noZ == nil:
			seen["renamed"]++
		default:
			seen["not created"]++
		}
	}
	for _, what := range []string{"lost", "kept", "torn", "created", "renamed", "not created"} {
		if seen[what] == 0 {
			t.Errorf("never %s: %v", what, seen)
		}
	}
}

// After a failed sync the data is read, the next sync says yes, and the power
// cut shows that it was never written.
func TestAFailedSyncForgets(t *testing.T) {
	t.Parallel()
	d := New(rand.New(rand.NewPCG(3, 1)), Faults{})
	f := create(t, d, "/x", []byte("old"))
	must(t, f.Sync())
	must(t, d.SyncDir("/"))
	_, err := f.WriteAt([]byte("new"), 0)
	must(t, err)
	d.SetFaults(Faults{SyncError: 1})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync gave %v", err)
	}
	d.SetFaults(Faults{})
	must(t, f.Sync())
	if got := read(t, d.Crash(false), "/x"); string(got) != "new" {
		t.Errorf("after a kill %q", got)
	}
	for range 20 {
		if got := read(t, d.Crash(true), "/x"); string(got) != "old" {
			t.Errorf("after a power cut %q", got)
		}
	}
}

func TestAFullDisk(t *testing.T) {
	t.Parallel()
	d := New(rand.New(rand.NewPCG(4, 1)), Faults{Capacity: 1000})
	f := create(t, d, "/x", make([]byte, 600))
	g := create(t, d, "/y", nil)
	if err := g.Allocate(401); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("allocated beyond the end: %v", err)
	}
	if n, err := g.WriteAt(make([]byte, 500), 0); n != 400 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("wrote %d: %v", n, err)
	}
	// What is allocated may be overwritten on a full disk.
	_, err := f.WriteAt(make([]byte, 600), 0)
	must(t, err)
	must(t, d.Remove("/x"))
	must(t, g.Allocate(1000))
	if d.Used() != 1000 {
		t.Errorf("%d bytes used", d.Used())
	}
}

func TestErrorsAndFlips(t *testing.T) {
	t.Parallel()
	d := New(rand.New(rand.NewPCG(5, 1)), Faults{})
	data := bytes.Repeat([]byte{0}, 100)
	f := create(t, d, "/x", data)
	must(t, f.Sync())

	d.SetFaults(Faults{WriteError: 1, SyncDirError: 1, CreateError: 1})
	n, err := f.WriteAt(data, 0)
	if n != 0 || !errors.Is(err, syscall.EIO) || !errors.Is(d.SyncDir("/"), syscall.EIO) {
		t.Errorf("wrote %d: %v", n, err)
	}
	if _, err := d.Create("/y"); !errors.Is(err, syscall.EIO) {
		t.Errorf("created: %v", err)
	}
	d.SetFaults(Faults{ShortWrite: 1})
	if n, err := f.WriteAt(data, 0); n >= 100 || err == nil {
		t.Errorf("wrote %d: %v", n, err)
	}
	d.SetFaults(Faults{ReadFlip: 1})
	if got := read(t, d, "/x"); bytes.Equal(got, data) {
		t.Error("no bit was flipped")
	}
	d.SetFaults(Faults{})
	if got := read(t, d, "/x"); !bytes.Equal(got, data) {
		t.Error("a flip on reading stayed")
	}
	must(t, d.Flip("/x", 9))
	if got := read(t, d, "/x"); got[1] != 2 {
		t.Error("a flip did not stay")
	}
}

// The simulated disk answers like the machine's.
func TestLikeTheRealOne(t *testing.T) {
	t.Parallel()
	story := func(disk vfs.FS, dir string) (all []string) {
		say := func(what string, err error) {
			for _, e := range []error{fs.ErrNotExist, fs.ErrExist, fs.ErrClosed, io.EOF, syscall.ENOTEMPTY} {
				if errors.Is(err, e) {
					what += ": " + e.Error()
				}
			}
			if err == nil {
				what += ": ok"
			}
			all = append(all, what)
		}
		in := func(name string) string { return filepath.Join(dir, name) }
		say("mkdir", disk.MkdirAll(in("d/e")))
		f, err := disk.Create(in("d/x"))
		say("create", err)
		_, err = disk.Create(in("d/x"))
		say("create again", err)
		_, err = disk.Create(in("none/x"))
		say("create nowhere", err)
		_, err = f.WriteAt([]byte("abc"), 2)
		say("write", err)
		b := make([]byte, 10)
		n, err := f.ReadAt(b, 0)
		say(string(b[:n]), err)
		say("truncate", f.Truncate(4))
		say("allocate", f.Allocate(6))
		n, err = f.ReadAt(b[:6], 0)
		say(string(b[:n]), err)
		say("sync", f.Sync())
		say("close", f.Close())
		_, err = f.ReadAt(b, 0)
		say("read closed", err)
		say("remove full", disk.Remove(in("d")))
		say("rename dir", disk.Rename(in("d"), in("f")))
		_, err = disk.Open(in("d/x"))
		say("open old", err)
		entries, err := disk.List(in("f"))
		for _, e := range entries {
			say(e.Name, nil)
		}
		say("list", err)
		say("remove", disk.Remove(in("f/x")))
		say("remove again", disk.Remove(in("f/x")))
		say("sync dir", disk.SyncDir(in("f")))
		return all
	}
	have := story(New(rand.New(rand.NewPCG(6, 1)), Faults{}), "/")
	want := story(vfs.OS, t.TempDir())
	for i := range want {
		if have[i] != want[i] {
			t.Errorf("step %d: simulated %q, real %q", i, have[i], want[i])
		}
	}
}
