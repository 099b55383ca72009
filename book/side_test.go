package book

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"tickproc/internal/state"
	"tickproc/tick"
)

// slowSide is a side that cannot be wrong: a map, sorted whenever somebody looks.
type slowSide struct {
	bids  bool
	sizes map[int64]int64
}

func (s slowSide) set(price, size int64) (existed bool) {
	_, existed = s.sizes[price]
	if size == 0 {
		delete(s.sizes, price)
	} else {
		s.sizes[price] = size
	}
	return existed
}

// best returns all levels, best first.
func (s slowSide) best() []tick.Level {
	var out []tick.Level
	for price, size := range s.sizes {
		out = append(out, tick.Level{Price: price, Size: size})
	}
	slices.SortFunc(out, func(a, b tick.Level) int {
		if (a.Price < b.Price) == s.bids {
			return 1
		}
		return -1
	})
	return out
}

// Level returns the i-th best level, 0 being the best.
func (s *Side) Level(i int) tick.Level { return s.all()[i] }

// all returns the levels of a side, best first.
func (s *Side) all() (out []tick.Level) {
	walk := s.Walk()
	for l, some := walk.Next(); some; l, some = walk.Next() {
		out = append(out, l)
	}
	return out
}

// A market is how prices come about in a test.
type market struct {
	step   int64 // between prices
	spread int64 // of the prices, in steps
	drift  int64 // how far the market moves at a time, in steps
	odd    int64 // every how many prices is no multiple of the step; 0 = none
	levels int   // about so many
}

// A side does what the slow one does, wherever its window lies and whether it
// has one: near the best price and deep in the book, while the market moves
// slowly or jumps, with prices of any step, and some that are between.
func TestSide(t *testing.T) {
	t.Parallel()
	for _, bids := range []bool{true, false} {
		for _, m := range []market{
			{step: 1, spread: 3, levels: 3},
			{step: 1, spread: 40, drift: 1, levels: 20},
			{step: 1, spread: 300, drift: 3, levels: 150},
			{step: 10, spread: 2000, drift: 40, levels: 400},
			{step: 25, spread: 2000, drift: 40, levels: 400, odd: 500},
			{step: 1000, spread: 300, drift: 2, levels: 100, odd: 40},
			{step: 7, spread: 30000, drift: 20000, levels: 500},
			{step: 1 << 41, spread: 500, drift: 1, levels: 200},
			{step: 1, spread: 1 << 40, drift: 1 << 30, levels: 300},
		} {
			t.Run(fmt.Sprintf("bids=%v/%+v", bids, m), func(t *testing.T) {
				t.Parallel()
				randomSide(t, bids, m)
			})
		}
	}
}

func randomSide(t *testing.T, bids bool, m market) {
	random := seeded(t)
	fast, slow := NewSide(bids), slowSide{bids, map[int64]int64{}}
	middle, scale := random.Int64N(1+m.spread)-m.spread/3, int64(1) // prices of spreads may be negative
	windows := 0
	for range 6000 {
		switch n := random.IntN(400); {
		case n == 0:
			keep := random.IntN(2 * m.levels)
			fast.Truncate(keep)
			for _, l := range slow.best()[min(keep, len(slow.sizes)):] {
				slow.set(l.Price, 0)
			}
		case n == 1 && random.IntN(4) == 0:
			fast.Clear()
			clear(slow.sizes)
		case n == 2 && scale < 100 && m.step < 1<<40 && m.spread < 1<<40:
			if err := fast.rescalable(10, 1); err != nil {
				t.Fatal(err)
			}
			fast.rescale(10, 1)
			scaled := map[int64]int64{}
			for price, size := range slow.sizes {
				scaled[price*10] = size
			}
			slow.sizes, scale = scaled, scale*10
		case n == 3:
			fast.layWindow() // as good a moment as any
		case n == 4:
			// A recovered side has its window elsewhere, and nobody can tell.
			fast = recovered(t, &fast)
		case n < 20 && m.drift > 0:
			middle += random.Int64N(2*m.drift+1) - m.drift
		default:
			price := (middle + random.Int64N(m.spread) - m.spread/2) * m.step
			if near := n%2 == 0 && fast.Len() > 0; near {
				price = fast.Best().Price/scale + (random.Int64N(7)-3)*m.step
			}
			if m.odd > 0 && random.Int64N(m.odd) == 0 {
				price += random.Int64N(m.step)
			}
			price *= scale
			size := random.Int64N(3) * (1 + random.Int64N(1000))
			if fast.Len() < m.levels {
				size++
			}
			if fast.Set(price, size) != slow.set(price, size) {
				t.Fatalf("setting %d to %d: the sides disagree whether it existed", price, size)
			}
		}
		fast.check()
		if fast.window.isOpen() {
			windows++
		}
		if random.IntN(10) == 0 {
			compareSide(t, &fast, slow, random.IntN(30))
		}
	}
	t.Logf("a window in %d of 6000 steps, %d of %d levels in it at last", windows, fast.window.count, fast.Len())
}

