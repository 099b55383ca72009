package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tickproc/internal/clock"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// rig is a driver with its rings and somebody who reads its rows.
type rig struct {
	Driver
	rows    outcome
	reading sync.WaitGroup
}

func newRig(options Options, inputs int) *rig {
	r := &rig{}
	r.Waker = ringbuf.NewWaker(ringbuf.Park)
	for range inputs {
		in := ringbuf.New(4096)
		in.SetWaker(r.Waker)
		r.Inputs = append(r.Inputs, in)
	}
	r.Shard = NewShard(options)
	r.Rows = ringbuf.New(1024)
	reader := ringbuf.NewWaker(ringbuf.Park)
	r.Rows.SetWaker(reader)
	r.reading.Go(func() {
		ready := func() bool { return r.Rows.Len() > 0 || r.Rows.Done() }
		for {
			rows := r.Rows.Poll()
			if len(rows) == 0 && r.Rows.Done() {
				return
			}
			r.rows.add(rows)
			r.Rows.Release(len(rows))
			reader.Wait(ready, 0)
		}
	})
	return r
}

// finish ends the input as a replay does, and returns what came of it.
func (r *rig) finish() outcome {
	r.Shard.Finish()
	r.Flush()
	r.Rows.Close()
	r.reading.Wait()
	r.rows.hash = r.Shard.StateHash()
	return r.rows
}

// produce writes packets into a ring, publishing at random, and closes it.
func produce(random *rand.Rand, to *ringbuf.Ring, packets [][]tick.Unit) {
	var backoff ringbuf.Backoff
	for _, p := range packets {
		for !to.Write(p) {
			to.Publish()
			backoff.Pause()
		}
		if random.IntN(20) == 0 {
			to.Publish()
		}
	}
	to.Close()
}

// A capture over several rings, at whatever pace: the order of the capture.
func TestDriverMerge(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	tape := manyMarkets(t, random, 15*time.Second)
	want := outcomeOf(tape, func() int { return 1 })
	for range 3 {
		lines := map[uint16][][]tick.Unit{}
		for _, p := range packetsOf(tape) {
			line := p[0].Header().Line
			lines[line] = append(lines[line], p)
		}
		order := make([]uint16, 0, len(lines))
		for line := range lines {
			order = append(order, line)
		}
		slices.Sort(order)
		r := newRig(everything, len(order))
		r.Merge = true
		var producing sync.WaitGroup
		for i, line := range order {
			seed, in := random.Uint64(), r.Inputs[i]
			producing.Go(func() { produce(rand.New(rand.NewPCG(seed, 1)), in, lines[line]) })
		}
		var log []tick.Unit
		r.Log = func(batch []tick.Unit) uint64 { log = append(log, batch...); return uint64(len(log)) }
		r.Run()
		producing.Wait()
		got := r.finish()
		got.mustBe(t, "merged", want)
		if !slices.Equal(log, tape) {
			t.Error("the log is not the tape")
		}
		logged := outcomeOf(log, func() int { return 100 })
		logged.mustBe(t, "the log again", want)
		if n := r.Stats.Packets.Load(); n != uint64(len(packetsOf(tape))) {
			t.Errorf("%d packets counted", n)
		}
	}
}

// Live, the order is what happened; the log of it gives the same again.
func TestDriverLive(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	options := Options{Intervals: []time.Duration{time.Millisecond}, Grace: time.Millisecond, BookEvery: time.Millisecond}
	const lines = 3
	r := newRig(options, lines)
	var batches [][]tick.Unit
	var first sync.Once
	ticked := make(chan struct{})
	r.Log = func(batch []tick.Unit) uint64 {
		batches = append(batches, slices.Clone(batch))
		if batch[0].KindOf() == tick.KindTick {
			first.Do(func() { close(ticked) })
		}
		return uint64(len(batches))
	}
	r.Commands = ringbuf.New(1 << 12)
	r.Images = ringbuf.NewBroadcast(64, ImageUnits)
	images := r.Images.Reader()
	var producing sync.WaitGroup
	inputs := slices.Clone(r.Inputs) // Run owns the field
	for line := range uint16(lines) {
		seed := random.Uint64()
		producing.Go(func() { liveLine(rand.New(rand.NewPCG(seed, 2)), inputs[line], line) })
	}
	running := make(chan struct{})
	go func() { r.Run(); close(running) }()
	producing.Wait()
	select { // all is quiet: only the clock closes the last bars
	case <-ticked:
	case <-time.After(time.Minute):
		t.Fatal("no tick")
	}
	for _, in := range inputs {
		in.Close()
	}
	<-running
	got := r.finish()

	var again outcome
	s := NewShard(options)
	for _, b := range batches {
		s.Apply(b)
		again.add(s.TakeRows())
	}
	s.Finish()
	again.add(s.TakeRows())
	again.hash = s.StateHash()
	again.mustBe(t, "the log again", got)

	commands := 0
	eachRow(r.Commands.Poll(), func(row []tick.Unit) { commands++ })
	if commands != lines {
		t.Errorf("%d resync commands", commands)
	}
	// The last image of each instrument is of its end.
	message, last := make([]tick.Unit, ImageUnits), map[uint32]uint64{}
	for ok, _ := images.Next(message); ok; ok, _ = images.Next(message) {
		last[ImageOf(message).Instrument] = ImageOf(message).Trades
	}
	for _, report := range r.Shard.Reports(1) {
		if got, want := last[report.Instrument.ID], report.Counts.Trades; got != want || want == 0 {
			t.Errorf("%s: the last image has %d trades, and there were %d", report.Instrument.Symbol, got, want)
		}
	}
}

