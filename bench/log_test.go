package bench

import (
	"slices"
	"testing"

	"tickproc/engine"
	"tickproc/internal/clock"
	"tickproc/journal"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// BenchmarkLogged is what the log costs a shard: a frame's packets a batch, as
// they come where the market is quiet, without and with the log before them.
// The distribution is of single batches, so it has the clock's own time in it.
func BenchmarkLogged(b *testing.B) {
	for _, logged := range []bool{false, true} {
		name := "no log"
		if logged {
			name = "log"
		}
		b.Run(name, func(b *testing.B) {
			eachSession(b, func(b *testing.B, s *Session) {
				batches := s.packets()
				took := make([]int64, 0, len(batches))
				m := startMeter(b, sizeOf(batches))
				for b.Loop() {
					b.StopTimer()
					shard, appendTo := engine.NewShard(shardOptions()), func([]tick.Unit) uint64 { return 1 }
					if logged {
						appendTo = openLog(b, b.TempDir()).Append
					}
					took = took[:0]
					b.StartTimer()
					for _, packets := range batches {
						from := clock.Nanos()
						if appendTo(packets) == 0 {
							b.Fatal("the log takes nothing")
						}
						shard.Apply(packets)
						shard.TakeRows()
						shard.TakeCommands()
						took = append(took, clock.Nanos()-from)
					}
				}
				m.stop(s.Frames, "frame")
				slices.Sort(took)
				for _, q := range []struct {
					share float64
					name  string
				}{{0.5, "p50-ns"}, {0.99, "p99-ns"}, {0.999, "p99.9-ns"}} {
					b.ReportMetric(float64(took[int(q.share*float64(len(took)-1))]), q.name)
				}
			})
		})
	}
}

// openLog opens a log that is drained until the benchmark's part ends.
func openLog(b testing.TB, dir string) *journal.Log {
	b.Helper()
	log, end, err := drainedLog(dir)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := end(); err != nil {
			b.Error(err)
		}
	})
	return log
}

// BenchmarkRecover reads a log from its beginning into a shard, as a start does
// that found no snapshot. Beside it the same packets as they came live: logged,
// then applied, as fast as one shard can. Rows go to a ring that is emptied.
func BenchmarkRecover(b *testing.B) {
	eachSession(b, func(b *testing.B, s *Session) {
		batches := s.packets()
		packets := 0
		for _, batch := range batches {
			for rest := batch; len(rest) > 0; rest = rest[tick.PacketUnits(&rest[0]):] {
				packets++
			}
		}
		b.Run("live", func(b *testing.B) {
			m := startMeter(b, sizeOf(batches))
			for b.Loop() {
				b.StopTimer()
				driver, end := recovering()
				driver.Log = openLog(b, b.TempDir()).Append
				b.StartTimer()
				for _, batch := range batches {
					if !driver.Record(batch) {
						b.Fatal("the log takes nothing")
					}
				}
				end()
			}
			m.stop(packets, "packet")
		})
		b.Run("recovery", func(b *testing.B) {
			log := openLog(b, b.TempDir())
			for _, batch := range batches {
				if log.Append(batch) == 0 {
					b.Fatal("the log takes nothing")
				}
			}
			var backoff ringbuf.Backoff
			for log.Synced() < log.Appended() {
				backoff.Pause()
			}
			defer func() { b.ReportMetric(float64(log.Appended())*tick.UnitSize/float64(packets), "disk-B/packet") }()
			m := startMeter(b, sizeOf(batches))
			for b.Loop() {
				driver, end := recovering()
				err := log.Read(0, func(position uint64, batch []tick.Unit) error {
					driver.Recover(batch, position+1+uint64(len(batch)), true)
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
				end()
				mustStand(b, driver.Shard)
			}
			m.stop(packets, "packet")
		})
	})
}

// recovering returns a driver, and what ends the goroutine that empties its rows.
func recovering() (driver *engine.Driver, end func()) {
	rows, waker := ringbuf.New(ringUnits), ringbuf.NewWaker(ringbuf.Auto)
	rows.SetWaker(waker)
	emptied := make(chan struct{})
	go func() {
		defer close(emptied)
		receive(rows, waker, func([]tick.Unit) {})
	}()
	return &engine.Driver{Shard: engine.NewShard(shardOptions()), Rows: rows, Epoch: 1}, func() {
		rows.Close()
		<-emptied
	}
}
