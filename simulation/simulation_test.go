package simulation

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var (
	seedFlag   = flag.Uint64("seed", 0, "run this seed alone, and trace it with -v")
	seedsFlag  = flag.Int("seeds", 0, "how many seeds; default as many as the time allows in a test of all")
	fromFlag   = flag.Uint64("from", 1, "the first of them")
	unbounded  = flag.Bool("unbounded", false, "with -seed: things go wrong to the end")
	withoutOpt = flag.String("without", "", "with -seed: names of faults to leave out, by commas")
)

// TestSeed runs one seed, with a trace.
func TestSeed(t *testing.T) {
	if *seedFlag == 0 {
		t.Skip("no -seed")
	}
	o := Options{Seed: *seedFlag, Unbounded: *unbounded}
	if *withoutOpt != "" {
		o.Without = strings.Split(*withoutOpt, ",")
	}
	if testing.Verbose() {
		o.Trace = os.Stdout
	}
	r, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	report(t, o, r)
	t.Logf("%+v %v settled after %v, hash %016x", r.Tally, r.Virtual, r.Settled, r.Hash)
}

func report(t *testing.T, o Options, r Result) {
	t.Helper()
	if len(r.Violations) == 0 {
		return
	}
	mode := ""
	if o.Unbounded {
		mode = " -unbounded"
	}
	fmt.Fprintf(os.Stderr, "seed %d unbounded %v: %s\n", r.Seed, o.Unbounded, strings.Join(r.Violations, "\n  "))
	t.Errorf("%s\nagain: go test ./simulation -run 'TestSeed$' -v -seed %d%s", strings.Join(r.Violations, "\n"), r.Seed, mode)
}

// TestSeeds runs many.
func TestSeeds(t *testing.T) {
	n := *seedsFlag
	if n == 0 {
		n = 20
	}
	for i := range n {
		o := Options{Seed: *fromFlag + uint64(i), Unbounded: i%4 == 3}
		r, err := Run(o)
		if err != nil {
			t.Fatal(err)
		}
		report(t, o, r)
	}
	_ = fmt.Sprint
}
