package journal

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tickproc/internal/vfs"
	"tickproc/internal/vfs/simdisk"
	"tickproc/tick"
)

// step appends one batch if there is room, lets time pass, and drains.
func (m *machine) step(l *Log, number int, all *[]logged) {
	if l.Room() > 8 {
		*all = append(*all, writes(l, number, 1)...)
	}
	m.pass()
	l.Drain(m.now)
}

// The disk fills. The log goes on in its reserve and says so; when the reserve
// is full too, batches wait in the ring; when there is room again, all is
// written, the reserve is made again, and the log is healthy.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 1)
	var told []State
	m.o.OnState = func(s Status) { told = append(told, s.State) }
	l, _ := m.open()
	var all []logged
	m.disk.SetFaults(simdisk.Faults{Capacity: m.disk.Used() + 100})
	for i := range 60 {
		m.step(l, i+1, &all)
	}
	if s := l.Status(); s.State != Full || !strings.Contains(s.Reason, "make room") {
		t.Fatalf("%+v", s)
	}
	if l.Synced() == l.Appended() || l.Room() > 8 {
		t.Errorf("%d of %d synced, room for %d: the disk is not full", l.Synced(), l.Appended(), l.Room())
	}
	if _, err := m.disk.Open(l.reserveName()); err == nil {
		t.Error("the reserve was not used")
	}
	// A kill now loses nothing, but there is no reserve to start with.
	c := m.copy(false)
	c.disk.SetFaults(simdisk.Faults{Capacity: c.disk.Used() + 100})
	if _, _, err := Open(c.options()); err == nil || !strings.Contains(err.Error(), "reserve") {
		t.Errorf("opened on a full disk: %v", err)
	}
	c.disk.SetFaults(simdisk.Faults{})
	restarted, found := c.open()
	if found.Lost() {
		t.Errorf("%+v", found)
	}
	wantBatches(t, readAll(t, restarted, 0), all)

	// A little room is not enough to be healthy.
	m.disk.SetFaults(simdisk.Faults{Capacity: m.disk.Used() + 3000})
	m.now += 2e9
	l.Drain(m.now)
	if s := l.Status(); s.State != Full {
		t.Errorf("with room for the reserve alone: %+v", s)
	}
	m.disk.SetFaults(simdisk.Faults{})
	for range 3 {
		m.now += 2e9
		l.Drain(m.now)
	}
	if s := l.Status(); s.State != Healthy || l.Synced() != l.Appended() {
		t.Errorf("with room: %+v, %d of %d synced", s, l.Synced(), l.Appended())
	}
	if f, err := m.disk.Open(l.reserveName()); err != nil {
		t.Error("the reserve was not made again")
	} else {
		f.Close()
	}
	if told[len(told)-1] != Healthy || !slices.Contains(told, Full) {
		t.Errorf("told %v", told)
	}
	m.step(l, 1000, &all)
	m.pass()
	l.Drain(m.now) // a new segment may have been due before
	m.crash(true)
	l, _ = m.open()
	wantBatches(t, readAll(t, l, 0), all)
}

// Before the reserve is touched, what no snapshot needs is removed, whatever
// size and age would keep.
func TestDiskFullRemovesFirst(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 2)
	m.o.RetainAge = 1000 * time.Hour
	l, _ := m.open()
	var all []logged
	for i := range 60 {
		m.step(l, i+1, &all)
	}
	before := len(l.drainer.segments)
	l.Retain(l.Synced())
	m.step(l, 100, &all)
	if before < 4 || len(l.drainer.segments) < before {
		t.Fatalf("%d segments, then %d", before, len(l.drainer.segments))
	}
	m.disk.SetFaults(simdisk.Faults{Capacity: m.disk.Used() + 100})
	for i := range 30 {
		m.step(l, i+101, &all)
	}
	if s := l.Status(); s.State != Healthy || l.Stats.Removed.Load() == 0 || l.Synced() != l.Appended() {
		t.Errorf("%+v, %d removed", s, l.Stats.Removed.Load())
	}
	if got := readAll(t, l, l.drainer.segments[0].header.first); !same(got[len(got)-1], all[len(all)-1]) {
		t.Error("the last batch is not there")
	}
}

