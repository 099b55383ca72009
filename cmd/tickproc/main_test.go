package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tickproc/internal/questdbserver"
	"tickproc/internal/testdata"
	"tickproc/pipeline"
	"tickproc/writer/questdb"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tickproc-cmd-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "tickproc")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return questdbserver.RunTests(m)
}

// result is how a run of the program ended.
type result struct {
	code           int
	stdout, stderr string
}

func tickproc(t *testing.T, arguments ...string) result {
	t.Helper()
	p := start(t, arguments...)
	return p.wait(time.Minute)
}

// program is a run of the program that goes on.
type program struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr syncBuffer
	done           chan struct{}
}

func start(t *testing.T, arguments ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(binary, arguments...), done: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code says it
		close(p.done)
	}()
	t.Cleanup(func() {
		select {
		case <-p.done:
		default:
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	})
	return p
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) wait(within time.Duration) result {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		p.t.Fatalf("%v does not end:\n%s%s", p.cmd.Args, p.stdout.String(), p.stderr.String())
	}
	return result{p.cmd.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String()}
}

// await polls until something is so.
func (p *program) await(what string, so func() bool) {
	p.t.Helper()
	deadline, poll := time.After(time.Minute), time.NewTicker(5*time.Millisecond)
	defer poll.Stop()
	for !so() {
		select {
		case <-poll.C:
		case <-p.done:
			p.t.Fatalf("ended before %s:\n%s%s", what, p.stdout.String(), p.stderr.String())
		case <-deadline:
			p.t.Fatalf("waited in vain until %s:\n%s%s", what, p.stdout.String(), p.stderr.String())
		}
	}
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// What a user gets wrong exits 2, says what and where on standard error, and
// nothing on standard output.
func TestUsageErrors(t *testing.T) {
	t.Parallel()
	good := file(t, "good.yaml", "feeds:\n  - venue: binance-spot\n    symbols: [BTCUSDT]\n")
	bad := file(t, "bad.yaml", "feeds:\n  - venue: binance-spto\n    symbols: [BTCUSDT]\nshard: 2\n")
	empty := file(t, "empty.gz", "")
	f := func(arguments string, want ...string) {
		t.Helper()
		r := tickproc(t, strings.Fields(arguments)...)
		if r.code != 2 || r.stdout != "" {
			t.Errorf("%s: exit %d, standard output %q", arguments, r.code, r.stdout)
		}
		for _, part := range want {
			if !strings.Contains(r.stderr, part) {
				t.Errorf("%s: %q does not say %q", arguments, r.stderr, part)
			}
		}
	}
	f("run", "-c FILE")
	f("run --flag", "--flag", "run --help")
	f("run -c missing.yaml", "missing.yaml", "no such file")
	f("run -c "+bad, bad+":2:12: ", `did you mean "binance-spot"?`, bad+":4:1: ", `did you mean "shards"?`)
	f("check -c "+bad, bad+":2:12: ", bad+":4:1: ")
	f("record -c "+bad, bad+":2:12: ")
	f("check -c "+good+" more", "more")
	f("check --catalogue -c "+good, "--catalogue", "check --help")
	f("replay", "replay --help")
	f("replay missing.gz", "missing.gz", "no such file")
	f("replay --speed fast "+empty, "--speed", "10x")
	f("replay --speed 0x "+empty, "--speed")
	f("replay --speed -1x "+empty, "--speed")
	f("replay --speed NaNx "+empty, "--speed")
	f("replay --sink kafka "+empty, "kafka", "questdb")
	f("replay --venue nowhere "+empty, "nowhere", "binance-spot")
	f("replay -c "+bad+" "+empty, bad+":2:12: ")
	f("replay --sink questdb --questdb localhost:9000 "+empty, "localhost:9000")
	f("demo --for 1s", "--for", "2s")
	f("demo --for soon", "soon")
	f("sim --seed x", "seed")
	f("verify --from yesterday", "--from", "2026")
	f("version now", "now")
	f("nonsense", "nonsense")
	f("chekc", "check")
}

// A dependency that is away exits 3.
func TestDependencyErrors(t *testing.T) {
	t.Parallel()
	capture := file(t, "one", "# venue binance-spot\n1 text {\"u\":1,\"s\":\"BTCUSDT\",\"b\":\"1\",\"B\":\"1\",\"a\":\"2\",\"A\":\"1\"}\n")
	f := func(arguments ...string) {
		t.Helper()
		if r := tickproc(t, arguments...); r.code != 3 || !strings.Contains(r.stderr, "127.0.0.1:1") {
			t.Errorf("%v: exit %d\n%s", arguments, r.code, r.stderr)
		}
	}
	f("replay", "--sink", "questdb", "--questdb", "http://127.0.0.1:1", capture)
	f("check", "--catalog", "-c", file(t, "c.yaml", "feeds: [{venue: binance-spot, symbols: ['*USDT'], rest_url: 'http://127.0.0.1:1', catalog_timeout: 300ms}]"))
	f("verify", "--questdb", "http://127.0.0.1:1")
	f("demo", "--for", "2s", "--questdb", "http://127.0.0.1:1")
}

func TestVersion(t *testing.T) {
	t.Parallel()
	r := tickproc(t, "version")
	if r.code != 0 || !regexp.MustCompile(`^tickproc dev \(.+, go1\.\d+.*, \w+/\w+\)\n$`).MatchString(r.stdout) {
		t.Errorf("%+v", r)
	}
}

// Scripts for the shells, and what they ask for while a user types.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		r := tickproc(t, "completion", shell)
		if r.code != 0 || len(r.stdout) < 1000 || !strings.Contains(r.stdout, "tickproc") {
			t.Errorf("%s: exit %d, %d bytes\n%s", shell, r.code, len(r.stdout), r.stderr)
		}
		if path, err := exec.LookPath(shell); err == nil {
			if out, err := exec.Command(path, "-n", file(t, "script", r.stdout)).CombinedOutput(); err != nil {
				t.Errorf("%s -n: %v\n%s", shell, err, out)
			}
		}
	}
	for arguments, want := range map[string]string{"replay --venue ": "binance-usdm\n", "replay --sink ": "questdb\n", "re": "replay\t", "run --c": "--config"} {
		asked := strings.Split(arguments, " ")
		if r := tickproc(t, append([]string{"__complete"}, asked...)...); r.code != 0 || !strings.Contains(r.stdout, want) {
			t.Errorf("%q completes to %q, want %q", arguments, r.stdout, want)
		}
	}
}

