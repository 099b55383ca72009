package pipeline

import (
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/internal/testdata"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// On the recorded sessions that an adapter reads today: a shard that is loaded from a
// snapshot of any place gives the rest of the rows, unit for unit, and ends in
// the same state; and the one that wrote the snapshot while packets went on
// coming is not changed by it.
func TestSnapshotsOfRecordedSessions(t *testing.T) {
	dir, seed := testdata.Dir(t), rand.Uint64()
	for i, name := range []string{"okx-sample", "binance-spot-btcusdt-20240808", "binance-usdm-btcusdt-20240808", "binance-coinm-btcusd_perp-20240808"} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && i > 1 {
				t.Skip("the others take long under the race detector")
			}
			t.Parallel()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			tape, options := tapeOf(t, DefaultConfig(), filepath.Join(dir, "captures", name+".gz"))
			options.Nbbo = true
			for range 3 {
				snapshotOfSession(t, tape, options, random.IntN(len(tape)))
			}
		})
	}
}

// shelf keeps a snapshot.
type shelf struct {
	items [][]byte
	ended bool
}

func (x *shelf) Begin(uint64, int64) {}
func (x *shelf) Buffer() []byte      { return nil }
func (x *shelf) Item(p []byte)       { x.items = append(x.items, slices.Clone(p)) }
func (x *shelf) End()                { x.ended = true }
func (x *shelf) Room() bool          { return len(x.items)%3 != 0 }

func snapshotOfSession(t *testing.T, tape [][]tick.Unit, options engine.Options, at int) {
	t.Helper()
	x := &shelf{}
	plain, asked := engine.NewShard(options), engine.NewShard(options)
	asked.SnapshotTo(x, 1)
	var want [][]tick.Unit
	for i, p := range tape {
		if i == at {
			var u tick.Unit
			u.Barrier().Kind, u.Barrier().Number = tick.KindBarrier, 1
			asked.Apply([]tick.Unit{u})
		}
		plain.Apply(p)
		asked.Apply(p)
		said := slices.Concat(plain.TakeRows(), plain.TakeCommands())
		if got := slices.Concat(asked.TakeRows(), asked.TakeCommands()); !slices.Equal(got, said) {
			t.Fatalf("packet %d gave other rows while a snapshot was written", i)
		}
		want = append(want, said)
	}
	asked.SaveAll()
	if !x.ended || asked.StateHash() != plain.StateHash() {
		t.Fatalf("whole %v, or another state", x.ended)
	}
	loaded, err := engine.LoadShard(slices.Values(x.items))
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range tape[at:] {
		loaded.Apply(p)
		if got := slices.Concat(loaded.TakeRows(), loaded.TakeCommands()); !slices.Equal(got, want[at+i]) {
			t.Fatalf("loaded at %d of %d, packet %d gave other rows", at, len(tape), at+i)
		}
	}
	if loaded.StateHash() != plain.StateHash() {
		t.Errorf("loaded at %d of %d: ends in another state", at, len(tape))
	}
}

// tapeOf returns the packets that a shard is given of captures.
func tapeOf(t *testing.T, config *Config, paths ...string) (tape [][]tick.Unit, options engine.Options) {
	t.Helper()
	r := newReplay(ReplayOptions{Config: config, Files: paths, Logger: slog.New(slog.DiscardHandler)})
	if err := r.open(); err != nil {
		t.Fatal(err)
	}
	defer r.close()
	r.drivers = []*engine.Driver{{}} // one shard, which is not run
	ring, waker := ringbuf.New(1<<17), ringbuf.NewWaker(ringbuf.Park)
	ring.SetWaker(waker)
	r.out = feeds.NewOutput([]*ringbuf.Ring{ring}, &r.routes, feeds.OutputOptions{OverloadWait: 1 << 62})
	read := make(chan error, 1)
	go func() {
		read <- r.read(t.Context())
		r.out.Close()
	}()
	for !ring.Done() {
		units := ring.Poll()
		if len(units) == 0 {
			waker.Wait(func() bool { return ring.Len() > 0 || ring.Done() }, 0)
			continue
		}
		for rest := slices.Clone(units); len(rest) > 0; {
			n := tick.PacketUnits(&rest[0])
			tape = append(tape, rest[:n:n])
			rest = rest[n:]
		}
		ring.Release(len(units))
	}
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	return tape, r.engine
}
