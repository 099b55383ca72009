package pipeline

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tickproc/feeds/sim"
	"tickproc/internal/vfs/simdisk"
	"tickproc/journal"
	"tickproc/tick"
	"tickproc/writer/spool"
)

// The disk of the logs runs full, and later fails. Each time every socket is
// closed and stays so, nothing is asked by REST, no book is called valid,
// readiness says why, and the log has, from its reserve, that nothing was seen.
// The disk works again: everything goes on by itself, once, the outage lies in
// gaps under its reason, and its trades are fetched.
func TestFeedsAreHeldWhileTheLogCannotBeWritten(t *testing.T) {
	t.Parallel()
	exchange := newExchange(t, sim.Options{Seed: 11, Levels: 60, Rate: 300, History: 1 << 20,
		Venues: []sim.Venue{oneSymbolOf("binance-spot"), oneSymbolOf("coinbase")}})
	l, disk := newHeldLab(t, exchange)
	s := l.system
	channels := 0
	for _, in := range s.carried() {
		channels += bits.OnesCount(uint(in.Channels))
	}
	sum := func(of func(sim.Stats) int) (n int) {
		for _, x := range exchange.Stats() {
			n += of(x)
		}
		return n
	}
	clients := func() int { return sum(func(x sim.Stats) int { return x.Clients }) }
	asked := func() int { return sum(func(x sim.Stats) int { return int(x.Requests + x.Connections) }) }
	books := func(is func(valid bool, why tick.Reason) bool) func() bool {
		return func() bool {
			return !slices.ContainsFunc(s.carried(), func(in *tick.Instrument) bool {
				image := s.status.image(in.ID)
				return !is(image.Valid, image.Reason)
			})
		}
	}
	// Every channel is seen again, and what was missed was fetched.
	whole := func() bool {
		l.ledger.mu.Lock()
		defer l.ledger.mu.Unlock()
		gaps := 0
		for _, e := range l.ledger.order {
			if e.table == "gaps" {
				gaps++
				if g := e.units[0].GapRow(); g.EndNanos == 0 || g.Backfill == tick.BackfillPending {
					return false
				}
			}
		}
		return gaps >= channels
	}
	f := func(faults simdisk.Faults, says string) {
		t.Helper()
		l.awaitValid()
		await(t, "no gap is open", 60*time.Second, whole)
		disk.SetFaults(faults)
		await(t, "the log says "+says, 80*time.Second, func() bool {
			why := strings.Join(s.notReady(nil), "\n")
			return strings.Contains(why, "log of shard 0") && strings.Contains(why, says)
		})
		await(t, "sockets are closed", 60*time.Second, func() bool { return clients() == 0 })
		await(t, "books are not valid, because of the log", 60*time.Second, books(func(valid bool, why tick.Reason) bool { return !valid && why == tick.ReasonLog }))
		await(t, "lines are down, because of the log", 60*time.Second, func() bool {
			down := s.linesDown()
			return len(down) > 0 && !slices.ContainsFunc(down, func(line string) bool { return !strings.Contains(line, "down (log)") })
		})
		before := asked()
		l.awaitEvents(500)
		if after := asked(); after != before || clients() != 0 {
			t.Errorf("%s: the venues were asked %d times, %d sockets are open", says, after-before, clients())
		}
	}
	// What a power cut now would leave.
	cut := func() (downs int) {
		await(t, "the reserve has taken what there was", 60*time.Second, func() bool {
			return s.durable.logs[0].Synced() == s.durable.logs[0].Appended()
		})
		o := s.durable.logOptions(0, 0)
		o.FS, o.OnState = disk.Crash(true), nil
		log, _, err := journal.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		err = log.Read(0, func(_ uint64, batch []tick.Unit) error {
			for ; len(batch) > 0; batch = batch[tick.PacketUnits(&batch[0]):] {
				if batch[0].KindOf() == tick.KindDown && batch[0].Event().Reason == tick.ReasonLog {
					downs++
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return downs
	}
	f(simdisk.Faults{Capacity: 1}, "the disk is full")
	if n := cut(); n != channels {
		t.Errorf("of %d channels %d are down in the log", channels, n)
	}
	disk.SetFaults(simdisk.Faults{})
	f(simdisk.Faults{SyncError: 1, WriteError: 1}, "input/output error")
	disk.SetFaults(simdisk.Faults{})

	l.awaitValid()
	if why := s.durable.troubles(); len(why) > 0 {
		t.Errorf("still troubled: %q", why)
	}
	await(t, "no gap is open", 60*time.Second, whole)
	l.awaitEvents(1_000)
	l.finish()
	if n := l.check(); n.stored == 0 || n.bars == 0 {
		t.Errorf("nothing was compared: %+v", n)
	}
	held := map[string]int{}
	for _, truth := range exchange.Truth() {
		l.checkBackfilled(&truth)
		for _, e := range l.ledger.of(truth.Venue, truth.Symbol, tick.RowGap) {
			if g := e.units[0].GapRow(); g.Reason == tick.ReasonLog {
				held[fmt.Sprint(truth.Venue, " ", g.Channel)]++
				if g.EndNanos == 0 {
					t.Errorf("a gap is still open: %s", e.key)
				}
			}
		}
	}
	if len(held) != channels {
		t.Errorf("of %d channels %d have a gap: %v", channels, len(held), held)
	}
	for channel, n := range held {
		if n != 2 {
			t.Errorf("%s was held %d times", channel, n)
		}
	}
}

// newHeldLab runs a pipeline whose logs lie on a simulated disk.
func newHeldLab(t *testing.T, exchange *sim.Exchange) (*lab, *simdisk.Disk) {
	t.Helper()
	l := &lab{t: t, exchange: exchange, config: DefaultConfig(), ledger: newLedger(), log: &logText{}, stopped: make(chan struct{})}
	c := l.config
	c.Feeds, c.DataDir, c.Shards = feedsOf(exchange), t.TempDir(), AutoCount(1)
	c.Journal.MemoryDir = t.TempDir() + "/none" // the ring is on the same disk
	// A segment that is soon full: then the log wants room.
	c.Journal.Memory, c.Journal.Segment, c.Journal.Reserve = 1<<20, 320<<10, 1<<20
	c.EnsureDefaults()
	dir, err := openDataDir(c.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	disk := simdisk.New(rand.New(rand.NewPCG(1, 1)), simdisk.Faults{})
	around := *machine
	around.fs = disk
	dir.around = &around
	if err := disk.MkdirAll(dir.join("journal")); err != nil {
		t.Fatal(err)
	}
	for at := dir.path; at != filepath.Dir(at); at = filepath.Dir(at) {
		if err := disk.SyncDir(filepath.Dir(at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := disk.SyncDir(dir.path); err != nil {
		t.Fatal(err)
	}
	rows := &keptRows{marks: map[uint16]spool.Mark{}}
	d, err := openDurable(dir, c, textLogger(l.log), rows)
	if err != nil {
		t.Fatal(err)
	}
	l.system = newSystem(c, textLogger(l.log), l.ledger, rows)
	l.system.durable = d
	l.system.startWriting()
	if err := d.recover(l.system); err != nil {
		t.Fatal(err)
	}
	l.system.adopt()
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	if err := l.system.addFeeds(ctx); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(l.stopped)
		l.system.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-l.stopped
		if err := d.close(); err != nil {
			t.Error(err)
		}
		dir.close()
		if t.Failed() {
			t.Log(l.log)
		}
	})
	return l, disk
}

// oneSymbolOf is a venue that trades one symbol.
func oneSymbolOf(name string) sim.Venue {
	all := oneSymbolEach()
	return all[slices.IndexFunc(all, func(v sim.Venue) bool { return v.Name == name })]
}
