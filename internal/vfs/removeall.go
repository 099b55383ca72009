package vfs

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// RemoveAll removes a file or directory with what is in it; what is not there
// need not be. It is durable once the directory above was synced.
func RemoveAll(fsys FS, name string) error {
	entries, err := fsys.List(name)
	if err == nil {
		for _, e := range entries {
			err = errors.Join(err, RemoveAll(fsys, filepath.Join(name, e.Name)))
		}
		if err != nil {
			return err
		}
	}
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
