package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"tickproc/feeds/sim"
	"tickproc/writer/questdb"
)

// The log alone, read from its beginning, gives the state that the running
// shards wrote down after a reload.
func TestReloadIsInTheLog(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 13, Levels: 60, Rate: 200, Venues: stormVenues[1:]})
	config := DefaultConfig()
	config.DataDir, config.Feeds, config.Shards = t.TempDir(), feedsOf(exchange)[:1], 2
	config.QuestDB.URL, config.Journal.MemoryDir = "http://127.0.0.1:1", filepath.Join(t.TempDir(), "none")
	config.EnsureDefaults()

	// opened is a system on what the data_dir holds, and the states that it recovered.
	opened := func(work func(*system)) (states []string) {
		log := &logText{}
		logger := textLogger(log)
		dir, err := openDataDir(config.DataDir)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.close()
		o := config.questDBOptions()
		o.Logger, o.DeadLetterDir, o.SpoolDir, o.Spool = logger, config.DataDir, dir.join("spool"), config.spoolOptions()
		database, err := questdb.New(o)
		if err != nil {
			t.Fatal(err)
		}
		database.Start()
		s, err := newDurableSystem(RunOptions{Config: config, Logger: logger}, database, database, dir)
		if err != nil {
			t.Fatal(err)
		}
		work(s)
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nobody takes rows
		_ = database.Close(ctx)
		for _, m := range regexp.MustCompile(`msg=recovered shard=\d+ .*state=[0-9a-f]+`).FindAllString(log.String(), -1) {
			states = append(states, regexp.MustCompile(`shard=\d+`).FindString(m)+regexp.MustCompile(` state=.*`).FindString(m))
		}
		slices.Sort(states)
		return states
	}
	opened(func(s *system) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if err := s.addFeeds(ctx); err != nil {
			t.Fatal(err)
		}
		stopped := make(chan struct{})
		go func() { defer close(stopped); s.run(ctx) }()
		l := &lab{t: t, exchange: exchange, system: s, log: &logText{}}
		l.awaitValid()
		answer, err := s.reloadFile(rewritten(t, config, func(c *Config) {
			c.Feeds = feedsOf(exchange)
			c.Bars.Intervals = []Duration{Duration(time.Second), Duration(2 * time.Second)}
		}))
		if err != nil {
			t.Fatal(err)
		}
		t.Log(answer)
		l.awaitValid()
		l.awaitEvents(1000)
		cancel()
		<-stopped
		if err := s.durable.close(); err != nil {
			t.Fatal(err)
		}
	})
	kept := t.TempDir()
	if err := os.CopyFS(filepath.Join(kept, "data"), os.DirFS(config.DataDir)); err != nil {
		t.Fatal(err)
	}
	byState := opened(func(s *system) { s.abandon() })
	config.DataDir = filepath.Join(kept, "data")
	if err := os.RemoveAll(filepath.Join(config.DataDir, "snapshots")); err != nil {
		t.Fatal(err)
	}
	byLog := opened(func(s *system) { s.abandon() })
	if len(byLog) != 2 || !slices.Equal(byState, byLog) {
		t.Errorf("by the snapshot %v, by the log %v", byState, byLog)
	}
}
