package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strconv"
	"sync"

	"tickproc/internal/vfs"
)

// A snapshot is a directory of files and a manifest that says what they hold:
//
//	snapshots/tmp-0000000007/shard-00.state ─► sync ─► manifest.json ─► sync
//	  ─► sync directory ─► rename to snapshots/0000000007 ─► sync directory
//
// Until the rename is on disk there is no snapshot, afterwards there is a whole
// one. What the files hold is the caller's.

// ManifestName is the file that says what a snapshot holds.
const ManifestName = "manifest.json"

// snapshotVersion is the format's.
const snapshotVersion = 1

// blockBytes is how much one checksum of a snapshot's file covers.
const blockBytes = 1 << 20

// Manifest says what a snapshot holds. Commit sets Version, Number and Files, the
// caller the rest.
type Manifest struct {
	Version      int             `json:"version"`
	Number       uint64          `json:"number"`
	CreatedNanos int64           `json:"created_ns"`
	Build        string          `json:"build"`
	Config       string          `json:"config"` // hash of the configuration
	Logs         []LogPosition   `json:"logs"`
	Files        []SnapshotFile  `json:"files"`
	Extra        json.RawMessage `json:"extra,omitempty"`
}

// LogPosition is from where on a shard's log is to be replayed.
type LogPosition struct {
	Shard    int      `json:"shard"`
	Identity Identity `json:"identity"`
	Position uint64   `json:"position"`
}

// SnapshotFile is a file of a snapshot. Blocks are the CRC32C of each MiB of it.
type SnapshotFile struct {
	Name   string   `json:"name"`
	Bytes  int64    `json:"bytes"`
	Blocks []uint32 `json:"crc32c_blocks"`
}

// Log returns the position of a shard, false if the snapshot has none.
func (m *Manifest) Log(shard int) (LogPosition, bool) {
	for _, p := range m.Logs {
		if p.Shard == shard {
			return p, true
		}
	}
	return LogPosition{}, false
}

// Snapshots is the folder of snapshots. One goroutine uses it.
type Snapshots struct {
	fs   vfs.FS
	dir  string
	last uint64 // the largest number that was used
	bad  map[uint64]bool
}

const (
	snapshotsDir = "snapshots"
	tmpPrefix    = "tmp-" // not committed
	oldPrefix    = "old-" // being removed
)

// OpenSnapshots opens the folder snapshots in dir, makes it where it is missing,
// and removes what a killed run left unfinished.
func OpenSnapshots(fsys vfs.FS, dir string) (*Snapshots, error) {
	s := &Snapshots{fs: fsys, dir: filepath.Join(dir, snapshotsDir), bad: map[uint64]bool{}}
	if err := vfs.MakeDir(fsys, s.dir); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	if err := s.sweep(); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	return s, nil
}

func snapshotName(number uint64) string { return fmt.Sprintf("%010d", number) }

func (s *Snapshots) path(number uint64) string { return filepath.Join(s.dir, snapshotName(number)) }

