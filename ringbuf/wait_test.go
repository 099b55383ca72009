package ringbuf

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tickproc/tick"
)

var policies = map[string]func() *Waker{
	"auto":         func() *Waker { return NewWaker(Auto) },
	"auto, 1 core": func() *Waker { return withCores(1) },
	"auto, cores":  func() *Waker { return withCores(64) },
	"spin":         func() *Waker { return NewWaker(Spin) },
	"yield":        func() *Waker { return NewWaker(Yield) },
	"park":         func() *Waker { return NewWaker(Park) },
}

func withCores(n int) *Waker {
	w := NewWaker(Auto)
	w.cores = n
	return w
}

// Each producer sends one packet and goes on only when it was answered, so
// each packet finds the consumer anywhere between looking and sleeping, and
// nobody comes after it to cover up a lost wake-up. The answers travel the
// same way back, to a consumer of one ring.
func TestNoWakeUpIsLost(t *testing.T) {
	t.Parallel()
	for name, newWaker := range policies {
		t.Run(name, func(t *testing.T) {
			const producers = 4
			rounds := uint64(5_000)
			w := newWaker()
			if w.policy == Spin {
				// Nobody sleeps, and with more spinners than cores a hand-off
				// takes a time slice.
				rounds = 20
			}
			var requests, answers [producers]*Ring
			for i := range producers {
				requests[i], answers[i] = New(4), New(4)
				requests[i].SetWaker(w)
				answered := newWaker()
				answers[i].SetWaker(answered)
				go func(to, from *Ring) {
					ready := func() bool { return from.Len() > 0 }
					for seq := range rounds {
						sealPacket(to.Reserve(1), seq)
						to.Commit(1)
						to.Publish()
						answered.Wait(ready, 0)
						from.Release(len(from.Poll()))
					}
					to.Close()
				}(requests[i], answers[i])
			}
			within(t, func() error {
				var seen [producers]uint64
				done := func() bool {
					for _, r := range requests {
						if !r.Done() {
							return false
						}
					}
					return true
				}
				ready := func() bool {
					for _, r := range requests {
						if r.Len() > 0 {
							return true
						}
					}
					return done()
				}
				for !done() {
					w.Wait(ready, 0)
					for i, r := range requests {
						got := r.Poll()
						if got == nil {
							continue
						}
						if _, err := openPacket(got, seen[i]); err != nil || len(got) != 1 {
							return fmt.Errorf("producer %d: %d units, %w", i, len(got), err)
						}
						seen[i]++
						r.Release(1)
						answers[i].Write([]tick.Unit{{}})
						answers[i].Publish()
					}
				}
				for i, n := range seen {
					if n != rounds {
						return fmt.Errorf("producer %d: %d packets of %d", i, n, rounds)
					}
				}
				return nil
			})
		})
	}
}

func TestParkEndsAtTheTimeout(t *testing.T) {
	t.Parallel()
	f := func(newWaker func() *Waker, timeout time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := newWaker()
			for range 3 { // the timer is used again
				begin := time.Now()
				w.Wait(func() bool { return false }, timeout)
				if got := time.Since(begin); got != max(timeout, 0) {
					t.Errorf("waited %s, want %s", got, timeout)
				}
			}
		})
	}
	f(policies["park"], time.Nanosecond)
	f(policies["park"], 5*time.Second)
	f(policies["auto, 1 core"], 5*time.Second)
	f(policies["auto, cores"], 5*time.Second)
	f(policies["park"], -1)
}

// A wake-up for something that is not yet enough neither ends the wait nor
// moves its deadline.
func TestParkLooksAtEachWake(t *testing.T) {
	t.Parallel()
	f := func(enough int, want time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := NewWaker(Park)
			var events atomic.Int64
			begin := time.Now()
			stop := make(chan struct{})
			go func() {
				defer close(stop)
				for range 20 {
					time.Sleep(time.Second)
					events.Add(1)
					w.Wake()
				}
			}()
			w.Wait(func() bool { return int(events.Load()) >= enough }, 10*time.Second+1)
			if got := time.Since(begin); got != want {
				t.Errorf("returned after %s, want %s", got, want)
			}
			<-stop
		})
	}
	f(1, time.Second)
	f(7, 7*time.Second)
	f(100, 10*time.Second+1)
}

func TestNobodyWaitsForWhatIsReady(t *testing.T) {
	t.Parallel()
	for name, newWaker := range policies {
		w := newWaker()
		w.Wake() // before anybody waits: nothing to wake, nothing left over
		if len(w.token) != 0 {
			t.Errorf("%s: a wake-up with nobody parked left a token", name)
		}
		within(t, func() error { w.Wait(func() bool { return true }, 0); return nil })
	}
}

// The policies that keep their core look at the clock too.
func TestEveryPolicyEndsAtATimeout(t *testing.T) {
	t.Parallel()
	for _, newWaker := range policies {
		w := newWaker()
		within(t, func() error { w.Wait(func() bool { return false }, time.Millisecond); return nil })
	}
}

func TestCloseWakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := New(2), NewWaker(Park)
		r.SetWaker(w)
		woken := make(chan struct{})
		go func() {
			w.Wait(r.Done, 0)
			close(woken)
		}()
		synctest.Wait()
		r.Close()
		<-woken
	})
}

func TestAutoSpinsOnlyWithCoresToSpare(t *testing.T) {
	t.Parallel()
	f := func(cores, alreadySpinning int, want bool) {
		t.Helper()
		if got := spins(cores, alreadySpinning+1); got != want {
			t.Errorf("%d cores, %d spin already: spins %t, want %t", cores, alreadySpinning, got, want)
		}
	}
	f(1, 0, false)
	f(2, 0, false)
	f(3, 0, true)
	f(3, 1, false)
	f(4, 1, true)
	f(64, 62, false)
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b Backoff
		pause := func() time.Duration {
			begin := time.Now()
			b.Pause()
			return time.Since(begin)
		}
		for round := range 2 {
			for i := range backoffSpins + backoffYields {
				if got := pause(); got != 0 {
					t.Fatalf("round %d: pause %d slept %s", round, i, got)
				}
			}
			before := time.Duration(0)
			for range 100 {
				got := pause()
				if got < before || got < backoffSleepMin || got > backoffSleepMax {
					t.Fatalf("round %d: slept %s after %s", round, got, before)
				}
				before = got
			}
			if before != backoffSleepMax {
				t.Fatalf("round %d: slept %s at last, want %s", round, before, backoffSleepMax)
			}
			b.Reset()
		}
	})
}

func TestWaitZeroAllocs(t *testing.T) {
	skipUnderRace(t)
	never := func() bool { return false }
	for name, newWaker := range policies {
		w := newWaker()
		if n := testing.AllocsPerRun(100, func() {
			w.Wake()
			w.Wait(never, time.Microsecond)
		}); n != 0 {
			t.Errorf("%s: %g allocations a wait", name, n)
		}
	}
	var b Backoff
	if n := testing.AllocsPerRun(100, b.Pause); n != 0 {
		t.Errorf("%g allocations a pause", n)
	}
}

// Auto does not count on cores that others keep to themselves.
func TestOccupiedCoresAreNotFree(t *testing.T) {
	// Not parallel: the count is the process's.
	free := func() bool { return spins(4, int(spinners.Load())+1) }
	if !free() {
		t.Skip("somebody else spins")
	}
	Occupy(2)
	if free() {
		t.Error("four cores, two of them taken, and one is free for a third")
	}
	Occupy(-2)
	if !free() {
		t.Error("cores that were given back are not free")
	}
}
