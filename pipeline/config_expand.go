package pipeline

import (
	"errors"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// expand replaces ${NAME} by an environment variable, ${file:/path} by a
// file's text without its last line break, and $$ by a dollar sign. What it
// puts in is not expanded again. changed is true if there was anything to replace.
func (h *Host) expand(value string) (out string, changed bool, bad complaint) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(value, "$")
		b.WriteString(before)
		if !found {
			return b.String(), changed, complaint{}
		}
		switch {
		case strings.HasPrefix(after, "$"):
			changed = true
			b.WriteByte('$')
			value = after[1:]
		case strings.HasPrefix(after, "{"):
			changed = true
			name, rest, closed := strings.Cut(after[1:], "}")
			if !closed {
				return "", true, complaint{"${ has no closing }", "close it, or write $$ for a dollar sign"}
			}
			text, bad := h.lookup(name)
			if bad.reason != "" {
				return "", true, bad
			}
			b.WriteString(text)
			value = rest
		default:
			b.WriteByte('$')
			value = after
		}
	}
}

func (h *Host) lookup(name string) (string, complaint) {
	path, isFile := strings.CutPrefix(name, "file:")
	if !isFile {
		if !isVariableName(name) {
			return "", complaint{quote("${"+name+"}") + " names no variable", "write ${NAME} or ${file:/path}, and $$ for a dollar sign"}
		}
		if value, ok := h.LookupEnv(name); ok {
			return value, complaint{}
		}
		return "", complaint{"environment variable " + name + " is not set", "set it, or write $$ for a dollar sign"}
	}
	// A relative path would mean another file with each working folder.
	if !strings.HasPrefix(path, "/") {
		return "", complaint{quote("${"+name+"}") + " is not an absolute path", "write ${file:/path}"}
	}
	text, err := h.ReadFile(path)
	if err != nil {
		if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
			err = pathErr.Err // the path is named once
		}
		return "", complaint{"file " + quote(path) + " cannot be read: " + err.Error(), "name a file that this user may read"}
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), complaint{}
}

func isVariableName(name string) bool {
	for i, c := range []byte(name) {
		if !(c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return name != ""
}

// isText: no control characters, which would break a header, a line or a path.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
