package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tickproc/engine"
	"tickproc/feeds/sim"
	"tickproc/internal/clock"
	"tickproc/internal/vfs"
	"tickproc/internal/vfs/simdisk"
	"tickproc/tick"
	"tickproc/writer/spool"
)

// Shards that are redistributed between two packets go on as they would have:
// the same rows, the same state.
func TestRedistributedShardsGoOn(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 41, Levels: 60, Rate: 100})
	l := newLab(t, exchange, func(c *Config) { c.Record.Dir = t.TempDir() })
	l.awaitValid()
	l.awaitEvents(600)
	l.finish()
	tape, options := tapeOf(t, DefaultConfig(), l.captures()...)
	options.Nbbo = true
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	at := map[uint32]string{} // underlyings
	for _, p := range tape {
		if p[0].KindOf() == tick.KindCatalog {
			at[p[0].Header().Instrument] = p[0].Catalog().Definition().Underlying
		}
	}
	// run plays the tape, and turns to another number of shards at some packets.
	run := func(counts map[int]int) (rows *rowCounts, hash uint64) {
		rows = newRowCounts()
		shards := []*engine.Shard{engine.NewShard(options)}
		take := func() {
			for _, s := range shards {
				rows.Write(s.TakeRows())
				s.TakeCommands()
			}
		}
		for i, p := range tape {
			if count := counts[i]; count > 0 {
				var now int64
				for _, s := range shards {
					now = max(now, s.Now())
				}
				for _, s := range shards {
					s.Apply(tickAt(now))
				}
				take()
				var err error
				if shards, err = engine.Redistribute(shards, count, func(in *tick.Instrument) int { return shardOf(in.Underlying, count) }); err != nil {
					t.Fatal(err)
				}
			}
			shards[shardOf(at[p[0].Header().Instrument], len(shards))].Apply(p)
			take()
		}
		end := tape[len(tape)-1][0].Header().ReceiveNanos
		for _, s := range shards {
			s.Apply(tickAt(end))
			hash += s.StateHash()
			s.Finish()
		}
		take()
		return rows, hash
	}
	want, hash := run(nil)
	for range 4 {
		counts := map[int]int{}
		for range 1 + random.IntN(3) {
			counts[random.IntN(len(tape))] = 1 + random.IntN(4)
		}
		have, got := run(counts)
		if got != hash {
			t.Errorf("%v: state %016x, want %016x", counts, got, hash)
		}
		want.withoutTimes().equal(t, fmt.Sprint(counts), have.withoutTimes())
	}
}

// withoutTimes are the rows without our own times: a deadline fires with the next
// packet of its shard, which is another one in another shard.
func (x *rowCounts) withoutTimes() *rowCounts {
	out := newRowCounts()
	for row, n := range x.rows {
		units := unitsOf(row)
		if units[0].KindOf() == tick.KindCatalog {
			units[0].Header().ReceiveNanos = 0
		} else {
			units[0].RowHeader().ReceiveNanos = 0
		}
		for range n {
			out.Write(units)
		}
	}
	return out
}

// Another number of shards at a start takes nothing away: every trade that
// reached a socket is stored once, or lies in the outage's gap, and books and bars
// are right.
func TestShardsChangeAtStart(t *testing.T) {
	t.Parallel()
	l := newLogLab(t, sim.Options{Seed: 42, Levels: 60, Rate: 100, Venues: stormVenues}, nil)
	rows, ledger := newRowCounts(), newLedger()
	rows.also = ledger
	for run, shards := range []AutoCount{2, 3, 3, 1} {
		l.config.Shards = shards
		l.run(rows, func(x *lab) {
			x.awaitValid()
			x.awaitEvents(200)
			if len(x.system.drivers) != int(shards) {
				t.Errorf("%d shards, want %d", len(x.system.drivers), shards)
			}
			if run < 3 {
				return
			}
			drain, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := l.exchange.Drain(drain); err != nil {
				t.Error(err)
			}
		})
	}
	if !l.said.has("the number of shards has changed") {
		t.Errorf("nothing is said:\n%s", l.said)
	}
	generations, err := filepath.Glob(filepath.Join(l.config.DataDir, "journal", "*"))
	if err != nil || len(generations) != 1 || filepath.Base(generations[0]) != "3" {
		t.Errorf("logs %v, %v", generations, err)
	}
	stored := 0
	for _, truth := range l.exchange.Truth() {
		stored += checkTruth(t, ledger, &truth).stored
	}
	if stored == 0 {
		t.Error("no trade was compared")
	}
	_, report := l.replay(time.Time{}, time.Time{})
	if state := l.recovered(newRowCounts()); report.StateHash != state || report.Journal.Snapshot == 0 {
		t.Errorf("the log ends in state %s, the next start finds %s", report.StateHash, state)
	}
}

