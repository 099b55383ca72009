package tick

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
)

// What venues write, and what they should not.
func TestParseScaled(t *testing.T) {
	t.Parallel()
	f := func(text string, digits uint8, want int64, wantErr error) {
		t.Helper()
		got, err := ParseScaled([]byte(text), digits)
		if !errors.Is(err, wantErr) || got != want {
			t.Errorf("ParseScaled(%q, %d) = %d, %v; want %d, %v", text, digits, got, err, want, wantErr)
		}
		checkAgainstDecimal(t, text, digits)
	}

	// Plain.
	f("61837.63", 2, 6183763, nil)
	f("61837.63", 8, 6183763000000, nil)
	f("0", 8, 0, nil)
	f("7", 0, 7, nil)
	f("-61837.63", 2, -6183763, nil)
	// Zeros that say nothing.
	f("61837.63000000", 2, 6183763, nil)
	f("61837.00000000", 0, 61837, nil)
	f("0.00000000", 0, 0, nil)
	f("000061837.63", 2, 6183763, nil)
	f("1."+strings.Repeat("0", 36), 2, 100, nil)
	f("1."+strings.Repeat("0", 60), 2, 100, nil)
	f(strings.Repeat("0", 60)+"1", 2, 100, nil)
	// Minus zero is zero.
	f("-0", 3, 0, nil)
	f("-0.000", 1, 0, nil)
	f("-0e5", 1, 0, nil)
	// Exponents.
	f("1e3", 0, 1000, nil)
	f("1e3", 5, 100000000, nil)
	f("1E-8", 8, 1, nil)
	f("1.5e+2", 0, 150, nil)
	f("-25e-1", 1, -25, nil)
	f("0e99999", 0, 0, nil)
	f("10000000000000000000000e-22", 0, 1, nil)
	f("1e18", 0, 1e18, nil)
	// Finer than the scale.
	f("1.234", 2, 0, ErrFiner)
	f("1E-8", 7, 0, ErrFiner)
	f("0.1", 0, 0, ErrFiner)
	f("1.0000000000000000001", 18, 0, ErrRange) // finer than any scale
	f("1e-19", 18, 0, ErrRange)
	// Up to the edge of int64, and over it.
	f("9223372036854775807", 0, math.MaxInt64, nil)
	f("-9223372036854775807", 0, -math.MaxInt64, nil)
	f("9.223372036854775807", 18, math.MaxInt64, nil)
	f("92233720368547758.07", 2, math.MaxInt64, nil)
	f("9223372036854775808", 0, 0, ErrRange)
	f("9.223372036854775808", 18, 0, ErrRange)
	f("92233720368547758.08", 2, 0, ErrRange)
	f("-9223372036854775808", 0, 0, ErrRange) // the range is symmetrical, so that -x always fits
	f("123456789012345678", 1, 1234567890123456780, nil)
	f("123456789012345678", 2, 0, ErrRange)
	f("10", 18, 0, ErrRange)
	f("9", 18, 9e18, nil)
	f("1e19", 0, 0, ErrRange)
	f("1e999999999", 0, 0, ErrRange)
	f("1"+strings.Repeat("0", 19), 0, 0, ErrRange)
	f(strings.Repeat("123456", 10), 0, 0, ErrRange)
	f("0."+strings.Repeat("123456", 10), 8, 0, ErrRange)
	f(strings.Repeat("0", 1<<20), 0, 0, ErrRange) // nobody writes numbers like that
	// No numbers.
	for _, text := range []string{"", ".", "-", "1.", "-1.", ".5", "-.5", "+1", "--1", " 1", "1 ", "1,5", "1_000", "0x10", "1e", "1e+", "1.5.5", "1.e3",
		"e3", "NaN", "Infinity", "-Infinity", "null", "\u22121", "١", "1\x00", "5-", "1e5.5"} {
		f(text, 3, 0, ErrNumber)
	}
}

