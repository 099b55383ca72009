package indicators

import "tickproc/tick"

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

const shiftMax = tick.MulDivShiftMax

func newInverse(contract tick.Number, priceDigits, sizeDigits uint8) inverse {
	return inverse{contract: contract.Mantissa,
		shift: tick.InverseDigits + int(priceDigits) - int(sizeDigits) - int(contract.Digits)}
}

// base returns the value of a trade; 0 at price 0, where there is none.
func (v *inverse) base(price, size int64) tick.Int128 {
	if price == 0 {
		return tick.Int128{}
	}
	hi, lo, _ := tick.MulDiv(abs(size), abs(v.contract), v.shift, abs(price))
	value := tick.Int128{Hi: int64(hi), Lo: lo}
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
