package journal

import (
	"errors"
	"flag"
	"fmt"
	"testing"

	"tickproc/internal/vfs/simdisk"
)

// A long run: go test ./journal -run TestModel -journal.seeds 100000
// A failing seed again: -journal.first SEED -journal.seeds 1
var (
	modelSeeds = flag.Uint64("journal.seeds", 0, "how many seeds the model tests run; 0: 300, and 50 where that is too slow")
	modelFirst = flag.Uint64("journal.first", 0, "the first of them")
)

func seedsOfModel() (first, end uint64) {
	n := uint64(300)
	switch {
	case *modelSeeds > 0:
		n = *modelSeeds
	case testing.Short() || bitStep > 1:
		n = 50
	}
	return *modelFirst, *modelFirst + n
}

// model is the log as one would explain it: a list of batches, of which those
// below synced survive a power cut and all survive a kill.
type model struct {
	batches []logged
	end     uint64
	synced  uint64
	first   uint64 // retention may have removed what is below
}

func (m *model) append(batch []logged) {
	m.batches = append(m.batches, batch...)
	last := batch[len(batch)-1]
	m.end = last.position + uint64(len(last.batch)) + 1
}

// from returns the batches from a position on.
func (m *model) from(position uint64) []logged {
	for i, b := range m.batches {
		if b.position >= position {
			return m.batches[i:]
		}
	}
	return nil
}

// trial does the same on a log and on the model.
type trial struct {
	*machine
	log    *Log
	model  model
	seed   uint64
	number uint64
	keep   uint64
	story  []string
}

func (x *trial) say(format string, args ...any) {
	x.story = append(x.story, fmt.Sprintf(format, args...))
}

func (x *trial) fatal(format string, args ...any) {
	x.t.Helper()
	story := x.story[max(0, len(x.story)-40):]
	for _, s := range story {
		x.t.Log(s)
	}
	x.t.Logf("again: go test ./journal -run '^%s$' -journal.first %d -journal.seeds 1", x.t.Name(), x.seed)
	x.t.Fatalf(format+"\n%s", append(args, x.disk)...)
}

// append logs a batch if there is room.
func (x *trial) append() {
	n := 1 + x.random.IntN(x.log.MaxBatch())
	if x.random.IntN(2) == 0 {
		n = 1 + x.random.IntN(3)
	}
	if x.log.Room() < n+1 {
		return
	}
	x.number++
	at, b := x.log.Appended(), aBatch(x.number, n)
	x.model.append([]logged{{at, b}})
	if end := x.log.Append(b); end != x.model.end {
		x.fatal("append gave %d, want %d", end, x.model.end)
	}
	x.say("append %d units at %d", n, at)
}

func (x *trial) drain() {
	x.now += int64(x.random.IntN(15)) * 1e6
	x.log.Drain(x.now)
	synced := x.log.Synced()
	if synced < x.model.synced || synced > x.model.end {
		x.fatal("synced went from %d to %d of %d", x.model.synced, synced, x.model.end)
	}
	x.model.synced = synced
	x.say("drain: %d of %d synced, %v", synced, x.model.end, x.log.Status())
}

// retain lets go what is below a synced batch.
func (x *trial) retain() {
	for _, b := range x.model.from(x.keep) {
		if b.position > x.model.synced {
			break
		}
		x.keep = b.position
		if x.random.IntN(4) == 0 {
			break
		}
	}
	x.log.Retain(x.keep)
	x.say("retain %d", x.keep)
}

// reopen opens and compares. power: what was not synced may be gone, but only
// from the end.
func (x *trial) reopen(how string, power, clean bool) {
	x.say("%s at %d, %d synced", how, x.model.end, x.model.synced)
	l, found, err := Open(x.options())
	if err != nil {
		x.fatal("after %s: %v", how, err)
	}
	x.log = l
	switch {
	case found.Identity != x.log.Identity() || found.New:
		x.fatal("after %s: %+v", how, found)
	case len(found.Damages) > 0:
		x.fatal("after %s: damage %v", how, found.Damages)
	case clean && (!found.Clean || found.Lost()):
		x.fatal("after %s: %+v", how, found)
	case !power && found.End != x.model.end:
		x.fatal("after %s the log ends at %d, want %d", how, found.End, x.model.end)
	case power && (found.End < x.model.synced || found.End > x.model.end):
		x.fatal("after %s the log ends at %d, want %d to %d", how, found.End, x.model.synced, x.model.end)
	case found.First > x.keep:
		x.fatal("after %s the log begins at %d, kept is %d", how, found.First, x.keep)
	case power && found.End < x.model.end && !found.Lost():
		x.fatal("after %s a loss is not reported: %+v", how, found)
	}
	for len(x.model.batches) > 0 && x.model.batches[len(x.model.batches)-1].position >= found.End {
		x.model.batches = x.model.batches[:len(x.model.batches)-1]
	}
	x.model.end, x.model.synced = found.End, found.End
	x.model.first = found.First
	x.compare(how)
	if err := x.log.Acknowledge(); err != nil {
		x.fatal("%v", err)
	}
	x.log.Retain(x.keep)
}

