package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrNotOwn: others could change it, or have made it.
var ErrNotOwn = errors.New("not this user's own")

// MakeOwn makes a folder with a mode, and its parents where they are missing. In
// a place where every user may make files, such as /dev/shm, a name can be
// guessed and be there before us: a folder that is there must be this user's,
// and be writable by nobody else. Then nobody else can put anything into it. Its
// parent must be this user's or root's, or it could be replaced as a whole.
func MakeOwn(dir string, mode fs.FileMode) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	info, err := os.Stat(parent)
	if err != nil {
		return err
	}
	if owner, ours := ownerOf(info), os.Geteuid(); owner != 0 && owner != ours {
		return notOurs(parent, owner)
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := CheckOwn(dir); err != nil {
		return err
	}
	if info, err = os.Lstat(dir); err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder", dir)
	}
	// Whatever the umask; a group that the folder hands on stays.
	return os.Chmod(dir, mode|info.Mode()&fs.ModeSetgid)
}

// CheckOwn refuses a file or folder that another user owns or may write, and a
// symbolic link, whoever made it; nil where nothing is there.
func CheckOwn(name string) error {
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link, which may lead anywhere; remove it, or name what it leads to: %w", name, ErrNotOwn)
	}
	if owner := ownerOf(info); owner != os.Geteuid() {
		return notOurs(name, owner)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("%s may be written by other users (mode %04o); look at what is in it, then chmod go-w it or remove it: %w", name, mode, ErrNotOwn)
	}
	return nil
}

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

func notOurs(name string, owner int) error {
	return fmt.Errorf("%s belongs to user %d, and this process is user %d; have its owner remove it, or name another place: %w", name, owner, os.Geteuid(), ErrNotOwn)
}
