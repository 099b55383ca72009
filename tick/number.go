package tick

import (
	"bytes"
	"errors"
	"math"
	"slices"

	"github.com/shopspring/decimal"

	"tickproc/internal/digits"
)

// MaxDigits is the finest scale: 10^18 still fits int64.
const MaxDigits = 18

var (
	// ErrNumber says that the text is no finite decimal number.
	ErrNumber = errors.New("not a decimal number")
	// ErrFiner says that the number has more decimal places than the scale.
	ErrFiner = errors.New("number finer than the scale")
	// ErrRange says that the number does not fit int64 at its scale.
	ErrRange = errors.New("number out of range")
)

var pow10 = [MaxDigits + 1]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// Pow10 returns 10^n for n up to MaxDigits.
func Pow10(n uint8) int64 { return pow10[n] }

// Number is Mantissa / 10^Digits: a decimal outside the hot path.
type Number struct {
	Mantissa int64
	Digits   uint8
}

// ParseScaled reads plain decimal text ("61837.63000000") as an integer with
// the given digits. Zeros beyond them do not count; other digits beyond them
// are ErrFiner. Text with an exponent, or beyond int64, takes ParseNumber's
// slower way with the same result.
//
// hot: per number, 0 allocs.
func ParseScaled(text []byte, digits uint8) (int64, error) {
	if len(text) == 0 || len(text) > 40 {
		return parseScaledSlow(text, digits)
	}
	i, negative := 0, false
	if text[0] == '-' {
		i, negative = 1, true
	}
	var v uint64
	start := i
	for i < len(text) && text[i]-'0' <= 9 {
		v = v*10 + uint64(text[i]-'0')
		i++
	}
	if i == start || i-start > 18 {
		return parseScaledSlow(text, digits)
	}
	left := int(digits)
	if i < len(text) {
		if text[i] != '.' || i+1 == len(text) {
			return parseScaledSlow(text, digits)
		}
		i++
		for i < len(text) && left > 0 && text[i]-'0' <= 9 {
			if v > math.MaxInt64/10 {
				return parseScaledSlow(text, digits)
			}
			v = v*10 + uint64(text[i]-'0')
			left--
			i++
		}
		for i < len(text) && text[i] == '0' {
			i++
		}
		if i < len(text) {
			return parseScaledSlow(text, digits)
		}
	}
	p := uint64(pow10[left])
	if v != 0 && v > math.MaxInt64/p {
		return 0, ErrRange
	}
	v *= p
	if negative {
		return -int64(v), nil
	}
	return int64(v), nil
}

func parseScaledSlow(text []byte, digits uint8) (int64, error) {
	n, err := ParseNumber(text)
	if err != nil {
		return 0, err
	}
	return n.Scaled(digits)
}

// maxNumberText bounds what ParseNumber reads: no venue writes longer numbers.
const maxNumberText = 128

