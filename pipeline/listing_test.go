package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tickproc/feeds/binance"
	"tickproc/feeds/sim"
	"tickproc/tick"
)

// catalogGate stands before an exchange's REST endpoint and lets a test edit
// what the catalog says; it also tells volumes.
type catalogGate struct {
	url string

	mu      sync.Mutex
	edit    func(symbols []map[string]any) []map[string]any
	status  int                // of catalogs; 0 = 200
	volumes map[string]float64 // nil = 404
	asked   int
}

func newCatalogGate(t *testing.T, exchange *sim.Exchange, venue string) *catalogGate {
	t.Helper()
	g := &catalogGate{}
	behind := exchange.Handler(venue)
	g.url = gate(t, exchange, venue, func(w http.ResponseWriter, r *http.Request) bool {
		g.mu.Lock()
		edit, status, volumes := g.edit, g.status, g.volumes
		g.mu.Unlock()
		switch {
		case strings.HasSuffix(r.URL.Path, "/ticker/24hr"):
			if volumes == nil {
				w.WriteHeader(http.StatusNotFound)
				return true
			}
			var all []map[string]string
			for symbol, v := range volumes {
				text, _ := json.Marshal(v)
				all = append(all, map[string]string{"symbol": symbol, "volume": string(text), "quoteVolume": string(text)})
			}
			json.NewEncoder(w).Encode(all)
			return true
		case !isCatalog(r):
			return false
		}
		defer func() {
			g.mu.Lock()
			g.asked++
			g.mu.Unlock()
		}()
		if status != 0 {
			w.WriteHeader(status)
			return true
		}
		recorder := httptest.NewRecorder()
		behind.ServeHTTP(recorder, r)
		body, err := io.ReadAll(recorder.Body)
		if err != nil {
			t.Error(err)
		}
		var info map[string]any
		if err := json.Unmarshal(body, &info); err != nil {
			t.Error(err)
		}
		var symbols []map[string]any
		for _, s := range info["symbols"].([]any) {
			symbols = append(symbols, s.(map[string]any))
		}
		if edit != nil {
			symbols = edit(symbols)
		}
		info["symbols"] = symbols
		json.NewEncoder(w).Encode(info)
		return true
	})
	return g
}

// set changes what the catalog says from now on.
func (g *catalogGate) set(change func(*catalogGate)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(g)
}

// only keeps some symbols, and changes them.
func (g *catalogGate) only(change func(map[string]any), names ...string) {
	g.set(func(g *catalogGate) {
		g.status = 0
		g.edit = func(symbols []map[string]any) []map[string]any {
			kept := slices.DeleteFunc(symbols, func(s map[string]any) bool { return !slices.Contains(names, s["symbol"].(string)) })
			for _, s := range kept {
				if change != nil {
					change(s)
				}
			}
			return kept
		}
	})
}

// await waits until n more catalogs were answered.
func (g *catalogGate) await(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.asked
	}
	until := count() + n
	await(t, "the catalog is asked for", 30*time.Second, func() bool { return count() >= until })
}

// seen collects what shards were told of instruments.
type seen struct {
	mu   sync.Mutex
	text string
}

func (x *seen) log(batch []tick.Unit) (end uint64) {
	for ; len(batch) > 0; batch = batch[tick.PacketUnits(&batch[0]):] {
		if k := batch[0].KindOf(); k == tick.KindCatalog || k == tick.KindStatus {
			x.mu.Lock()
			x.text += changesOf(batch[:tick.PacketUnits(&batch[0])]) + "\n"
			x.mu.Unlock()
		}
	}
	return 1
}

func (x *seen) has(part string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return strings.Contains(x.text, part)
}

