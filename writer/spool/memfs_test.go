package spool

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"tickproc/internal/vfs"
)

// memFS is a disk in memory that knows what a power cut would leave.
type memFS struct {
	mu    sync.Mutex
	files map[string]*memFile
	full  int64 // bytes that fit; 0 = all
	fail  func(op, name string) error
}

type memFile struct {
	fs      *memFS
	name    string
	data    []byte
	durable []byte // what the last sync has
	linked  bool   // the directory was synced since it was made
}

func newMemFS() *memFS { return &memFS{files: map[string]*memFile{}} }

var _ vfs.FS = (*memFS)(nil)

func (m *memFS) check(op, name string) error {
	if m.fail != nil {
		return m.fail(op, name)
	}
	return nil
}

func (m *memFS) MkdirAll(string) error { return nil }

func (m *memFS) Create(name string) (vfs.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check("create", name); err != nil {
		return nil, err
	}
	if m.files[name] != nil {
		return nil, fs.ErrExist
	}
	f := &memFile{fs: m, name: name}
	m.files[name] = f
	return f, nil
}

func (m *memFS) Open(name string) (vfs.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.files[name]; f != nil {
		return f, nil
	}
	return nil, fs.ErrNotExist
}

func (m *memFS) OpenWrite(name string) (vfs.File, error) { return m.Open(name) }

func (m *memFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[to] = m.files[from]
	m.files[to].name = to
	delete(m.files, from)
	return nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] == nil {
		return fs.ErrNotExist
	}
	delete(m.files, name)
	return nil
}

func (m *memFS) List(dir string) (all []vfs.Entry, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, f := range m.files {
		if filepath.Dir(name) == filepath.Clean(dir) {
			all = append(all, vfs.Entry{Name: filepath.Base(name), Size: int64(len(f.data))})
		}
	}
	slices.SortFunc(all, func(a, b vfs.Entry) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func (m *memFS) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check("syncdir", dir); err != nil {
		return err
	}
	for _, f := range m.files {
		f.linked = true
	}
	return nil
}

// powerCut leaves of each file what was synced, and of the rest any part.
func (m *memFS) powerCut(random *rand.Rand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range sortedNames(m.files) {
		f := m.files[name]
		if !f.linked && random.IntN(2) == 0 {
			delete(m.files, name)
			continue
		}
		kept := slices.Clone(f.durable)
		if more := len(f.data) - len(kept); more > 0 {
			kept = append(kept, f.data[len(kept):len(kept)+random.IntN(more+1)]...)
			if n := len(kept) - len(f.durable); n > 0 && random.IntN(2) == 0 {
				clear(kept[len(f.durable)+random.IntN(n):]) // the size came through, the pages did not
			}
		}
		f.data, f.durable = kept, slices.Clone(kept)
	}
}

func sortedNames(files map[string]*memFile) []string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (f *memFile) ReadAt(b []byte, at int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if at >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, at int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.check("write", f.name); err != nil {
		return 0, err
	}
	total := int64(0)
	for _, x := range f.fs.files {
		if strings.HasSuffix(x.name, ".seg") { // the others have their room from the start
			total += int64(len(x.data))
		}
	}
	end := at + int64(len(b))
	if grows := end - int64(len(f.data)); grows > 0 {
		if f.fs.full > 0 && strings.HasSuffix(f.name, ".seg") && total+grows > f.fs.full {
			return 0, syscall.ENOSPC
		}
		f.data = append(f.data, make([]byte, grows)...)
	}
	copy(f.data[at:], b)
	return len(b), nil
}

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.check("sync", f.name); err != nil {
		return err
	}
	f.durable = slices.Clone(f.data)
	return nil
}

func (f *memFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.data = f.data[:size]
	return nil
}

func (f *memFile) Allocate(int64) error { return nil }
func (f *memFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.data)), nil
}
func (f *memFile) Close() error { return nil }
