package ringbuf

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"tickproc/tick"
)

// model is the ring as one would explain it: a list of packets that must each
// lie within one lap, of which the first few are visible.
type model struct {
	size                     int
	packets                  []modelPacket // committed and not released
	visible                  int
	end, published, released int // positions, never masked
	highWater                int
	closed                   bool
}

type modelPacket struct {
	at, units int
	first     uint64 // content: unit i holds first+i
}

func (m *model) place(n int) (at int, room bool) {
	at = m.end
	if at%m.size+n > m.size {
		at += m.size - at%m.size
	}
	return at, at+n-m.released <= m.size
}

func (m *model) commit(at, n int, first uint64) {
	m.packets = append(m.packets, modelPacket{at, n, first})
	m.end = at + n
}

func (m *model) publish() {
	m.visible, m.published = len(m.packets), m.end
	m.highWater = max(m.highWater, m.len())
}

func (m *model) len() int { return m.published - m.released }

// poll returns how many packets, with how many units, a Poll must show.
func (m *model) poll() (packets, units int) {
	for _, p := range m.packets[:m.visible] {
		if p.at/m.size != m.packets[0].at/m.size {
			break
		}
		packets, units = packets+1, units+p.units
	}
	return packets, units
}

func (m *model) release(packets int) (units int) {
	for _, p := range m.packets[:packets] {
		units += p.units
		m.released = p.at + p.units
	}
	m.packets, m.visible = m.packets[packets:], m.visible-packets
	return units
}

// trial does the same operations on a ring and on the model.
type trial struct {
	t     testing.TB
	ring  *Ring
	model model
	fill  uint64 // content of the next unit
	shown int    // packets the last Poll showed
}

func newTrial(t testing.TB, units int) *trial {
	r := New(units)
	return &trial{t: t, ring: r, model: model{size: r.Cap()}, fill: 1}
}

// write reserves units for a packet and commits fewer, perhaps none.
func (x *trial) write(reserve, commit int) {
	at, room := x.model.place(reserve)
	to := x.ring.Reserve(reserve)
	if (to != nil) != room {
		x.t.Fatalf("Reserve(%d) gave %d units, want room %t: %s", reserve, len(to), room, x)
	}
	if !room {
		x.model.publish() // Reserve does, so that the consumer can make room
		return
	}
	if len(to) != reserve || cap(to) != reserve {
		x.t.Fatalf("Reserve(%d) gave %d units, cap %d", reserve, len(to), cap(to))
	}
	if commit > 0 {
		x.model.commit(at, commit, x.fill)
	}
	for i := range to {
		for w := range to[i] {
			to[i][w] = x.fill + uint64(i)
		}
	}
	x.fill += uint64(commit)
	x.ring.Commit(commit)
}

func (x *trial) publish() {
	x.ring.Publish()
	x.model.publish()
}

func (x *trial) poll() {
	packets, units := x.model.poll()
	got := x.ring.Poll()
	if len(got) != units {
		x.t.Fatalf("Poll showed %d units, want %d: %s", len(got), units, x)
	}
	if packets == 0 && got != nil {
		x.t.Fatalf("Poll of nothing is not nil: %s", x)
	}
	at := 0
	for _, p := range x.model.packets[:packets] {
		for i := range p.units {
			want := p.first + uint64(i)
			if u := got[at+i]; u[0] != want || u[7] != want {
				x.t.Fatalf("unit %d of a packet of %d holds %d, want %d: %s", i, p.units, u[0], want, x)
			}
		}
		at += p.units
	}
	x.shown = packets
}

func (x *trial) release(packets int) {
	x.ring.Release(x.model.release(packets))
	x.shown -= packets
}

func (x *trial) close() {
	x.ring.Close()
	x.model.publish()
	x.model.closed = true
}

func (x *trial) check() {
	if got, want := x.ring.Len(), x.model.len(); got != want {
		x.t.Fatalf("Len %d, want %d: %s", got, want, x)
	}
	if got, want := x.ring.HighWater(), x.model.highWater; got != want {
		x.t.Fatalf("HighWater %d, want %d: %s", got, want, x)
	}
	if got, want := x.ring.Done(), x.model.closed && len(x.model.packets) == 0; got != want {
		x.t.Fatalf("Done %t, want %t: %s", got, want, x)
	}
}

func (x *trial) String() string {
	m := &x.model
	return fmt.Sprintf("ring of %d, released %d, published %d, committed %d, %d packets", m.size, m.released, m.published, m.end, len(m.packets))
}

