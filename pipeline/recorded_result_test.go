package pipeline

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tickproc/engine"
	"tickproc/internal/clock"
	"tickproc/internal/testdata"
	"tickproc/journal"
	"tickproc/tick"
)

// recordedSessions are those that an adapter reads as they are.
var recordedSessions = []string{"okx-sample", "binance-spot-btcusdt-20240808", "binance-usdm-btcusdt-20240808", "binance-coinm-btcusd_perp-20240808"}

// A recorded session has one result, whatever number of shards, rings, ways to
// wait and pace it is read with.
func TestRecordedSessionsHaveOneResult(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	t.Parallel()
	dir := testdata.Dir(t)
	for what, names := range map[string][]string{
		"three markets at once": recordedSessions[1:], "many symbols": recordedSessions[:1],
	} {
		var files []string
		for _, name := range names {
			files = append(files, filepath.Join(dir, "captures", name+".gz"))
		}
		replay := func(shards AutoCount, units int, wait string, speed float64) (*ReplayReport, *rowSet) {
			config := DefaultConfig()
			config.Shards, config.Rings.Units, config.Wait = shards, units, wait
			rows := &rowSet{}
			return replayInto(t, ReplayOptions{Config: config, Files: files, Speed: speed}, rows), rows
		}
		report, want := replay(1, 1<<17, "park", 0)
		if report.Frames == 0 || want.n == 0 {
			t.Fatalf("%s prove nothing: %d frames, %d rows", what, report.Frames, want.n)
		}
		for _, c := range []struct {
			shards AutoCount
			units  int
			wait   string
			speed  float64
		}{
			{1, 4096, "yield", 0},
			{2, 1 << 15, "park", 0},
			{3, 4096, "yield", 0},
			{5, 1 << 17, "park", 5000},
		} {
			how := fmt.Sprintf("%s, %d shards, rings of %d, %s, speed %g", what, c.shards, c.units, c.wait, c.speed)
			got, have := replay(c.shards, c.units, c.wait, c.speed)
			if got.StateHash != report.StateHash || got.Frames != report.Frames {
				t.Errorf("%s: state %s after %d frames, want %s after %d", how, got.StateHash, got.Frames, report.StateHash, report.Frames)
			}
			if *have != *want {
				t.Errorf("%s: %d rows, want %d, or others", how, have.n, want.n)
			}
		}
	}
}

// rowSet is a sink that tells sets of rows apart, in whatever order they come.
type rowSet struct {
	n        int
	one, two uint64
}

var rowSeeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func (s *rowSet) Write(packets []tick.Unit) {
	for ; len(packets) > 0; packets = packets[tick.PacketUnits(&packets[0]):] {
		if kind := packets[0].KindOf(); kind == tick.RowPosition || kind == tick.KindCatalog {
			continue // of the shard, not of the market
		}
		type link struct {
			before uint64
			unit   tick.Unit
		}
		var one, two uint64
		for _, u := range packets[:tick.PacketUnits(&packets[0])] {
			one, two = maphash.Comparable(rowSeeds[0], link{one, u}), maphash.Comparable(rowSeeds[1], link{two, u})
		}
		s.n++
		s.one += one
		s.two += two
	}
}

func (s *rowSet) Idle(int64)                  {}
func (s *rowSet) Close(context.Context) error { return nil }

// A recorded session is logged in batches of some size, the process is killed in
// its middle, and another one loads the last snapshot, reads the log behind it
// and goes on: rows and state are those of a shard that was never disturbed, and
// the log holds the session.
func TestRecordedSessionsThroughCrashes(t *testing.T) {
	dir, seed := testdata.Dir(t), rand.Uint64()
	for i, name := range recordedSessions {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && i > 1 {
				t.Skip("the others take long under the race detector")
			}
			t.Parallel()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			tape, options := tapeOf(t, DefaultConfig(), filepath.Join(dir, "captures", name+".gz"))
			plain := engine.NewShard(options)
			var want []tick.Unit
			for _, p := range tape {
				plain.Apply(p)
				want = append(want, plain.TakeRows()...)
			}
			for _, units := range []int{1, 60, 4096} {
				have, hash := crashed(t, batches(tape, units), options, random)
				if hash != plain.StateHash() {
					t.Errorf("batches of %d units: another state", units)
				}
				if !slices.Equal(have, want) {
					t.Errorf("batches of %d units: other rows: %d units, want %d", units, len(have), len(want))
				}
			}
		})
	}
}

