package pipeline

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"tickproc/engine"
	"tickproc/internal/testdata"
	"tickproc/internal/vfs"
	"tickproc/internal/vfs/simdisk"
	"tickproc/tick"
)

var fullMatrix = flag.Bool("full-matrix", false, "replay every recorded session in every way, rather than each way once; cut off each step in both ways")

// recordedSessions are captures, of venues that an adapter reads: one of many
// instruments, and ones of many frames.
func recordedSessions(t *testing.T) map[string][]string {
	dir := testdata.Dir(t)
	names := []string{"okx-sample", "binance-spot-btcusdt-20240808"}
	if *fullMatrix {
		names = append(names, "binance-usdm-btcusdt-20240808", "binance-coinm-btcusd_perp-20240808")
	}
	all := map[string][]string{}
	for _, name := range names {
		all[name] = []string{filepath.Join(dir, "captures", name+".gz")}
	}
	return all
}

// way is how a session is replayed.
type way struct {
	shards AutoCount
	units  int // of a ring
	wait   string
	speed  float64
}

// ways are all combinations, or so many of them that each value is among them.
func ways(random *rand.Rand) (all []way) {
	shards, units, waits := []AutoCount{1, 2, 3}, []int{4096, 32768, 1 << 17}, []string{"park", "yield", "auto"}
	if *fullMatrix {
		for _, s := range shards {
			for _, u := range units {
				for _, w := range waits {
					all = append(all, way{shards: s, units: u, wait: w}, way{shards: s, units: u, wait: w, speed: quickly})
				}
			}
		}
		return all
	}
	random.Shuffle(len(units), func(i, j int) { units[i], units[j] = units[j], units[i] })
	random.Shuffle(len(waits), func(i, j int) { waits[i], waits[j] = waits[j], waits[i] })
	for i, s := range shards {
		all = append(all, way{shards: s, units: units[i], wait: waits[i]})
	}
	all[random.IntN(len(all))].speed = quickly
	return all
}

// quickly is a multiple of real time at which an hour takes less than a second.
const quickly = 5000

// The recorded sessions have one result, however they are cut and paced: the same
// rows, as sets without their output numbers, and the same state.
func TestSameCaptureSameRows(t *testing.T) {
	seed := rand.Uint64()
	for name, files := range recordedSessions(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			f := func(w way) (rows *rowCounts, report *ReplayReport) {
				t.Helper()
				c := DefaultConfig()
				c.Shards, c.Rings.Units, c.Wait = w.shards, w.units, w.wait
				rows = newRowCounts()
				report = replayInto(t, ReplayOptions{Config: c, Files: files, Speed: w.speed}, rows)
				return rows.withoutTimes(), report
			}
			all := ways(random)
			want, report := f(all[0])
			if len(want.rows) < 50 || report.Frames < 400 {
				t.Fatalf("the session proves nothing: %d rows of %d frames", len(want.rows), report.Frames)
			}
			for _, w := range all[1:] {
				have, got := f(w)
				if got.StateHash != report.StateHash || got.Frames != report.Frames {
					t.Errorf("%+v: state %s after %d frames, want %s after %d", w, got.StateHash, got.Frames, report.StateHash, report.Frames)
				}
				want.equal(t, fmt.Sprintf("%+v", w), have)
			}
		})
	}
}

// The recorded sessions through a log: batches of any sizes, any number of shards,
// and a kill somewhere, after which a snapshot and the tail of the log make the
// shards again. The rows that are not made again were kept, and all together are
// those of one shard without a log, byte for byte.
func TestSameLogSameBytes(t *testing.T) {
	seed := rand.Uint64()
	for name, files := range recordedSessions(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			tape, _ := tapeOf(t, DefaultConfig(), files...)
			options := DefaultConfig().engineOptions()
			shard, want := engine.NewShard(options), newRowCounts()
			for _, p := range tape {
				shard.Apply(p)
				want.Write(shard.TakeRows())
				shard.TakeCommands()
			}
			// Every shard is told the time of the end.
			end := tickAt(shard.Now())
			tape = append(tape, end)
			shard.Apply(end)
			want.Write(shard.TakeRows())
			want = want.withoutTimes()
			rounds := 3
			if *fullMatrix {
				rounds = 12
			}
			for round := range rounds {
				x := logged{t: t, tape: tape, random: random, shards: 1 + round%3, rows: newRowCounts()}
				x.run()
				if x.hash != shard.StateHash() {
					t.Errorf("%d shards: state %016x, want %016x", x.shards, x.hash, shard.StateHash())
				}
				want.equal(t, fmt.Sprintf("%d shards, killed at %d of %d", x.shards, x.killed, len(tape)), x.rows.withoutTimes())
			}
		})
	}
}

