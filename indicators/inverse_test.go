package indicators

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"tickproc/tick"
)

func TestInverseValues(t *testing.T) {
	t.Parallel()
	f := func(price, size int64, priceDigits, sizeDigits uint8, contract tick.Number, want string) {
		t.Helper()
		v := newInverse(contract, priceDigits, sizeDigits)
		if got := v.base(price, size).Decimal(tick.InverseDigits).String(); got != want {
			t.Errorf("%d contracts at %d: %s, want %s", size, price, got, want)
		}
	}
	hundred := tick.Number{Mantissa: 100}
	f(618048, 4, 1, 0, hundred, "0.0064719892306099")
	f(50000, 5, 0, 0, hundred, "0.01")
	f(50000, -5, 0, 0, hundred, "-0.01")
	f(0, 5, 0, 0, hundred, "0")
	// Halves go to the even neighbour: 1 / 2^17 has a 5 in its 17th place, then nothing.
	f(131072, 1, 0, 0, tick.Number{Mantissa: 1}, "0.0000076293945312")
	f(131072, 3, 0, 0, tick.Number{Mantissa: 1}, "0.0000228881835938")
	// Finer than the result: 0.5 and 1.5 units of the last place, and a trifle more than 0.5.
	f(1, 5, 0, 17, tick.Number{Mantissa: 1}, "0")
	f(1, 15, 0, 17, tick.Number{Mantissa: 1}, "0.0000000000000002")
	f(1, 500001, 0, 18, tick.Number{Mantissa: 1, Digits: 4}, "0.0000000000000001")
	f(3, 16, 0, 17, tick.Number{Mantissa: 1}, "0.0000000000000001")
}

func TestInverseEqualsBigRationals(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	limit := new(big.Int).Lsh(big.NewInt(1), 127)
	compared := 0
	for range 50_000 {
		price, size := 1+random.Int64()>>random.IntN(62), random.Int64()>>random.IntN(62)
		priceDigits, sizeDigits := uint8(random.IntN(19)), uint8(random.IntN(19))
		contract := tick.Number{Mantissa: 1 + random.Int64()>>random.IntN(62), Digits: uint8(random.IntN(19))}
		want := baseValue(price, size, int(priceDigits), int(sizeDigits), contract)
		if want.Cmp(limit) >= 0 {
			continue // beyond 10^22 units of the base asset
		}
		compared++
		v := newInverse(contract, priceDigits, sizeDigits)
		if got := v.base(price, size); got != int128(want) {
			t.Fatalf("%d × %v / %d with %d, %d digits: %v, want %v", size, contract, price, sizeDigits, priceDigits, got.Big(), want)
		}
	}
	if compared < 10_000 {
		t.Errorf("only %d compared", compared)
	}
}
