package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// testHost is a machine of eight cores with three venues, two variables and a file.
func testHost() Host {
	return Host{
		Venues: []string{"binance-spot", "binance-usdm", "binance-coinm"},
		Cores:  8,
		LookupEnv: func(name string) (string, bool) {
			value, ok := map[string]string{"HOST": "db.example", "SHARDS": "2", "YES": "true", "TOKEN": "hush-env", "EMPTY": ""}[name]
			return value, ok
		},
		ReadFile: func(path string) ([]byte, error) {
			switch path {
			case "/run/token":
				return []byte("hush-file\n"), nil
			case "/run/two-lines":
				return []byte("hush\nhush\n"), nil
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		},
	}
}

const minimal = "feeds: [{venue: binance-spot, symbols: [BTCUSDT]}]\n"

func TestAMinimalFileGetsEveryDefault(t *testing.T) {
	t.Parallel()
	c, err := Parse("t.yaml", []byte(minimal), testHost())
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Instance: "a",
		DataDir:  "./data",
		QuestDB: QuestDB{URL: "http://127.0.0.1:9000", FlushInterval: Duration(time.Second), FlushRows: 75000,
			MaxMemory: 512 << 20, Numbers: "double", RequestTimeout: Duration(10 * time.Second), Encoder: "native"},
		Feeds: []Feed{{Venue: "binance-spot", Symbols: []string{"BTCUSDT"}, Channels: []string{"trades", "quotes", "depth"},
			CatalogTimeout: Duration(10 * time.Second), CatalogRefresh: Duration(10 * time.Minute),
			Read: Read{Mode: "netpoll"}, RecvStamps: "user",
			Backfill: Backfill{Enabled: On, MaxAge: Duration(24 * time.Hour), MaxTrades: 200_000}}},
		Bars: Bars{Intervals: []Duration{Duration(time.Second), Duration(time.Minute), Duration(time.Hour), Duration(24 * time.Hour)},
			Grace: Duration(250 * time.Millisecond), Lateness: Duration(10 * time.Second), Empty: "skip"},
		Windows: Windows{VWAP: []VWAP{{Span: Duration(time.Minute), Step: Duration(time.Second)}}, Session: "utc-day"},
		Book:    Book{Every: Duration(time.Second), Depth: 10},
		Rings:   Rings{Units: 32768},
		Wait:    "auto",
		Runtime: Runtime{GOGC: 100, Mlock: Off},
		Limits:  Limits{Silence: Duration(5 * time.Minute), Stale: Duration(3 * time.Second), ClockWindow: Duration(10 * time.Minute), LineHold: Duration(250 * time.Millisecond), BackfillReach: Duration(time.Hour)},
		Journal: Journal{Enabled: On, MemoryDir: "/dev/shm", Memory: 16 << 20, Sync: Duration(20 * time.Millisecond), Segment: 64 << 20,
			Reserve: 8 << 20, Keep: 4 << 30, KeepFor: Duration(24 * time.Hour), Damage: "refuse"},
		Snapshots: Snapshots{Every: Duration(10 * time.Minute)},
		Spool:     Spool{Max: 50 << 30, Keep: 10 << 30, KeepFor: Duration(time.Hour)},
		NBBO:      NBBO{Enabled: On, Every: Duration(100 * time.Millisecond), Stale: Duration(10 * time.Second)},
		Shm:       Shm{Enabled: Off, Readers: "owner", Ring: 8 << 20, Levels: 10, Instruments: 4096},
		Record:    Record{RotateSize: 256 << 20, RotateEvery: Duration(time.Hour), Keep: 20 << 30, KeepFor: Duration(7 * 24 * time.Hour)},
		Metrics:   Metrics{Listen: "127.0.0.1:9464"},
		Log:       Log{Level: "info", Format: "auto"},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("have\n%s\nwant\n%s", c.Effective(), want.Effective())
	}
	c.EnsureDefaults()
	if !reflect.DeepEqual(c, want) {
		t.Errorf("EnsureDefaults changed a full configuration:\n%s", c.Effective())
	}
}

