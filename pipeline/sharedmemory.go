package pipeline

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"tickproc/book"
	"tickproc/engine"
	"tickproc/ops"
	"tickproc/tick"
	"tickproc/writer/shm"
)

// shmDir is where the shards are shown: like the log's memory, in a folder that
// is named after data_dir, so that whoever knows the configuration finds it.
func (c *Config) shmDir() string {
	if c.Shm.Dir != "" {
		return c.Shm.Dir
	}
	if _, err := os.Stat(c.Journal.MemoryDir); err != nil {
		return filepath.Join(c.DataDir, "shm") // no file system in memory on this platform
	}
	return filepath.Join(c.Journal.MemoryDir, "tickproc-"+nameOfFolder(c.DataDir)+"-shm")
}

func (c *Config) shmOptions(shards int) shm.Options {
	readers := map[string]shm.Readers{"group": shm.ReadersGroup, "all": shm.ReadersAll}[c.Shm.Readers]
	return shm.Options{Dir: c.shmDir(), Readers: readers, Instance: c.Instance, Rings: shards, RingBytes: int64(c.Shm.Ring), Levels: c.Shm.Levels, Instruments: c.Shm.Instruments}
}

// share begins to show the shards, if that is configured. They do not run yet.
func (s *system) share() error {
	if s.config.Shm.Enabled != On {
		return nil
	}
	o := s.config.shmOptions(len(s.drivers))
	w, err := shm.Create(o)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	s.shared = w
	for i, d := range s.drivers {
		d.Follower = &follower{ring: w.Ring(i)}
	}
	s.logger.Info("shared memory", "dir", w.Dir(), "bytes", o.Bytes(), "epoch", w.Epoch())
	return nil
}

// follower shows one shard.
type follower struct {
	ring     *shm.Ring
	standing shm.Standing
}

// Rows, Image and End are hot: per batch, 0 allocs.
func (f *follower) Rows(rows []tick.Unit) { f.ring.Rows(rows) }

func (f *follower) Image(x *engine.Image, bids, asks *book.Side) {
	f.standing = shm.Standing{Instrument: x.Instrument, Valid: x.Valid, Reason: x.Reason, PriceDigits: x.PriceDigits, SizeDigits: x.SizeDigits,
		ReceiveNanos: x.ReceiveNanos, OffsetNanos: x.OffsetNanos, DepthNanos: x.LastTs[tick.ChannelDepth.Index()], LastID: x.LastID}
	f.ring.Image(&f.standing, bids, asks)
}

func (f *follower) End() { f.ring.End() }

// beat says that the service lives, until it is told to stop.
func (s *system) beat() (stop func()) {
	if s.shared == nil {
		return func() {}
	}
	told, ending, ended := uint64(0), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		beat := time.NewTicker(shm.BeatEvery)
		defer beat.Stop()
		for {
			select {
			case <-ending:
				return
			case <-beat.C:
			}
			s.shared.Beat()
			if left := s.shared.LeftOut(); left > told {
				told = left
				s.logger.Warn("instruments have no room in shared memory: their messages are there, their names and images are not; make shm.instruments larger and restart",
					"left_out", left, "shm.instruments", s.config.Shm.Instruments)
			}
		}
	}()
	return func() {
		close(ending)
		<-ended
	}
}

// endSharing ends it in order. The shards have ended, or never ran.
func (s *system) endSharing() {
	if s.shared == nil {
		return
	}
	if err := s.shared.Close(); err != nil {
		s.logger.Error("the shared memory does not end cleanly", "error", err)
	}
}

func (s *system) registerShared(r *ops.Registry) {
	for i := range s.drivers {
		ring, labels := s.shared.Ring(i), map[string]string{"shard": strconv.Itoa(i)}
		r.CounterFunc("tickproc_shm_messages_total", "Messages published in shared memory.", labels, func() float64 { return float64(ring.Messages()) })
		r.CounterFunc("tickproc_shm_bytes_total", "Bytes of the slots that they took.", labels, func() float64 { return float64(ring.Bytes()) })
	}
	r.GaugeFunc("tickproc_shm_instruments_left_out", "Instruments that have no room in shared memory.", nil, func() float64 { return float64(s.shared.LeftOut()) })
}
