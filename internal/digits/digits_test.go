package digits

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// Integers are printed as strconv prints them.
func FuzzDigits(f *testing.F) {
	for v := uint64(1); ; v *= 10 {
		for _, u := range []uint64{v - 1, v, v + 1, v + v/10, 9 * v} {
			f.Add(u)
		}
		if v == 1e19 {
			break
		}
	}
	f.Add(uint64(math.MaxUint64))
	f.Add(uint64(math.MaxInt64))
	f.Add(uint64(1) << 63)
	f.Fuzz(func(t *testing.T, u uint64) { digitsEqual(t, u) })
}

func digitsEqual(t *testing.T, u uint64) {
	if got, want := string(AppendUint([]byte("x"), u)), "x"+strconv.FormatUint(u, 10); got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	if got, want := string(AppendInt(nil, int64(u))), strconv.FormatInt(int64(u), 10); got != want {
		t.Fatalf("%s, want %s", got, want)
	}
}

func TestDigits(t *testing.T) {
	t.Parallel()
	for u := range uint64(100_000) {
		digitsEqual(t, u)
		digitsEqual(t, u*1000)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 500_000 {
		digitsEqual(t, r.Uint64()>>r.IntN(64))
	}
}

// Every digit of eight is looked at by itself.
func TestEight(t *testing.T) {
	t.Parallel()
	for place := range 8 {
		for digit := range uint64(10) {
			u := digit * uint64(math.Pow10(7-place))
			if got := Eight(u); got != digit<<(8*place) {
				t.Errorf("%d: %x", u, got)
			}
		}
	}
	if got := Eight(99_999_999); got != 0x0909090909090909 {
		t.Errorf("%x", got)
	}
}

func BenchmarkDigits(b *testing.B) {
	numbers := make([]int64, 1024)
	for i := range numbers {
		numbers[i] = 1_767_571_200_000_000_000 + int64(i)*1_234_567
	}
	dst := make([]byte, 0, 64)
	f := func(name string, each func(v int64)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				for _, v := range numbers {
					each(v)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(numbers)), "ns/number")
		})
	}
	f("eight", func(v int64) { dst = AppendInt(dst[:0], v) })
	f("strconv", func(v int64) { dst = strconv.AppendInt(dst[:0], v, 10) })
}