// stepDisk takes a picture of what the next process finds if this one ends, or
// the power does, before a step: a call that changes something.
type stepDisk struct {
	*simdisk.Disk
	at, steps int
	counting  bool // from the first step of the change on
	power     bool
	rows      *keptRows
	found     *simdisk.Disk // nil: there are fewer steps
	marks     map[uint16]spool.Mark
	mu        chan struct{} // one step at a time: logs are drained on other goroutines
}

func newStepDisk(d *simdisk.Disk, at int, power bool, rows *keptRows) *stepDisk {
	return &stepDisk{Disk: d, at: at, power: power, rows: rows, mu: make(chan struct{}, 1)}
}

func (d *stepDisk) step() {
	d.mu <- struct{}{}
	if d.counting {
		if d.steps++; d.steps == d.at {
			d.found, d.marks = d.Disk.Crash(d.power), d.rows.Marks()
		}
	}
	<-d.mu
}

func (d *stepDisk) MkdirAll(dir string) error {
	d.mu <- struct{}{}
	d.counting = d.counting || dir == "/data/journal/2"
	<-d.mu
	d.step()
	return d.Disk.MkdirAll(dir)
}
func (d *stepDisk) Rename(from, to string) error {
	d.step()
	return d.Disk.Rename(from, to)
}
func (d *stepDisk) Remove(name string) error { d.step(); return d.Disk.Remove(name) }
func (d *stepDisk) SyncDir(dir string) error { d.step(); return d.Disk.SyncDir(dir) }
func (d *stepDisk) Create(name string) (vfs.File, error) {
	d.step()
	f, err := d.Disk.Create(name)
	return &stepFile{f, d}, err
}
func (d *stepDisk) OpenWrite(name string) (vfs.File, error) {
	f, err := d.Disk.OpenWrite(name)
	return &stepFile{f, d}, err
}

type stepFile struct {
	vfs.File
	of *stepDisk
}

func (f *stepFile) WriteAt(p []byte, at int64) (int, error) {
	f.of.step()
	return f.File.WriteAt(p, at)
}
func (f *stepFile) Sync() error            { f.of.step(); return f.File.Sync() }
func (f *stepFile) Truncate(n int64) error { f.of.step(); return f.File.Truncate(n) }
func (f *stepFile) Allocate(n int64) error { f.of.step(); return f.File.Allocate(n) }

