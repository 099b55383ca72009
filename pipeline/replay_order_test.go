package pipeline

import (
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tickproc/feeds/binance"
	"tickproc/feeds/sim"
)

// A capture has one result: neither how shards, rings and files cut it nor how
// fast it is read shows in a row or in the state.
func TestOneCaptureOneResult(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 4, Levels: 60, Rate: 150, Venues: stormVenues})
	l := newLab(t, exchange, func(c *Config) { c.Record.Dir = t.TempDir() })
	l.awaitValid()
	for _, kind := range []sim.FaultKind{sim.FaultDrop, sim.FaultDuplicate, sim.FaultReorder, sim.FaultGarbage, sim.FaultDisconnect} {
		l.inject(sim.Fault{Kind: kind, Venue: binance.USDM})
		l.inject(sim.Fault{Kind: kind, Venue: binance.COINM})
		l.awaitEvents(200)
	}
	l.awaitValid()
	l.finish()
	files := l.captures()

	config := DefaultConfig()
	config.Shards = 1
	want := newLedger()
	report := replayInto(t, ReplayOptions{Config: config, Files: files}, want)
	l.agreesWithRecording(want, whole)
	if len(want.rows) < 500 || report.DecodeErrors == 0 {
		t.Fatalf("the capture proves nothing: %d rows, %d decode errors", len(want.rows), report.DecodeErrors)
	}

	f := func(what string, o ReplayOptions) {
		t.Helper()
		have := newLedger()
		got := replayInto(t, o, have)
		identical(t, what, want, have)
		if got.StateHash != report.StateHash || got.Frames != report.Frames {
			t.Errorf("%s: state %s after %d frames, want %s after %d", what, got.StateHash, got.Frames, report.StateHash, report.Frames)
		}
	}
	for _, shards := range []AutoCount{1, 2, 4} {
		for _, units := range []int{4096, 1 << 17} {
			c := *config
			c.Shards, c.Rings.Units = shards, units
			f(fmt.Sprintf("%d shards, rings of %d", shards, units), ReplayOptions{Config: &c, Files: files})
		}
	}
	c := *config
	c.Shards = 2
	f("paced", ReplayOptions{Config: &c, Files: files, Speed: 20})

	var byVenue []string
	for _, venue := range Venues() {
		path := filepath.Join(t.TempDir(), venue)
		write(t, path, "# venue "+venue+"\n# line all\n"+combined(t, ofVenue(files, venue)))
		byVenue = append(byVenue, path)
	}
	f("one file a venue", ReplayOptions{Config: config, Files: byVenue})
	slices.Reverse(byVenue)
	f("in another order", ReplayOptions{Config: config, Files: byVenue})

	// What the files do not say, --venue or their own addresses do.
	bare := filepath.Join(t.TempDir(), "bare")
	write(t, bare, combined(t, ofVenue(files, binance.COINM)))
	coinm := replayed(t, config, ofVenue(files, binance.COINM)...)
	byAddress, byFlag := newLedger(), newLedger()
	replayInto(t, ReplayOptions{Config: config, Files: []string{bare}}, byAddress)
	agree(t, "venue by its address", coinm, byAddress)
	replayInto(t, ReplayOptions{Config: config, Files: []string{bare}, Venue: binance.COINM}, byFlag)
	agree(t, "venue by --venue", coinm, byFlag)
}

func ofVenue(files []string, venue string) (of []string) {
	for _, path := range files {
		if strings.HasPrefix(filepath.Base(path), venue) {
			of = append(of, path)
		}
	}
	return of
}

// combined returns the lines of captures as one, by receive time, without comments.
func combined(t *testing.T, files []string) string {
	t.Helper()
	var lines []string
	for _, path := range files {
		for line := range strings.Lines(unzip(t, path)) {
			if line[0] != '#' {
				lines = append(lines, line)
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b string) int { return cmp.Compare(receiveTime(t, a), receiveTime(t, b)) })
	return strings.Join(lines, "")
}

func receiveTime(t *testing.T, line string) int64 {
	t.Helper()
	text, _, _ := strings.Cut(line, " ")
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func unzip(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// identical compares everything that two replays wrote.
func identical(t *testing.T, what string, want, have *ledger) {
	t.Helper()
	if len(want.rows) != len(have.rows) {
		t.Errorf("%s: %d rows, want %d", what, len(have.rows), len(want.rows))
	}
	for key, e := range want.rows {
		if o := have.rows[key]; o == nil || o.value != e.value {
			t.Errorf("%s: %s\n\t%s\n\tis %+v", what, key, e.value, o)
			return
		}
	}
}
