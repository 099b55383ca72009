package indicators

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

var units = []struct {
	name string
	size time.Duration
}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", 1}}

// IntervalName writes a duration as tables show it, in the largest unit that
// divides it: "1m", "90s", "250ms", "1d".
func IntervalName(d time.Duration) string { return durationName(d, day) }

func durationName(d, largest time.Duration) string {
	for _, u := range units {
		if u.size <= largest && d%u.size == 0 && d != 0 {
			return strconv.FormatInt(int64(d/u.size), 10) + u.name
		}
	}
	return "0s"
}

// ParseInterval reads what IntervalName writes, in any unit: a whole number
// above 0, then d, h, m, s, ms, us or ns.
func ParseInterval(text string) (time.Duration, error) {
	digits := 0
	for digits < len(text) && text[digits]-'0' <= 9 {
		digits++
	}
	n, err := strconv.ParseInt(text[:digits], 10, 64)
	for _, u := range units {
		if text[digits:] != u.name || err != nil || n <= 0 {
			continue
		}
		if n > math.MaxInt64/int64(u.size) {
			return 0, fmt.Errorf("interval %q: longer than 292 years", text)
		}
		return time.Duration(n) * u.size, nil
	}
	return 0, fmt.Errorf("interval %q: want a whole number above 0 and a unit (d, h, m, s, ms, us, ns), as in 1m", text)
}

// WindowName is the name of a window in the tables: "vwap_60s_1s",
// "vwap_session"; a session's step shows only if it is not 1 s.
func WindowName(spec WindowSpec) string {
	spec.EnsureDefaults()
	// Not beyond seconds, so that names of windows sort and compare.
	step := durationName(spec.Step, time.Second)
	switch {
	case spec.Span > 0:
		return "vwap_" + durationName(spec.Span, time.Second) + "_" + step
	case spec.Step != time.Second:
		return "vwap_session_" + step
	}
	return "vwap_session"
}
