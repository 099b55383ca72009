package pipeline

import (
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tickproc/feeds/sim"
	"tickproc/internal/questdbserver"
	"tickproc/writer/questdb"
)

var soakDay = flag.Duration("soak", 0, "what stands for a day in TestSoak, at least 4m; 0 skips it")

// soakWarm is the number of hours of the day after which what the process holds must
// have stopped growing: listings, reloads and the filling of its horizons are
// over.
const soakWarm = 12

// A day of the real service, in less time: a snapshot an hour, listings and a
// delisting, two reloads, sockets at the end of their lives, QuestDB away and
// back. Rows are right, and what the process holds stays level.
func TestSoak(t *testing.T) {
	if *soakDay == 0 {
		t.Skip("go test ./pipeline -run TestSoak -timeout 0 -v -args -soak 30m")
	}
	hour := *soakDay / 24
	server := questdbserver.NewForTest(t)
	exchange := newExchange(t, sim.Options{Seed: 5, PingEvery: time.Second})
	started := time.Now()

	dir := t.TempDir()
	s := &service{t: t, binary: buildBinary(t), config: filepath.Join(dir, "tickproc.yaml"), log: filepath.Join(dir, "log")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.tail())
		}
	})
	config := DefaultConfig()
	config.DataDir, config.QuestDB.URL, config.Metrics.Listen = filepath.Join(dir, "data"), server.URL(), "127.0.0.1:0"
	config.Snapshots.Every = Duration(hour)
	config.Journal.Memory, config.Journal.Segment = 2<<20, 4<<20
	config.Journal.KeepFor, config.Spool.KeepFor = Duration(2*hour), Duration(2*hour)
	config.Limits.BackfillReach = Duration(hour)
	config.Feeds = simFeeds(exchange)
	t.Cleanup(func() {
		os.RemoveAll(filepath.Join(config.Journal.MemoryDir, "tickproc-"+(&dataDir{path: config.DataDir, around: machine}).name()))
	})
	for i := range config.Feeds {
		config.Feeds[i].CatalogRefresh = Duration(time.Minute)
		config.Feeds[i].SocketLife = Duration(max(time.Minute, *soakDay/3))
	}
	configure := func() {
		if err := os.WriteFile(s.config, config.Effective(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	configure()
	reload := func(intervals ...time.Duration) {
		config.Bars.Intervals = nil
		for _, interval := range intervals {
			config.Bars.Intervals = append(config.Bars.Intervals, Duration(interval))
		}
		configure()
		if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	s.start()
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	s.awaitReady()

	t.Logf("%4s %8s %8s %5s %8s %10s %10s %9s  %s", "hour", "rss MB", "live MB", "files", "routines", "p50", "p99.9", "packets", "what happened")
	var day []soakSample
	before := s.sample()
	for h := range 24 {
		happened := ""
		switch h {
		case 2:
			happened = "listings"
			eachVenue(t, func(venue, first, _ string) error {
				return exchange.List(venue, sim.Symbol{Name: strings.Replace(first, "BTC", listedBase, 1)})
			})
		case 4:
			happened = "reload: a bar more"
			reload(time.Second, time.Minute, time.Hour, 24*time.Hour, 5*time.Second)
		case 6:
			happened = "delistings"
			eachVenue(t, func(venue, _, last string) error { return exchange.Delist(venue, last) })
		case 8:
			happened = "reload: as before"
			reload(time.Second, time.Minute, time.Hour, 24*time.Hour)
		case 10:
			happened = "QuestDB killed, and back"
			server.Kill()
			if err := server.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		timer := time.NewTimer(time.Until(started.Add(time.Duration(h+1) * hour)))
		<-timer.C
		now := s.sample()
		x := now.since(before)
		before = now
		t.Logf("%4d %8.1f %8.1f %5.0f %8.0f %10v %10v %9.0f  %s", h+1, x.rss/1e6, x.heap/1e6, x.files, x.routines, x.waits["0.5"], x.waits["0.999"], x.packets, happened)
		day = append(day, x)
	}
	s.awaitReady()
	if err := exchange.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.stop()

	half := len(day[soakWarm:]) / 2
	for what, of := range map[string]func(soakSample) float64{
		"resident bytes": func(x soakSample) float64 { return x.rss }, "live heap bytes": func(x soakSample) float64 { return x.heap },
		"open files": func(x soakSample) float64 { return x.files }, "goroutines": func(x soakSample) float64 { return x.routines },
	} {
		early, late := median(day[soakWarm:soakWarm+half], of), median(day[soakWarm+half:], of)
		t.Logf("%s: %.0f, later %.0f", what, early, late)
		if late > 1.1*early {
			t.Errorf("%s grow in the second half of the day: from %.0f to %.0f", what, early, late)
		}
	}
	var out strings.Builder
	c := &comparison{client: questdb.NewClient(server.URL(), questdb.Credentials{}, 0), out: &out, from: started.Add(-tradeLag).UnixNano(),
		truth: exchange.Truth(), faults: exchange.FaultLog(), wait: int64(time.Second)}
	switch err := c.all(t.Context(), config.engineOptions()); {
	case errors.Is(err, ErrDifference):
		t.Error(out.String())
	case err != nil:
		t.Fatal(err)
	}
	if doubled := doubledRows(t, c.client); doubled != "" {
		t.Error(doubled)
	}
}

// eachVenue does something with the first and the last symbol of each venue.
func eachVenue(t *testing.T, do func(venue, first, last string) error) {
	t.Helper()
	for _, venue := range Venues() {
		symbols := simVenue(venue).Dialect.DefaultSymbols()
		if err := do(venue, symbols[0].Name, symbols[len(symbols)-1].Name); err != nil {
			t.Fatal(err)
		}
	}
}

// soakSample is what a process says of itself.
type soakSample struct {
	rss, heap, files, routines, packets float64
	waits                               map[string]time.Duration // of packets for their shard, by quantile, of the venue that waited longest
}

var metricLine = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? (\S+)$`)

// sample asks the process that was started last.
func (s *service) sample() soakSample {
	s.t.Helper()
	text, err := os.ReadFile(s.log)
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := http.Get(metricsURL.FindString(string(text[s.from:])))
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	x := soakSample{waits: map[string]time.Duration{}}
	quantile := regexp.MustCompile(`quantile="([^"]+)"`)
	for line := range strings.Lines(string(body)) {
		m := metricLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			s.t.Fatal(line)
		}
		switch m[1] {
		case "process_resident_memory_bytes":
			x.rss = value
		case "go_memstats_next_gc_bytes": // twice what was live at the last collection
			x.heap = value / 2
		case "process_open_fds":
			x.files = value
		case "go_goroutines":
			x.routines = value
		case "tickproc_shard_packets_total":
			x.packets += value
		case "tickproc_stage_seconds":
			if q := quantile.FindStringSubmatch(m[2]); q != nil && strings.Contains(m[2], `stage="`+stageShard+`"`) {
				x.waits[q[1]] = max(x.waits[q[1]], time.Duration(value*float64(time.Second)))
			}
		}
	}
	return x
}

// since keeps the levels, and of what is counted the growth.
func (x soakSample) since(before soakSample) soakSample {
	x.packets -= before.packets
	return x
}

func median(day []soakSample, of func(soakSample) float64) float64 {
	var all []float64
	for _, x := range day {
		all = append(all, of(x))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