// dirOn is a data folder on a disk that is not the machine's.
func dirOn(disk vfs.FS) *dataDir {
	around := *machine
	around.fs = disk
	return &dataDir{path: "/data", around: &around, unlock: func() {}}
}

// logged is a run over a tape with a kill in it.
type logged struct {
	t      *testing.T
	tape   [][]tick.Unit
	random *rand.Rand
	shards int
	rows   *rowCounts
	killed int
	hash   uint64
}

func (x *logged) run() {
	t := x.t
	config := DefaultConfig()
	config.DataDir, config.Journal.MemoryDir, config.Shards = "/data", filepath.Join(t.TempDir(), "none"), AutoCount(x.shards)
	config.Journal.Memory, config.Journal.Segment, config.Journal.Reserve = 1<<20, 2<<20, 512<<10
	disk := simdisk.New(x.random, simdisk.Faults{})
	if err := disk.MkdirAll("/data"); err != nil {
		t.Fatal(err)
	}
	o := RunOptions{Config: config, Logger: slog.New(slog.DiscardHandler)}
	s, err := newDurableSystem(o, x.rows, x.rows, dirOn(disk))
	if err != nil {
		t.Fatal(err)
	}
	of := map[uint32]int{} // shards
	for _, p := range x.tape {
		if p[0].KindOf() == tick.KindCatalog {
			of[p[0].Header().Instrument] = shardOf(p[0].Catalog().Definition().Underlying, x.shards)
		}
	}
	feed := func(drivers []*engine.Driver, tape [][]tick.Unit) {
		batches, sizes := make([][]tick.Unit, x.shards), make([]int, x.shards)
		flush := func(i int) {
			if !drivers[i].Record(batches[i]) {
				t.Fatal("the log takes nothing")
			}
			batches[i], sizes[i] = batches[i][:0], 1+x.random.IntN(64)
		}
		for _, p := range tape {
			for i := range x.shards {
				if owner, owned := of[p[0].Header().Instrument]; p[0].KindOf() != tick.KindTick && (!owned || owner != i) {
					continue
				}
				if batches[i] = append(batches[i], p...); len(batches[i]) >= sizes[i] {
					flush(i)
				}
			}
		}
		for i := range x.shards {
			flush(i)
		}
	}
	x.killed = 1 + x.random.IntN(len(x.tape)-1)
	snapshot := x.random.IntN(x.killed)
	feed(s.drivers, x.tape[:snapshot])
	if _, err := s.durable.snapshots.take(t.Context(), s.barrierNow); err != nil {
		t.Fatal(err)
	}
	feed(s.drivers, x.tape[snapshot:x.killed])
	found := disk.Crash(false) // all that was appended is there: the process alone has died
	s.abandon()

	dir := dirOn(found)
	d, err := openDurable(dir, config, o.Logger, x.rows)
	if err != nil {
		t.Fatal(err)
	}
	s = d.assemble(o, x.rows, x.shards)
	d.system = s
	configs, err := dir.allOptions()
	if err != nil {
		t.Fatal(err)
	}
	s.startWriting()
	marks := x.rows.Marks()
	for i, driver := range s.drivers {
		r := d.recoverShard(i, configs, marks[uint16(i)])
		if r.err != nil {
			t.Fatal(r.err)
		}
		d.logs = append(d.logs, r.log)
		driver.Log, driver.Epoch = r.log.Append, d.run.Generation
	}
	d.startDraining()
	feed(s.drivers, x.tape[x.killed:])
	for _, driver := range s.drivers {
		x.hash += driver.Shard.StateHash()
	}
	s.abandon()
}
