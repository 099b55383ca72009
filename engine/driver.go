package engine

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"tickproc/internal/clock"
	"tickproc/internal/hardware"
	"tickproc/internal/stat"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// batchUnits bounds what is logged and applied at once: rows leave and slots
// become free at least this often, and the smallest log takes it.
const batchUnits = 4096

// tickSlack is how long a deadline waits for packets that were stamped before
// it and are not in their ring yet: a reader publishes a burst when it has
// decoded it. A replay, which goes by stamps, would apply them before it.
const tickSlack = int64(10 * time.Millisecond)

// imageEvery is how often images are published, in receive time.
const imageEvery = int64(50 * time.Millisecond)

// Driver runs a shard on rings. It is the only place of a shard that asks the
// clock: for ticks when the rings are empty, and for measurements.
type Driver struct {
	Shard *Shard
	// Inputs: one ring a line. They must share Waker. Run owns the slice.
	Inputs []*ringbuf.Ring
	Waker  *ringbuf.Waker
	// Merge waits for every ring until it has a packet or is closed, and reads
	// no clock: the order of a capture, whatever the pace.
	Merge bool
	// Log, where set, gets each batch before it is applied, and returns the
	// position behind it; 0 if it takes no more, and then nothing is applied.
	Log func(batch []tick.Unit) (end uint64)
	// Number is the shard's, Epoch its log's: both go into RowPosition. Epoch 0:
	// nobody wants to know.
	Number   uint16
	Epoch    uint64
	Rows     *ringbuf.Ring // to the writer
	Commands *ringbuf.Ring // to the feeds; nil in replay
	Images   *ringbuf.Broadcast
	// Follower, where set, is told of each batch as soon as it is applied.
	Follower Follower
	// Pin locks the goroutine to its thread, and the thread to a core where the
	// platform can.
	Pin  bool
	Core int
	// Unpinned, where set, is told why the thread is on no core of its own: one
	// outside a container's cpu set, say. The driver runs all the same.
	Unpinned func(error)
	// Now is the clock, ns since the epoch; default the process clock.
	Now func() int64
	// Batch bounds what is logged and applied at once, in units; default 4096.
	Batch int
	// Pause waits a moment for the reader of a full ring; default a back-off.
	Pause func()
	// Latency, where set, counts by venue and class how long packets take; not
	// with Merge, whose packets are of another time.
	Latency *Latency

	Stats DriverStats

	attaching struct { // rings that come at run time; rare, which is why a mutex is good enough
		mu    sync.Mutex
		rings []*ringbuf.Ring
		some  atomic.Bool
	}
	logged     uint64      // position behind the last batch that was applied
	telling    bool        // the position is to be told though there are no rows
	position   tick.Unit   // scratch
	heads      []head      // of the inputs
	readAt     int64       // what the clock said in the step before, behind applying a batch; 0 = it was not asked
	batches    uint64      // that were measured
	ready      func() bool // readable, bound once
	imagesAt   int64
	imageUnits []tick.Unit
	toldImage  Image // scratch
	// imagesToldAt is the receive time at which the follower's images are too old.
	imagesToldAt int64
	tickPackets  []tick.Unit
	pause        time.Duration // after a Step that did nothing; 0 = until there is something
}

// DriverStats are read by metrics.
type DriverStats struct {
	Packets, Batches, Ticks stat.Counter
	RowsBlockedNanos        stat.Counter
	Unpinned                stat.Gauge // 1: Core was refused
}

// head is what a driver has of an input. Its times lie together, so that looking
// over many inputs in which nothing happens costs little.
type head struct {
	at      int64 // receive time of the first of packets; headless without any
	quiet   ringbuf.Watch
	packets []tick.Unit
}

// headless is later than all packets.
const headless = int64(math.MaxInt64)

// take makes packets, of which there are some, those of the input that are next.
func (h *head) take(packets []tick.Unit) {
	h.packets, h.at = packets, min(packets[0].Header().ReceiveNanos, headless-1)
}

