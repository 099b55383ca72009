package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tickproc/feeds/sim"
)

// Told to stop while QuestDB is away, the service goes on trying, and can be
// watched meanwhile.
func TestMetricsAnswerDuringTheDrain(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	var refused atomic.Int64
	database := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case away.Load():
			refused.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
		case strings.HasSuffix(r.URL.Path, "/write"):
			w.WriteHeader(http.StatusNoContent)
		default:
			fmt.Fprint(w, `{"columns":[],"dataset":[]}`)
		}
	}))
	defer database.Close()
	exchange := newExchange(t, sim.Options{Seed: 7, Rate: 400})
	config := DefaultConfig()
	config.Feeds, config.DataDir, config.QuestDB.URL = feedsOf(exchange), t.TempDir(), database.URL
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config.Metrics.Listen = listener.Addr().String()
	listener.Close()
	config.EnsureDefaults()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, RunOptions{Config: config, Logger: slog.New(slog.DiscardHandler)}) }()
	metrics := func() bool {
		response, err := http.Get("http://" + config.Metrics.Listen + "/metrics")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	}
	until := func(what string, condition func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("not in time: " + what)
			}
		}
	}
	until("metrics", metrics)
	away.Store(true)
	until("rows wait", func() bool { return refused.Load() > 0 })
	cancel()
	until("the feeds have ended", func() bool {
		clients := 0
		for _, s := range exchange.Stats() {
			clients += s.Clients
		}
		return clients == 0
	})
	before := refused.Load()
	until("more attempts", func() bool { return refused.Load() > before+3 })
	if !metrics() {
		t.Error("the endpoint ended before the rows were delivered")
	}
	away.Store(false)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
