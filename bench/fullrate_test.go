package bench

import (
	"flag"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tickproc/engine"
	"tickproc/internal/clock"
	"tickproc/ringbuf"
	"tickproc/tick"
)

var (
	fullRate            = flag.Duration("full-rate", 0, "run TestFullRate for so long, after its warm-up")
	fullRateInstruments = flag.Int("full-rate-instruments", 1000, "instruments of TestFullRate")
)

const (
	fullRateLines = 16
	// fullRateEvery is how often memory is looked at.
	fullRateEvery = 5 * time.Second
	// What the means of the last quarter may lie above those of the first: a
	// leak of a byte a thousand packets is more in ten minutes.
	heapGrowthMax     = 0.01
	residentGrowthMax = 0.03
)

// memorySample is what a process holds at a moment.
type memorySample struct {
	at             int64
	packets        uint64
	heap, resident float64 // bytes
	minor, major   int64   // page faults so far
	mallocs        uint64  // so far
}

func sampleMemory(t *testing.T, packets uint64) memorySample {
	t.Helper()
	heap := liveHeap()
	fields := strings.Fields(contents("/proc/self/statm"))
	if len(fields) < 2 {
		t.Skip("SKIPPED: no /proc, which tells the resident set")
	}
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return memorySample{clock.Nanos(), packets, float64(heap), float64(pages * os.Getpagesize()), u.Minflt, u.Majflt, mallocs()}
}

// A shard, its driver and its log, given packets as fast as it takes them for a
// long time, hold as much memory at the end as they did at first. The log and
// what is drained of it lie on tmpfs where there is one, so that no disk sets the
// pace; rows are discarded.
//
//	go test ./bench -run 'TestFullRate$' -timeout 1h -v -args -full-rate 10m
func TestFullRate(t *testing.T) {
	if *fullRate == 0 {
		t.Skip("asked for by -args -full-rate 10m")
	}
	dir, err := os.MkdirTemp("/dev/shm", "tickproc-full-rate-")
	if err != nil {
		dir = t.TempDir()
		t.Log("no tmpfs at /dev/shm: the disk sets the pace")
	}
	defer os.RemoveAll(dir)
	log, ended, err := drainedLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := ended(); err != nil {
			t.Error(err)
		}
	}()
	c := newCrowd(crowdSpec{instruments: *fullRateInstruments, lines: fullRateLines})
	waker := ringbuf.NewWaker(ringbuf.Auto)
	x := &service{log: log}
	x.driver = &engine.Driver{Shard: engine.NewShard(everythingOptions()), Waker: waker, Rows: ringbuf.New(1 << 16), Commands: ringbuf.New(1 << 12),
		Images: ringbuf.NewBroadcast(1<<12, engine.ImageUnits), Log: log.Append, Epoch: 1,
		Now: func() int64 { kept += uint64(clock.Nanos()); return x.now }}
	for range fullRateLines {
		ring := ringbuf.New(ringUnits)
		ring.SetWaker(waker)
		x.driver.Inputs = append(x.driver.Inputs, ring)
	}
	x.driver.Begin()
	for p := c.opening; len(p) > 0; {
		n := tick.PacketUnits(&p[0])
		x.driver.Record(p[:n])
		x.carry()
		p = p[n:]
	}
	c.opening = slices.Clone(c.opening[:1])
	packets, buffer := uint64(0), make([]tick.Unit, 0, chunkRoom)
	step := func() {
		chunk, n := c.next(buffer, chunkUnits)
		x.now = chunk[len(chunk)-1].Header().ReceiveNanos
		for p := chunk; len(p) > 0; {
			size := tick.PacketUnits(&p[0])
			send(x.driver.Inputs[p[0].Header().Line-1], p[:size])
			p = p[size:]
		}
		for _, ring := range x.driver.Inputs {
			ring.Publish()
		}
		packets += uint64(n)
		for x.driver.Stats.Packets.Load() < packets {
			x.driver.Step()
			if x.driver.Rows.Len() > 1<<15 {
				x.carry()
			}
		}
		x.carry()
		// The log's ring is drained by another goroutine, which a busy machine may
		// hold up.
		var backoff ringbuf.Backoff
		for log.Room() < 16<<20/tick.UnitSize/2 {
			x.log.Retain(x.log.Synced())
			backoff.Pause()
		}
	}
	for !c.warm() {
		step()
	}
	all := []memorySample{sampleMemory(t, packets)}
	next := all[0].at + int64(fullRateEvery)
	for until := all[0].at + int64(*fullRate); all[len(all)-1].at < until; {
		step()
		if clock.Nanos() >= next {
			all = append(all, sampleMemory(t, packets))
			next = all[len(all)-1].at + int64(fullRateEvery)
			s, before := &all[len(all)-1], &all[len(all)-2]
			t.Logf("%6.0f s %8.0f packets/s, live heap %.2f MB, resident %.1f MB, page faults %d minor %d major, %d allocations",
				float64(s.at-all[0].at)/1e9, float64(s.packets-before.packets)/float64(s.at-before.at)*1e9, s.heap/1e6, s.resident/1e6, s.minor-before.minor, s.major-before.major, s.mallocs-before.mallocs)
		}
	}
	mustBeWhole(t, x.driver.Shard)
	if len(all) < 8 {
		t.Fatalf("%d samples are no quarters: run for longer", len(all))
	}
	quarter := len(all) / 4
	first, last := all[:quarter], all[len(all)-quarter:]
	f := func(what string, growthMax float64, of func(*memorySample) float64) {
		mean := func(some []memorySample) (sum float64) {
			for i := range some {
				sum += of(&some[i]) / float64(len(some))
			}
			return sum
		}
		a, b := mean(first), mean(last)
		t.Logf("%s: first quarter %.3f MB, last %.3f MB, %+.2f %%", what, a/1e6, b/1e6, 100*(b/a-1))
		if b > a*(1+growthMax) {
			t.Errorf("%s grew by %.2f %%, allowed are %.0f %%", what, 100*(b/a-1), 100*growthMax)
		}
	}
	f("live heap", heapGrowthMax, func(s *memorySample) float64 { return s.heap })
	f("resident set", residentGrowthMax, func(s *memorySample) float64 { return s.resident })
	from, to := &all[0], &all[len(all)-1]
	t.Logf("%d instruments, GOMAXPROCS %d: %d packets in %.0f s, %.0f a second; market time %s", *fullRateInstruments, runtime.GOMAXPROCS(0), to.packets-from.packets,
		float64(to.at-from.at)/1e9, float64(to.packets-from.packets)/float64(to.at-from.at)*1e9, time.Duration(int64(c.laps)*c.nanos).Round(time.Second))
}