// Segments go by size and by age, the oldest first, and never beyond what is
// kept.
func TestRetention(t *testing.T) {
	t.Parallel()
	f := func(bytes int64, age time.Duration, keep int, want func(left int) bool) {
		t.Helper()
		m := newMachine(t, 3)
		m.o.RetainBytes, m.o.RetainAge = bytes, age
		l, _ := m.open()
		var all []logged
		for i := range 100 {
			m.step(l, i+1, &all)
		}
		l.Retain(all[keep].position)
		m.step(l, 200, &all)
		if left := len(l.drainer.segments); !want(left) {
			t.Errorf("%d bytes, age %v, kept from %d: %d segments", bytes, age, keep, left)
		}
		if first := l.drainer.segments[0].header.first; first > all[keep].position {
			t.Errorf("kept from %d, first is %d", all[keep].position, first)
		}
	}
	all := 8
	f(0, 0, 0, func(left int) bool { return left >= all })
	f(0, 0, 99, func(left int) bool { return left <= 2 })
	f(12_000, 0, 99, func(left int) bool { return left == 3 || left == 2 })
	f(1<<40, 0, 99, func(left int) bool { return left >= all })
	f(0, 10*time.Millisecond, 99, func(left int) bool { return left <= 2 })
	f(0, time.Hour, 99, func(left int) bool { return left >= all })
	f(0, time.Second, 99, func(left int) bool { return left > 2 && left < all })
}

// A sync fails and the disk forgets what it should have written. The segment is
// given up, the bytes are written again elsewhere, and a power cut finds them.
func TestAFailedSyncIsNeverRepeated(t *testing.T) {
	t.Parallel()
	for _, faults := range []simdisk.Faults{{SyncError: 1}, {WriteError: 1}, {ShortWrite: 1}} {
		m := newMachine(t, 4)
		l, _ := m.open()
		var all []logged
		for i := range 3 {
			m.step(l, i+1, &all)
		}
		first := l.drainer.current
		m.disk.SetFaults(faults)
		m.step(l, 4, &all)
		m.disk.SetFaults(simdisk.Faults{})
		m.now += 2e9
		l.Drain(m.now)
		if l.drainer.current == first || l.Stats.GivenUp.Load() != 1 || l.Status().State != Healthy {
			t.Errorf("%+v: given up %d, %+v", faults, l.Stats.GivenUp.Load(), l.Status())
		}
		m.step(l, 5, &all)
		m.crash(true)
		l, found := m.open()
		if len(found.Damages) > 0 {
			t.Errorf("%+v", found)
		}
		wantBatches(t, readAll(t, l, 0), all)
	}
}

// A disk that refuses everything makes the log fail, not spin: one try a second.
func TestABrokenDisk(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 5)
	l, _ := m.open()
	var all []logged
	m.step(l, 1, &all)
	m.disk.SetFaults(simdisk.Faults{SyncError: 1})
	for i := range 100 { // two seconds
		m.step(l, i+2, &all)
	}
	if s := l.Status(); s.State != Failed || !strings.Contains(s.Reason, "sync") {
		t.Errorf("%+v", s)
	}
	if n := l.drainer.ordinal; n > 8 {
		t.Errorf("%d segments were tried", n)
	}
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "not on disk") {
		t.Errorf("close: %v", err)
	}
	m.crash(false)
	l, found := m.open()
	if found.Lost() {
		t.Errorf("%+v", found)
	}
	wantBatches(t, readAll(t, l, 0), all)
}

// A disk that takes the headers of segments, and nothing of what is written
// behind them, does not work. It is tried once a second, and not called healthy
// in between; nor is it just when it works again, but when it has taken what
// waits.
func TestADiskThatTakesHeadersOnly(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 15)
	var told []State
	m.o.OnState = func(s Status) { told = append(told, s.State) }
	disk := &headersOnly{FS: m.disk}
	o := m.options()
	o.FS = disk
	l, _, err := Open(o)
	must(t, err)
	var all []logged
	m.step(l, 1, &all)
	disk.on = true
	for i := range 200 { // four seconds
		if i < 3 {
			m.step(l, i+2, &all)
			continue
		}
		m.pass()
		l.Drain(m.now)
	}
	if !slices.Equal(told, []State{Failed}) {
		t.Errorf("told %v", told)
	}
	if n := l.Stats.GivenUp.Load(); n < 4 || n > 8 {
		t.Errorf("%d segments were given up", n)
	}
	for l.Room() > 8 {
		all = append(all, writes(l, 20, 1)...)
	}
	disk.on = false
	m.now += 2e9
	l.Drain(m.now)
	if s := l.Status(); s.State != Healthy || l.Synced() != l.Appended() {
		t.Errorf("%+v, %d of %d synced", s, l.Synced(), l.Appended())
	}
	m.crash(true)
	l, _ = m.open()
	wantBatches(t, readAll(t, l, 0), all)
}

// headersOnly is a file system that fails, while on, every sync of a file
// behind its first.
type headersOnly struct {
	vfs.FS
	on bool
}

func (h *headersOnly) Create(name string) (vfs.File, error) {
	f, err := h.FS.Create(name)
	return &headersOnlyFile{File: f, disk: h}, err
}

type headersOnlyFile struct {
	vfs.File
	disk   *headersOnly
	synced bool
}

