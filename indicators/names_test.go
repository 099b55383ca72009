package indicators

import (
	"testing"
	"time"
)

func TestIntervalNames(t *testing.T) {
	t.Parallel()
	f := func(d time.Duration, want string) {
		t.Helper()
		if got := IntervalName(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
		if back, err := ParseInterval(want); err != nil || back != d {
			t.Errorf("%s: %v, %v", want, back, err)
		}
	}
	f(time.Second, "1s")
	f(time.Minute, "1m")
	f(time.Hour, "1h")
	f(24*time.Hour, "1d")
	f(168*time.Hour, "7d")
	f(36*time.Hour, "36h")
	f(90*time.Second, "90s")
	f(250*time.Millisecond, "250ms")
	f(1500*time.Microsecond, "1500us")
	f(7, "7ns")
}

func TestParseInterval(t *testing.T) {
	t.Parallel()
	if d, err := ParseInterval("60s"); err != nil || d != time.Minute {
		t.Errorf("60s: %v, %v", d, err)
	}
	for _, bad := range []string{"", "s", "1", "0s", "-1s", "1.5s", "1 s", "1M", "1w", "1m30s", "99999999999999999999s"} {
		if d, err := ParseInterval(bad); err == nil {
			t.Errorf("%q: %v, want an error", bad, d)
		}
	}
	if _, err := ParseInterval("999999999d"); err == nil {
		t.Error("an interval beyond int64 nanoseconds was taken")
	}
}

func TestWindowNames(t *testing.T) {
	t.Parallel()
	f := func(spec WindowSpec, want string) {
		t.Helper()
		if got := WindowName(spec); got != want {
			t.Errorf("%+v: %s, want %s", spec, got, want)
		}
	}
	f(WindowSpec{Span: time.Minute, Step: time.Second}, "vwap_60s_1s")
	f(WindowSpec{Span: time.Minute}, "vwap_60s_1s")
	f(WindowSpec{Span: 1500 * time.Millisecond, Step: 500 * time.Millisecond}, "vwap_1500ms_500ms")
	f(WindowSpec{}, "vwap_session")
	f(WindowSpec{Step: 5 * time.Second}, "vwap_session_5s")
}
