package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tickproc/internal/clock"
	"tickproc/internal/vfs"
	"tickproc/journal"
	"tickproc/tick"
	"tickproc/writer/spool"
)

// keptRows is a sink whose rows outlive the process.
type keptRows struct {
	mu     sync.Mutex
	marks  map[uint16]spool.Mark
	trades int
	ledger *ledger // nil: rows are counted alone
}

func (k *keptRows) Write(packets []tick.Unit) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ledger != nil {
		k.ledger.Write(packets)
	}
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
	if strings.Contains(l.said.String(), "BUG") {
		t.Error(l.said.String())
	}
	manifests, err := journal.CheckSnapshots(vfs.OS, l.config.DataDir)
	if err != nil || len(manifests) == 0 {
		t.Fatal(err)
	}
	if text := string(manifests[0].Manifest.Extra); !strings.Contains(text, `"state_hash":"`) {
		t.Errorf("the manifest does not tell the state: %s", text)
	}
	if n := len(l.states()); n != 2 {
		t.Errorf("%d snapshots are kept, want 2", n)
	}
}

// A state that is loaded and is another than the one that was written is told.
func TestLoadedStateIsCompared(t *testing.T) {
	t.Parallel()
	for loaded, told := range map[uint64]bool{0x1f: false, 0x2f: true} {
		log := &logText{}
		d := &durable{logger: textLogger(log), build: "b", newest: &journal.Snapshot{Manifest: journal.Manifest{Build: "b", Extra: []byte(`{"state_hash":"000000000000001f"}`)}}}
		if d.compare([]recoveredShard{{loaded: loaded - 1}, {loaded: 1}}); log.has("not the one that was written") != told {
			t.Errorf("%x: %s", loaded, log)
		}
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
	s = l.mustStart()
	l.saidAll("snapshot_position=0 ", hash)
	l.stop(s)
}

// refused says that a start was, and that it made no other log.
func (l *durableLab) refused(want ...string) {
	l.t.Helper()
	before := filesIn(l.t, l.config.DataDir)
	s, err := l.start()
	if err == nil {
		l.stop(s)
		l.t.Fatalf("started:\n%s", l.said.String())
	}
	for _, w := range append(want, "another data_dir") {
		if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), w) {
			l.t.Errorf("%v does not say %q", err, w)
		}
	}
	if after := filesIn(l.t, l.config.DataDir); !slices.Equal(before, after) {
		l.t.Errorf("files %v, and after it %v", before, after)
	}
}

