package bench

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"tickproc/engine"
	"tickproc/internal/clock"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// chunkUnits is how much a shard is given at once: a driver's batch. A crowd's
// chunk may end with a large packet.
const (
	chunkUnits = 4096
	chunkRoom  = chunkUnits + 1<<15
)

// crowdWarm is how long a crowd has run when it is measured: windows of 60 s are
// full, bars of a minute have ended.
const crowdWarm = 130 * time.Second

func newCrowdShard(c *crowd) *engine.Shard {
	shard := engine.NewShard(shardOptions())
	shard.Apply(c.opening)
	shard.TakeRows()
	shard.TakeCommands()
	return shard
}

// warm is over when the windows are full and each instrument has had a lap.
func (c *crowd) warm() bool {
	at := c.lap[c.at].Header().ReceiveNanos - c.opening[0].Header().ReceiveNanos
	return c.laps >= 2 && int64(c.laps)*c.nanos+at >= int64(crowdWarm)
}

// spent adds up wall and processor time of this goroutine, which is locked to
// its thread, without what it does to prepare.
type spent struct {
	wall, cpu         int64
	fromWall, fromCPU int64
}

func (s *spent) begin() {
	t, _ := threadTime()
	s.fromWall, s.fromCPU = clock.Nanos(), int64(t)
}

func (s *spent) end() {
	now := clock.Nanos()
	t, _ := threadTime()
	s.wall += now - s.fromWall
	s.cpu += int64(t) - s.fromCPU
}

func (s *spent) report(b *testing.B, packets int, allocated uint64) {
	b.ReportMetric(0, "ns/op") // a chunk's time says nothing
	b.ReportMetric(float64(s.wall)/float64(packets), "ns/packet")
	b.ReportMetric(float64(s.cpu)/float64(packets), "cpu-ns/packet")
	b.ReportMetric(float64(allocated)/float64(packets), "allocs/packet")
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkSize is cost against size: how many instruments a shard has, lines a
// driver, shards a process.
func BenchmarkSize(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("instruments/%d", n), func(b *testing.B) { sizeInstruments(b, crowdSpec{instruments: n}) })
	}
	// The deadlines of a thin instrument in cache, and out of it.
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("thin/%d", n), func(b *testing.B) { sizeInstruments(b, crowdSpec{instruments: n, rate: thin, packets: 1 << 16}) })
	}
	for _, n := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("lines/waiting/%d", n), func(b *testing.B) { sizeLines(b, n, false) })
	}
	for _, n := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("lines/single/%d", n), func(b *testing.B) { sizeLines(b, n, true) })
	}
	for _, n := range []int{1, 2} {
		b.Run(fmt.Sprintf("shards/%d", n), func(b *testing.B) { sizeShards(b, n) })
	}
	for _, kind := range memoryKinds {
		b.Run("memory/"+kind.name, func(b *testing.B) { sizeMemory(b, kind) })
	}
}

// sizeInstruments is a shard with the default options, whose packets come a
// driver's batch at a time; no log.
func sizeInstruments(b *testing.B, spec crowdSpec) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := newCrowd(spec)
	buffer := make([]tick.Unit, 0, chunkRoom)
	before := liveHeap()
	shard := newCrowdShard(c)
	rows := 0
	step := func(s *spent) int {
		chunk, packets := c.next(buffer, chunkUnits)
		s.begin()
		shard.Apply(chunk)
		out := shard.TakeRows()
		shard.TakeCommands()
		s.end()
		for ; len(out) > 0; out = out[tick.PacketUnits(&out[0]):] {
			rows++
		}
		return packets
	}
	var s spent
	for !c.warm() {
		step(&s)
	}
	heap := liveHeap() - before
	s, rows = spent{}, 0
	packets, allocated := 0, mallocs()
	for b.Loop() {
		packets += step(&s)
	}
	s.report(b, packets, mallocs()-allocated)
	b.ReportMetric(float64(rows)/float64(packets), "rows/packet")
	b.ReportMetric(float64(heap)/float64(spec.instruments), "B/instrument")
	mustBeWhole(b, shard)
}

