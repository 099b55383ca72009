package questdb

import (
	"math/bits"
	"strconv"
	"unsafe"

	"github.com/shopspring/decimal"

	"tickproc/tick"
)

// number is an exact decimal on its way into a column: value / 10^digits, or
// null, or (a VWAP) divided once more by over / 10^overDigits.
type number struct {
	value      tick.Int128
	digits     int
	null       bool
	ratio      bool
	over       tick.Int128
	overDigits int
}

var null = number{null: true}

func scaled(v int64, digits uint8) number {
	return number{value: tick.Int128Of(v), digits: int(digits)}
}

func plain(n tick.Number) number { return scaled(n.Mantissa, n.Digits) }

// times returns n × by exactly, or null where 128 bits do not hold it.
func (n number) times(by tick.Number) number {
	hi, lo, _ := magnitude(n.value)
	wide := bits.Len64(lo)
	if hi != 0 {
		wide = 64 + bits.Len64(hi)
	}
	if wide+bits.Len64(uint64(max(by.Mantissa, -by.Mantissa))) > 127 {
		return null
	}
	return number{value: n.value.Mul(by.Mantissa), digits: n.digits + int(by.Digits)}
}

// float returns n rounded to the nearest float64; a ratio within 2 units in
// the last place.
//
// hot: per number, 0 allocs; n is not null.
func (n number) float(scratch []byte) float64 {
	v := float128(n.value, n.digits, scratch)
	if n.ratio {
		return v / float128(n.over, n.overDigits, scratch)
	}
	return v
}

// appendFloat appends the text of n.float() as QuestDB's client writes it:
// strconv's 'G' with the fewest digits that give the same float64 again.
//
// Most numbers are printed from their integer and are never floats.
//
// hot: per number, 0 allocs; n is not null.
func (n number) appendFloat(dst, scratch []byte) []byte {
	if v := int64(n.value.Lo); !n.ratio && n.value.Hi == v>>63 {
		if text, ok := appendShort(dst, v, n.digits); ok {
			return text
		}
	}
	return strconv.AppendFloat(dst, n.float(scratch), 'G', -1, 64)
}

// Powers of ten that float64 holds exactly.
var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

func float128(x tick.Int128, digits int, scratch []byte) float64 {
	// Both sides exact: one division rounds once.
	if v := int64(x.Lo); x.Hi == v>>63 && v > -1<<53 && v < 1<<53 && digits < len(tens) {
		return float64(v) / tens[digits]
	}
	text := append128(scratch[:0], x, digits)
	f, err := strconv.ParseFloat(view(text), 64)
	if err != nil {
		panic("BUG: own number does not parse: " + string(text))
	}
	return f
}

// appendDecimal appends n as plain decimal text of at most scale decimal
// places. Finer numbers, which only products and ratios are, round half to even.
func (n number) appendDecimal(dst []byte, scale int) []byte {
	if !n.ratio && n.digits <= scale {
		return append128(dst, n.value, n.digits)
	}
	d := decimal.NewFromBigInt(n.value.Big(), -int32(n.digits))
	if n.ratio {
		over := decimal.NewFromBigInt(n.over.Big(), -int32(n.overDigits))
		// The remainder's digits decide a tie; two more places than asked keep them.
		quotient, rest := d.QuoRem(over, int32(scale)+2)
		if !rest.IsZero() && quotient.Shift(int32(scale)+1).IsInteger() {
			// Exactly half by the digits kept, but not in truth: a sticky digit,
			// away from zero as the rest is.
			quotient = quotient.Add(decimal.New(int64(d.Sign()*over.Sign()), -int32(scale)-2))
		}
		d = quotient
	}
	return append(dst, d.RoundBank(int32(scale)).String()...)
}

// append128 appends x / 10^digits as plain decimal text.
func append128(dst []byte, x tick.Int128, digits int) []byte {
	hi, lo, negative := magnitude(x)
	if negative {
		dst = append(dst, '-')
	}
	var text [64]byte // 39 digits, or the point and up to 60 places
	at, places := len(text), 0
	put := func(d byte) {
		if places == digits && digits > 0 {
			at--
			text[at] = '.'
		}
		at--
		text[at] = '0' + d
		places++
	}
	for hi != 0 || lo != 0 || places <= digits {
		// One division of 128 bits yields 19 digits.
		var group uint64
		top := hi / 1e19
		lo, group = bits.Div64(hi%1e19, lo, 1e19)
		hi = top
		for i := 0; i < 19 && (group != 0 || hi != 0 || lo != 0 || places <= digits); i++ {
			put(byte(group % 10))
			group /= 10
		}
	}
	return append(dst, text[at:]...)
}

func magnitude(x tick.Int128) (hi, lo uint64, negative bool) {
	hi, lo = uint64(x.Hi), x.Lo
	if x.Hi >= 0 {
		return hi, lo, false
	}
	lo, borrow := bits.Sub64(0, lo, 0)
	hi, _ = bits.Sub64(0, hi, borrow)
	return hi, lo, true
}

// view lends bytes as a string to a callee that copies it before it returns.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
