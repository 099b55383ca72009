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
// the same; one that does not is read in full.
type Shape struct {
	texts [shapeTextMax]byte
	steps [shapeStepsMax]step
	count int // 0: it knows no message
	// missed counts messages that were read in full.
	missed uint32
}

const (
	shapeTextMax  = 512
	shapeStepsMax = 16
)

// step is a text and the value behind it.
type step struct {
	head, mask uint64 // the text's first eight bytes; fewer where it has fewer
	from, to   uint16 // the text in texts
	form       Form
	field      uint8
}

// Form is how a value is written.
type Form uint8

const (
	FormEnd    Form = iota // of the message
	FormName               // of a stream, up to '@'
	FormSymbol             // in quotes: the instrument
	FormDigits             // a whole number
	FormPrice              // in quotes, at the instrument's scale
	FormSize
	FormTruth  // true or false
	FormLevels // an array of pairs: bids, then asks
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
	if x.missed++; x.count > 0 && x.missed&(x.missed-1) != 0 {
		return false
	}
	// In the order of the text. There are few.
	for i := range parts {
		for j := i; j > 0 && parts[j].Value.Start < parts[j-1].Value.Start; j-- {
			parts[j], parts[j-1] = parts[j-1], parts[j]
		}
	}
	x.count = 0
	scaled, at, used := false, 0, 0
	for i := 0; i <= len(parts); i++ {
		p := Part{Value: jsonscan.Value{Kind: jsonscan.Invalid, Start: int32(len(text)), End: int32(len(text))}}
		if i < len(parts) {
			p = parts[i]
		}
		from, to := int(p.Value.Start), int(p.Value.End)
		fits := from >= at && i < shapeStepsMax && used+from-at <= shapeTextMax
		switch p.Form {
		case FormSymbol:
			fits = fits && p.Value.Kind == jsonscan.String
			scaled = true
		case FormName:
			name := text[from:to]
			at := bytes.IndexByte(name, '@')
			fits = fits && p.Value.Kind == jsonscan.String && at >= 0
			to = from + at
		case FormDigits:
			fits = fits && p.Value.Kind == jsonscan.Uint
		case FormPrice, FormSize:
			fits = fits && p.Value.Kind == jsonscan.String && scaled
			to++ // the closing quote
		case FormTruth:
			fits = fits && (p.Value.Kind == jsonscan.True || p.Value.Kind == jsonscan.False)
		case FormLevels:
			fits = fits && p.Value.Kind == jsonscan.Array && scaled
		}
		if !fits {
			return false
		}
		s := &x.steps[i]
		*s = step{from: uint16(used), form: p.Form, field: p.Field}
		used += copy(x.texts[used:], text[at:from])
		s.to = uint16(used)
		var head [8]byte
		n := copy(head[:], text[at:from])
		s.head, s.mask = binary.LittleEndian.Uint64(head[:]), ^uint64(0)
		if n < 8 {
			s.mask = 1<<(8*n) - 1
		}
		at = to
	}
	x.count = len(parts) + 1
	return true
}

// Match reads the frame by a shape into Numbers and, what levels there are,
// Depth. False leaves a frame that is yet to be read in full: nothing was said
// of it.
//
// hot: per frame, 0 allocs.
func (f *Frame) Match(x *Shape) bool {
	if x.count == 0 || len(f.finer) > 0 || f.Scan.Failed() {
		return false
	}
	t, i, sides := f.Scan.Text(), 0, 0
	for k := range x.steps[:x.count] {
		s := &x.steps[k]
		n := int(s.to - s.from)
		switch {
		case i <= len(t)-8 && i >= 0:
			if (binary.LittleEndian.Uint64(t[i:i+8])^s.head)&s.mask != 0 {
				return false
			}
			if n > 8 && (n > len(t)-i || string(t[i+8:i+n]) != string(x.texts[s.from+8:s.to])) {
				return false
			}
		case n > len(t)-i || string(t[i:i+n]) != string(x.texts[s.from:s.to]):
			return false
		}
		i += n
		next := -1
		switch s.form {
		case FormDigits:
			var v uint64
			v, next = jsonscan.Digits(t, i)
			f.Numbers[s.field%FieldsMax] = int64(v)
		case FormPrice:
			f.Numbers[s.field%FieldsMax], next = jsonscan.Fixed(t, i, f.price)
		case FormSize:
			f.Numbers[s.field%FieldsMax], next = jsonscan.Fixed(t, i, f.size)
		case FormName:
			next = jsonscan.Until(t, i, '@')
		case FormSymbol:
			if next = jsonscan.Until(t, i, '"'); next < 0 || !f.Known(t[i:next]) {
				f.entry = nil
				return false
			}
		case FormTruth:
			f.Numbers[s.field%FieldsMax], next = truth(t, i)
		case FormLevels:
			if sides == 0 {
				f.Depth.Begin(f.Out, len(t)-i)
			} else {
				f.Depth.Asks()
			}
			sides++
			next = f.plainSide(t, i)
		case FormEnd:
			return i == len(t)
		}
		if next < 0 {
			f.entry = nil
			return false
		}
		i = next
	}
	return false
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
	if next = f.plainLevels(t, i+1); next >= len(t) || t[next] != ']' {
		return -1
	}
	return next + 1
}
