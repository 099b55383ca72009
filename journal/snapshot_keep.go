package journal

import (
	"errors"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"tickproc/internal/vfs"
)

// snapshotsKept is how many good snapshots stay: the newest, and the one to
// fall back to.
const snapshotsKept = 2

// prune removes what is older than the snapshots that are kept. One that was
// found bad does not count, and stays while it is newer.
func (s *Snapshots) prune() error {
	numbers, err := s.numbers()
	if err != nil {
		return err
	}
	good := 0
	for _, n := range numbers {
		if good == snapshotsKept {
			err = errors.Join(err, s.discard(n))
		} else if !s.bad[n] {
			good++
		}
	}
	return err
}

// discard removes a snapshot: first its name, so that half of one is none.
func (s *Snapshots) discard(number uint64) error {
	old := filepath.Join(s.dir, oldPrefix+snapshotName(number))
	if err := s.fs.Rename(s.path(number), old); err != nil {
		return err
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return err
	}
	return removeTree(s.fs, old)
}

// sweep removes what a killed run left and finds the largest number.
func (s *Snapshots) sweep() error {
	entries, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name
		left := false
		for _, prefix := range []string{tmpPrefix, oldPrefix} {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				name, left = rest, true
			}
		}
		n, err := strconv.ParseUint(name, 10, 64)
		if err != nil || snapshotName(n) != name || !e.Dir {
			continue // not ours
		}
		s.last = max(s.last, n)
		if left {
			if err := removeTree(s.fs, filepath.Join(s.dir, e.Name)); err != nil {
				return err
			}
		}
	}
	return s.fs.SyncDir(s.dir)
}

// removeTree removes a directory of files that may not be there.
func removeTree(fsys vfs.FS, dir string) error {
	entries, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, fsys.Remove(filepath.Join(dir, e.Name)))
	}
	if err != nil {
		return err
	}
	return fsys.Remove(dir)
}

// KeepFrom returns the oldest position of a shard's log that a kept snapshot
// needs: what Log.Retain wants to know. While there are fewer than two good
// snapshots it is 0: recovery may have to begin with the log's beginning.
func (s *Snapshots) KeepFrom(shard int, identity Identity) (uint64, error) {
	all, err := s.List()
	if err != nil {
		return 0, err
	}
	keep, good := uint64(math.MaxUint64), 0
	for _, i := range all {
		if i.Err != nil || s.bad[i.Manifest.Number] {
			continue
		}
		good++
		p, ok := i.Manifest.Log(shard)
		if !ok || p.Identity != identity {
			return 0, nil
		}
		keep = min(keep, p.Position)
	}
	if good < snapshotsKept {
		return 0, nil
	}
	return keep, nil
}
