package ringbuf

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"tickproc/tick"
)

// The model keeps every message; a reader may get each only while fewer than
// the ring's messages came after it.
func TestBroadcastEqualsItsModel(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const units = 5
	for _, messages := range []int{1, 2, 3, 4, 16} {
		b := NewBroadcast(messages, units)
		slots := 1
		for slots < messages {
			slots *= 2
		}
		type place struct {
			*BroadcastReader
			next int
		}
		var all [][]tick.Unit
		var readers []place
		got := make([]tick.Unit, units)
		for range 20_000 {
			switch op := random.IntN(20); {
			case op == 0 && len(readers) < 8:
				readers = append(readers, place{b.Reader(), max(len(all), 1) - 1})
			case op < 10:
				m := make([]tick.Unit, 1+random.IntN(units))
				sealPacket(m, uint64(len(all)))
				all = append(all, m)
				b.Publish(m)
			case len(readers) > 0:
				r := &readers[random.IntN(len(readers))]
				lostWant := 0
				if len(all) > r.next+slots {
					lostWant = len(all) - max(1, slots/2) - r.next
					r.next += lostWant
				}
				okWant := r.next < len(all)
				ok, lost := r.Next(got)
				if ok != okWant || lost != uint64(lostWant) {
					t.Fatalf("%d messages: ok %t lost %d, want %t %d", messages, ok, lost, okWant, lostWant)
				}
				if !ok {
					continue
				}
				if n, err := openPacket(got, uint64(r.next)); err != nil {
					t.Fatalf("%d messages: %v", messages, err)
				} else if n != len(all[r.next]) {
					t.Fatalf("%d messages: %d units, want %d", messages, n, len(all[r.next]))
				} else {
					for _, u := range got[n:] {
						if u != (tick.Unit{}) {
							t.Fatalf("%d messages: the rest of an older message behind a short one", messages)
						}
					}
				}
				r.next++
			}
		}
	}
}

func TestReaderStartsAtTheNewest(t *testing.T) {
	t.Parallel()
	b := NewBroadcast(4, 1)
	early := b.Reader()
	got := make([]tick.Unit, 1)
	if ok, lost := early.Next(got); ok || lost != 0 {
		t.Fatalf("a message of nothing: ok %t lost %d", ok, lost)
	}
	for i := range uint64(3) {
		b.Publish([]tick.Unit{{i}})
	}
	late := b.Reader()
	if ok, _ := late.Next(got); !ok || got[0][0] != 2 {
		t.Fatalf("late reader: ok %t, message %d, want the newest", ok, got[0][0])
	}
	if ok, _ := early.Next(got); !ok || got[0][0] != 0 {
		t.Fatalf("early reader: ok %t, message %d, want the first", ok, got[0][0])
	}
}

// Readers race a writer that never waits, in few and large messages so that
// they collide: each message is whole, in order, and the lost ones are counted
// exactly.
func TestBroadcastIsNeverTorn(t *testing.T) {
	t.Parallel()
	for _, messages := range []int{1, 2, 64} {
		const units, total, readers = 32, 10_000, 3
		b := NewBroadcast(messages, units)
		var all sync.WaitGroup
		errs := make([]error, readers)
		for i := range readers {
			r := b.Reader()
			all.Go(func() { errs[i] = readAll(r, units, total) })
		}
		m := make([]tick.Unit, units)
		for seq := range uint64(total) {
			n := units - int(seq%4)
			sealPacket(m[:n], seq)
			b.Publish(m[:n])
		}
		within(t, func() error { all.Wait(); return nil })
		for i, err := range errs {
			if err != nil {
				t.Errorf("%d messages, reader %d: %v", messages, i, err)
			}
		}
	}
}

// readAll reads until every message up to total was read or counted as lost.
func readAll(r *BroadcastReader, units int, total uint64) error {
	got := make([]tick.Unit, units)
	for seq := uint64(0); seq < total; {
		ok, lost := r.Next(got)
		seq += lost
		if !ok {
			runtime.Gosched()
			continue
		}
		n, err := openPacket(got, seq)
		if err != nil {
			return err
		}
		if n != units-int(seq%4) {
			return fmt.Errorf("message %d: %d units", seq, n)
		}
		seq++
	}
	return nil
}

func TestHalfWrittenMessageIsNotRead(t *testing.T) {
	t.Parallel()
	b := NewBroadcast(1, 1)
	r := b.Reader()
	b.Publish([]tick.Unit{{7}})
	b.slot(1)[slotState].Store(2*1 + 1) // as the writer leaves it when it is interrupted
	got := make([]tick.Unit, 1)
	if ok, lost := r.Next(got); ok || lost != 0 {
		t.Fatalf("ok %t lost %d, want neither: message 1 is not there yet", ok, lost)
	}
	b.Publish([]tick.Unit{{8}})
	if ok, lost := r.Next(got); !ok || lost != 1 || got[0][0] != 8 {
		t.Fatalf("ok %t lost %d, message %d, want 8 after one loss", ok, lost, got[0][0])
	}
}

func TestMisuseOfABroadcast(t *testing.T) {
	t.Parallel()
	f := func(what string, misuse func(b *Broadcast)) {
		t.Helper()
		defer func() {
			if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "BUG: ") {
				t.Errorf("%s: recovered %q, want a panic with BUG", what, got)
			}
		}()
		misuse(NewBroadcast(2, 2))
	}
	f("no messages", func(*Broadcast) { NewBroadcast(0, 1) })
	f("no units", func(*Broadcast) { NewBroadcast(1, 0) })
	f("empty message", func(b *Broadcast) { b.Publish(nil) })
	f("large message", func(b *Broadcast) { b.Publish(make([]tick.Unit, 3)) })
	f("little room", func(b *Broadcast) { b.Reader().Next(make([]tick.Unit, 1)) })
}

func TestBroadcastZeroAllocs(t *testing.T) {
	skipUnderRace(t)
	b := NewBroadcast(8, 2)
	r := b.Reader()
	m, got := make([]tick.Unit, 2), make([]tick.Unit, 2)
	if n := testing.AllocsPerRun(1000, func() {
		for range 12 {
			b.Publish(m)
		}
		r.Next(got)
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}