func (f *headersOnlyFile) Sync() error {
	if f.disk.on && f.synced {
		return syscall.EIO
	}
	f.synced = true
	return f.File.Sync()
}

// The disk takes less than is appended: the state says so, and again when it
// has caught up.
func TestBehind(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 6)
	l, _ := m.open()
	all := writes(l, 1, 8)
	m.disk.SetFaults(simdisk.Faults{SyncError: 1})
	l.Drain(m.now)
	if s := l.Status(); s.State != Healthy && s.State != Behind {
		t.Errorf("%+v", s)
	}
	for l.Room() > 8 {
		all = append(all, writes(l, 20, 1)...)
	}
	l.drainer.retryAt, l.drainer.cause = m.now+1000, nil
	l.Drain(m.now)
	if s := l.Status(); s.State != Behind {
		t.Errorf("%+v", s)
	}
	m.disk.SetFaults(simdisk.Faults{})
	m.now += 3e9
	l.Drain(m.now)
	if s := l.Status(); s.State != Healthy {
		t.Errorf("%+v", s)
	}
}

// A full ring makes Append wait until the drainer has made room; Close ends the
// wait of one that never will have it.
func TestAppendWaits(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 7)
	l, _ := m.open()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { l.Run(ctx) })
	n := 0
	for l.Stats.Waits.Load() < 3 {
		if l.Append(aBatch(uint64(n+1), 7)) == 0 {
			t.Fatal("not logged")
		}
		n++
	}
	stop()
	running.Wait()
	ended := make(chan int)
	go func() {
		more := 0
		for l.Append(aBatch(uint64(n+more+1), 7)) != 0 {
			more++
		}
		ended <- more
	}()
	for l.waiting.Load() != waitRoom {
		time.Sleep(0)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	n += <-ended
	l, found := m.open()
	if !found.Clean || found.Batches != uint64(n) {
		t.Errorf("%d batches were logged: %+v", n, found)
	}
}

func TestAppendOfNonsensePanics(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 8)
	l, _ := m.open()
	for _, batch := range [][]tick.Unit{nil, make([]tick.Unit, 1), aBatch(3, 3)[:2], aBatch(1, l.MaxBatch()+1)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a batch of %d units was taken", len(batch))
				}
			}()
			l.Append(batch)
		}()
	}
}

func (m *machine) refused(what string, says ...string) {
	m.t.Helper()
	before := m.disk.String()
	_, _, err := Open(m.options())
	var damaged *DamagedError
	if !errors.As(err, &damaged) {
		m.t.Fatalf("%s: %v", what, err)
	}
	for _, s := range append(says, "damage: skip") {
		if !strings.Contains(err.Error(), s) {
			m.t.Errorf("%s: %q does not say %q", what, err, s)
		}
	}
	if after := m.disk.String(); after != before {
		m.t.Errorf("%s: the disk was changed from\n%sto\n%s", what, before, after)
	}
}

func (m *machine) skipped() (*Log, Found) {
	m.t.Helper()
	o := m.options()
	o.OnDamage = Skip
	l, found, err := Open(o)
	must(m.t, err)
	return l, found
}

// Damage in the middle is refused, or skipped and told with its place: a broken
// batch, a missing segment.
func TestDamageInTheMiddle(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 9)
	l, _ := m.open()
	var all []logged
	for i := range 60 {
		m.step(l, i+1, &all)
	}
	segments := l.drainer.segments
	bad := segments[1]
	i := slices.IndexFunc(all, func(l logged) bool { return l.position >= bad.header.first+5 })

	c := m.copy(true)
	must(t, c.disk.Flip(filepath.Join(m.o.Dir, bad.name), offsetOf(all[i].position, bad.header.first)*8+70))
	c.refused("a flipped bit", bad.name, "offset")
	l, found := c.skipped()
	if len(found.Damages) != 1 || found.Damages[0].From != all[i].position || found.Damages[0].To != all[i+1].position {
		t.Errorf("found %+v, want the batch at %d", found.Damages, all[i].position)
	}
	wantBatches(t, readAll(t, l, 0), slices.Delete(slices.Clone(all), i, i+1))
	// Nobody has said that he noted it: it is told again, and after that not,
	// unless it is read again.
	c.crash(false)
	l, found = c.skipped()
	if len(found.Damages) != 1 || !found.RingLost {
		t.Errorf("found %+v", found)
	}
	must(t, l.Acknowledge())
	c.crash(false)
	c.o.From = all[i+1].position
	_, found = c.open()
	if found.Lost() {
		t.Errorf("found %+v", found)
	}

	c = m.copy(true)
	must(t, c.disk.Remove(filepath.Join(m.o.Dir, bad.name)))
	c.refused("a missing segment", "missing")
	l, found = c.skipped()
	if len(found.Damages) != 1 || found.Damages[0].From != bad.header.first || found.Damages[0].To != bad.limit {
		t.Errorf("found %+v, want %d to %d", found.Damages, bad.header.first, bad.limit)
	}
	wantBatches(t, readAll(t, l, 0), slices.DeleteFunc(slices.Clone(all), func(l logged) bool { return bad.covers(l.position) }))

	// What the snapshot needs is gone.
	c = m.copy(true)
	must(t, c.disk.Remove(filepath.Join(m.o.Dir, segments[0].name)))
	if _, found := c.open(); found.First != bad.header.first {
		t.Errorf("found %+v", found)
	}
	c.o.From = 5
	c.refused("a snapshot older than the log", "snapshot")
	// The snapshot is ahead of the log.
	c = m.copy(true)
	c.o.From = l.Appended() + 1000
	c.refused("a snapshot newer than the log")
	if l, found = c.skipped(); found.End != c.o.From || l.Appended() != c.o.From {
		t.Errorf("found %+v", found)
	}
}

