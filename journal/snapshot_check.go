package journal

import (
	"path/filepath"

	"tickproc/internal/vfs"
)

// CheckedSnapshot is a snapshot of which every byte was read.
type CheckedSnapshot struct {
	SnapshotInfo
	Snapshot *Snapshot // nil where Err says why not
}

// CheckSnapshots reads all committed snapshots in dir, newest first. Unlike
// OpenSnapshots it changes nothing, so that a running process may use them.
func CheckSnapshots(fsys vfs.FS, dir string) ([]CheckedSnapshot, error) {
	s := &Snapshots{fs: fsys, dir: filepath.Join(dir, snapshotsDir), bad: map[uint64]bool{}}
	numbers, err := s.numbers()
	if err != nil {
		return nil, err
	}
	var all []CheckedSnapshot
	for _, n := range numbers {
		c := CheckedSnapshot{SnapshotInfo: SnapshotInfo{Number: n}}
		if c.Snapshot, c.Err = s.verify(n); c.Err == nil {
			c.Manifest = c.Snapshot.Manifest
		}
		all = append(all, c)
	}
	return all, nil
}
