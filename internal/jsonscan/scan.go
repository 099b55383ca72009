// Package jsonscan reads JSON where it lies: one pass from left to right,
// nothing allocated, nothing built.
//
//	{"e":"trade","p":"61837.63","x":{…}}
//	 └ Key ┘ └Value┘          └ Skip ┘     Object … Next('}') … End
//
// A Scanner is a position in a text. A member loop reads
//
//	for more := s.Object(); more; more = s.Next('}') {
//		switch key := s.Key(); string(key) { …  default: s.Skip() }
//	}
//	if !s.End() { the text is broken, at s.FailedAt() }
//
// A failed read moves the position to the end of the text, where every later
// read fails too: so loops end by themselves, and one question at the end is
// enough. The text belongs to the caller; what is returned points into it.
//
// The scanner accepts exactly what encoding/json accepts, except values nested
// deeper than MaxDepth and texts of 2 GiB and more.
package jsonscan

import "math"

// Scanner is a position in a JSON text. The zero Scanner has failed; Reset
// gives it a text. owner: one goroutine.
type Scanner struct {
	text     []byte
	at       int
	failed   bool
	failedAt int
}

// Kind says what a value is.
type Kind uint8

const (
	Invalid Kind = iota
	Object
	Array
	String
	Uint   // a whole number of up to 19 digits without sign, fraction and exponent
	Number // any other number
	True
	False
	Null
)

// Value is where a value lies in the text. Of a string it is what stands
// between the quotes, escapes as written.
type Value struct {
	Kind       Kind
	Start, End int32
	Uint       uint64 // of Kind Uint
}

// Reset starts over with a text.
func (s *Scanner) Reset(text []byte) {
	s.text, s.at, s.failed, s.failedAt = text, 0, false, 0
	if len(text) > math.MaxInt32 {
		s.Fail()
	}
}

// Seek continues at the start of a value that was skipped before.
func (s *Scanner) Seek(v Value) { s.at = int(v.Start) }

// At is the position in bytes.
func (s *Scanner) At() int { return s.at }

// Text is the text, from its beginning.
func (s *Scanner) Text() []byte { return s.text }

// Move continues at a position that the caller found by himself.
func (s *Scanner) Move(at int) { s.at = at }

// Left is the number of bytes not read yet.
func (s *Scanner) Left() int { return len(s.text) - s.at }

// Size is the length of the text in bytes.
func (s *Scanner) Size() int { return len(s.text) }

// Fail refuses the text at this place: every later read fails.
func (s *Scanner) Fail() {
	if !s.failed {
		s.failed, s.failedAt = true, s.at
	}
	s.at = len(s.text)
}

// Failed reports whether a read failed.
func (s *Scanner) Failed() bool { return s.failed }

// FailedAt is the offset in bytes of the first failure.
func (s *Scanner) FailedAt() int { return s.failedAt }

// Bytes returns the text of a value.
func (s *Scanner) Bytes(v Value) []byte { return s.text[v.Start:v.End] }

// End reports whether all reads succeeded and only white space is left.
func (s *Scanner) End() bool {
	if s.peek(); s.at < len(s.text) {
		s.Fail()
	}
	return !s.failed
}

// Object enters an object and reports whether a member follows; an empty one
// is left at once.
func (s *Scanner) Object() bool { return s.open('{', '}') }

// Array enters an array and reports whether an element follows; an empty one
// is left at once.
func (s *Scanner) Array() bool { return s.open('[', ']') }

func (s *Scanner) open(opening, closing byte) bool {
	if s.peek() != opening {
		s.Fail()
		return false
	}
	s.at++
	if s.peek() == closing {
		s.at++
		return false
	}
	return true
}

// Next stands behind a member or element: it reports whether another follows,
// or leaves the object or array that closing ends.
func (s *Scanner) Next(closing byte) bool {
	switch s.peek() {
	case ',':
		s.at++
		return true
	case closing:
		s.at++
	default:
		s.Fail()
	}
	return false
}

// Peek tells the kind of the value ahead without reading it; a number is
// Number here.
func (s *Scanner) Peek() Kind {
	switch c := s.peek(); c {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't':
		return True
	case 'f':
		return False
	case 'n':
		return Null
	default:
		if c-'0' <= 9 || c == '-' {
			return Number
		}
	}
	return Invalid
}

// Key reads a member's key and its colon. Escapes stay as written: such a key
// equals no plain one.
//
// hot: per member, 0 allocs.
func (s *Scanner) Key() []byte {
	// Venues that count their bytes use keys of one letter.
	if i := s.at; i+4 <= len(s.text) {
		t := s.text[i : i+4 : i+4]
		if c := t[1]; t[0] == '"' && t[2] == '"' && t[3] == ':' && c != '\\' && c != '"' && c >= ' ' {
			s.at = i + 4
			return t[1:2]
		}
	}
	if s.peek() != '"' {
		s.Fail()
		return nil
	}
	v := s.string()
	if s.peek() != ':' {
		s.Fail()
		return nil
	}
	s.at++
	return s.text[v.Start:v.End]
}

// Value reads the next value; objects and arrays are skipped as by Skip.
//
// hot: per member, 0 allocs.
func (s *Scanner) Value() Value {
	switch c := s.peek(); {
	case c == '"':
		return s.string()
	case c-'0' <= 9 || c == '-':
		return s.number()
	case c == '{':
		return s.container(Object)
	case c == '[':
		return s.container(Array)
	case c == 't':
		return s.literal("true", True)
	case c == 'f':
		return s.literal("false", False)
	case c == 'n':
		return s.literal("null", Null)
	}
	s.Fail()
	return Value{}
}

func (s *Scanner) container(k Kind) Value {
	start := s.at
	s.Skip()
	return Value{Kind: k, Start: int32(start), End: int32(s.at)}
}

func (s *Scanner) literal(word string, k Kind) Value {
	start, end := s.at, s.at+len(word)
	if end > len(s.text) || string(s.text[start:end]) != word {
		s.Fail()
		return Value{}
	}
	s.at = end
	return Value{Kind: k, Start: int32(start), End: int32(end)}
}

// MaxDepth bounds how deep a skipped value may be nested; no venue comes near it.
const MaxDepth = 32

// Skip reads past the next value, whatever it is.
func (s *Scanner) Skip() {
	var objects uint64 // one bit a level: an object, else an array
	depth := 0
	for {
		switch c := s.peek(); c {
		case '{', '[':
			if depth == MaxDepth {
				s.Fail()
				return
			}
			depth++
			objects <<= 1
			if c == '{' {
				objects |= 1
				if s.Object() {
					s.Key()
					continue
				}
			} else if s.Array() {
				continue
			}
			depth--
			objects >>= 1
		default:
			s.Value()
		}
		// A value ended; so may the containers around it.
		for depth > 0 {
			if objects&1 == 1 {
				if s.Next('}') {
					s.Key()
					break
				}
			} else if s.Next(']') {
				break
			}
			depth--
			objects >>= 1
		}
		if depth == 0 {
			return
		}
	}
}

// peek returns the next byte that is no white space, 0 at the end.
func (s *Scanner) peek() byte {
	if s.at < len(s.text) && s.text[s.at] > ' ' {
		return s.text[s.at]
	}
	return s.peekSpace()
}

func (s *Scanner) peekSpace() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		case 0: // would pass for the end
			s.Fail()
		default:
			return c
		}
	}
	return 0
}
