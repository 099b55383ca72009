package journal

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"tickproc/internal/vfs"
	"tickproc/tick"
)

const (
	shmRoot      = "/dev/shm"
	onDiskRemedy = "one that does not exist: each batch is then written to a file in data_dir, which is slower"
)

// defaultMemory is a folder on tmpfs named after the log's directory; ok is
// false where there is no tmpfs.
func defaultMemory(o *Options) (m Memory, ok bool, err error) {
	dir := o.RingDir
	if dir == "" {
		if !isTmpfs(shmRoot) {
			return nil, false, nil
		}
		absolute, err := filepath.Abs(o.Dir)
		if err != nil {
			return nil, false, err
		}
		if real, err := filepath.EvalSymlinks(absolute); err == nil {
			absolute = real
		}
		h := fnv.New64a()
		h.Write([]byte(absolute))
		dir = filepath.Join(shmRoot, fmt.Sprintf("tickproc-%016x", h.Sum64()))
	}
	return tmpfsMemory{dir}, true, nil
}

func isTmpfs(dir string) bool {
	var s unix.Statfs_t
	return unix.Statfs(dir, &s) == nil && (s.Type == unix.TMPFS_MAGIC || s.Type == unix.RAMFS_MAGIC)
}

// bootID names this run of the kernel, which is how long the page cache lives.
func bootID() uint64 {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(strings.TrimSpace(string(text))))
	return h.Sum64()
}

// tmpfsMemory keeps rings in files on tmpfs, mapped.
type tmpfsMemory struct{ dir string }

func (m tmpfsMemory) Where(name string) string { return filepath.Join(m.dir, name) }

// Boot is constant: a tmpfs does not outlive its kernel.
func (m tmpfsMemory) Boot() uint64 { return 1 }

func (m tmpfsMemory) Load(name string) ([]tick.Unit, error) { return loadRing(vfs.OS, m.Where(name)) }

func (m tmpfsMemory) Make(name string, units int) (Ring, error) {
	there := m.dir
	for _, err := os.Stat(there); err != nil && there != filepath.Dir(there); _, err = os.Stat(there) {
		there = filepath.Dir(there)
	}
	if !isTmpfs(there) {
		return nil, fmt.Errorf("journal.memory_dir: %s is not on a file system in memory (tmpfs), where writing waits for nothing; "+
			"name a folder that is, such as %s, or %s", there, shmRoot, onDiskRemedy)
	}
	full, size := m.Where(name), int64(units)*unitBytes
	if err := errors.Join(vfs.MakeOwn(m.dir, 0o755), vfs.CheckOwn(full)); err != nil {
		return nil, fmt.Errorf("journal.memory_dir: %w", err)
	}
	// A ring of the right size is emptied in place: a second one beside it may
	// not fit. One of another size goes first, for the same reason.
	fresh, flag := full, 0
	if info, err := os.Stat(full); err != nil || info.Size() != size {
		os.Remove(full)
		fresh, flag = full+".tmp", os.O_CREATE|os.O_EXCL
		os.Remove(fresh)
		if err := m.room(size); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(fresh, os.O_RDWR|unix.O_NOFOLLOW|flag, 0o644)
	if err != nil {
		return nil, fmt.Errorf("journal.memory_dir: %w", err)
	}
	defer f.Close() // the mapping keeps the memory
	ring, err := m.mapped(f, full, size)
	if err == nil && fresh != full {
		if err = os.Rename(fresh, full); err != nil {
			ring.Close(false)
		}
	}
	if err != nil {
		if fresh != full {
			os.Remove(fresh)
		}
		return nil, err
	}
	return ring, nil
}

// room checks what the tmpfs offers: what is missing there would be a signal
// in the middle of a store.
func (m tmpfsMemory) room(size int64) error {
	var s unix.Statfs_t
	if err := unix.Statfs(m.dir, &s); err != nil {
		return fmt.Errorf("journal.memory_dir: statfs %s: %w", m.dir, err)
	}
	if free := int64(s.Bavail) * int64(s.Bsize); free < size {
		return m.tooSmall(size, free)
	}
	return nil
}

func (m tmpfsMemory) tooSmall(size, free int64) error {
	return fmt.Errorf("journal.memory_dir: %s has %d bytes free, %d are needed: give the container more (--shm-size), "+
		"make journal.memory smaller, or let journal.memory_dir name another tmpfs, or %s: %w", m.dir, free, size, onDiskRemedy, unix.ENOSPC)
}

func (m tmpfsMemory) mapped(f *os.File, name string, size int64) (*tmpfsRing, error) {
	if err := unix.Fallocate(int(f.Fd()), 0, 0, size); errors.Is(err, unix.ENOSPC) {
		return nil, m.tooSmall(size, 0)
	} else if err != nil {
		return nil, fmt.Errorf("journal.memory_dir: fallocate %s: %w", f.Name(), err)
	}
	memory, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("journal.memory_dir: mmap %s: %w", f.Name(), err)
	}
	clear(memory)
	return &tmpfsRing{name: name, memory: memory}, nil
}

type tmpfsRing struct {
	name   string
	memory []byte
}

func (r *tmpfsRing) Units() []tick.Unit {
	return unsafe.Slice((*tick.Unit)(unsafe.Pointer(&r.memory[0])), len(r.memory)/unitBytes)
}

func (r *tmpfsRing) Mapped() bool         { return true }
func (r *tmpfsRing) Flush(int, int) error { return nil }

func (r *tmpfsRing) Close(remove bool) error {
	err := unix.Munmap(r.memory)
	if remove {
		if e := os.Remove(r.name); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
		os.Remove(filepath.Dir(r.name)) // if it was the last
	}
	return err
}