// While the service runs an instrument is listed, changes, and goes: it is
// subscribed, its rows are right from the first on, and what happened to it
// reaches its shard. A catalog that fails or has holes changes nothing.
func TestAListingWhileTheServiceRuns(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 11, Levels: 60, Rate: 300, Venues: stormVenues[1:2]})
	g := newCatalogGate(t, exchange, binance.USDM)
	g.only(nil, "BTCUSDT")
	told := &seen{}
	l := newLabWith(t, exchange, func(c *Config) {
		c.Feeds[0].Symbols, c.Feeds[0].RESTURL = []string{"*USDT"}, g.url
		c.Feeds[0].CatalogRefresh = Duration(20 * time.Millisecond)
	}, func(s *system) {
		for _, d := range s.drivers {
			d.Log = told.log
		}
	})
	l.awaitValid()
	if n := len(l.system.carried()); n != 1 {
		t.Fatalf("%d instruments at first", n)
	}

	g.only(nil, "BTCUSDT", "ETHUSDT")
	await(t, "the new one is listed", 30*time.Second, func() bool { return len(l.system.carried()) == 2 })
	l.awaitValid()
	l.awaitEvents(500)

	g.set(func(g *catalogGate) { g.status = http.StatusInternalServerError })
	await(t, "the failure is said", 30*time.Second, func() bool { return l.log.has("could not be had again: nothing changes") })
	g.only(nil)
	await(t, "an empty catalog is refused", 30*time.Second, func() bool { return l.log.has("catalog is empty") })

	g.only(func(s map[string]any) {
		if s["symbol"] == "ETHUSDT" {
			s["status"] = "BREAK"
		}
	}, "BTCUSDT", "ETHUSDT")
	await(t, "the halt reaches the shard", 30*time.Second, func() bool { return told.has("catalog 1 ETHUSDT halted") })
	g.only(nil, "BTCUSDT", "ETHUSDT", "XRPUSDT")
	await(t, "it trades again, and a third one is listed", 30*time.Second, func() bool {
		return told.has("catalog 1 ETHUSDT trading") && len(l.system.carried()) == 3
	})
	l.awaitValid()

	g.only(nil, "BTCUSDT")
	await(t, "a third of the catalog is refused", 30*time.Second, func() bool { return l.log.has("suspiciously small") })
	if told.has("delisted") {
		t.Error("it was believed")
	}
	g.only(nil, "BTCUSDT", "ETHUSDT")
	await(t, "what is missing twice is gone", 30*time.Second, func() bool { return told.has("status 2 delisted") })

	l.finish()
	n := l.check()
	if n.stored == 0 || n.books == 0 {
		t.Errorf("nothing was compared: %+v", n)
	}
	for _, symbol := range []string{"BTCUSDT", "ETHUSDT", "XRPUSDT"} {
		if len(l.ledger.of(binance.USDM, symbol, tick.RowTrade)) == 0 {
			t.Errorf("no trade of %s was stored", symbol)
		}
	}
	x := l.system.feeds[0].listing
	if x.listings.Load() != 2 || x.delistings.Load() != 1 || x.changes.Load() < 2 {
		t.Errorf("%d listings, %d delistings, %d changes", x.listings.Load(), x.delistings.Load(), x.changes.Load())
	}
	for _, want := range []string{"msg=listed venue=binance-usdm symbol=ETHUSDT", `what="state trading → halted"`, "msg=delisted venue=binance-usdm symbol=XRPUSDT"} {
		if !l.log.has(want) {
			t.Errorf("the log does not say %s", want)
		}
	}
}

// A feed of patterns without a catalog waits, says so in readiness, and starts
// when it can; what it lists by name starts at once.
func TestPatternsWaitForTheCatalog(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 12, Levels: 60, Rate: 300, Venues: stormVenues[1:]})
	usdm, coinm := newCatalogGate(t, exchange, binance.USDM), newCatalogGate(t, exchange, binance.COINM)
	usdm.set(func(g *catalogGate) { g.status = http.StatusServiceUnavailable })
	l := newLab(t, exchange, func(c *Config) {
		c.Feeds[0].Symbols, c.Feeds[0].RESTURL, c.Feeds[0].TopByVolume = []string{"BTCUSDT", "*USDT"}, usdm.url, 1
		c.Feeds[1].Symbols, c.Feeds[1].RESTURL = []string{"ETH*", "NEW*"}, coinm.url
		for i := range c.Feeds {
			c.Feeds[i].CatalogTimeout, c.Feeds[i].CatalogRefresh = Duration(300*time.Millisecond), Duration(20*time.Millisecond)
		}
	})
	l.awaitValid()
	if n := len(l.system.carried()); n != 2 {
		t.Fatalf("%d instruments at first", n)
	}
	why := strings.Join(l.system.notReady(nil), "\n")
	if !strings.HasPrefix(why, "binance-usdm: the patterns of symbols wait for the venue's catalog: ") || strings.Count(why, "\n") != 0 {
		t.Errorf("readiness says %q", why)
	}
	usdm.set(func(g *catalogGate) { g.status = 0 })
	await(t, "the volumes are missed", 30*time.Second, func() bool { return l.log.has("volumes could not be had") })
	usdm.set(func(g *catalogGate) { g.volumes = map[string]float64{"BTCUSDT": 9, "ETHUSDT": 7, "XRPUSDT": 8} })
	await(t, "the top is listed", 30*time.Second, func() bool { return len(l.system.carried()) == 3 })
	l.awaitValid()
	await(t, "all is ready", 30*time.Second, func() bool { return len(l.system.notReady(nil)) == 0 })
	if in := l.system.carried()[2]; in.Symbol != "XRPUSDT" {
		t.Errorf("the top is %s", in.Symbol)
	}
	l.awaitEvents(300)
	l.finish()
	l.check()
	if !l.log.has(`msg="this pattern matches no symbol of the venue" venue=binance-coinm symbol=NEW*`) {
		t.Errorf("nothing is said of a pattern in vain: %s", l.log)
	}
}

