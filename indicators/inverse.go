package indicators

import (
	"math/bits"

	"tickproc/tick"
)

// inverse values trades of an inverse contract in its base asset:
//
//	size × contract size / price, at tick.InverseDigits decimal places
//
// Each trade's quotient is rounded half-even on its own before it is summed,
// so that the sum does not depend on the order of trades.
type inverse struct {
	contract int64 // mantissa of the contract size
	// shift is k of the 10^k that brings the quotient of the scaled integers
	// to tick.InverseDigits places.
	shift int
}

// shiftMax keeps size × contract × 10^shift within 256 bits.
const shiftMax = 38

func newInverse(contract tick.Number, priceDigits, sizeDigits uint8) inverse {
	return inverse{contract: contract.Mantissa,
		shift: tick.InverseDigits + int(priceDigits) - int(sizeDigits) - int(contract.Digits)}
}

// base returns the value of a trade; 0 at price 0, where there is none.
func (v *inverse) base(price, size int64) tick.Int128 {
	if price == 0 {
		return tick.Int128{}
	}
	var n [4]uint64 // little-endian limbs
	n[1], n[0] = bits.Mul64(abs(size), abs(v.contract))
	for k := v.shift; k > 0; k -= tick.MaxDigits {
		multiply(&n, uint64(tick.Pow10(uint8(min(k, tick.MaxDigits)))))
	}
	divisor := abs(price)
	rest := divide(&n, divisor)
	// A power of ten that is left to divide by comes last: being even, its
	// remainder alone tells the sides of one half apart, and what was cut off
	// before matters only exactly there.
	below := false
	for k := -v.shift; k > 0; k -= tick.MaxDigits {
		below = below || rest != 0
		divisor = uint64(tick.Pow10(uint8(min(k, tick.MaxDigits))))
		rest = divide(&n, divisor)
	}
	other := divisor - rest
	if rest > other || rest == other && (below || n[0]&1 == 1) {
		var carry uint64
		n[0], carry = bits.Add64(n[0], 1, 0)
		n[1] += carry
	}
	value := tick.Int128{Hi: int64(n[1]), Lo: n[0]}
	if (size < 0) != (price < 0) {
		value = tick.Int128{}.Sub(value)
	}
	return value
}

func abs(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
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
