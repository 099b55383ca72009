package clock

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestWhatTheKernelSaysOfItsClock(t *testing.T) {
	t.Parallel()
	f := func(state int, status int32, synchronised bool) {
		t.Helper()
		have := hostOf(state, &unix.Timex{Status: status, Maxerror: 1500, Esterror: 20})
		if want := (Host{true, synchronised, 1500 * time.Microsecond, 20 * time.Microsecond}); have != want {
			t.Errorf("%+v, not %+v", have, want)
		}
	}
	f(0, unix.STA_PLL, true)
	f(0, unix.STA_UNSYNC, false)
	f(timeError, 0, false)
	if h := ReadHost(); h.Known && h.MaxError < 0 {
		t.Errorf("%+v", h)
	}
}

// Nobody steps the clock of a machine that runs tests; a slewed one moves both.
func TestSteppedIsSmall(t *testing.T) {
	t.Parallel()
	if d := Stepped(); d.Abs() > time.Hour {
		t.Errorf("%v", d)
	}
}
