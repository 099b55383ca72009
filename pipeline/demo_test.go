package pipeline

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"tickproc/internal/questdbserver"
	"tickproc/writer/questdb"
)

func TestMain(m *testing.M) { os.Exit(questdbserver.RunTests(m)) }

// The demo as a user starts it: it ends by itself, finds no difference, and
// nothing that it started is left.
func TestDemoEndsWithoutADifference(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a QuestDB of its own")
	}
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	out := &logText{}
	err := Demo(t.Context(), DemoOptions{Out: out, For: 3 * time.Second, Dir: dir, Seed: 1, Faults: true})
	if errors.Is(err, ErrDependency) && out.has("QuestDB is not running") {
		questdbserver.ForTest(t) // skips, or fails, where there can be no QuestDB
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{"QuestDB console: http://127.0.0.1:", "SELECT * FROM bars", "SELECT * FROM nbbo", "SELECT * FROM funding", "faults injected: ", "(committed by QuestDB)", "no difference",
		"another process sees it too: tickproc tail --dir ", "shared memory: "} {
		if !out.has(want) {
			t.Errorf("not shown: %s\n%s", want, out)
		}
	}
	if runtime.GOOS == "linux" && out.has("shared memory: 0 messages") {
		t.Errorf("another process would have read nothing\n%s", out)
	}
	c := DefaultConfig()
	c.DataDir = dir
	if _, err := os.Stat(c.shmDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the shared memory is left: %v", err)
	}
	if alive := processesOf(t, dir); len(alive) > 0 {
		t.Errorf("still running: %q", alive)
	}
}

// processesOf lists the processes whose command line names a folder.
func processesOf(t *testing.T, dir string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(all) == 0 {
		t.Skip("SKIPPED: no /proc to look for processes in")
	}
	for _, path := range all {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), dir) {
			found = append(found, path)
		}
	}
	return found
}

