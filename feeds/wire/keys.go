package wire

import (
	"tickproc/internal/jsonscan"
)

// Keys say how those values of a message, or of an element of an array, are
// written that differ from one to the next; all others are text. The name of a
// value is that of its keys from the outside to the inside, with dots between;
// objects in arrays that are no FormArray themselves have no name of their own:
//
//	{"arg":{"instId":"BTC-USDT"},"data":[{"asks":[…],"ts":"1723161255343"}]}
//	        ╰ arg.instId ╯                ╰ data.asks ╯╰ data.ts ╯
//
// A venue that begins to write a number in quotes, or no longer does, is
// followed: FormPrice and FormSize may stand bare, FormDigits in quotes. FormTopic
// is a symbol behind the last dot of a string, FormID a number or a UUID, which has
// the field behind its own too, FormUnused any string, number or truth. Of two
// FormLevels that of the smaller field must stand first.
type Keys map[string]Key

// Key is one of them.
type Key struct {
	Form  Form
	Field uint8
}

// Forms of Keys alone: what is learnt is one of the others.
const (
	FormTopic Form = iota + 128
	FormID
)

// Message is a Shape with the fields that the message had from which it is.
type Message struct {
	Shape
	fields uint64
	// Of the message that was learnt: its last array, and whether it has a symbol
	// outside of it.
	array  jsonscan.Value
	symbol bool
}

// Has reports whether messages of this shape have a field.
func (m *Message) Has(field uint8) bool { return m.fields>>field&1 != 0 }

// LearnKeys is Learn of all of the text, a JSON value that was read in full and
// is good.
func (m *Message) LearnKeys(text []byte, keys Keys) (learnt bool) {
	if !m.due() {
		return false
	}
	l := learner{keys: keys}
	l.scan.Reset(text)
	l.value(l.name[:0])
	learnt = l.scan.End() && !l.bad && m.learn(text, 0, len(text), FormEnd, false, l.parts[:l.count])
	m.fields, m.array, m.symbol = l.fields, l.array, l.symbol
	return learnt
}

// LearnElements is LearnKeys for a message with an array: it also takes the shape
// of the array's first element.
func (m *Message) LearnElements(text []byte, keys Keys, element *Message, elementKeys Keys) (learnt bool) {
	return m.LearnKeys(text, keys) && element.learnElement(text, m.array, m.symbol, elementKeys)
}

func (m *Message) learnElement(text []byte, array jsonscan.Value, scaled bool, keys Keys) (learnt bool) {
	l := learner{keys: keys}
	l.scan.Reset(text)
	l.scan.Seek(array)
	if !l.scan.Array() || l.scan.Peek() != jsonscan.Object {
		return false
	}
	from := l.scan.At()
	l.value(l.name[:0])
	learnt = !l.scan.Failed() && !l.bad && m.learn(text, from, l.scan.At(), formStop, scaled, l.parts[:l.count])
	m.fields = l.fields
	return learnt
}

// learner goes through a message that is good.
type learner struct {
	scan   jsonscan.Scanner
	keys   Keys
	bad    bool // a value is in no form that a shape has
	fields uint64
	array  jsonscan.Value
	symbol bool
	parts  [shapeStepsMax]Part
	count  int // of the parts that were found
	name   [64]byte
}

// value goes through the value ahead, which has a name.
func (l *learner) value(name []byte) {
	s := &l.scan
	if key, named := l.keys[string(name)]; named && len(name) > 0 {
		l.part(key, s.Value())
		return
	}
	switch s.Peek() {
	case jsonscan.Object:
		for more := s.Object(); more; more = s.Next('}') {
			inner := name
			if len(name) > 0 {
				inner = append(inner, '.')
			}
			inner = append(inner, s.Key()...)
			l.value(inner)
		}
	case jsonscan.Array:
		for more := s.Array(); more; more = s.Next(']') {
			l.value(name)
		}
	default:
		s.Value()
	}
}

// part adds a value in the form in which it is written.
func (l *learner) part(key Key, v jsonscan.Value) {
	text := l.scan.Bytes(v)
	form, quoted, bare := key.Form, v.Kind == jsonscan.String, v.Kind == jsonscan.Uint || v.Kind == jsonscan.Number
	if form == FormID {
		if form = FormDigits; len(text) == 36 {
			form = FormUUID
		}
	}
	switch {
	case form == FormTopic && quoted:
		form = FormSymbol
		for i := v.End - 1; i >= v.Start; i-- {
			if text[i-v.Start] == '.' {
				v.Start = i + 1
				break
			}
		}
	case form == FormLevels && l.count > 0 && l.parts[l.count-1].Form == FormLevels && l.parts[l.count-1].Field > key.Field:
		l.bad = true // asks would be taken for bids
	case form == FormArray || form == FormRecords:
		l.array = v
	case form == FormDigits && quoted:
		if _, next := jsonscan.Digits(l.scan.Text(), int(v.Start)); next != int(v.End) {
			l.bad = true
		}
		v.Kind = jsonscan.Uint
	case form == FormPrice && bare:
		form = formBarePrice
	case form == FormSize && bare:
		form = formBareSize
	case form == FormUnused && quoted:
		form = FormPassed
	case form == FormUnused && bare && (v.Kind == jsonscan.Number || v.End-v.Start < 9):
		form = FormOther
	case form == FormUnused && !bare:
		form = FormTruth
	}
	if l.count == len(l.parts)-1 || form == FormSymbol && l.symbol {
		l.bad = true
		return
	}
	l.symbol = l.symbol || form == FormSymbol
	if key.Form != FormUnused && form != FormSymbol && form != FormSame {
		bit := uint64(1) << (key.Field % FieldsMax)
		// Two values of one field: the full reading may have taken either.
		l.bad = l.bad || l.fields&bit != 0
		l.fields |= bit
		if form == FormUUID {
			l.fields |= bit << 1
		}
	}
	l.parts[l.count] = Part{Value: v, Form: form, Field: key.Field}
	l.count++
}
