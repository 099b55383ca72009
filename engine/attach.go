package engine

import (
	"sync"

	"tickproc/internal/stat"
	"tickproc/ringbuf"
)

// attached are inputs that came while the driver runs.
type attached struct {
	mu      sync.Mutex
	rings   []*ringbuf.Ring
	waiting stat.Gauge // len(rings), for the driver's loop
}

// Attach adds an input. Any goroutine may call it, before or while the driver
// runs; the ring must share Waker, and some input must be open still.
func (d *Driver) Attach(ring *ringbuf.Ring) {
	d.attached.mu.Lock()
	d.attached.rings = append(d.attached.rings, ring)
	d.attached.waiting.Set(int64(len(d.attached.rings)))
	d.attached.mu.Unlock()
	d.Waker.Wake()
}

func (d *Driver) takeAttached() {
	if d.attached.waiting.Load() == 0 {
		return
	}
	d.attached.mu.Lock()
	defer d.attached.mu.Unlock()
	for _, ring := range d.attached.rings {
		d.Inputs, d.heads = append(d.Inputs, ring), append(d.heads, nil)
	}
	d.attached.rings = d.attached.rings[:0]
	d.attached.waiting.Set(0)
}
