package journal

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tickproc/internal/vfs"
)

func isTmpfsForTest(dir string) bool { return isTmpfs(dir) }

// A tmpfs that is too small is an error that says what to do.
func TestTooSmallATmpfs(t *testing.T) {
	t.Parallel()
	if !isTmpfs(shmRoot) {
		t.Skip("no tmpfs here")
	}
	err := tmpfsMemory{shmRoot}.room(math.MaxInt64)
	for _, says := range []string{"--shm-size", "journal.memory smaller", "journal.memory_dir", "does not exist"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %s", err, says)
		}
	}
}

// A folder on disk is refused for a ring that shall be in memory, and nothing is
// left in it.
func TestMemoryThatIsNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if isTmpfs(dir) {
		t.Skip("temporary files are in memory here")
	}
	_, err := tmpfsMemory{filepath.Join(dir, "tickproc-x", "1")}.Make("ring", 64)
	for _, says := range []string{"journal.memory_dir", "tmpfs", shmRoot, "does not exist"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %s", err, says)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// A name in /dev/shm can be guessed and be there before us: what others may change
// is refused, and what a link leads to stays as it is.
func TestMemoryOfOthers(t *testing.T) {
	t.Parallel()
	if !isTmpfs(shmRoot) {
		t.Skip("no tmpfs here")
	}
	root, err := os.MkdirTemp(shmRoot, "tickproc-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	m := tmpfsMemory{filepath.Join(root, "tickproc-x", "1")}
	ring, err := m.Make("ring", 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Close(false); err != nil {
		t.Fatal(err)
	}
	f := func(what string, harm, undo func() error) {
		t.Helper()
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Make("ring", 64); !errors.Is(err, vfs.ErrNotOwn) || !strings.Contains(err.Error(), "journal.memory_dir: ") {
			t.Errorf("%s: %v", what, err)
		}
		if err := undo(); err != nil {
			t.Fatal(err)
		}
	}
	file, victim := m.Where("ring"), filepath.Join(root, "victim")
	chmod := func(name string, mode os.FileMode) func() error { return func() error { return os.Chmod(name, mode) } }
	f("a folder that all may write", chmod(m.dir, 0o777), chmod(m.dir, 0o755))
	f("a file that all may write", chmod(file, 0o666), chmod(file, 0o644))
	f("a link", func() error {
		return errors.Join(os.WriteFile(victim, make([]byte, 64*unitBytes), 0o600), os.Remove(file), os.Symlink(victim, file))
	}, func() error { return os.Remove(file) })
	if ring, err = m.Make("ring", 64); err != nil {
		t.Fatal(err)
	}
	if err := ring.Close(true); err != nil {
		t.Error(err)
	}
}
