package tick

import "math/bits"

// MulDivShiftMax keeps a × b × 10^shift within 256 bits.
const MulDivShiftMax = 38

// MulDiv returns a × b × 10^shift / by, rounded half to even, as 128 bits; ok
// is false where they do not hold it. by is not 0, shift within ±MulDivShiftMax.
//
// hot: 0 allocs.
func MulDiv(a, b uint64, shift int, by uint64) (hi, lo uint64, ok bool) {
	var n [4]uint64 // little-endian limbs
	n[1], n[0] = bits.Mul64(a, b)
	for k := shift; k > 0; k -= MaxDigits {
		multiply(&n, uint64(pow10[min(k, MaxDigits)]))
	}
	divisor := by
	rest := divide(&n, divisor)
	// A power of ten that is left to divide by comes last: being even, its
	// remainder alone tells the sides of one half apart, and what was cut off
	// before matters only exactly there.
	below := false
	for k := -shift; k > 0; k -= MaxDigits {
		below = below || rest != 0
		divisor = uint64(pow10[min(k, MaxDigits)])
		rest = divide(&n, divisor)
	}
	if other := divisor - rest; rest > other || rest == other && (below || n[0]&1 == 1) {
		var carry uint64
		n[0], carry = bits.Add64(n[0], 1, 0)
		n[1], carry = bits.Add64(n[1], 0, carry)
		n[2] += carry
	}
	return n[1], n[0], n[2] == 0 && n[3] == 0
}

func multiply(n *[4]uint64, by uint64) {
	var carry uint64
	for i := range n {
		high, low := bits.Mul64(n[i], by)
		var c uint64
		n[i], c = bits.Add64(low, carry, 0)
		carry = high + c
	}
}

// divide leaves the quotient in n and returns the remainder.
func divide(n *[4]uint64, by uint64) (rest uint64) {
	for i := len(n) - 1; i >= 0; i-- {
		if rest == 0 && n[i] == 0 {
			continue // numbers are mostly short, and divisions cost
		}
		n[i], rest = bits.Div64(rest, n[i], by)
	}
	return rest
}

// CompareScaled compares a / 10^aDigits with b / 10^bDigits exactly: below,
// at or above 0.
//
// hot: 0 allocs.
func CompareScaled(a int64, aDigits uint8, b int64, bDigits uint8) int {
	if aDigits != bDigits {
		x, y := Int128Of(a), Int128Of(b)
		if aDigits < bDigits {
			x = Mul64(a, pow10[bDigits-aDigits])
		} else {
			y = Mul64(b, pow10[aDigits-bDigits])
		}
		d := x.Sub(y) // both are below 2^124: no overflow
		switch {
		case d.Hi < 0:
			return -1
		case d.IsZero():
			return 0
		}
		return 1
	}
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
