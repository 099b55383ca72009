package tick

import (
	"math"
	"math/big"
	"testing"

	"github.com/shopspring/decimal"
)

// Every operation is the big integer's, cut to 128 bits.
func TestInt128(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for range 100_000 {
		x := Int128{Hi: randomInt64(random), Lo: uint64(randomInt64(random))}
		y := Int128{Hi: randomInt64(random), Lo: uint64(randomInt64(random))}
		checkInt128(t, x, y, randomInt64(random), randomInt64(random))
		if t.Failed() {
			return
		}
	}
}

func TestInt128Edges(t *testing.T) {
	t.Parallel()
	edges := []int64{0, 1, -1, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, math.MinInt64 + 1, math.MaxUint32, 1 << 32}
	for _, hi := range edges {
		for _, lo := range edges {
			for _, a := range edges {
				for _, b := range edges {
					checkInt128(t, Int128{Hi: hi, Lo: uint64(lo)}, Int128{Hi: b, Lo: uint64(a)}, a, b)
				}
			}
		}
	}
}

func FuzzInt128(f *testing.F) {
	f.Add(int64(-1), uint64(math.MaxUint64), int64(math.MinInt64), uint64(0), int64(math.MinInt64), int64(-1))
	f.Fuzz(func(t *testing.T, xHi int64, xLo uint64, yHi int64, yLo uint64, a, b int64) {
		checkInt128(t, Int128{Hi: xHi, Lo: xLo}, Int128{Hi: yHi, Lo: yLo}, a, b)
	})
}

func checkInt128(t *testing.T, x, y Int128, a, b int64) {
	t.Helper()
	f := func(what string, got Int128, want *big.Int) {
		t.Helper()
		if got.Big().Cmp(wrap128(want)) != 0 {
			t.Errorf("%s of x=%v y=%v a=%d b=%d: %v, want %v", what, x.Big(), y.Big(), a, b, got.Big(), want)
		}
	}
	big64 := big.NewInt
	f("widening", Int128Of(a), big64(a))
	f("a*b", Mul64(a, b), new(big.Int).Mul(big64(a), big64(b)))
	f("x+y", x.Add(y), new(big.Int).Add(x.Big(), y.Big()))
	f("x-y", x.Sub(y), new(big.Int).Sub(x.Big(), y.Big()))
	f("x*a", x.Mul(a), new(big.Int).Mul(x.Big(), big64(a)))
	if x.IsZero() != (x.Big().Sign() == 0) {
		t.Errorf("IsZero of %v", x.Big())
	}
	if !x.Decimal(5).Equal(decimal.NewFromBigInt(x.Big(), -5)) {
		t.Errorf("%v as a decimal is %v", x.Big(), x.Decimal(5))
	}
}

// wrap128 cuts v to 128 bits of two's complement.
func wrap128(v *big.Int) *big.Int {
	full := new(big.Int).Lsh(big.NewInt(1), 128)
	out := new(big.Int).Mod(v, full)
	if out.Bit(127) == 1 {
		out.Sub(out, full)
	}
	return out
}

// Sums do not depend on the order, and taking out what was put in leaves nothing.
func TestInt128SumIsExact(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	want := new(big.Int)
	var forward, backward Int128
	products := make([]Int128, 1000)
	for i := range products {
		price, size := random.Int64(), random.Int64()
		products[i] = Mul64(price, size)
		want.Add(want, new(big.Int).Mul(big.NewInt(price), big.NewInt(size)))
	}
	for i := range products {
		forward = forward.Add(products[i])
		backward = backward.Add(products[len(products)-1-i])
	}
	if forward != backward || forward.Big().Cmp(wrap128(want)) != 0 {
		t.Errorf("sums %v and %v, want %v", forward.Big(), backward.Big(), want)
	}
	for _, p := range products {
		forward = forward.Sub(p)
	}
	if !forward.IsZero() {
		t.Errorf("%v is left", forward.Big())
	}
}
