package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickproc/writer/spool"
)

// A kept configuration that is damaged is in nobody's way, as long as no log
// names it that must be read; one that is named ends the start and the replay
// with a word on what to do, and that of now is written again.
func TestConfigurationThatCannotBeRead(t *testing.T) {
	t.Parallel()
	l := newDurableLab(t)
	said, rows := &logText{}, &keptRows{marks: map[uint16]spool.Mark{}}
	start := func() (*system, *dataDir, error) {
		t.Helper()
		dir, err := openDataDir(l.config.DataDir)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newDurableSystem(RunOptions{Config: l.config, Logger: textLogger(said)}, rows, rows, dir)
		if err != nil {
			dir.close()
		}
		return s, dir, err
	}
	run := func(snapshot bool) {
		t.Helper()
		s, dir, err := start()
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		if snapshot {
			s.durable.finish()
		}
		s.abandon()
		dir.close()
	}
	kept := func() string {
		return filepath.Join(l.config.DataDir, "options", hashOptions(l.config.engineOptions()).String()+".json")
	}
	run(false)
	damage(t, kept())
	run(false)
	if said.has("cannot be read") {
		t.Errorf("of a configuration that is written again:\n%s", said)
	}

	first := kept()
	whole, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	l.config.Bars.Intervals = []Duration{Duration(3 * time.Second)}
	damage(t, first)
	_, _, err = start()
	if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), first) || !strings.Contains(err.Error(), "bring it back from a copy") {
		t.Errorf("a start: %v", err)
	}
	source, err := openLogSource(l.config, textLogger(said))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := source.start(time.Time{}); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), first) {
		t.Errorf("a replay: %v", err)
	}

	if err := os.WriteFile(first, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	run(true) // from here on a start reads nothing that is older
	damage(t, first)
	run(false)
	if !said.has("a kept configuration cannot be read") || !said.has(first) {
		t.Errorf("not said:\n%s", said)
	}
}
