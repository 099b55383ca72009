// Package simdisk is a disk in memory that does what disks do when nobody
// looks: it loses what was not synced when the power goes, in whole or in
// sectors, it tears writes, forgets after a failed fsync, flips bits, and runs
// full. A seeded random source decides, so that a failure can be repeated.
//
//	code under test ─► vfs.FS ─► Disk ─┬─ cache: what reads see
//	                                   └─ platter: what a power cut leaves
//
// The disk owns its memory. Any goroutine may use it; the order of calls is
// part of what a seed repeats.
package simdisk

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"tickproc/internal/vfs"
)

// SectorSize is what a disk writes in whole or not at all, in bytes.
const SectorSize = 512

// Faults say how often what goes wrong: probabilities a call, from 0 to 1.
type Faults struct {
	// Capacity is how many bytes all files together may take; 0: no bound.
	Capacity   int64
	WriteError float64 // a write does nothing and fails with EIO
	ShortWrite float64 // a write does a part and fails with EIO
	// SyncError fails a sync of a file with EIO. What it should have written is
	// still read, until the power goes, but no later sync writes it.
	SyncError    float64
	SyncDirError float64 // a sync of a directory does nothing and fails with EIO
	CreateError  float64 // a file is not created: EIO
	ReadFlip     float64 // a read returns one wrong bit
}

// Disk is a vfs.FS.
type Disk struct {
	// Now gives the times of changes, ns since the epoch; nil: they stay 0.
	Now func() int64

	mu     sync.Mutex // a disk has many users; nothing here is hot
	random *rand.Rand
	faults Faults
	root   *node
	used   int64
}

// node is a file or directory. Each has a cached and a durable side.
type node struct {
	isDir    bool
	modNanos int64

	entries map[string]*node
	durable map[string]*node
	pending []change // made since the last sync of the directory, in order

	data    []byte
	platter []byte
	// dirty are the sectors of data that the platter lacks; false: forgotten by
	// a failed sync.
	dirty map[int]bool
}

// change is what one operation did to a directory; nil removes the name.
type change map[string]*node

// New returns an empty disk.
func New(random *rand.Rand, faults Faults) *Disk {
	return &Disk{random: random, faults: faults, root: newDir()}
}

func newDir() *node {
	return &node{isDir: true, entries: map[string]*node{}, durable: map[string]*node{}}
}

// SetFaults replaces the faults from here on.
func (d *Disk) SetFaults(f Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = f
}

// Used returns how many bytes the files take.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used
}

// Crash returns the disk as the next process finds it, without faults: after a
// kill with everything that was written, after a power cut with what was
// synced and with what chance left of the rest. This disk stays as it is.
func (d *Disk) Crash(power bool) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := &Disk{Now: d.Now, random: d.random, root: clone(d.root, map[*node]*node{})}
	if power {
		after.cutPower(after.root)
	}
	after.used = size(after.root, map[*node]bool{})
	return after
}

// Flip turns one bit of a file, in what is read and in what is durable.
func (d *Disk) Flip(name string, bit int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.file("flip", name)
	if err != nil {
		return err
	}
	for _, side := range [][]byte{n.data, n.platter} {
		if at := bit / 8; at < int64(len(side)) {
			side[at] ^= 1 << (bit % 8)
		}
	}
	return nil
}

func clone(n *node, done map[*node]*node) *node {
	if n == nil {
		return nil
	}
	if c := done[n]; c != nil {
		return c
	}
	c := &node{isDir: n.isDir, modNanos: n.modNanos, data: slices.Clone(n.data), platter: slices.Clone(n.platter), dirty: maps.Clone(n.dirty)}
	done[n] = c
	of := func(m map[string]*node) map[string]*node {
		if m == nil {
			return nil
		}
		to := make(map[string]*node, len(m))
		for name, child := range m {
			to[name] = clone(child, done)
		}
		return to
	}
	c.entries, c.durable = of(n.entries), of(n.durable)
	for _, p := range n.pending {
		c.pending = append(c.pending, of(p))
	}
	return c
}

