package journal

import (
	"math"
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
	for _, says := range []string{"--shm-size", "ring_bytes", "ring_on_disk"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %s", err, says)
		}
	}
}
