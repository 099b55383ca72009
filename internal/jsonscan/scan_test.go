package jsonscan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// A broken text must be refused, whole or in part, and a whole one taken, as
// encoding/json does.
func TestSkipTakesWhatJSONTakes(t *testing.T) {
	whole := `{"stream":"a@b","data":{"e":"x","n":[1,-0.5,1e3,-2E-7,12345678901234567890],"t":true,"f":false,"z":null,` +
		`"o":{},"l":[],"s":"\"\\\/\b\f\n\r\t\u00e9 long enough for words","deep":[[[{"a":[{}]}]]]}}`
	if !accepts([]byte(whole)) {
		t.Fatalf("refused %s", whole)
	}
	for i := range len(whole) {
		if accepts([]byte(whole[:i])) {
			t.Errorf("took %s", whole[:i])
		}
	}
	f := func(text string) {
		t.Helper()
		if got, want := accepts([]byte(text)), json.Valid([]byte(text)); got != want {
			t.Errorf("%q: accepted %v, encoding/json %v", text, got, want)
		}
		if walks([]byte(text)) != accepts([]byte(text)) {
			t.Errorf("%q: walked and skipped differ", text)
		}
	}
	for _, text := range []string{``, ` `, `1`, ` 1 `, `01`, `-`, `-0`, `1.`, `.5`, `1e`, `1e+`, `+1`, `NaN`, `"a`, `"\x"`,
		`"\u12g4"`, "\"\x1f\"", "\"a\x00\"", `[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{"a":1}}`, `[1}`, `{"a":1]`, `tru`, `nul`, `true false`,
		"[\x00", "{\x00}", "\t{\n\"a\"\r: 1 } ", "\v1", `{"":1}`, `{"\"":1}`, `{"\\":1}`, "{\"\x01\":1}", "\"\xff\""} {
		f(text)
	}
}

func TestDepthIsBounded(t *testing.T) {
	f := func(depth int, want bool) {
		t.Helper()
		if got := accepts([]byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))); got != want {
			t.Errorf("arrays, depth %d: %v", depth, got)
		}
		if got := accepts([]byte(strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth))); got != want {
			t.Errorf("objects, depth %d: %v", depth, got)
		}
	}
	f(MaxDepth, true)
	f(MaxDepth+1, false)
	f(100_000, false)
}

func TestWalk(t *testing.T) {
	var s Scanner
	s.Reset([]byte(` { "a" : "x\"y" , "bc":12345678901,"d":[[1,"2"],[]],"e":-1.5,"f":null} `))
	var got []string
	for more := s.Object(); more; more = s.Next('}') {
		key := string(s.Key())
		if s.Peek() == Array {
			for more := s.Array(); more; more = s.Next(']') {
				v := s.Value()
				got = append(got, fmt.Sprintf("%s[]:%s", key, s.Bytes(v)))
			}
			continue
		}
		v := s.Value()
		got = append(got, fmt.Sprintf("%s:%d:%s:%d", key, v.Kind, s.Bytes(v), v.Uint))
	}
	want := `a:3:x\"y:0 bc:4:12345678901:12345678901 d[]:[1,"2"] d[]:[] e:5:-1.5:0 f:8:null:0`
	if !s.End() || strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}

func TestFailureSticksAtItsPlace(t *testing.T) {
	var s Scanner
	s.Reset([]byte(`{"a":1;"b":2}`))
	members := 0
	for more := s.Object(); more; more = s.Next('}') {
		s.Key()
		s.Value()
		members++
	}
	if s.End() || members != 1 || s.FailedAt() != 6 {
		t.Errorf("end %v, %d members, failed at %d", s.End(), members, s.FailedAt())
	}
}

func TestUnescape(t *testing.T) {
	f := func(text string) {
		t.Helper()
		var want string
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		var s Scanner
		s.Reset([]byte(text))
		if got := string(AppendUnescaped(nil, s.Bytes(s.Value()))); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	f(`"plain"`)
	f(`"\"\\\/\b\f\n\r\t"`)
	f(`"\u0042TC\u20ac\ud83d\ude00"`)
	f(`"\ud83d alone, \ude00 alone, \ud83dx, \ud83d\u0041"`)
}

// accepts reports whether Skip takes text as one value.
func accepts(text []byte) bool {
	var s Scanner
	s.Reset(text)
	s.Skip()
	return s.End()
}

// walks reads text as one value; an object or array member by member.
func walks(text []byte) bool {
	var s Scanner
	s.Reset(text)
	switch s.Peek() {
	case Object:
		for more := s.Object(); more; more = s.Next('}') {
			s.Key()
			s.Value()
		}
	case Array:
		for more := s.Array(); more; more = s.Next(']') {
			if _, _, plain := s.Pair(2, 3); !plain {
				s.Value()
			}
		}
	default:
		s.Value()
	}
	return s.End()
}

func deeperThan(text []byte, limit int) bool {
	depth, deepest := 0, 0
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		token, err := d.Token()
		if err != nil {
			return deepest > limit
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, seed := range []string{`{"e":"trade","p":"1.50","t":12345678901,"x":[["1.0","2"],[]]}`, `[["61837.63000000","0.00000000"],["1","2"]]`,
		`"\ud83d\ude00"`, `[1,-2.5e3,true,false,null]`, ` { } `} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want := json.Valid(text)
		if (accepts(text) != want || walks(text) != want) && !(want && deeperThan(text, MaxDepth)) {
			t.Fatalf("%q: accepted %v, walked %v", text, accepts(text), walks(text))
		}
		var s Scanner
		s.Reset(text)
		if s.Peek() != String || !utf8.Valid(text) {
			return
		}
		v := s.Value()
		if s.End() {
			var want string
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			if got := string(AppendUnescaped(nil, s.Bytes(v))); got != want {
				t.Fatalf("%q: %q, want %q", text, got, want)
			}
		}
	})
}
