package ops

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tickproc/internal/stat"
)

// serve runs a server until the test ends and returns its address.
func serve(t *testing.T, options Options, r *Registry) string {
	t.Helper()
	s, err := NewServer(options, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if c, err := net.Dial("tcp", s.Addr()); err == nil {
			c.Close()
			t.Error("it still listens after Run")
		}
	})
	return s.Addr()
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// samples reads Prometheus' text format: value by name with labels.
func samples(t *testing.T, body string) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	for scan := bufio.NewScanner(strings.NewReader(body)); scan.Scan(); {
		line := scan.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		space := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[space+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		values[line[:space]] = value
	}
	return values
}

func TestMetricsAreWhatWasCounted(t *testing.T) {
	t.Parallel()
	var spot, usdm stat.Counter
	var depth stat.Gauge
	var latency stat.Histogram
	r := NewRegistry()
	r.Counter("tickproc_feed_messages_total", "Messages received.", map[string]string{"venue": "binance-spot"}, &spot)
	r.Counter("tickproc_feed_messages_total", "Messages received.", map[string]string{"venue": "binance-usdm"}, &usdm)
	r.Gauge("tickproc_ring_depth_units", "Units waiting.", nil, &depth)
	r.GaugeFunc("tickproc_clock_offset_seconds", "Venue clock ahead of ours.", nil, func() float64 { return -0.25 })
	r.CounterFunc("tickproc_ring_blocked_seconds_total", "Time blocked.", nil, func() float64 { return 1.5 })
	r.Histogram("tickproc_stage_latency_seconds", "Latency.", map[string]string{"stage": "decode"}, &latency)
	address := serve(t, Options{}, r)

	spot.Add(7)
	depth.Set(-3)
	latency.Observe(100, 1)            // below the first bound
	latency.Observe(1023, 1)           // the first bound itself
	latency.Observe(1024, 1)           // just above it
	latency.Observe(1_000_000, 5)      // 1 ms
	latency.Observe(60_000_000_000, 1) // above the last
	status, body := get(t, "http://"+address+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	have := samples(t, body)
	bucket := func(le string) string {
		return `tickproc_stage_latency_seconds_bucket{stage="decode",le="` + le + `"}`
	}
	for name, want := range map[string]float64{
		`tickproc_feed_messages_total{venue="binance-spot"}`:     7,
		`tickproc_feed_messages_total{venue="binance-usdm"}`:     0,
		`tickproc_ring_depth_units`:                              -3,
		`tickproc_clock_offset_seconds`:                          -0.25,
		`tickproc_ring_blocked_seconds_total`:                    1.5,
		bucket("1.023e-06"):                                      2,
		bucket("2.047e-06"):                                      3,
		bucket("0.000524287"):                                    3,
		bucket("0.001048575"):                                    8,
		bucket("17.179869183"):                                   8,
		bucket("+Inf"):                                           9,
		`tickproc_stage_latency_seconds_count{stage="decode"}`:   9,
		`tickproc_stage_latency_seconds_sum{stage="decode"}`:     60.005002147,
		`promhttp_metric_handler_errors_total{cause="encoding"}`: 0,
	} {
		if value, ok := have[name]; !ok || value != want {
			t.Errorf("%s: have %v (%v), want %v", name, value, ok, want)
		}
	}
	buckets := 0
	for name := range have {
		if strings.HasPrefix(name, "tickproc_stage_latency_seconds_bucket") {
			buckets++
		}
	}
	if buckets != 26 {
		t.Errorf("%d buckets", buckets)
	}
	if have["go_goroutines"] == 0 {
		t.Error("no metrics of the runtime")
	}
	if runtime.GOOS == "linux" && have["process_start_time_seconds"] == 0 {
		t.Error("no metrics of the process")
	}
}

func TestScrapesAndCountersRunTogether(t *testing.T) {
	t.Parallel()
	var count stat.Counter
	var latency stat.Histogram
	r := NewRegistry()
	r.Counter("a_total", "A.", nil, &count)
	r.Histogram("a_seconds", "A.", nil, &latency)
	address := serve(t, Options{}, r)

	stop := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				count.Add(1)
				latency.Observe(int64(i), 1)
			}
		}
	})
	last := -1.0
	for i := range 10 {
		_, body := get(t, "http://"+address+"/metrics")
		have := samples(t, body)
		if have["a_total"] < last {
			t.Errorf("the counter fell from %v to %v", last, have["a_total"])
		}
		last = have["a_total"]
		if inf, n := have[`a_seconds_bucket{le="+Inf"}`], have["a_seconds_count"]; inf != n {
			t.Errorf("scrape %d: %v in buckets, count %v", i, inf, n)
		}
		var added stat.Counter
		r.Counter("later_total", "Added while serving.", map[string]string{"i": fmt.Sprint(i)}, &added)
	}
	close(stop)
	work.Wait()
}