// play draws operations until draw says that there are no more, then closes
// and drains. draw(n) gives a number in [0, n).
func (x *trial) play(draw func(n int) (int, bool)) {
	pick := func(n int) int { v, _ := draw(n); return v }
	for {
		op, more := draw(10)
		if !more {
			break
		}
		switch op {
		case 0, 1, 2:
			n := 1 + pick(x.ring.MaxPacket())
			x.write(n, n)
		case 3:
			n := 1 + pick(x.ring.MaxPacket())
			x.write(n, pick(n+1))
		case 4, 5:
			x.publish()
		case 6, 7:
			x.poll()
		case 8:
			x.poll()
			x.release(x.shown)
		case 9:
			x.release(pick(x.shown + 1))
		}
		x.check()
	}
	x.close()
	x.check()
	for !x.ring.Done() {
		x.poll()
		x.release(x.shown)
		x.check()
	}
	if len(x.model.packets) > 0 {
		x.t.Fatalf("done with packets left: %s", x)
	}
}

func TestRingEqualsItsModel(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, units := range []int{1, 2, 3, 4, 8, 16, 64, 100, 1024} {
		for range 20 {
			left := 2000
			newTrial(t, units).play(func(n int) (int, bool) {
				left--
				return random.IntN(n), left > 0
			})
		}
	}
}

func FuzzRing(f *testing.F) {
	f.Add(uint8(1), []byte("0148"))
	f.Add(uint8(8), []byte{0, 3, 4, 8, 0, 3, 4, 8, 0, 2, 0, 3, 4, 6, 9, 1, 8})
	f.Fuzz(func(t *testing.T, units uint8, ops []byte) {
		newTrial(t, 1+int(units)).play(func(n int) (int, bool) {
			if len(ops) == 0 {
				return 0, false
			}
			v := int(ops[0]) % n
			ops = ops[1:]
			return v, true
		})
	})
}

// Every packet size meets every place of the lap, with the ring empty: so a
// packet of MaxPacket always fits an empty ring, whatever was before.
func TestEverySizeAtEveryOffset(t *testing.T) {
	t.Parallel()
	const size = 32
	for offset := range size {
		for n := 1; n <= size/2; n++ {
			x := newTrial(t, size)
			for range offset {
				x.write(1, 1)
				x.publish()
				x.poll()
				x.release(1)
			}
			for range 5 {
				x.write(n, n)
				if len(x.model.packets) != 1 {
					t.Fatalf("no room for %d units in an empty ring at offset %d", n, offset)
				}
				x.publish()
				x.poll()
				x.release(1)
				x.check()
			}
		}
	}
}

func TestPollHidesTheWrap(t *testing.T) {
	t.Parallel()
	x := newTrial(t, 8)
	x.write(3, 3)
	x.write(3, 3)
	x.publish()
	x.poll()
	x.release(1)
	x.write(3, 3) // two units are left of the lap: padding
	x.publish()

	x.poll()
	if x.shown != 1 {
		t.Fatalf("%d packets shown before the padding, want 1", x.shown)
	}
	if got := x.ring.Len(); got != 3+2+3 {
		t.Fatalf("Len %d, want the padding counted", got)
	}
	x.release(1)
	x.poll()
	if x.shown != 1 {
		t.Fatalf("%d packets shown after the padding, want 1", x.shown)
	}
	x.release(1)
	x.check()
}

func TestCommittedIsInvisibleUntilPublished(t *testing.T) {
	t.Parallel()
	r := New(8)
	if !r.Write(make([]tick.Unit, 2)) || !r.Write(make([]tick.Unit, 1)) {
		t.Fatal("no room in an empty ring")
	}
	if r.Poll() != nil || r.Len() != 0 {
		t.Fatal("seen before Publish")
	}
	r.Publish()
	if got := len(r.Poll()); got != 3 {
		t.Fatalf("%d units after Publish, want the whole batch of 3", got)
	}
}

func TestFullRingPublishesWhatItHolds(t *testing.T) {
	t.Parallel()
	r := New(4)
	for r.Write(make([]tick.Unit, 1)) {
	}
	if got := len(r.Poll()); got != 4 {
		t.Fatalf("%d units visible, want 4: the producer would wait for ever", got)
	}
}

