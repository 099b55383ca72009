package pipeline

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"tickproc/ringbuf"
	"tickproc/writer/questdb"
)

// From a real websocket over log, shard and encoder into the spool a frame
// costs no allocation. What is allocated meanwhile (batches on their way to the
// disk, looks at a database that is not there) grows with the time that it takes;
// one in each trade or in each quote would be half of one a frame, and shows.
func TestSocketToSpoolAllocs(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	// Not parallel: all that the process allocates is counted.
	const warmUp, counted = 40_000, 60_000
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	config := DefaultConfig()
	config.Feeds = []Feed{{Venue: "binance-spot", Symbols: []string{"BTCUSDT"}, Channels: []string{"trades", "quotes"},
		WSURL: "ws://" + listener.Addr().String(), RESTURL: "http://127.0.0.1:1", CatalogTimeout: Duration(time.Millisecond)}}
	config.DataDir, config.Shards, config.Metrics.Listen = filepath.Join(t.TempDir(), "data"), 1, ListenNone
	config.Journal.MemoryDir = filepath.Join(t.TempDir(), "none") // the ring lies on disk
	config.QuestDB.URL = "http://127.0.0.1:1"
	config.EnsureDefaults()
	dir, err := openDataDir(config.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.close()
	options := config.questDBOptions()
	options.Logger = slog.New(slog.DiscardHandler)
	options.SpoolDir, options.Spool = dir.join("spool"), config.spoolOptions()
	database, err := questdb.New(options)
	if err != nil {
		t.Fatal(err)
	}
	database.Start()

	// Trades and quotes in turns, all frames made before anything is counted.
	frames := func(from, n int) (all []byte) {
		now := time.Now().UnixMilli()
		for id := from; id < from+n; id++ {
			text := fmt.Sprintf(`{"stream":"btcusdt@trade","data":{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"60123.4%d000000","q":"0.01234000","T":%[1]d,"m":true,"M":true}}`, now, 1_000_000+id, id%10)
			if id%2 == 1 {
				text = fmt.Sprintf(`{"stream":"btcusdt@bookTicker","data":{"u":%d,"s":"BTCUSDT","b":"60123.4%d000000","B":"1.00000000","a":"60124.00000000","A":"2.00000000"}}`, 1_000_000+id, id%10)
			}
			all = append(all, textMessage([]byte(text))...)
		}
		return all
	}
	first, second := frames(0, warmUp), frames(warmUp, counted)

	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- serve(ctx, RunOptions{Config: config, Logger: options.Logger}, database, database, dir)
	}()
	venue, err := listener.Accept()
	if err == nil {
		err = upgrade(venue)
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, venue) }()
	trades, quotes := slices.Index(questdb.TableNames(), "trades"), slices.Index(questdb.TableNames(), "quotes")
	rows := func() uint64 {
		return database.Stats.Tables[trades].Accepted.Load() + database.Stats.Tables[quotes].Accepted.Load()
	}
	through := func(frames []byte, want uint64) {
		t.Helper()
		if _, err := venue.Write(frames); err != nil {
			t.Fatal(err)
		}
		var backoff ringbuf.Backoff
		for deadline := time.Now().Add(2 * time.Minute); rows() < want; backoff.Pause() {
			if time.Now().After(deadline) {
				t.Fatalf("%d rows of %d came", rows(), want)
			}
		}
	}
	through(first, warmUp)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	through(second, warmUp+counted)
	runtime.ReadMemStats(&after)
	mallocs := after.Mallocs - before.Mallocs
	t.Logf("%.3f allocations and %.1f bytes a frame", float64(mallocs)/counted, float64(after.TotalAlloc-before.TotalAlloc)/counted)
	if mallocs > counted*4/10 {
		t.Errorf("%d allocations in %d frames", mallocs, counted)
	}
	venue.Close()
	cancel()
	<-served // with rows that wait in the spool, which is no fault here
}
