package bench

import (
	"tickproc/ringbuf"
	"tickproc/tick"
)

const (
	ringUnits = 1 << 15 // the configuration's default
	// publishEvery stands for the frames that one read of a socket brings.
	publishEvery = 16
)

// send writes whole packets, waiting for room.
func send(ring *ringbuf.Ring, packets []tick.Unit) {
	var backoff ringbuf.Backoff
	for len(packets) > 0 {
		n := tick.PacketUnits(&packets[0])
		for !ring.Write(packets[:n]) {
			backoff.Pause()
		}
		packets = packets[n:]
	}
}

// receiveUnits bounds what is taken at once, so that the producer gets room early.
const receiveUnits = 4096

// receive gives everything that comes to take, until the ring is closed.
func receive(ring *ringbuf.Ring, waker *ringbuf.Waker, take func(batch []tick.Unit)) {
	ready := func() bool { return ring.Len() > 0 || ring.Done() }
	for !ring.Done() {
		got := ring.Poll()
		if got == nil {
			waker.Wait(ready, 0)
			continue
		}
		n := 0
		for n < len(got) && n < receiveUnits {
			n += tick.PacketUnits(&got[n])
		}
		take(got[:n])
		ring.Release(n)
	}
}
