package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"tickproc/indicators"
	"tickproc/internal/state"
	"tickproc/tick"
)

// shelf keeps snapshots.
type shelf struct {
	begun, ended int
	number       uint64
	items        [][]byte
	room         func() bool
}

func (x *shelf) Begin(number uint64, _ int64) {
	x.begun++
	x.number, x.items = number, nil
}
func (x *shelf) Buffer() []byte { return []byte("frame") }
func (x *shelf) Item(p []byte)  { x.items = append(x.items, slices.Clone(p[len("frame"):])) }
func (x *shelf) End()           { x.ended++ }
func (x *shelf) Room() bool     { return x.room == nil || x.room() }

func (x *shelf) load(t testing.TB) *Shard {
	t.Helper()
	s, err := LoadShard(slices.Values(x.items))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func barrierPacket(number uint64) []tick.Unit {
	var u tick.Unit
	u.Barrier().Kind, u.Barrier().Number = tick.KindBarrier, number
	return []tick.Unit{u}
}

// said is all that a shard says, byte for byte and in order.
func said(s *Shard) (all []byte) {
	for _, units := range [][]tick.Unit{s.TakeRows(), s.TakeCommands()} {
		for _, u := range units {
			for _, word := range u {
				all = binary.LittleEndian.AppendUint64(all, word)
			}
		}
	}
	return all
}

// tapes are streams of packets in which everything happens that can.
func tapes(t testing.TB, random *rand.Rand) []namedTape {
	all := []namedTape{
		{"markets", func() []tick.Unit { return manyMarkets(t, random, 6*time.Second) }},
		{"anything", func() []tick.Unit { return anything(random, 400) }},
	}
	for _, rule := range fuzzRules {
		all = append(all, namedTape{"two lines, " + rule, func() []tick.Unit {
			x := newRedundant(t, random, rules[rule], false)
			x.run()
			return x.tape
		}})
	}
	return all
}

type namedTape struct {
	name string
	make func() []tick.Unit
}

// anything is a tape of as many random packets, as those of FuzzShard.
func anything(random *rand.Rand, n int) []tick.Unit {
	now := midnight
	tape := fuzzCatalog(now)
	for range n {
		code := [4]byte{byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), byte(random.IntN(40))}
		if random.IntN(3) > 0 {
			code[0] = []byte{1, 2, 3, 3, 3, 4, 5, 9}[random.IntN(8)] | code[0]&0xf0
		}
		tape = append(tape, anyPacket(code[:], &now, len(fuzzRules))...)
	}
	return tape
}

// A shard that is loaded from a snapshot goes on as the one that wrote it: same
// rows and commands, byte for byte, and the same state. And that one goes on as
// if it had never been asked for a snapshot, though packets kept coming while it
// wrote.
func TestSnapshotGoesOn(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for _, tape := range tapes(t, random) {
		rounds, each := 4, 3
		if testing.Short() {
			rounds, each = 1, 2
		}
		for range rounds {
			packets := packetsOf(tape.make())
			for range each {
				snapshotGoesOn(t, tape.name, random, packets, fullTest)
			}
		}
	}
}

// The tapes lead to all that a state may hold, so that what goes on exactly
// behind a snapshot has had something to forget.
func TestSnapshotsHoldEverything(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	seen := map[string]int{}
	for _, tape := range tapes(t, random) {
		s := NewShard(fullTest)
		for i, p := range packetsOf(slices.Concat(tape.make(), tape.make())) {
			s.Apply(p)
			if i%7 == 0 {
				holds(s, seen)
			}
		}
	}
	for _, what := range []string{"messages that wait for a snapshot", "messages held back", "half a message", "a line's book aside", "a book that stands by",
		"lines that share", "an open gap", "missing trades", "random ids", "a line of its own scale", "a finer scale", "a group", "a row that waits",
		"a sample that waits", "a doubted book", "quotes ahead", "quotes that differ", "a bar that waits", "a line that is behind", "no range"} {
		if seen[what] == 0 {
			t.Errorf("never %s: %v", what, seen)
		}
	}
}

// holds counts what a state has.
func holds(s *Shard, seen map[string]int) {
	note := func(what string, some bool) {
		if some {
			seen[what]++
		}
	}
	for _, in := range s.instruments {
		// Book's fields are its own; reflection looks all the same.
		sync := reflect.ValueOf(in.sync).Elem()
		waits := sync.FieldByName("waitingN").Uint() > 0
		note("messages that wait for a snapshot", waits && !in.sync.IsValid())
		note("messages held back", waits && in.sync.IsValid())
		note("half a message", sync.FieldByName("parts").Len() > 0)
		if shared := sync.FieldByName("shared"); !shared.IsNil() {
			lines := shared.Elem().FieldByName("lines")
			note("lines that share", lines.Len() > 1)
			for i := range lines.Len() {
				note("a line's book aside", !lines.Index(i).FieldByName("aside").IsNil())
			}
		}
		note("a book that stands by", len(in.standbys) > 0)
		for i := range in.channels {
			note("an open gap", in.channels[i].gap.open)
			note("a line that is behind", in.firsts[i].behind)
		}
		note("missing trades", len(in.ids.holes) > 1)
		note("random ids", len(in.ids.recent.order) > 0)
		note("a line of its own scale", len(in.lines) > 1)
		note("a finer scale", in.priceDigits > in.def.PriceDigits)
		note("a group", in.group != nil && len(in.group.members) > 1)
		note("a row that waits", in.group != nil && in.group.pendingAt != never)
		note("a sample that waits", in.sample.pending)
		note("a doubted book", in.doubtUntil != never)
		note("quotes ahead", in.quote.aheadSince != 0)
		note("quotes that differ", in.quote.differs != 0)
		note("a bar that waits", in.indicatorDue != never)
		note("no range", in.disabled)
	}
}

