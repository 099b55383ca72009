package vfs

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// Replace puts a file in the place of the old one, durably: whole or not at all.
// What is on its way is called name.tmp; one process at a time may do so.
func Replace(fsys FS, name string, data []byte) error {
	if err := WriteNew(fsys, name+".tmp", data); err != nil {
		return err
	}
	if err := fsys.Rename(name+".tmp", name); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// WriteNew writes and syncs a file, and not its directory. One of that name goes.
func WriteNew(fsys FS, name string, data []byte) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
