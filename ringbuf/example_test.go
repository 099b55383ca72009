package ringbuf_test

import (
	"fmt"

	"tickproc/ringbuf"
	"tickproc/tick"
)

// A consumer of two rings, as a shard is of its lines.
func Example() {
	rings := []*ringbuf.Ring{ringbuf.New(64), ringbuf.New(64)}
	waker := ringbuf.NewWaker(ringbuf.Auto)
	for i, r := range rings {
		r.SetWaker(waker)
		go func() {
			var backoff ringbuf.Backoff
			for n := range uint64(100) {
				for !r.Write([]tick.Unit{{uint64(i), n}}) {
					backoff.Pause()
				}
				backoff.Reset()
				r.Publish()
			}
			r.Close()
		}()
	}

	done := func() bool {
		for _, r := range rings {
			if !r.Done() {
				return false
			}
		}
		return true
	}
	ready := func() bool {
		for _, r := range rings {
			if r.Len() > 0 {
				return true
			}
		}
		return done()
	}
	var packets, sum uint64
	for !done() {
		waker.Wait(ready, 0)
		for _, r := range rings {
			got := r.Poll()
			for i := range got {
				packets, sum = packets+1, sum+got[i][1]
			}
			r.Release(len(got))
		}
	}
	fmt.Println(packets, "packets, sum", sum)
	// Output: 200 packets, sum 9900
}
