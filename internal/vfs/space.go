package vfs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Space is how many bytes the file system of a directory has, and how many of
// them are free for this process.
func Space(dir string) (free, size int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize), nil
}
