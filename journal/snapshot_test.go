package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"tickproc/internal/vfs"
	"tickproc/internal/vfs/simdisk"
)

// content is what file i of snapshot n holds.
func content(n uint64, i, size int) []byte {
	b := make([]byte, size)
	for k := range b {
		b[k] = byte(int(n)*31 + i*7 + k)
	}
	return b
}

func snap(s *Snapshots, position uint64, sizes ...int) (uint64, error) {
	w, err := s.Begin()
	if err != nil {
		return 0, err
	}
	for i, size := range sizes {
		f, err := w.File(fmt.Sprintf("shard-%02d.state", i))
		if err == nil {
			data := content(w.Number(), i, size)
			for len(data) > 0 && err == nil { // appended over time
				n := min(len(data), 1000)
				_, err = f.Write(data[:n])
				data = data[n:]
			}
		}
		if err != nil {
			return w.Number(), errors.Join(err, w.Abort())
		}
	}
	return w.Number(), w.Commit(Manifest{
		Build: "test", Config: "c0ffee", Logs: []LogPosition{{0, 77, position}}, Extra: json.RawMessage(`{"epoch":3}`),
	})
}

// load reads everything of a snapshot.
func load(s *Snapshot) (map[string][]byte, error) {
	all := map[string][]byte{}
	for _, f := range s.Manifest.Files {
		r, err := s.Open(f.Name)
		if err != nil {
			return nil, err
		}
		if all[f.Name], err = io.ReadAll(r); err != nil {
			return nil, err
		}
		r.Close()
	}
	return all, nil
}

func wantSnapshot(t testing.TB, s *Snapshot, number uint64, sizes ...int) {
	t.Helper()
	if s == nil || s.Manifest.Number != number {
		t.Fatalf("newest is %+v, want %d", s, number)
	}
	all, err := load(s)
	must(t, err)
	for i, size := range sizes {
		if name := fmt.Sprintf("shard-%02d.state", i); !bytes.Equal(all[name], content(number, i, size)) {
			t.Fatalf("snapshot %d: %s differs", number, name)
		}
	}
}

func snapshots(t testing.TB, fsys vfs.FS, dir string) *Snapshots {
	t.Helper()
	s, err := OpenSnapshots(fsys, dir)
	must(t, err)
	return s
}

// Snapshots are made, two stay, the newest is loaded, and the log may go up to
// what the older one needs.
func TestSnapshotsOnARealDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := snapshots(t, vfs.OS, dir)
	if newest, passed, err := s.Newest(); newest != nil || passed != nil || err != nil {
		t.Errorf("of none: %v %v %v", newest, passed, err)
	}
	sizes := []int{0, 1, blockBytes - 1, blockBytes, 2*blockBytes + 5}
	for i := range uint64(3) {
		keep, err := s.KeepFrom(0, 77)
		must(t, err)
		if i < 2 && keep != 0 {
			t.Errorf("with %d snapshots the log is kept from %d", i, keep)
		}
		_, err = snap(s, 100+i, sizes...)
		must(t, err)
	}
	s = snapshots(t, vfs.OS, dir)
	newest, passed, err := s.Newest()
	must(t, err)
	if len(passed) > 0 {
		t.Errorf("passed over %v", passed)
	}
	wantSnapshot(t, newest, 3, sizes...)
	if m := newest.Manifest; m.Build != "test" || m.Config != "c0ffee" || m.Logs[0].Position != 102 || string(m.Extra) != `{"epoch":3}` {
		t.Errorf("manifest %+v", m)
	}
	all, err := s.List()
	must(t, err)
	if len(all) != 2 || all[1].Number != 2 {
		t.Errorf("kept %+v", all)
	}
	if keep, err := s.KeepFrom(0, 77); keep != 101 || err != nil {
		t.Errorf("the log is kept from %d: %v", keep, err)
	}
	if keep, err := s.KeepFrom(0, 78); keep != 0 || err != nil {
		t.Errorf("another log is kept from %d: %v", keep, err)
	}
	w, err := s.Begin()
	must(t, err)
	for _, name := range []string{ManifestName, "a/b", ".."} {
		if _, err := w.File(name); err == nil {
			t.Errorf("a file %q", name)
		}
	}
	must(t, w.Abort())
}