// A name that the venue does not have yet is subscribed when it has it.
func TestANameThatIsListedLater(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 13, Levels: 60, Rate: 300, Venues: stormVenues[1:2]})
	g := newCatalogGate(t, exchange, binance.USDM)
	g.only(nil, "ETHUSDT")
	l := newLab(t, exchange, func(c *Config) {
		c.Feeds[0].Symbols, c.Feeds[0].RESTURL = []string{"BTCUSDT"}, g.url
		c.Feeds[0].CatalogRefresh = Duration(20 * time.Millisecond)
	})
	if why := l.system.notReady(nil); len(why) != 1 || why[0] != "binance-usdm: the venue knows no symbol of feeds[0]" {
		t.Errorf("readiness says %q", why)
	}
	g.await(t, 2)
	g.only(nil, "ETHUSDT", "BTCUSDT")
	await(t, "it is listed", 30*time.Second, func() bool { return len(l.system.carried()) == 1 })
	l.run()
}

// Readiness stays readable with many instruments.
func TestReadinessOfManyInstruments(t *testing.T) {
	t.Parallel()
	s, all := newTestListing(t, &logText{}, Feed{Venue: "binance-usdm", Symbols: []string{"*"}})
	var catalog []tick.Instrument
	for i := range 126 {
		state := tick.StateTrading
		if i < 3 {
			state = tick.StatePreOpen
		}
		catalog = append(catalog, tick.Instrument{Venue: "binance-usdm", Symbol: "S" + string(rune('A'+i)), State: state})
	}
	all[0].begin(news{catalog: catalog})
	why := s.notReady(nil)
	if len(why) != 11 || why[0] != "123 books not valid, the first 10:" || why[1] != "binance-usdm SD: book not valid (none)" {
		t.Errorf("%d lines: %q", len(why), why)
	}
}

// check asks the venues only where it is told to.
func TestCheckWithTheVenuesCatalogs(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 14, Levels: 60, Venues: stormVenues[1:2]})
	g := newCatalogGate(t, exchange, binance.USDM)
	g.set(func(g *catalogGate) { g.volumes = map[string]float64{"BTCUSDT": 9, "ETHUSDT": 7, "XRPUSDT": 8} })
	config := DefaultConfig()
	config.Feeds = []Feed{{Venue: binance.USDM, Symbols: []string{"ETHUSDT", "*USDT"}, TopByVolume: 1, RESTURL: g.url, CatalogTimeout: Duration(time.Second)}}
	config.EnsureDefaults()
	check := func(catalog bool, wantErr error, want ...string) {
		t.Helper()
		var out strings.Builder
		if err := Check(context.Background(), &out, CheckOptions{Config: config, Catalog: catalog}); !errors.Is(err, wantErr) || (err != nil) != (wantErr != nil) {
			t.Errorf("error %v, want %v", err, wantErr)
		}
		for _, part := range want {
			if !strings.Contains(out.String(), part) {
				t.Errorf("not shown: %s\n%s", part, out.String())
			}
		}
	}
	check(false, nil, "1 symbol, trades+quotes+depth", "and what the patterns match: *USDT; --catalog asks the venue", "hurts at most 1 of 1 symbol")
	if g.asked != 0 {
		t.Error("the venue was asked")
	}
	check(true, nil, "2 symbols, trades+quotes+depth", "hurts at most 2 of 2 symbols", "subscribed after 0s at the earliest: 1 connect, 1 message",
		"snapshots of all books take 40 of 2400 weight a minute: 1s", "the catalog takes 41 weight each 10m")
	config.Feeds[0].Symbols = []string{"ETHUSDX", "*EUR", "BTC*"}
	check(true, ErrDifference, `NOT FOUND: ETHUSDX: the venue does not trade this symbol: left out; did you mean "ETHUSDT"?`,
		"NOT FOUND: *EUR: this pattern matches no symbol")
	g.set(func(g *catalogGate) { g.status = http.StatusTeapot })
	check(true, ErrDependency)
}

// The plan of a large feed: as few instruments a socket as the venue's limits
// and ours allow, and what it takes to subscribe them.
func TestCheckOfALargeFeed(t *testing.T) {
	t.Parallel()
	config := DefaultConfig()
	f := Feed{Venue: binance.USDM}
	for i := range 2000 {
		f.Symbols = append(f.Symbols, "S"+string(rune('A'+i%26))+string(rune('A'+i/26%26))+string(rune('A'+i/676))+"USDT")
	}
	config.Feeds = []Feed{f}
	config.EnsureDefaults()
	var out strings.Builder
	if err := Check(context.Background(), &out, CheckOptions{Config: config}); err != nil {
		t.Fatal(err)
	}
	// 30 sockets; 67 symbols take 201 streams, in 3 messages 125 ms apart, 66 take 2.
	for _, want := range []string{"binance-usdm  public    30       2000     67              201", "the loss of one socket hurts at most 67 of 2000 symbols",
		"subscribed after 29.3s at the earliest: 30 connects, 80 messages"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not shown: %s\n%s", want, out.String()[strings.Index(out.String(), "# sockets"):])
		}
	}
}
