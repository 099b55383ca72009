package journal

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"tickproc/internal/vfs"
)

// The test binary run with this variable set is the child: it appends to the
// log in the directory until it is killed, and tells each end on its output.
const childVariable = "TICKPROC_JOURNAL_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		child(dir, os.Getenv(childVariable+"_DISK") != "")
		return
	}
	os.Exit(m.Run())
}

func realOptions(dir string, onDisk bool) Options {
	return Options{Dir: dir, RingOnDisk: onDisk, RingBytes: 1 << 16, SegmentBytes: 1 << 18, ReserveBytes: 1 << 16, SyncEvery: time.Millisecond}
}

func child(dir string, onDisk bool) {
	l, found, err := Open(realOptions(dir, onDisk))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go l.Run(context.Background())
	out := bufio.NewWriterSize(os.Stdout, 16) // one system call each: it is told before the next
	var b [16]byte
	for n := found.Sequence + 1; ; n++ {
		end := l.Append(aBatch(n, 1+int(n)*5%37))
		binary.LittleEndian.PutUint64(b[:], n)
		binary.LittleEndian.PutUint64(b[8:], end)
		out.Write(b[:])
		out.Flush()
	}
}

// A process that appends is killed at any moment, several times. Every batch it
// told of is there, in order, as it was, and no other but one that it had no
// time to tell.
func TestKilledProcess(t *testing.T) {
	t.Parallel()
	for _, onDisk := range []bool{false, true} {
		t.Run(fmt.Sprintf("ring on disk %v", onDisk), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "log")
			removeRingsAfter(t, dir)
			rounds := 4
			if testing.Short() {
				rounds = 2
			}
			total := uint64(0)
			for round := range rounds {
				told, end := killAfter(t, dir, onDisk, 300+uint64(round)*1700)
				// Another process looks at the files, then they are opened.
				v, err := Inspect(realOptions(dir, onDisk))
				must(t, err)
				l, found, err := Open(realOptions(dir, onDisk))
				must(t, err)
				if len(found.Damages)+len(found.Cuts) > 0 || found.RingLost && runtime.GOOS == "linux" || found.End < end || found.End != v.End {
					t.Fatalf("found %+v, told was %d, seen %+v", found, end, v.Found)
				}
				number := uint64(0)
				err = l.Read(0, func(position uint64, batch []unit) error {
					number++
					if !same(logged{position, batch}, logged{position, aBatch(number, 1+int(number)*5%37)}) {
						return fmt.Errorf("batch %d at %d differs", number, position)
					}
					return nil
				})
				if err != nil || number < told || number > told+1 || number <= total {
					t.Fatalf("%d batches, told were %d: %v", number, told, err)
				}
				total = number
				if round%2 == 0 {
					must(t, l.Close())
				} else {
					l.leave() // as if it were killed right here
					must(t, l.ring.Close(false))
				}
			}
		})
	}
}

// killAfter runs a child until it has told of n batches or a few more.
func killAfter(t *testing.T, dir string, onDisk bool, n uint64) (told, end uint64) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	c := exec.Command(self, "-test.run=^$")
	c.Env = append(os.Environ(), childVariable+"="+dir)
	if onDisk {
		c.Env = append(c.Env, childVariable+"_DISK=1")
	}
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	var b [16]byte
	for heard := uint64(0); ; heard++ {
		if _, err := io.ReadFull(out, b[:]); err != nil {
			break // it is dead
		}
		told, end = binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])
		if heard == n {
			must(t, c.Process.Kill())
		}
	}
	c.Wait()
	if told == 0 {
		t.Fatal("the child told nothing")
	}
	return told, end
}

// removeRingsAfter leaves no ring on tmpfs.
func removeRingsAfter(t testing.TB, dir string) {
	t.Cleanup(func() {
		o := realOptions(dir, false)
		if m, err := o.memory(); err == nil {
			os.Remove(m.Where(ringName(0)))
			os.Remove(filepath.Dir(m.Where(ringName(0))))
		}
	})
}

