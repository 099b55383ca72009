package pipeline

import (
	"log/slog"
	"os"
	"runtime"
)

// warnOfSlowMemory says what it costs that the log's memory is not there: a name
// that is mistyped would else be noticed by its slowness alone.
func warnOfSlowMemory(dir string, logger *slog.Logger) {
	why := "there is no file system in memory on this platform"
	if _, err := os.Stat(dir); err != nil {
		why = err.Error()
	} else if runtime.GOOS == "linux" {
		return // of a folder that is on disk the log says so, and does not open
	}
	logger.Warn("the log has no memory: each batch is written to data_dir with at least two system calls, and waits while a busy disk writes back; let journal.memory_dir name a folder on tmpfs",
		"journal.memory_dir", dir, "reason", why)
}