// check prints the configuration with every default, and no secret.
func TestCheckShowsWhatAConfigurationMeans(t *testing.T) {
	t.Setenv("TICKPROC_TEST_PASSWORD", "geheim-1")
	path := file(t, "c.yaml", `
questdb: {url: "http://127.0.0.1:9000", username: admin, password: "${TICKPROC_TEST_PASSWORD}"}
feeds:
  - {venue: binance-spot, symbols: [BTCUSDT, ETHUSDT], channels: [trades, depth]}
  - {venue: binance-usdm, symbols: [BTCUSDT], ws_url: "ws://127.0.0.1:7001/lab"}
shm: {enabled: on, dir: /dev/shm/somewhere}
`)
	r := tickproc(t, "check", "-c", path)
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("%+v", r)
	}
	for _, want := range []string{"username: admin", "lateness: 10s", "intervals:", "wss://stream.binance.com:9443/stream", "ws://127.0.0.1:7001/lab/public/stream",
		"6000 weight a minute", "trades ", "GB/DAY", "/dev/shm/somewhere: "} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("not shown: %s\n%s", want, r.stdout)
		}
	}
	if strings.Contains(r.stdout+r.stderr, "geheim") {
		t.Errorf("the secret is shown:\n%s", r.stdout)
	}

	example := filepath.Join("..", "..", "tickproc.example.yaml")
	absolute, err := filepath.Abs(example)
	if err != nil {
		t.Fatal(err)
	}
	if r := tickproc(t, "check", "-c", absolute); r.code != 0 {
		t.Errorf("the example of the repository: %+v", r)
	}
}

// With --json there is one object on standard output and nothing else.
func TestReplayJSON(t *testing.T) {
	t.Parallel()
	capture := filepath.Join(testdata.Dir(t), "captures", "binance-usdm-btcusdt-20240808.gz")
	r := tickproc(t, "replay", "--json", capture)
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("exit %d: %s", r.code, r.stderr)
	}
	d := json.NewDecoder(strings.NewReader(r.stdout))
	var report struct {
		Frames          uint64  `json:"frames"`
		WallSeconds     float64 `json:"wall_seconds"`
		FramesPerSecond float64 `json:"frames_per_second"`
		Instruments     []struct {
			Venue, Symbol string
			Valid         bool
		}
	}
	if err := d.Decode(&report); err != nil || d.More() {
		t.Fatalf("%v, more %v", err, d.More())
	}
	if report.Frames < 90_000 || report.WallSeconds <= 0 || report.FramesPerSecond <= 0 || len(report.Instruments) != 1 ||
		report.Instruments[0].Venue != "binance-usdm" || report.Instruments[0].Symbol != "BTCUSDT" || !report.Instruments[0].Valid {
		t.Errorf("%+v", report)
	}
	if r = tickproc(t, "replay", capture); r.code != 0 || json.Valid([]byte(r.stdout)) || !strings.Contains(r.stdout, "binance-usdm BTCUSDT") {
		t.Errorf("for people: %+v", r)
	}
}