// Attach gives the driver a further input, which must share Waker. Any
// goroutine may call it, before Run and, while another input is open, during it.
func (d *Driver) Attach(ring *ringbuf.Ring) {
	d.attaching.mu.Lock()
	d.attaching.rings = append(d.attaching.rings, ring)
	d.attaching.mu.Unlock()
	d.attaching.some.Store(true)
	d.Waker.Wake()
}

// attach takes the inputs that came.
func (d *Driver) attach() {
	d.attaching.some.Store(false)
	d.attaching.mu.Lock()
	d.Inputs = append(d.Inputs, d.attaching.rings...)
	d.attaching.rings = nil
	d.attaching.mu.Unlock()
	for _, in := range d.Inputs[len(d.heads):] {
		d.heads = append(d.heads, head{at: headless, quiet: in.Watch()})
	}
}

// Run applies packets until every input is closed and empty. The caller then
// owns the shard again.
func (d *Driver) Run() {
	if d.Pin {
		runtime.LockOSThread() // for good: a thread that was pinned is of no use to others
		if err := hardware.Pin(d.Core); err != nil {
			d.Stats.Unpinned.Set(1)
			if d.Unpinned != nil {
				d.Unpinned(err)
			}
		}
	}
	d.Begin()
	for {
		switch worked, ended := d.step(); {
		case ended:
			return
		case !worked:
			d.Waker.Wait(d.ready, d.pause)
			d.readAt = 0
		}
	}
}

// Begin is what comes before the first Step. Run does both; whoever does not
// use Run drives the shard by them, from one goroutine.
func (d *Driver) Begin() {
	d.ensureDefaults()
	d.ready = d.readable
	d.attach()
	d.imageUnits = make([]tick.Unit, ImageUnits)
	d.tickPackets = make([]tick.Unit, 1)
	if d.Follower != nil {
		d.Shard.follow(d.Follower)
		d.Flush()
	}
}

func (d *Driver) ensureDefaults() {
	if d.Now == nil {
		d.Now = clock.Nanos
	}
	if d.Batch == 0 {
		d.Batch = batchUnits
	}
}

// Step does one thing that there is to do now, and reports whether there was
// one; ended: every input is closed and empty.
func (d *Driver) Step() (worked, ended bool) {
	d.readAt = 0
	return d.step()
}

func (d *Driver) step() (worked, ended bool) {
	if d.attaching.some.Load() {
		d.attach()
	}
	i, batch := d.next()
	switch {
	case i >= 0:
		d.apply(batch)
		h, in := &d.heads[i], d.Inputs[i]
		in.Release(len(batch))
		if rest := h.packets[len(batch):]; len(rest) > 0 {
			h.take(rest)
		} else {
			h.at = headless
			h.quiet.Emptied(in)
		}
		return true, false
	case d.done() && !d.attaching.some.Load():
		d.publishImages()
		d.tellImages()
		return false, true
	}
	return d.idle(), false
}

// next returns the longest run of packets of one ring that come before the
// heads of all others; -1 if there is none to be had now.
//
// hot: per batch, 0 allocs.
func (d *Driver) next() (int, []tick.Unit) {
	best, bestAt, limit := -1, headless, headless
	for i := range d.heads {
		h := &d.heads[i]
		if h.at == headless {
			if h.quiet.Quiet() {
				if d.Merge && !d.Inputs[i].Done() {
					return -1, nil
				}
				continue
			}
			h.take(d.Inputs[i].Poll())
		}
		// Lines of lower number go first at equal times, so that the order is total.
		if h.at < bestAt {
			limit, best, bestAt = bestAt, i, h.at
		} else if h.at < limit {
			limit = h.at
		}
	}
	if best < 0 {
		return -1, nil
	}
	packets := d.heads[best].packets
	n := 0
	for n < len(packets) {
		h, units := packets[n].Header(), tick.PacketUnits(&packets[n])
		if n > 0 && (h.ReceiveNanos >= limit || n+units > d.Batch) {
			break
		}
		n += units
		if h.Kind == tick.KindBarrier {
			break // the place of a snapshot is the end of its batch
		}
	}
	return best, packets[:n]
}

// rowsMeasured is of how many batches one has the handing over of its rows
// measured.
const rowsMeasured = 8