// cutPower makes the cached side what the platter is after the cut.
func (d *Disk) cutPower(n *node) {
	if !n.isDir {
		d.tear(n)
		return
	}
	// Directories are journaled by file systems: of what was not synced, a
	// first part may have come through.
	for _, p := range n.pending[:d.random.IntN(len(n.pending)+1)] {
		apply(n.durable, p)
	}
	n.pending = nil
	n.entries = maps.Clone(n.durable)
	for _, name := range slices.Sorted(maps.Keys(n.entries)) {
		d.cutPower(n.entries[name])
	}
}

func apply(entries map[string]*node, c change) {
	for name, child := range c {
		if child == nil {
			delete(entries, name)
		} else {
			entries[name] = child
		}
	}
}

// tear decides which unsynced sectors of a file came through.
func (d *Disk) tear(n *node) {
	keepSize := d.random.IntN(2) == 0
	mode := d.random.IntN(4)
	sectors := slices.Sorted(maps.Keys(n.dirty))
	first := d.random.IntN(len(sectors) + 1)
	for i, s := range sectors {
		kept := mode == 1 || mode == 2 && d.random.IntN(2) == 0 || mode == 3 && i < first
		if kept && n.dirty[s] {
			n.writeBack(s)
		}
	}
	if keepSize {
		n.platter = resize(n.platter, int64(len(n.data)))
	}
	n.data, n.dirty = slices.Clone(n.platter), nil
}

func (n *node) writeBack(sector int) {
	from := sector * SectorSize
	if from >= len(n.data) {
		return
	}
	to := min(from+SectorSize, len(n.data))
	if to > len(n.platter) {
		n.platter = resize(n.platter, int64(to))
	}
	copy(n.platter[from:to], n.data[from:to])
}

func resize(b []byte, to int64) []byte {
	if to <= int64(len(b)) {
		return b[:to]
	}
	return append(b, make([]byte, to-int64(len(b)))...)
}

func size(n *node, seen map[*node]bool) int64 {
	if seen[n] {
		return 0
	}
	seen[n] = true
	total := int64(len(n.data))
	for _, child := range n.entries {
		total += size(child, seen)
	}
	return total
}

func (d *Disk) now() int64 {
	if d.Now == nil {
		return 0
	}
	return d.Now()
}

func (d *Disk) chance(p float64) bool { return p > 0 && d.random.Float64() < p }

