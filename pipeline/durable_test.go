package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tickproc/internal/clock"
	"tickproc/tick"
	"tickproc/writer/spool"
)

// keptRows is a sink whose rows outlive the process.
type keptRows struct {
	mu     sync.Mutex
	marks  map[uint16]spool.Mark
	trades int
}

func (k *keptRows) Write(packets []tick.Unit) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for ; len(packets) > 0; packets = packets[tick.PacketUnits(&packets[0]):] {
		switch packets[0].KindOf() {
		case tick.RowPosition:
			p := packets[0].PositionRow()
			k.marks[p.Shard] = spool.Mark{Epoch: p.Epoch, Position: p.Position}
		case tick.RowTrade:
			k.trades++
		}
	}
}

func (k *keptRows) Idle(int64)                  {}
func (k *keptRows) Close(context.Context) error { return nil }

func (k *keptRows) Marks() map[uint16]spool.Mark {
	k.mu.Lock()
	defer k.mu.Unlock()
	marks := map[uint16]spool.Mark{}
	for shard, m := range k.marks {
		marks[shard] = m
	}
	return marks
}

func (k *keptRows) Checkpoint(done func([]spool.ShardMark, error)) {
	var covered []spool.ShardMark
	for shard, m := range k.Marks() {
		covered = append(covered, spool.ShardMark{Shard: shard, Mark: m})
	}
	go done(covered, nil)
}

// durableLab restarts a system on one folder.
type durableLab struct {
	t      *testing.T
	config *Config
	rows   *keptRows
	dir    *dataDir
	said   bytes.Buffer // by the last start
}

func newDurableLab(t *testing.T) *durableLab {
	c := DefaultConfig()
	c.DataDir, c.Shards = filepath.Join(t.TempDir(), "data"), AutoCount(1)
	c.Journal.MemoryDir = filepath.Join(t.TempDir(), "none") // the ring lies on disk
	c.Journal.Memory, c.Journal.Segment, c.Journal.Reserve = 1<<20, 1<<20, 0
	return &durableLab{t: t, config: c, rows: &keptRows{marks: map[uint16]spool.Mark{}}}
}

func (l *durableLab) start() (*system, error) {
	l.t.Helper()
	l.said.Reset()
	logger := slog.New(slog.NewTextHandler(&l.said, nil))
	var err error
	if l.dir, err = openDataDir(l.config.DataDir); err != nil {
		l.t.Fatal(err)
	}
	d, err := openDurable(l.dir, l.config, logger, l.rows)
	if err != nil {
		l.dir.close()
		return nil, err
	}
	s := newSystem(l.config, logger, l.rows)
	s.durable = d
	s.startWriting()
	if err := d.recover(s); err != nil {
		s.endWriting()
		l.dir.close()
		return nil, err
	}
	s.adopt()
	return s, nil
}

func (l *durableLab) mustStart() *system {
	l.t.Helper()
	s, err := l.start()
	if err != nil {
		l.t.Fatalf("%v\n%s", err, l.said.String())
	}
	return s
}

// stop ends a system cleanly, and returns the hash of its shard.
func (l *durableLab) stop(s *system) (hash string) {
	l.t.Helper()
	s.durable.finish()
	hash = fmt.Sprintf("state=%016x", s.drivers[0].Shard.StateHash())
	s.abandon()
	l.dir.close()
	return hash
}

// list logs the definition of an instrument.
func (l *durableLab) list(s *system, symbol string) *tick.Instrument {
	l.t.Helper()
	in := s.addInstrument(tick.Instrument{Venue: "okx", Symbol: symbol, Underlying: symbol, Base: symbol, Quote: "USDT",
		PriceDigits: 2, SizeDigits: 3}, &venueFeed{venue: "okx"})
	packet, err := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: clock.Nanos()}, *in)
	if err != nil {
		l.t.Fatal(err)
	}
	if !s.drivers[0].Record(packet) {
		l.t.Fatal("the log takes nothing")
	}
	return in
}

func (l *durableLab) saidAll(want ...string) {
	l.t.Helper()
	for _, w := range want {
		if !strings.Contains(l.said.String(), w) {
			l.t.Errorf("%q is not said:\n%s", w, l.said.String())
		}
	}
}

