// Package pipeline puts the product together: configuration, assembly of
// feeds, shards and sinks, replay, the demo, and an orderly end.
//
//	config ─► feeds ─(one ring a line and shard)─► shards ─(one ring a shard)─► writer ─► sinks
//	            ▲                                    │
//	            └──────────── resync commands ───────┘
package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/ringbuf"
	"tickproc/tick"
	"tickproc/writer"
)

const (
	// rowRingUnits is the queue from a shard to the writer, which never waits.
	rowRingUnits = 1 << 16
	// commandRingUnits is the queue of resync commands.
	commandRingUnits = 1 << 12
	// restRingUnits is the queue of a REST line to a shard: a few snapshots.
	restRingUnits = 1 << 14
	// imageMessages is how many images may wait for a reader of a shard.
	imageMessages = 1 << 12
)

// system is an assembled pipeline.
type system struct {
	config      *Config
	logger      *slog.Logger
	options     engine.Options
	instruments []*tick.Instrument // by id
	routes      feeds.Routes
	feeds       []*venueFeed
	feedOf      []*venueFeed // by instrument id
	drivers     []*engine.Driver
	health      *ringbuf.Ring // rows that no shard made
	commanded   *ringbuf.Waker
	writer      *writer.Writer
	status      *status
	lines       int
}

// venueFeed is one entry of feeds: in the configuration.
type venueFeed struct {
	venue string
	feed  *feeds.Feed
	// inputs are its rings by line, then shard.
	inputs []lineRings
}

type lineRings struct {
	line  uint16
	name  string
	rings []*ringbuf.Ring
}

// newSystem assembles shards and a writer; feeds are added by addFeed before run.
func newSystem(config *Config, logger *slog.Logger, sinks ...writer.Sink) *system {
	s := &system{config: config, logger: logger, options: config.engineOptions(), health: ringbuf.New(1 << 12),
		commanded: ringbuf.NewWaker(ringbuf.Park)}
	policy := config.waitPolicy()
	rows := []*ringbuf.Ring{s.health}
	for i := range config.ShardCount(cores()) {
		d := &engine.Driver{Shard: engine.NewShard(s.options), Waker: ringbuf.NewWaker(policy),
			Rows: ringbuf.New(rowRingUnits), Commands: ringbuf.New(commandRingUnits),
			Images: ringbuf.NewBroadcast(imageMessages, engine.ImageUnits), Pin: config.Pin, Core: i}
		d.Commands.SetWaker(s.commanded)
		rows = append(rows, d.Rows)
		s.drivers = append(s.drivers, d)
	}
	// Rows may wait for a batch anyway: the writer parks.
	s.writer = writer.New(rows, ringbuf.NewWaker(ringbuf.Park), sinks...)
	s.status = newStatus(s)
	return s
}

// addInstrument gives an instrument its id, its shard and its feed.
func (s *system) addInstrument(in tick.Instrument) *tick.Instrument {
	in.ID = uint32(len(s.instruments))
	s.instruments = append(s.instruments, &in)
	s.routes.Set(in.ID, shardOf(in.Underlying, len(s.drivers)))
	return &in
}

// nextLine numbers the lines of all feeds.
func (s *system) nextLine() uint16 {
	if s.lines > math.MaxUint16 {
		panic("BUG: more lines than packets can name")
	}
	s.lines++
	return uint16(s.lines - 1)
}

// newOutput makes the rings of a line to the shards of its instruments.
func (s *system) newOutput(f *venueFeed, line feeds.LineInfo, options feeds.OutputOptions) *feeds.Output {
	rings := make([]*ringbuf.Ring, len(s.drivers))
	units := s.config.Rings.Units
	if line.REST {
		units = restRingUnits
	}
	open := func(shard int) {
		if rings[shard] != nil {
			return
		}
		rings[shard] = ringbuf.New(units)
		rings[shard].SetWaker(s.drivers[shard].Waker)
		s.drivers[shard].Attach(rings[shard])
	}
	for _, in := range line.Instruments {
		open(s.routes.Shard(in.ID))
	}
	for shard := range rings {
		if line.Any {
			open(shard)
		}
	}
	f.inputs = append(f.inputs, lineRings{line: line.Line, name: line.Name, rings: rings})
	return feeds.NewOutput(rings, &s.routes, options)
}

// addFeed plans the sockets of one configured feed.
func (s *system) addFeed(c *Feed, adapter feeds.Adapter, definitions []tick.Instrument, recorder *feeds.Recorder) error {
	f := &venueFeed{venue: c.Venue}
	var subscriptions []feeds.Subscription
	for _, in := range definitions {
		in.Channels = c.channels()
		added := s.addInstrument(in)
		s.feedOf = append(s.feedOf, f)
		subscriptions = append(subscriptions, feeds.Subscription{Instrument: added, Channels: in.Channels})
	}
	var err error
	f.feed, err = feeds.New(feeds.Options{
		Adapter: adapter, Subscriptions: subscriptions, WSURL: c.WSURL, RESTURL: c.RESTURL, NextLine: s.nextLine,
		Logger: s.logger, Recorder: recorder,
		NewOutput: func(line feeds.LineInfo) *feeds.Output {
			return s.newOutput(f, line, feeds.OutputOptions{})
		},
	})
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInput, c.Venue, err)
	}
	s.feeds = append(s.feeds, f)
	return nil
}

// run keeps everything going until ctx ends and every packet that was read
// before has become rows and the rows were handed to the sinks.
func (s *system) run(ctx context.Context) {
	var feeding, sharding, writing, commanding, watching sync.WaitGroup
	for _, f := range s.feeds {
		feeding.Go(func() { f.feed.Run(ctx) })
	}
	for _, d := range s.drivers {
		sharding.Go(func() {
			d.Run()
			d.Shard.Finish()
			d.Flush()
			d.Rows.Close()
			d.Commands.Close()
		})
	}
	commanding.Go(s.dispatch)
	// It ends with the rings, so that nothing accepted is left behind.
	writing.Go(func() { _ = s.writer.Run(context.WithoutCancel(ctx)) })
	stop := make(chan struct{})
	watching.Go(func() { s.status.run(stop) })

	feeding.Wait()
	sharding.Wait()
	commanding.Wait()
	close(stop)
	watching.Wait() // it writes the health rows
	s.health.Close()
	writing.Wait()
}

// dispatch carries the shards' commands to the feeds.
func (s *system) dispatch() {
	for {
		done, idle := true, true
		for _, d := range s.drivers {
			for batch := d.Commands.Poll(); len(batch) > 0; batch = d.Commands.Poll() {
				idle = false
				for i := range batch {
					r := batch[i].Resync()
					s.feedOf[r.Instrument].feed.Resync(r.Instrument, r.Epoch, r.Line)
				}
				d.Commands.Release(len(batch))
			}
			done = done && d.Commands.Done()
		}
		if done {
			return
		}
		if idle {
			s.commanded.Wait(func() bool {
				for _, d := range s.drivers {
					if d.Commands.Len() > 0 || d.Commands.Done() {
						return true
					}
				}
				return false
			}, 0)
		}
	}
}