func fail(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

func parts(name string) []string {
	return strings.FieldsFunc(filepath.ToSlash(filepath.Clean(name)), func(r rune) bool { return r == '/' })
}

func (d *Disk) find(op, name string) (*node, error) {
	n := d.root
	for _, p := range parts(name) {
		if !n.isDir {
			return nil, fail(op, name, syscall.ENOTDIR)
		}
		if n = n.entries[p]; n == nil {
			return nil, fail(op, name, fs.ErrNotExist)
		}
	}
	return n, nil
}

func (d *Disk) file(op, name string) (*node, error) {
	n, err := d.find(op, name)
	if err == nil && n.isDir {
		err = fail(op, name, syscall.EISDIR)
	}
	return n, err
}

func (d *Disk) dir(op, name string) (*node, error) {
	n, err := d.find(op, name)
	if err == nil && !n.isDir {
		err = fail(op, name, syscall.ENOTDIR)
	}
	return n, err
}

func (n *node) change(c change) {
	apply(n.entries, c)
	n.pending = append(n.pending, c)
}

// MkdirAll is of vfs.FS.
func (d *Disk) MkdirAll(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.root
	for _, p := range parts(name) {
		child := n.entries[p]
		if child == nil {
			child = newDir()
			child.modNanos = d.now()
			n.change(change{p: child})
		}
		if n = child; !n.isDir {
			return fail("mkdir", name, syscall.ENOTDIR)
		}
	}
	return nil
}

// Create is of vfs.FS.
func (d *Disk) Create(name string) (vfs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	parent, err := d.dir("create", filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	base := filepath.Base(name)
	if parent.entries[base] != nil {
		return nil, fail("create", name, fs.ErrExist)
	}
	if d.chance(d.faults.CreateError) {
		return nil, fail("create", name, syscall.EIO)
	}
	n := &node{modNanos: d.now()}
	parent.change(change{base: n})
	return &file{disk: d, node: n, name: name, writable: true}, nil
}

// Open is of vfs.FS.
func (d *Disk) Open(name string) (vfs.File, error) { return d.open(name, false) }

// OpenWrite is of vfs.FS.
func (d *Disk) OpenWrite(name string) (vfs.File, error) { return d.open(name, true) }

func (d *Disk) open(name string, writable bool) (vfs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.file("open", name)
	if err != nil {
		return nil, err
	}
	return &file{disk: d, node: n, name: name, writable: writable}, nil
}

// Rename is of vfs.FS, within one directory.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if filepath.Dir(from) != filepath.Dir(to) {
		return fail("rename", from, syscall.EXDEV)
	}
	n, err := d.find("rename", from)
	if err != nil {
		return err
	}
	parent, err := d.dir("rename", filepath.Dir(from))
	if err != nil {
		return err
	}
	base := filepath.Base(to)
	if old := parent.entries[base]; old != nil && old != n {
		if old.isDir && len(old.entries) > 0 {
			return fail("rename", to, syscall.ENOTEMPTY)
		}
		d.used -= int64(len(old.data))
	}
	parent.change(change{filepath.Base(from): nil, base: n})
	return nil
}

// Remove is of vfs.FS.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.find("remove", name)
	if err != nil {
		return err
	}
	if n.isDir && len(n.entries) > 0 {
		return fail("remove", name, syscall.ENOTEMPTY)
	}
	parent, err := d.dir("remove", filepath.Dir(name))
	if err != nil {
		return err
	}
	parent.change(change{filepath.Base(name): nil})
	d.used -= int64(len(n.data))
	return nil
}

// List is of vfs.FS.
func (d *Disk) List(name string) ([]vfs.Entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.dir("list", name)
	if err != nil {
		return nil, err
	}
	var all []vfs.Entry
	for _, base := range slices.Sorted(maps.Keys(n.entries)) {
		child := n.entries[base]
		all = append(all, vfs.Entry{Name: base, Dir: child.isDir, Size: int64(len(child.data)), ModNanos: child.modNanos})
	}
	return all, nil
}

// SyncDir is of vfs.FS.
func (d *Disk) SyncDir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.dir("sync", name)
	if err != nil {
		return err
	}
	if d.chance(d.faults.SyncDirError) {
		return fail("sync", name, syscall.EIO)
	}
	for _, p := range n.pending {
		apply(n.durable, p)
	}
	n.pending = nil
	return nil
}

type file struct {
	disk     *Disk
	node     *node
	name     string
	writable bool
	closed   bool
}

func (f *file) lock(op string, writing bool) error {
	f.disk.mu.Lock()
	switch {
	case f.closed:
		return fail(op, f.name, fs.ErrClosed)
	case writing && !f.writable:
		return fail(op, f.name, syscall.EBADF)
	}
	return nil
}

func (f *file) unlock() { f.disk.mu.Unlock() }