func TestValuesOfTheFileAreKept(t *testing.T) {
	t.Parallel()
	c, err := Parse("t.yaml", []byte(`
instance: desk-7
questdb: {url: "https://${HOST}:9000/", token: "${file:/run/token}"}
feeds:
  - venue: binance-spot
    symbols: [BTCUSDT, ETHUSDT]
    channels: [trades]
    ws_url: ws://127.0.0.1:7001
  - venue: binance-usdm
    symbols:
      - BTCUSDT
bars: {intervals: [], lateness: 1m30s}
windows:
  vwap: []
  session: none
shards: ${SHARDS}
pin: ${YES}
data_dir: /var/$$x/$y
# a section whose lines are all commented out
log:
#  level: debug
`), testHost())
	if err != nil {
		t.Fatal(err)
	}
	if c.Instance != "desk-7" || c.QuestDB.URL != "https://db.example:9000/" || string(c.QuestDB.Token) != "hush-file" ||
		len(c.Feeds) != 2 || c.Feeds[0].WSURL != "ws://127.0.0.1:7001" || c.Feeds[1].Symbols[0] != "BTCUSDT" ||
		c.Bars.Intervals == nil || len(c.Bars.Intervals) != 0 || c.Bars.Lateness.Std() != 90*time.Second ||
		c.Windows.VWAP == nil || len(c.Windows.VWAP) != 0 || c.Windows.Session != "none" ||
		c.Shards != 2 || !c.Pin || c.DataDir != "/var/$x/$y" || c.Log.Level != "info" {
		t.Errorf("have\n%s", c.Effective())
	}
}

// A section that can be on or off may say no more than that.
func TestSwitchedSections(t *testing.T) {
	t.Parallel()
	f := func(line, want string) {
		t.Helper()
		c, err := Parse("t.yaml", []byte(minimal+"data_dir: d\n"+line), testHost())
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		again, err := Parse("effective", c.Effective(), testHost())
		if err != nil || c.recordDir() != want || again.recordDir() != want {
			t.Errorf("%s: records to %q, and by its own print to %q, %v, want %q", line, c.recordDir(), again.recordDir(), err, want)
		}
	}
	f("", "")
	f("record: on", "d/captures")
	f("record: true", "d/captures")
	f("record: {enabled: on}", "d/captures")
	f("record: {enabled: true, dir: x}", "x")
	f("record: {dir: x}", "x")
	f("record: {dir: x, enabled: off}", "")
	f("record: off", "")
	f("record:", "")
	c, err := Parse("t.yaml", []byte(minimal+"nbbo: off\njournal: off"), testHost())
	if err != nil || c.NBBO.Enabled != Off || c.Journal.Enabled != Off || c.Journal.Sync == 0 {
		t.Errorf("nbbo and journal: off give %v", err)
	}
}

