package vfs

import (
	"os"
	"path/filepath"
)

// OS is the machine's file system.
var OS FS = osFS{}

type osFS struct{}

type osFile struct{ *os.File }

func (osFS) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o755) }

func (osFS) Create(name string) (File, error) {
	return open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (osFS) Open(name string) (File, error)      { return open(name, os.O_RDONLY) }
func (osFS) OpenWrite(name string) (File, error) { return open(name, os.O_RDWR) }

func open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o644)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(name string) error     { return os.Remove(name) }

func (osFS) List(dir string) ([]Entry, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []Entry
	for _, e := range found {
		info, err := e.Info()
		if os.IsNotExist(err) {
			continue // it went since
		}
		if err != nil {
			return nil, err
		}
		all = append(all, Entry{Name: e.Name(), Dir: e.IsDir(), Size: info.Size(), ModNanos: info.ModTime().UnixNano()})
	}
	return all, nil
}

func (osFS) SyncDir(dir string) error {
	f, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// zeros stands in where the platform cannot reserve room.
func (f osFile) zeros(size int64) error {
	at, err := f.Size()
	if err != nil {
		return err
	}
	block := make([]byte, 1<<16)
	for at < size {
		n, err := f.WriteAt(block[:min(int64(len(block)), size-at)], at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}
