package pipeline

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"tickproc/writer/spool"
)

// A start on a memory_dir that is not there says so once, and what that costs;
// one on memory says nothing.
func TestMemoryDirThatIsNotThere(t *testing.T) {
	t.Parallel()
	const says = "at least two system calls"
	c := DefaultConfig()
	c.DataDir, c.Shards, c.Metrics.Listen = filepath.Join(t.TempDir(), "data"), AutoCount(2), ListenNone
	c.Journal.MemoryDir = filepath.Join(t.TempDir(), "none")
	c.Journal.Memory, c.Journal.Segment, c.Journal.Reserve = 1<<20, 1<<20, 0
	dir, err := openDataDir(c.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.close()
	said, rows := &logText{}, &keptRows{marks: map[uint16]spool.Mark{}}
	s, err := newDurableSystem(RunOptions{Config: c, Logger: textLogger(said)}, rows, rows, dir)
	if err != nil {
		t.Fatal(err)
	}
	s.abandon()
	if n := strings.Count(said.String(), says); n != 1 || !said.has("journal.memory_dir="+c.Journal.MemoryDir) {
		t.Errorf("said %d times:\n%s", n, said)
	}
	if runtime.GOOS != "linux" {
		return
	}
	quiet := &logText{}
	warnOfSlowMemory(t.TempDir(), textLogger(quiet))
	if quiet.has(says) {
		t.Errorf("said of a folder that is there:\n%s", quiet)
	}
}