// hot: per batch, 0 allocs.
func (d *Driver) apply(batch []tick.Unit) {
	var taken, applied, written int64
	measured := d.Latency != nil && !d.Merge
	if measured {
		taken = d.Now()
	}
	if !d.log(batch) {
		return
	}
	d.Stats.Packets.AddAlone(uint64(d.Shard.Apply(batch)))
	d.Stats.Batches.AddAlone(1)
	if measured {
		applied = d.Now()
		d.readAt = applied
	}
	d.Flush()
	if !measured {
		return
	}
	if d.batches++; d.batches%rowsMeasured == 1 {
		written = d.Now()
		d.readAt = written
	}
	d.Latency.batch(batch, taken, applied, written)
}

// Logged is the position behind the last batch that was applied. It is the
// driver's own goroutine's.
func (d *Driver) Logged() uint64 { return d.logged }

// Recover applies a batch that the log holds already and that ends at a
// position. Its rows are carried away if they are wanted, else definitions
// alone, marked as known; commands are not: the feeds of that time are gone.
// It returns how many packets there were. The caller owns the driver; it is not
// running.
func (d *Driver) Recover(batch []tick.Unit, end uint64, wanted bool) (packets int) {
	packets = d.Shard.Apply(batch)
	d.logged = end
	rows := d.Shard.TakeRows()
	d.Shard.TakeCommands()
	if wanted {
		d.writeRows(rows)
		return packets
	}
	for ; len(rows) > 0; rows = rows[tick.PacketUnits(&rows[0]):] {
		if rows[0].KindOf() == tick.KindCatalog {
			d.introduce(rows[:tick.CatalogUnits])
		}
	}
	return packets
}

// Introduce tells the sinks of the instruments of a shard that was loaded. The
// caller owns the driver; it is not running.
func (d *Driver) Introduce() error {
	for _, def := range d.Shard.Definitions() {
		packet, err := tick.AppendCatalog(nil, tick.Header{}, def)
		if err != nil {
			return err
		}
		d.introduce(packet)
	}
	return nil
}

func (d *Driver) introduce(catalog []tick.Unit) {
	catalog[0].Header().Flags |= tick.FlagKnown
	d.write(d.Rows, catalog)
}

// Record logs packets that no line brought, and applies them; false if the log
// takes no more. No feed is there to hear commands. The caller owns the driver;
// it is not running.
func (d *Driver) Record(packets []tick.Unit) bool {
	d.ensureDefaults()
	for len(packets) > 0 {
		n := tick.PacketUnits(&packets[0])
		for n < len(packets) && n+tick.PacketUnits(&packets[n]) <= d.Batch {
			n += tick.PacketUnits(&packets[n])
		}
		if !d.log(packets[:n]) {
			return false
		}
		d.Shard.Apply(packets[:n])
		d.writeRows(d.Shard.TakeRows())
		d.Shard.TakeCommands()
		packets = packets[n:]
	}
	return true
}

// log reports whether a batch is logged, if there is a log, and may be applied.
func (d *Driver) log(batch []tick.Unit) bool {
	if d.Log == nil {
		return true
	}
	end := d.Log(batch)
	if end == 0 {
		return false
	}
	d.logged = end
	// Who asks for a snapshot wants to know that all rows before it are written. A
	// barrier is the last packet of its batch; what looks like one does no harm.
	d.telling = batch[len(batch)-1].KindOf() == tick.KindBarrier
	return true
}

// Flush carries away what the shard said.
func (d *Driver) Flush() {
	rows := d.Shard.TakeRows()
	if d.Follower != nil {
		rows = d.tell(rows)
	}
	d.writeRows(rows)
	if commands := d.Shard.TakeCommands(); len(commands) > 0 && d.Commands != nil {
		d.write(d.Commands, commands)
	}
	if d.Shard.Now() >= d.imagesAt {
		d.publishImages()
	}
}