func TestReleasedUnitsAreFreeAtOnce(t *testing.T) {
	t.Parallel()
	x := newTrial(t, 4)
	for range 4 {
		x.write(1, 1)
	}
	x.publish()
	x.poll()
	x.release(1)
	x.write(1, 1)
	if got := len(x.model.packets); got != 4 {
		t.Fatalf("%d packets, want the released unit taken again", got)
	}
}

func TestClosedRing(t *testing.T) {
	t.Parallel()
	r := New(4)
	r.Write(make([]tick.Unit, 1))
	r.Close()
	r.Close()
	if r.Done() {
		t.Fatal("done with a packet left")
	}
	r.Release(len(r.Poll()))
	if !r.Done() || r.Poll() != nil {
		t.Fatal("not done after the last packet")
	}
}

func TestMisuseOfARing(t *testing.T) {
	t.Parallel()
	f := func(what string, misuse func(r *Ring)) {
		t.Helper()
		defer func() {
			if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "BUG: ") {
				t.Errorf("%s: recovered %q, want a panic with BUG", what, got)
			}
		}()
		misuse(New(8))
	}
	f("no units", func(*Ring) { New(0) })
	f("reserve nothing", func(r *Ring) { r.Reserve(0) })
	f("reserve too much", func(r *Ring) { r.Reserve(r.MaxPacket() + 1) })
	f("write nothing", func(r *Ring) { r.Write(nil) })
	f("commit more than reserved", func(r *Ring) { r.Reserve(2); r.Commit(3) })
	f("commit twice", func(r *Ring) { r.Reserve(2); r.Commit(1); r.Commit(1) })
	f("commit after a failed reserve", func(r *Ring) {
		r.Write(make([]tick.Unit, 4))
		r.Write(make([]tick.Unit, 3))
		r.Reserve(1)
		r.Reserve(2)
		r.Commit(1)
	})
	f("release what was not polled", func(r *Ring) { r.Write(make([]tick.Unit, 1)); r.Publish(); r.Release(1) })
	f("release twice", func(r *Ring) {
		r.Write(make([]tick.Unit, 1))
		r.Publish()
		r.Poll()
		r.Release(1)
		r.Release(1)
	})
	f("commit after close", func(r *Ring) { r.Reserve(1); r.Close(); r.Commit(1) })
	f("reserve after close", func(r *Ring) { r.Close(); r.Reserve(1) })
}

// One goroutine writes packets of every size, another checks each of them: the
// race detector and the sums see every way in which memory could be shared too
// early or too long.
func TestProducerAndConsumer(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const packets = 50_000
	for _, units := range []int{2, 16, 256} {
		r := New(units)
		w := NewWaker(Park)
		r.SetWaker(w)
		go func() {
			random := rand.New(rand.NewPCG(seed, uint64(units)))
			var backoff Backoff
			for seq := range uint64(packets) {
				n := 1 + random.IntN(r.MaxPacket())
				to := r.Reserve(n)
				for ; to == nil; to = r.Reserve(n) {
					backoff.Pause()
				}
				backoff.Reset()
				sealPacket(to, seq)
				r.Commit(n)
				if random.IntN(4) == 0 {
					r.Publish()
				}
			}
			r.Close()
		}()
		within(t, func() error {
			random := rand.New(rand.NewPCG(seed, uint64(units)+1))
			ready := func() bool { return r.Len() > 0 || r.Done() }
			var seq uint64
			for !r.Done() {
				got := r.Poll()
				at := 0
				for at < len(got) && random.IntN(8) > 0 { // sometimes leaves the rest for the next Poll
					n, err := openPacket(got[at:], seq)
					if err != nil {
						return fmt.Errorf("ring of %d: %w", units, err)
					}
					at, seq = at+n, seq+1
				}
				r.Release(at)
				w.Wait(ready, 0)
			}
			if seq != packets {
				return fmt.Errorf("%d packets arrived of %d", seq, packets)
			}
			return nil
		})
	}
}

// sealPacket fills a packet: its size, its number and a sum of all other words.
func sealPacket(p []tick.Unit, seq uint64) {
	for i := range p {
		for w := range p[i] {
			p[i][w] = seq*0x9E3779B97F4A7C15 + uint64(8*i+w)
		}
	}
	p[0][0], p[0][1] = uint64(len(p)), seq
	p[0][2] = sumPacket(p)
}

