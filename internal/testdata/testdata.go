// Package testdata finds the recorded market sessions that tests read.
package testdata

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Dir returns the folder of recorded data: $TICKPROC_DATA, else shared/data
// beside the module. Without it the test is skipped, with the remedy.
func Dir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("TICKPROC_DATA")
	if dir == "" {
		_, here, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(here), "..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "captures")); err != nil {
		t.Skipf("SKIPPED: no recorded data at %s; set TICKPROC_DATA to a folder with captures/ and expected/", dir)
	}
	return dir
}
