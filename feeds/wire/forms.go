package wire

import (
	"encoding/binary"
	"math/bits"

	"tickproc/internal/jsonscan"
	"tickproc/tick"
)

// Arrays reads the arrays that a Shape leaves to the decoder: levels, trades.
type Arrays interface {
	// Array reads the array at i of the text and returns the place behind it, -1
	// where it is anything that the full reading might understand otherwise. What
	// the message says before it has been read into Numbers. field is the part's.
	//
	// hot: per array, 0 allocs.
	Array(field uint8, t []byte, i int) (next int)
}

// MatchArrays is Match for a shape with arrays that own reads.
//
// hot: per frame, 0 allocs.
func (f *Frame) MatchArrays(x *Shape, own Arrays) bool {
	return !f.Scan.Failed() && f.match(x, 0, -1, own) >= 0
}

// Elements reads the array at i of which every element has the shape, and gives
// each to take while Numbers are of it; false refuses it. It returns the place
// behind the array, -1 where an element is otherwise or was refused.
//
// hot: per element, 0 allocs.
func (f *Frame) Elements(x *Shape, t []byte, i int, take func() bool) (next int) {
	next, more := Enter(t, i)
	for more {
		if next = f.match(x, next, -1, nil); next < 0 || !take() {
			return -1
		}
		next, more = Next(t, next)
	}
	return next
}

// Enter stands before an array: it returns the place of its first element, or, of
// an empty array and with more false, the place behind it. -1 is no array.
func Enter(t []byte, i int) (next int, more bool) {
	if uint(i) >= uint(len(t)) || t[i] != '[' {
		return -1, false
	}
	if i++; uint(i) < uint(len(t)) && t[i] == ']' {
		return i + 1, false
	}
	return i, true
}

// Next stands behind an element: it returns the place of the next one, or, with
// more false, the place behind the array. -1 is neither.
func Next(t []byte, i int) (next int, more bool) {
	if uint(i) >= uint(len(t)) || t[i] != ',' && t[i] != ']' {
		return -1, false
	}
	return i + 1, t[i] == ','
}

// Pair reads a level ["61837.63","1.5"] at i, and returns the place behind it; -1
// where it is written otherwise.
func (f *Frame) Pair(t []byte, i int) (l tick.Level, next int) {
	if l.Price, l.Size, next = jsonscan.PairAt(t, i, f.price, f.size); l.Price == 0 {
		return tick.Level{}, -1
	}
	return l, next
}

// TimeAt reads a time in RFC 3339 at i, behind its opening quote, and returns ns
// and the place behind the closing one; -1 where it is written as few are.
func (f *Frame) TimeAt(t []byte, i int) (nanos int64, next int) { return f.day.timeAt(t, i) }

// Word is a text of up to seven bytes as FormWord tells it.
func Word(text string) (word int64) {
	for i := len(text) - 1; i >= 0; i-- {
		word = word<<8 | int64(text[i])
	}
	return word
}

// SideOf tells by a FormWord which side was the aggressor's; not ok: it is neither.
func SideOf(word, buy, sell int64) (flags tick.Flags, ok bool) {
	switch word {
	case buy:
		return 0, true
	case sell:
		return tick.FlagSell, true
	}
	return 0, false
}

// fitsOther is learn's for the forms of this file: whether the value is of the
// form, and where it ends. Values in quotes are read with the closing one.
func fitsOther(p Part, scaled bool) (fits bool, to int) {
	kind, to := p.Value.Kind, int(p.Value.End)
	switch p.Form {
	case FormSame:
		return scaled && kind == jsonscan.String, to
	case FormWord:
		return kind == jsonscan.String && p.Value.End-p.Value.Start <= 7, to + 1
	case FormPassed, FormTime:
		return kind == jsonscan.String, to + 1
	case FormUUID:
		return kind == jsonscan.String && p.Value.End-p.Value.Start == 36, to + 1
	case FormSigned, FormOther:
		return kind == jsonscan.Uint || kind == jsonscan.Number, to
	case FormArray:
		return scaled && kind == jsonscan.Array, to
	case FormRecords:
		return kind == jsonscan.Array, to
	case formBarePrice, formBareSize:
		return scaled && (kind == jsonscan.Uint || kind == jsonscan.Number), to
	}
	return false, to
}

// passedAt returns the place behind a string, -1 where an escape is in it.
func passedAt(t []byte, i int) (next int) {
	if next = jsonscan.Until(t, i, '"'); next < 0 {
		return -1
	}
	return next + 1
}

// wordAt reads a string of up to seven bytes to its closing quote. One with an
// escape is no word that anybody asks for.
func wordAt(t []byte, i int) (word int64, next int) {
	if i < 0 || i > len(t)-8 {
		return 0, -1
	}
	w := binary.LittleEndian.Uint64(t[i : i+8])
	quote := w ^ '"'*0x0101010101010101
	m := (quote - 0x0101010101010101) &^ quote & 0x8080808080808080
	if m == 0 {
		return 0, -1
	}
	n := uint(bits.TrailingZeros64(m)) &^ 7
	return int64(w & (1<<(n&63) - 1)), i + int(n/8) + 1
}

// signedAt reads a whole number of up to 18 digits with or without a sign.
func signedAt(t []byte, i int) (v int64, next int) {
	negative := uint(i) < uint(len(t)) && t[i] == '-'
	if negative {
		i++
	}
	u, next := jsonscan.Digits(t, i)
	if next < 0 || next-i > 18 {
		return 0, -1
	}
	if v = int64(u); negative {
		v = -v
	}
	return v, next
}

// uuidAt reads 20f43950-d8dd-5b31-9112-a178eb6023af and the quote behind it.
func uuidAt(t []byte, i int) (hi, lo int64, next int) {
	if i < 0 || i > len(t)-37 {
		return 0, 0, -1
	}
	u := (*[37]byte)(t[i : i+37])
	if u[8] != '-' || u[13] != '-' || u[18] != '-' || u[23] != '-' || u[36] != '"' {
		return 0, 0, -1
	}
	a, ok1 := hexAt(binary.LittleEndian.Uint64(u[:8]))
	b, ok2 := hexAt(join(u[9:13], u[14:18]))
	c, ok3 := hexAt(join(u[19:23], u[24:28]))
	d, ok4 := hexAt(binary.LittleEndian.Uint64(u[28:36]))
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return 0, 0, -1
	}
	return int64(a<<32 | b), int64(c<<32 | d), i + 37
}

// join is four bytes of text and four more as eight.
func join(a, b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(a)) | uint64(binary.LittleEndian.Uint32(b))<<32
}

// hexAt is the number that eight hexadecimal digits are, the first in the lowest
// byte. Letters are small.
func hexAt(w uint64) (v uint64, ok bool) {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	letter := w >> 6 & ones
	low := w & (0x0f * ones)
	// A digit is 0x30 and 0 to 9, a letter 0x60 and 1 to 6.
	if w != low|0x30*ones+letter*0x30 || (low+0x76*ones+letter*3)&highs != 0 || (low|highs-letter)&highs != highs {
		return 0, false
	}
	v = low + letter*9
	v = (v<<4 | v>>8) & 0x00ff00ff00ff00ff
	v = (v | v>>8) & 0x0000ffff0000ffff
	return uint64(bits.ReverseBytes32(uint32(v | v>>16))), true
}
