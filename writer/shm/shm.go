// Package shm shows what the shards make of the market to other processes of the
// machine, in memory that they map.
//
//	shard ─► Ring: messages ─► DIR/ring-EPOCH-SHARD ─► any number of readers, which map it read-only
//	           └► image, definition of an instrument ─► DIR/directory
//	Writer: heartbeat, state ─────────────────────────►
//
// Nobody waits for a reader, and nothing that a reader does can be seen here: it
// copies, and notices when it was overtaken. All memory is allocated and touched
// at the start. What it holds is said in docs/shm.md and in package layout;
// package reader reads it.
package shm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
	"unsafe"

	"tickproc/internal/vfs"
	"tickproc/tick"
	"tickproc/writer/shm/layout"
)

// Options say what there is to be.
type Options struct {
	// Dir is on a file system in memory; it is made if it is not there.
	Dir      string
	Instance string // who writes, at most 32 bytes
	// Rings is their number, one a shard.
	Rings int
	// RingBytes of each ring's slots, rounded up to a power of two; default 8 MiB.
	RingBytes int64
	// Levels a side in an image, at most 50; default 10.
	Levels int
	// Instruments that have an image and an entry; default 4096.
	Instruments int
	Readers     Readers      // which users may read; default ReadersOwner
	Pid         int          // default: this process
	Now         func() int64 // ns since the epoch; default the system's clock, which readers compare with theirs
}

// Readers are the users who may read.
type Readers uint8

const (
	ReadersOwner Readers = iota // this process's
	ReadersGroup                // and those of its group, or of the folder's where that hands its group on
	ReadersAll                  // all of the machine
)

func (r Readers) folder() fs.FileMode { return [...]fs.FileMode{0o700, 0o750, 0o755}[r] }
func (r Readers) file() fs.FileMode   { return [...]fs.FileMode{0o600, 0o640, 0o644}[r] }

const lockName = "lock"

// lock takes the lock of the folder. Who can open its file could take it, so that
// no reader may.
func lock(name string) (unlock func(), err error) {
	if unlock, err = vfs.Lock(name); err != nil {
		return nil, err
	}
	if err := os.Chmod(name, 0o600); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// EnsureDefaults fills what was not said.
func (o *Options) EnsureDefaults() {
	if o.Rings == 0 {
		o.Rings = 1
	}
	if o.RingBytes == 0 {
		o.RingBytes = 8 << 20
	}
	if o.Levels == 0 {
		o.Levels = 10
	}
	if o.Instruments == 0 {
		o.Instruments = 4096
	}
	if o.Pid == 0 {
		o.Pid = os.Getpid()
	}
	if o.Now == nil {
		o.Now = func() int64 { return time.Now().UnixNano() } // the process clock does not follow when the system's is set
	}
}

// slots is a power of two.
func (o *Options) slots() int {
	n := layout.RingSlotsMin
	for int64(n)*layout.SlotBytes < o.RingBytes && n < layout.RingSlotsMax {
		n *= 2
	}
	return n
}

// Bytes is the memory that is taken, of the file system and of the process.
func (o Options) Bytes() int64 {
	o.EnsureDefaults()
	_, _, size := sizeOf(&o)
	return int64(size) + int64(o.Rings)*int64(ringBytes(o.slots()))
}

func ringBytes(slots int) int { return layout.RingHeaderBytes + slots*layout.SlotBytes }

func ringName(epoch uint64, shard int) string { return fmt.Sprintf("ring-%016x-%d", epoch, shard) }

// isRingName reports whether a file is named as a ring is: others may have files
// in the folder, too.
func isRingName(name string) bool {
	var epoch uint64
	var shard int
	n, _ := fmt.Sscanf(name, "ring-%x-%d", &epoch, &shard)
	return n == 2 && name == ringName(epoch, shard)
}

// Writer is one epoch of a folder.
type Writer struct {
	dir       string
	readers   Readers
	epoch     uint64
	now       func() int64
	unlock    func()
	directory *directory
	rings     []*Ring
	mapped    [][]byte
	names     []string // of files that go with the Writer
}

// Create begins an epoch: readers of the one before see that it has ended. The
// error says what the user can do. One process at a time has a folder.
func Create(o Options) (w *Writer, err error) {
	o.EnsureDefaults()
	if o.Levels > layout.LevelsMax || o.Rings > layout.RingsMax || o.Instruments > layout.InstrumentCountMax {
		panic(fmt.Sprintf("BUG: shared memory of %d levels, %d rings, %d instruments", o.Levels, o.Rings, o.Instruments))
	}
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return nil, errors.New("shared memory is little-endian, and this machine is not")
	}
	if err := makeDir(&o); err != nil {
		return nil, err
	}
	unlock, err := lock(filepath.Join(o.Dir, lockName))
	if errors.Is(err, vfs.ErrLocked) {
		return nil, fmt.Errorf("shm.dir: %w: let each instance have its own", err)
	} else if err != nil {
		return nil, fmt.Errorf("shm.dir: %w", err)
	}
	w = &Writer{dir: o.Dir, readers: o.Readers, now: o.Now, unlock: unlock}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.abandon())
			w = nil
		}
	}()
	now := o.Now()
	w.epoch = uint64(now)
	if before := endEpoch(filepath.Join(o.Dir, layout.DirectoryName)); before >= w.epoch && before-w.epoch < uint64(366*24*time.Hour) {
		w.epoch = before + 1 // the clock was stepped; what is farther off is damage
	}
	if err := w.removeOld(); err != nil {
		return w, err
	}
	if err := room(o.Dir, o.Bytes()); err != nil {
		return w, err
	}
	_, _, size := sizeOf(&o)
	fresh := filepath.Join(o.Dir, layout.DirectoryName+".tmp")
	w.names = append(w.names, fresh) // by that name it is not to stay, whatever comes
	memory, err := w.allocate(fresh, size)
	if err != nil {
		return w, err
	}
	w.directory = newDirectory(&o, memory, w.epoch, now)
	for i := range o.Rings {
		if err := w.addRing(&o, i); err != nil {
			return w, err
		}
	}
	if err := os.Rename(fresh, filepath.Join(o.Dir, layout.DirectoryName)); err != nil {
		return w, fmt.Errorf("shm.dir: %w", err)
	}
	return w, nil
}

