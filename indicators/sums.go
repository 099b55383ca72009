package indicators

import (
	"fmt"
	"math/bits"

	"tickproc/tick"
)

// sums are exact totals of trades; VWAP is notional / volume. Being integers,
// they can be taken back by subtraction without drift.
type sums struct {
	volume   tick.Int128 // size digits
	notional tick.Int128 // price digits + size digits: Σ price × size, no multiplier
	trades   uint64
}

func (s *sums) trade(price, size int64) {
	s.volume = s.volume.Add(tick.Int128Of(size))
	s.notional = s.notional.Add(tick.Mul64(price, size))
	s.trades++
}

func (s *sums) add(o *sums) {
	s.volume = s.volume.Add(o.volume)
	s.notional = s.notional.Add(o.notional)
	s.trades += o.trades
}

func (s *sums) sub(o *sums) {
	s.volume = s.volume.Sub(o.volume)
	s.notional = s.notional.Sub(o.notional)
	s.trades -= o.trades
}

// scaled returns the sums at the finer scale, or tick.ErrRange.
func (s sums) scaled(priceFactor, sizeFactor int64) (sums, error) {
	volume, err := scaled(s.volume, sizeFactor)
	if err != nil {
		return s, err
	}
	notional, err := scaled(s.notional, sizeFactor)
	if err == nil {
		notional, err = scaled(notional, priceFactor)
	}
	if err != nil {
		return s, err
	}
	return sums{volume, notional, s.trades}, nil
}

// scaled returns x × factor, or tick.ErrRange where 128 bits do not hold it.
func scaled(x tick.Int128, factor int64) (tick.Int128, error) {
	magnitude := x
	if x.Hi < 0 {
		magnitude = tick.Int128{}.Sub(x)
	}
	carry, _ := bits.Mul64(magnitude.Lo, uint64(factor))
	over, high := bits.Mul64(uint64(magnitude.Hi), uint64(factor))
	high, more := bits.Add64(high, carry, 0)
	if over != 0 || more != 0 || high > 1<<63-1 {
		return x, tick.ErrRange
	}
	return x.Mul(factor), nil
}

// digitsOf returns k of the factor 10^k.
func digitsOf(factor int64) int {
	for k := uint8(0); k <= tick.MaxDigits; k++ {
		if tick.Pow10(k) == factor {
			return int(k)
		}
	}
	panic(fmt.Sprintf("BUG: rescale by %d, which is no power of ten", factor))
}
