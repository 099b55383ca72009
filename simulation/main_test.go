package simulation

import (
	"os"
	"runtime/debug"
	"testing"
)

// A seed leaves much behind that lives for a moment only.
func TestMain(m *testing.M) {
	debug.SetGCPercent(600)
	os.Exit(m.Run())
}
