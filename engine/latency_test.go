package engine

import (
	"testing"
	"time"

	"tickproc/internal/stat"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// meterRig is a driver that is stepped by hand, on a clock that moves by a
// microsecond each time that it is read.
type meterRig struct {
	Driver
	clock int64
	in    *ringbuf.Ring
}

func newMeterRig(latency *Latency) *meterRig {
	r := &meterRig{in: ringbuf.New(1 << 12), clock: midnight}
	r.Waker = ringbuf.NewWaker(ringbuf.Park)
	r.Inputs, r.Shard, r.Rows, r.Latency = []*ringbuf.Ring{r.in}, NewShard(full), ringbuf.New(1<<12), latency
	r.Now = func() int64 { r.clock += 1000; return r.clock }
	r.Begin()
	return r
}

// give lets the driver take packets as one batch.
func (r *meterRig) give(t testing.TB, packets ...[]tick.Unit) {
	for _, p := range packets {
		if !r.in.Write(p) {
			t.Fatal("no room")
		}
	}
	r.in.Publish()
	for r.in.Len() > 0 {
		r.Step()
	}
	if rows := r.Rows.Poll(); len(rows) > 0 {
		r.Rows.Release(len(rows))
	}
}

func introducing(t testing.TB, id uint32, symbol string) []tick.Unit {
	p, err := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: midnight}, define(id, symbol))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Each packet of a venue counts once in each stage, in its own venue's cell and
// class, with its own waiting time; three stamps serve the whole batch, two one
// whose rows are not measured.
func TestLatencyByVenueAndClass(t *testing.T) {
	t.Parallel()
	var venues stat.Groups
	l := NewLatency(&venues)
	l.Grow(2)
	venues.Set(0, 0)
	venues.Set(1, 1)
	venues.Set(2, stat.NoGroup-1) // a venue that there is no room for yet
	r := newMeterRig(l)
	r.give(t, introducing(t, 0, "BTC"), introducing(t, 1, "ETH"), introducing(t, 2, "XRP"), introducing(t, 3, "ADA"))

	for r.batches%rowsMeasured != 0 { // of the next the rows are measured
		calls := r.clock
		r.give(t, introducing(t, 3, "ADA"))
		if read := (r.clock - calls) / 1000; read != 2 {
			t.Errorf("the clock was read %d times", read)
		}
	}
	at := func(instrument uint32, ago time.Duration) tick.Header {
		return tick.Header{Line: 1, Instrument: instrument, ReceiveNanos: r.clock + 2000 - int64(ago), ExchangeNanos: r.clock}
	}
	trade := func(instrument uint32, ago time.Duration, id uint64) []tick.Unit {
		return tradePacket(at(instrument, ago), id, tick.Level{Price: 100, Size: 1})
	}
	levels := []tick.Level{{Price: 99, Size: 1}}
	// The same for all: the clock is read at the batch's taking and twice behind it.
	calls := r.clock
	r.give(t,
		trade(0, 900*time.Microsecond, 1), trade(0, 900*time.Microsecond, 2),
		trade(0, 300*time.Microsecond, 3),
		depthPacket(at(1, 250*time.Microsecond), tick.KindQuote, 0, 1, 0, levels, []tick.Level{{Price: 101, Size: 1}}),
		trade(2, 200*time.Microsecond, 1), trade(3, 100*time.Microsecond, 1))
	if read := (r.clock - calls) / 1000; read != 3 {
		t.Errorf("the clock was read %d times", read)
	}
	f := func(what string, grid *stat.Grid, venue int, class tick.Class, counts ...int64) {
		t.Helper()
		b := grid.Load()[venue*tick.ClassCount+int(class)].Snapshot()
		if b.Count() != uint64(len(counts)) {
			t.Errorf("%s of %s: %d counted, not %d", what, class, b.Count(), len(counts))
			return
		}
		for i, want := range counts {
			if have := b.Quantile(float64(i) / float64(len(counts))); have < want || have > want+want/16 {
				t.Errorf("%s of %s: %d ns is %d", what, class, want, have)
			}
		}
	}
	f("wait", &l.Wait, 0, tick.ClassTrades, 299e3, 899e3, 899e3)
	f("apply", &l.Apply, 0, tick.ClassTrades, 1000, 1000, 1000)
	f("rows", &l.Rows, 0, tick.ClassTrades, 1000, 1000, 1000)
	f("wait", &l.Wait, 1, tick.ClassQuotes, 249e3)
	f("apply", &l.Apply, 1, tick.ClassQuotes, 1000)
	f("wait", &l.Wait, 1, tick.ClassTrades)
	f("wait", &l.Wait, 0, tick.ClassQuotes)
	f("wait", &l.Wait, 0, tick.ClassOther)
}

// Room for a venue is made while the driver runs.
func TestLatencyOfAVenueThatComesLater(t *testing.T) {
	t.Parallel()
	var venues stat.Groups
	l := NewLatency(&venues)
	r := newMeterRig(l)
	r.give(t, introducing(t, 0, "BTC"))
	h := tick.Header{Line: 1, ReceiveNanos: r.clock, ExchangeNanos: r.clock}
	r.give(t, tradePacket(h, 1, tick.Level{Price: 100, Size: 1}))
	l.Grow(3)
	venues.Set(0, 2)
	r.give(t, tradePacket(h, 2, tick.Level{Price: 100, Size: 1}))
	b := l.Wait.Load()[2*tick.ClassCount].Snapshot()
	if b.Count() != 1 {
		t.Errorf("%d counted", b.Count())
	}
}

func TestLatencyZeroAllocs(t *testing.T) {
	skipUnderRace(t)
	var venues stat.Groups
	l := NewLatency(&venues)
	l.Grow(1)
	venues.Set(0, 0)
	batch := someBatch(64, 1)
	l.batch(batch, midnight, midnight+1, midnight+2)
	if n := testing.AllocsPerRun(100, func() { l.batch(batch, midnight, midnight+1, midnight+2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// someBatch is n trades, of frames of as many each.
func someBatch(n, frame int) (batch []tick.Unit) {
	for i := range n {
		batch = append(batch, tradePacket(tick.Header{Line: 1, ReceiveNanos: midnight - int64(i/frame)*700}, uint64(i+1), tick.Level{Price: 100, Size: 1})...)
	}
	return batch
}

// What counting costs a packet, where every packet is a frame of its own (the
// dearest), and where a frame brings ten; and a batch of one packet, without
// the third stamp.
func BenchmarkLatency(b *testing.B) {
	for _, x := range []struct {
		name     string
		n, frame int
	}{{"batch of 1", 1, 1}, {"batch of 64, a frame each", 64, 1}, {"batch of 64, ten a frame", 64, 10}} {
		b.Run(x.name, func(b *testing.B) {
			var venues stat.Groups
			l := NewLatency(&venues)
			l.Grow(1)
			venues.Set(0, 0)
			batch := someBatch(x.n, x.frame)
			for b.Loop() {
				l.batch(batch, midnight, midnight+500, midnight+900)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*x.n), "ns/packet")
		})
	}
}