// batches joins packets as long as they have at most that many units.
func batches(tape [][]tick.Unit, units int) (all [][]tick.Unit) {
	var batch []tick.Unit
	for _, p := range tape {
		if len(batch) > 0 && len(batch)+len(p) > units {
			all, batch = append(all, batch), nil
		}
		batch = append(batch, p...)
	}
	if len(batch) > 0 {
		all = append(all, batch)
	}
	return all
}

// crashed is a session with a snapshot and a kill. What it returns are the rows
// that a spool has in the end: those made before the kill as far as it was
// written by then, those made again, and those of afterwards.
func crashed(t *testing.T, batches [][]tick.Unit, options engine.Options, random *rand.Rand) (rows []tick.Unit, hash uint64) {
	t.Helper()
	killed := 1 + random.IntN(len(batches))
	snapshot, spooled := random.IntN(killed), random.IntN(killed+1)
	spooled = max(spooled, snapshot) // a snapshot counts when its rows are safe
	o := journal.Options{Dir: t.TempDir(), RingOnDisk: true, RingBytes: 1 << 20, SegmentBytes: 1 << 20, ReserveBytes: 1 << 20, SyncEvery: time.Nanosecond}
	log, _, err := journal.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	add := func(log *journal.Log, batch []tick.Unit) {
		if log.Room() <= len(batch) {
			log.Drain(clock.Nanos())
		}
		if log.Append(batch) == 0 {
			t.Fatal("the log takes nothing")
		}
	}

	shelf, shard := &shelf{}, engine.NewShard(options)
	shard.SnapshotTo(shelf, 1<<40)
	from := uint64(0)
	for i, batch := range batches[:killed] {
		if i == snapshot {
			from = log.Appended()
			var u tick.Unit
			u.Barrier().Kind, u.Barrier().Number = tick.KindBarrier, 1
			shard.Apply([]tick.Unit{u})
		}
		add(log, batch)
		shard.Apply(batch)
		if made := shard.TakeRows(); i < spooled {
			rows = append(rows, made...)
		}
		shard.TakeCommands()
	}
	shard.SaveAll()
	end := log.Appended()

	log, found, err := journal.Open(o) // the killed process closed nothing
	if err != nil {
		t.Fatal(err)
	}
	if found.End != end || found.Clean || found.Lost() {
		t.Fatalf("logged up to %d, found %+v", end, found)
	}
	if shard, err = engine.LoadShard(slices.Values(shelf.items)); err != nil {
		t.Fatal(err)
	}
	i := snapshot
	err = log.Read(from, func(_ uint64, batch []tick.Unit) error {
		if !slices.Equal(batch, batches[i]) {
			t.Fatalf("batch %d of the log is another one", i)
		}
		shard.Apply(batch)
		if made := shard.TakeRows(); i >= spooled {
			rows = append(rows, made...)
		}
		shard.TakeCommands()
		i++
		return nil
	})
	if err != nil || i != killed {
		t.Fatalf("read up to batch %d of %d: %v", i, killed, err)
	}
	for _, batch := range batches[killed:] {
		add(log, batch)
		shard.Apply(batch)
		rows = append(rows, shard.TakeRows()...)
		shard.TakeCommands()
	}
	for log.Synced() < log.Appended() {
		log.Drain(clock.Nanos())
	}
	i = 0
	err = log.Read(0, func(_ uint64, batch []tick.Unit) error {
		if !slices.Equal(batch, batches[i]) {
			t.Fatalf("batch %d of the whole log is another one", i)
		}
		i++
		return nil
	})
	if err != nil || i != len(batches) {
		t.Fatalf("the log has %d batches of %d: %v", i, len(batches), err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return rows, shard.StateHash()
}
