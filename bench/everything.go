package bench

import (
	"os"

	"tickproc/engine"
	"tickproc/internal/clock"
	"tickproc/internal/stat"
	"tickproc/journal"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// service is what a running service has between a line's ring and the rings of
// its rows and commands: driver, shard, log.
type service struct {
	driver *engine.Driver
	input  *ringbuf.Ring
	log    *journal.Log
	now    int64 // receive time of what is applied
	end    func() error
}

// everythingOptions are those of an empty configuration, the consolidated quotes
// and the fetching of missed trades included.
func everythingOptions() engine.Options {
	o := shardOptions()
	o.Nbbo, o.Backfill = true, true
	return o
}

// latencyInstruments are those whose latencies are counted: all of a session.
const latencyInstruments = 16

// newService makes a service whose log lies on tmpfs and is drained to a folder
// that end removes.
func newService(opening []tick.Unit) (*service, error) {
	dir, err := os.MkdirTemp("", "tickproc-bench-")
	if err != nil {
		return nil, err
	}
	log, ended, err := drainedLog(dir)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	x := &service{input: ringbuf.New(ringUnits), log: log}
	x.end = func() error {
		defer os.RemoveAll(dir)
		return ended()
	}
	x.driver = &engine.Driver{Shard: engine.NewShard(everythingOptions()), Inputs: []*ringbuf.Ring{x.input}, Waker: ringbuf.NewWaker(ringbuf.Auto),
		Rows: ringbuf.New(1 << 16), Commands: ringbuf.New(1 << 12), Images: ringbuf.NewBroadcast(1<<12, engine.ImageUnits), Log: log.Append, Epoch: 1,
		// The frames are of another day: the clock is read, as it would be, and
		// their time told.
		Now: func() int64 { kept += uint64(clock.Nanos()); return x.now }}
	var venues stat.Groups // of one venue
	for i := range latencyInstruments {
		venues.Set(uint32(i), 0)
	}
	x.driver.Latency = engine.NewLatency(&venues)
	x.driver.Latency.Grow(1)
	x.driver.Begin()
	x.take(opening)
	return x, nil
}

// take gives the service a frame's packets, and has it do what they cause.
//
// hot: per frame, 0 allocs after warm-up.
func (x *service) take(packets []tick.Unit) {
	if len(packets) == 0 {
		return
	}
	send(x.input, packets)
	x.input.Publish()
	x.now = packets[0].Header().ReceiveNanos
	x.apply()
}

// apply has the driver take all that is published.
func (x *service) apply() {
	for x.input.Len() > 0 {
		x.driver.Step()
	}
}

// carry does what others do meanwhile: rows and commands are taken away.
func (x *service) carry() {
	for _, ring := range []*ringbuf.Ring{x.driver.Rows, x.driver.Commands} {
		for units := ring.Poll(); len(units) > 0; units = ring.Poll() {
			ring.Release(len(units))
		}
	}
	x.log.Retain(x.log.Synced())
}

// rest waits until the log's ring is half empty: what is measured here comes
// many times as fast as any market, and a disk is not what is measured.
func (x *service) rest(r *Run) {
	var backoff ringbuf.Backoff
	for half := x.log.Room(); half < 16<<20/tick.UnitSize/2 && !r.Stopped(); half = x.log.Room() {
		backoff.Pause()
	}
}

// everything goes round a session of one channel with everything on; batch 0 =
// as many frames a sample as it takes.
func everything(r *Run, s *Sample, venue string, channel tick.Channels, batch int) (err error) {
	f, err := r.Frames(venue, channel)
	if err != nil {
		return err
	}
	x, opening := newLaps(f.Session)
	service, err := newService(opening)
	if err != nil {
		return err
	}
	defer func() {
		if ended := service.end(); err == nil {
			err = ended
		}
	}()
	step := func() { service.take(x.next()) }
	for range 2 * len(x.records) {
		step()
		service.carry()
	}
	r.Batches(s, Work{Batch: batch,
		Ready: func(n int) {
			service.carry()
			service.rest(r)
			x.skip(n, func() { step(); service.carry() })
		},
		Do: func(n int) int {
			for range n {
				step()
			}
			return n
		}})
	return stands(service.driver.Shard, channel)
}
