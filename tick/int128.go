package tick

import (
	"math/big"
	"math/bits"

	"github.com/shopspring/decimal"
)

// Int128 is a signed 128-bit integer in two's complement. Sums of volume and
// notional are held in it, so that they are exact and do not depend on the
// order of trades.
type Int128 struct {
	Hi int64
	Lo uint64
}

// Int128Of widens v.
func Int128Of(v int64) Int128 { return Int128{Hi: v >> 63, Lo: uint64(v)} }

// Mul64 returns a*b exactly.
func Mul64(a, b int64) Int128 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	h := int64(hi)
	if a < 0 {
		h -= b
	}
	if b < 0 {
		h -= a
	}
	return Int128{Hi: h, Lo: lo}
}

// Add returns x+y; overflow wraps, which 10^38 keeps out of reach of sums.
func (x Int128) Add(y Int128) Int128 {
	lo, carry := bits.Add64(x.Lo, y.Lo, 0)
	return Int128{Hi: x.Hi + y.Hi + int64(carry), Lo: lo}
}

// Sub returns x-y.
func (x Int128) Sub(y Int128) Int128 {
	lo, borrow := bits.Sub64(x.Lo, y.Lo, 0)
	return Int128{Hi: x.Hi - y.Hi - int64(borrow), Lo: lo}
}

// Mul returns x*by for a factor that keeps the product in range.
func (x Int128) Mul(by int64) Int128 {
	hi, lo := bits.Mul64(x.Lo, uint64(by))
	h := int64(hi) + x.Hi*by
	if by < 0 {
		h -= int64(x.Lo)
	}
	return Int128{Hi: h, Lo: lo}
}

// IsZero reports x == 0.
func (x Int128) IsZero() bool { return x.Hi == 0 && x.Lo == 0 }

// Big returns x as a big integer.
func (x Int128) Big() *big.Int {
	b := new(big.Int).SetInt64(x.Hi)
	b.Lsh(b, 64)
	return b.Or(b, new(big.Int).SetUint64(x.Lo))
}

// Decimal returns x / 10^digits exactly.
func (x Int128) Decimal(digits uint8) decimal.Decimal {
	return decimal.NewFromBigInt(x.Big(), -int32(digits))
}