// Each fault has its exact text: it is what a user works with.
func TestFaults(t *testing.T) {
	t.Parallel()
	f := func(in string, want ...string) {
		t.Helper()
		c, err := Parse("t.yaml", []byte(in), testHost())
		faults, ok := errors.AsType[Errors](err)
		if err != nil && (!ok || c != nil) {
			t.Fatalf("%q: %T with %v", in, err, c)
		}
		if have := faults.Error(); have != strings.Join(want, "\n") {
			t.Errorf("%s\nhave\n%s\nwant\n%s", in, have, strings.Join(want, "\n"))
		}
	}
	with := func(line string) string { return minimal + line }
	f(minimal)

	// Keys.
	f(with("bras: {}"), `t.yaml:2:1: bras: unknown key; did you mean "bars"?`)
	f(with("bars: {gracee: 1s, interval: [1s]}"),
		`t.yaml:2:8: bars.gracee: unknown key; did you mean "grace"?`,
		`t.yaml:2:20: bars.interval: unknown key; did you mean "intervals"?`)
	f(with("rings: {elephants: 4}"), `t.yaml:2:9: rings.elephants: unknown key; known: units`)
	f(with("pin: true\npin: false"), `t.yaml:3:1: pin: key is given twice, first on line 2; remove one`)
	f(with("rings: {1: 2}"), `t.yaml:2:9: rings.1: this is no key; known: units`)
	f(with("rings: {<<: {units: 5000}}"), `t.yaml:2:9: rings.<<: this is no key; known: units`)

	// Types.
	f(with("instance: 7"), `t.yaml:2:11: instance: "7" is not text; to mean the text, write "7"`)
	f(with("instance: [a]"), `t.yaml:2:11: instance: must be text, not a list`)
	f(with("instance: &x a"), `t.yaml:2:11: instance: must be text, not an anchor, alias or tag: write the value itself`)
	f(with("instance:"), `t.yaml:2:1: instance: has no value; give it one, or leave the key out`)
	f(with(`instance: ""`), `t.yaml:2:11: instance: is empty; give it a value, or leave the key out`)
	f(with("pin: yes"), `t.yaml:2:6: pin: "yes" is not true or false; write true or false`)
	f(with(`pin: "true"`), `t.yaml:2:6: pin: "true" is not true or false; write true or false`)
	f(with("book: {depth: ten}"), `t.yaml:2:15: book.depth: "ten" is not a whole number; write digits alone`)
	f(with("book: {depth: 2.5}"), `t.yaml:2:15: book.depth: "2.5" is not a whole number; write digits alone`)
	f(with("book: {depth: 0x10}"), `t.yaml:2:15: book.depth: "0x10" is not a whole number; write digits alone`)
	f(with("book: {depth: 0}"), `t.yaml:2:15: book.depth: must be more than zero; leave the key out for its default`)
	f(with("book: 5"), `t.yaml:2:7: book: must be a mapping of keys to values, not 5`)
	f(with("bars: {intervals: 1s}"), `t.yaml:2:19: bars.intervals: must be a list, not a text; write it as [a, b]`)
	f("feeds: 5", `t.yaml:1:8: feeds: must be a list, not 5; write it as [a, b]`)
	f("5", `t.yaml:1:1: must be a mapping of keys to values, not 5`)

	// Units and bounds.
	f(with("bars: {grace: 250}"), `t.yaml:2:15: bars.grace: "250" has no unit; write 250ms, 250s or 250m`)
	f(with("bars: {grace: 0s}"), `t.yaml:2:15: bars.grace: must be more than zero; leave the key out for its default`)
	f(with("bars: {grace: -1s}"), `t.yaml:2:15: bars.grace: "-1s" is not a time span: it is negative; write a span such as 250ms, 10s or 1d`)
	f(with("bars: {grace: 1.5s}"), `t.yaml:2:15: bars.grace: "1.5s" is not a time span: it has a fraction, where a smaller unit would do; write a span such as 250ms, 10s or 1d`)
	f(with("bars: {grace: soon}"), `t.yaml:2:15: bars.grace: "soon" is not a time span: it does not begin with a number; write a span such as 250ms, 10s or 1d`)
	f(with("bars: {grace: 3 weeks}"), `t.yaml:2:15: bars.grace: "3 weeks" has an unknown unit; units are d, h, m, s, ms, us, ns`)
	f(with("bars: {grace: 999999d}"), `t.yaml:2:15: bars.grace: "999999d" is longer than a span can be; write a shorter one`)
	f(with("bars: {grace: 99999999999999999999s}"), `t.yaml:2:15: bars.grace: "99999999999999999999s" is not a time span: its number is too large; write a span such as 250ms, 10s or 1d`)
	f(with("bars: {lateness: 2h}"), `t.yaml:2:18: bars.lateness: 2h is more than 1h; write 1h or less`)
	f(with("bars: {intervals: [1s, 10us]}"), `t.yaml:2:24: bars.intervals[1]: 10us is less than 1ms; write 1ms or more`)
	f(with("questdb: {max_memory: 512}"), `t.yaml:2:23: questdb.max_memory: "512" has no unit; write 512B, 512MiB or 512GiB`)
	f(with("questdb: {max_memory: 512M}"), `t.yaml:2:23: questdb.max_memory: "512M" has an unknown unit; units are B, KiB, MiB, GiB, TiB, kB, MB, GB, TB`)
	f(with("questdb: {max_memory: 5MiB}"), `t.yaml:2:23: questdb.max_memory: 5MiB is less than 16MiB; write 16MiB or more`)
	f(with("questdb: {max_memory: 99999999TiB}"), `t.yaml:2:23: questdb.max_memory: "99999999TiB" is more than a size can be; write a smaller one`)
	f(with("questdb: {max_memory: lots}"), `t.yaml:2:23: questdb.max_memory: "lots" is not a size: it does not begin with a number; write a size such as 512MiB or 2GB`)
	f(with("book: {depth: 51}"), `t.yaml:2:15: book.depth: 51 is more than 50; write 50 or less`)
	f(with("rings: {units: 100}"), `t.yaml:2:16: rings.units: 100 is less than 4096; write 4096 or more`)
	f(with("journal: {segment: 4MiB}"), `t.yaml:2:20: journal.segment: 4MiB cannot hold the largest batch of journal.memory, 16MiB; write 5MiB or more, or lower journal.memory`)
	f(with("journal: {reserve: 1KiB}"), `t.yaml:2:20: journal.reserve: 1KiB is less than 1MiB; write 1MiB or more`)
	f(with("shards: many"), `t.yaml:2:9: shards: "many" is neither auto nor a number from 1; write auto, or how many`)
	f(with("shards: 0"), `t.yaml:2:9: shards: "0" is neither auto nor a number from 1; write auto, or how many`)
	f(with("shards: 1000"), `t.yaml:2:9: shards: 1000 is more than 256; write 256 or less`)

	// Words.
	f(with("wait: spn"), `t.yaml:2:7: wait: "spn" is not known here; did you mean "spin"?`)
	f(with("wait: never"), `t.yaml:2:7: wait: "never" is not known here; known: auto, spin, yield, park`)
	f(with("questdb: {encoder: v4}"), `t.yaml:2:20: questdb.encoder: "v4" is not known here; did you mean "v3"?`)
	f(with("questdb: {numbers: decimals}"), `t.yaml:2:20: questdb.numbers: "decimals" is not known here; did you mean "decimal"?`)
	f(with("instance: a/b"), `t.yaml:2:11: instance: "a/b" is no name; use up to 32 letters, digits, - and _`)
	f(with(`data_dir: "a\nb"`), `t.yaml:2:11: data_dir: holds a line break or another control character; remove it`)

	// Feeds.
	f("", `t.yaml:1:1: feeds: there is no feed; add one, with venue and symbols`)
	f("# nothing\n", `t.yaml:1:1: feeds: there is no feed; add one, with venue and symbols`)
	f("feeds: []", `t.yaml:1:8: feeds: there is no feed; add one, with venue and symbols`)
	f("feeds:\n  - venue: binance-spto\n    symbols: [A]", `t.yaml:2:12: feeds[0].venue: unknown venue "binance-spto"; did you mean "binance-spot"?`)
	f("feeds:\n  - venue: mtgox\n    symbols: [A]", `t.yaml:2:12: feeds[0].venue: unknown venue "mtgox"; known: binance-spot, binance-usdm, binance-coinm`)
	f("feeds:\n  - symbols: [A]", `t.yaml:2:5: feeds[0].venue: a feed needs a venue; known: binance-spot, binance-usdm, binance-coinm`)
	f("feeds:\n  - venue: binance-spot", `t.yaml:2:5: feeds[0].symbols: a feed needs symbols; list them in the venue's spelling, or a pattern such as '*USDT'`)
	f("feeds:\n  - venue: binance-spot\n    symbol: [A]", `t.yaml:3:5: feeds[0].symbol: unknown key; did you mean "symbols"?`)
	f("feeds:\n  - binance-spot", `t.yaml:2:5: feeds[0]: must be a mapping of keys to values, not a text`)
	f("feeds: [{venue: binance-spot, symbols: [A, '*USDT', B, A]}]",
		`t.yaml:1:56: feeds[0].symbols[3]: "A" of binance-spot is listed already, as feeds[0].symbols[0]; remove one`)
	f("feeds: [{venue: binance-spot, symbols: [A]}, {venue: binance-usdm, symbols: [A]}, {venue: binance-spot, symbols: [A]}]",
		`t.yaml:1:115: feeds[2].symbols[0]: "A" of binance-spot is listed already, as feeds[0].symbols[0]; remove one`)
	f("feeds: [{venue: binance-spot, symbols: [AB, ab]}]",
		`t.yaml:1:45: feeds[0].symbols[1]: "ab" of binance-spot is listed already, as feeds[0].symbols[0]; remove one`)
	f("feeds: [{venue: binance-spot, symbols: ['A, B']}]",
		`t.yaml:1:41: feeds[0].symbols[0]: "A, B" is no symbol; write each symbol as an element of its own`)
	f("feeds: [{venue: binance-spot, symbols: [A], channels: [trade, depth, depth]}]",
		`t.yaml:1:56: feeds[0].channels[0]: unknown channel "trade"; did you mean "trades"?`,
		`t.yaml:1:70: feeds[0].channels[2]: "depth" is listed twice; remove one`)
	f("feeds: [{venue: binance-spot, symbols: [A], channels: []}]",
		`t.yaml:1:55: feeds[0].channels: a feed needs channels; known: trades, quotes, depth, all`)

	// Symbols by pattern.
	feed := func(more string) string {
		return "feeds:\n  - venue: binance-spot\n    symbols: [BTCUSDT, '*USDT']\n" + more
	}
	f(feed("    exclude: ['*DOWN*', USDCUSDT]\n    type: [spot, future]\n    top_by_volume: 50\n    channels: [all]\n"))
	f(feed("    type: spot\n"))
	f("feeds: [{venue: binance-spot, symbols: [*USDT]}]",
		`t.yaml:1:41: feeds[0].symbols[0]: YAML takes a word that begins with * for an alias; put it in quotes: '*USDT'`)
	f("feeds: [{venue: binance-spot, symbols: *USDT}]",
		`t.yaml:1:40: feeds[0].symbols: YAML takes a word that begins with * for an alias; put it in quotes: ['*USDT']`)
	f("feeds:\n  - venue: binance-spot\n    symbols: [*]", `t.yaml:3:16: not YAML: unexpected scalar value type; write a pattern with quotes: '*'`)
	f("feeds: [{venue: binance-spot, symbols: ['btc?*', 'BTC?*']}]",
		`t.yaml:1:50: feeds[0].symbols[1]: "BTC?*" of binance-spot is listed already, as feeds[0].symbols[0]; remove one`)
	f(feed("    exclude: [USDCUSDT, 'btc*', 'a b']"),
		`t.yaml:4:25: feeds[0].exclude[1]: "btc*" leaves out BTCUSDT, which symbols lists by name; remove one of them`,
		`t.yaml:4:33: feeds[0].exclude[2]: "a b" is no symbol; write each symbol as an element of its own`)
	f(feed("    type: [spott, spot, spot]\n"),
		`t.yaml:4:12: feeds[0].type[0]: "spott" is not known here; did you mean "spot"?`,
		`t.yaml:4:25: feeds[0].type[2]: "spot" is listed twice; remove one`)
	f(feed("    type: option\n"), `t.yaml:4:11: feeds[0].type[0]: "option" is not known here; known: spot, perpetual, future`)
	f(feed("    type: {a: b}\n"), `t.yaml:4:11: feeds[0].type: must be a list, not a mapping; write it as [a, b]`)
	f(feed("    top_by_volume: 0\n"), `t.yaml:4:20: feeds[0].top_by_volume: must be more than zero; leave the key out for its default`)
	f(feed("    top_by_volume: 30000\n"), `t.yaml:4:20: feeds[0].top_by_volume: 30000 is more than 20000; write 20000 or less`)
	f("feeds:\n  - venue: binance-spot\n    symbols: [A]\n    exclude: ['A*']\n    type: spot\n    top_by_volume: 5",
		`t.yaml:4:14: feeds[0].exclude: narrows what patterns match, and symbols holds none; add a pattern to symbols, such as '*', or remove it`,
		`t.yaml:5:11: feeds[0].type: narrows what patterns match, and symbols holds none; add a pattern to symbols, such as '*', or remove it`,
		`t.yaml:6:20: feeds[0].top_by_volume: narrows what patterns match, and symbols holds none; add a pattern to symbols, such as '*', or remove it`)
	f(feed("    catalog_refresh: 10s\n"), `t.yaml:4:22: feeds[0].catalog_refresh: 10s is less than 1m; write 1m or more`)
	f("feeds: [{venue: binance-spot, symbols: ["+strings.Repeat("A, ", 20_000)+"B]}]",
		append([]string{`t.yaml:1:40: feeds[0].symbols: there are 20001, more than 20000; use several feeds, or patterns`}, repeated(20_000)...)...)

	// Channels that the venue does not have.
	f("feeds: [{venue: binance-spot, symbols: [A], channels: [funding, trades]}]",
		`t.yaml:1:56: feeds[0].channels[0]: binance-spot has no channel "funding"; it has trades, quotes, depth`)
	f("feeds: [{venue: binance-spot, symbols: [A], channels: [all, trades]}]",
		`t.yaml:1:56: feeds[0].channels[0]: "all" is everything already; remove the others, or all`)

	// Lines.
	lines := func(more string) string {
		return "feeds:\n  - venue: binance-spot\n    symbols: [A]\n" + more
	}
	f(lines("    lines: 2\n    ws_urls: [ws://a, wss://b/x]\n"))
	f(lines("    ws_urls: [ws://a, ws://a]\n"))
	f(lines("    lines: 3\n"), `t.yaml:4:12: feeds[0].lines: 3 is more than 2; write 2 or less`)
	f(lines("    lines: 2\n    ws_urls: [ws://a]\n"),
		`t.yaml:5:14: feeds[0].ws_urls: there is an address for 1 of 2 lines; give an address for each line, or leave lines out`)
	f(lines("    ws_urls: [ws://a, ws://b, ws://c]\n"),
		`t.yaml:4:14: feeds[0].ws_urls: there are 3 addresses, and a feed has at most 2 lines; remove some`)
	f(lines("    ws_url: ws://a\n    ws_urls: [ws://a, http://b]\n"),
		`t.yaml:5:14: feeds[0].ws_urls: there are ws_url and ws_urls; keep one: ws_urls has an address for each line`,
		`t.yaml:5:23: feeds[0].ws_urls[1]: "http://b" has the scheme http; use ws or wss`)
	f(with("record: maybe"), `t.yaml:2:9: record.enabled: "maybe" is neither true nor false; write true or false`)
	f(with("record: [on]"), `t.yaml:2:9: record: must be a mapping of keys to values, not a list`)
	f(with("nbbo: {enabled: no}"), `t.yaml:2:17: nbbo.enabled: "no" is neither true nor false; write true or false`)
	f(with("nbbo: {enabled: false, every: 1s, stale: 1ms}"), `t.yaml:2:42: nbbo.stale: 1ms is less than 100ms; write 100ms or more`)
	f(with("limits: {line_hold: 1m}"), `t.yaml:2:21: limits.line_hold: 1m is more than 10s; write 10s or less`)

	// Addresses.
	address := func(key, value, want string) {
		t.Helper()
		f("feeds:\n  - venue: binance-spot\n    symbols: [A]\n    "+key+": "+value, "t.yaml:4:"+map[string]string{"ws_url": "13", "rest_url": "15"}[key]+": feeds[0]."+key+": "+want)
	}
	address("ws_url", "http://h:1", `"http://h:1" has the scheme http; use ws or wss`)
	address("ws_url", "127.0.0.1:7001", `"127.0.0.1:7001" is not an address; write it as ws://host:port`)
	address("ws_url", "ws://:7001", `"ws://:7001" names no host; write it as ws://host:port`)
	address("ws_url", "ws://h:99999", `"ws://h:99999" has no usable port; use a port from 1 to 65535`)
	address("ws_url", "ws://h/x?a=b", `"ws://h/x?a=b" has a query or fragment; end the address after host, port and path`)
	address("ws_url", "ws://me:hush@h", `"ws://***@h" holds a user, which websockets do not take; remove it`)
	address("rest_url", "https://me:hu/sh@h", `"https://***@h" is not an address; write it as http://host:port`)
	f(with("questdb: {url: 'http://me:hush@h:9000'}"), `t.yaml:2:16: questdb.url: "http://***@h:9000" holds a user; use questdb.username and questdb.password`)
	f(with("questdb: {url: 'http://h:9000/exec'}"), `t.yaml:2:16: questdb.url: "http://h:9000/exec" has a path; end the address after the port`)

	// Combinations.
	f(with("questdb: {token: x, username: y, password: z}"), `t.yaml:2:18: questdb.token: there are a token and a username or password; keep the token, or the other two`)
	f(with("questdb: {username: y}"), `t.yaml:2:21: questdb.username: there is no password for the username; add questdb.password`)
	f(with("questdb: {password: y}"), `t.yaml:2:21: questdb.password: there is no username for the password; add questdb.username`)
	f(with("bars: {grace: 10s, lateness: 5s}"), `t.yaml:2:30: bars.lateness: 5s is less than bars.grace, 10s; a trade that a bar still waits for cannot be too late: lower grace or raise lateness`)
	f(with("bars: {grace: 30s}"), `t.yaml:2:7: bars.lateness: 10s is less than bars.grace, 30s; a trade that a bar still waits for cannot be too late: lower grace or raise lateness`)
	f(with("bars: {intervals: [60s, 1s, 1m]}"), `t.yaml:2:29: bars.intervals[2]: 1m is listed twice; remove one`)
	f(with("windows: {vwap: [{step: 1s}]}"), `t.yaml:2:18: windows.vwap[0].span: a window needs a span; write one such as 60s`)
	f(with("windows: {vwap: [{span: 0s}]}"), `t.yaml:2:25: windows.vwap[0].span: must be more than zero; leave the key out for its default`)
	f(with("windows: {vwap: [{span: 10s, step: 3s}]}"), `t.yaml:2:25: windows.vwap[0].span: 10s is not a multiple of the step, 3s; choose a span of whole steps`)
	f(with("windows: {vwap: [{span: 31d, step: 1s}]}"), `t.yaml:2:36: windows.vwap[0].step: a span of 31d has 2678400 steps of 1s, more than 100000; choose a longer step`)
	f(with("windows: {vwap: [{span: 1m}, {span: 60s, step: 1s}]}"), `t.yaml:2:30: windows.vwap[1]: the window of 1m each 1s is listed twice; remove one`)
	f(with("shards: 7\nwait: spin"), `t.yaml:3:7: wait: spin with 7 shards needs 9 cores, and there are 8; use auto or park, or fewer shards`)
	f(with("shards: 6\nwait: spin"))
	f(with("shards: 9\npin: true"), `t.yaml:3:6: pin: 9 shards cannot have a core each of 8; leave pin out, or use fewer shards`)
	f(with("runtime: {gogc: 0}"), `t.yaml:2:17: runtime.gogc: must be more than zero; leave the key out for its default`)
	f(with("runtime: {gogc: some}"), `t.yaml:2:17: runtime.gogc: "some" is neither off nor a percentage; write off, or a number such as 100 or 400`)
	f(with("runtime: {gogc: off, memory_limit: auto, mlock: on}"))
	f(with("runtime: {memory_limit: 10MiB}"), `t.yaml:2:25: runtime.memory_limit: 10MiB is less than 64MiB; write 64MiB or more, or auto`)
	f(with("runtime: {memory_limit: 2}"), `t.yaml:2:25: runtime.memory_limit: "2" has no unit; write 2B, 2MiB or 2GiB`)
	read := func(text string) string {
		return "feeds:\n  - venue: binance-spot\n    symbols: [A]\n    " + text
	}
	f(read("read: {mode: busy}"), `t.yaml:4:18: feeds[0].read.mode: busy needs a core for each socket; add cores: [2], or use netpoll`)
	f(read("read: {cores: [1]}"), `t.yaml:4:19: feeds[0].read.cores: are of mode busy; add mode: busy, or remove them`)
	f(read("read: {spin: 2s}"), `t.yaml:4:18: feeds[0].read.spin: is of mode busy: the poller waits and never spins; add mode: busy and cores, or remove it`)
	f(read("read: {mode: netpoll, spin: 1s}"), `t.yaml:4:33: feeds[0].read.spin: is of mode busy: the poller waits and never spins; add mode: busy and cores, or remove it`)
	f(read("read: {mode: busy, cores: [0], spin: 2s}"))
	f(read("read: {mode: busy, cores: [0, 0]}"), `t.yaml:4:35: feeds[0].read.cores[1]: core 0 is taken by feeds[0].read.cores[0]; a thread that spins needs a core to itself: choose another`)
	f(read("read: {mode: busy, cores: [x]}"), `t.yaml:4:32: feeds[0].read.cores[0]: "x" is no number of a core; write digits alone; the first core is 0`)
	f(read("read: {mode: busy, cores: [0, 1]}\n    recv_stamps: kernel"))
	f(read("recv_stamps: nic"), `t.yaml:4:18: feeds[0].recv_stamps: "nic" is not known here; known: user, kernel`)
	f(with("metrics: {listen: '9464'}"), `t.yaml:2:19: metrics.listen: "9464" is not host:port; write it as 127.0.0.1:9464, or none`)
	f(with("metrics: {listen: '127.0.0.1:x'}"), `t.yaml:2:19: metrics.listen: "127.0.0.1:x" is not host:port; write it as 127.0.0.1:9464, or none`)
	f(with("metrics: {listen: ':9464'}"), `t.yaml:2:19: metrics.listen: ":9464" is not a loopback address, and the endpoint has no password; use 127.0.0.1, or set metrics.expose: true`)
	f(with("metrics: {listen: ':9464', expose: true}"))
	f(with("metrics: {listen: none}"))

	// What comes from outside.
	f(with("instance: ${NOPE}"), `t.yaml:2:11: instance: environment variable NOPE is not set; set it, or write $$ for a dollar sign`)
	f(with("instance: ${NO PE}"), `t.yaml:2:11: instance: "${NO PE}" names no variable; write ${NAME} or ${file:/path}, and $$ for a dollar sign`)
	f(with("instance: ${HOST"), `t.yaml:2:11: instance: ${ has no closing }; close it, or write $$ for a dollar sign`)
	f(with("instance: ${EMPTY}"), `t.yaml:2:11: instance: is empty; give it a value, or leave the key out`)
	f(with("shards: ${HOST}"), `t.yaml:2:9: shards: "db.example" is neither auto nor a number from 1; write auto, or how many`)
	f(with("questdb:\n  token: ${file:/run/none}"), `t.yaml:3:10: questdb.token: file "/run/none" cannot be read: file does not exist; name a file that this user may read`)
	f(with("questdb:\n  token: ${file:token}"), `t.yaml:3:10: questdb.token: "${file:token}" is not an absolute path; write ${file:/path}`)
	f(with("questdb:\n  token: ${file:/run/two-lines}"), `t.yaml:3:10: questdb.token: holds a line break or another control character; remove it`)
	f(with("questdb:\n  token: 12345"), `t.yaml:3:10: questdb.token: must be text; put it in quotes`)

	// Not YAML, or not only one piece of it.
	f("a: [1", `t.yaml:1:4: not YAML: sequence end token ']' not found; mend the YAML at this place`)
	f("questdb: {token: ${TOKEN}}", "t.yaml:1:19: not YAML: ',' or '}' must be specified; inside [ ] and { } write \"${…}\" with quotes")
	f(minimal+"---\nx: 1\n", `t.yaml:3:1: the file holds more than one document; keep one, without --- and %`)
	f("pin: true\nx: \xff", `t.yaml:2:1: the line is not UTF-8; a configuration is a short text file`)
	f("x: \x00", `t.yaml:1:4: the line holds a zero byte; a configuration is a short text file`)
	f(strings.Repeat("[", 100), `t.yaml:1:65: lists and mappings are nested too deep; a configuration is a short text file`)
	f(strings.Repeat("- ", 100), `t.yaml:1:1: lists and mappings are nested too deep; a configuration is a short text file`)
	f(strings.Repeat("# padding\n", 30000), `t.yaml:1:1: the file is larger than 256KiB; a configuration is a short text file`)

	// All at once, in order.
	f("wait: spn\nfeeds:\n  - venue: x\n    symbols: [A, A]\nbars: {grace: 1}\nbook: {depth: 99, foo: 1}",
		`t.yaml:1:7: wait: "spn" is not known here; did you mean "spin"?`,
		`t.yaml:3:12: feeds[0].venue: unknown venue "x"; known: binance-spot, binance-usdm, binance-coinm`,
		`t.yaml:4:18: feeds[0].symbols[1]: "A" of x is listed already, as feeds[0].symbols[0]; remove one`,
		`t.yaml:5:15: bars.grace: "1" has no unit; write 1ms, 1s or 1m`,
		`t.yaml:6:15: book.depth: 99 is more than 50; write 50 or less`,
		`t.yaml:6:19: book.foo: unknown key; known: every, on_change, depth`)
}