// numbers lists the committed snapshots, newest first.
func (s *Snapshots) numbers() ([]uint64, error) {
	entries, err := s.fs.List(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []uint64
	for _, e := range entries {
		if n, err := strconv.ParseUint(e.Name, 10, 64); err == nil && e.Dir && snapshotName(n) == e.Name {
			all = append([]uint64{n}, all...)
		}
	}
	return all, nil
}

// SnapshotWriter writes one snapshot.
type SnapshotWriter struct {
	of     *Snapshots
	number uint64
	tmp    string
	mu     sync.Mutex // files may be made by the goroutines that fill them
	files  []*SnapshotFileWriter
	ended  bool
}

// Begin starts a snapshot. Commit or Abort ends it.
func (s *Snapshots) Begin() (*SnapshotWriter, error) {
	s.last++
	w := &SnapshotWriter{of: s, number: s.last, tmp: filepath.Join(s.dir, tmpPrefix+snapshotName(s.last))}
	if err := removeTree(s.fs, w.tmp); err != nil {
		return nil, fmt.Errorf("snapshot %d: %w", w.number, err)
	}
	if err := s.fs.MkdirAll(w.tmp); err != nil {
		return nil, fmt.Errorf("snapshot %d: %w", w.number, err)
	}
	return w, nil
}

// Number is the snapshot's.
func (w *SnapshotWriter) Number() uint64 { return w.number }

// File makes a file of the snapshot. Each may be filled by another goroutine.
func (w *SnapshotWriter) File(name string) (*SnapshotFileWriter, error) {
	if filepath.Base(name) != name || name == ManifestName || name == "." || name == ".." {
		return nil, fmt.Errorf("snapshot %d: %q cannot be the name of a file", w.number, name)
	}
	f, err := w.of.fs.Create(filepath.Join(w.tmp, name))
	if err != nil {
		return nil, fmt.Errorf("snapshot %d: %w", w.number, err)
	}
	sw := &SnapshotFileWriter{file: f, SnapshotFile: SnapshotFile{Name: name}, buffer: make([]byte, 0, 64<<10)}
	w.mu.Lock()
	w.files = append(w.files, sw)
	w.mu.Unlock()
	return sw, nil
}

// SnapshotFileWriter is an io.Writer. After an error all writes fail, and so
// does Commit.
type SnapshotFileWriter struct {
	SnapshotFile
	file    vfs.File
	buffer  []byte
	written int64
	block   uint32 // CRC of the block that is not full
	err     error
}

// Write appends to the file.
func (f *SnapshotFileWriter) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n := len(p)
	for len(p) > 0 {
		part := p[:min(len(p), cap(f.buffer)-len(f.buffer), int(blockBytes-f.Bytes%blockBytes))]
		f.block = crc32.Update(f.block, castagnoli, part)
		f.buffer = append(f.buffer, part...)
		f.Bytes += int64(len(part))
		if f.Bytes%blockBytes == 0 {
			f.Blocks, f.block = append(f.Blocks, f.block), 0
		}
		if len(f.buffer) == cap(f.buffer) {
			if err := f.flush(); err != nil {
				return 0, err
			}
		}
		p = p[len(part):]
	}
	return n, nil
}

func (f *SnapshotFileWriter) flush() error {
	if f.err == nil && len(f.buffer) > 0 {
		_, f.err = f.file.WriteAt(f.buffer, f.written)
		f.written += int64(len(f.buffer))
		f.buffer = f.buffer[:0]
	}
	return f.err
}

// finish writes the rest and makes the file durable.
func (f *SnapshotFileWriter) finish() error {
	err := f.flush()
	if err == nil {
		err = f.file.Sync()
	}
	f.err = errors.Join(errors.New("the file is closed"), err)
	if f.Bytes%blockBytes != 0 {
		f.Blocks, f.block = append(f.Blocks, f.block), 0
	}
	return errors.Join(err, f.file.Close())
}

// Commit makes the snapshot durable and the newest, and removes those that are
// kept no more. Every File must be filled, and their logs synced up to the
// positions in the manifest. After an error there is no such snapshot.
func (w *SnapshotWriter) Commit(m Manifest) error {
	s := w.of
	m.Version, m.Number, m.Files = snapshotVersion, w.number, nil
	var err error
	for _, f := range w.files {
		err = errors.Join(err, f.finish())
		m.Files = append(m.Files, f.SnapshotFile)
	}
	w.files, w.ended = nil, true
	var text []byte
	if err == nil {
		text, err = sealJSON(&m)
	}
	if err == nil {
		err = vfs.WriteNew(s.fs, filepath.Join(w.tmp, ManifestName), text)
	}
	if err == nil {
		err = s.fs.SyncDir(w.tmp)
	}
	if err == nil {
		err = s.fs.Rename(w.tmp, s.path(w.number))
	}
	if err != nil {
		removeTree(s.fs, w.tmp) // else the next start does
		return fmt.Errorf("snapshot %d: %w", w.number, err)
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		// It is there and may go with the power: it must not count yet.
		s.discard(w.number)
		return fmt.Errorf("snapshot %d: %w", w.number, err)
	}
	s.prune() // what it cannot remove the next one does
	return nil
}

// Abort drops the snapshot. After Commit it does nothing.
func (w *SnapshotWriter) Abort() error {
	if w.ended {
		return nil
	}
	w.ended = true
	for _, f := range w.files {
		f.file.Close()
	}
	return removeTree(w.of.fs, w.tmp)
}