// liveLine is one instrument on one connection, stamped as it is written.
func liveLine(random *rand.Rand, to *ringbuf.Ring, line uint16) {
	write := func(p []tick.Unit) {
		var backoff ringbuf.Backoff
		for !to.Write(p) {
			to.Publish()
			backoff.Pause()
		}
		to.Publish()
	}
	header := func() tick.Header {
		now := clock.Nanos()
		return tick.Header{Line: line, Instrument: uint32(line), ReceiveNanos: now, ExchangeNanos: now - int64(random.IntN(1e6))}
	}
	def := define(uint32(line), string(rune('A'+line)))
	catalog, _ := tick.AppendCatalog(nil, header(), def)
	write(catalog)
	bid, ask := []tick.Level{{Price: 99, Size: 1}}, []tick.Level{{Price: 101, Size: 1}}
	write(depthPacket(header(), tick.KindDepth, 1, 1, 0, bid, ask))
	write(depthPacket(header(), tick.KindSnapshot, 0, 0, 0, bid, ask))
	id := uint64(1)
	for n := uint64(2); n < 3000; n++ {
		bid[0].Size = 1 + int64(random.IntN(5))
		write(depthPacket(header(), tick.KindDepth, n, n, n-1, bid, nil))
		write(depthPacket(header(), tick.KindQuote, n, n, 0, bid, ask))
		id += 1 + uint64(random.IntN(20)/19)
		write(tradePacket(header(), id, tick.Level{Price: 100, Size: 1}))
	}
}

// Nobody reads the rows for a while: the driver waits, counts it, and loses none.
func TestDriverWaitsForItsReader(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	tape := manyMarkets(t, random, 2*time.Second)
	want := outcomeOf(tape, func() int { return 1 })
	r := &rig{}
	r.Waker = ringbuf.NewWaker(ringbuf.Park)
	in := ringbuf.New(2 * len(tape))
	in.SetWaker(r.Waker)
	r.Inputs, r.Shard, r.Rows, r.Merge = []*ringbuf.Ring{in}, NewShard(everything), ringbuf.New(64), true
	produce(random, in, packetsOf(tape))
	done := make(chan struct{})
	go func() {
		r.Run()
		r.Shard.Finish()
		r.Flush()
		r.Rows.Close()
		close(done)
	}()
	for r.Rows.Len() < r.Rows.Cap()/2 {
		runtime.Gosched()
	}
	for !r.Rows.Done() {
		rows := r.Rows.Poll()
		r.rows.add(rows)
		r.Rows.Release(len(rows))
	}
	<-done
	r.rows.hash = r.Shard.StateHash()
	r.rows.mustBe(t, "slowly read", want)
	if r.Stats.RowsBlockedNanos.Load() == 0 {
		t.Error("no time blocked")
	}
}

// A process was killed after some batches, of which the writer has the rows up
// to a position: the log gives the rest of them, each once, and the same state.
func TestDriverRecovers(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	packets := packetsOf(manyMarkets(t, random, 2*time.Second))
	type logged struct {
		batch []tick.Unit
		end   uint64
	}
	var log []logged
	end := uint64(0)
	for len(packets) > 0 {
		n := min(1+random.IntN(50), len(packets))
		batch := slices.Concat(packets[:n]...)
		end += uint64(len(batch)) + 1
		log = append(log, logged{batch, end})
		packets = packets[n:]
	}
	recovering := func(wanted func(end uint64) bool) outcome {
		r := newRig(everything, 0)
		r.Number, r.Epoch = 3, 77
		r.Log = func([]tick.Unit) uint64 { panic("what the log holds was logged again") }
		for _, b := range log {
			r.Recover(b.batch, b.end, wanted(b.end))
		}
		if r.Logged() != end {
			t.Errorf("recovered up to %d of %d", r.Logged(), end)
		}
		r.Rows.Close()
		r.reading.Wait()
		r.rows.hash = r.Shard.StateHash()
		return r.rows
	}
	written := log[random.IntN(len(log))].end
	whole := recovering(func(uint64) bool { return true })
	before := recovering(func(end uint64) bool { return end <= written })
	after := recovering(func(end uint64) bool { return end > written })
	if before.hash != whole.hash || after.hash != whole.hash {
		t.Error("which rows are wanted has changed the state")
	}
	for id, rows := range whole.rows {
		if !bytes.Equal(rows, slices.Concat(before.rows[id], after.rows[id])) {
			t.Errorf("instrument %d: the rows of before and after are not those of the whole", id)
		}
	}
	if len(whole.rows) == 0 || whole.known != 0 || before.known+after.known != len(whole.rows) {
		t.Errorf("%d and %d definitions were told again, of %d", before.known, after.known, len(whole.rows))
	}
	for _, p := range before.positions {
		if p.Shard != 3 || p.Epoch != 77 || p.Position > written {
			t.Errorf("before: position %+v", p)
		}
	}
	for _, p := range after.positions {
		if p.Position <= written {
			t.Errorf("after: position %+v", p)
		}
	}
	if len(whole.positions) == 0 || len(whole.positions) != len(before.positions)+len(after.positions) {
		t.Errorf("%d positions, %d and %d", len(whole.positions), len(before.positions), len(after.positions))
	}
}

