package wire

import (
	"bytes"
	"encoding/binary"

	"tickproc/internal/jsonscan"
)

// A Shape is the text of a message with its values taken out. Venues write all
// messages of a kind alike, so that the next one can be read by comparing what
// stands between the values, and nothing of it need be understood:
//
//	{"stream":"ethusdt@trade","data":{"e":"trade","E":1723161255343,"s":"ETHUSDT","t":3735683259,"p":"2683.63",…
//	╰─ text ─╯╰name╯╰───────────── text ─────────────╯╰─ digits ──╯╰text╯╰symbol╯╰text╯╰ digits ╯╰text╯╰price╯╰text…
//
// It is learnt from a message that was read in full. A message that matches has
// the same text, and values of the same form in the same places, and so means
// the same; one that does not is read in full. The stream's name is passed over in
// either way: the symbol says whose message it is.
type Shape struct {
	steps [shapeStepsMax]step
	count int // 0: it knows no message
	// missed counts messages that were read in full.
	missed uint32
}

const shapeStepsMax = 40

// step is up to eight bytes of text and, behind the last ones of a text, the
// value there.
type step struct {
	word, mask uint64 // the eight bytes that end with the text's, and which of them count
	end        uint16 // where they end, counted from the value before
	form       Form   // of the value; formText: the text goes on
	field      uint8  // where its number goes
	digits     uint8  // that a whole number had
}

// shapeTextMax bounds a text between two values, in bytes.
const shapeTextMax = 200

// Form is how a value is written.
type Form uint8

const (
	formText   Form = iota // no value: text goes on
	FormEnd                // of the message
	FormName               // of a stream, up to '@'
	FormSymbol             // in quotes: the instrument
	FormDigits             // a whole number
	FormUnused             // a whole number that nobody wants
	FormPrice              // in quotes, at the instrument's scale
	FormSize
	FormTruth  // true or false
	FormLevels // an array of pairs: bids, then asks
	formStop   // the end of an element; behind it the message goes on

	// Those of forms.go.
	FormSame    // in quotes: the symbol that FormSymbol found
	FormWord    // a string of up to seven bytes, as Word tells them
	FormPassed  // a string that nobody wants
	FormOther   // a number that nobody wants
	FormTime    // in quotes, RFC 3339, in ns
	FormUUID    // in quotes, as two numbers: the second goes behind the first
	FormSigned  // a whole number, maybe below zero
	FormArray   // an array that the decoder reads: see Arrays
	FormRecords // likewise, whose elements tell their own symbols
	formBarePrice
	formBareSize
)

// Part is a value of a message that was read in full.
type Part struct {
	Value jsonscan.Value
	Form  Form
	Field uint8 // where Match puts the number: below FieldsMax
}

// FieldsMax bounds the numbers of a message that has a Shape.
const FieldsMax = 64

// Learn takes the shape of a message whose parts are given, in any order. It
// does so less and less often while messages do not match, and not where a
// value is in another form than the part says, or numbers come before the
// symbol that tells their scale.
func (x *Shape) Learn(text []byte, parts []Part) (learnt bool) {
	return x.due() && x.learn(text, 0, len(text), FormEnd, false, parts)
}

// due counts a message that was read in full, and reports whether its shape is
// to be learnt.
func (x *Shape) due() bool {
	x.missed++
	return x.count == 0 || x.missed&(x.missed-1) == 0
}

// learn takes the shape of what is at at in the text, up to stop: a message or,
// where last is formStop, an element of one. scaled: what is before it tells the
// scale.
func (x *Shape) learn(text []byte, at, stop int, last Form, scaled bool, parts []Part) (learnt bool) {
	Sort(parts)
	x.count = 0
	count := 0
	for i, p := range append(parts, Part{Form: last, Value: jsonscan.Value{Start: int32(stop), End: int32(stop)}}) {
		kind, from, to := p.Value.Kind, int(p.Value.Start), int(p.Value.End)
		fits := true
		switch p.Form {
		case FormSymbol:
			fits, scaled = kind == jsonscan.String, true
		case FormName:
			fits = i == 0 && kind == jsonscan.String
			to = from + max(0, bytes.IndexByte(text[from:to], '@'))
		case FormDigits, FormUnused:
			fits = kind == jsonscan.Uint
		case FormPrice, FormSize:
			fits = scaled && kind == jsonscan.String
			to++ // the closing quote
		case FormTruth:
			fits = kind == jsonscan.True || kind == jsonscan.False
		case FormLevels:
			fits = scaled && kind == jsonscan.Array
		case FormEnd, formStop:
		default:
			fits, to = fitsOther(p, scaled)
		}
		size := from - at
		if !fits || size < 1 || size > shapeTextMax || at == 0 && size < 8 || count+(size+7)/8 > shapeStepsMax {
			return false
		}
		for end := 8; ; end += 8 {
			// The last word ends with the text, and so may reach back into what was
			// compared before, or into the value before, which does not count.
			last := end >= size
			s := step{mask: ^uint64(0), end: uint16(min(end, size))}
			if size < 8 {
				s.mask <<= 8 * (8 - size)
			}
			s.word = binary.LittleEndian.Uint64(text[at+int(s.end)-8:]) & s.mask
			if last {
				s.form, s.field, s.digits = p.Form, p.Field%FieldsMax, uint8(min(to-from, 255))
			}
			x.steps[count] = s
			count++
			if last {
				break
			}
		}
		at = to
	}
	x.count = count
	return true
}

