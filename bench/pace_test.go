package bench

import (
	"slices"
	"testing"
)

// Each thing takes 1 µs, one a ms, and the hundredth stalls for a second. A
// measurement from the actual sending would show one slow thing; those that
// were meant to be sent during the stall were late, too.
func TestAStallIsNotForgiven(t *testing.T) {
	t.Parallel()
	const every, takes, stall = 1_000_000, 1_000, 1_000_000_000
	now := int64(5_000_000)
	var late []int64
	paced(now, every, 10_000, func(until int64) { now = max(now, until) }, func(i int) (int64, bool) {
		now += takes
		if i == 100 {
			now += stall
		}
		return now, true
	}, func(ns int64) { late = append(late, ns) })

	if len(late) != 10_000 {
		t.Fatalf("%d of 10,000 were noted", len(late))
	}
	for i, ns := range late {
		// Behind the stall each is one interval less late than the one before, but
		// for the time that it takes itself.
		want := int64(takes)
		if i >= 100 {
			want = max(takes, stall+takes-int64(i-100)*(every-takes))
		}
		if ns != want {
			t.Fatalf("thing %d was done %d ns after it was due, want %d", i, ns, want)
		}
	}
	s := newSample()
	for _, ns := range late {
		s.Add(ns, 1)
	}
	r := resultOf(&Measurement{Name: "x"}, s)
	slices.Sort(late)
	near := func(name string, have, want float64) {
		t.Helper()
		if have < want*0.998 || have > want*1.002 {
			t.Errorf("%s %.0f ns, want %.0f", name, have, want)
		}
	}
	near("p50", r.P50, takes)
	near("p99", r.P99, float64(late[9_899])) // 901 ms: a tenth of all was late
	near("max", r.Max, stall+takes)
	if r.P99 < 900_000_000 {
		t.Errorf("p99 %.0f ns forgives the stall", r.P99)
	}
}

// Ending early notes nothing of what was not done.
func TestPacedEndsEarly(t *testing.T) {
	t.Parallel()
	n := 0
	paced(0, 1, 10, func(int64) {}, func(i int) (int64, bool) { return 0, i < 3 }, func(int64) { n++ })
	if n != 3 {
		t.Errorf("%d were noted, want 3", n)
	}
}
