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

// Told to stop while QuestDB is slow, the service delivers to the end, and can be
// watched meanwhile.
func TestMetricsAnswerDuringTheDrain(t *testing.T) {
	t.Parallel()
	var slow atomic.Bool
	var hanging atomic.Int64
	goOn := make(chan struct{})
	database := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/write"):
			if slow.Load() {
				hanging.Add(1)
				<-goOn
			}
			w.WriteHeader(http.StatusNoContent)
		case strings.HasPrefix(r.URL.Query().Get("query"), "SELECT id FROM tables()"),
			strings.HasPrefix(r.URL.Query().Get("query"), "SELECT sequencerTxn"):
			fmt.Fprint(w, `{"columns":[],"dataset":[[1]]}`)
		default:
			fmt.Fprint(w, `{"columns":[],"dataset":[]}`)
		}
	}))
	defer database.Close()
	exchange := newExchange(t, sim.Options{Seed: 7, Venues: []sim.Venue{oneSymbolOf("binance-spot")}})
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
	slow.Store(true)
	until("a post hangs", func() bool { return hanging.Load() > 0 })
	cancel()
	until("the feeds have ended", func() bool {
		clients := 0
		for _, s := range exchange.Stats() {
			clients += s.Clients
		}
		return clients == 0
	})
	if !metrics() {
		t.Error("the endpoint ended before the rows were delivered")
	}
	slow.Store(false)
	close(goOn)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
