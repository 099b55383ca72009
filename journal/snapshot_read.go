package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"slices"

	"tickproc/internal/vfs"
)

// Snapshot is a committed snapshot that was verified. What is read of it is
// verified again: a byte that changed since is an error, never data.
type Snapshot struct {
	Manifest Manifest
	fs       vfs.FS
	dir      string
}

// PassedOver is a snapshot that could not be used.
type PassedOver struct {
	Number uint64
	Err    error
}

// Newest returns the newest snapshot that is whole, nil if there is none, and
// why newer ones were passed over.
func (s *Snapshots) Newest() (*Snapshot, []PassedOver, error) {
	numbers, err := s.numbers()
	if err != nil {
		return nil, nil, fmt.Errorf("snapshots: %w", err)
	}
	var passed []PassedOver
	for _, n := range numbers {
		snapshot, err := s.verify(n)
		if err == nil {
			return snapshot, passed, nil
		}
		s.bad[n] = true
		passed = append(passed, PassedOver{n, err})
	}
	return nil, passed, nil
}

func (s *Snapshots) verify(number uint64) (*Snapshot, error) {
	snapshot, err := s.open(number)
	if err != nil {
		return nil, err
	}
	for _, f := range snapshot.Manifest.Files {
		r, err := snapshot.Open(f.Name)
		if err != nil {
			return nil, err
		}
		_, err = io.Copy(io.Discard, r)
		if err = errors.Join(err, r.Close()); err != nil {
			return nil, err
		}
	}
	return snapshot, nil
}

// open reads the manifest.
func (s *Snapshots) open(number uint64) (*Snapshot, error) {
	snapshot := &Snapshot{fs: s.fs, dir: s.path(number)}
	m := &snapshot.Manifest
	found, err := readSealed(s.fs, filepath.Join(snapshot.dir, ManifestName), m)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, fmt.Errorf("%s: there is no %s", snapshot.dir, ManifestName)
	case m.Version != snapshotVersion:
		return nil, fmt.Errorf("%s: format %d, this program reads %d: use the program that wrote it", snapshot.dir, m.Version, snapshotVersion)
	case m.Number != number:
		return nil, fmt.Errorf("%s: it is snapshot %d", snapshot.dir, m.Number)
	}
	return snapshot, nil
}

// Open reads a file of the snapshot. Each block is checked before a byte of it
// is handed out.
func (s *Snapshot) Open(name string) (io.ReadCloser, error) {
	i := slices.IndexFunc(s.Manifest.Files, func(f SnapshotFile) bool { return f.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%s: it has no file %s", s.dir, name)
	}
	is := s.Manifest.Files[i]
	if is.Bytes < 0 || int64(len(is.Blocks)) != (is.Bytes+blockBytes-1)/blockBytes {
		return nil, fmt.Errorf("%s: %s has %d bytes and %d blocks", s.dir, name, is.Bytes, len(is.Blocks))
	}
	f, err := s.fs.Open(filepath.Join(s.dir, name))
	if err != nil {
		return nil, err
	}
	if size, err := f.Size(); err != nil || size != is.Bytes {
		f.Close()
		return nil, fmt.Errorf("%s: %s has %d bytes, written were %d (%v)", s.dir, name, size, is.Bytes, err)
	}
	return &snapshotReader{of: s, is: is, file: f, block: make([]byte, 0, min(is.Bytes, blockBytes))}, nil
}

type snapshotReader struct {
	of    *Snapshot
	is    SnapshotFile
	file  vfs.File
	next  int    // block to read
	block []byte // checked
	at    int    // handed out of it
}

func (r *snapshotReader) Read(p []byte) (int, error) {
	if r.at == len(r.block) {
		if r.next == len(r.is.Blocks) {
			return 0, io.EOF
		}
		from := int64(r.next) * blockBytes
		block := r.block[:min(blockBytes, r.is.Bytes-from)]
		r.block, r.at = block[:0], 0
		if n, err := r.file.ReadAt(block, from); n < len(block) {
			return 0, fmt.Errorf("%s: %s: offset %d: %w", r.of.dir, r.is.Name, from, err)
		}
		if crc32.Checksum(block, castagnoli) != r.is.Blocks[r.next] {
			return 0, fmt.Errorf("%s: %s: the checksum of the block at offset %d is wrong", r.of.dir, r.is.Name, from)
		}
		r.next++
		r.block = block
	}
	n := copy(p, r.block[r.at:])
	r.at += n
	return n, nil
}

func (r *snapshotReader) Close() error { return r.file.Close() }

// SnapshotInfo is a snapshot for people. Only its manifest was read.
type SnapshotInfo struct {
	Number   uint64
	Manifest Manifest
	Err      error // why the manifest is of no use
}

// List lists the committed snapshots, newest first.
func (s *Snapshots) List() ([]SnapshotInfo, error) {
	numbers, err := s.numbers()
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	var all []SnapshotInfo
	for _, n := range numbers {
		i := SnapshotInfo{Number: n}
		if is, err := s.open(n); err != nil {
			i.Err = err
		} else {
			i.Manifest = is.Manifest
		}
		all = append(all, i)
	}
	return all, nil
}