// sim prints a configuration that check accepts and run runs on.
func simulator(t *testing.T) (sim *program, config string) {
	t.Helper()
	sim = start(t, "sim", "--faults")
	sim.await("sim has printed its configuration", func() bool { return strings.Count(sim.stdout.String(), "rest_url:") == len(pipeline.Venues()) })
	return sim, sim.stdout.String()
}

func TestSimPrintsAConfiguration(t *testing.T) {
	t.Parallel()
	sim, config := simulator(t)
	if r := tickproc(t, "check", "-c", file(t, "sim.yaml", config)); r.code != 0 {
		t.Errorf("%+v\n%s", r, config)
	}
	sim.signal(os.Interrupt)
	if r := sim.wait(20 * time.Second); r.code != 0 || r.stderr != "" {
		t.Errorf("%+v", r)
	}
}

// looksBeside has every command that looks at a data_dir, or tells its service
// something, do so while it runs.
func looksBeside(t *testing.T, config string) {
	t.Helper()
	f := func(arguments, want string) (stdout string) {
		t.Helper()
		r := tickproc(t, append(strings.Fields(arguments), "-c", config)...)
		if r.code != 0 || r.stderr != "" || !regexp.MustCompile(want).MatchString(r.stdout) {
			r.stdout = r.stdout[:min(len(r.stdout), 2000)]
			t.Errorf("%s: %+v, want %s", arguments, r, want)
		}
		return r.stdout
	}
	f("snapshot", `^snapshot \d+\n$`)
	f("snapshot --list", `(?m)^snapshot \d+: good, of 2`)
	f("journal ls", `(?m)^ *SHARD +FIRST +END +PACKETS`)
	f("journal ls --json", `"shard":0`)
	f("journal fsck", `(?s)not closed: a process writes it.*no fault\n$`)
	cat := f("journal cat --venue okx --symbol BTC-USDT --kind trade --json", `"kind":"trade"`)
	for line := range strings.Lines(cat) {
		var packet struct{ Venue, Symbol, Kind string }
		if err := json.Unmarshal([]byte(line), &packet); err != nil || packet.Venue != "okx" || packet.Symbol != "BTC-USDT" || packet.Kind != "trade" {
			t.Errorf("journal cat prints %q: %v", line, err)
			break
		}
	}
	f("deadletter ls", `^0 rows\n$`)
	f("deadletter replay", `^sent 0, outranked by better rows 0, refused again 0\n$`)
	f("resend --since 1s", `^rows since \S+ are sent again`)
	if r := tickproc(t, "journal", "gc", "-c", config); r.code != 2 || !strings.Contains(r.stderr, "in use by another process") {
		t.Errorf("journal gc beside a service: %+v", r)
	}
}