func (w *Writer) addRing(o *Options, shard int) error {
	name := filepath.Join(w.dir, ringName(w.epoch, shard))
	w.names = append(w.names, name)
	memory, err := w.allocate(name, ringBytes(o.slots()))
	if err != nil {
		return err
	}
	u32 := func(at int, v int) { binary.LittleEndian.PutUint32(memory[at:], uint32(v)) }
	u64 := func(at int, v uint64) { binary.LittleEndian.PutUint64(memory[at:], v) }
	u32(layout.RingVersion, layout.Version)
	u32(layout.RingHeaderSize, layout.RingHeaderBytes)
	u64(layout.RingEpoch, w.epoch)
	u32(layout.RingShard, shard)
	u32(layout.RingSlotSize, layout.SlotBytes)
	u64(layout.RingSlots, uint64(o.slots()))
	u64(layout.RingFileSize, uint64(len(memory)))
	u64(0, layout.RingMagic)
	body := memory[layout.RingHeaderBytes:]
	w.rings = append(w.rings, &Ring{shard: uint16(shard), slots: unsafe.Slice((*slot)(unsafe.Pointer(&body[0])), o.slots()), mask: uint64(o.slots() - 1),
		published: &wordsOf(memory)[layout.RingPublished/8], directory: w.directory,
		newest: touched(o.Instruments), levels: make([]tick.Level, o.Levels), image: make([]uint64, w.directory.imageWords)})
	return nil
}

// touched returns memory that is there: a page that was never written is mapped
// at its first write.
func touched(n int) []newest {
	all := make([]newest, n)
	for i := range all {
		all[i].trade[1] = 1
	}
	clear(all)
	return all
}

// removeOld removes the rings of epochs before: who reads them has them still.
func (w *Writer) removeOld() error {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return fmt.Errorf("shm.dir: %w", err)
	}
	for _, e := range entries {
		if isRingName(e.Name()) || e.Name() == layout.DirectoryName+".tmp" {
			if err := os.Remove(filepath.Join(w.dir, e.Name())); err != nil {
				return fmt.Errorf("shm.dir: %w", err)
			}
		}
	}
	return nil
}

// Epoch is larger with every start.
func (w *Writer) Epoch() uint64 { return w.epoch }

// Dir is where it is.
func (w *Writer) Dir() string { return w.dir }

// Ring is a shard's part.
func (w *Writer) Ring(shard int) *Ring { return w.rings[shard] }

// LeftOut is how many instruments found no room; any goroutine may ask.
func (w *Writer) LeftOut() uint64 { return w.directory.leftOut.Load() }

// BeatEvery is how often Beat is to be called.
const BeatEvery = time.Duration(layout.HeartbeatNanos)

// Beat says once that the writer lives. One goroutine.
func (w *Writer) Beat() {
	atomic.StoreUint64(w.directory.atomically(layout.DirHeartbeat), uint64(w.now()))
}

// Close ends the epoch in order. The shards have ended, and nobody calls Beat. Readers go on
// with what they have mapped; the directory stays, to say that it was stopped.
func (w *Writer) Close() error {
	for _, r := range w.rings {
		r.message[0] = layout.Head(layout.KindEnd, uint8(tick.TimeReceive), 0, 0, 0)
		r.message[1], r.message[2] = uint64(w.now()), uint64(w.now())
		r.put(3)
		r.End()
	}
	w.Beat()
	atomic.StoreUint64(w.directory.atomically(layout.DirState), layout.StateStopped)
	return w.abandon()
}

// abandon gives back what was taken.
func (w *Writer) abandon() error {
	var faults []error
	for _, memory := range w.mapped {
		faults = append(faults, unmap(memory))
	}
	for _, name := range w.names {
		if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			faults = append(faults, err)
		}
	}
	w.mapped, w.names, w.rings = nil, nil, nil
	w.unlock()
	return errors.Join(faults...)
}

// wordsOf views memory that begins at a multiple of 8.
func wordsOf(memory []byte) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(&memory[0])), len(memory)/8)
}
