package journal

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"tickproc/tick"
)

// cpu reports the processor's time an operation: on a machine that others use
// the wall clock tells of them.
func cpu(b *testing.B) (stop func()) {
	now := func() int64 {
		var u syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return u.Utime.Nano() + u.Stime.Nano()
	}
	from := now()
	return func() { b.ReportMetric(float64(now()-from)/float64(b.N), "cpu-ns/op") }
}

// The ring is emptied by the benchmark itself, without a disk, so that what is
// measured is Append alone. The thing to beat is a plain copy of the batch.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		batch := aBatch(1, n)
		b.Run(fmt.Sprintf("units=%d", n), func(b *testing.B) {
			l := benchLog(b)
			b.SetBytes(int64(n) * unitBytes)
			b.ReportAllocs()
			stop := cpu(b)
			for b.Loop() {
				l.Append(batch)
				if l.end-l.synced.Load() > 1<<15 { // rarely, as the drainer does
					l.synced.Store(l.end)
				}
			}
			stop()
			l.drainer.written = l.end
		})
		b.Run(fmt.Sprintf("units=%d/copy", n), func(b *testing.B) {
			to := make([]tick.Unit, 1<<18)
			at := 0
			clear(to)
			b.SetBytes(int64(n) * unitBytes)
			stop := cpu(b)
			for b.Loop() {
				if at+n > len(to) {
					at = 0
				}
				at += copy(to[at:], batch)
			}
			stop()
		})
	}
}

func benchLog(b *testing.B) *Log {
	dir := filepath.Join(b.TempDir(), "log")
	removeRingsAfter(b, dir)
	l, _, err := Open(Options{Dir: dir})
	must(b, err)
	b.Cleanup(func() { l.leave(); l.ring.Close(true) })
	return l
}

// The whole way: appended as fast as the disk takes it.
func BenchmarkAppendAndDrain(b *testing.B) {
	l := benchLog(b)
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { l.Run(ctx); close(done) }()
	batch := aBatch(1, 64)
	b.SetBytes(64 * unitBytes)
	l.Retain(1 << 62)
	end := cpu(b)
	for b.Loop() {
		l.Append(batch)
	}
	end()
	b.ReportMetric(float64(l.Stats.Waits.Load())/float64(b.N), "waits/op")
	stop()
	<-done
}

// Reading for recovery, in batches of the size that drivers make.
func BenchmarkRead(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("units=%d", n), func(b *testing.B) {
			l := benchLog(b)
			packets := uint64(0)
			for l.Appended() < 2<<20 { // 128 MiB
				batch := aBatch(1, n)
				for l.Room() < n+1 {
					l.drain(l.o.Now(), true)
				}
				l.Append(batch)
			}
			l.drain(l.o.Now(), true)
			stop := cpu(b)
			for b.Loop() {
				must(b, l.Read(0, func(_ uint64, batch []tick.Unit) error { packets += uint64(len(batch)); return nil }))
			}
			stop()
			b.SetBytes(int64(l.Synced()) * unitBytes)
			b.ReportMetric(float64(packets)/b.Elapsed().Seconds()/1e6, "Mpackets/s")
		})
	}
}
