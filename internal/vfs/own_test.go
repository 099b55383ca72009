package vfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMakeOwn(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	mode := func(name string) fs.FileMode {
		info, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	dir := filepath.Join(root, "a", "b")
	for _, want := range []fs.FileMode{0o700, 0o750, 0o755, 0o700} { // made, then as it is wanted now
		if err := MakeOwn(dir, want); err != nil || mode(dir) != want|fs.ModeDir {
			t.Errorf("%v, mode %v, not %04o", err, mode(dir), want)
		}
	}
	if err := os.Chmod(dir, 0o750|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if err := MakeOwn(dir, 0o700); err != nil || mode(dir).Perm() != 0o700 || mode(dir)&fs.ModeSetgid == 0 {
		t.Errorf("the group that the folder hands on: %v, %v", err, mode(dir))
	}
}

// What others made, or may change, is refused and left as it is.
func TestNotOwnIsRefused(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	f := func(name, want string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := CheckOwn(path); !errors.Is(err, ErrNotOwn) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		if err := MakeOwn(path, 0o700); !errors.Is(err, ErrNotOwn) {
			t.Errorf("make %s: %v", name, err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(root, "open"), 0o700), os.Chmod(filepath.Join(root, "open"), 0o777),
		os.WriteFile(filepath.Join(root, "file"), nil, 0o600), os.Chmod(filepath.Join(root, "file"), 0o660), os.Mkdir(filepath.Join(root, "target"), 0o700),
		os.Symlink(filepath.Join(root, "target"), filepath.Join(root, "link")), os.Symlink(filepath.Join(root, "nowhere"), filepath.Join(root, "dangling"))); err != nil {
		t.Fatal(err)
	}
	f("open", "may be written by other users (mode 0777)")
	f("file", "may be written by other users (mode 0660)")
	f("link", "is a symbolic link")
	f("dangling", "is a symbolic link")
	if err := CheckOwn(filepath.Join(root, "nothing")); err != nil {
		t.Error(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Mkdir(filepath.Join(root, "theirs"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(root, "theirs"), 12345, -1); err == nil { // not in every container
			f("theirs", "belongs to user 12345, and this process is user 0")
			if err := MakeOwn(filepath.Join(root, "theirs", "x"), 0o700); !errors.Is(err, ErrNotOwn) {
				t.Errorf("in a folder of theirs: %v", err)
			}
		}
	}
	if err := MakeOwn(filepath.Join(root, "target", "x"), 0o700); err != nil {
		t.Error(err)
	}
}
