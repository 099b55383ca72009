package questdb

import "strings"

// scanLine calls f with the name and value of each tag and field of a line of
// ours, the time last, as the designated column ts: values as SQL has them, text
// without quotes and escapes, integers without their mark. f is not to keep
// value. False: it is no line.
func scanLine(line string, f func(name, value string)) bool {
	var scratch [256]byte
	rest := line
	// word reads up to one of the delimiters that is not escaped. Most words have
	// no escapes and are parts of the line.
	word := func(delimiters string) (text string, delimiter byte) {
		var b []byte
		from := 0
		for i := 0; i < len(rest); i++ {
			switch c := rest[i]; {
			case c == '\\' && i+1 < len(rest):
				if b == nil {
					b = scratch[:0]
				}
				b = append(b, rest[from:i]...)
				i++
				from = i
			case strings.IndexByte(delimiters, c) >= 0:
				text = rest[from:i]
				if b != nil {
					text = string(append(b, text...))
				}
				rest = rest[i+1:]
				return text, c
			}
		}
		rest = ""
		return "", 0
	}
	_, delimiter := word(", ")
	for delimiter == ',' {
		name, eq := word("=, ")
		if eq != '=' {
			return false
		}
		var value string
		value, delimiter = word(", ")
		f(name, value)
	}
	if delimiter != ' ' {
		return false
	}
	for delimiter = ','; delimiter == ','; {
		name, eq := word("=, ")
		if eq != '=' || rest == "" {
			return false
		}
		var value string
		if rest[0] == '"' {
			rest = rest[1:]
			var end byte
			if value, end = word(`"`); end == 0 || rest == "" {
				return false
			}
			delimiter, rest = rest[0], rest[1:]
		} else {
			value, delimiter = word(", ")
			if n := len(value); n > 1 && value[n-1] == 'i' {
				value = value[:n-1]
			}
		}
		f(name, value)
	}
	if delimiter != ' ' || rest == "" {
		return false
	}
	f("ts", rest)
	return true
}
