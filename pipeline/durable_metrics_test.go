package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tickproc/ops"
	"tickproc/writer/spool"
)

// noRows is a store that keeps none.
type noRows struct{}

func (noRows) Marks() map[uint16]spool.Mark { return nil }

func (noRows) Checkpoint(done func([]spool.ShardMark, error)) { done(nil, nil) }

// The logs' numbers are there from the start, a series a shard.
func TestLogMetrics(t *testing.T) {
	t.Parallel()
	dir, err := openDataDir(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.close()
	config := DefaultConfig()
	config.Shards, config.Journal.Memory = 2, 2<<20
	logger := textLogger(t.Output())
	d, err := openDurable(dir, config, logger, noRows{})
	if err != nil {
		t.Fatal(err)
	}
	s := newSystem(config, logger, newLedger())
	s.durable = d
	s.startWriting()
	if err := d.recover(s); err != nil {
		t.Fatal(err)
	}
	defer s.abandon()
	registry := ops.NewRegistry()
	s.register(registry, nil)
	server, err := ops.NewServer(ops.Options{}, registry)
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- server.Run(ctx) }()
	_, text := get(t, "http://"+server.Addr()+"/metrics")
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	source, err := os.ReadFile("durable_metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`"(tickproc_[a-z_]+)"`).FindAllStringSubmatch(string(source), -1)
	for _, m := range names {
		for _, shard := range []string{"0", "1"} {
			if !strings.Contains(text, m[1]+`{shard="`+shard+`"} `) {
				t.Errorf("no %s of shard %s", m[1], shard)
			}
		}
	}
	if len(names) < 6 {
		t.Errorf("only %d names found", len(names))
	}
	if why := d.troubles(); len(why) != 0 {
		t.Errorf("troubles of a new log: %q", why)
	}
}
