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
	"slices"
	"strings"
	"testing"
	"time"

	"tickproc/feeds/sim"
	"tickproc/internal/questdbserver"
	"tickproc/journal"
	"tickproc/tick"
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
	repairs func() // does what the service asks its user for; nil = it never asks
}

// buildBinary builds the real one; more are flags of go build.
func buildBinary(t *testing.T, more ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "tickproc")
	arguments := append(append([]string{"build", "-o", binary}, more...), "tickproc/cmd/tickproc")
	if out, err := exec.Command("go", arguments...).CombinedOutput(); err != nil {
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

// stop ends it as its user would. Rows of a table whose last try failed are left
// to the next start, which a database that has just come back may need.
func (s *service) stop() {
	s.t.Helper()
	for range 5 {
		switch code := s.end(); code {
		case 0:
			return
		case exitUndelivered:
			s.start()
			s.awaitReady()
		default:
			s.t.Fatalf("exit code %d", code)
		}
	}
	s.t.Fatal("rows are never delivered")
}

// exitUndelivered says that rows wait for the database.
const exitUndelivered = 3

// end ends it and returns its exit code.
func (s *service) end() (code int) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		s.t.Fatal("the process does not end")
	}
	return s.cmd.ProcessState.ExitCode()
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

// awaitReady waits until all is well.
func (s *service) awaitReady() {
	s.t.Helper()
	await(s.t, "all is well", 2*time.Minute, func() bool {
		if s.ready() {
			return true
		}
		if s.repairs != nil {
			s.repairs()
		}
		return false
	})
}

// killLab is the real binary between simulated exchanges that go on all the
// time and a real QuestDB.
type killLab struct {
	*service
	random   *rand.Rand
	server   *questdbserver.Server
	client   *questdb.Client
	exchange *sim.Exchange
	settings *Config
	started  time.Time
}

// fewVenues have every channel and every kind of book between them; fewer of
// them let more rounds be had in the same time.
var fewVenues = []string{"binance-usdm", "bybit-linear", "coinbase", "okx"}

// newKillLab starts everything but the service.
func newKillLab(t *testing.T, rounds string, n int, venues []string) *killLab {
	t.Helper()
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("again: go test ./pipeline -run '^%s$' -args -%s %d -kill-seed %d", t.Name(), rounds, n, seed)
	o := sim.Options{Seed: seed, PingEvery: time.Second}
	for _, venue := range venues {
		o.Venues = append(o.Venues, simVenue(venue))
	}
	l := &killLab{random: rand.New(rand.NewPCG(seed, 0)), server: questdbserver.NewForTest(t),
		exchange: newExchange(t, o), started: time.Now(), settings: DefaultConfig()}
	l.client = questdb.NewClient(l.server.URL(), questdb.Credentials{}, 0)
	dir := t.TempDir()
	l.service = &service{t: t, repairs: l.repairTable, binary: buildBinary(t), config: filepath.Join(dir, "tickproc.yaml"), log: filepath.Join(dir, "log")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("not ready: %s\n%s", l.unready, l.tail())
		}
	})
	t.Cleanup(func() { // where the test failed
		if l.cmd != nil {
			_ = l.cmd.Process.Kill()
			<-l.ended
		}
		os.RemoveAll(filepath.Join(l.settings.Journal.MemoryDir, "tickproc-"+(&dataDir{path: l.settings.DataDir, around: machine}).name()))
	})
	c := l.settings
	c.DataDir, c.QuestDB.URL, c.Metrics.Listen = filepath.Join(dir, "data"), l.server.URL(), "127.0.0.1:0"
	c.Snapshots.Every, c.Journal.Memory = Duration(2*time.Second), 2<<20
	c.Feeds = slices.DeleteFunc(simFeeds(l.exchange), func(f Feed) bool { return !slices.Contains(venues, f.Venue) })
	for i := range c.Feeds {
		f := &c.Feeds[i]
		f.CatalogRefresh = Duration(10 * time.Minute)
		f.Symbols = f.names() // no listings here
	}
	l.configure()
	return l
}