// ParseNumber says which scale a number needs.
func TestParseNumber(t *testing.T) {
	t.Parallel()
	f := func(text string, want Number, wantErr error) {
		t.Helper()
		got, err := ParseNumber([]byte(text))
		if !errors.Is(err, wantErr) || got != want {
			t.Errorf("ParseNumber(%q) = %v, %v; want %v, %v", text, got, err, want, wantErr)
		}
	}
	f("0.01000000", Number{1, 2}, nil)
	f("100", Number{100, 0}, nil)
	f("100.50", Number{1005, 1}, nil)
	f("-0.00", Number{}, nil)
	f("1e-18", Number{1, 18}, nil)
	f("1200e-1", Number{120, 0}, nil)
	f("1.2e3", Number{1200, 0}, nil)
	f("-5.0e-1", Number{-5, 1}, nil)
	f("1e-19", Number{}, ErrRange)
	f("1e19", Number{}, ErrRange)
	f("20e18", Number{}, ErrRange)
	f(strings.Repeat("9", 19), Number{}, ErrRange)
	f("", Number{}, ErrNumber)
	f("1.", Number{}, ErrNumber)
}

func TestMulExact(t *testing.T) {
	t.Parallel()
	edges := []int64{0, 1, -1, 2, -2, 10, 1e9, -1e9, 3037000499, 3037000500, 1e18, math.MaxInt64, -math.MaxInt64, math.MinInt64}
	for _, a := range edges {
		for _, b := range edges {
			product := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
			got, err := MulExact(a, b)
			if product.IsInt64() && (err != nil || got != product.Int64()) {
				t.Errorf("%d*%d = %d, %v", a, b, got, err)
			}
			if !product.IsInt64() && !errors.Is(err, ErrRange) {
				t.Errorf("%d*%d = %d, %v, want ErrRange", a, b, got, err)
			}
		}
	}
}

func TestAppendScaled(t *testing.T) {
	t.Parallel()
	f := func(v int64, digits uint8, want string) {
		t.Helper()
		if got := FormatScaled(v, digits); got != want {
			t.Errorf("FormatScaled(%d, %d) = %q, want %q", v, digits, got, want)
		}
	}
	f(0, 0, "0")
	f(0, 2, "0.00")
	f(5, 0, "5")
	f(5, 3, "0.005")
	f(-5, 3, "-0.005")
	f(12345, 2, "123.45")
	f(100, 2, "1.00")
	f(math.MaxInt64, 18, "9.223372036854775807")
	f(math.MinInt64, 0, "-9223372036854775808")
	f(math.MinInt64, 18, "-9.223372036854775808")
	f(1, 30, "0.000000000000000000000000000001") // sums of notional have more digits than a number

	if got := string(AppendScaled([]byte("px="), 15, 1)); got != "px=1.5" {
		t.Errorf("appended %q", got)
	}
}

// What is written is read back the same, and reads as the same decimal.
func TestScaledRoundTrip(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for range 100_000 {
		v := randomInt64(random)
		if v == math.MinInt64 {
			continue
		}
		digits := uint8(random.IntN(MaxDigits + 1))
		text := AppendScaled(nil, v, digits)
		if back, err := ParseScaled(text, digits); err != nil || back != v {
			t.Fatalf("%d with %d digits is %q is %d, %v", v, digits, text, back, err)
		}
		if !decimal.RequireFromString(string(text)).Equal(decimal.New(v, -int32(digits))) {
			t.Fatalf("%d with %d digits is %q", v, digits, text)
		}
	}
}

// A Number goes to decimal.Decimal and back without loss, and says so where a
// decimal has more than a Number can hold.
func TestNumberDecimal(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for range 20_000 {
		n := Number{Mantissa: randomInt64(random), Digits: uint8(random.IntN(MaxDigits + 1))}
		back, err := NumberOf(n.Decimal())
		if err != nil || !back.Decimal().Equal(n.Decimal()) {
			t.Fatalf("%v became %v, %v", n, back, err)
		}
		if back.Digits > 0 && back.Mantissa%10 == 0 {
			t.Fatalf("%v kept its trailing zeros as %#v", n, back)
		}
		if n.String() != n.Decimal().StringFixed(int32(n.Digits)) {
			t.Fatalf("%v reads %s", n.Decimal(), n)
		}
	}
	f := func(text string, want Number, wantErr error) {
		t.Helper()
		got, err := NumberOf(decimal.RequireFromString(text))
		if !errors.Is(err, wantErr) || got != want {
			t.Errorf("NumberOf(%s) = %v, %v; want %v, %v", text, got, err, want, wantErr)
		}
	}
	f("1.50", Number{15, 1}, nil)
	f("1e3", Number{1000, 0}, nil)
	f("0e-30", Number{}, nil)
	f("1e-19", Number{}, ErrFiner)
	f("1e19", Number{}, ErrRange)
	f("10e18", Number{}, ErrRange)
	f("9223372036854775808", Number{}, ErrRange)
}