// mustBeWhole fails unless every book is the venue's: others cost less.
func mustBeWhole(t testing.TB, shard *engine.Shard) {
	t.Helper()
	for _, r := range shard.Reports(1) {
		if r.Instrument.Channels.Has(tick.ChannelDepth) && (!r.Valid || r.TopDiffers > 0) || r.Counts.DuplicateTrades > 0 {
			t.Fatalf("%s: %+v", r.Instrument.Symbol, r)
		}
	}
}

// sizeLines is a driver whose packets come by n lines: either a batch's worth
// waits in the rings together, interleaved by time, or each comes when the one
// before is done.
func sizeLines(b *testing.B, n int, single bool) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c := newCrowd(crowdSpec{instruments: 64, lines: n})
	waker := ringbuf.NewWaker(ringbuf.Auto)
	now := int64(0)
	d := &engine.Driver{Shard: engine.NewShard(shardOptions()), Waker: waker, Rows: ringbuf.New(1 << 16), Commands: ringbuf.New(1 << 12),
		Now: func() int64 { kept += uint64(clock.Nanos()); return now }}
	for range n {
		ring := ringbuf.New(ringUnits)
		ring.SetWaker(waker)
		d.Inputs = append(d.Inputs, ring)
	}
	d.Begin()
	carry := func() {
		for _, ring := range []*ringbuf.Ring{d.Rows, d.Commands} {
			for units := ring.Poll(); len(units) > 0; units = ring.Poll() {
				ring.Release(len(units))
			}
		}
	}
	for p := c.opening; len(p) > 0; {
		size := tick.PacketUnits(&p[0])
		d.Record(p[:size])
		carry()
		p = p[size:]
	}
	buffer := make([]tick.Unit, 0, chunkRoom)
	step := func(s *spent) int {
		chunk, packets := c.next(buffer, chunkUnits)
		now = chunk[0].Header().ReceiveNanos
		if single {
			s.begin()
			for p := chunk; len(p) > 0; {
				size := tick.PacketUnits(&p[0])
				ring := d.Inputs[p[0].Header().Line-1]
				send(ring, p[:size])
				ring.Publish()
				now = p[0].Header().ReceiveNanos
				d.Step()
				p = p[size:]
			}
			s.end()
			carry()
			return packets
		}
		for p := chunk; len(p) > 0; {
			size := tick.PacketUnits(&p[0])
			send(d.Inputs[p[0].Header().Line-1], p[:size])
			p = p[size:]
		}
		for _, ring := range d.Inputs {
			ring.Publish()
		}
		s.begin()
		for left := d.Stats.Packets.Load() + uint64(packets); d.Stats.Packets.Load() < left; {
			d.Step()
		}
		s.end()
		carry()
		return packets
	}
	var s spent
	for !c.warm() {
		step(&s)
	}
	s = spent{}
	packets, allocated, batches := 0, mallocs(), d.Stats.Batches.Load()
	for b.Loop() {
		packets += step(&s)
	}
	s.report(b, packets, mallocs()-allocated)
	b.ReportMetric(float64(packets)/float64(d.Stats.Batches.Load()-batches), "packets/batch")
	mustBeWhole(b, d.Shard)
}

