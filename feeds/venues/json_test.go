package venues_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"
)

// node is a JSON value whose numbers and texts are kept byte for byte, and
// whose members keep their order.
type node struct {
	raw      string   // of a scalar
	keys     []string // of an object, in quotes
	children []*node
	open     byte // '{', '[' or 0
}

// parseJSON reads a frame; nil where it is none.
func parseJSON(text []byte) *node {
	if !json.Valid(text) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	n, _ := parseValue(text)
	return n
}

// parseValue reads the value that begins at text, which is valid JSON, and
// returns what follows it.
func parseValue(text []byte) (*node, []byte) {
	text = bytes.TrimLeft(text, " \t\r\n")
	switch text[0] {
	case '{', '[':
		n := &node{open: text[0]}
		text = bytes.TrimLeft(text[1:], " \t\r\n")
		for text[0] != '}' && text[0] != ']' {
			if text[0] == ',' {
				text = bytes.TrimLeft(text[1:], " \t\r\n")
			}
			if n.open == '{' {
				end := scalarEnd(text)
				n.keys = append(n.keys, string(text[:end]))
				text = bytes.TrimLeft(text[end:], " \t\r\n")[1:] // the colon
			}
			var child *node
			child, text = parseValue(text)
			n.children = append(n.children, child)
			text = bytes.TrimLeft(text, " \t\r\n")
		}
		return n, text[1:]
	}
	end := scalarEnd(text)
	return &node{raw: string(text[:end])}, text[end:]
}

func scalarEnd(text []byte) int {
	if text[0] == '"' {
		for i := 1; ; i++ {
			switch text[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
	}
	if i := bytes.IndexAny(text, ",]} \t\r\n"); i >= 0 {
		return i
	}
	return len(text)
}

// append writes the value.
func (n *node) append(dst []byte) []byte {
	if n.open == 0 {
		return append(dst, n.raw...)
	}
	dst = append(dst, n.open)
	for i, child := range n.children {
		if i > 0 {
			dst = append(dst, ',')
		}
		if n.open == '{' {
			dst = append(append(dst, n.keys[i]...), ':')
		}
		dst = child.append(dst)
	}
	return append(dst, n.open+2) // ']' and '}' in ASCII
}

func (n *node) text() []byte { return n.append(nil) }

// each calls do for the value and all in it.
func (n *node) each(do func(*node)) {
	do(n)
	for _, child := range n.children {
		child.each(do)
	}
}

// shuffle puts the members of all objects into another order.
func (n *node) shuffle(random *rand.Rand) {
	n.each(func(n *node) {
		if n.open == '{' {
			random.Shuffle(len(n.keys), func(i, k int) {
				n.keys[i], n.keys[k] = n.keys[k], n.keys[i]
				n.children[i], n.children[k] = n.children[k], n.children[i]
			})
		}
	})
}

// extend adds a member to all objects, at any place.
func (n *node) extend(random *rand.Rand, key, value string) {
	n.each(func(n *node) {
		if n.open == '{' {
			i := random.IntN(len(n.keys) + 1)
			n.keys = append(n.keys[:i:i], append([]string{key}, n.keys[i:]...)...)
			n.children = append(n.children[:i:i], append([]*node{{raw: value}}, n.children[i:]...)...)
		}
	})
}

// The tests' own JSON gives back what it read.
func TestJSONOfTheTests(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"a":[1,2.50,"x\"]",{}],"b":{"c":null,"d":[]},"e":-1e5}`, `[]`, `"x"`, `12`} {
		if have := string(parseJSON([]byte(text)).text()); have != text {
			t.Errorf("%s became %s", text, have)
		}
	}
	if parseJSON([]byte("pong")) != nil {
		t.Error("pong is no JSON")
	}
}