// A number is the same for us as for the decimal library, or refused because
// int64 at this scale cannot hold it.
func FuzzParseScaled(f *testing.F) {
	for _, text := range []string{"61837.63000000", "1e3", "1E-8", "-0", "NaN", "", ".", "1.", ".5", "9223372036854775807", "9223372036854775808",
		"0.000000000000000001", "1.0000000000000000000000000001", "100000000000000000000e-20", "\u22121"} {
		f.Add(text, uint8(8))
	}
	f.Fuzz(func(t *testing.T, text string, digits uint8) {
		checkAgainstDecimal(t, text, digits%(MaxDigits+1))
	})
}

// The grammar of JSON numbers, but for leading zeros, which do no harm.
var grammar = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// zero matches a number that is zero whatever its exponent.
var zero = regexp.MustCompile(`^-?[0.]+([eE]|$)`)

func checkAgainstDecimal(t *testing.T, text string, digits uint8) {
	t.Helper()
	got, err := ParseScaled([]byte(text), digits)
	if err != nil && got != 0 {
		t.Errorf("ParseScaled(%q, %d) = %d beside the error %v", text, digits, got, err)
	}
	if n, errNumber := ParseNumber([]byte(text)); errNumber == nil {
		// The fast way and the slow way are one function.
		if slow, errSlow := n.Scaled(digits); slow != got || !errors.Is(err, errSlow) {
			t.Errorf("%q at %d digits is %d, %v the fast way, %d, %v the slow way", text, digits, got, err, slow, errSlow)
		}
	} else if err == nil {
		t.Errorf("ParseNumber(%q): %v, but ParseScaled read %d", text, errNumber, got)
	}
	if len(text) > maxNumberText {
		if err == nil {
			t.Errorf("%d bytes were taken for a number", len(text))
		}
		return
	}
	if !grammar.MatchString(text) {
		if !errors.Is(err, ErrNumber) {
			t.Errorf("ParseScaled(%q) = %d, %v, which is no number", text, got, err)
		}
		return
	}
	if zero.MatchString(text) {
		if err != nil || got != 0 {
			t.Errorf("ParseScaled(%q) = %d, %v, which is 0", text, got, err)
		}
		return
	}
	d, errDecimal := decimal.NewFromString(text)
	if errDecimal != nil || d.Exponent() > 200 || d.Exponent() < -400 {
		// Beyond any int64, and too costly for the decimal library to say so.
		if !errors.Is(err, ErrRange) {
			t.Errorf("ParseScaled(%q) = %d, %v, want ErrRange", text, got, err)
		}
		return
	}
	scaled := d.Shift(int32(digits))
	fits := scaled.IsInteger() && scaled.BigInt().IsInt64() && scaled.BigInt().Int64() != math.MinInt64
	switch {
	case fits && (err != nil || got != scaled.BigInt().Int64()):
		t.Errorf("ParseScaled(%q, %d) = %d, %v, want %s", text, digits, got, err, scaled)
	case !fits && !errors.Is(err, ErrRange) && !errors.Is(err, ErrFiner):
		t.Errorf("ParseScaled(%q, %d) = %d, %v, want an error for %s", text, digits, got, err, scaled)
	case errors.Is(err, ErrFiner) && scaled.IsInteger():
		t.Errorf("ParseScaled(%q, %d): %v, but %s is no finer", text, digits, err, scaled)
	}
}

func TestParseScaledZeroAllocs(t *testing.T) {
	skipUnderRace(t)
	texts := [][]byte{[]byte("61837.63000000"), []byte("0.00000000"), []byte("1e-3"), []byte("nonsense"), []byte("1.123456789")}
	out := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		for _, text := range texts {
			v, _ := ParseScaled(text, 8)
			out = AppendScaled(out[:0], v, 8)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// seeded returns random numbers from a new seed, which it prints.
func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// randomInt64 is of any magnitude, often at an edge.
func randomInt64(r *rand.Rand) int64 {
	edges := [...]int64{0, 1, -1, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, math.MinInt64 + 1, math.MaxUint32, math.MinInt32, 1e18}
	if r.IntN(8) == 0 {
		return edges[r.IntN(len(edges))]
	}
	return int64(r.Uint64()) >> r.IntN(64)
}