// repeated are the faults of a symbol that is listed n times.
func repeated(n int) (faults []string) {
	for i := 1; i < n; i++ {
		faults = append(faults, fmt.Sprintf(`t.yaml:1:%d: feeds[0].symbols[%d]: "A" of binance-spot is listed already, as feeds[0].symbols[0]; remove one`, 41+3*i, i))
	}
	return faults
}

func TestExcerptsPointAtThePlaceAndHideSecrets(t *testing.T) {
	t.Parallel()
	_, err := Parse("t.yaml", []byte(minimal+"wait: spn\nquestdb: {token: hush-inline, flush_rows: -1}\nbook:\n\tdepth: 1\n"), testHost())
	if have := err.(Errors).Excerpts(); !strings.Contains(have, "     5 | \tdepth: 1\n       | ^\n") {
		t.Errorf("a syntax error:\n%s", have)
	}
	_, err = Parse("t.yaml", []byte(minimal+"wait: spn\nquestdb: {token: hush-inline, flush_rows: -1}\n"), testHost())
	want := `t.yaml:2:7: wait: "spn" is not known here; did you mean "spin"?
     2 | wait: spn
       |       ^
t.yaml:3:43: questdb.flush_rows: "-1" is not a whole number; write digits alone
`
	if have := err.(Errors).Excerpts(); have != want {
		t.Errorf("have\n%swant\n%s", have, want)
	}
}

