package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tickproc/internal/vfs"
)

// check says of the shared memory what a start would: where it would be, what it
// takes of what is free, and what keeps it from being made.
func TestCheckLooksAtSharedMemory(t *testing.T) {
	t.Parallel()
	check := func(s Shm) (string, error) {
		t.Helper()
		c := DefaultConfig()
		c.Shm, c.Shards = s, 64
		c.EnsureDefaults()
		var out strings.Builder
		err := Check(t.Context(), &out, CheckOptions{Config: c})
		_, text, _ := strings.Cut(out.String(), "# shared memory\n")
		return text, err
	}
	dir := filepath.Join(onMemory(t), "shm")
	text, err := check(Shm{Enabled: On, Dir: dir, Ring: 64 << 10})
	if err != nil || !strings.Contains(text, dir+": ") || !strings.Contains(text, " MB that are free there, in memory") || !strings.Contains(text, "not there yet") {
		t.Errorf("%v\n%s", err, text)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("check made it: %v", err)
	}
	if text, err = check(Shm{Enabled: Off}); err != nil || text != "" {
		t.Errorf("off: %v %s", err, text)
	}
	text, err = check(Shm{Enabled: On, Dir: dir, Ring: 16 << 30})
	if !errors.Is(err, ErrInput) || !strings.Contains(text, "NOT POSSIBLE: shm.dir: ") || !strings.Contains(text, "make shm.ring or shm.instruments smaller") || !strings.Contains(text, "# rows") {
		t.Errorf("too large: %v\n%s", err, text)
	}
	if err := errors.Join(os.Mkdir(dir, 0o777), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	text, err = check(Shm{Enabled: On, Dir: dir, Ring: 64 << 10})
	if !errors.Is(err, ErrInput) || !errors.Is(err, vfs.ErrNotOwn) || !strings.Contains(text, "may be written by other users") {
		t.Errorf("a folder that all may write: %v\n%s", err, text)
	}
}