// sizeShards is 1,000 instruments over n shards, each in a goroutine.
func sizeShards(b *testing.B, n int) {
	const chunks = 64
	type one struct {
		crowd  *crowd
		shard  *engine.Shard
		buffer []tick.Unit
	}
	var all []*one
	for i := range n {
		c := newCrowd(crowdSpec{instruments: 1000 / n, shards: n, shard: i})
		all = append(all, &one{c, newCrowdShard(c), make([]tick.Unit, 0, chunkRoom)})
	}
	step := func(x *one) int {
		chunk, packets := x.crowd.next(x.buffer, chunkUnits)
		x.shard.Apply(chunk)
		x.shard.TakeRows()
		x.shard.TakeCommands()
		return packets
	}
	for _, x := range all {
		for !x.crowd.warm() {
			step(x)
		}
	}
	counts := make([]int, 16*n) // apart by a cache line
	cpu := cpuTime()
	for b.Loop() {
		var wait sync.WaitGroup
		for i, x := range all {
			wait.Go(func() {
				packets := 0
				for range chunks {
					packets += step(x)
				}
				counts[16*i] += packets
			})
		}
		wait.Wait()
	}
	packets := 0
	for _, n := range counts {
		packets += n
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(packets)/b.Elapsed().Seconds(), "packets/s")
	b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(packets), "cpu-ns/packet")
	for _, x := range all {
		mustBeWhole(b, x.shard)
	}
}

// memoryKind is an instrument whose memory is told, of which there are count.
type memoryKind struct {
	name    string
	count   int
	spec    crowdSpec
	options func(*engine.Options)
	idle    bool // it has been introduced, and that is all
}

func thin(int) float64 { return 1 }
func busy(int) float64 { return 300 }

func noBars(o *engine.Options)    { o.Intervals, o.Windows = []time.Duration{}, nil }
func noWindows(o *engine.Options) { o.Windows = nil }

var memoryKinds = []memoryKind{
	{name: "introduced", count: 100, idle: true},
	{name: "introduced, no indicators", count: 100, idle: true, options: noBars},
	{name: "introduced, no windows", count: 100, idle: true, options: noWindows},
	{name: "thin, trades alone", count: 100, spec: crowdSpec{rate: thin, channels: tick.ChannelTrades}},
	{name: "thin", count: 100, spec: crowdSpec{rate: thin}},
	{name: "thin, 20 levels a side", count: 100, spec: crowdSpec{rate: thin, levels: 20}},
	{name: "thin, random trade ids", count: 100, spec: crowdSpec{rate: thin, uuids: true}},
	{name: "busy", count: 5, spec: crowdSpec{rate: busy}},
	{name: "busy, 1,000 levels a side", count: 5, spec: crowdSpec{rate: busy, levels: 1000}},
	{name: "busy, 22,000 levels a side", count: 2, spec: crowdSpec{rate: busy, levels: 22_000}},
	{name: "busy, 22,000 levels a side, no indicators", count: 2, spec: crowdSpec{rate: busy, levels: 22_000}, options: noBars},
}

// sizeMemory tells the live heap of an instrument; there is no time in it.
func sizeMemory(b *testing.B, kind memoryKind) {
	kind.spec.instruments, kind.spec.packets = kind.count, 1<<15
	c := newCrowd(kind.spec)
	options := shardOptions()
	if kind.options != nil {
		kind.options(&options)
	}
	buffer := make([]tick.Unit, 0, chunkRoom)
	before := liveHeap()
	shard := engine.NewShard(options)
	for p := c.opening; len(p) > 0; {
		size := tick.PacketUnits(&p[0])
		if !kind.idle || p[0].KindOf() == tick.KindCatalog {
			shard.Apply(p[:size])
		}
		shard.TakeRows()
		shard.TakeCommands()
		p = p[size:]
	}
	for !kind.idle && !c.warm() {
		chunk, _ := c.next(buffer, 64)
		shard.Apply(chunk)
		shard.TakeRows()
		shard.TakeCommands()
	}
	heap := liveHeap() - before
	runtime.KeepAlive(buffer)
	for b.Loop() {
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(heap)/float64(kind.count), "B/instrument")
	mustNotForget(b, c, shard)
}

// mustNotForget keeps what was measured alive until it was.
func mustNotForget(b *testing.B, c *crowd, shard *engine.Shard) {
	if len(shard.Reports(1)) != len(c.trades) {
		b.Fatal("instruments were lost")
	}
}