func TestAConfigMadeInGoHasFaultsWithoutPlaces(t *testing.T) {
	t.Parallel()
	c := &Config{Feeds: []Feed{{Venue: "binance-spot"}}, Bars: Bars{Grace: -5}}
	c.EnsureDefaults()
	want := "bars.grace: -5ns is less than 1ms; write 1ms or more\n" +
		"feeds[0].symbols: a feed needs symbols; list them in the venue's spelling, or a pattern such as '*USDT'"
	if have := c.Validate(testHost()).Error(); have != want {
		t.Errorf("have\n%s\nwant\n%s", have, want)
	}
}

func TestShardCount(t *testing.T) {
	t.Parallel()
	for cores, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 64: 32} {
		if have := (&Config{}).ShardCount(cores); have != want {
			t.Errorf("auto on %d cores: %d, want %d", cores, have, want)
		}
	}
	if have := (&Config{Shards: 5}).ShardCount(2); have != 5 {
		t.Errorf("configured: %d", have)
	}
}

// The example shows every key; where it says default, that is the default.
func TestExampleFile(t *testing.T) {
	t.Parallel()
	const path = "../tickproc.example.yaml"
	host := testHost()
	c, err := Load(path, host)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Lines that are commented out as "#key: value" become live here.
	var live strings.Builder
	for line := range strings.Lines(string(text)) {
		bare := strings.TrimLeft(line, " ")
		if rest, out := strings.CutPrefix(bare, "#"); out && !strings.HasPrefix(rest, " ") && strings.TrimSpace(rest) != "" {
			line = line[:len(line)-len(bare)] + rest
		}
		live.WriteString(line)
	}
	d := newDecoder(path, []byte(live.String()), Host{
		LookupEnv: func(string) (string, bool) { return "x", true },
		ReadFile:  func(string) ([]byte, error) { return []byte("x"), nil }})
	full := new(Config)
	d.document(full)
	if len(d.faults) > 0 {
		t.Fatalf("with every commented key live:\n%v", d.faults)
	}
	var absent func(t2 reflect.Type, path string)
	absent = func(schema reflect.Type, path string) {
		for i := range schema.NumField() {
			f := schema.Field(i)
			p := join(path, f.Tag.Get("yaml"))
			if _, ok := d.at[p]; !ok {
				t.Errorf("the example lacks %s", p)
			}
			switch {
			case f.Type.Kind() == reflect.Struct:
				absent(f.Type, p)
			case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
				absent(f.Type.Elem(), p+"[0]")
			}
		}
	}
	absent(reflect.TypeFor[Config](), "")

	// Lines that say "default" hold the default: without them nothing changes.
	lines := strings.Split(string(text), "\n")
	defaults := 0
	for i, line := range lines {
		if strings.Contains(line, "# default") && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			lines[i], defaults = "", defaults+1
		}
	}
	without, err := Parse(path, []byte(strings.Join(lines, "\n")), host)
	if err != nil {
		t.Fatal(err)
	}
	if defaults < 20 || !reflect.DeepEqual(c, without) {
		t.Errorf("%d lines say default; with them\n%s\nwithout\n%s", defaults, c.Effective(), without.Effective())
	}
}

func TestDeployedFile(t *testing.T) {
	t.Parallel()
	if _, err := Load("../deploy/tickproc.yaml", testHost()); err != nil {
		t.Error(err)
	}
}

func TestLoadWithoutFile(t *testing.T) {
	t.Parallel()
	if _, err := Load(filepath.Join(t.TempDir(), "none.yaml"), Host{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