// recovered returns a side that knows no more of s than what s wrote, which is
// what a slice of all levels would have written.
func recovered(t *testing.T, s *Side) Side {
	t.Helper()
	levels := s.all()
	slices.Reverse(levels)
	bytes := saved(s.code)
	if string(bytes) != string(saved(func(c *state.Coder) { state.List(c, &levels, math.MaxInt32) })) {
		t.Fatal("what is written depends on where levels lie")
	}
	var c state.Coder
	c.Load(bytes)
	back := Side{sign: s.sign}
	back.code(&c)
	if err := c.End(); err != nil {
		t.Fatal(err)
	}
	back.check()
	return back
}

// Every order of a few operations on a side with a small window: at its ends,
// within a word and across words, below it, above it, and between its prices.
func TestSideExhaustive(t *testing.T) {
	t.Parallel()
	const step = 4
	var ops []tick.Level
	for _, price := range []int64{-4, 0, 63 * step, 64 * step, 127 * step, 128 * step, 2 * step, 2*step + 1} {
		ops = append(ops, tick.Level{Price: price}, tick.Level{Price: price, Size: price + 10})
	}
	length := 4
	if underRace {
		length = 3
	}
	for _, bids := range []bool{true, false} {
		order := make([]int, length)
		for more := true; more; more = nextOrder(order, len(ops)) {
			fast, slow := NewSide(bids), slowSide{bids, map[int64]int64{}}
			base := int64(0)
			if !bids {
				base = -127 * step
			}
			fast.window.open(base, newGrid(step), 128)
			for _, i := range order {
				l := ops[i]
				if fast.Set(l.Price, l.Size) != slow.set(l.Price, l.Size) {
					t.Fatalf("bids=%v, %v: setting %v: the sides disagree whether it existed", bids, order, l)
				}
				if fault := fast.fault(); fault != "" {
					t.Fatalf("bids=%v, %v: %s", bids, order, fault)
				}
			}
			if want := slow.best(); !slices.Equal(fast.all(), want) || fast.Len() != len(want) || len(want) > 0 && fast.Best() != want[0] {
				t.Fatalf("bids=%v, %v: %v, want %v", bids, order, fast.all(), want)
			}
			keep := (order[0] + order[1] + order[2]) % length
			fast.Truncate(keep)
			if want := slow.best(); !slices.Equal(fast.all(), want[:min(keep, len(want))]) || fast.fault() != "" {
				t.Fatalf("bids=%v, %v cut to %d: %v, %s", bids, order, keep, fast.all(), fast.fault())
			}
		}
	}
}

// nextOrder counts on, as the digits of a number of base n; false after the last.
func nextOrder(order []int, n int) bool {
	for i := range order {
		if order[i]++; order[i] < n {
			return true
		}
		order[i] = 0
	}
	return false
}

func compareSide(t *testing.T, fast *Side, slow slowSide, depth int) {
	t.Helper()
	want := slow.best()
	if fast.Len() != len(want) {
		t.Fatalf("%d levels, want %d", fast.Len(), len(want))
	}
	top := tick.Level{}
	if len(want) > 0 {
		top = want[0]
	}
	if fast.Best() != top {
		t.Fatalf("best %v, want %v", fast.Best(), top)
	}
	if all := fast.all(); !slices.Equal(all, want) {
		t.Fatalf("levels %v, want %v", all, want)
	}
	some := make([]tick.Level, depth)
	if n := fast.CopyBest(some); !slices.Equal(some[:n], want[:min(depth, len(want))]) {
		t.Fatalf("the %d best are %v, want %v", depth, some[:n], want)
	}
	wantSize, wantNotional := new(big.Int), new(big.Int)
	for _, l := range want[:min(depth, len(want))] {
		wantSize.Add(wantSize, big.NewInt(l.Size))
		wantNotional.Add(wantNotional, new(big.Int).Mul(big.NewInt(l.Price), big.NewInt(l.Size)))
	}
	size, notional := fast.Cumulative(depth)
	if size.Big().Cmp(wantSize) != 0 || notional.Big().Cmp(wantNotional) != 0 {
		t.Fatalf("%v worth %v in %d levels, want %v worth %v", size.Big(), notional.Big(), depth, wantSize, wantNotional)
	}
}

