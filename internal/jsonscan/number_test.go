package jsonscan

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
)

func TestPair(t *testing.T) {
	f := func(text string, places1, places2 uint8, want1, want2 int64) {
		t.Helper()
		s := &Scanner{text: []byte(text + `,["padding"]`)}
		v1, v2, ok := s.Pair(places1, places2)
		if !ok || v1 != want1 || v2 != want2 || s.at != len(text) {
			t.Errorf("%s: %d %d %v, position %d", text, v1, v2, ok, s.at)
		}
	}
	f(`["61837.63000000","1.54698000"]`, 2, 5, 6183763, 154698)
	f(`["61804.7","35"]`, 1, 0, 618047, 35)
	f(`["61804.7","35"]`, 3, 2, 61804700, 3500)
	f(`["0.00000000","0"]`, 0, 8, 0, 0)
	f(`["0.00001234","1234567890.5"]`, 8, 1, 1234, 12345678905)
	f(`["5.00000000","12345678"]`, 0, 0, 5, 12345678)

	refuse := func(text string) {
		t.Helper()
		for _, padding := range []string{"", `,["padding"]`} {
			s := &Scanner{text: []byte(text + padding)}
			if v1, v2, ok := s.Pair(2, 2); ok || s.at != 0 {
				t.Errorf("%s: took %d %d, position %d", text, v1, v2, s.at)
			}
		}
	}
	for _, text := range []string{`["1.234","1"]`, `["1","1.234"]`, `["-1","1"]`, `["1","-1"]`, `["","1"]`, `[".5","1"]`, `["1.","1"]`, `["1e3","1"]`,
		`["1"]`, `["1","2","3"]`, `[ "1","2"]`, `["1" ,"2"]`, `["1","2" ]`, `[1,2]`, `["12345678901","1"]`, `["1.2.3","1"]`, `["1,","1"]`, `["1.000000000","1"]`, `["NaN","1"]`, `[]`, `["`, `["1","2`, `["1","2"`} {
		refuse(text)
	}
}

// Whatever Pair takes equals the decimal that the text says, and it takes
// every plain text that is followed by a few bytes more.
func TestPairAgainstDecimal(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	number := func() (text string, places uint8) {
		whole := strconv.FormatUint(r.Uint64()%pow10Test(1+r.IntN(10)), 10)
		places = uint8(r.IntN(9))
		n := r.IntN(int(places) + 1)
		if n == 0 {
			return whole + []string{"", ".0", ".00000000"}[r.IntN(3)], places
		}
		return fmt.Sprintf("%s.%0*d%s", whole, n, r.Uint64()%pow10Test(n), strings.Repeat("0", r.IntN(9-n))), places
	}
	for range 20_000 {
		text1, places1 := number()
		text2, places2 := number()
		s := &Scanner{text: fmt.Appendf(nil, `["%s","%s"],"seven"`, text1, text2)}
		v1, v2, ok := s.Pair(places1, places2)
		want1 := decimal.RequireFromString(text1).Shift(int32(places1))
		want2 := decimal.RequireFromString(text2).Shift(int32(places2))
		if !ok || !decimal.NewFromInt(v1).Equal(want1) || !decimal.NewFromInt(v2).Equal(want2) {
			t.Fatalf("%s at %d, %d: %d %d %v", s.text, places1, places2, v1, v2, ok)
		}
		s.Reset(s.text[1:])
		if plain, ok := s.Plain(s.Value(), places1); !ok || plain != v1 {
			t.Fatalf("%s at %d: %d %v", s.text, places1, plain, ok)
		}
	}
}

func pow10Test(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}

func TestUint(t *testing.T) {
	f := func(text string, kind Kind, want uint64) {
		t.Helper()
		s := &Scanner{text: []byte(text)}
		if v := s.Value(); v.Kind != kind || v.Uint != want || string(s.Bytes(v)) != text {
			t.Errorf("%s: kind %d, %d, %q", text, v.Kind, v.Uint, s.Bytes(v))
		}
	}
	f("0", Uint, 0)
	f("7", Uint, 7)
	f("12345678", Uint, 12345678)
	f("1723161255208", Uint, 1723161255208)
	f("9223372036854775807", Uint, 9223372036854775807)
	f("9999999999999999999", Uint, 9999999999999999999)
	f("10000000000000000000", Number, 0)
	f("99999999999999999999999", Number, 0)
	f("-1", Number, 0)
	f("1.0", Number, 0)
	f("1e3", Number, 0)
	f("12345678e3", Number, 0)
}

func FuzzPair(f *testing.F) {
	f.Add(`["61837.63000000","1.54698000"],["1","2"]`, uint8(2), uint8(5))
	f.Add(`["0.1","12345678901234567"]      `, uint8(8), uint8(9))
	f.Fuzz(func(t *testing.T, text string, places1, places2 uint8) {
		s := &Scanner{text: []byte(text)}
		v1, v2, ok := s.Pair(places1, places2)
		if !ok {
			if s.at != 0 {
				t.Fatalf("%q refused, but moved to %d", text, s.at)
			}
			return
		}
		inner := strings.Split(strings.TrimSuffix(strings.TrimPrefix(text[:s.at], `["`), `"]`), `","`)
		for i, v := range []int64{v1, v2} {
			want, err := decimal.NewFromString(inner[i])
			if err != nil || !decimal.New(v, -int32([]uint8{places1, places2}[i])).Equal(want) {
				t.Fatalf("%q at %d, %d: %d %d (%v)", text, places1, places2, v1, v2, err)
			}
		}
	})
}

func TestPairZeroAllocs(t *testing.T) {
	text := []byte(`[["61837.63000000","1.54698000"],["61837.6",2]]`)
	var s Scanner
	if n := testing.AllocsPerRun(100, func() {
		s.Reset(text)
		for more := s.Array(); more; more = s.Next(']') {
			if _, _, plain := s.Pair(2, 5); !plain {
				s.Skip()
			}
		}
		if !s.End() {
			t.Fatal("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPair(b *testing.B) {
	text := []byte(`[["61837.63000000","1.54698000"],["61730.17000000","0.00000000"],["56854.58000000","12.50000000"],["61839.9","0.015"]]`)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var s Scanner
	for b.Loop() {
		s.Reset(text)
		for more := s.Array(); more; more = s.Next(']') {
			s.Pair(2, 5)
		}
	}
}
