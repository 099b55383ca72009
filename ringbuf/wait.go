package ringbuf

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Policy says what a Waker does while there is nothing to do.
type Policy uint8

const (
	// Auto spins for some microseconds if a core is free for it, then parks.
	// A core counts as free when GOMAXPROCS (at NewWaker) ≥ goroutines that
	// spin at this moment, this one included, + 2: the producers and the
	// garbage collector need the rest. On one or two cores it is Park.
	Auto Policy = iota
	// Spin never gives up its core: the quickest hand-off, for a pinned
	// goroutine. With less than two cores to spare it starves the producers
	// it waits for; that is for the caller to refuse.
	Spin
	// Yield lets other goroutines run between two looks. It keeps a core busy
	// if they have nothing to do.
	Yield
	// Park lets the others run once, then sleeps until Wake.
	Park
)

const (
	autoSpins  = 2000 // looks before Auto parks: some 20 µs over a few rings
	clockEvery = 64   // looks between two looks at the clock
)

// spinners counts the goroutines that spin in a Wait.
var spinners atomic.Int32

// Occupy says that n more goroutines, n below zero that so many fewer, keep a
// core to themselves: Auto does not count on it.
func Occupy(n int) { spinners.Add(int32(n)) }

// Waker lets one consumer goroutine sleep until one of many producers has
// something for it.
//
// No wake-up is lost: the consumer says that it parks and then looks, the
// producer publishes and then looks whether somebody is parked; whichever
// comes second sees the other.
type Waker struct {
	policy Policy
	cores  int
	timer  *time.Timer   // reused: a Wait allocates nothing
	token  chan struct{} // one token: look again. A stale one costs a look
	_      linePad
	parked atomic.Bool // written when somebody parks, read with each Publish
	_      linePad
}

// NewWaker makes a waker for one consumer.
func NewWaker(p Policy) *Waker {
	w := &Waker{policy: p, cores: runtime.GOMAXPROCS(0), timer: time.NewTimer(0), token: make(chan struct{}, 1)}
	w.timer.Stop()
	return w
}

// Wake ends the consumer's Wait, or makes it look at ready again. Any
// goroutine may call it, after it changed what ready looks at. When nobody is
// parked it is one atomic load.
//
// hot: per batch, 0 allocs
func (w *Waker) Wake() {
	if w.parked.Load() && w.parked.CompareAndSwap(true, false) {
		select {
		case w.token <- struct{}{}:
		default: // the one that lies there has not been taken: it will do
		}
	}
}

// Wait returns when ready() is true or the timeout has passed, as much later
// as the scheduler takes. Timeout 0 means none; a negative one has passed.
// Only the consumer calls it; ready runs on its goroutine, should be made once
// (a new closure for each call is an allocation) and must be true for
// everything that ought to end the wait: packets, closed rings, shutdown.
//
// hot: per batch, 0 allocs
func (w *Waker) Wait(ready func() bool, timeout time.Duration) {
	if ready() || timeout < 0 {
		return
	}
	switch w.policy {
	case Auto:
		if w.spinBriefly(ready) {
			return
		}
		fallthrough
	case Park:
		// One turn for the others, before anybody pays for a wake-up: measured
		// 0.34 µs a round trip instead of 0.74; more turns only cost.
		runtime.Gosched()
		if ready() {
			return
		}
	}
	var expired <-chan time.Time // nil: never
	if timeout > 0 {
		w.timer.Reset(timeout)
		expired = w.timer.C
		defer w.timer.Stop()
	}
	switch w.policy {
	case Spin:
		spinners.Add(1)
		w.look(ready, expired)
		spinners.Add(-1)
	case Yield:
		w.look(ready, expired)
	default:
		w.park(ready, expired)
	}
}

// spinBriefly looks at ready again and again if a core is free for that.
func (w *Waker) spinBriefly(ready func() bool) (done bool) {
	if spins(w.cores, int(spinners.Add(1))) {
		for i := 0; i < autoSpins && !done; i++ {
			done = ready()
		}
	}
	spinners.Add(-1)
	return done
}

func spins(cores, spinners int) bool { return cores >= spinners+2 }

// look keeps its core until ready.
func (w *Waker) look(ready func() bool, expired <-chan time.Time) {
	for looks := 1; !ready(); looks++ {
		if looks%clockEvery == 0 {
			select {
			case <-expired:
				return
			default:
			}
		}
		if w.policy == Yield {
			runtime.Gosched()
		}
	}
}

// park sleeps until ready; Wake asks it to look.
func (w *Waker) park(ready func() bool, expired <-chan time.Time) {
	defer w.parked.Store(false)
	for {
		w.parked.Store(true) // before the look: whoever publishes after it sees this
		if ready() {
			return
		}
		select {
		case <-w.token:
		case <-expired:
			return
		}
	}
}

// Backoff is how a producer waits for room in a full ring: it looks again at
// once, then lets the consumer run, then sleeps longer and longer. The zero
// Backoff is ready.
//
//	for !ring.Write(packet) {
//		backoff.Pause()
//	}
//	backoff.Reset()
type Backoff struct{ pauses int }

const (
	backoffSpins    = 16
	backoffYields   = 16
	backoffSleepMin = 5 * time.Microsecond
	// What a full ring holds keeps a consumer busy for longer than this.
	backoffSleepMax = 200 * time.Microsecond
)

// Pause waits a little, longer with each call since Reset: at most 200 µs, or
// what the operating system makes of that (a millisecond where all is idle).
//
// hot: 0 allocs
func (b *Backoff) Pause() {
	b.pauses++
	switch late := b.pauses - backoffSpins - backoffYields; {
	case b.pauses <= backoffSpins:
	case late <= 0:
		runtime.Gosched()
	default:
		time.Sleep(min(backoffSleepMin<<min(late-1, 10), backoffSleepMax))
	}
}

// Reset starts again with short pauses: call it when there was room.
func (b *Backoff) Reset() { b.pauses = 0 }