// Sums are exact beyond 64 bits.
func TestCumulativeIsWide(t *testing.T) {
	t.Parallel()
	s := NewSide(false)
	s.Set(math.MaxInt64-1, math.MaxInt64)
	s.Set(math.MaxInt64-2, math.MaxInt64)
	size, notional := s.Cumulative(5)
	if got, want := size.Big().String(), "18446744073709551614"; got != want {
		t.Errorf("size %s, want %s", got, want)
	}
	want := new(big.Int).Mul(big.NewInt(math.MaxInt64), new(big.Int).Add(big.NewInt(math.MaxInt64-1), big.NewInt(math.MaxInt64-2)))
	if notional.Big().Cmp(want) != 0 {
		t.Errorf("notional %v, want %v", notional.Big(), want)
	}
}

func TestBookApply(t *testing.T) {
	t.Parallel()
	b := New()
	list := func(prices ...int64) (out []tick.Level) {
		for i := 0; i < len(prices); i += 2 {
			out = append(out, tick.Level{Price: prices[i], Size: prices[i+1]})
		}
		return out
	}
	b.Apply(list(100, 5, 99, 6, 101, 7, 102, 8), 2)
	if b.Bids.Best() != (tick.Level{Price: 100, Size: 5}) || b.Asks.Best() != (tick.Level{Price: 101, Size: 7}) || b.Crossed() {
		t.Errorf("best %v and %v", b.Bids.Best(), b.Asks.Best())
	}
	// Later entries of a message win, and removals of what is not there are counted.
	b.Apply(list(100, 9, 100, 0, 98, 0, 101, 0, 97, 0), 3)
	if b.Bids.Best().Price != 99 || b.Asks.Best().Price != 102 || b.Orphans != 2 {
		t.Errorf("best %v and %v, %d orphans", b.Bids.Best(), b.Asks.Best(), b.Orphans)
	}
	b.Apply(list(102, 1), 1)
	if !b.Crossed() {
		t.Error("a bid at the ask does not cross")
	}
	b.Clear()
	if b.Crossed() || b.Bids.Len()+b.Asks.Len() != 0 {
		t.Error("an empty book")
	}
}

// Either every level is multiplied or none.
func TestBookRescale(t *testing.T) {
	t.Parallel()
	f := func(bids, asks tick.Level, priceFactor, sizeFactor int64, fits bool) {
		t.Helper()
		b := New()
		b.Apply([]tick.Level{bids, asks}, 1)
		before := saved(b.code)
		err := b.Rescale(priceFactor, sizeFactor)
		if fits {
			want := New()
			want.Apply([]tick.Level{{Price: bids.Price * priceFactor, Size: bids.Size * sizeFactor}, {Price: asks.Price * priceFactor, Size: asks.Size * sizeFactor}}, 1)
			if err != nil || string(saved(b.code)) != string(saved(want.code)) {
				t.Errorf("%v: %v and %v", err, b.Bids.Best(), b.Asks.Best())
			}
		} else if !errors.Is(err, tick.ErrRange) || string(saved(b.code)) != string(before) {
			t.Errorf("%v: %v and %v", err, b.Bids.Best(), b.Asks.Best())
		}
		b.Check()
	}
	one := tick.Level{Price: 1, Size: 1}
	f(tick.Level{Price: 100, Size: 5}, tick.Level{Price: 101, Size: 7}, 100, 1000, true)
	f(one, tick.Level{Price: 2, Size: 1}, 1, 1, true)
	f(one, tick.Level{Price: 1e18, Size: 1}, 10, 1, false)
	f(one, tick.Level{Price: 2, Size: 1e18}, 1, 10, false)
	f(tick.Level{Price: 2, Size: 1e18}, tick.Level{Price: 3, Size: 1}, 1, 10, false)
	f(tick.Level{Price: -1e18, Size: 1}, one, 10, 1, false)
}

