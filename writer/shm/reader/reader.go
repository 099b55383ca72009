// Package reader reads the shared memory of a tickproc on the same machine. It
// needs this folder and package layout, and golang.org/x/sys/unix.
//
//	r, err := reader.Open(dir)
//	ring := r.Ring(0)
//	for {
//		if !ring.Next(&m) { … nothing now: spin, or sleep and look at r.Alive() … }
//		switch m.Kind() { case layout.KindTrade: t := m.Trade() … }
//	}
//
// Everything is mapped read-only and copied before it is used: the writer never
// waits for a reader, and overwrites what a slow one has not read. Message.Lost
// and Ring.Lost say so. What may be believed of a book is said at Image.
package reader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tickproc/writer/shm/layout"
)

// What Open, Alive and others wrap.
var (
	// ErrNone: nobody ever wrote there.
	ErrNone = errors.New("there is no shared memory")
	// ErrVersion: the writer's layout is another one.
	ErrVersion = errors.New("the shared memory is of another version")
	// ErrDamaged: the files are not what a writer makes.
	ErrDamaged = errors.New("the shared memory is damaged")
	// ErrStopped: the writer ended in order.
	ErrStopped = errors.New("the writer has stopped")
	// ErrReplaced: a later writer has begun: open again.
	ErrReplaced = errors.New("a later writer has begun")
	// ErrSilent: the writer's heart does not beat: it was killed, or stands still.
	ErrSilent = errors.New("the writer gives no sign of life")
)

// Reader is a mapped epoch. Its methods may be called by any goroutine, but for
// each Ring's, which are one goroutine's.
type Reader struct {
	dir string

	words  []uint64
	mapped [][]byte
	rings  []*Ring

	epoch                       uint64
	levels, capacity            int
	instruments, images, imageN int // words
}

// attempts of Open while a writer is being replaced.
const attempts = 5

// Open maps what is in a folder. Each Ring begins with what comes next.
func Open(dir string) (*Reader, error) {
	var err error
	for range attempts {
		var r *Reader
		if r, err = open(dir); err == nil {
			return r, nil
		}
		if !errors.Is(err, ErrReplaced) {
			break
		}
	}
	return nil, err
}

func open(dir string) (r *Reader, err error) {
	name := filepath.Join(dir, layout.DirectoryName)
	memory, err := mapFile(name, layout.DirHeaderBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrNone, dir)
	} else if err != nil {
		return nil, err
	}
	r = &Reader{dir: dir, words: wordsOf(memory), mapped: [][]byte{memory}}
	defer func() {
		if err != nil {
			r.Close()
			r = nil
		}
	}()
	if err := r.check(memory, name); err != nil {
		return r, err
	}
	switch atomic.LoadUint64(&r.words[layout.DirState/8]) {
	case layout.StateStopped:
		return r, fmt.Errorf("%w: %s", ErrStopped, dir)
	case layout.StateReplaced:
		return r, fmt.Errorf("%w: %s", ErrReplaced, dir)
	}
	count := int(u32(memory, layout.DirRingCount))
	for i := range count {
		ring, err := r.openRing(memory, i)
		if err != nil {
			return r, err
		}
		r.rings = append(r.rings, ring)
	}
	return r, nil
}

func u32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
func u64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }

// check refuses what the rest of the package could not read within bounds.
func (r *Reader) check(memory []byte, name string) error {
	damaged := func(what string) error { return fmt.Errorf("%w: %s: %s", ErrDamaged, name, what) }
	if u64(memory, layout.DirMagic) != layout.DirectoryMagic {
		return damaged("it does not begin as a directory does")
	}
	if v := u32(memory, layout.DirVersion); v != layout.Version {
		return fmt.Errorf("%w: %s has version %d, this reader knows %d: use the one that came with the running tickproc", ErrVersion, name, v, layout.Version)
	}
	rings, levels, capacity := u32(memory, layout.DirRingCount), u32(memory, layout.DirLevels), u32(memory, layout.DirCapacity)
	if rings == 0 || rings > layout.RingsMax || levels == 0 || levels > layout.LevelsMax || capacity == 0 || capacity > layout.InstrumentCountMax {
		return damaged(fmt.Sprintf("%d rings, %d levels, %d instruments", rings, levels, capacity))
	}
	if u32(memory, layout.DirInstrumentSize) != layout.InstrumentSize || u64(memory, layout.DirImageSize) != uint64(8*layout.ImageWords(int(levels))) {
		return damaged("sizes that are not this version's")
	}
	if u64(memory, layout.DirFileSize) != uint64(len(memory)) {
		return damaged(fmt.Sprintf("it says %d bytes and has %d", u64(memory, layout.DirFileSize), len(memory)))
	}
	r.epoch, r.levels, r.capacity, r.imageN = u64(memory, layout.DirEpoch), int(levels), int(capacity), layout.ImageWords(int(levels))
	for _, part := range []struct {
		what string
		at   uint64
		size int
		to   *int
	}{{"rings", u64(memory, layout.DirRingsAt), int(rings) * layout.RingEntryBytes, new(int)},
		{"instruments", u64(memory, layout.DirInstrumentsAt), r.capacity * layout.InstrumentSize, &r.instruments},
		{"images", u64(memory, layout.DirImagesAt), r.capacity * 8 * r.imageN, &r.images}} {
		if part.at%8 != 0 || part.at < layout.DirHeaderBytes || part.at > uint64(len(memory)) || uint64(len(memory))-part.at < uint64(part.size) {
			return damaged(part.what + " beyond its end")
		}
		*part.to = int(part.at / 8)
	}
	return nil
}