// While one process appends, drains and removes, another reads its files: what
// it sees is the log, without a fault.
func TestLookingAtARunningLog(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	removeRingsAfter(t, dir)
	l, _, err := Open(realOptions(dir, false))
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { l.Run(ctx); close(done) }()
	enough, appended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(appended)
		for n := uint64(1); ; n++ {
			select {
			case <-enough:
				return
			default:
			}
			l.Append(aBatch(n, 1+int(n)*5%37))
		}
	}()
	end := uint64(0)
	for looks := 0; looks < 20 || end < 1<<16; looks++ {
		before := l.Appended()
		v, err := Inspect(realOptions(dir, false))
		must(t, err)
		if v.Lost() || v.End < before || v.End < end {
			t.Fatalf("seen %+v, before that %d were appended", v.Found, before)
		}
		end = v.End
		number := uint64(0)
		must(t, v.Read(0, func(position uint64, batch []unit) error {
			number++
			if !same(logged{position, batch}, logged{position, aBatch(number, 1+int(number)*5%37)}) {
				return fmt.Errorf("batch %d at %d differs", number, position)
			}
			return nil
		}))
		if number != v.Batches {
			t.Fatalf("read %d batches of %d", number, v.Batches)
		}
	}
	close(enough)
	<-appended // before the drainer ends, for whose room it may wait
	stop()
	<-done
	must(t, l.Close())
}

// A ring of another size, and one that is not on tmpfs.
func TestRingsOnARealMachine(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	removeRingsAfter(t, dir)
	o := realOptions(dir, false)
	var all []logged
	for i, size := range []int64{1 << 16, 1 << 17, 1 << 15} {
		o.RingBytes = size
		l, found, err := Open(o)
		must(t, err)
		if found.Lost() || l.Ring().Bytes != size || l.Ring().Path == "" {
			t.Errorf("found %+v, ring %+v", found, l.Ring())
		}
		wantBatches(t, readAll(t, l, 0), all)
		all = append(all, writes(l, 1+10*i, 10)...)
		l.leave()
		must(t, l.ring.Close(false))
	}
	o.RingOnDisk = true
	l, found, err := Open(o) // the ring on tmpfs is not looked at: its batches count as lost
	must(t, err)
	if !found.RingLost || l.Ring().Cost == "" {
		t.Errorf("found %+v, ring %+v", found, l.Ring())
	}
	must(t, l.Close())
	if runtime.GOOS == "linux" {
		o.RingOnDisk, o.RingDir = false, t.TempDir()
		if !isTmpfsForTest(o.RingDir) {
			if _, _, err := Open(o); err == nil {
				t.Error("a ring that is not on tmpfs was mapped")
			}
		}
	}
}

// The ring's place is that of the directory, by whatever path it is named, also
// before it exists.
func TestTheRingBelongsToTheDirectory(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	must(t, os.Mkdir(filepath.Join(base, "real"), 0o755))
	must(t, os.Symlink("real", filepath.Join(base, "link")))
	removeRingsAfter(t, filepath.Join(base, "real", "log"))
	paths := map[string]bool{}
	for _, by := range []string{"link", "real", "link"} {
		l, found, err := Open(realOptions(filepath.Join(base, by, "log"), false))
		must(t, err)
		if found.Lost() {
			t.Errorf("%s: found %+v", by, found)
		}
		if runtime.GOOS == "linux" {
			paths[l.Ring().Path] = true
		}
		l.leave()
		must(t, l.ring.Close(false))
	}
	if len(paths) > 1 {
		t.Errorf("rings %v", paths)
	}
}

func TestFileMemory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := FileMemory(vfs.OS, dir)
	if units, err := m.Load("x"); units != nil || err != nil {
		t.Errorf("of none: %v %v", units, err)
	}
	r, err := m.Make("x", 128)
	must(t, err)
	r.Units()[100] = unit{1, 2, 3}
	r.Units()[101] = unit{4}
	must(t, r.Flush(100, 1))
	units, err := m.Load("x")
	must(t, err)
	if len(units) != 128 || units[100] != (unit{1, 2, 3}) || units[101] != (unit{}) {
		t.Errorf("%v", units[100:102])
	}
	must(t, r.Close(true))
	if units, _ := m.Load("x"); units != nil {
		t.Error("it is not removed")
	}
}
