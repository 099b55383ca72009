package bench

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"tickproc/engine"
	"tickproc/ringbuf"
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

func otherProcess() *exec.Cmd {
	binary, err := os.Executable()
	if err != nil {
		panic(err)
	}
	child := exec.Command(binary)
	child.Env = append(os.Environ(), "TICKPROC_BENCH_CHILD=1")
	return child
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
					p := &tradePath{w: w, in: ringbuf.New(ringUnits)}
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
