package questdb

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/shopspring/decimal"

	"tickproc/tick"
)

// random128 has every size from 0 to 127 bits.
func random128(r *rand.Rand) tick.Int128 {
	x := tick.Int128{Hi: int64(r.Uint64() >> 1), Lo: r.Uint64()}
	for range r.IntN(128) {
		x.Lo = x.Lo>>1 | uint64(x.Hi)<<63
		x.Hi >>= 1
	}
	if r.IntN(2) == 0 {
		x = tick.Int128{}.Sub(x)
	}
	return x
}

// Text and float64 of scaled 128-bit integers equal those of big numbers.
func TestNumbersEqualBigNumbers(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	scratch := make([]byte, 0, 128)
	for range 200_000 {
		x, digits := random128(r), r.IntN(55)
		exact := decimal.NewFromBigInt(x.Big(), -int32(digits))
		if got := string(append128(nil, x, digits)); got != exact.StringFixed(int32(digits)) {
			t.Fatalf("text of %v / 10^%d: %s, want %s", x, digits, got, exact)
		}
		ratio := new(big.Rat).SetFrac(x.Big(), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil))
		want, _ := ratio.Float64()
		if got := (number{value: x, digits: digits}).float(scratch); got != want {
			t.Fatalf("%s as float64: %v, want %v", exact, got, want)
		}
	}
}

func TestRatiosAreNear(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	scratch := make([]byte, 0, 128)
	for range 20_000 {
		n, over := random128(r), random128(r)
		if over.IsZero() {
			continue
		}
		x := number{value: n, digits: 10, ratio: true, over: over, overDigits: 3}
		exact := new(big.Rat).SetFrac(n.Big(), over.Big())
		exact.Quo(exact, big.NewRat(1e7, 1))
		want, _ := exact.Float64()
		if got := x.float(scratch); math.Abs(got-want) > 2*math.Abs(want)*0x1p-52 {
			t.Fatalf("%v / %v: %v, want %v", n, over, got, want)
		}
		text := string(x.appendDecimal(nil, 18))
		got, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("text %q", text)
		}
		// Half a unit in the last place, and a tie goes to the even digit.
		off := new(big.Rat).Sub(got, exact)
		switch off.Abs(off).Cmp(new(big.Rat).SetFrac(big.NewInt(5), new(big.Int).Exp(big.NewInt(10), big.NewInt(19), nil))) {
		case 1:
			t.Fatalf("%v / %v: %s, want %s", n, over, text, exact.FloatString(25))
		case 0:
			if text[len(text)-1]%2 != 0 {
				t.Fatalf("%v / %v: tie to %s", n, over, text)
			}
		}
	}
}

// A tie by the digits that a first division keeps may be none in truth.
func TestDecimalRounding(t *testing.T) {
	f := func(n, over int64, want string) {
		t.Helper()
		x := number{value: tick.Int128Of(n), ratio: true, over: tick.Int128Of(over)}
		if got := string(x.appendDecimal(nil, 2)); got != want {
			t.Errorf("%d/%d: %s, want %s", n, over, got, want)
		}
	}
	f(1, 8, "0.12")            // 0.125
	f(3, 8, "0.38")            // 0.375
	f(125001, 1000000, "0.13") // 0.125001
	f(-125001, 1000000, "-0.13")
	f(-1, 8, "-0.12")
	f(124999, 1000000, "0.12")
	g := func(n tick.Int128, digits, scale int, want string) {
		t.Helper()
		if got := string((number{value: n, digits: digits}).appendDecimal(nil, scale)); got != want {
			t.Errorf("%v/10^%d: %s, want %s", n, digits, got, want)
		}
	}
	g(tick.Int128Of(125), 3, 2, "0.12")
	g(tick.Int128Of(-5), 0, 2, "-5")
	g(tick.Int128Of(math.MinInt64), 18, 18, "-9.223372036854775808")
}

func TestTimesIsExactOrNull(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		x, by := random128(r), tick.Number{Mantissa: int64(r.Uint64()) >> r.IntN(64), Digits: uint8(r.IntN(19))}
		want := new(big.Int).Mul(x.Big(), big.NewInt(by.Mantissa))
		switch got := (number{value: x, digits: 5}).times(by); {
		case got.null && want.BitLen() < 127:
			t.Fatalf("%v × %v is null, its product has %d bits", x, by, want.BitLen())
		case !got.null && (got.value.Big().Cmp(want) != 0 || got.digits != 5+int(by.Digits)):
			t.Fatalf("%v × %v: %v", x, by, got)
		}
	}
}

func TestNumberZeroAllocs(t *testing.T) {
	skipUnderRace(t)
	scratch := make([]byte, 0, 128)
	wide := number{value: tick.Mul64(math.MaxInt64, 12345), digits: 16}
	if n := testing.AllocsPerRun(1000, func() {
		sinkFloat = wide.float(scratch)
		scratch = wide.appendDecimal(scratch[:0], sumScale)
	}); n != 0 {
		t.Errorf("%v allocations a number", n)
	}
}

var sinkFloat float64