// configure writes the settings down for the next start.
func (l *killLab) configure() {
	l.t.Helper()
	if err := os.WriteFile(l.config, l.settings.Effective(), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// tableRepair is what is told of a table that a killed QuestDB cannot open any more.
var tableRepair = regexp.MustCompile(`stop QuestDB and run, in its root directory: (for f in db/(\w+)~.*; done)`)

// repairTable does as its user would what the service asks for where QuestDB,
// killed at that very instant, left an index that it does not open again.
func (l *killLab) repairTable() {
	l.t.Helper()
	told := tableRepair.FindStringSubmatch(l.unready)
	if told == nil {
		return
	}
	l.t.Logf("repaired by hand: %s", told[0])
	l.server.Stop()
	repair := exec.Command("sh", "-c", told[1])
	repair.Dir = l.server.Dir()
	if out, err := repair.CombinedOutput(); err != nil {
		l.t.Fatalf("%v\n%s", err, out)
	}
	if err := l.server.Restart(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	await(l.t, "it is no longer told of "+told[2], time.Minute, func() bool {
		return l.ready() || !strings.Contains(l.unready, told[1])
	})
}

// awhile lets everything run until a random instant.
func (l *killLab) awhile() {
	timer := time.NewTimer(time.Duration(l.random.Int64N(int64(3 * time.Second))))
	select {
	case <-timer.C:
	case <-l.ended:
	}
}

// longestWait is by how much, in ns, a quote or a book came behind what its shard
// had been given already: on a busy machine a reader may be stopped between a
// frame's stamp and its ring. The log has all that the shards were given.
func (l *killLab) longestWait() (wait int64) {
	l.t.Helper()
	tool, err := NewJournalTool(l.settings)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, shard := range tool.shards {
		v, err := journal.Inspect(tool.d.logOptions(shard, 0))
		if err != nil {
			l.t.Fatal(err)
		}
		now := int64(0)
		err = v.Read(v.First, func(_ uint64, batch []tick.Unit) error {
			for ; len(batch) > 0; batch = batch[tick.PacketUnits(&batch[0]):] {
				switch h := batch[0].Header(); h.Kind {
				case tick.KindClockStep:
					now = h.ReceiveNanos
				case tick.KindQuote, tick.KindDepth, tick.KindSnapshot:
					wait = max(wait, now-h.ReceiveNanos)
					fallthrough
				default:
					now = max(now, h.ReceiveNanos)
				}
			}
			return nil
		})
		if err != nil {
			l.t.Fatal(err)
		}
	}
	l.t.Logf("the longest wait was %v", time.Duration(wait))
	return wait
}

// concludes ends the service as its user would, and compares what QuestDB has
// with the truth, with itself and with the spool.
func (l *killLab) concludes(recoveries int) {
	t := l.t
	t.Helper()
	drain, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := l.exchange.Drain(drain); err != nil {
		t.Fatal(err)
	}
	l.stop()

	var out strings.Builder
	c := &comparison{client: l.client, out: &out, from: l.started.Add(-tradeLag).UnixNano(),
		truth: l.exchange.Truth(), faults: l.exchange.FaultLog(), killed: true, wait: max(int64(time.Second), l.longestWait())}
	err := c.all(t.Context(), l.settings.engineOptions())
	switch {
	case errors.Is(err, ErrDifference):
		t.Error(out.String())
	case err != nil:
		t.Fatal(err)
	default:
		t.Log(out.String())
	}
	text, err := os.ReadFile(l.log)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), `"msg":"recovered"`); n < recoveries {
		t.Errorf("only %d recoveries, want %d", n, recoveries)
	}
	if doubled := doubledRows(t, l.client); doubled != "" {
		t.Error(doubled)
	}
	out.Reset()
	if err := Verify(t.Context(), &out, VerifyOptions{Config: l.settings, DataDir: l.settings.DataDir}); err != nil {
		t.Errorf("verify: %v\n%s", err, out.String())
	}
}

// The real binary is killed again and again at random instants, in its start,
// in its recovery and in its work, while the markets go on. In the end the
// database has every trade once that lies in no gap, and nothing that never was.
func TestKilledAtAnyInstant(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	l := newKillLab(t, "kill-rounds", *killRounds, Venues())
	for round := range *killRounds {
		l.start()
		if round%2 == 0 { // else also in its start and in its recovery
			l.awaitReady()
		}
		l.awhile()
		l.kill()
	}
	l.start()
	l.awaitReady()
	l.concludes(*killRounds / 2)
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