func (l *durableLab) states() []string {
	files, err := filepath.Glob(filepath.Join(l.config.DataDir, "snapshots", "*", stateFile(0)))
	if err != nil || len(files) == 0 {
		l.t.Fatalf("no snapshots: %v", err)
	}
	return files
}

func damage(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		t.Fatalf("%s: %d bytes, %v", path, len(b), err)
	}
	b[len(b)/2]++
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// A clean stop leaves nothing to read again, and the shard is what it was.
func TestCleanRestart(t *testing.T) {
	t.Parallel()
	l := newDurableLab(t)
	s := l.mustStart()
	l.list(s, "BTC-USDT")
	hash := l.stop(s)
	hash2 := l.stop(l.mustStart())
	l.saidAll("ended cleanly", "packets=0 ", hash)
	l.stop(l.mustStart())
	l.saidAll("ended cleanly", "packets=0 ", hash2)
	if n := len(l.states()); n != 2 {
		t.Errorf("%d snapshots are kept, want 2", n)
	}
}

// The older snapshot stands in for a damaged one, the whole log for both.
func TestDamagedSnapshots(t *testing.T) {
	t.Parallel()
	l := newDurableLab(t)
	s := l.mustStart()
	l.list(s, "BTC-USDT")
	l.stop(s)
	hash := l.stop(l.mustStart())
	files := l.states()
	damage(t, files[len(files)-1])
	s = l.mustStart()
	l.saidAll("a snapshot cannot be used", hash)
	hash = l.stop(s)
	for _, file := range l.states() {
		damage(t, file)
	}
	if s, err := l.start(); err == nil {
		l.saidAll("snapshot_position=0 ", hash)
		l.stop(s)
	} else if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "another data_dir") {
		t.Errorf("refused without a remedy: %v", err)
	}
}

// Rows of places that the log does not reach begin a new generation, whose marks
// mean places of the new log; what a killed attempt left is in nobody's way.
func TestMarkBeyondTheLog(t *testing.T) {
	t.Parallel()
	l := newDurableLab(t)
	s := l.mustStart()
	l.list(s, "BTC-USDT")
	l.stop(s)
	l.rows.marks[0] = spool.Mark{Epoch: 1, Position: 1 << 40}
	left := filepath.Join(l.config.DataDir, "journal", "2")
	if err := os.MkdirAll(filepath.Join(left, "0"), 0o755); err != nil {
		t.Fatal(err)
	}
	s = l.mustStart()
	l.saidAll("the log ends before the rows")
	if _, err := os.Stat(filepath.Join(l.config.DataDir, "journal", "1")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old logs are there: %v", err)
	}
	hash := l.stop(s)
	if m := l.rows.Marks()[0]; m.Epoch != 2 {
		t.Errorf("mark %+v, want epoch 2", m)
	}
	l.stop(l.mustStart())
	l.saidAll("packets=0 ", hash)
	// Such logs do not tell what was before: without a snapshot there is no start.
	for _, file := range l.states() {
		damage(t, file)
	}
	if _, err := l.start(); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "bring a snapshot back") {
		t.Errorf("without a snapshot: %v", err)
	}
}

// Instruments keep their ids however the catalog is ordered; an id that never
// reached a log is given again.
func TestInstrumentsKeepIDs(t *testing.T) {
	t.Parallel()
	l := newDurableLab(t)
	s := l.mustStart()
	l.list(s, "A")
	s.addInstrument(tick.Instrument{Venue: "okx", Symbol: "NEVER", Underlying: "X"}, &venueFeed{}) // id 1, not logged
	l.list(s, "B")
	l.list(s, "C")
	l.stop(s)
	s = l.mustStart()
	for _, x := range []struct {
		symbol string
		id     uint32
	}{{"C", 3}, {"NEW", 1}, {"A", 0}, {"NEWER", 4}} {
		if in := l.list(s, x.symbol); in.ID != x.id {
			t.Errorf("%s has id %d, want %d", x.symbol, in.ID, x.id)
		}
	}
	if s.carrier(2) != nil || s.instrument(2).Symbol != "B" {
		t.Error("B is carried, or forgotten")
	}
	l.stop(s)
}
