package simulation

import (
	"errors"
	"strings"

	"tickproc/internal/vfs"
)

// power is what a process has of the disk for as long as it lives: it dies at
// an operation that was chosen, before or after it, and then touches nothing.
type power struct {
	vfs.FS
	dead  bool
	after bool  // the operation still happens
	left  int64 // operations until it dies; 0 = it does not
	lies  bool  // a sync of a log writes nothing
	cut   bool  // the death is a power cut
}

// death is the panic of a process that dies within an operation.
type death struct{}

var errDead = errors.New("the process is dead")

// spend counts an operation, and reports whether it happens at all.
func (p *power) spend(do func() error) error {
	if p.dead {
		return errDead
	}
	if p.left > 0 {
		if p.left--; p.left == 0 {
			if p.after {
				_ = do()
			}
			p.dead = true
			panic(death{})
		}
	}
	return do()
}

func (p *power) MkdirAll(dir string) error {
	return p.spend(func() error { return p.FS.MkdirAll(dir) })
}

func (p *power) Rename(from, to string) error {
	return p.spend(func() error { return p.FS.Rename(from, to) })
}

func (p *power) Remove(name string) error {
	return p.spend(func() error { return p.FS.Remove(name) })
}

func (p *power) SyncDir(dir string) error {
	return p.spend(func() error { return p.FS.SyncDir(dir) })
}

func (p *power) Create(name string) (f vfs.File, err error) {
	err = p.spend(func() error {
		f, err = p.FS.Create(name)
		return err
	})
	return p.file(f, name, err)
}

func (p *power) Open(name string) (f vfs.File, err error) {
	if p.dead {
		return nil, errDead
	}
	f, err = p.FS.Open(name)
	return p.file(f, name, err)
}

func (p *power) OpenWrite(name string) (f vfs.File, err error) {
	if p.dead {
		return nil, errDead
	}
	f, err = p.FS.OpenWrite(name)
	return p.file(f, name, err)
}

func (p *power) file(f vfs.File, name string, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &poweredFile{f, p, name}, nil
}

type poweredFile struct {
	vfs.File
	power *power
	name  string
}

func (f *poweredFile) WriteAt(p []byte, at int64) (n int, err error) {
	err = f.power.spend(func() error {
		n, err = f.File.WriteAt(p, at)
		return err
	})
	return n, err
}

func (f *poweredFile) Sync() error {
	return f.power.spend(func() error {
		if f.power.lies && strings.Contains(f.name, ".log") {
			return nil
		}
		return f.File.Sync()
	})
}

func (f *poweredFile) Truncate(size int64) error {
	return f.power.spend(func() error { return f.File.Truncate(size) })
}

func (f *poweredFile) Allocate(size int64) error {
	return f.power.spend(func() error { return f.File.Allocate(size) })
}
