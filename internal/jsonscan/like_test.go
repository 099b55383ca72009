package jsonscan

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// around is where Like's texts stand: it looks at what is before and behind.
const around = `{"stream":"btcusdt@depth@100ms",`

// read is what a reader of levels' prices does, by what the last was like if
// that can be, and what the text says without.
func (l *Like) read(text, before, after string, places uint8) (n, want int64, like, good bool) {
	t := []byte(around + text + around)
	i := len(around)
	l.For(places)
	if w := WindowAt(t, i); w != nil && l.Differs(w)|NonDigits(l.Digits(w)) == 0 {
		n, like = l.Number(l.Digits(w)), true
	}
	want, next := int64(0), -1
	if strings.HasPrefix(text, before) {
		want, next = Fixed(t, i+len(before), places)
	}
	good = next > 0 && strings.HasPrefix(string(t[next:]), after)
	if good {
		l.Learn(t, i, i+len(before), next, next+len(after))
	}
	if like && l.Size() != next+len(after)-i {
		n = -1
	}
	return n, want, like, good
}

// What is written as the last was is read without a look for its end; what is
// not is not taken for it.
func TestLikeTheLast(t *testing.T) {
	t.Parallel()
	f := func(places uint8, first, second string, want int64) {
		t.Helper()
		var l Like
		if _, _, like, good := l.read(first, `["`, `,"`, places); like || !good {
			t.Errorf("%s: is like nothing: %v, good: %v", first, like, good)
		}
		switch n, _, like, _ := l.read(second, `["`, `,"`, places); {
		case like && n != want:
			t.Errorf("%s like %s at %d: %d", second, first, places, n)
		case like != (want >= 0):
			t.Errorf("%s like %s at %d: %v", second, first, places, like)
		}
	}
	f(2, `["61837.63000000","`, `["00000.01000000","`, 1)
	f(2, `["61837.63000000","`, `["98765.43000000","`, 9876543)
	f(8, `["0.00001234","`, `["0.99999999","`, 99999999)
	f(3, `["1.5","`, `["2.7","`, 2700)
	f(0, `["1.0","`, `["2.0","`, 2)
	f(4, `["91234567.1234","`, `["91239999.9999","`, 912399999999)
	f(4, `["91234567.1234","`, `["81239999.9999","`, -1) // digits before the last eight are text
	for _, other := range []string{`["61837.63000001","`, `["6183.763000000","`, `["61837:63000000","`, `["6183/.63000000","`, `["61837.:3000000","`, `["61837.630000000","`,
		`["61837.63000000","`[:18] + `x`, ` "61837.63000000","`, `['61837.63000000","`, `["61837.63000000',"`, `["61837.63000000"."`, `["-1837.63000000","`, `["61837.63 00000","`,
		"[\"61837.6\x00000000\",\"", `["61837.6é00000","`} {
		f(2, `["61837.63000000","`, other, -1)
	}
	// Whole numbers have lengths that follow no pattern, and what is long is not looked at.
	f(2, `["61837","`, `["61837","`, -1)
	f(8, `["12345678.12345678","`, `["12345678.12345678","`, -1)
	// Of other places nothing is known.
	var l Like
	l.read(`["61837.63","`, `["`, `,"`, 2)
	if _, _, like, _ := l.read(`["61837.63","`, `["`, `,"`, 3); like {
		t.Error("what is known at 2 places is not at 3")
	}
}

// Whatever two numbers are like, they are what Fixed makes of them.
func TestLikeAgainstFixed(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	likes := 0
	for range 20_000 {
		whole, behind, places := 1+r.IntN(10), r.IntN(9), uint8(r.IntN(9))
		before, after := `["`, `,"`
		if r.IntN(2) == 0 {
			before, after = "", "]"
		}
		var l Like
		for range 4 {
			text := fmt.Sprintf("%0*d", whole, r.Uint64()%pow10Test(whole))
			if behind > 0 {
				zeros := r.IntN(behind + 1)
				text += "." + fmt.Sprintf("%0*d", behind, r.Uint64()%pow10Test(behind))[:behind-zeros] + strings.Repeat("0", zeros)
			}
			text = before + text + `"` + after
			if r.IntN(8) == 0 {
				at := r.IntN(len(text))
				text = text[:at] + string(rune(r.IntN(128))) + text[at+1:]
			}
			n, want, like, good := l.read(text, before, after, places)
			if like && (!good || n != want) {
				t.Fatalf("%q at %d: %d, want %d %v", text, places, n, want, good)
			}
			if like {
				likes++
			}
		}
	}
	if likes < 1000 {
		t.Errorf("%d numbers are like the one before", likes)
	}
}

func FuzzLike(f *testing.F) {
	f.Add(`["61837.63000000","`, `["61837.64000000","`, uint8(2), true)
	f.Add("0", "0", uint8(255), true)
	f.Add(`1.50000000"]`, `1.5000000"]`, uint8(5), false)
	f.Add(`["0.00001234","`, "\x00\x00\x00\x00\x00\x00\x00\x00", uint8(8), true)
	f.Fuzz(func(t *testing.T, first, second string, places uint8, price bool) {
		before, after := `["`, `,"`
		if !price {
			before, after = "", "]"
		}
		var l Like
		for _, text := range []string{first, second, first} {
			if n, want, like, good := l.read(text, before, after, places); like && (!good || n != want) {
				t.Fatalf("%q at %d: %d, want %d %v", text, places, n, want, good)
			}
		}
	})
}

func TestWhole(t *testing.T) {
	t.Parallel()
	f := func(text string, want int64) {
		t.Helper()
		n, next := Whole([]byte(text+`],["1","2"]`), 0)
		if next < 0 {
			n = -1
		}
		if fixed, end := Fixed([]byte(text+`],["1","2"]`), 0, 0); n != want || next > 0 && (next != len(text) || fixed != n || end != next) {
			t.Errorf("%s: %d up to %d", text, n, next)
		}
	}
	f(`0"`, 0)
	f(`1234567"`, 1234567)
	f(`007"`, 7)
	for _, text := range []string{`12345678"`, `"`, `1.5"`, `-1"`, `1e3"`, `1`, `1 "`} {
		f(text, -1)
	}
	if _, next := Whole([]byte(`12345"]`), 0); next >= 0 {
		t.Error("the text ends before eight bytes")
	}
}
