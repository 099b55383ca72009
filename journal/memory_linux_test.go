package journal

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
