package vfs

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// RemoveAll removes a file, or a directory with all that is in it. That there
// is none is no error.
func RemoveAll(fsys FS, name string) error {
	err := fsys.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	entries, listed := fsys.List(name)
	if listed != nil {
		return err // no directory
	}
	for _, e := range entries {
		if err := RemoveAll(fsys, filepath.Join(name, e.Name)); err != nil {
			return err
		}
	}
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