func (r *Reader) openRing(directory []byte, shard int) (*Ring, error) {
	entry := directory[int(u64(directory, layout.DirRingsAt))+shard*layout.RingEntryBytes:][:layout.RingEntryBytes]
	file := textOf(entry[:layout.RingNameBytes])
	name := filepath.Join(r.dir, file)
	damaged := func(what string) error { return fmt.Errorf("%w: %s: %s", ErrDamaged, name, what) }
	if file == "" || file != filepath.Base(file) || file == ".." {
		return nil, damaged("a ring without a name")
	}
	memory, err := mapFile(name, layout.RingHeaderBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is gone", ErrReplaced, name)
	} else if err != nil {
		return nil, err
	}
	r.mapped = append(r.mapped, memory)
	slots := u64(memory, layout.RingSlots)
	switch {
	case u64(memory, 0) != layout.RingMagic:
		return nil, damaged("it does not begin as a ring does")
	case u32(memory, layout.RingVersion) != layout.Version:
		return nil, fmt.Errorf("%w: %s", ErrVersion, name)
	case u64(memory, layout.RingEpoch) != r.epoch || u32(memory, layout.RingShard) != uint32(shard):
		return nil, damaged("it belongs to another directory")
	case slots < layout.RingSlotsMin || slots > layout.RingSlotsMax || slots&(slots-1) != 0,
		u32(memory, layout.RingHeaderSize) != layout.RingHeaderBytes || u32(memory, layout.RingSlotSize) != layout.SlotBytes,
		uint64(len(memory)) != layout.RingHeaderBytes+slots*layout.SlotBytes:
		return nil, damaged("sizes that do not agree")
	}
	ring := &Ring{words: wordsOf(memory)[layout.RingHeaderBytes/8:], mask: slots - 1, published: &wordsOf(memory)[layout.RingPublished/8]}
	ring.Join()
	return ring, nil
}

// mapFile maps a file that has at least so many bytes.
func mapFile(name string, least int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	const most = 1 << 40
	if !info.Mode().IsRegular() || info.Size() < least || info.Size() > most || info.Size()%8 != 0 {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrDamaged, name, info.Size())
	}
	memory, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED|populate)
	if err != nil {
		return nil, fmt.Errorf("mmap %s: %w", name, err)
	}
	return memory, nil
}

// Close unmaps everything. Rings must not be used any more.
func (r *Reader) Close() error {
	var faults []error
	for _, memory := range r.mapped {
		faults = append(faults, unix.Munmap(memory))
	}
	r.mapped, r.words, r.rings = nil, nil, nil
	return errors.Join(faults...)
}

// Epoch is that of the writer; a later one has a larger one.
func (r *Reader) Epoch() uint64 { return r.epoch }

// Pid is the writer's.
func (r *Reader) Pid() int { return int(r.words[layout.DirPid/8]) }

// Instance is the writer's.
func (r *Reader) Instance() string {
	return textOf(bytesOf(r.words)[layout.DirInstance:][:layout.DirInstanceBytes])
}

// Heartbeat is when the writer last said that it lives, by its clock.
func (r *Reader) Heartbeat() time.Time {
	return time.Unix(0, int64(atomic.LoadUint64(&r.words[layout.DirHeartbeat/8])))
}

// Alive returns nil while the writer lives, else an error that is ErrStopped,
// ErrReplaced or ErrSilent. After each of them what is in the rings can still be
// read; images say how things stood.
func (r *Reader) Alive() error { return r.AliveAt(time.Now()) }

// AliveAt is Alive at a time of the writer's clock.
func (r *Reader) AliveAt(now time.Time) error {
	switch atomic.LoadUint64(&r.words[layout.DirState/8]) {
	case layout.StateStopped:
		return fmt.Errorf("%w: %s", ErrStopped, r.dir)
	case layout.StateReplaced:
		return fmt.Errorf("%w: %s", ErrReplaced, r.dir)
	}
	if age := now.Sub(r.Heartbeat()); age > time.Duration(layout.HeartbeatStale) {
		return fmt.Errorf("%w for %v: %s", ErrSilent, age.Round(time.Second), r.dir)
	}
	return nil
}

// Rings is their number: one a shard.
func (r *Reader) Rings() int { return len(r.rings) }

// Ring is a shard's.
func (r *Reader) Ring(shard int) *Ring { return r.rings[shard] }

// LeftOut is how many instruments have neither entry nor image.
func (r *Reader) LeftOut() int { return int(atomic.LoadUint64(&r.words[layout.DirLeftOut/8])) }

func textOf(b []byte) string {
	text, _, _ := strings.Cut(string(b), "\x00")
	return text
}

func wordsOf(memory []byte) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(&memory[0])), len(memory)/8)
}

func bytesOf(words []uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words))
}