// fullTest is everything, and short enough for much of it to happen.
var fullTest = Options{Intervals: []time.Duration{time.Second, time.Minute},
	Windows:  []indicators.WindowSpec{{Span: 3 * time.Second, Step: time.Second}, {}},
	Lateness: 3 * time.Second, Silence: 5 * time.Second, BookEvery: 200 * time.Millisecond, Nbbo: true, NbboStale: 2 * time.Second}

func snapshotGoesOn(t *testing.T, what string, random *rand.Rand, packets [][]tick.Unit, options Options) {
	t.Helper()
	at := random.IntN(len(packets))
	options.Carry = random.IntN(2) == 0
	for n := range random.IntN(3) { // other options become live, before and behind
		packets = slices.Insert(slices.Clone(packets), random.IntN(len(packets)), configPacket(byte(n)))
	}
	x := &shelf{}
	mode := random.IntN(3) // pieces come as packets force them, by a tight quota, or at once
	x.room = func() bool { return mode > 0 && random.IntN(2) == 0 }
	plain, asked := taught(NewShard(options)), taught(NewShard(options))
	asked.SnapshotTo(x, []int{0, 1, 1 << 30}[mode])
	var loaded *Shard
	for i, p := range packets {
		if i == at {
			if random.IntN(3) == 0 {
				asked.Apply(barrierPacket(1)) // abandoned by the next
			}
			asked.Apply(barrierPacket(2))
			loaded = taught(loadAsOf(t, what, plain, asked, x))
			asked.Apply(barrierPacket(3))
		}
		plain.Apply(p)
		asked.Apply(p)
		want := said(plain)
		if got := said(asked); !bytes.Equal(want, got) {
			t.Fatalf("%s: packet %d gave other rows while a snapshot was written", what, i)
		}
		if loaded == nil {
			continue
		}
		loaded.Apply(p)
		if got := said(loaded); !bytes.Equal(want, got) {
			t.Fatalf("%s: loaded at %d, packet %d (%v) gave other rows", what, at, i, p[0].KindOf())
		}
		if i%37 == 0 && loaded.StateHash() != plain.StateHash() {
			t.Fatalf("%s: loaded at %d, another state after packet %d (%v)", what, at, i, p[0].KindOf())
		}
	}
	asked.SaveAll()
	if x.number != 3 || x.ended == 0 || x.ended > x.begun {
		t.Fatalf("%s: snapshot %d, %d begun, %d ended", what, x.number, x.begun, x.ended)
	}
	// It was written while packets came: loaded now, and the tail behind it.
	late := taught(x.load(t))
	for _, p := range packets[at:] {
		late.Apply(p)
		said(late)
	}
	for _, s := range []*Shard{asked, loaded, late} {
		if s.StateHash() != plain.StateHash() || s.Now() != plain.Now() {
			t.Errorf("%s: loaded at %d, another state in the end", what, at)
		}
		s.Finish()
	}
	plain.Finish()
	if want := said(plain); !bytes.Equal(want, said(asked)) || !bytes.Equal(want, said(loaded)) || !bytes.Equal(want, said(late)) {
		t.Errorf("%s: loaded at %d, the end is written otherwise", what, at)
	}
}

// loadAsOf completes the snapshot at once and loads it: every field that is
// state is the same.
func loadAsOf(t *testing.T, what string, plain, asked *Shard, x *shelf) *Shard {
	t.Helper()
	asked.SaveAll()
	loaded := x.load(t)
	for id, in := range plain.instruments {
		if (in == nil) != (loaded.instruments[id] == nil) {
			t.Fatalf("%s: instrument %d", what, id)
		}
	}
	if where := differ(reflect.ValueOf(plain), reflect.ValueOf(loaded), "shard", map[[2]uintptr]bool{}); where != "" {
		t.Fatalf("%s: %s is not what it was", what, where)
	}
	return loaded
}

