package book

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

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

// A side does what the slow one does, near the best price and deep in the book.
func TestSide(t *testing.T) {
	t.Parallel()
	for _, bids := range []bool{true, false} {
		for _, spread := range []int64{3, 40, 5000} {
			for _, near := range []bool{true, false} {
				name := fmt.Sprintf("bids=%v/%d prices/near=%v", bids, spread, near)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					randomSide(t, bids, spread, near)
				})
			}
		}
	}
}

func randomSide(t *testing.T, bids bool, spread int64, near bool) {
	random := seeded(t)
	fast, slow := NewSide(bids), slowSide{bids, map[int64]int64{}}
	for range 4000 {
		switch n := random.IntN(100); {
		case n == 0:
			keep := random.IntN(20)
			fast.Truncate(keep)
			for _, l := range slow.best()[min(keep, len(slow.sizes)):] {
				slow.set(l.Price, 0)
			}
		case n == 1 && random.IntN(4) == 0:
			fast.Clear()
			clear(slow.sizes)
		case n == 2 && len(slow.sizes) < 50:
			if checkLevels(fast.gather(), 10, 1) != nil {
				continue
			}
			multiplyLevels(fast.far, 10, 1)
			scaled := map[int64]int64{}
			for price, size := range slow.sizes {
				scaled[price*10] = size
			}
			slow.sizes = scaled
		default:
			price := random.Int64N(spread) - spread/3 // prices of spreads may be negative
			if near && fast.Len() > 0 {
				price = fast.Best().Price + random.Int64N(7) - 3
			}
			size := random.Int64N(3) * (1 + random.Int64N(1000))
			if fast.Set(price, size) != slow.set(price, size) {
				t.Fatalf("setting %d to %d: the sides disagree whether it existed", price, size)
			}
		}
		fast.check()
		compareSide(t, &fast, slow, random.IntN(30))
	}
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
		if bids {
			b.Bids.far = levels
		} else {
			b.Asks.far = levels
		}
		b.Check()
	}
	f("a level without size", true, tick.Level{Price: 1})
	f("a negative size", false, tick.Level{Price: 1, Size: -1})
	f("bids best first", true, tick.Level{Price: 2, Size: 1}, tick.Level{Price: 1, Size: 1})
	f("asks best first", false, tick.Level{Price: 1, Size: 1}, tick.Level{Price: 2, Size: 1})
	f("a price twice", true, tick.Level{Price: 2, Size: 1}, tick.Level{Price: 2, Size: 1})
}

// seeded returns random numbers from a new seed, which it prints.
func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
