package bench

import (
	"strings"
	"testing"
	"time"
)

func TestReadTicks(t *testing.T) {
	t.Parallel()
	have, ok := readTicks("cpu  100 20 30 4000 50 6 7 8 90 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
	if want := (ticks{busy: 163, idle: 4050, steal: 8}); !ok || have != want {
		t.Errorf("%+v %v, want %+v", have, ok, want)
	}
	for _, text := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8 9", "cpu a 2 3 4 5 6 7 8 9"} {
		if _, ok := readTicks(text); ok {
			t.Errorf("%q was taken", text)
		}
	}
}

// Of 20 s of two cores' time this process used 5 s, others 3 s, the hypervisor
// took 2 s.
func TestSharesOfTime(t *testing.T) {
	t.Parallel()
	steal, others, ok := sharesOf(ticks{100, 100, 100}, ticks{100 + 800, 100 + 1000, 100 + 200}, 5*time.Second)
	if !ok || steal != 0.1 || others != 0.15 {
		t.Errorf("steal %v, others %v, %v", steal, others, ok)
	}
	if _, _, ok := sharesOf(ticks{1, 1, 1}, ticks{1, 1, 1}, 0); ok {
		t.Error("shares of no time")
	}
	// Our own time is counted finer than the system's: it may be ahead.
	if _, others, _ := sharesOf(ticks{}, ticks{busy: 10, idle: 10}, time.Second); others != 0 {
		t.Errorf("others %v", others)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	f := func(m Machine, want ...string) {
		t.Helper()
		have := m.warnings()
		if len(have) != len(want) {
			t.Errorf("%q, want %q", have, want)
			return
		}
		for i := range want {
			if !strings.Contains(have[i], want[i]) {
				t.Errorf("%q, want %q", have[i], want[i])
			}
		}
	}
	f(Machine{Cores: 2, Governor: "performance", LoadBefore: "9.00 1 1", told: true})
	f(Machine{Steal: 0.2, Others: 0.5, told: true}, "hypervisor gave 20 %", "other processes used 50 %")
	f(Machine{Cores: 4, LoadBefore: "3.00 1 1"}, "load was 3.00 on 4 cores")
	f(Machine{Governor: "powersave", told: true}, "governor is powersave")
}