// Every single bit of every file of the newest snapshot, flipped: the older one
// is taken and the fault is told, never other content.
func TestEveryBitOfASnapshot(t *testing.T) {
	t.Parallel()
	d := simdisk.New(rand.New(rand.NewPCG(1, 1)), simdisk.Faults{})
	s := snapshots(t, d, "/data")
	for range 2 {
		_, err := snap(s, 5, 40, 9)
		must(t, err)
	}
	dir := s.path(2)
	for _, name := range []string{ManifestName, "shard-00.state", "shard-01.state"} {
		name = dir + "/" + name
		data, err := vfs.ReadFile(d, name, 1<<20)
		must(t, err)
		for bit := int64(0); bit < int64(len(data))*8; bit += bitStep {
			must(t, d.Flip(name, bit))
			s := snapshots(t, d, "/data")
			newest, passed, err := s.Newest()
			must(t, err)
			if newest == nil || newest.Manifest.Number != 1 || len(passed) != 1 || !strings.Contains(passed[0].Err.Error(), dir) {
				t.Fatalf("%s bit %d: %+v, passed over %v", name, bit, newest, passed)
			}
			must(t, d.Flip(name, bit))
		}
		// Cut anywhere, or longer.
		f, err := d.OpenWrite(name)
		must(t, err)
		for size := range int64(len(data)) {
			must(t, f.Truncate(size))
			if newest, _, _ := snapshots(t, d, "/data").Newest(); newest == nil || newest.Manifest.Number != 1 {
				t.Fatalf("%s cut at %d is taken", name, size)
			}
		}
		_, err = f.WriteAt(append(bytes.Clone(data), 0), 0)
		must(t, err)
		if newest, _, _ := snapshots(t, d, "/data").Newest(); newest == nil || newest.Manifest.Number != 1 {
			t.Fatalf("%s with a byte more is taken", name)
		}
		must(t, f.Truncate(int64(len(data))))
	}
	newest, _, err := snapshots(t, d, "/data").Newest()
	must(t, err)
	wantSnapshot(t, newest, 2, 40, 9)
}

// A bit that flips after the snapshot was verified is an error of the reading.
func TestAFlipAfterVerifying(t *testing.T) {
	t.Parallel()
	d := simdisk.New(rand.New(rand.NewPCG(2, 1)), simdisk.Faults{})
	s := snapshots(t, d, "/data")
	_, err := snap(s, 5, 100)
	must(t, err)
	newest, _, err := s.Newest()
	must(t, err)
	d.SetFaults(simdisk.Faults{ReadFlip: 1})
	if all, err := load(newest); err == nil {
		t.Errorf("loaded %v", all)
	}
}

// A good snapshot is not removed for the sake of a bad newer one.
func TestABadSnapshotDoesNotCount(t *testing.T) {
	t.Parallel()
	d := simdisk.New(rand.New(rand.NewPCG(3, 1)), simdisk.Faults{})
	s := snapshots(t, d, "/data")
	for range 2 {
		_, err := snap(s, 5, 100)
		must(t, err)
	}
	must(t, d.Flip(s.path(2)+"/shard-00.state", 3))
	s = snapshots(t, d, "/data")
	newest, _, err := s.Newest()
	must(t, err)
	wantSnapshot(t, newest, 1, 100)
	_, err = snap(s, 6, 100)
	must(t, err)
	if numbers, _ := s.numbers(); len(numbers) != 3 {
		t.Errorf("kept %v", numbers)
	}
	_, err = snap(s, 6, 100)
	must(t, err)
	if numbers, _ := s.numbers(); len(numbers) != 2 || numbers[1] != 3 {
		t.Errorf("kept %v", numbers)
	}
}

// At each step of a commit the process is killed or the power goes: there is the
// new snapshot as a whole, or the one before. Faults of the disk are no excuse.
func TestSnapshotsThroughCrashes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 2))
		d := simdisk.New(random, simdisk.Faults{})
		must(t, d.MkdirAll("/data"))
		must(t, d.SyncDir("/"))
		committed := uint64(0)
		for range 4 {
			s := snapshots(t, d, "/data")
			newest, passed, err := s.Newest()
			must(t, err)
			if len(passed) > 0 {
				t.Fatalf("seed %d: passed over %v", seed, passed)
			}
			if committed > 0 {
				if newest == nil || newest.Manifest.Number < committed {
					t.Fatalf("seed %d: newest is %+v, committed was %d\n%s", seed, newest, committed, d)
				}
				wantSnapshot(t, newest, newest.Manifest.Number, 600, 1500)
			}
			fuse := &fused{Disk: d, left: random.IntN(40)}
			s.fs = fuse
			if random.IntN(2) == 0 {
				d.SetFaults(simdisk.Faults{WriteError: 0.05, ShortWrite: 0.05, SyncError: 0.1, SyncDirError: 0.1})
			}
			for range 2 {
				if n, err := snap(s, 5, 600, 1500); err == nil {
					committed = n
				}
			}
			d = d.Crash(random.IntN(2) == 0)
		}
	}
}