// What is lost of a log: the ring, the segments, both; and files of another one.
func TestLostParts(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 10)
	l, _ := m.open()
	var all []logged
	for i := range 5 {
		m.step(l, i+1, &all)
	}
	synced := len(all)
	all = append(all, writes(l, 50, 2)...)

	// The ring alone: what was not synced is gone, and that is told.
	c := m.copy(false)
	c.memory = newSimMemory()
	l, found := c.open()
	if !found.RingLost || found.Clean {
		t.Errorf("%+v", found)
	}
	wantBatches(t, readAll(t, l, 0), all[:synced])

	// The segments alone: the ring has a log that is not there.
	c = m.copy(false)
	c.disk = simdisk.New(m.random, simdisk.Faults{})
	must(t, c.disk.MkdirAll("/data"))
	c.refused("a wiped data directory", "whose segments", "ring")
	l, found = c.skipped()
	if found.Identity != m.identity(t) || len(found.Damages) == 0 {
		t.Errorf("%+v", found)
	}
	wantBatches(t, readAll(t, l, 0), all)

	// A ring of another log.
	other := newMachine(t, 11)
	l, _ = other.open()
	writes(l, 1, 2)
	c = m.copy(false)
	c.memory = other.memory.crash(false)
	c.refused("a ring of another log", "belongs to")

	// A segment of another log.
	c = m.copy(false)
	alien := segmentName(0, 900, 3000)
	f, err := makeSegment(c.disk, filepath.Join(m.o.Dir, alien), "", 4096, segmentHeader{identity: 5, first: 3000, ordinal: 900}, 0)
	must(t, err)
	must(t, f.Close())
	c.refused("a segment of another log", alien, "belongs to")
	l, _ = c.skipped()
	wantBatches(t, readAll(t, l, 0), all)
}

func (m *machine) identity(t testing.TB) Identity {
	v, err := Inspect(m.options())
	must(t, err)
	return v.Identity
}

// Fsck and List say what is there, and change nothing.
func TestFsckAndList(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 12)
	l, _ := m.open()
	var all []logged
	for i := range 30 {
		m.step(l, i+1, &all)
	}
	all = append(all, writes(l, 100, 2)...)
	before := m.disk.String()
	r, err := Fsck(m.options())
	must(t, err)
	if len(r.Faults) > 0 || r.Batches != uint64(len(all)) || r.End != l.Appended() || r.RingEnd != l.Appended() || r.Clean || r.RingLost {
		t.Errorf("%+v", r)
	}
	segments, err := List(m.options())
	must(t, err)
	for i, s := range segments {
		if s.First >= s.End || s.Batches == 0 || s.FirstNanos == 0 || s.LastNanos < s.FirstNanos || i > 0 && s.First != segments[i-1].End {
			t.Errorf("segment %d: %+v", i, s)
		}
	}
	if len(segments) < 3 || m.disk.String() != before {
		t.Errorf("%d segments; the disk was\n%sand is\n%s", len(segments), before, m.disk)
	}
	must(t, m.disk.Flip(segments[0].File, 5000))
	if r, err = Fsck(m.options()); err != nil || len(r.Faults) != 1 || r.Faults[0].File != segments[0].File {
		t.Errorf("%v %+v", err, r.Faults)
	}
	shards, err := Shards(m.disk, m.o.Dir)
	if err != nil || !slices.Equal(shards, []int{0}) {
		t.Errorf("%v %v", shards, err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	o := Options{RingBytes: 5000, SegmentBytes: 100, ReserveBytes: 100, Shard: -1}
	o.EnsureDefaults()
	err := o.Validate()
	for _, says := range []string{"directory", "power of two", "segment_bytes", "reserve_bytes", "shard"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
}