func TestAMetricThatContradictsAnotherIsABug(t *testing.T) {
	t.Parallel()
	f := func(what string, add func(r *Registry)) {
		t.Helper()
		r := NewRegistry()
		r.Counter("a_total", "A.", map[string]string{"venue": "x"}, new(stat.Counter))
		defer func() {
			if said := fmt.Sprint(recover()); !strings.HasPrefix(said, "BUG: metric ") {
				t.Errorf("%s: %s", what, said)
			}
		}()
		add(r)
	}
	f("the same again", func(r *Registry) { r.Counter("a_total", "A.", map[string]string{"venue": "x"}, new(stat.Counter)) })
	f("another help", func(r *Registry) { r.Counter("a_total", "B.", map[string]string{"venue": "y"}, new(stat.Counter)) })
	f("another label", func(r *Registry) { r.Counter("a_total", "A.", map[string]string{"symbol": "y"}, new(stat.Counter)) })
	f("no name", func(r *Registry) { r.Gauge("a b", "A.", nil, new(stat.Gauge)) })
	f("the same histogram", func(r *Registry) {
		r.Histogram("h_seconds", "H.", nil, new(stat.Histogram))
		r.Histogram("h_seconds", "H.", nil, new(stat.Histogram))
	})
}

func TestHealth(t *testing.T) {
	t.Parallel()
	var stuck atomic.Value
	var notReady atomic.Value
	stuck.Store("")
	notReady.Store([]string(nil))
	base := "http://" + serve(t, Options{
		Stuck:    func() string { return stuck.Load().(string) },
		NotReady: func() []string { return notReady.Load().([]string) },
	}, NewRegistry())
	f := func(path string, wantStatus int, wantBody string) {
		t.Helper()
		if status, body := get(t, base+path); status != wantStatus || body != wantBody {
			t.Errorf("%s: %d %q, want %d %q", path, status, body, wantStatus, wantBody)
		}
	}
	f("/livez", 200, "ok\n")
	f("/readyz", 200, "ok\n")

	notReady.Store([]string{"binance-spot: not connected", "questdb: connection refused"})
	f("/livez", 200, "ok\n")
	f("/readyz", 503, "binance-spot: not connected\nquestdb: connection refused\n")

	stuck.Store("shard 0 has not moved for 12s")
	f("/livez", 503, "shard 0 has not moved for 12s\n")

	if status, _ := get(t, base+"/"); status != 404 {
		t.Errorf("/: %d", status)
	}
	if answer, err := http.Post(base+"/livez", "text/plain", nil); err != nil || answer.StatusCode != 405 {
		t.Errorf("POST: %v %v", answer, err)
	}
}

func TestOnlyLoopbackUnlessAllowed(t *testing.T) {
	t.Parallel()
	f := func(listen string, wantLoopback bool, wantErr string) {
		t.Helper()
		loopback, err := IsLoopback(listen)
		if said := ""; err != nil {
			said = err.Error()
			if said != wantErr {
				t.Errorf("%q: %s", listen, said)
			}
		} else if wantErr != "" || loopback != wantLoopback {
			t.Errorf("%q: %v", listen, loopback)
		}
		if _, err := NewServer(Options{Listen: listen}, NewRegistry()); (err == nil) != wantLoopback {
			t.Errorf("server on %q: %v", listen, err)
		}
	}
	f("127.0.0.1:9464", true, "")
	f("127.8.8.8:0", true, "")
	f("[::1]:9464", true, "")
	f("[::ffff:127.0.0.1]:1", true, "")
	f("localhost:9464", true, "")
	f("0.0.0.0:9464", false, "")
	f(":9464", false, "")
	f("[::]:9464", false, "")
	f("10.0.0.1:9464", false, "")
	f("localhost.example:9464", false, "")
	f("127.0.0.1", false, "no host:port")
	f("127.0.0.1:http", false, "no port from 0 to 65535")
	f("127.0.0.1:70000", false, "no port from 0 to 65535")

	if _, err := NewServer(Options{Listen: "0.0.0.0:0", AllowNonLoopback: true}, NewRegistry()); err != nil {
		t.Errorf("allowed: %v", err)
	}
}

func TestATakenPortIsSaid(t *testing.T) {
	t.Parallel()
	address := serve(t, Options{}, NewRegistry())
	second, err := NewServer(Options{Listen: address}, NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "choose another metrics.listen") {
		t.Errorf("%v", err)
	}
}