// The change is cut off before every step that it takes, by a kill or by a power
// cut (with -full-matrix by both). The next start finds the old logs or the new ones, and either way the state
// that an undisturbed change comes to, under the new number and under the old.
func TestShardsChangeThroughCrashes(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	config := DefaultConfig()
	config.DataDir, config.Journal.MemoryDir = "/data", filepath.Join(t.TempDir(), "none")
	config.Journal.Memory, config.Journal.Segment, config.Journal.Reserve, config.Journal.Sync = 64<<10, 64<<10, 64<<10, Duration(time.Millisecond)
	logger := slog.New(slog.DiscardHandler)
	start := func(disk vfs.FS, rows *keptRows, shards int) (*system, error) {
		c := *config
		c.Shards = AutoCount(shards)
		if err := vfs.MakeDir(disk, "/data"); err != nil {
			t.Fatal(err)
		}
		return newDurableSystem(RunOptions{Config: &c, Logger: logger}, rows, rows, dirOn(disk))
	}
	hash := func(s *system) (sum uint64) {
		for _, d := range s.drivers {
			sum += d.Shard.StateHash()
		}
		return sum
	}
	symbols := func(s *system) (all []string) {
		for _, d := range s.drivers {
			for _, in := range d.Shard.Definitions() {
				all = append(all, in.Symbol)
			}
		}
		slices.Sort(all)
		return all
	}

	base, first := simdisk.New(rand.New(rand.NewPCG(seed, 0)), simdisk.Faults{}), &keptRows{marks: map[uint16]spool.Mark{}}
	s, err := start(base, first, 2)
	if err != nil {
		t.Fatal(err)
	}
	f := &venueFeed{venue: "okx"}
	for i, symbol := range []string{"A", "B", "C", "D", "E"} {
		in := s.addInstrument(tick.Instrument{Venue: "okx", Symbol: symbol, Underlying: symbol, Base: symbol, Quote: "USDT", Type: tick.TypeSpot,
			PriceDigits: 2, SizeDigits: 3, Channels: tick.ChannelTrades | tick.ChannelQuotes}, f)
		now := clock.Nanos()
		packets, err := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: now}, *in)
		if err != nil {
			t.Fatal(err)
		}
		packets = tick.AppendEvent(packets, tick.Header{Kind: tick.KindUp, Instrument: in.ID, ReceiveNanos: now}, tick.ChannelTrades, tick.ReasonNone)
		var p []tick.Unit
		packets, p = tick.AppendUnits(packets, 1)
		*p[0].Trade() = tick.Trade{Header: tick.Header{Kind: tick.KindTrade, Instrument: in.ID, ExchangeNanos: now, ReceiveNanos: now, Ordinal: 1}, ID: tick.ID{Lo: 7}, Price: 100 + int64(i), Size: 5}
		if !s.drivers[s.routes.Shard(in.ID)].Record(packets) {
			t.Fatal("the log takes nothing")
		}
	}
	names := symbols(s)
	s.durable.finish()
	s.abandon()

	copied := func(marks map[uint16]spool.Mark) *keptRows { return &keptRows{marks: maps.Clone(marks)} }
	want, wholeSteps := uint64(0), 0
	for _, power := range []bool{false, true} {
		for at := 1; ; at++ {
			if !*fullMatrix && at%2 == 0 != power {
				continue // it is cut off in the other way
			}
			rows := copied(first.marks)
			disk := newStepDisk(base.Crash(false), at, power, rows)
			s, err := start(disk, rows, 3)
			if err != nil {
				t.Fatal(err)
			}
			if want == 0 {
				want = hash(s)
			}
			if len(s.drivers) != 3 || hash(s) != want || !slices.Equal(symbols(s), names) {
				t.Fatalf("undisturbed: %d shards, state %016x, want %016x", len(s.drivers), hash(s), want)
			}
			s.abandon()
			if disk.found == nil {
				wholeSteps = disk.steps
				break
			}
			shards, after := 2+at/2%2, disk.found
			if power {
				loseRings(t, after)
			}
			if s, err = start(after, copied(disk.marks), shards); err != nil {
				t.Fatalf("power %v, step %d, %d shards: %v", power, at, shards, err)
			}
			if len(s.drivers) != shards || hash(s) != want || !slices.Equal(symbols(s), names) {
				t.Fatalf("power %v, step %d: %d shards, want %d; state %016x, want %016x; %v", power, at, len(s.drivers), shards, hash(s), want, symbols(s))
			}
			for _, in := range s.instruments {
				if !slices.ContainsFunc(s.drivers[s.routes.Shard(in.ID)].Shard.Definitions(), func(x tick.Instrument) bool { return x.ID == in.ID }) {
					t.Fatalf("%s is not where its packets go", in.Symbol)
				}
			}
			s.durable.finish()
			s.abandon()
			// Those of an attempt that came to nothing are overwritten by the next.
			if left := generations(t, after); len(left) != 1 && shards == 3 {
				t.Fatalf("power %v, step %d, %d shards: logs %v are left", power, at, shards, left)
			}
		}
	}
	t.Logf("%d steps", wholeSteps)
	if wholeSteps < 30 {
		t.Error("too few steps to have changed anything")
	}
}

// loseRings takes the rings away: they lie in memory, or are of another boot.
func loseRings(t *testing.T, disk vfs.FS) {
	t.Helper()
	for _, generation := range generations(t, disk) {
		dir := filepath.Join("/data/journal", generation)
		entries, err := disk.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.Contains(e.Name, ".ring") {
				continue
			}
			if err := disk.Remove(filepath.Join(dir, e.Name)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func generations(t *testing.T, disk vfs.FS) (names []string) {
	t.Helper()
	entries, err := disk.List("/data/journal")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name)
	}
	return names
}