// The invariants are noticed when broken.
func TestBookCheck(t *testing.T) {
	t.Parallel()
	f := func(what string, bids bool, levels ...tick.Level) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s passes", what)
			}
		}()
		b := New()
		side := &b.Bids
		if !bids {
			side = &b.Asks
		}
		side.far.build(levels, side.sign)
		b.Check()
	}
	f("a level without size", true, tick.Level{Price: 1})
	f("a negative size", false, tick.Level{Price: 1, Size: -1})
	f("bids best first", true, tick.Level{Price: 2, Size: 1}, tick.Level{Price: 1, Size: 1})
	f("asks best first", false, tick.Level{Price: 1, Size: 1}, tick.Level{Price: 2, Size: 1})
	f("a price twice", true, tick.Level{Price: 2, Size: 1}, tick.Level{Price: 2, Size: 1})
	g := func(what string, spoil func(s *Side)) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s passes", what)
			}
		}()
		b := New()
		b.Bids.window.open(100, newGrid(1), 128)
		b.Apply([]tick.Level{{Price: 99, Size: 1}, {Price: 100, Size: 1}, {Price: 170, Size: 1}, {Price: 300, Size: 1}}, 4)
		b.Check()
		spoil(&b.Bids)
		b.Check()
	}
	g("a bit without a size", func(s *Side) { s.window.sizes[70] = 0 })
	g("a bit too many", func(s *Side) { s.window.words[0] |= 4 })
	g("a miscount", func(s *Side) { s.window.count++ })
	g("a wrong best level", func(s *Side) { s.window.top = 0 })
	g("a level above that is not", func(s *Side) { s.above = 2 })
	g("a level above that is not counted", func(s *Side) { s.above = 0 })
	g("a window that is gone", func(s *Side) { s.window = window{} })
	g("a level in a block that does not know", func(s *Side) { s.far.blocks[0].worst++ })
	g("a block that is lost", func(s *Side) { s.far.slab = append(s.far.slab, [blockSize]tick.Level{}) })
	g("blocks out of order", func(s *Side) { s.far.blocks = append(s.far.blocks, s.far.blocks[0]) })
}

// A side that has grown, and seen its market move, allocates nothing.
func TestSideZeroAllocs(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	random := seeded(t)
	for _, bids := range []bool{true, false} {
		s := NewSide(bids)
		var lap []tick.Level
		for i := range int64(20000) {
			middle := 10000 + i/4
			if i > 10000 {
				middle = 15000 - i/4
			}
			lap = append(lap, tick.Level{Price: middle + random.Int64N(1000), Size: random.Int64N(2) * 5})
		}
		laid := false
		run := func() {
			for len(lap) > 0 {
				n := min(len(lap), 20)
				s.setAll(lap[:n])
				lap = lap[n:]
				laid = laid || s.window.isOpen()
			}
			s.Clear()
		}
		all := lap
		if n := testing.AllocsPerRun(2, func() { lap = all; run() }); n != 0 || !laid {
			t.Errorf("%v allocations, a window: %v", n, laid)
		}
	}
}

// Whatever the operations: the side does what the slow one does.
func FuzzSide(f *testing.F) {
	f.Add(true, byte(1), []byte("a few levels near a price, which moves a little\x00\x01\x02\x03"))
	f.Add(false, byte(10), []byte("\x00\x10\x20\x30\xff\x40\x50\x60\xfe\x70\x80\x90\xfd\x11\x22\xfc\x33\x44\x55"))
	f.Fuzz(func(t *testing.T, bids bool, step byte, story []byte) {
		if len(story) > 1<<12 {
			return
		}
		fast, plain := NewSide(bids), slowSide{bids, map[int64]int64{}}
		middle := int64(1000)
		// Enough levels for a window to be worth it.
		for i := range int64(80) {
			fast.Set((middle-40+i)*int64(step), 1+i)
			plain.set((middle-40+i)*int64(step), 1+i)
		}
		fast.layWindow()
		for len(story) >= 2 {
			op, arg := story[0], int64(story[1])
			story = story[2:]
			switch op {
			case 0xff:
				fast.layWindow()
			case 0xfe:
				middle += (arg - 128) * arg
			case 0xfd:
				fast.Truncate(int(arg))
				for _, l := range plain.best()[min(int(arg), len(plain.sizes)):] {
					plain.set(l.Price, 0)
				}
			case 0xfc:
				fast = recovered(t, &fast)
			default:
				price := (middle+int64(int8(op)))*int64(step) + arg/251
				size := arg % 4
				if fast.Set(price, size) != plain.set(price, size) {
					t.Fatalf("setting %d to %d: the sides disagree whether it existed", price, size)
				}
			}
			fast.check()
		}
		recovered(t, &fast)
		compareSide(t, &fast, plain, 20)
	})
}

// seeded returns random numbers from a new seed, which it prints.
func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