// writeRows writes the rows of what was applied last, and how far in the log
// that is.
func (d *Driver) writeRows(rows []tick.Unit) {
	if len(rows) == 0 && !d.telling {
		return
	}
	d.telling = false
	if d.Epoch != 0 {
		p := d.position.PositionRow()
		p.Kind, p.Shard, p.Epoch, p.Position = tick.RowPosition, d.Number, d.Epoch, d.logged
		rows = append(rows, d.position)
	}
	d.write(d.Rows, rows)
}

func (d *Driver) publishImages() {
	if d.Images != nil {
		d.imagesAt = d.Shard.Now() + imageEvery
		d.Shard.takeImages(d.imageUnits, d.Images.Publish)
	}
}

// write waits while the ring is full: its reader never waits for a network.
//
// hot: per batch, 0 allocs.
func (d *Driver) write(to *ringbuf.Ring, rows []tick.Unit) {
	if len(rows) == 0 {
		return // also of a ring that nobody wants
	}
	if len(rows) > min(rowsAtOnce, to.MaxPacket()) || !to.Write(rows) {
		d.writeEach(to, rows)
	}
	to.Publish()
}

// rowsAtOnce bounds what is written as one, in units: it lies contiguously in the
// ring, whose end would otherwise be left unused for the sake of one batch.
const rowsAtOnce = 32

func (d *Driver) writeEach(to *ringbuf.Ring, rows []tick.Unit) {
	for len(rows) > 0 {
		n := tick.PacketUnits(&rows[0])
		if !to.Write(rows[:n]) {
			to.Publish()
			d.waitForRoom(to, rows[:n])
		}
		rows = rows[n:]
	}
}

func (d *Driver) waitForRoom(to *ringbuf.Ring, row []tick.Unit) {
	d.ensureDefaults()
	from := d.Now()
	var backoff ringbuf.Backoff
	for !to.Write(row) {
		if d.Pause != nil {
			d.Pause()
		} else {
			backoff.Pause()
		}
	}
	d.Stats.RowsBlockedNanos.AddAlone(uint64(d.Now() - from))
}

func (d *Driver) done() bool {
	for i, in := range d.Inputs {
		if d.heads[i].at != headless || !in.Done() {
			return false
		}
	}
	return true
}

// idle does what there is to do without packets: a part of a snapshot, or
// telling the shard the time where a deadline is due, and that only after the
// clock was read and every ring was then found empty, so that no packet that
// came earlier is overtaken. False: wait for d.pause.
func (d *Driver) idle() bool {
	d.pause = 0
	if len(d.Shard.touched) > 0 {
		d.tellImages()
	}
	if d.Shard.SaveSome() {
		return true // the market is quiet, a snapshot ends all the same
	}
	if d.Merge {
		return false
	}
	// After the reading of the step before this step found the rings empty.
	now := d.readAt
	if d.readAt = 0; now == 0 {
		now = d.Now()
	}
	now -= tickSlack
	deadline := d.Shard.NextDeadline()
	if deadline <= now {
		if d.readable() {
			return true
		}
		t := d.tickPackets[0].Header()
		*t = tick.Header{Kind: tick.KindTick, ReceiveNanos: now}
		if !d.log(d.tickPackets) {
			d.pause = time.Second // for the end
			return false
		}
		d.Shard.Apply(d.tickPackets)
		d.Stats.Ticks.AddAlone(1)
		d.Flush()
		return true
	}
	if d.Images != nil && len(d.Shard.dirty) > 0 {
		// Packets that come one by one do not each cost their images.
		if due := d.imagesAt - tickSlack; due <= now {
			d.publishImages()
		} else {
			deadline = min(deadline, due)
		}
	}
	if deadline != never {
		d.pause = time.Duration(deadline - now)
	}
	return false
}

// readable reports whether there is anything to do but wait.
func (d *Driver) readable() bool {
	if d.attaching.some.Load() || d.Shard.savable() {
		return true
	}
	open := false
	for i, in := range d.Inputs {
		ready := d.heads[i].at != headless || !d.heads[i].quiet.Quiet()
		if ready && !d.Merge {
			return true
		}
		if d.Merge && !ready && !in.Done() {
			return false
		}
		open = open || !in.Done()
	}
	return d.Merge || !open
}