// A snapshot is whole on a quiet market too, and in pieces of the quota.
func TestSnapshotByQuota(t *testing.T) {
	t.Parallel()
	x := &shelf{}
	s := NewShard(everything)
	s.SnapshotTo(x, 1)
	const n = 50
	for id := range uint32(n) {
		p, _ := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: midnight}, define(2*id, fmt.Sprint("S", id)))
		s.Apply(p)
	}
	s.Apply(barrierPacket(7))
	steps := 0
	for s.SaveSome() {
		steps++
	}
	groups := len(s.groupList)
	if x.number != 7 || x.ended != 1 || len(x.items) != 1+n+groups || steps < n {
		t.Errorf("snapshot %d, %d ended, %d items, %d steps", x.number, x.ended, len(x.items), steps)
	}
	if s.SaveSome() {
		t.Error("it goes on without end")
	}
	if x.load(t).StateHash() != s.StateHash() {
		t.Error("another state")
	}
	// Nobody asks, nobody writes.
	s = NewShard(everything)
	s.Apply(barrierPacket(1))
	if s.SaveSome() {
		t.Error("a snapshot for nobody")
	}
	s.SaveAll()
}

// An item that is damaged, missing, twice there, of another format or of another
// snapshot is refused.
func TestSnapshotThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	x := snapshotOf(t, manyMarkets(t, seeded(t), 2*time.Second), fullTest)
	f := func(what string, items [][]byte, want string) {
		t.Helper()
		if _, err := LoadShard(slices.Values(items)); !errors.Is(err, state.ErrDamaged) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	f("nothing", nil, "missing")
	f("no shard", x[1:], "first")
	f("two shards", append(slices.Clone(x), x[0]), "first")
	f("one missing", x[:len(x)-1], "of")
	f("one twice", append(slices.Clone(x), x[1]), "twice")
	f("empty", append(slices.Clone(x), nil), "empty")
	f("an unknown kind", append(slices.Clone(x), []byte{9}), "kind 9")
	other := slices.Clone(x[0])
	other[1]++
	f("another format", append([][]byte{other}, x[1:]...), "format 3")
	other = slices.Clone(x[0])
	other[len(other)-1]++
	f("another shard", append([][]byte{other}, x[1:]...), "checksum")
	for i := range x {
		for cut := 0; cut < len(x[i]); cut += 1 + cut/40 {
			items := slices.Clone(x)
			items[i] = x[i][:cut]
			f(fmt.Sprintf("%d of %d bytes of item %d", cut, len(x[i]), i), items, "")
		}
	}
}

func snapshotOf(t testing.TB, tape []tick.Unit, options Options) [][]byte {
	x := &shelf{}
	s := NewShard(options)
	s.SnapshotTo(x, 0)
	s.Apply(tape)
	s.Apply(barrierPacket(1))
	s.SaveAll()
	if x.ended != 1 {
		t.Fatal("no snapshot")
	}
	return x.items
}

// Whatever the bytes of an item: refused, or a state that is written as these
// bytes again.
func FuzzLoadShard(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	base := snapshotOf(f, anything(random, 300), fullTest)
	for i := range base {
		f.Add(byte(i), base[i])
	}
	f.Fuzz(func(t *testing.T, which byte, p []byte) {
		items := slices.Clone(base)
		i := int(which) % len(items)
		items[i] = p
		s, err := LoadShard(slices.Values(items))
		if err != nil {
			if !errors.Is(err, state.ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		s.StateHash()
		x := &shelf{}
		s.SnapshotTo(x, 0)
		s.Apply(barrierPacket(1))
		s.SaveAll()
		again := x.load(t)
		if again.StateHash() != s.StateHash() {
			t.Error("loaded, saved and loaded again it is another")
		}
		h := tick.Header{ReceiveNanos: s.Now()}
		for id := range uint32(len(fuzzRules)) {
			if s.instruments[id] == nil {
				continue
			}
			for line := range uint16(4) {
				h.Instrument, h.Line = id, line
				s.instruments[id].apply(depthPacket(h, tick.KindDepth, 5, 6, 4, []tick.Level{{Price: 3, Size: 1}}, nil))
				s.instruments[id].apply(tradePacket(h, 7, tick.Level{Price: 3, Size: 1}))
			}
		}
		for _, p := range packetsOf(s.AppendRestart(nil, s.Now())) {
			s.instruments[p[0].Header().Instrument].apply(p)
		}
	})
}

// What is written when nothing is new takes no memory: the writing of a
// thousand levels, of all kinds of state, and of the shard.
func TestSnapshotZeroAllocs(t *testing.T) {
	skipUnderRace(t)
	s := NewShard(fullTest)
	s.SnapshotTo(&nothing{}, 1<<30)
	s.Apply(manyMarkets(t, seeded(t), 5*time.Second))
	b := barrierPacket(1)
	if n := testing.AllocsPerRun(50, func() { s.Apply(b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// nothing keeps nothing.
type nothing struct {
	buffer []byte
	bytes  int
}

func (x *nothing) Begin(uint64, int64) {}
func (x *nothing) Buffer() []byte      { return x.buffer[:0] }
func (x *nothing) Item(p []byte)       { x.buffer, x.bytes = p, x.bytes+len(p) }
func (x *nothing) End()                {}
func (x *nothing) Room() bool          { return true }
