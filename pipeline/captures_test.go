package pipeline

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Captures go by age and by size, the oldest first; the newest of each line and
// what is no capture of ours stay.
func TestCapturesAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	f := func(what string, bytes int64, age time.Duration, want ...string) {
		t.Helper()
		dir := t.TempDir()
		add := func(name string, ago time.Duration, size int) {
			t.Helper()
			path := filepath.Join(dir, name)
			write(t, path, string(make([]byte, size)))
			if err := os.Chtimes(path, now, now.Add(-ago)); err != nil {
				t.Fatal(err)
			}
		}
		add("okx-public-0-20260102T080000.000Z.gz", 3*time.Hour, 100)
		add("okx-public-0-20260102T090000.000Z.gz", 2*time.Hour, 100)
		add("okx-public-0-20260102T110000.000Z.gz", 0, 100)
		add("okx-rest-20260102T070000.000Z.gz", 5*time.Hour, 100)
		add("okx-bridge-20260102T060000.000Z.gz", 6*time.Hour, 100)
		add("okx-bridge-20260102T100000.000Z.gz", time.Hour, 100)
		add("notes.gz", 100*time.Hour, 100)
		k := captureKeeper{dir: dir, bytes: bytes, age: age, logger: slog.New(slog.DiscardHandler)}
		if _, err := k.prune(now); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, e := range entries {
			left = append(left, e.Name())
		}
		want = append(want, "notes.gz", "okx-bridge-20260102T100000.000Z.gz", "okx-public-0-20260102T110000.000Z.gz", "okx-rest-20260102T070000.000Z.gz")
		slices.Sort(want)
		if !slices.Equal(left, want) {
			t.Errorf("%s: %q is left, want %q", what, left, want)
		}
	}
	const public8, public9, bridge6 = "okx-public-0-20260102T080000.000Z.gz", "okx-public-0-20260102T090000.000Z.gz", "okx-bridge-20260102T060000.000Z.gz"
	f("enough room", 1<<20, 24*time.Hour, public8, public9, bridge6)
	f("the bytes of five", 500, 24*time.Hour, public8, public9)
	f("the bytes of four", 400, 24*time.Hour, public9)
	f("no room at all", 1, 24*time.Hour)
	f("by age", 1<<20, 150*time.Minute, public9)
}
