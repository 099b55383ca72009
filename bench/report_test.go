package bench

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// report is one of a machine that does not change.
func report(t *testing.T) *Report {
	t.Helper()
	r := do(t, t.Context(), Options{Rounds: 2, Version: "tickproc v1", Measurements: []Measurement{
		fixed("floor/hop", 147, nil),
		{Name: "ring/hop", What: "a hop", Unit: "hop", Floor: "floor/hop", Aim: timesFloor(1.5), Run: func(_ *Run, s *Sample) error {
			s.Batch, s.ops, s.mallocs, s.Note = 32, 64, 16, "a note"
			for i := range 1000 {
				s.Add(int64(200+i), 1)
			}
			return nil
		}},
		fixed("socket", 1, func(m *Measurement) { m.Cores, m.Aim = 100_000, atMost(5000) }),
	}})
	r.Machine = Machine{CPU: "A CPU", Cores: 2, MaxProcs: 2, OS: "linux/amd64", Kernel: "6.1", Go: "go1.26", LoadBefore: "0.10 0.20 0.30", LoadAfter: "1.00 0.50 0.40", Steal: 0.001, Others: 0.02, told: true}
	r.Warnings = []string{"something disturbs"}
	return r
}

func TestTextReport(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := report(t).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	have := strings.Split(b.String(), "\n")
	have[2] = "…" // version and time of day
	want := `A CPU, 2 cores (2 used), governor unknown, linux/amd64 6.1, go1.26
load 0.10 0.20 0.30 before, 1.00 0.50 0.40 after; of the cores' time: 0.1 % stolen, 2.0 % used by others
…
WARNING: something disturbs

LINE       OF       P50     P99   P99.9     MAX   K  FLOOR      RATIO  ALLOCS  AIM
floor/hop  thing  147ns   147ns   147ns   147ns   1
ring/hop   hop    699ns  1.19µs  1.20µs  1.20µs  32  floor/hop   4.76    0.25  ≤ 1.5 × floor  NOT MET
socket     thing      -                                                        ≤ 5.00µs

ring/hop: a note
socket: needs 100000 cores, here is 2: threads that spin would wait for each other
`
	have[11] = strings.Replace(have[11], have[11][strings.Index(have[11], "here is"):strings.Index(have[11], ": threads")], "here is 2", 1)
	if text := strings.Join(have[:12], "\n") + "\n"; text != want {
		t.Errorf("have\n%s\nwant\n%s", text, want)
	}
}

// The keys of the JSON form are a promise.
func TestJSONReport(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := report(t).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var x struct {
		Lines []map[string]any `json:"lines"`
	}
	var top map[string]any
	for _, into := range []any{&x, &top} {
		if err := json.Unmarshal([]byte(b.String()), into); err != nil {
			t.Fatal(err)
		}
	}
	f := func(have map[string]any, want ...string) {
		t.Helper()
		var keys []string
		for k := range have {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		slices.Sort(want)
		if !slices.Equal(keys, want) {
			t.Errorf("keys %v, want %v", keys, want)
		}
	}
	f(top, "version", "started", "seconds", "time_ns", "rounds", "interrupted", "machine", "warnings", "lines")
	f(top["machine"].(map[string]any), "cpu", "cores", "gomaxprocs", "governor", "os", "kernel", "go", "load_before", "load_after", "steal", "others")
	f(x.Lines[1], "name", "what", "unit", "samples", "batch", "min_ns", "p50_ns", "p99_ns", "p99_9_ns", "max_ns", "mean_ns", "floor", "floor_ns", "ratio", "allocs", "aim", "met", "note")
	if got := x.Lines[1]; got["met"] != false || got["allocs"] != 0.25 || got["samples"] != 2000.0 {
		t.Errorf("%v", got)
	}
	if _, told := x.Lines[2]["skipped"]; !told {
		t.Errorf("%v", x.Lines[2])
	}
}

// A file a line, with HdrHistogram's columns, in ns; none for a line without
// figures.
func TestHDRFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "hdr")
	if err := report(t).WriteHDR(dir); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 || files[0].Name() != "floor_hop.hgrm" || files[1].Name() != "ring_hop.hgrm" {
		t.Fatalf("%v %v", files, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "ring_hop.hgrm"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if !strings.Contains(lines[0], "Value") || !strings.Contains(string(text), "Total count    =         2000]") || !strings.Contains(string(text), "1199.") {
		t.Errorf("no percentile file:\n%s", text)
	}
}

func TestNanosText(t *testing.T) {
	t.Parallel()
	f := func(ns float64, want string) {
		t.Helper()
		if have := nanosText(ns); have != want {
			t.Errorf("%v: %s, want %s", ns, have, want)
		}
	}
	f(0, "0.00ns")
	f(3.456, "3.46ns")
	f(34.56, "34.6ns")
	f(999.4, "999ns")
	f(999.6, "1.00µs")
	f(1_500_000, "1.50ms")
	f(90e9, "90.0s")
	f(5e12, "5000s")
}
