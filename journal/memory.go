package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"tickproc/internal/vfs"
	"tickproc/tick"
)

// Memory is where rings live: what survives the process.
type Memory interface {
	// Load returns a copy of a ring's units, nil if there is no such ring.
	Load(name string) ([]tick.Unit, error)
	// Make gives the ring of that name, all zeros, in the place of the one that
	// is there. Its memory exists: touching it fails and waits for nothing.
	Make(name string, units int) (Ring, error)
	// Boot names the time between two losses of this memory, 0 if that is not
	// known: a ring with another one may have lost writes.
	Boot() uint64
	// Where names a ring for messages.
	Where(name string) string
}

// Ring is one ring's memory.
type Ring interface {
	// Units is the memory. A reader after a kill sees what was stored in it, or,
	// if Flush does something, what was flushed.
	Units() []tick.Unit
	// Flush carries n units from index at on; false from Mapped says that it
	// must be called.
	Flush(at, n int) error
	Mapped() bool
	// Close releases the memory and, if asked, removes the ring.
	Close(remove bool) error
}

// FileMemory keeps rings in ordinary files: each Append writes them with system
// calls, because a page of a file on disk that is mapped stalls its writer for
// as long as write-back takes.
func FileMemory(fsys vfs.FS, dir string) Memory { return fileMemory{fsys, dir} }

type fileMemory struct {
	fs  vfs.FS
	dir string
}

func (m fileMemory) Where(name string) string { return filepath.Join(m.dir, name) }
func (m fileMemory) Boot() uint64             { return bootID() }

func (m fileMemory) Load(name string) ([]tick.Unit, error) { return loadRing(m.fs, m.Where(name)) }

// loadRing copies a ring file, nil if there is none.
func loadRing(fsys vfs.FS, name string) ([]tick.Unit, error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	units := make([]tick.Unit, size/unitBytes)
	if n, err := f.ReadAt(bytesOf(units), 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read %s: %w", name, err)
	} else if n < len(units)*unitBytes {
		units = units[:n/unitBytes] // it became shorter while it was read
	}
	return units, nil
}

func (m fileMemory) Make(name string, units int) (Ring, error) {
	full, fresh := m.Where(name), m.Where(name)+".tmp"
	if err := m.fs.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := m.fs.Create(fresh)
	if err != nil {
		return nil, err
	}
	r := &fileRing{memory: m, name: full, file: f, units: make([]tick.Unit, units)}
	clear(r.units) // mapped at its first write: now
	if err = f.Allocate(int64(units) * unitBytes); err == nil {
		// Blocks that were never written cost more to write.
		err = r.Flush(0, units)
	}
	if err == nil {
		err = m.fs.Rename(fresh, full)
	}
	if err == nil {
		err = m.fs.SyncDir(m.dir)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("ring on disk: %w", err)
	}
	return r, nil
}

type fileRing struct {
	memory fileMemory
	name   string
	file   vfs.File
	units  []tick.Unit
}

func (r *fileRing) Units() []tick.Unit { return r.units }
func (r *fileRing) Mapped() bool       { return false }

func (r *fileRing) Flush(at, n int) error {
	_, err := r.file.WriteAt(bytesOf(r.units[at:at+n]), int64(at)*unitBytes)
	return err
}

func (r *fileRing) Close(remove bool) error {
	err := r.file.Close()
	if remove {
		err = errors.Join(err, r.memory.fs.Remove(r.name))
	}
	return err
}