// What the comparison must find: a trade that is not as it was, one that never
// happened, a wrong bar, book, quote, mark price and open interest, a
// liquidation and a halt that never were, a best bid that nobody offered.
func TestDemoFindsADifference(t *testing.T) {
	if testing.Short() {
		t.Skip("needs QuestDB")
	}
	t.Parallel()
	server := questdbserver.ForTest(t)
	client := questdb.NewClient(server.URL(), questdb.Credentials{}, 20*time.Second)
	started := time.Now()
	// Without faults: each table must have rows to alter within a few seconds.
	exchange, err := startExchange(t.Context(), 2, false)
	if err != nil {
		t.Fatal(err)
	}
	defer exchange.Close()
	config := DefaultConfig()
	config.DataDir, config.QuestDB.URL, config.Feeds = t.TempDir(), server.URL(), simFeeds(exchange)
	out := &logText{}
	d := &demo{options: DemoOptions{Out: out, For: 4 * time.Second}, config: config, exchange: exchange, started: started, url: server.URL()}
	if err := d.run(t.Context(), textLogger(t.Output())); err != nil {
		t.Fatal(err)
	}
	if err := d.compare(t.Context()); err != nil {
		t.Fatalf("before anything was altered: %v\n%s", err, out)
	}

	sql := func(statement string) *questdb.Result {
		t.Helper()
		r, err := client.Query(t.Context(), statement)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	const spot = "venue = 'binance-spot' AND symbol = 'BTCUSDT'"
	f := func(table, statement, want string) {
		t.Helper()
		sql(statement)
		if err := client.Settle(t.Context(), table); err != nil {
			t.Fatal(err)
		}
		out.text.Reset()
		if err := d.compare(t.Context()); !errors.Is(err, ErrDifference) || !out.has(want) {
			t.Errorf("%s: %v\n%s", statement, err, out)
		}
	}
	id := func() string { return sql("SELECT id FROM trades WHERE "+spot+" LIMIT 1").Text(0, 0) }
	f("trades", "UPDATE trades SET price = price + 0.01 WHERE "+spot+" AND id = '"+id()+"'", "DIFFERS binance-spot BTCUSDT trade: id "+id()+": stored")
	f("trades", "INSERT INTO trades (ts, venue, symbol, id, side, price, size, late) SELECT ts, venue, symbol, '1', side, price, size, late FROM trades WHERE "+spot+" LIMIT 1",
		"id 1 is stored and never happened")
	f("bars", "UPDATE bars SET high = high + 1 WHERE "+spot+" AND interval = '1s' AND final AND complete", "DIFFERS binance-spot BTCUSDT bar: at ")
	f("book", "UPDATE book SET bid3 = bid3 + 0.01 WHERE "+spot+" AND valid AND seq > 0", "differs at level 3")
	const perpetual = "venue = 'binance-usdm' AND symbol = 'BTCUSDT'"
	f("funding", "UPDATE funding SET mark = mark + 1 WHERE "+perpetual, "DIFFERS binance-usdm BTCUSDT funding: at ")
	f("open_interest", "UPDATE open_interest SET size = size + 1 WHERE "+perpetual, "DIFFERS binance-usdm BTCUSDT open interest: at ")
	f("liquidations", "INSERT INTO liquidations (ts, venue, symbol, ord, side, price, size) SELECT ts, venue, symbol, 0, side, price, size FROM trades WHERE "+perpetual+" LIMIT 1",
		"DIFFERS binance-usdm BTCUSDT liquidation: stored ")
	f("status", "INSERT INTO status (ts, venue, symbol, ord, state, before, recv_ts) SELECT ts, venue, symbol, 9, 'halted', 'trading', recv_ts FROM quotes WHERE "+perpetual+" LIMIT -1",
		"DIFFERS binance-usdm BTCUSDT status: at ")
	f("nbbo", "UPDATE nbbo SET bid = bid - 1 WHERE symbol = 'BTC-USDT' AND type = 'spot'", "DIFFERS BTC-USDT spot nbbo: row of ")
	f("quotes", "UPDATE quotes SET ask_size = ask_size + 1 WHERE "+spot+" AND valid", "DIFFERS binance-spot BTCUSDT quote: id ")
}

// Without a way to have QuestDB the demo goes on in memory; asked to compare,
// it says that it could not.
func TestDemoWithoutQuestDB(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no java, no container engine
	t.Setenv("JAVA_HOME", "")
	out := &logText{}
	err := Demo(t.Context(), DemoOptions{Out: out, For: 2 * time.Second, Seed: 3, Faults: true})
	if !errors.Is(err, ErrDependency) {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{"QuestDB is not running", "install a JDK", "rows are counted in memory only", "(in memory)", "trades "} {
		if !out.has(want) {
			t.Errorf("not shown: %s\n%s", want, out)
		}
	}
}

// Ctrl-C ends a demo without an end of its own, and is no failure.
func TestDemoEndsOnCtrlC(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("JAVA_HOME", "")
	ctx, interrupt := context.WithCancel(t.Context())
	out := &logText{}
	done := make(chan error)
	go func() { done <- Demo(ctx, DemoOptions{Out: out, Terminal: true, Seed: 4}) }()
	await(t, "the demo shows valid books", 30*time.Second, func() bool { return out.has(" valid ") })
	interrupt()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it did not end")
	}
	if !out.has("Ctrl-C ends everything.") || !out.has("ran for ") {
		t.Error(out)
	}
}

// A QuestDB that was named and does not answer is not replaced by memory.
func TestDemoWithAQuestDBThatIsAway(t *testing.T) {
	t.Parallel()
	err := Demo(t.Context(), DemoOptions{Out: &logText{}, For: 2 * time.Second, QuestDB: "http://127.0.0.1:1", Seed: 5})
	if !errors.Is(err, ErrDependency) {
		t.Error(err)
	}
}
