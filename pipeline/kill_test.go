package pipeline

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tickproc/feeds/sim"
	"tickproc/internal/questdbserver"
	"tickproc/writer/questdb"
)

var (
	killRounds = flag.Int("kill-rounds", 10, "how often the real binary is killed")
	killSeed   = flag.Uint64("kill-seed", 0, "of the instants; 0 = random")
)

// service is the real binary as a process of its own.
type service struct {
	t       *testing.T
	binary  string
	config  string // file
	log     string // file
	from    int64  // where in it the process that runs now began
	cmd     *exec.Cmd
	ended   chan struct{}
	unready string // why, when it was last asked
}

func buildBinary(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "tickproc")
	if out, err := exec.Command("go", "build", "-o", binary, "tickproc/cmd/tickproc").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

func (s *service) start() {
	s.t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		s.t.Fatal(err)
	}
	s.from = info.Size()
	s.cmd = exec.Command(s.binary, "run", "-c", s.config)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.ended = make(chan struct{})
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
}

// kill ends the process as the kernel would for want of memory.
func (s *service) kill() {
	s.t.Helper()
	select {
	case <-s.ended:
		s.t.Fatalf("the process ended by itself: %v", s.cmd.ProcessState)
	default:
	}
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	<-s.ended
}

// stop ends it as its user would.
func (s *service) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		s.t.Fatal("the process does not end")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Fatalf("exit code %d", code)
	}
}

func (s *service) tail() string {
	text, _ := os.ReadFile(s.log)
	lines := strings.Split(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

var metricsURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+/metrics`)

// ready asks the process that was started last.
func (s *service) ready() bool {
	text, _ := os.ReadFile(s.log)
	url := metricsURL.FindString(string(text[s.from:]))
	if url == "" {
		return false
	}
	client := http.Client{Timeout: time.Second}
	response, err := client.Get(strings.TrimSuffix(url, "metrics") + "readyz")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	why, _ := io.ReadAll(response.Body)
	s.unready = string(why)
	return response.StatusCode == http.StatusOK
}

// The real binary is killed again and again at random instants, in its start,
// in its recovery and in its work, while the markets go on. In the end the
// database has every trade once that lies in no gap, and nothing that never was.
func TestKilledAtAnyInstant(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("again: go test ./pipeline -run %s -args -kill-rounds %d -kill-seed %d", t.Name(), *killRounds, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	server := questdbserver.NewForTest(t)
	exchange := newExchange(t, sim.Options{Seed: seed, PingEvery: time.Second})
	started := time.Now()

	dir := t.TempDir()
	s := &service{t: t, binary: buildBinary(t), config: filepath.Join(dir, "tickproc.yaml"), log: filepath.Join(dir, "log")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("not ready: %s\n%s", s.unready, s.tail())
		}
	})
	config := DefaultConfig()
	config.DataDir, config.QuestDB.URL, config.Metrics.Listen = filepath.Join(dir, "data"), server.URL(), "127.0.0.1:0"
	config.Snapshots.Every, config.Journal.Memory = Duration(2*time.Second), 2<<20
	config.Feeds = simFeeds(exchange)
	t.Cleanup(func() { // where the test failed
		os.RemoveAll(filepath.Join(config.Journal.MemoryDir, "tickproc-"+(&dataDir{path: config.DataDir, around: machine}).name()))
	})
	for i := range config.Feeds {
		f := &config.Feeds[i]
		f.CatalogRefresh = Duration(10 * time.Minute)
		f.Symbols = f.names() // no listings here
	}
	if err := os.WriteFile(s.config, config.Effective(), 0o644); err != nil {
		t.Fatal(err)
	}
	for round := range *killRounds {
		s.start()
		if round%2 == 0 { // else also in its start and in its recovery
			await(t, "all books are valid", 90*time.Second, s.ready)
		}
		timer := time.NewTimer(time.Duration(random.Int64N(int64(3 * time.Second))))
		select {
		case <-timer.C:
		case <-s.ended:
		}
		s.kill()
	}
	s.start()
	await(t, "all books are valid again", 90*time.Second, s.ready)
	drain, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := exchange.Drain(drain); err != nil {
		t.Fatal(err)
	}
	s.stop()

	var out strings.Builder
	c := &comparison{client: questdb.NewClient(server.URL(), questdb.Credentials{}, 0), out: &out, from: started.Add(-tradeLag).UnixNano(),
		truth: exchange.Truth(), faults: exchange.FaultLog(), killed: true, wait: int64(time.Second)}
	err := c.all(t.Context(), config.engineOptions())
	switch {
	case errors.Is(err, ErrDifference):
		t.Error(out.String())
	case err != nil:
		t.Fatal(err)
	default:
		t.Log(out.String())
	}
	text, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), `"msg":"recovered"`); n < *killRounds/2 {
		t.Errorf("only %d recoveries of %d", n, *killRounds)
	}
	if doubled := doubledRows(t, c.client); doubled != "" {
		t.Error(doubled)
	}
}

// doubledRows says which tables hold a key twice.
func doubledRows(t *testing.T, client *questdb.Client) string {
	t.Helper()
	var faults []string
	for table, key := range map[string]string{"trades": "ts, venue, symbol, id", "quotes": "ts, venue, symbol, seq, ord", "book": "ts, venue, symbol, seq, ord",
		"bars": "ts, venue, symbol, interval", "windows": "ts, venue, symbol, name", "gaps": "ts, venue, symbol, channel, reason, ord"} {
		r, err := client.Query(t.Context(), fmt.Sprintf("SELECT count(), count_distinct(concat(%s)) FROM %s", strings.ReplaceAll(key, ", ", ", '|', "), table))
		if err != nil {
			t.Fatal(err)
		}
		if r.Int(0, 0) != r.Int(0, 1) || r.Int(0, 0) == 0 {
			faults = append(faults, fmt.Sprintf("%s: %d rows, %d keys", table, r.Int(0, 0), r.Int(0, 1)))
		}
	}
	return strings.Join(faults, "\n")
}
