package spool

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// BenchmarkSpool is batches of 11 MB and 75,000 rows, and small ones of 100
// rows, from Put to the file, with syncs as in service, taken by a sender that
// only reads. From memory: the sender keeps up. From disk: it begins when all is
// written.
func BenchmarkSpool(b *testing.B) {
	f := func(name string, rows int, late bool) {
		b.Run(name, func(b *testing.B) {
			payload := bytes.Repeat([]byte("trades,venue=binance-spot,symbol=BTCUSDT,side=buy id=\"3000000000\",price=61837.63,size=0.12345,late=f,recv_ts=1723075200000000001i 1723075200000000000\n"), rows)
			s, err := Open(Options{Dir: b.TempDir(), Tables: []string{"trades"}, DropOrder: []int{0}, Logger: quiet(), MemoryBytes: 512 << 20})
			if err != nil {
				b.Fatal(err)
			}
			s.Start()
			finished := make(chan int)
			begin := make(chan struct{})
			total := 0
			go func() {
				<-begin
				n := 0
				for {
					x, err := s.Next(0, 75_000, 16<<20)
					if err != nil {
						b.Error(err)
					}
					if x == nil {
						select {
						case <-s.Wake(0):
							continue
						case finished <- n:
							return
						}
					}
					n += x.Rows
					s.Progress(0, x, len(x.Lines), x.Rows)
				}
			}()
			if !late {
				close(begin)
			}
			started := time.Now()
			for b.Loop() {
				buf := append(s.Buffer(), payload...)
				s.Put(0, Record{Payload: buf, Rows: rows, OldestNanos: s.o.Now()}, 0)
				total += rows
				for s.Stats.MemoryBytes.Load() > 384<<20 {
					time.Sleep(time.Millisecond)
				}
			}
			wait := func(what func() bool) {
				for !what() {
					time.Sleep(time.Millisecond)
				}
			}
			wait(func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.lanes[0].memWritten == len(s.lanes[0].mem) })
			wrote := time.Since(started)
			if late {
				wait(func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.lanes[0].mem) == 0 })
				started = time.Now()
				close(begin)
				wait(func() bool { return s.Idle(0) })
				took := time.Since(started)
				b.ReportMetric(float64(total)/took.Seconds()/1e6, "Mrows/s-read")
				b.ReportMetric(float64(total/rows*len(payload))/took.Seconds()/1e6, "MB/s-read")
			} else {
				wait(func() bool { return s.Idle(0) })
			}
			b.ReportMetric(float64(total)/wrote.Seconds()/1e6, "Mrows/s-written")
			b.ReportMetric(float64(total/rows*len(payload))/wrote.Seconds()/1e6, "MB/s-written")
			if n := <-finished; n != total {
				b.Errorf("%d rows of %d", n, total)
			}
			s.Close()
		})
	}
	for _, rows := range []int{75_000, 100} {
		f(fmt.Sprintf("%d rows/from memory", rows), rows, false)
		f(fmt.Sprintf("%d rows/from disk", rows), rows, true)
	}
}
