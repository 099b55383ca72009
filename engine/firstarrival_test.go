package engine

import (
	"slices"
	"testing"
)

// slowArrival is the rule said plainly: it remembers everything.
type slowArrival struct {
	lines map[uint16][]int64 // all keys of a line since it came up
	news  []arrival
	// behind: of the last two lines one ended, and the other has had no news since.
	behind bool
}

func (s *slowArrival) down(line uint16) {
	if _, up := s.lines[line]; !up {
		return
	}
	delete(s.lines, line)
	s.behind = len(s.lines) == 1
}

func (s *slowArrival) accept(line uint16, key int64) bool {
	before := s.lines[line]
	a := arrival{key, 1}
	for i := len(before) - 1; i >= 0 && before[i] == key; i-- {
		a.n++
	}
	s.lines[line] = append(before, key)
	s.behind = s.behind && len(s.lines) == 1
	back := len(before) > 0 && key < before[len(before)-1]
	if (len(s.lines) > 1 || s.behind) && !back && len(s.news) > 0 {
		if last := s.news[len(s.news)-1]; a == last || a.before(last) {
			return false
		}
	}
	s.news, s.behind = append(s.news, a), false
	return true
}

func TestFirstArrivalIsTheSlowOne(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for range 300 {
		var fast firstArrival
		slow := slowArrival{lines: map[uint16][]int64{}}
		at := [4]int64{1000, 1000, 1000, 1000}
		refused := 0
		for range 300 {
			line := uint16(1 + random.IntN(3))
			switch n := random.IntN(60); n {
			case 0:
				fast.down(line)
				slow.down(line)
				continue
			case 1:
				at[line] -= random.Int64N(5)
			default:
				at[line] += random.Int64N(3)
			}
			want := slow.accept(line, at[line])
			if got := fast.accept(line, at[line]); got != want {
				t.Fatalf("line %d, key %d: %v, want %v", line, at[line], got, want)
			}
			if !want {
				refused++
			}
		}
		if refused < 10 {
			t.Fatalf("%d refused of 300", refused)
		}
	}
}

// Two lines that lose nothing give each message once; one line gives all,
// whatever its keys are.
func TestFirstArrivalOnce(t *testing.T) {
	t.Parallel()
	keys := []int64{5, 5, 5, 6, 8, 8, 9}
	every := 0
	var merge func(a, b []int64, lines []uint16)
	merge = func(a, b []int64, lines []uint16) {
		if len(a)+len(b) > 0 {
			if len(a) > 0 {
				merge(a[1:], b, append(slices.Clone(lines), 1))
			}
			if len(b) > 0 {
				merge(a, b[1:], append(slices.Clone(lines), 2))
			}
			return
		}
		var f firstArrival
		f.up(1, 0)
		f.up(2, 0)
		var news []int64
		next := [3]int{}
		for _, line := range lines {
			if key := keys[next[line]]; f.accept(line, key) {
				news = append(news, key)
			}
			next[line]++
		}
		if every++; !slices.Equal(news, keys) {
			t.Fatalf("%v: %v", lines, news)
		}
	}
	merge(keys, keys, nil)
	if every != 3432 {
		t.Errorf("%d interleavings", every)
	}
	var alone firstArrival
	for _, key := range []int64{5, 5, 3, 0, 0, 9, 2} {
		if !alone.accept(1, key) {
			t.Errorf("%d is refused on the only line", key)
		}
	}
}
