package sim_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"tickproc/feeds/kraken"
	"tickproc/feeds/sim"
)

// A client without a socket hears what one with a socket would, until a fault
// kills the connection, which it is not told.
func TestClient(t *testing.T) {
	t.Parallel()
	e, err := sim.New(sim.Options{Seed: 3, Levels: 20, Venues: []sim.Venue{{Name: "kraken", Dialect: kraken.Dialect("kraken"), Symbols: []sim.Symbol{{Name: "BTC/USD"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	e.Step(now)
	heard := map[sim.SentKind]int{}
	take := func(s sim.Sent) { heard[s.Kind]++ }
	if _, status, err := e.Connect("kraken", &url.URL{Path: "/nowhere"}, take); status != http.StatusNotFound || err != nil {
		t.Errorf("an unknown path: status %d, %v", status, err)
	}
	if _, _, err := e.Connect("nobody", &url.URL{}, take); err == nil {
		t.Error("an unknown venue is connected to")
	}
	c, status, err := e.Connect("kraken", &url.URL{Path: "/v2"}, take)
	if status != 0 || err != nil {
		t.Fatalf("status %d, %v", status, err)
	}
	c.Say([]byte(`{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":10},"req_id":1}`))
	c.Ping([]byte("it"))
	pass := func() int {
		before := heard[sim.SentText]
		for range 200 {
			now = now.Add(10 * time.Millisecond)
			e.Step(now)
		}
		return heard[sim.SentText] - before
	}
	if n := pass(); n < 5 || heard[sim.SentPong] != 1 {
		t.Errorf("%d texts in two seconds, %d pongs", n, heard[sim.SentPong])
	}
	if c.HalfOpen() {
		t.Error("it is half open without a fault")
	}
	if err := e.Inject(sim.Fault{Kind: sim.FaultHalfOpen, Venue: "kraken"}); err != nil {
		t.Fatal(err)
	}
	if n := pass(); n > 0 || !c.HalfOpen() {
		t.Errorf("%d texts from a dead connection", n)
	}
	c.Leave()
	if n := e.Stats()[0].Clients; n != 0 {
		t.Errorf("%d clients are left", n)
	}
	status, _, body, slow, err := e.Get("kraken", &url.URL{Path: "/0/public/AssetPairs"})
	if status != http.StatusOK || len(body) == 0 || slow != 0 || err != nil {
		t.Errorf("status %d, %d bytes, slow %v, %v", status, len(body), slow, err)
	}
}
