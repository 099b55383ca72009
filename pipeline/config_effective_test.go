package pipeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

func TestEffective(t *testing.T) {
	t.Parallel()
	c, err := Parse("t.yaml", []byte(`
questdb: {url: "http://${HOST}:9000", token: "${TOKEN}"}
feeds:
  - venue: binance-spot
    symbols: ['1000', BTCUSDT, "null", é]
    rest_url: https://me:hush@h:7001
  - venue: binance-usdm
    symbols: ['*USDT', 'BTC?SDT']
    exclude: ['*DOWN*']
    type: perpetual
    top_by_volume: 50
    channels: [all]
    lines: 2
    ws_urls: [ws://a, ws://b]
    catalog_refresh: 1h
    read: {mode: busy, cores: [0, 3]}
    recv_stamps: kernel
nbbo: {enabled: false}
runtime: {gogc: off, memory_limit: auto}
bars: {intervals: []}
data_dir: /a b/$$c
`), testHost())
	if err != nil {
		t.Fatal(err)
	}
	want := `instance: a
data_dir: "/a b/$$c"
questdb:
  url: http://db.example:9000
  token: "***"
  flush_interval: 1s
  flush_rows: 75000
  max_memory: 512MiB
  numbers: double
  request_timeout: 10s
  encoder: native
feeds:
  - venue: binance-spot
    symbols: ["1000", BTCUSDT, "null", "é"]
    channels: [trades, quotes, depth]
    rest_url: "https://***@h:7001"
    catalog_timeout: 10s
    catalog_refresh: 10m
    read:
      mode: netpoll
    recv_stamps: user
    backfill:
      enabled: true
      max_age: 1d
      max_trades: 200000
  - venue: binance-usdm
    symbols: ["*USDT", "BTC?SDT"]
    exclude: ["*DOWN*"]
    type: [perpetual]
    top_by_volume: 50
    channels: [all]
    lines: 2
    ws_urls: [ws://a, ws://b]
    catalog_timeout: 10s
    catalog_refresh: 1h
    read:
      mode: busy
      cores: [0, 3]
      spin: 1s
    recv_stamps: kernel
    backfill:
      enabled: true
      max_age: 1d
      max_trades: 200000
bars:
  intervals: []
  grace: 250ms
  lateness: 10s
  empty: skip
windows:
  vwap:
    - span: 1m
      step: 1s
  session: utc-day
book:
  every: 1s
  on_change: false
  depth: 10
shards: auto
rings:
  units: 32768
wait: auto
pin: false
runtime:
  gogc: off
  memory_limit: auto
  mlock: false
limits:
  silence: 5m
  stale: 3s
  clock_window: 10m
  line_hold: 250ms
  backfill_reach: 1h
journal:
  enabled: true
  memory_dir: /dev/shm
  memory: 16MiB
  sync: 20ms
  segment: 64MiB
  reserve: 8MiB
  keep: 4GiB
  keep_for: 1d
  damage: refuse
snapshots:
  every: 10m
spool:
  max: 50GiB
  keep: 10GiB
  keep_for: 1h
nbbo:
  enabled: false
  every: 100ms
  stale: 10s
shm:
  enabled: false
  readers: owner
  ring: 8MiB
  levels: 10
  instruments: 4096
record:
  rotate_size: 256MiB
  rotate_every: 1h
  keep: 20GiB
  keep_for: 7d
metrics:
  listen: "127.0.0.1:9464"
  expose: false
log:
  level: info
  format: auto
`
	if have := string(c.Effective()); have != want {
		t.Errorf("have\n%s\nwant\n%s", have, want)
	}
	again, err := Parse("effective", c.Effective(), testHost())
	if err != nil {
		t.Fatal(err)
	}
	again.QuestDB.Token, again.Feeds[0].RESTURL = c.QuestDB.Token, c.Feeds[0].RESTURL
	if !reflect.DeepEqual(again, c) {
		t.Errorf("read again it is\n%s", again.Effective())
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	q := QuestDB{Token: "hush", Password: "hush"}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+" "+verb+"\n", q, q.Token)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "token", q.Token, "all", q)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "token", q.Token, "all", q)
	text, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	if strings.Contains(out.String(), "hush") || strings.Contains(out.String(), fmt.Sprintf("%x", "hush")) {
		t.Errorf("it is:\n%s", out.String())
	}
}
