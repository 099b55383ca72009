package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is asked for is measured and printed, for people, as JSON and as files.
func TestBench(t *testing.T) {
	t.Parallel()
	r := tickproc(t, "bench", "--only", "^floor/clock", "--time", "5ms", "--rounds", "2")
	if r.code != 0 || !strings.Contains(r.stdout, "floor/clock/ours") || !strings.Contains(r.stdout, "2 rounds, 5ms a line") || strings.Contains(r.stdout, "decode/") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	dir := filepath.Join(t.TempDir(), "hdr")
	r = tickproc(t, "bench", "--json", "--hdr", dir, "--only", "ours", "--time", "5ms")
	var report struct {
		Version string
		Lines   []struct {
			Name    string
			Samples int
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &report); r.code != 0 || err != nil {
		t.Fatalf("exit %d, %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	if len(report.Lines) != 2 || report.Lines[1].Name != "floor/clock/ours" || report.Lines[1].Samples == 0 || !strings.HasPrefix(report.Version, "tickproc dev") {
		t.Errorf("%+v", report)
	}
	if _, err := os.Stat(filepath.Join(dir, "floor_clock_ours.hgrm")); err != nil {
		t.Error(err)
	}
}

// The program is also the other process, which nobody else is told of.
func TestBenchOtherProcess(t *testing.T) {
	t.Parallel()
	r := tickproc(t, "bench", "--json", "--only", "^process/", "--time", "1ms", "--rounds", "1")
	var report struct {
		Lines []struct {
			Name, Skipped string
			Samples       int
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &report); r.code != 0 || err != nil || len(report.Lines) != 3 {
		t.Fatalf("exit %d, %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	for _, line := range report.Lines {
		if line.Samples == 0 && !strings.Contains(line.Skipped, "needs 2 cores") && !strings.Contains(line.Skipped, "no file system in memory") {
			t.Errorf("%+v", line)
		}
	}
	if r := tickproc(t, "--help"); r.code != 0 || strings.Contains(r.stdout, benchReader) {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

func TestBenchUsage(t *testing.T) {
	t.Parallel()
	f := func(want string, arguments ...string) {
		t.Helper()
		if r := tickproc(t, append([]string{"bench"}, arguments...)...); r.code != 2 || !strings.Contains(r.stderr, want) || r.stdout != "" {
			t.Errorf("%v: exit %d\n%s%s", arguments, r.code, r.stdout, r.stderr)
		}
	}
	f("--only", "--only", "[")
	f("floor/clock/ours", "--only", "nothing of that name")
	f("a line takes 1ns", "--time", "1ns")
	f("-1 rounds", "--rounds", "-1")
	f("must be above 0", "--time", "0s")
	f("must be above 0", "--rounds", "0")
	f("captures/", "--data", "missing")
	f("bench --help", "more")
}
