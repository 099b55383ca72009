package jsonscan

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// string reads the string whose opening quote is ahead.
func (s *Scanner) string() Value {
	start := s.at + 1
	end := stringEnd(s.text, start)
	if end < 0 {
		s.Fail()
		return Value{}
	}
	s.at = end + 1
	return Value{Kind: String, Start: int32(start), End: int32(end)}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// stringEnd returns the index of the quote that ends the string whose content
// begins at i, or -1. Eight bytes a step: the lowest marked byte of the mask is
// exact, marks above it may be carries.
func stringEnd(text []byte, i int) int {
	for {
		for i+8 <= len(text) {
			w := binary.LittleEndian.Uint64(text[i:])
			quote, escape := w^('"'*ones), w^('\\'*ones)
			m := ((quote-ones)&^quote | (escape-ones)&^escape | (w-' '*ones)&^w) & highs
			if m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			i += 8
		}
		for i < len(text) && text[i] != '"' && text[i] != '\\' && text[i] >= ' ' {
			i++
		}
		if i >= len(text) || text[i] < ' ' {
			return -1
		}
		if text[i] == '"' {
			return i
		}
		n := escapeLength(text[i:])
		if n == 0 {
			return -1
		}
		i += n
	}
}

// Until returns where stop is within the string whose content begins at i, -1
// where the string ends, or an escape stands, before it. stop may be the quote
// that ends it.
//
// hot: per name, 0 allocs.
func Until(t []byte, i int, stop byte) int {
	stops := uint64(stop) * ones
	for i >= 0 && i <= len(t)-8 {
		w := binary.LittleEndian.Uint64(t[i : i+8])
		quote, escape, wanted := w^('"'*ones), w^('\\'*ones), w^stops
		m := ((quote-ones)&^quote | (escape-ones)&^escape | (wanted-ones)&^wanted | (w-' '*ones)&^w) & highs
		if m != 0 {
			i += bits.TrailingZeros64(m) / 8
			break
		}
		i += 8
	}
	for ; uint(i) < uint(len(t)); i++ {
		switch c := t[i]; {
		case c == stop:
			return i
		case c == '"' || c == '\\' || c < ' ':
			return -1
		}
	}
	return -1
}

// escapeLength returns the length of the escape at the start of t, 0 if it is none.
func escapeLength(t []byte) int {
	if len(t) < 2 {
		return 0
	}
	switch t[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(t[2:]); ok {
			return 6
		}
	}
	return 0
}

func hex4(t []byte) (r rune, ok bool) {
	if len(t) < 4 {
		return 0, false
	}
	for _, c := range t[:4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20-'a' <= 5:
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// AppendUnescaped appends the content of a string value with its escapes
// resolved; half a surrogate pair becomes U+FFFD.
func AppendUnescaped(dst, content []byte) []byte {
	for i := 0; i < len(content); {
		if content[i] != '\\' {
			dst = append(dst, content[i])
			i++
			continue
		}
		switch n := escapeLength(content[i:]); n {
		case 2:
			dst = append(dst, plain(content[i+1]))
			i += 2
		case 6:
			r, _ := hex4(content[i+2:])
			i += 6
			if utf16.IsSurrogate(r) {
				pair := rune(utf8.RuneError)
				if escapeLength(content[i:]) == 6 && content[i] == '\\' {
					low, _ := hex4(content[i+2:])
					pair = utf16.DecodeRune(r, low)
				}
				if r = pair; r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		default: // not a scanned string: leave it visible
			dst = append(dst, content[i])
			i++
		}
	}
	return dst
}

// plain is what the letter of a two-byte escape stands for.
func plain(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