// ParseNumber reads a JSON-style decimal, with exponent or without, and strips
// trailing zeros after the point. -0 is 0.
func ParseNumber(text []byte) (Number, error) {
	if len(text) > maxNumberText {
		return Number{}, ErrRange
	}
	i, negative := 0, false
	if len(text) > 0 && text[0] == '-' {
		i, negative = 1, true
	}
	var mantissa uint64
	exponent, digits, zeros := 0, 0, 0
	overflow := false
	put := func(d byte) {
		if d == 0 {
			zeros++
			return
		}
		for ; zeros > 0; zeros-- {
			if mantissa > math.MaxInt64/10 {
				overflow = true
			}
			mantissa *= 10
		}
		if mantissa > (math.MaxInt64-uint64(d))/10 {
			overflow = true
		}
		mantissa = mantissa*10 + uint64(d)
	}
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		put(text[i] - '0')
		digits++
	}
	if digits == 0 {
		return Number{}, ErrNumber
	}
	if i < len(text) && text[i] == '.' {
		i++
		from := i
		for ; i < len(text) && text[i]-'0' <= 9; i++ {
			put(text[i] - '0')
			exponent--
		}
		if i == from {
			return Number{}, ErrNumber
		}
	}
	exponent += zeros // zeros that were held back scale the mantissa
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		i++
		sign := 1
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			if text[i] == '-' {
				sign = -1
			}
			i++
		}
		from, e := i, 0
		for ; i < len(text) && text[i]-'0' <= 9; i++ {
			if e < 1000 {
				e = e*10 + int(text[i]-'0')
			}
		}
		if i == from {
			return Number{}, ErrNumber
		}
		exponent += sign * e
	}
	if i != len(text) {
		return Number{}, ErrNumber
	}
	if overflow {
		return Number{}, ErrRange
	}
	if mantissa == 0 {
		return Number{}, nil
	}
	if exponent < -MaxDigits || exponent > MaxDigits {
		return Number{}, ErrRange
	}
	if exponent > 0 {
		if mantissa > uint64(math.MaxInt64/pow10[exponent]) {
			return Number{}, ErrRange
		}
		mantissa *= uint64(pow10[exponent])
		exponent = 0
	}
	v := int64(mantissa)
	if negative {
		v = -v
	}
	return Number{Mantissa: v, Digits: uint8(-exponent)}, nil
}

// Scaled returns n as an integer with the given digits.
func (n Number) Scaled(digits uint8) (int64, error) {
	if n.Digits > digits {
		return 0, ErrFiner
	}
	return MulExact(n.Mantissa, pow10[digits-n.Digits])
}

// MulExact multiplies, or returns ErrRange.
func MulExact(v, by int64) (int64, error) {
	p := v * by
	if v != 0 && (p/v != by || (v == -1 && by == math.MinInt64)) {
		return 0, ErrRange
	}
	return p, nil
}

// AppendScaled appends v / 10^places as plain decimal text with exactly that
// many decimal places.
func AppendScaled(dst []byte, v int64, places uint8) []byte {
	u := uint64(v)
	if v < 0 {
		dst = append(dst, '-')
		u = -u
	}
	at := len(dst)
	dst = digits.AppendUint(dst, u)
	if missing := int(places) + 1 - (len(dst) - at); missing > 0 {
		dst = slices.Insert(dst, at, zeros[:missing]...)
	}
	if places > 0 {
		dst = append(dst, 0)
		point := len(dst) - 1 - int(places)
		copy(dst[point+1:], dst[point:])
		dst[point] = '.'
	}
	return dst
}

var zeros = bytes.Repeat([]byte{'0'}, 256) // as many as may be asked for

// FormatScaled is AppendScaled as a string.
func FormatScaled(v int64, digits uint8) string { return string(AppendScaled(nil, v, digits)) }

// String writes n as plain decimal text.
func (n Number) String() string { return FormatScaled(n.Mantissa, n.Digits) }

// Decimal returns n exactly.
func (n Number) Decimal() decimal.Decimal { return decimal.New(n.Mantissa, -int32(n.Digits)) }

// NumberOf returns d exactly, or ErrRange, ErrFiner where a Number cannot hold it.
func NumberOf(d decimal.Decimal) (Number, error) {
	exponent := d.Exponent()
	coefficient := d.Coefficient()
	if !coefficient.IsInt64() {
		return Number{}, ErrRange
	}
	m := coefficient.Int64()
	for m != 0 && exponent < 0 && m%10 == 0 {
		m, exponent = m/10, exponent+1
	}
	switch {
	case m == 0:
		return Number{}, nil
	case exponent < -MaxDigits:
		return Number{}, ErrFiner
	case exponent > MaxDigits:
		return Number{}, ErrRange
	case exponent > 0:
		v, err := MulExact(m, pow10[exponent])
		return Number{Mantissa: v}, err
	}
	return Number{Mantissa: m, Digits: uint8(-exponent)}, nil
}