func (x *trial) compare(how string) {
	for _, from := range []uint64{x.model.first, x.keep} {
		want := x.model.from(from)
		i := 0
		err := x.log.Read(from, func(position uint64, batch []unit) error {
			if i >= len(want) || !same(logged{position, batch}, want[i]) {
				return fmt.Errorf("batch %d at %d differs", i, position)
			}
			i++
			return nil
		})
		if err != nil || i != len(want) {
			x.fatal("after %s, read from %d: %d of %d batches: %v", how, from, i, len(want), err)
		}
	}
}

func (x *trial) crash(power bool) {
	how := "a kill"
	if power {
		how = "a power cut"
	}
	x.machine.crash(power)
	x.reopen(how, power, false)
}

// Everything that is synced survives a power cut, everything that is appended
// survives a kill; batches come back as they were, in order, once.
func TestModel(t *testing.T) {
	t.Parallel()
	first, end := seedsOfModel()
	for seed := first; seed < end; seed++ {
		runModel(t, seed, simdisk.Faults{})
	}
}

// The same on a disk that refuses writes and syncs, forgets, and runs full.
func TestModelWithDiskFaults(t *testing.T) {
	t.Parallel()
	first, end := seedsOfModel()
	for seed := first; seed < end; seed++ {
		runModel(t, seed, simdisk.Faults{WriteError: 0.05, ShortWrite: 0.05, SyncError: 0.08, SyncDirError: 0.05, CreateError: 0.1, Capacity: 24 << 10})
	}
}

func runModel(t *testing.T, seed uint64, faults simdisk.Faults) {
	x := &trial{machine: newMachine(t, seed), seed: seed}
	x.o.RetainBytes = int64(x.random.IntN(2)) * 10_000
	x.log, _ = x.open()
	x.disk.SetFaults(faults)
	for range 150 {
		switch n := x.random.IntN(100); {
		case n < 55:
			x.append()
		case n < 85:
			x.drain()
		case n < 90:
			x.retain()
		case n < 93:
			x.crash(false)
			x.disk.SetFaults(faults)
		case n < 96:
			x.crash(true)
			x.disk.SetFaults(faults)
		case n < 98:
			// A second crash while the first is being repaired.
			x.interrupt()
			x.disk.SetFaults(faults)
		default:
			err := x.log.Close()
			x.disk.SetFaults(simdisk.Faults{})
			if err != nil {
				x.say("close: %v", err)
				x.reopen("a close that failed", false, false)
			} else {
				x.reopen("a clean close", false, true)
			}
			x.disk.SetFaults(faults)
		}
	}
	x.disk.SetFaults(simdisk.Faults{})
	for range 3 { // when faults stop, everything reaches the disk
		x.now += 2e9
		x.drain()
	}
	if s := x.log.Status(); s.State != Healthy || x.model.synced != x.model.end {
		x.fatal("without faults: %v, %d of %d synced", s, x.model.synced, x.model.end)
	}
	x.crash(true)
	if len(x.model.batches) > 0 && x.log.Appended() != x.model.end {
		x.fatal("the end is lost")
	}
}

// interrupt kills or cuts the power, opens, and does it again at some write of
// Open, as often as chance will; what is synced must stay.
func (x *trial) interrupt() {
	power := x.random.IntN(2) == 0
	x.machine.crash(power)
	lossy := power
	for x.random.IntN(4) > 0 {
		fuse := &fused{Disk: x.disk, left: x.random.IntN(30)}
		o := x.options()
		o.FS = fuse
		if x.random.IntN(4) == 0 {
			o.Memory = clearing{x.memory, x.random.IntN(2 * int(x.o.RingBytes/unitBytes+ringPage))}
		}
		_, _, err := Open(o)
		if err != nil && !errors.Is(err, errFuse) && !errors.Is(err, errCleared) {
			x.fatal("interrupted open: %v", err)
		}
		power := x.random.IntN(2) == 0
		lossy = lossy || power
		x.say("open was interrupted (%v), power cut %v", err, power)
		x.machine.crash(power)
	}
	x.reopen("interrupted repairs", lossy, false)
}

// clearing is a memory whose process is killed while it empties the ring.
type clearing struct {
	*simMemory
	units int
}

var errCleared = errors.New("the process was killed while it emptied the ring")

func (c clearing) Make(name string, units int) (Ring, error) {
	if old := c.rings[name]; old != nil {
		clear(old[:min(len(old), c.units)])
		if c.units > len(old) { // and began to write the new header
			old[0][0] = word0(ringMagic, 0)
		}
	}
	return nil, errCleared
}
