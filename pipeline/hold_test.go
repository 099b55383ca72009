package pipeline

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tickproc/feeds/sim"
	"tickproc/internal/vfs/simdisk"
	"tickproc/tick"
	"tickproc/writer/questdb"
)

// The disk of the logs is full: sockets are closed and stay so, no book is
// called valid, readiness says why. There is room again: everything goes on by
// itself, and the outage lies in gaps under its reason.
func TestFullDiskHoldsFeeds(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 11, Rate: 200, Venues: []sim.Venue{simVenue("binance-spot")}})
	config := DefaultConfig()
	config.Feeds, config.DataDir, config.Shards = feedsOf(exchange), t.TempDir(), 2
	config.Journal.MemoryDir = t.TempDir() + "/none" // the ring is on the same disk
	config.Journal.Memory, config.Journal.Segment, config.Journal.Reserve = 1<<20, 1<<20, 1<<20
	config.EnsureDefaults()
	dir, err := openDataDir(config.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.close()
	disk := simdisk.New(rand.New(rand.NewPCG(1, 1)), simdisk.Faults{})
	dir.logs = disk
	log, rows := &logText{}, newLedger()
	options := config.questDBOptions()
	options.URL, options.SpoolDir, options.Logger = "http://127.0.0.1:1", dir.join("spool"), textLogger(log)
	database, err := questdb.New(options)
	if err != nil {
		t.Fatal(err)
	}
	database.Start()
	s, err := newDurableSystem(RunOptions{Config: config, Logger: textLogger(log)}, rows, database, dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	if err := s.addFeeds(ctx); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(ended); s.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		_ = s.durable.close()
		over, cancel := context.WithCancel(context.Background())
		cancel()
		_ = database.Close(over) // nobody is there to take the rows
		if t.Failed() {
			t.Log(log)
		}
	})
	books := func(valid bool) func() bool {
		return func() bool {
			all := s.carried()
			return len(all) > 0 && !slices.ContainsFunc(all, func(in *tick.Instrument) bool { return s.status.image(in.ID).Valid != valid })
		}
	}
	clients := func() (n int) {
		for _, x := range exchange.Stats() {
			n += x.Clients
		}
		return n
	}
	await(t, "books are valid", 30*time.Second, books(true))

	disk.SetFaults(simdisk.Faults{Capacity: 1})
	await(t, "the disk is full", 60*time.Second, func() bool { return len(s.durable.troubles()) > 0 })
	await(t, "sockets are closed", 30*time.Second, func() bool { return clients() == 0 })
	await(t, "books are not valid", 30*time.Second, books(false))
	if why := strings.Join(s.notReady(nil), "\n"); !strings.Contains(why, "the disk is full") || !strings.Contains(why, "(log)") {
		t.Errorf("ready says:\n%s", why)
	}

	disk.SetFaults(simdisk.Faults{})
	await(t, "books are valid again", 30*time.Second, books(true))
	if why := s.durable.troubles(); len(why) > 0 {
		t.Errorf("still troubled: %q", why)
	}
	rows.mu.Lock()
	defer rows.mu.Unlock()
	gaps := 0
	for _, e := range rows.order {
		if e.table == "gaps" && e.units[0].GapRow().Reason == tick.ReasonLog {
			gaps++
		}
	}
	if gaps == 0 {
		t.Error("the outage is in no gap")
	}
}
