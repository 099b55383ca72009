package bench

import (
	"context"
	"os"
	"path/filepath"

	"tickproc/journal"
	"tickproc/tick"
)

// drainedLog opens a log with its ring on tmpfs, where there is one, and drains
// it until end is called, which removes nothing of dir.
func drainedLog(dir string) (log *journal.Log, end func() error, err error) {
	ring, noTmpfs := os.MkdirTemp("/dev/shm", "tickproc-bench-")
	if noTmpfs != nil {
		ring = filepath.Join(dir, "ring")
	}
	log, _, err = journal.Open(journal.Options{Dir: filepath.Join(dir, "log"), RingDir: ring, RingOnDisk: noTmpfs != nil, RingBytes: 16 << 20})
	if err != nil {
		os.RemoveAll(ring)
		return nil, nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	drained := make(chan struct{})
	go func() { log.Run(ctx); close(drained) }()
	return log, func() error {
		stop()
		<-drained
		defer os.RemoveAll(ring)
		return log.Close()
	}, nil
}

func logLines() []Measurement {
	return []Measurement{{Name: "log/append", What: "appending a trade's packet, a batch of its own, to the log on tmpfs", Unit: "batch", Floor: "floor/copy/trades/binance-spot",
		Run: func(r *Run, s *Sample) (err error) {
			f, err := r.Frames("binance-spot", tick.ChannelTrades)
			if err != nil {
				return err
			}
			packets, next := f.decoded(), 0
			x, err := newService(nil)
			if err != nil {
				return err
			}
			defer func() {
				if ended := x.end(); err == nil {
					err = ended
				}
			}()
			r.Batches(s, Work{
				Ready: func(int) { x.carry(); x.rest(r) },
				Do: func(n int) int {
					for range n {
						x.log.Append(packets[next])
						if next++; next == len(packets) {
							next = 0
						}
					}
					return n
				}})
			if at := x.log.Ring(); at.Cost != "" {
				s.Note = at.Cost
			}
			return nil
		}}}
}
