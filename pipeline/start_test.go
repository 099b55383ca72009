package pipeline

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tickproc/feeds/binance"
	"tickproc/feeds/sim"
	"tickproc/tick"
)

// gate stands before an exchange's REST endpoint.
func gate(t *testing.T, exchange *sim.Exchange, venue string, refuse func(w http.ResponseWriter, r *http.Request) bool) string {
	t.Helper()
	behind := exchange.Handler(venue)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !refuse(w, r) {
			behind.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func isCatalog(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/exchangeInfo") }

// run lets the pipeline see some of the market and compares what it wrote.
func (l *lab) run() (n checked) {
	l.t.Helper()
	l.awaitValid()
	l.awaitEvents(500)
	l.finish()
	if n = l.check(); n.stored == 0 || n.books == 0 || n.quotes == 0 {
		l.t.Errorf("nothing was compared: %+v", n)
	}
	return n
}

// Without a catalog every symbol is taken at its word, the scales follow the
// digits that are seen, and the data are right.
func TestStartWithoutCatalog(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 5, Levels: 60, Rate: 400, Venues: stormVenues})
	l := newLab(t, exchange, func(c *Config) {
		c.Record.Dir = t.TempDir()
		for i := range c.Feeds {
			f := &c.Feeds[i]
			f.CatalogTimeout = Duration(200 * time.Millisecond)
			f.RESTURL = gate(t, exchange, f.Venue, func(w http.ResponseWriter, r *http.Request) bool {
				if isCatalog(r) {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return isCatalog(r)
			})
		}
	})
	if !l.log.has("going on without the venue's catalog") {
		t.Error("the log does not say that there is no catalog")
	}
	l.run()
	for _, in := range l.system.carried() {
		if in.PriceDigits != 0 || in.Underlying != in.Symbol {
			t.Errorf("without a catalog: %+v", in)
		}
	}
	l.agreesWithRecording(replayed(t, l.config, l.captures()...), whole)
}

// A catalog that is slower than it may be is not waited for; one that is in
// time is used.
func TestStartWithASlowCatalog(t *testing.T) {
	t.Parallel()
	f := func(patience time.Duration, known bool) {
		t.Helper()
		exchange := newExchange(t, sim.Options{Seed: 6, Levels: 60, Rate: 400, Venues: stormVenues[1:2]})
		if err := exchange.Inject(sim.Fault{Kind: sim.FaultRESTSlow, Venue: binance.USDM, For: 600 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		l := newLab(t, exchange, func(c *Config) { c.Feeds[0].CatalogTimeout = Duration(patience) })
		if in := l.system.carried()[0]; (in.PriceDigits > 0) != known {
			t.Errorf("patience %v: %+v", patience, in)
		}
		l.run()
	}
	f(150*time.Millisecond, false)
	f(30*time.Second, true)
}

// A symbol that the venue does not have is left out, with a hint; the others run.
func TestStartWithAnUnknownSymbol(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 7, Levels: 60, Rate: 400, Venues: stormVenues[1:]})
	l := newLab(t, exchange, func(c *Config) {
		c.Feeds[0].Symbols = append(c.Feeds[0].Symbols, "ETHUSDX")
		c.Feeds[1].Symbols = []string{"DOGEUSD_PERP"}
	})
	for _, want := range []string{"symbol=ETHUSDX", "ETHUSDT", "no symbol of this feed is known"} {
		if !l.log.has(want) {
			t.Errorf("the log does not say %q: %s", want, l.log)
		}
	}
	if n := len(l.system.carried()); n != 3 {
		t.Errorf("%d instruments", n)
	}
	l.awaitValid()
	l.awaitEvents(300)
	l.finish()
	for _, truth := range exchange.Truth() {
		rows := len(l.ledger.of(truth.Venue, truth.Symbol, tick.RowTrade))
		if (rows > 0) != (truth.Venue == binance.USDM) {
			t.Errorf("%s %s: %d trades", truth.Venue, truth.Symbol, rows)
		}
		checkTruth(t, l.ledger, &truth)
	}
}

// Symbols may be written in any case, with a catalog or without.
func TestStartWithSymbolsInLowerCase(t *testing.T) {
	t.Parallel()
	for _, down := range []bool{false, true} {
		exchange := newExchange(t, sim.Options{Seed: 8, Levels: 60, Rate: 400, Venues: stormVenues[1:2]})
		l := newLab(t, exchange, func(c *Config) {
			for i, symbol := range c.Feeds[0].Symbols {
				c.Feeds[0].Symbols[i] = strings.ToLower(symbol)
			}
			c.Feeds[0].CatalogTimeout = Duration(200 * time.Millisecond)
			c.Feeds[0].RESTURL = gate(t, exchange, binance.USDM, func(w http.ResponseWriter, r *http.Request) bool {
				if down && isCatalog(r) {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return down && isCatalog(r)
			})
		})
		l.run()
	}
}