// Sort brings parts into the order of the text. There are few.
func Sort(parts []Part) {
	for i := range parts {
		for j := i; j > 0 && parts[j].Value.Start < parts[j-1].Value.Start; j-- {
			parts[j], parts[j-1] = parts[j-1], parts[j]
		}
	}
}

// Match reads the frame by a shape into Numbers and, what levels there are,
// Depth. Where the shape begins with a name, at is where that ends. False leaves
// a frame that is yet to be read in full: nothing was said of it.
//
// hot: per frame, 0 allocs.
func (f *Frame) Match(x *Shape, at int) bool {
	return !f.Scan.Failed() && f.match(x, 0, at, nil) >= 0
}

// match returns where what matched ends, -1 where it does not; own reads arrays
// of FormArray.
func (f *Frame) match(x *Shape, i, at int, own Arrays) int {
	t, sides := f.Scan.Text(), 0
	for k := range x.steps[:x.count] {
		s := &x.steps[k]
		end := i + int(s.end)
		// The first text has eight bytes, so that end is not below. The compiler does
		// not know.
		if end < 8 || end > len(t) || (binary.LittleEndian.Uint64(t[end-8:end])^s.word)&s.mask != 0 {
			return -1
		}
		if s.form == formText {
			continue
		}
		next := -1
		switch number := &f.Numbers[s.field%FieldsMax]; s.form {
		case FormDigits:
			*number, next = digitsLike(t, end, int(s.digits))
		case FormUnused:
			if _, _, next = digitsAt(t, end, int(s.digits)); next < 0 {
				_, next = jsonscan.Digits(t, end)
			}
		case FormPrice:
			*number, next = jsonscan.Fixed(t, end, f.price)
		case FormSize:
			*number, next = jsonscan.Fixed(t, end, f.size)
		case FormName:
			next = at
		case FormSymbol:
			next = f.knownAt(t, end)
		case FormTruth:
			*number, next = truth(t, end)
		case FormLevels:
			if sides == 0 {
				f.Depth.Begin(f.Out, len(t)-end)
			} else {
				f.Depth.Asks()
			}
			sides++
			next = f.plainSide(t, end)
		case FormEnd:
			if end != len(t) {
				return -1
			}
			return end
		case formStop:
			return end
		case FormArray, FormRecords:
			next = own.Array(s.field, t, end)
		case FormSame:
			next = f.table.LastAt(t, end)
		case FormWord:
			*number, next = wordAt(t, end)
		case FormPassed:
			next = passedAt(t, end)
		case FormOther:
			next = jsonscan.NumberEnd(t, end)
		case FormTime:
			*number, next = f.day.timeAt(t, end)
		case FormUUID:
			*number, f.Numbers[(s.field+1)%FieldsMax], next = uuidAt(t, end)
		case FormSigned:
			*number, next = signedAt(t, end)
		case formBarePrice:
			*number, next = jsonscan.Bare(t, end, f.price)
		case formBareSize:
			*number, next = jsonscan.Bare(t, end, f.size)
		}
		if next < end {
			return -1
		}
		i = next
	}
	return -1
}

// digitsLike reads a whole number, which likely has as many digits as another.
func digitsLike(t []byte, i, n int) (v int64, next int) {
	first, last, next := digitsAt(t, i, n)
	if next < 0 {
		u, next := jsonscan.Digits(t, i)
		return int64(u), next
	}
	// Two words that overlap, of which the first gives the digits before the last eight.
	return int64(jsonscan.EightDigits(first<<(8*uint(16-n)&63))*1e8 + jsonscan.EightDigits(last)), next
}

// digitsAt returns the first and the last eight bytes of a whole number of
// exactly n digits, 9 to 15 of them, and where it ends; -1 if there is none.
func digitsAt(t []byte, i, n int) (first, last uint64, next int) {
	next = i + n
	if n < 9 || n > 15 || i < 0 || next < 8 || next >= len(t) || i > len(t)-8 {
		return 0, 0, -1
	}
	first, last = binary.LittleEndian.Uint64(t[i:i+8]), binary.LittleEndian.Uint64(t[next-8:next])
	if !jsonscan.AllDigits(first) || !jsonscan.AllDigits(last) || byte(first) == '0' || t[next]-'0' <= 9 {
		return 0, 0, -1
	}
	return first, last, next
}

// knownAt finds the instrument whose symbol is at i, and returns the place of
// the quote behind it; -1 if nobody knows it.
func (f *Frame) knownAt(t []byte, i int) (next int) {
	if next = f.table.LastAt(t, i); next < 0 {
		if next = jsonscan.Until(t, i, '"'); next < 0 || f.table.Known(t[i:next]) == nil {
			return -1
		}
	}
	f.entry = f.table.Last()
	f.scale()
	return next
}

// truth reads true as 1, false as 0.
func truth(t []byte, i int) (v int64, next int) {
	switch {
	case i <= len(t)-4 && string(t[i:i+4]) == "true":
		return 1, i + 4
	case i <= len(t)-5 && string(t[i:i+5]) == "false":
		return 0, i + 5
	}
	return 0, -1
}

// plainSide reads an array of plain levels, -1 where one is otherwise.
func (f *Frame) plainSide(t []byte, i int) (next int) {
	if i > len(t)-2 || t[i] != '[' {
		return -1
	}
	if t[i+1] == ']' {
		return i + 2
	}
	// Behind a comma another level must follow.
	if next = f.plainLevels(t, i+1); next >= len(t) || t[next] != ']' || t[next-1] != ']' {
		return -1
	}
	return next + 1
}