// slowSink has room when it is told to, and tells when a snapshot is whole.
type slowSink struct {
	nothing
	room  atomic.Bool
	whole chan struct{}
}

func (x *slowSink) Room() bool { return x.room.Load() }
func (x *slowSink) End()       { close(x.whole) }

// A snapshot ends on a market that is quiet, and one that waits for room goes on
// when its sink wakes the driver.
func TestDriverEndsSnapshotOnAQuietMarket(t *testing.T) {
	t.Parallel()
	for _, merge := range []bool{false, true} {
		r := newRig(everything, 1)
		r.Merge = merge
		x := &slowSink{whole: make(chan struct{})}
		r.Shard.SnapshotTo(x, 1)
		now := clock.Nanos()
		var tape []tick.Unit
		for id := range uint32(20) {
			tape, _ = tick.AppendCatalog(tape, tick.Header{ReceiveNanos: now}, define(id, fmt.Sprint("S", id)))
		}
		b := barrierPacket(1)
		b[0].Header().ReceiveNanos = now
		for _, p := range packetsOf(append(tape, b...)) {
			if !r.Inputs[0].Write(p) {
				t.Fatal("no room")
			}
		}
		r.Inputs[0].Publish()
		done := make(chan struct{})
		go func() { defer close(done); r.Run() }()
		x.room.Store(true)
		r.Waker.Wake()
		<-x.whole
		r.Inputs[0].Close()
		<-done
		r.finish()
	}
}

// However large packets are and however many wait, a batch is no larger than
// what the smallest log takes.
func TestBatchesFitTheSmallestLog(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	r := newRig(everything, 0)
	in := ringbuf.New(1 << 16)
	in.SetWaker(r.Waker)
	r.Inputs = append(r.Inputs, in)
	tape, err := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: 1}, tick.Instrument{ID: 1, Venue: "v", Symbol: "s"})
	if err != nil {
		t.Fatal(err)
	}
	in.Write(tape)
	for at := int64(1); len(tape) < 1<<15; at++ {
		h := tick.Header{Kind: tick.KindDepth, Flags: tick.FlagFirst | tick.FlagLast, Instrument: 1, ReceiveNanos: at}
		p := depthPacket(h, tick.KindDepth, 1, 2, 0, make([]tick.Level, random.IntN(tick.MaxLevels/2)), make([]tick.Level, random.IntN(tick.MaxLevels/2)))
		in.Write(p)
		tape = append(tape, p...)
	}
	in.Publish()
	in.Close()
	var log []tick.Unit
	largest := 0
	r.Log = func(batch []tick.Unit) uint64 {
		largest = max(largest, len(batch))
		log = append(log, batch...)
		return uint64(len(log))
	}
	r.Run()
	r.finish()
	if largest > batchUnits || largest < batchUnits/2 || !slices.Equal(log, tape) {
		t.Errorf("a batch of %d units, or not all of the %d were logged", largest, len(tape))
	}
}

// A core that cannot be had is told once, with the reason, and the driver runs
// where it may.
func TestDriverWithoutItsCore(t *testing.T) {
	t.Parallel()
	r := newRig(Options{}, 1)
	var why []error
	r.Pin, r.Core, r.Unpinned = true, 1023, func(err error) { why = append(why, err) }
	r.Inputs[0].Close()
	ended := make(chan struct{})
	go func() { // its thread goes with it
		defer close(ended)
		r.Run()
	}()
	<-ended
	r.finish()
	if len(why) != 1 || why[0] == nil || r.Stats.Unpinned.Load() != 1 {
		t.Errorf("%v, %d", why, r.Stats.Unpinned.Load())
	}
}
