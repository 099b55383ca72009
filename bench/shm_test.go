package bench

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"tickproc/book"
	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/feeds/binance"
	"tickproc/ringbuf"
	"tickproc/tick"
	"tickproc/writer/shm"
	"tickproc/writer/shm/latency"
)

// The test binary is also the other process.
func init() {
	if os.Getenv("TICKPROC_BENCH_CHILD") == "" {
		return
	}
	if err := latency.Child(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// BenchmarkTradeToOtherProcess is the time from a trade's frame in memory until
// another process has read the trade from shared memory: decoded, logged or not,
// applied with everything on, published. Beside it a number in a cache line, in
// turns with it.
func BenchmarkTradeToOtherProcess(b *testing.B) {
	for _, logged := range []bool{false, true} {
		name := "no log"
		if logged {
			name = "log"
		}
		b.Run(name, func(b *testing.B) {
			dir, err := os.MkdirTemp("/dev/shm", "tickproc-bench-")
			if err != nil {
				b.Skip("there is no file system in memory")
			}
			defer os.RemoveAll(dir)
			w, err := shm.Create(shm.Options{Dir: dir, Instruments: 8})
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close()
			path := newTradePath(b, w)
			if logged {
				path.driver.Log = openLog(b, b.TempDir()).Append
			}
			binary, err := os.Executable()
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				child := exec.Command(binary)
				child.Env = append(os.Environ(), "TICKPROC_BENCH_CHILD=1")
				r, err := latency.Measure(latency.Options{Dir: dir, Messages: 2000, OtherCore: 1, Other: child}, path.send)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(0, "ns/op")
				for _, q := range []struct {
					share float64
					name  string
				}{{0.5, "p50"}, {0.99, "p99"}, {0.999, "p99.9"}} {
					b.ReportMetric(float64(latency.Quantile(r.Line, q.share)), "line-"+q.name+"-ns")
					b.ReportMetric(float64(latency.Quantile(r.Ring, q.share)), "trade-"+q.name+"-ns")
				}
			}
		})
	}
}

// BenchmarkFollowed is what showing it costs a shard: a driver on a session's
// packets, with nobody to tell, and with shared memory; on a quiet market, where
// each frame is a batch and images follow it, and on one in which packets wait.
func BenchmarkFollowed(b *testing.B) {
	for i := range 4 {
		followed, waiting := i%2 == 1, 1+i/2*63
		name := fmt.Sprintf("frames=%d/nobody", waiting)
		if followed {
			name = fmt.Sprintf("frames=%d/shared memory", waiting)
		}
		b.Run(name, func(b *testing.B) {
			eachSession(b, func(b *testing.B, s *Session) {
				dir, err := os.MkdirTemp("/dev/shm", "tickproc-bench-")
				if err != nil {
					b.Skip("there is no file system in memory")
				}
				defer os.RemoveAll(dir)
				w, err := shm.Create(shm.Options{Dir: dir})
				if err != nil {
					b.Fatal(err)
				}
				defer w.Close()
				batches := s.packets()
				m := startMeter(b, sizeOf(batches))
				for b.Loop() {
					p := &tradePath{b: b, w: w, in: ringbuf.New(ringUnits)}
					p.driver = &engine.Driver{Shard: engine.NewShard(shardOptions()), Inputs: []*ringbuf.Ring{p.in}, Waker: ringbuf.NewWaker(ringbuf.Spin), Rows: ringbuf.New(ringUnits), Merge: true}
					p.in.SetWaker(p.driver.Waker)
					if followed {
						p.driver.Follower = &shown{ring: w.Ring(0)}
					}
					p.driver.Begin()
					for i, packets := range batches {
						p.write(packets)
						if i%waiting == 0 || i == len(batches)-1 {
							p.work()
						}
					}
					mustStand(b, p.driver.Shard)
				}
				m.stop(s.Frames, "frame")
				b.ReportMetric(float64(w.Ring(0).Messages())/float64(b.N*s.Frames), "messages/frame")
			})
		})
	}
}

// tradePath is a trade's whole way, in one goroutine.
type tradePath struct {
	b       *testing.B
	w       *shm.Writer
	decoder feeds.Decoder
	driver  *engine.Driver
	in      *ringbuf.Ring
	units   []tick.Unit
	frame   []byte
	id      int
}

func newTradePath(b *testing.B, w *shm.Writer) *tradePath {
	adapter, _ := binance.New(binance.Spot)
	in := adapter.Instrument("BTCUSDT")
	in.Channels = tick.ChannelTrades
	p := &tradePath{b: b, w: w, in: ringbuf.New(ringUnits), decoder: adapter.NewDecoder(nil, feeds.NewTable([]*tick.Instrument{&in}))}
	p.driver = &engine.Driver{Shard: engine.NewShard(shardOptions()), Inputs: []*ringbuf.Ring{p.in}, Waker: ringbuf.NewWaker(ringbuf.Spin),
		Rows: ringbuf.New(ringUnits), Follower: &shown{ring: w.Ring(0)}}
	p.in.SetWaker(p.driver.Waker)
	p.driver.Begin()
	opening, err := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: time.Now().UnixNano()}, in)
	if err != nil {
		b.Fatal(err)
	}
	p.give(tick.AppendEvent(opening, tick.Header{Kind: tick.KindUp, ReceiveNanos: time.Now().UnixNano()}, tick.ChannelTrades, tick.ReasonNone))
	return p
}

// send takes the way once. The frame is made before its time begins.
func (p *tradePath) send(int64) {
	p.id++
	now := time.Now().UnixMilli()
	p.frame = fmt.Appendf(p.frame[:0], `{"stream":"btcusdt@trade","data":{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"61837.%02d000000","q":"0.00%03d000","T":%d,"m":%t,"M":true}}`,
		now, p.id, p.id%100, 1+p.id%999, now, p.id%2 == 0)
	stamp := latency.Now()
	units, _, err := p.decoder.Decode(p.units[:0], p.frame, feeds.Stamp{Ordinal: uint64(p.id), ReceiveNanos: stamp})
	if err != nil || len(units) == 0 {
		p.b.Fatalf("%d units: %v", len(units), err)
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
