package pipeline

import (
	"testing"
	"time"
)

func TestDurationTexts(t *testing.T) {
	t.Parallel()
	f := func(in string, want time.Duration, back string) {
		t.Helper()
		var d Duration
		if bad := d.setText(in); bad.reason != "" || d.Std() != want || d.String() != back {
			t.Errorf("%q: %v %q, want %v %q (%v)", in, d.Std(), d, want, back, bad)
		}
		var again Duration
		if bad := again.setText(d.String()); bad.reason != "" || again != d {
			t.Errorf("%q: read again %v (%v)", d, again, bad)
		}
	}
	f("1d", 24*time.Hour, "1d")
	f("1d12h", 36*time.Hour, "36h")
	f("60s", time.Minute, "1m")
	f("90s", 90*time.Second, "90s")
	f("1m30s", 90*time.Second, "90s")
	f("250ms", 250*time.Millisecond, "250ms")
	f("7us", 7*time.Microsecond, "7us")
	f("7µs", 7*time.Microsecond, "7us")
	f("7μs", 7*time.Microsecond, "7us")
	f("1ns", 1, "1ns")
	f("0s", 0, "0s")
}

func TestSizeTexts(t *testing.T) {
	t.Parallel()
	f := func(in string, want Size, back string) {
		t.Helper()
		var s Size
		if bad := s.setText(in); bad.reason != "" || s != want || s.String() != back {
			t.Errorf("%q: %d %q, want %d %q (%v)", in, int64(s), s, int64(want), back, bad)
		}
	}
	f("512MiB", 512<<20, "512MiB")
	f("512 MiB", 512<<20, "512MiB")
	f("1024KiB", 1<<20, "1MiB")
	f("2GB", 2e9, "2GB")
	f("1TiB", 1<<40, "1TiB")
	f("1000B", 1000, "1kB")
	f("1025B", 1025, "1025B")
	f("0B", 0, "0B")
}

func TestNearest(t *testing.T) {
	t.Parallel()
	f := func(word, want string, known ...string) {
		t.Helper()
		if have := nearest(word, known); have != want {
			t.Errorf("%q among %v: %q, want %q", word, known, have, want)
		}
	}
	f("metrcis", "metrics", "metrics", "record") // a swap is one mistake
	f("Trades", "trades", "trades", "quotes")
	f("dept", "depth", "depth", "trades")
	f("binance-usd", "binance-usdm", "binance-spot", "binance-usdm", "binance-coinm")
	f("x", "", "trades", "quotes")
	f("", "", "trades")
	f("anything", "")
}
