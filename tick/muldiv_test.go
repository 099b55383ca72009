package tick

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// wide is a random number of any length.
func wide(r *rand.Rand) uint64 { return r.Uint64() >> r.IntN(64) }

// Products and quotients agree with rationals, ties included.
func TestMulDiv(t *testing.T) {
	t.Parallel()
	f := func(a, b uint64, shift int, by uint64) (ok bool) {
		t.Helper()
		hi, lo, ok := MulDiv(a, b, shift, by)
		number := func(v uint64) *big.Int { return new(big.Int).SetUint64(v) }
		n, d := new(big.Int).Mul(number(a), number(b)), number(by)
		power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(shift, -shift))), nil)
		if shift > 0 {
			n.Mul(n, power)
		} else {
			d.Mul(d, power)
		}
		q, rest := new(big.Int).QuoRem(n, d, new(big.Int))
		if c := rest.Lsh(rest, 1).Cmp(d); c > 0 || c == 0 && q.Bit(0) == 1 {
			q.Add(q, big.NewInt(1))
		}
		got := new(big.Int).Or(new(big.Int).Lsh(number(hi), 64), number(lo))
		if fits := q.BitLen() <= 128; fits != ok || ok && got.Cmp(q) != 0 {
			t.Errorf("%d × %d × 10^%d / %d = %v (%v), want %v", a, b, shift, by, got, ok, q)
		}
		return ok
	}
	f(0, 7, 38, 1)
	f(1, 1, 0, 2) // ties go to even
	f(3, 1, 0, 2)
	f(5, 1, -1, 1)
	f(15, 1, -1, 1)
	f(25, 1, -2, 10)
	f(2501, 1, -4, 1)
	f(5_000_000_000_000_000_000, 1, -19, 1) // in two steps
	f(1, 1_500_000_000_000_000_001, -18, 1)
	f(math.MaxUint64, math.MaxUint64, 38, 1)
	f(math.MaxUint64, math.MaxUint64, 38, math.MaxUint64)
	f(math.MaxUint64, math.MaxUint64, 0, 1)
	f(math.MaxUint64, 1, -38, math.MaxUint64)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	held := 0
	for range 50_000 {
		if f(wide(r), wide(r), r.IntN(2*MulDivShiftMax+1)-MulDivShiftMax, max(wide(r), 1)) {
			held++
		}
	}
	if t.Failed() || held < 1000 || held > 49_000 {
		t.Errorf("seed %d: %d of 50000 fit", seed, held)
	}
}

// Numbers of different digits compare as what they are.
func TestCompareScaled(t *testing.T) {
	t.Parallel()
	f := func(a int64, aDigits uint8, b int64, bDigits uint8) int {
		t.Helper()
		want := Number{a, aDigits}.Decimal().Cmp(Number{b, bDigits}.Decimal())
		got, back := CompareScaled(a, aDigits, b, bDigits), CompareScaled(b, bDigits, a, aDigits)
		if got != want || back != -want {
			t.Errorf("%d/%d against %d/%d: %d, %d back, want %d", a, aDigits, b, bDigits, got, back, want)
		}
		return want
	}
	f(100, 2, 1, 0)
	f(101, 2, 1, 0)
	f(-100, 2, -1, 0)
	f(math.MaxInt64, 0, math.MaxInt64, 18)
	f(math.MaxInt64, 0, math.MinInt64, 18)
	f(math.MinInt64, 18, math.MinInt64, 0)
	f(math.MinInt64, 3, math.MaxInt64, 3)
	f(0, 0, 0, 18)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	equal := 0
	for range 20_000 {
		a, aDigits, bDigits := int64(wide(r)), uint8(r.IntN(MaxDigits+1)), uint8(r.IntN(MaxDigits+1))
		b := int64(wide(r))
		if r.IntN(2) == 0 && bDigits >= aDigits {
			if scaled, err := MulExact(a, pow10[bDigits-aDigits]); err == nil {
				b = scaled + int64(r.IntN(3)) - 1
			}
		}
		if f(a, aDigits, b, bDigits) == 0 {
			equal++
		}
	}
	if t.Failed() || equal < 100 {
		t.Errorf("seed %d: %d were equal", seed, equal)
	}
}