// openPacket checks the packet that begins at p[0] and returns its units.
func openPacket(p []tick.Unit, seq uint64) (units int, err error) {
	n := p[0][0]
	if n == 0 || n > uint64(len(p)) {
		return 0, fmt.Errorf("packet %d: size %d of %d units", seq, n, len(p))
	}
	if p[0][1] != seq {
		return 0, fmt.Errorf("packet %d arrived, want %d", p[0][1], seq)
	}
	if p[0][2] != sumPacket(p[:n]) {
		return 0, fmt.Errorf("packet %d: torn", seq)
	}
	return int(n), nil
}

func sumPacket(p []tick.Unit) (sum uint64) {
	for i := range p {
		for w := range p[i] {
			if i > 0 || w != 2 {
				sum = sum*31 + p[i][w]
			}
		}
	}
	return sum
}

// within runs f and fails the test if it hangs: a lost wake-up has no other
// symptom.
func within(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("hangs: a wake-up was lost")
	}
}

func TestRingLayout(t *testing.T) {
	t.Parallel()
	var r Ring
	groups := []uintptr{
		unsafe.Offsetof(r.waker), unsafe.Offsetof(r.committed), unsafe.Offsetof(r.published),
		unsafe.Offsetof(r.released), unsafe.Offsetof(r.read), unsafe.Sizeof(r),
	}
	for i := 1; i < len(groups); i++ {
		if groups[i]-groups[i-1] < unsafe.Sizeof(linePad{}) {
			t.Errorf("group %d of the fields may share a cache line with the one before", i)
		}
	}
	for _, units := range []int{2, 16, 1 << 10, 1 << 16} {
		if at := uintptr(unsafe.Pointer(&New(units).units[0])); at%tick.UnitSize != 0 {
			t.Errorf("units of a ring of %d begin at %#x: each would take two cache lines", units, at)
		}
	}
}

func TestRingZeroAllocs(t *testing.T) {
	skipUnderRace(t)
	r := New(64)
	w := NewWaker(Park)
	r.SetWaker(w)
	packet := make([]tick.Unit, 5)
	if n := testing.AllocsPerRun(1000, func() {
		for range 4 {
			r.Write(packet)
			r.Commit(copy(r.Reserve(3), packet))
		}
		r.Publish()
		for got := r.Poll(); got != nil; got = r.Poll() {
			r.Release(len(got))
		}
	}); n != 0 {
		t.Errorf("%g allocations a batch", n)
	}
}

// A consumer that looks by Watch polls exactly when there is something, wherever
// laps end, and packets come as they were written, one by one or reserved.
func TestWatchTellsWhetherAPollWould(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, size := range []int{2, 4, 16, 64} {
		r := New(size)
		watch := r.Watch()
		var head []tick.Unit                // polled and not released
		var published, committed [][]uint64 // packets, by their second word
		packet := func(n int) []tick.Unit {
			p := make([]tick.Unit, n)
			for i := range p {
				*p[i].Header() = tick.Header{Kind: tick.KindTick, Ordinal: random.Uint64()}
			}
			return p
		}
		words := func(p []tick.Unit) (w []uint64) {
			for i := range p {
				w = append(w, p[i].Header().Ordinal)
			}
			return w
		}
		for range 20_000 {
			switch random.IntN(4) {
			case 0:
				if p := packet(1 + random.IntN(r.MaxPacket())); r.Write(p) {
					committed = append(committed, words(p))
				} else { // it published
					published, committed = append(published, committed...), nil
				}
			case 1:
				n := 1 + random.IntN(r.MaxPacket())
				to := r.Reserve(n)
				if to == nil {
					published, committed = append(published, committed...), nil
					continue
				}
				p := packet(random.IntN(n + 1))
				copy(to, p)
				if r.Commit(len(p)); len(p) > 0 {
					committed = append(committed, words(p))
				}
			case 2:
				r.Publish()
				published, committed = append(published, committed...), nil
			case 3:
				if len(head) == 0 {
					if watch.Quiet() != (len(published) == 0) {
						t.Fatalf("%d packets are published, quiet %t", len(published), watch.Quiet())
					}
					if watch.Quiet() {
						continue
					}
					head = r.Poll()
				}
				n := len(published[0])
				if len(head) < n || !slices.Equal(words(head[:n]), published[0]) {
					t.Fatalf("%x, not %x", words(head[:min(n, len(head))]), published[0])
				}
				r.Release(n)
				published = published[1:]
				if head = head[n:]; len(head) == 0 {
					watch.Emptied(r)
				}
			}
		}
	}
}