// SIGTERM ends a service; what it had accepted is in QuestDB, and verify
// agrees with it. While it runs verify tells what QuestDB lost, and resend
// brings it back.
func TestRunDeliversOnSIGTERM(t *testing.T) {
	t.Parallel()
	server := questdbserver.ForTest(t)
	_, config := simulator(t)
	data := filepath.Join(t.TempDir(), "data")
	path := file(t, "run.yaml", config+"questdb: {url: "+server.URL()+"}\nmetrics: {listen: none}\nlog: {format: text}\ndata_dir: "+data+"\n")
	run := start(t, "run", "-c", path)
	client := questdb.NewClient(server.URL(), questdb.Credentials{}, 10*time.Second)
	run.await("QuestDB has final bars", func() bool {
		r, err := client.Query(t.Context(), "SELECT count() FROM bars WHERE final AND complete")
		return err == nil && len(r.Rows) == 1 && r.Int(0, 0) > 5
	})
	if r := tickproc(t, "verify", "-c", path); !strings.Contains(r.stdout, ": 0 missing, 0 older than acknowledged") {
		t.Errorf("beside the service: %+v", r)
	}
	looksBeside(t, path)
	if _, err := client.Query(t.Context(), "TRUNCATE TABLE quotes"); err != nil {
		t.Fatal(err)
	}
	r := tickproc(t, "verify", "-c", path)
	if missing := regexp.MustCompile(`(?m)^quotes +\S+:00Z +\d+ +[1-9]\d* +0 +0$`); r.code != 1 || !missing.MatchString(r.stdout) || !strings.Contains(r.stderr, "the spool and QuestDB") {
		t.Errorf("after a loss: %+v", r)
	}
	if r := tickproc(t, "resend", "-c", path, "--since", "24h"); r.code != 0 {
		t.Errorf("%+v", r)
	}
	run.await("verify agrees again", func() bool {
		return strings.Contains(tickproc(t, "verify", "-c", path).stdout, ": 0 missing, 0 older than acknowledged")
	})
	run.signal(syscall.SIGTERM)
	if r := run.wait(45 * time.Second); r.code != 0 || r.stdout != "" {
		t.Fatalf("%+v", r)
	}
	for _, table := range []string{"trades", "quotes", "book", "bars", "windows", "gaps", "feed_health", "instruments"} {
		if err := client.Settle(t.Context(), table); err != nil {
			t.Fatal(err)
		}
		r, err := client.Query(t.Context(), "SELECT count() FROM "+table)
		if err != nil || r.Int(0, 0) == 0 {
			t.Errorf("%s is empty: %v", table, err)
		}
	}
	// A service that ended says so in its last rows.
	valid, err := client.Query(t.Context(), "SELECT count() FROM (SELECT valid FROM book LATEST ON ts PARTITION BY venue, symbol) WHERE valid")
	if err != nil || valid.Int(0, 0) != 0 {
		t.Errorf("books that still say valid: %v, %v", valid, err)
	}
	for _, more := range [][]string{{"--questdb", server.URL()}, {"-c", path}, {"--questdb", server.URL(), "--data-dir", data}} {
		r := tickproc(t, append([]string{"verify"}, more...)...)
		if compared := strings.Contains(r.stdout, ": 0 missing, 0 older than acknowledged"); r.code != 0 || compared != (more[len(more)-1] != server.URL()) {
			t.Errorf("verify %q: %+v", more, r)
		}
	}
}

// Without QuestDB the service runs all the same; rows that it could not deliver
// wait for the next start, which makes it exit 3 and say how many.
func TestRunWithoutQuestDB(t *testing.T) {
	t.Parallel()
	_, config := simulator(t)
	run := start(t, "run", "-c", file(t, "run.yaml", config+"questdb: {url: 'http://127.0.0.1:1'}\nmetrics: {listen: none}\nlog: {format: text}\n"))
	run.await("all venues are connected", func() bool { return strings.Count(run.stderr.String(), "msg=connected") >= len(pipeline.Venues()) })
	run.signal(syscall.SIGTERM)
	r := run.wait(time.Minute)
	if r.code != 3 || !strings.Contains(r.stderr, "rows wait in the spool for QuestDB: the next start delivers them") {
		t.Errorf("exit %d:\n%s", r.code, r.stderr)
	}
}

// record needs no database, and what it wrote can be replayed.
func TestRecordThenReplay(t *testing.T) {
	t.Parallel()
	_, config := simulator(t)
	dir := filepath.Join(t.TempDir(), "captures")
	record := start(t, "record", "--dir", dir, "-c", file(t, "record.yaml", config+"metrics: {listen: none}\nlog: {format: text}\n"))
	record.await("all venues are connected", func() bool { return strings.Count(record.stderr.String(), "msg=connected") >= len(pipeline.Venues()) })
	record.await("every venue has captures with something in them", func() bool {
		files, _ := filepath.Glob(filepath.Join(dir, "*-public-0-*.gz"))
		big := 0
		for _, path := range files {
			if info, err := os.Stat(path); err == nil && info.Size() > 4096 {
				big++
			}
		}
		return big == len(pipeline.Venues())
	})
	record.signal(os.Interrupt)
	if r := record.wait(30 * time.Second); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.gz"))
	if err != nil || len(files) < 2*len(pipeline.Venues()) { // some speak by several sockets
		t.Fatalf("%q, %v", files, err)
	}
	r := tickproc(t, append([]string{"replay", "--json"}, files...)...)
	var report struct{ Instruments []struct{ Trades uint64 } }
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != 0 || len(report.Instruments) < 10 {
		t.Errorf("%v: exit %d, %d instruments: %s", err, r.code, len(report.Instruments), r.stderr)
	}
}

// syncBuffer is written by a process and read by the test.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
