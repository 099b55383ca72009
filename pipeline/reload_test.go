package pipeline

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tickproc/feeds/binance"
	"tickproc/feeds/sim"
	"tickproc/tick"
)

// rewritten is a file of the configuration as edit makes it.
func rewritten(t *testing.T, c *Config, edit func(*Config)) string {
	t.Helper()
	changed := *c
	changed.Feeds = slices.Clone(c.Feeds)
	edit(&changed)
	changed.EnsureDefaults()
	path := filepath.Join(t.TempDir(), "tickproc.yaml")
	if err := os.WriteFile(path, changed.Effective(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func without(feeds []Feed, venue string) []Feed {
	return slices.DeleteFunc(slices.Clone(feeds), func(f Feed) bool { return f.Venue == venue })
}

// A reload adds one venue and a bar interval, gives another a further symbol,
// and removes a third. What is untouched has no gap and its books stay valid;
// what is new becomes valid; then the third comes back and goes on under its ids.
func TestReload(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 11, Levels: 60, Rate: 200, Venues: stormVenues})
	var all []Feed
	l := newLab(t, exchange, func(c *Config) {
		all = slices.Clone(c.Feeds)
		c.Feeds = without(c.Feeds, binance.Spot)
		for i := range c.Feeds {
			if c.Feeds[i].Venue == binance.USDM {
				c.Feeds[i].Symbols = c.Feeds[i].Symbols[:2]
			}
		}
	})
	await(t, "the service takes a reload", 30*time.Second, func() bool {
		l.system.reload.mu.Lock()
		defer l.system.reload.mu.Unlock()
		return l.system.reload.ctx != nil
	})
	l.awaitValid()
	l.awaitEvents(300)
	ids := map[string]uint32{}
	for _, in := range l.system.carried() {
		ids[in.Venue+" "+in.Symbol] = in.ID
	}

	reload := func(edit func(*Config)) {
		t.Helper()
		answer, err := l.system.reloadFile(rewritten(t, l.config, edit))
		if err != nil {
			t.Fatal(err)
		}
		t.Log(answer)
	}
	reload(func(c *Config) {
		c.Feeds = without(all, binance.COINM)
		c.Bars.Intervals = append(slices.Clone(c.Bars.Intervals), Duration(2*time.Second))
		c.Windows.VWAP = append([]VWAP{{Span: Duration(2 * time.Second), Step: Duration(time.Second)}}, c.Windows.VWAP...)
	})
	symbols := func() (names []string) {
		for _, in := range l.system.carried() {
			names = append(names, in.Venue+" "+in.Symbol)
		}
		slices.Sort(names)
		return names
	}
	want := []string{binance.Spot + " BTCUSDT", binance.USDM + " BTCUSDT", binance.USDM + " ETHUSDT", binance.USDM + " XRPUSDT"}
	slices.Sort(want)
	await(t, "the further symbol is listed", 30*time.Second, func() bool { return slices.Equal(symbols(), want) })
	l.awaitValid()
	l.awaitEvents(2000)
	if got := symbols(); !slices.Equal(got, want) {
		t.Errorf("carried: %v, want %v", got, want)
	}
	if got := l.system.notReady(nil); len(got) > 0 {
		t.Errorf("not ready: %v", got)
	}
	reload(func(c *Config) { c.Feeds = all })
	l.awaitValid()
	for _, in := range l.system.carried() {
		if id, before := ids[in.Venue+" "+in.Symbol]; before && id != in.ID {
			t.Errorf("%s %s came back as %d, was %d", in.Venue, in.Symbol, in.ID, id)
		}
	}
	l.awaitEvents(300)
	l.finish()
	if n := l.check(); n.stored == 0 || n.books == 0 || n.bars == 0 {
		t.Errorf("nothing was compared: %+v", n)
	}

	gaps := func(venue, symbol string, reason tick.Reason) (n int) {
		for _, e := range l.ledger.of(venue, symbol, tick.RowGap) {
			if e.units[0].GapRow().Reason == reason && e.units[0].GapRow().EndNanos != 0 {
				n++
			}
		}
		return n
	}
	if gaps(binance.COINM, "BTCUSD_PERP", tick.ReasonStopped) == 0 {
		t.Error("the removed venue has no gap that ended when it came back")
	}
	for _, symbol := range []string{"BTCUSDT", "ETHUSDT"} {
		for _, e := range l.ledger.of(binance.USDM, symbol, tick.RowGap) {
			if g := e.units[0].GapRow(); g.Reason != tick.ReasonStopped && g.Reason != tick.ReasonStart || g.Reason == tick.ReasonStopped && g.EndNanos != 0 {
				t.Errorf("untouched %s has a gap: %s %s", symbol, e.key, e.value)
			}
		}
		began, intervals := false, map[int64]int{}
		for _, e := range l.ledger.of(binance.USDM, symbol, tick.RowBar) {
			intervals[e.units[0].BarRow().IntervalNanos]++
		}
		for _, e := range l.ledger.of(binance.USDM, symbol, tick.RowWindow) {
			began = began || e.units[0].WindowRow().SpanNanos == 2e9
		}
		if intervals[2e9] == 0 || !began {
			t.Errorf("%s: bars by interval %v; new windows: %v", symbol, intervals, began)
		}
	}
}

// A file that is faulty, or that changes what is read at the start only, changes
// nothing and says why.
func TestReloadRefuses(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 12, Levels: 60, Rate: 100, Venues: stormVenues[1:2]})
	l := newLab(t, exchange, nil)
	l.awaitValid()
	running := l.system.venueFeeds()
	f := func(path string, want ...string) {
		t.Helper()
		_, err := l.system.reloadFile(path)
		if err == nil {
			t.Fatal("taken")
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q is not in:\n%v", part, err)
			}
		}
		if !slices.Equal(l.system.venueFeeds(), running) || hashOptions(l.system.engineOptions()) != hashOptions(l.config.engineOptions()) {
			t.Error("something changed")
		}
	}
	faulty := filepath.Join(t.TempDir(), "faulty.yaml")
	text := "feeds:\n  - venue: binance-usmd\n    symbols: [BTCUSDT]\n"
	if err := os.WriteFile(faulty, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	f(faulty, faulty+":2:", "feeds[0].venue", `did you mean "binance-usdm"?`)
	f(filepath.Join(t.TempDir(), "none.yaml"), "none.yaml")
	// Each at its place in the file.
	changed := rewritten(t, l.config, func(c *Config) {
		c.Shards, c.Book.Depth, c.DataDir, c.QuestDB.URL, c.Wait, c.Journal.Sync = 3, 5, "elsewhere", "http://127.0.0.1:1", "park", Duration(time.Second)
		c.Bars.Intervals = []Duration{Duration(time.Second)}
		c.Feeds = nil
		c.Feeds = append(c.Feeds, l.config.Feeds[0])
	})
	place := func(key, line string) string {
		t.Helper()
		text, err := os.ReadFile(changed)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		n := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), line) })
		if n < 0 {
			t.Fatalf("%q is not in\n%s", line, text)
		}
		return fmt.Sprintf("%s:%d:%d: %s: cannot change", changed, n+1, strings.Index(lines[n], ": ")+3, key)
	}
	f(changed, place("shards", "shards: 3"), place("book.depth", "depth: 5"), place("data_dir", "data_dir: "), place("questdb.url", "url: http"),
		place("wait", "wait: park"), place("journal.sync", "sync: 1s"), "restart to change")
	left := filepath.Join(t.TempDir(), "left.yaml")
	text = "feeds: [{venue: binance-usdm, symbols: [BTCUSDT]}]\njournal:\n  keep: 4GiB\n"
	if err := os.WriteFile(left, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	f(left, left+":1:1: shards: cannot change")
}

// A feed is recognised by what it says.
func TestDiffFeeds(t *testing.T) {
	t.Parallel()
	a, b := Feed{Venue: "a", Symbols: []string{"x"}}, Feed{Venue: "b", Symbols: []string{"x", "y"}}
	more, other, fewer := a, a, b
	more.Symbols, other.Lines, fewer.Symbols = []string{"z", "x"}, 2, []string{"x"}
	f := func(after []Feed, kept, grown, ended, begun int) {
		t.Helper()
		c := diffFeeds([]Feed{a, b}, after)
		if len(c.keep) != kept || len(c.grow) != grown || len(c.end) != ended || len(c.begin) != begun {
			t.Errorf("%+v", c)
		}
	}
	f([]Feed{a, b}, 2, 0, 0, 0)
	f([]Feed{b, a}, 2, 0, 0, 0)
	f([]Feed{b}, 1, 0, 1, 0)
	f([]Feed{more, b}, 2, 1, 0, 0)
	f([]Feed{other, b}, 1, 0, 1, 1)
	f([]Feed{a, fewer}, 1, 0, 1, 1)
	f([]Feed{b, more, a}, 2, 0, 0, 1)
}
