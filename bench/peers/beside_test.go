package main

import (
	"strings"
	"testing"
)

// Rounds of a program are put together, ratios are of medians, an aim is met
// where the worst session meets it, and what differs from ours is said.
func TestBeside(t *testing.T) {
	text := strings.Join([]string{
		"tickproc\tof this tree\tspot\t100\t0.9,1\t10\t20\t30\t5.10\t1.0\t5.20\t2.0",
		"tickproc\tof this tree\tusdm\t100\t2\t10\t20\t30\t5.1\t1\t5.2\t2",
		"barter-data\t0.13.0\tspot\t100\t4\t10\t20\t30\t5.1\t1\t5.2\t2",
		"barter-data\t0.13.0\tusdm\t100\t6\t10\t20\t30\t5.1\t1\t5.2\t2",
		"cryptofeed\t3\tspot\t100\t20\t9\t20\t30\t5.1\t1\t5.3\t2",
		"plain\t\tspot\t100\t8\t10\t20\t30\t5.1\t-\t5.2\t-",
		"tickproc\tof this tree\tspot\t100\t1.1\t10\t20\t30\t5.1\t1\t5.2\t2",
	}, "\n") + "\n"
	all, err := readPassed(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	got := beside(all)
	for _, want := range []string{
		"| **tickproc**, books, bars, windows, log | 1.00 | 2.00 | 1 | 1 |  |  |  |\n",
		"| barter-data 0.13.0 | 4.00 | 6.00 | 4.0, 3.0 | 4.4, 3.0 | ≥ 3.5 | NOT MET | yes |\n",
		"| cryptofeed 3 | 20.00 | | 20.0, – | 22.2, – | ≥ 14 | met | NO: 9 trades, not 10; ask 5.3, not 5.20 |\n",
		"| plain | 8.00 | | 8.0, – | 8.9, – |  |  | yes |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no row %sin\n%s", want, got)
		}
	}
}

func TestBesideRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"a\tb":                                 "line 1 has 2 fields, want 12",
		"a\t1\ts\tx\t1\t1\t1\t1\t1\t1\t1\t1":   "frames",
		"a\t1\ts\t10\t\t1\t1\t1\t1\t1\t1\t1":   "no time of a pass",
		"a\t1\ts\t10\t-1\t1\t1\t1\t1\t1\t1\t1": "no time of a pass",
	} {
		if _, err := readPassed(strings.NewReader(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}