func (f *file) ReadAt(p []byte, at int64) (int, error) {
	defer f.unlock()
	if err := f.lock("read", false); err != nil {
		return 0, err
	}
	if at >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[at:])
	if n > 0 && f.disk.chance(f.disk.faults.ReadFlip) {
		bit := f.disk.random.IntN(8 * n)
		p[bit/8] ^= 1 << (bit % 8)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, at int64) (int, error) {
	defer f.unlock()
	if err := f.lock("write", true); err != nil {
		return 0, err
	}
	d, n := f.disk, f.node
	var failed error
	switch {
	case d.chance(d.faults.WriteError):
		return 0, fail("write", f.name, syscall.EIO)
	case len(p) > 0 && d.chance(d.faults.ShortWrite):
		p, failed = p[:d.random.IntN(len(p))], syscall.EIO
	}
	if grow := at + int64(len(p)) - int64(len(n.data)); grow > 0 {
		if d.faults.Capacity > 0 && d.used+grow > d.faults.Capacity {
			room := max(0, int64(len(n.data))-at+max(0, d.faults.Capacity-d.used))
			p, failed = p[:min(room, int64(len(p)))], syscall.ENOSPC
		}
		if end := at + int64(len(p)); len(p) > 0 && end > int64(len(n.data)) {
			d.used += end - int64(len(n.data))
			n.data = resize(n.data, end)
		}
	}
	copy(n.data[min(at, int64(len(n.data))):], p)
	n.touch(at, at+int64(len(p)))
	n.modNanos = d.now()
	if failed != nil {
		return len(p), fail("write", f.name, failed)
	}
	return len(p), nil
}

// touch marks the sectors of bytes [from,to) dirty.
func (n *node) touch(from, to int64) {
	if to <= from {
		return
	}
	if n.dirty == nil {
		n.dirty = map[int]bool{}
	}
	for s := from / SectorSize; s <= (to-1)/SectorSize; s++ {
		n.dirty[int(s)] = true
	}
}

func (f *file) Sync() error {
	defer f.unlock()
	if err := f.lock("sync", true); err != nil {
		return err
	}
	n := f.node
	failed := f.disk.chance(f.disk.faults.SyncError)
	for s, written := range n.dirty {
		switch {
		case failed:
			n.dirty[s] = false
		case written:
			n.writeBack(s)
			delete(n.dirty, s)
		}
	}
	if failed {
		return fail("sync", f.name, syscall.EIO)
	}
	n.platter = resize(n.platter, int64(len(n.data)))
	return nil
}

func (f *file) Truncate(size int64) error { return f.resize("truncate", size, true) }
func (f *file) Allocate(size int64) error { return f.resize("allocate", size, false) }

func (f *file) resize(op string, size int64, shrink bool) error {
	defer f.unlock()
	if err := f.lock(op, true); err != nil {
		return err
	}
	d, n := f.disk, f.node
	grow := size - int64(len(n.data))
	if grow < 0 && !shrink {
		return nil
	}
	if grow > 0 && d.faults.Capacity > 0 && d.used+grow > d.faults.Capacity {
		return fail(op, f.name, syscall.ENOSPC)
	}
	d.used += grow
	if grow < 0 {
		// What lies behind the end is zeros when the file grows again.
		clear(n.data[size:])
		n.touch(size, size+1)
	}
	n.data = resize(n.data, size)
	n.modNanos = d.now()
	return nil
}

func (f *file) Size() (int64, error) {
	defer f.unlock()
	if err := f.lock("stat", false); err != nil {
		return 0, err
	}
	return int64(len(f.node.data)), nil
}

func (f *file) Close() error {
	defer f.unlock()
	if err := f.lock("close", false); err != nil {
		return err
	}
	f.closed = true
	return nil
}

// Digest writes all that files hold, as reads see it, to w.
func (d *Disk) Digest(w io.Writer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		fmt.Fprintln(w, path, n.isDir, len(n.data))
		w.Write(n.data)
		for _, name := range slices.Sorted(maps.Keys(n.entries)) {
			walk(path+"/"+name, n.entries[name])
		}
	}
	walk("", d.root)
}

// String lists the files, for messages of tests.
func (d *Disk) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var text strings.Builder
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		if !n.isDir {
			fmt.Fprintf(&text, "%s %d bytes, %d sectors dirty\n", path, len(n.data), len(n.dirty))
			return
		}
		for _, name := range slices.Sorted(maps.Keys(n.entries)) {
			walk(path+"/"+name, n.entries[name])
		}
	}
	walk("", d.root)
	return text.String()
}
