package jsonscan

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

const placesMax = 18

// bareSlow is Bare as it is easily seen to be right.
func bareSlow(t []byte, i int, places uint8) (int64, int) {
	end := i
	for end < len(t) && strings.IndexByte("0123456789.-+eE", t[end]) >= 0 {
		end++
	}
	whole, part, _ := strings.Cut(string(t[i:end]), ".")
	if !json.Valid(t[i:end]) || strings.ContainsAny(string(t[i:end]), "-eE") || len(whole) > wholeFast || len(part) > placesFast || places > placesFast {
		return 0, -1
	}
	if part += strings.Repeat("0", int(places)); strings.Trim(part[places:], "0") != "" {
		return 0, -1 // finer
	}
	n, err := strconv.ParseInt(whole+part[:places], 10, 64)
	if err != nil {
		return 0, -1
	}
	return n, end
}

// A number without quotes is what it says, or not plain; where it ends needs no
// look at what it is.
func TestBare(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"0", "0.0", "5", "78871.5", "0.01266503", "0.00005100", "12345678", "1234567890", "12345678901", "1234567890.12345678", "1.123456789", "00", "00.5", "01", ".5", "5.", "-5", "-0.5",
		"5e3", "5.5e3", "5E3", "5.5E-3", "+5", "", "-", "5.5.5", "123456789.5", "0.1234567890123456", "99999999999999999999.1", "1.0000000000", "--5", "-05", "-5."} {
		for _, behind := range []string{"", ",", "}", "]", ",\"qty\":1.5}", "}],\"asks\":[{\"price\":1}]"} {
			for _, before := range []string{"", `{"price":`} {
				text, i := []byte(before+number+behind), len(before)
				for places := range uint8(placesMax + 1) {
					n, next := Bare(text, i, places)
					wantN, want := bareSlow(text, i, places)
					// What ends it is the caller's to see.
					if ended := next >= 0 && (next == len(text) || strings.IndexByte(",}]", text[next]) >= 0); ended && (next != want || n != wantN) {
						t.Errorf("%s at %d: %d to %d, want %d to %d", text, places, n, next, wantN, want)
					} else if !ended && want >= 0 {
						t.Errorf("%s at %d: not plain, want %d to %d", text, places, wantN, want)
					}
				}
				end := NumberEnd(text, i)
				ended := end >= 0 && (end == len(text) || strings.IndexByte(",}]", text[end]) >= 0)
				if want := json.Valid([]byte(number)) && !strings.ContainsAny(number, "eE"); ended != want || ended && end != i+len(number) {
					t.Errorf("%s: ends at %d, want %v", text, end, want)
				}
			}
		}
	}
}

// Times of day are read as ns, with any fraction that ns can hold.
func TestDayTime(t *testing.T) {
	t.Parallel()
	f := func(text string, want int64) {
		t.Helper()
		for _, behind := range []string{"", `}`, `,"price_level":"78855.57"}`} {
			for _, before := range []string{"", `"2026-08-24T`} {
				n, next := DayTime([]byte(before+text+behind), len(before))
				if want < 0 && next < 0 || want >= 0 && n == want && next == len(before+text) {
					continue
				}
				t.Errorf("%s: %d to %d, want %d", before+text+behind, n, next, want)
			}
		}
	}
	const second, base = int64(1e9), int64(22*3600+21*60+57) * 1e9
	for digits, fraction := range []string{"", "1", "12", "123", "1234", "12345", "123456", "1234567", "12345678", "123456789"} {
		want := base
		if digits > 0 {
			var n int64
			fmt.Sscan(fraction+strings.Repeat("0", 9-digits), &n)
			fraction, want = "."+fraction, base+n
		}
		f(`22:21:57`+fraction+`Z"`, want)
		f(`22:21:57`+fraction+`"`, -1)
		f(`22:21:57`+fraction+`Z`, -1)
		f(`22:21:57`+fraction+`z"`, -1)
		f(`22:21:57`+fraction+`+00:00"`, -1)
	}
	f(`00:00:00Z"`, 0)
	f(`23:59:60.5Z"`, 86400*second+second/2)
	for _, text := range []string{`24:00:00Z"`, `22:60:00Z"`, `22:21:61Z"`, `22-21:57Z"`, `22:21-57Z"`, `2a:21:57Z"`, `22;21:57Z"`, `22:21:57.Z"`, `22:21:57.1234567890Z"`, `22:21:5Z"`, ``, `22:21`, `::::::::Z"`, "\x00\x00:\x00\x00:\x00\x00Z\""} {
		f(text, -1)
	}
}

func FuzzBare(f *testing.F) {
	f.Add([]byte(`{"price":78857.0,"qty":0.34775324}`), 9, uint8(8))
	f.Add([]byte(`0.00000000}`), 0, uint8(2))
	f.Fuzz(func(t *testing.T, text []byte, i int, places uint8) {
		if i < 0 || i > len(text) {
			return
		}
		n, next := Bare(text, i, places)
		wantN, want := bareSlow(text, i, places)
		if next >= 0 && (next == len(text) || strings.IndexByte(",}]", text[next]) >= 0) && (next != want || n != wantN) || next < 0 && want >= 0 && places <= placesMax {
			t.Fatalf("%q from %d at %d: %d to %d, want %d to %d", text, i, places, n, next, wantN, want)
		}
		DayTime(text, i)
		NumberEnd(text, i)
	})
}