func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	if err := fs.WalkDir(os.DirFS(dir), ".", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) != ".log" { // a segment more of a log that is there is no harm
			names = append(names, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return names
}

// Without any snapshot a log that no longer has its beginning means nothing.
func TestDamagedSnapshotsAndAShortLog(t *testing.T) {
	t.Parallel()
	l := newDurableLab(t)
	l.config.Journal.Keep, l.config.Journal.KeepFor = 0, 0 // what no snapshot needs goes at once
	for i := range 4 {
		s := l.mustStart()
		l.list(s, fmt.Sprint("S", i))
		l.snapshot(s)
		if i == 3 {
			await(t, "the log's beginning is gone", time.Minute, func() bool {
				first, err := filepath.Glob(filepath.Join(l.config.DataDir, "journal", "1", "shard-00-*-00000000000000000000.log"))
				return err == nil && len(first) == 0
			})
		}
		l.stop(s)
	}
	for _, file := range l.states() {
		damage(t, file)
	}
	l.refused("no snapshot can be used", "does not reach back to its beginning")
}

// A new generation of logs begins with a snapshot. Without it they mean nothing,
// and an older snapshot is of logs that are gone: neither may be taken for a
// beginning, and no empty log stands in.
func TestDamagedSnapshotOfANewGeneration(t *testing.T) {
	t.Parallel()
	l := newDurableLab(t)
	s := l.mustStart()
	l.list(s, "BTC-USDT")
	l.stop(s)
	l.rows.marks[0] = spool.Mark{Epoch: 1, Position: 1 << 40}
	s = l.mustStart()
	l.list(s, "ETH-USDT")
	s.abandon() // without a last snapshot
	l.dir.close()
	files := l.states()
	if len(files) != 2 {
		t.Fatalf("snapshots %v", files)
	}
	whole, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	damage(t, files[1])
	l.refused("begin with a snapshot", "snapshots back from a copy", "of logs that are gone")
	if err := os.RemoveAll(filepath.Dir(files[0])); err != nil {
		t.Fatal(err)
	}
	l.refused("begin with a snapshot", "snapshots back from a copy")
	if err := os.WriteFile(files[1], whole, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(l.config.DataDir, "journal", "2"), filepath.Join(t.TempDir(), "2")); err != nil {
		t.Fatal(err)
	}
	l.refused("the log of shard 0", "bring the files")
}

// What the snapshot was damaged for comes back: all is well again.
func TestSnapshotBroughtBack(t *testing.T) {
	t.Parallel()
	l := newDurableLab(t)
	s := l.mustStart()
	l.list(s, "BTC-USDT")
	l.stop(s)
	l.rows.marks[0] = spool.Mark{Epoch: 1, Position: 1 << 40}
	hash := l.stop(l.mustStart())
	var whole [][]byte
	for _, file := range l.states() {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		whole = append(whole, text)
		damage(t, file)
	}
	l.refused("begin with a snapshot")
	for i, file := range l.states() {
		if err := os.WriteFile(file, whole[i], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l.stop(l.mustStart())
	l.saidAll("ended cleanly", hash)
}

// A line's finer scale holds over a kill, whether a snapshot has it or the log;
// a restart sets lines back to the definition's scale, as the venue's new
// connections begin there.
func TestScalesOutliveTheProcess(t *testing.T) {
	t.Parallel()
	for _, snapshot := range []bool{false, true} {
		l := newDurableLab(t)
		l.rows.ledger = newLedger()
		s := l.mustStart()
		in := l.list(s, "BTC-USDT") // two digits
		l.record(s, tradesOf(in, 1, 1, 15000))
		l.record(s, tick.AppendRescale(nil, tick.Header{Instrument: in.ID, ReceiveNanos: clock.Nanos()}, 4, in.SizeDigits))
		l.record(s, tradesOf(in, 2, 1, 1500001))
		if snapshot {
			l.snapshot(s)
		}
		l.record(s, tradesOf(in, 3, 1, 1500002))
		l.settled(s)
		l = l.killed(s)
		s = l.mustStart()
		l.record(s, tradesOf(in, 4, 1, 15003)) // by a new connection
		l.record(s, tick.AppendRescale(nil, tick.Header{Instrument: in.ID, ReceiveNanos: clock.Nanos()}, 4, in.SizeDigits))
		l.record(s, tradesOf(in, 5, 1, 1500004))
		l.settled(s)
		hash := l.stop(s)
		l.stop(l.mustStart())
		l.saidAll(hash)
		var prices []string
		for _, e := range l.rows.ledger.order {
			if e.table == "trades" {
				prices = append(prices, strings.Fields(e.value)[0])
			}
		}
		if got, want := strings.Join(prices, " "), "150 150.0001 150.0002 150.03 150.0004"; got != want {
			t.Errorf("with a snapshot %v: %s, want %s", snapshot, got, want)
		}
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
	if _, err := l.start(); !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "bring the folder snapshots back") {
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

// A log that is damaged in the middle is read up to there, if it may be, and
// goes on as another one: what lies behind the hole belongs to a state that
// nobody has.
func TestLogWithAHole(t *testing.T) {
	t.Parallel()
	l := newDurableLab(t)
	l.config.Journal.Damage = "skip"
	s := l.mustStart()
	for _, symbol := range []string{"A", "B", "C", "D"} {
		l.list(s, symbol)
	}
	l.stop(s)
	if err := os.RemoveAll(filepath.Join(l.config.DataDir, "snapshots")); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(l.config.DataDir, "journal", "1", "*.log"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v", files, err)
	}
	damage(t, files[0])
	s = l.mustStart()
	l.saidAll("what was logged behind the damage is not applied")
	all := s.drivers[0].Shard.Definitions()
	if n := len(all); n == 0 || n == 4 || all[0].Symbol != "A" {
		t.Errorf("of four instruments %d are known: %v", n, all)
	}
	hash := l.stop(s)
	l.stop(l.mustStart())
	l.saidAll("packets=0 ", hash)
}
