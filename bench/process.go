package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"tickproc/book"
	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/feeds/venues"
	"tickproc/ringbuf"
	"tickproc/tick"
	"tickproc/writer/shm"
	"tickproc/writer/shm/latency"
)

// processMessages are measured at a time: some ms, and more where others use the
// cores, which is why there are not as many as the time allows.
const processMessages = 5000

// processLines are a trade's whole way until another process has read it, and
// a number in a cache line that the two share, in turns with it.
func processLines() []Measurement {
	const floor, trade, logged = "floor/process", "process/trade", "process/trade/log"
	t := new(turns)
	measure := func(r *Run, t *turns) error {
		for _, name := range []string{trade, logged} {
			got, err := tradesToProcess(r, name == logged)
			if err != nil {
				return err
			}
			t.found[floor] = append(t.found[floor], got.Line...)
			t.found[name] = got.Ring
			if len(r.Cores) < 2 {
				t.notes[name] = notPinned
			}
		}
		return nil
	}
	return []Measurement{
		{Name: floor, What: "a number in a cache line until another process has seen it; both spin, on a core each, and read the clock", Unit: "message", Cores: 2, Run: t.measure(floor, measure)},
		{Name: trade, What: "trade frame in memory → another process has read it from shared memory: decoded, applied, published; no log", Unit: "frame", Floor: floor, Cores: 2, Aim: toProcess(""), Run: t.take(trade)},
		{Name: logged, What: "the same with the log on tmpfs", Unit: "frame", Floor: floor, Cores: 2, Aim: toProcess("log/append"), Run: t.take(logged)},
	}
}

// toProcess aims at a p50 of 400 ns, and the p50 of another line where that is
// measured, and at a tail next to the floor's.
func toProcess(more string) Aim {
	text := "p50 ≤ 400ns"
	if more != "" {
		text += " + " + more
	}
	return Aim{Text: text + ", p99 ≤ 1.2 × floor's", Met: func(line *Result, of func(string) *Result) bool {
		most := 400.0
		if x := of(more); x != nil {
			most += x.P50
		}
		floor := of(line.Floor)
		return floor != nil && line.P50 <= most && line.P99 <= 1.2*floor.P99
	}}
}

// tradesToProcess measures for at most the run's time, or until there are some.
func tradesToProcess(r *Run, logged bool) (got latency.Result, err error) {
	if r.other == nil {
		return got, errors.New("there is no program to be the other process")
	}
	dir, err := os.MkdirTemp("/dev/shm", "tickproc-bench-")
	if err != nil {
		return got, fmt.Errorf("no file system in memory: %w", err)
	}
	defer os.RemoveAll(dir)
	w, err := shm.Create(shm.Options{Dir: dir, Instruments: 8})
	if err != nil {
		return got, err
	}
	defer w.Close()
	path, err := newTradePath(w)
	if err != nil {
		return got, err
	}
	if logged {
		disk, err := os.MkdirTemp("", "tickproc-bench-")
		if err != nil {
			return got, err
		}
		defer os.RemoveAll(disk)
		log, end, err := drainedLog(filepath.Join(disk, "data"))
		if err != nil {
			return got, err
		}
		defer end() // it is thrown away
		path.driver.Log = log.Append
	}
	o := latency.Options{Dir: dir, Messages: processMessages, Within: r.Time, Other: r.other()}
	if len(r.Cores) >= 2 {
		o.Core, o.OtherCore = r.Cores[0], r.Cores[1]
	}
	got, err = latency.Measure(o, path.send)
	return got, errors.Join(err, path.err)
}

// tradePath is a trade's whole way to shared memory, in one goroutine.
type tradePath struct {
	w       *shm.Writer
	decoder feeds.Decoder
	driver  *engine.Driver
	in      *ringbuf.Ring
	units   []tick.Unit
	frame   []byte
	id      int
	err     error // the first
}

func newTradePath(w *shm.Writer) (*tradePath, error) {
	adapter, ok := venues.New(spot)
	if !ok {
		panic("BUG: there is no " + spot)
	}
	in := adapter.Instrument("BTCUSDT")
	in.Channels = tick.ChannelTrades
	p := &tradePath{w: w, in: ringbuf.New(ringUnits), decoder: adapter.NewDecoder(nil, feeds.NewTable([]*tick.Instrument{&in}))}
	p.driver = &engine.Driver{Shard: engine.NewShard(shardOptions()), Inputs: []*ringbuf.Ring{p.in}, Waker: ringbuf.NewWaker(ringbuf.Spin),
		Rows: ringbuf.New(ringUnits), Follower: &shown{ring: w.Ring(0)}}
	p.in.SetWaker(p.driver.Waker)
	p.driver.Begin()
	opening, err := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: time.Now().UnixNano()}, in)
	if err != nil {
		return nil, err
	}
	p.give(tick.AppendEvent(opening, tick.Header{Kind: tick.KindUp, ReceiveNanos: time.Now().UnixNano()}, tick.ChannelTrades, tick.ReasonNone))
	return p, nil
}

// send takes the way once. The frame is made before its time begins.
func (p *tradePath) send(int64) {
	p.id++
	now := time.Now().UnixMilli()
	p.frame = fmt.Appendf(p.frame[:0], `{"stream":"btcusdt@trade","data":{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"61837.%02d000000","q":"0.00%03d000","T":%d,"m":%t,"M":true}}`,
		now, p.id, p.id%100, 1+p.id%999, now, p.id%2 == 0)
	stamp := latency.Now()
	units, _, err := p.decoder.Decode(p.units[:0], p.frame, feeds.Stamp{Ordinal: uint64(p.id), ReceiveNanos: stamp})
	if (err != nil || len(units) == 0) && p.err == nil {
		p.err = fmt.Errorf("BUG: a frame became %d units: %w", len(units), err)
	}
	p.give(units)
	p.units = units
	if p.id%64 == 0 {
		p.w.Beat()
	}
}

func (p *tradePath) give(packets []tick.Unit) {
	p.write(packets)
	p.work()
}

func (p *tradePath) write(packets []tick.Unit) {
	for len(packets) > 0 {
		n := tick.PacketUnits(&packets[0])
		if !p.in.Write(packets[:n]) {
			p.work()
			continue
		}
		packets = packets[n:]
	}
}

// work applies what was written.
func (p *tradePath) work() {
	p.in.Publish()
	for {
		if worked, _ := p.driver.Step(); !worked {
			break
		}
	}
	p.driver.Rows.Release(len(p.driver.Rows.Poll()))
}

// shown is a follower as the service has it.
type shown struct{ ring *shm.Ring }

func (f *shown) Rows(rows []tick.Unit) { f.ring.Rows(rows) }

func (f *shown) Image(x *engine.Image, bids, asks *book.Side) {
	f.ring.Image(&shm.Standing{Instrument: x.Instrument, Valid: x.Valid, Reason: x.Reason, PriceDigits: x.PriceDigits, SizeDigits: x.SizeDigits,
		ReceiveNanos: x.ReceiveNanos, OffsetNanos: x.OffsetNanos, LastID: x.LastID}, bids, asks)
}

func (f *shown) End() { f.ring.End() }
