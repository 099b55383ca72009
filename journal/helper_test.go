package journal

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"tickproc/internal/vfs"
	"tickproc/internal/vfs/simdisk"
	"tickproc/tick"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// simMemory is memory that survives a kill and not a power cut.
type simMemory struct{ rings map[string][]tick.Unit }

func newSimMemory() *simMemory { return &simMemory{map[string][]tick.Unit{}} }

func (m *simMemory) Where(name string) string { return "memory:" + name }
func (m *simMemory) Boot() uint64             { return 1 }

func (m *simMemory) Load(name string) ([]tick.Unit, error) {
	return append([]tick.Unit(nil), m.rings[name]...), nil
}

func (m *simMemory) Make(name string, units int) (Ring, error) {
	m.rings[name] = make([]tick.Unit, units)
	return &simRing{m, name, m.rings[name]}, nil
}

// crash is the memory as the next process finds it.
func (m *simMemory) crash(power bool) *simMemory {
	after := newSimMemory()
	if !power {
		for name, units := range m.rings {
			after.rings[name] = append([]tick.Unit(nil), units...)
		}
	}
	return after
}

type simRing struct {
	memory *simMemory
	name   string
	units  []tick.Unit
}

func (r *simRing) Units() []tick.Unit   { return r.units }
func (r *simRing) Mapped() bool         { return true }
func (r *simRing) Flush(int, int) error { return nil }
func (r *simRing) Close(remove bool) error {
	if remove {
		delete(r.memory.rings, r.name)
	}
	return nil
}

// machine is a simulated host with one log.
type machine struct {
	t      testing.TB
	random *rand.Rand
	disk   *simdisk.Disk
	memory *simMemory
	now    int64
	o      Options
}

func newMachine(t testing.TB, seed uint64) *machine {
	m := &machine{t: t, random: rand.New(rand.NewPCG(seed, 1)), memory: newSimMemory(), now: 1e18}
	m.disk = simdisk.New(m.random, simdisk.Faults{})
	m.disk.Now = func() int64 { return m.now }
	m.o = Options{
		Dir: "/data/log", RingBytes: 4096, SegmentBytes: 4096, ReserveBytes: 2048,
		SyncEvery:   20 * time.Millisecond,
		Now:         func() int64 { return m.now },
		NewIdentity: func() Identity { return Identity(m.random.Uint64()) },
	}
	must(t, m.disk.MkdirAll("/data"))
	must(t, m.disk.SyncDir("/"))
	return m
}

func (m *machine) options() Options {
	o := m.o
	o.FS, o.Memory = m.disk, m.memory
	return o
}

func (m *machine) open() (*Log, Found) {
	m.t.Helper()
	l, found, err := Open(m.options())
	if err != nil {
		m.t.Fatalf("%v\n%s", err, m.disk)
	}
	return l, found
}

// crash leaves the machine as the next process finds it.
func (m *machine) crash(power bool) {
	m.disk = m.disk.Crash(power)
	m.memory = m.memory.crash(power)
}

// pass lets time pass until a sync is due.
func (m *machine) pass() { m.now += int64(20 * time.Millisecond) }

// aBatch makes packets that take n units: trades, and a depth message if there
// is room for its levels. number tells batches apart; no unit ends with a zero.
func aBatch(number uint64, n int) []tick.Unit {
	var all []tick.Unit
	for len(all) < n {
		left := n - len(all)
		h := tick.Header{Kind: tick.KindTrade, Ordinal: number, ReceiveNanos: int64(number)*1000 + int64(len(all))}
		if left >= 3 && number%3 == 0 {
			h.Kind = tick.KindDepth
			h.Flags = tick.FlagFirst | tick.FlagLast
			var p []tick.Unit
			all, p = tick.AppendUnits(all, 3)
			d := p[0].Depth()
			d.Header, d.LastID, d.Bids, d.LevelCount = h, number, 4, 8
			for i := range tick.Levels(p) {
				tick.Levels(p)[i] = tick.Level{Price: int64(number) + int64(i) + 1, Size: int64(i) | 1<<62}
			}
			continue
		}
		var p []tick.Unit
		all, p = tick.AppendUnits(all, 1)
		t := p[0].Trade()
		t.Header, t.ID.Lo, t.Price, t.Size = h, number, int64(number)*7+1, int64(left)|1<<62
	}
	return all
}

// logged is a batch and its place.
type logged struct {
	position uint64
	batch    []tick.Unit
}

func readAll(t testing.TB, l *Log, from uint64) (all []logged) {
	t.Helper()
	must(t, l.Read(from, func(position uint64, batch []tick.Unit) error {
		all = append(all, logged{position, append([]tick.Unit(nil), batch...)})
		return nil
	}))
	return all
}

func same(a, b logged) bool {
	if a.position != b.position || len(a.batch) != len(b.batch) {
		return false
	}
	for i := range a.batch {
		if a.batch[i] != b.batch[i] {
			return false
		}
	}
	return true
}

// wantBatches compares what was read with what was appended.
func wantBatches(t testing.TB, have, want []logged) {
	t.Helper()
	if len(have) != len(want) {
		t.Fatalf("%d batches, want %d", len(have), len(want))
	}
	for i := range want {
		if !same(have[i], want[i]) {
			t.Fatalf("batch %d at %d differs from the one appended at %d", i, have[i].position, want[i].position)
		}
	}
}

type unit = tick.Unit

var errFuse = errors.New("the process was killed here")

// fused is a disk whose process is killed after so many changes: nothing that
// changes the disk works any more.
type fused struct {
	*simdisk.Disk
	left int
}

func (f *fused) burn() error {
	if f.left--; f.left < 0 {
		return errFuse
	}
	return nil
}

func (f *fused) Create(name string) (vfs.File, error) {
	if err := f.burn(); err != nil {
		return nil, err
	}
	file, err := f.Disk.Create(name)
	return f.file(file), err
}

func (f *fused) OpenWrite(name string) (vfs.File, error) {
	file, err := f.Disk.OpenWrite(name)
	return f.file(file), err
}

func (f *fused) Rename(from, to string) error {
	return errors.Join(f.burn(), f.if0(func() error { return f.Disk.Rename(from, to) }))
}

func (f *fused) Remove(name string) error {
	return errors.Join(f.burn(), f.if0(func() error { return f.Disk.Remove(name) }))
}

func (f *fused) SyncDir(name string) error {
	return errors.Join(f.burn(), f.if0(func() error { return f.Disk.SyncDir(name) }))
}

// if0 does it while the process lives.
func (f *fused) if0(do func() error) error {
	if f.left < 0 {
		return nil
	}
	return do()
}

func (f *fused) file(file vfs.File) vfs.File {
	if file == nil {
		return nil
	}
	return &fusedFile{file, f}
}

type fusedFile struct {
	vfs.File
	fuse *fused
}

func (f *fusedFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.fuse.burn(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, at)
}

func (f *fusedFile) Sync() error {
	return errors.Join(f.fuse.burn(), f.fuse.if0(f.File.Sync))
}

func (f *fusedFile) Truncate(size int64) error {
	return errors.Join(f.fuse.burn(), f.fuse.if0(func() error { return f.File.Truncate(size) }))
}

func (f *fusedFile) Allocate(size int64) error {
	return errors.Join(f.fuse.burn(), f.fuse.if0(func() error { return f.File.Allocate(size) }))
}
