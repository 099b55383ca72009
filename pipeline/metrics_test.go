package pipeline

import (
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"tickproc/feeds/sim"
	"tickproc/writer/questdb"
)

// get returns a status and a body; 0 where nobody answers.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// The endpoint of a running service, with two feeds of one venue: it is alive
// from the start, ready once every book is valid, and shows every number that
// there is a name for.
func TestMetricsOfARunningService(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 9, Levels: 60, Rate: 150, Venues: stormVenues[1:]})
	var once sync.Once
	opened := make(chan struct{})
	open := func() { once.Do(func() { close(opened) }) }
	t.Cleanup(open)
	config := DefaultConfig()
	config.Feeds = feedsOf(exchange)
	more := config.Feeds[0]
	config.Feeds[0].Symbols, more.Symbols = more.Symbols[:1], more.Symbols[1:]
	more.Lines = 2 // redundant lines are compared
	more.RecvStamps = "kernel"
	config.Feeds = append(config.Feeds, more)
	for i := range config.Feeds {
		config.Feeds[i].RESTURL = gate(t, exchange, config.Feeds[i].Venue, func(_ http.ResponseWriter, r *http.Request) bool {
			if !isCatalog(r) {
				<-opened
			}
			return false
		})
	}
	config.Metrics.Listen, config.Record.Dir = "127.0.0.1:0", t.TempDir()
	config.EnsureDefaults()

	options := config.questDBOptions()
	log := &logText{}
	options.Logger = textLogger(log)
	database, err := questdb.New(options) // not started: its numbers are there all the same
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() {
		served <- serve(ctx, RunOptions{Config: config, Logger: textLogger(log)}, newLedger(), database, nil)
	}()
	defer func() {
		open()
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()

	address := regexp.MustCompile(`url=(http://\S+)/metrics`)
	var base string
	await(t, "the endpoint is there", 20*time.Second, func() bool {
		if m := address.FindStringSubmatch(log.String()); m != nil {
			base = m[1]
		}
		return base != ""
	})
	if status, text := get(t, base+"/livez"); status != http.StatusOK {
		t.Errorf("livez: %d %s", status, text)
	}
	if status, text := get(t, base+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(text, "binance-usdm BTCUSDT: book not valid (") {
		t.Errorf("readyz before the first snapshot: %d %s", status, text)
	}
	open()
	var status int
	var text string
	await(t, "all books are valid", 30*time.Second, func() bool {
		status, text = get(t, base+"/readyz")
		return status == http.StatusOK
	})

	_, text = get(t, base+"/metrics")
	for _, name := range metricNames(t) {
		if !regexp.MustCompile(`(?m)^` + name + `(_bucket)?[ {]`).MatchString(text) {
			t.Errorf("no series of %s", name)
		}
	}
	for _, want := range []string{
		`tickproc_book_valid{symbol="BTCUSDT",venue="binance-usdm"} 1`,
		`tickproc_feed_up{feed="0",line="public-0",venue="binance-usdm"} 1`,
		`tickproc_feed_up{feed="2",line="public-0",venue="binance-usdm"} 1`,
		`tickproc_stream_age_seconds{channel="depth",feed="2",line="public-0",symbol="ETHUSDT",venue="binance-usdm"}`,
		`tickproc_listings_total{feed="0",venue="binance-usdm"} 0`,
		`tickproc_stage_seconds{kind="depth",stage="decode",venue="binance-usdm",quantile="0.999"}`,
		`tickproc_stage_seconds{kind="depth",stage="shard",venue="binance-usdm",quantile="0.999"}`,
		`tickproc_stage_seconds{kind="depth",stage="apply",venue="binance-coinm",quantile="1"}`,
		`tickproc_stage_seconds_count{kind="depth",stage="rows",venue="binance-usdm"}`,
		`tickproc_one_way_seconds{kind="depth",venue="binance-usdm",quantile="0.5"}`,
		`tickproc_clock_error_seconds{bound="max"}`,
		`tickproc_protocol_signs_total{sign="silent_stream",venue="binance-coinm"} 0`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("not there: %s", want)
		}
	}
	if regexp.MustCompile(`(?m)^tickproc_trades_total\{.*\} 0$`).MatchString(text) && regexp.MustCompile(`(?m)^tickproc_shard_packets_total\{.*\} 0$`).MatchString(text) {
		t.Error("nothing was counted")
	}
}

// metricNames are the names in the source, so that none is shown nowhere.
func metricNames(t *testing.T) (names []string) {
	t.Helper()
	var source []byte
	for _, file := range []string{"metrics.go", "latency.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, text...)
	}
	for _, m := range regexp.MustCompile(`"(tickproc_[a-z_%]+)"`).FindAllStringSubmatch(string(source), -1) {
		if !strings.Contains(m[1], "%s") {
			names = append(names, m[1])
			continue
		}
		for _, part := range regexp.MustCompile(`\{"([a-z]+)", "Rows`).FindAllStringSubmatch(string(source), -1) {
			names = append(names, strings.Replace(m[1], "%s", part[1], 1))
		}
	}
	if len(names) < 30 {
		t.Fatalf("only %d names found", len(names))
	}
	return names
}
