package vfs

import "path/filepath"

// MakeDir makes a directory, and makes it durable in its parent. Parents that
// are missing are made, too, and are their makers' to make durable.
func MakeDir(fsys FS, dir string) error {
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(filepath.Clean(dir)))
}
