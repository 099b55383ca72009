// Package vfs is the file system as code needs it whose data must survive: few
// operations, each with a stated meaning for durability, so that a test can put
// a disk in its place that tears, loses and refuses.
//
//	journal, snapshots, spool ─► FS ─┬─► OS: the machine's file system
//	                                 └─► a simulated disk, in tests
package vfs

import (
	"errors"
	"io"
	"io/fs"
)

// FS is a file system. Names are paths as the os package takes them. Errors
// wrap those of io/fs and syscall: fs.ErrNotExist, syscall.ENOSPC, ….
type FS interface {
	// MkdirAll makes a directory and its parents.
	MkdirAll(dir string) error
	// Create makes a file that must not exist, open for reading and writing.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// OpenWrite opens a file that exists for reading and writing.
	OpenWrite(name string) (File, error)
	// Rename replaces what has the new name, atomically. It is durable once the
	// directory was synced.
	Rename(from, to string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// List returns a directory's entries in the order of their names.
	List(dir string) ([]Entry, error)
	// SyncDir makes creations, renames and removals in dir durable.
	SyncDir(dir string) error
}

// Entry is a file or directory in a directory.
type Entry struct {
	Name     string
	Dir      bool
	Size     int64
	ModNanos int64 // when it was last changed, ns since the epoch
}

// File is an open file. Only one goroutine writes it.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes data and size durable. After it failed nothing is known about
	// what was written since the last success, and calling it again may succeed
	// without having written (fsync(2) reports an error once): give the file up.
	Sync() error
	Truncate(size int64) error
	// Allocate reserves room up to size, so that writing there cannot fail for
	// want of space. The size of the file becomes at least size. Where the
	// platform cannot, it writes zeros.
	Allocate(size int64) error
	Size() (int64, error)
}

// ReadFile returns the contents of a file of at most max bytes.
func ReadFile(fsys FS, name string, max int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > max {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("larger than it may be")}
	}
	data := make([]byte, size)
	if n, err := f.ReadAt(data, 0); err != nil && !(err == io.EOF && n == len(data)) {
		return nil, err
	}
	return data, nil
}
