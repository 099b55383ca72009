package shm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"tickproc/internal/vfs"
	"tickproc/writer/shm/layout"
)

// Look says what would keep a Writer of these options from being made, as far
// as can be told without changing anything, and what its file system has free. A
// Writer that runs in the folder holds what it took; what one of before left goes.
func Look(o Options) (free int64, err error) {
	o.EnsureDefaults()
	there := o.Dir
	for _, err := os.Stat(there); err != nil && there != filepath.Dir(there); _, err = os.Stat(there) {
		there = filepath.Dir(there)
	}
	if err := errors.Join(checkOwn(o.Dir), checkMemory(there)); err != nil {
		return 0, err
	}
	if free, _, err = vfs.Space(there); err != nil {
		return 0, fmt.Errorf("shm.dir: %w", err)
	}
	entries, _ := os.ReadDir(o.Dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			free += info.Size()
		}
	}
	if size := o.Bytes(); free < size {
		return free, tooSmall(there, size, free)
	}
	return free, nil
}

// makeDir makes the folder, and refuses one whose memory is a disk's, or that is
// not ours alone to change.
func makeDir(o *Options) error {
	if o.Dir == "" {
		panic("BUG: shared memory without a folder")
	}
	if err := vfs.MakeOwn(o.Dir, o.Readers.folder()); err != nil {
		return fmt.Errorf("shm.dir: %w", err)
	}
	return errors.Join(checkOwn(o.Dir), checkMemory(o.Dir))
}

// checkOwn refuses a folder, or files in it that we would use, that others made or
// may change.
func checkOwn(dir string) error {
	for _, name := range []string{dir, filepath.Join(dir, lockName), filepath.Join(dir, layout.DirectoryName)} {
		if err := vfs.CheckOwn(name); err != nil {
			return fmt.Errorf("shm.dir: %w", err)
		}
	}
	return nil
}

func checkMemory(dir string) error {
	if !inMemory(dir) {
		return fmt.Errorf("shm.dir: %s is not on a file system in memory (tmpfs): every store would wait for a disk now and then; "+
			"name a folder that is, such as one in /dev/shm", dir)
	}
	return nil
}

// room checks what the file system offers: what is missing there would be a
// signal in the middle of a store.
func room(dir string, size int64) error {
	free, _, err := vfs.Space(dir)
	if err != nil {
		return fmt.Errorf("shm.dir: %w", err)
	}
	if free < size {
		return tooSmall(dir, size, free)
	}
	return nil
}

func tooSmall(dir string, size, free int64) error {
	return fmt.Errorf("shm.dir: %s has %d bytes free, %d are needed: give the container more (--shm-size), make shm.ring or shm.instruments smaller, "+
		"or let shm.dir name another tmpfs: %w", dir, free, size, unix.ENOSPC)
}

// allocate makes a file of zeros, and maps and touches all of it.
func (w *Writer) allocate(name string, size int) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("shm.dir: %w", err)
	}
	defer f.Close()                                   // the mapping keeps the memory
	if err := f.Chmod(w.readers.file()); err != nil { // whatever the umask
		return nil, fmt.Errorf("shm.dir: %w", err)
	}
	if err := allocate(f, int64(size)); errors.Is(err, unix.ENOSPC) {
		return nil, tooSmall(w.dir, int64(size), 0)
	} else if err != nil {
		return nil, fmt.Errorf("shm.dir: allocate %s: %w", name, err)
	}
	memory, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|populate)
	if err != nil {
		return nil, fmt.Errorf("shm.dir: mmap %s: %w", name, err)
	}
	clear(memory)
	w.mapped = append(w.mapped, memory)
	return memory, nil
}

func unmap(memory []byte) error { return unix.Munmap(memory) }

// endEpoch tells the readers of an earlier writer that it is over, and returns
// its epoch; 0 if there was none. A file that is no directory is left alone.
func endEpoch(name string) (epoch uint64) {
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return 0
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() < layout.DirHeaderBytes || info.Mode()&fs.ModeType != 0 {
		return 0
	}
	memory, err := unix.Mmap(int(f.Fd()), 0, layout.DirHeaderBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return 0
	}
	defer unix.Munmap(memory)
	words := wordsOf(memory)
	if words[layout.DirMagic/8] != layout.DirectoryMagic {
		return 0
	}
	atomic.StoreUint64(&words[layout.DirState/8], layout.StateReplaced)
	return words[layout.DirEpoch/8]
}
