package hardware

import (
	"fmt"
	"testing"
)

func TestWhatTheKernelWrites(t *testing.T) {
	t.Parallel()
	f := func(have any, want string) {
		t.Helper()
		if text := fmt.Sprint(have); text != want {
			t.Errorf("%s, not %s", text, want)
		}
	}
	f(list("0-3,7\n"), "[0 1 2 3 7]")
	f(list("5"), "[5]")
	f(list("\n"), "[]")
	f(list("(null)\n"), "[]")
	f(list("3-x,1"), "[1]")
	f(quota("max 100000\n"), "0")
	f(quota("150000 100000\n"), "1.5")
	f(quota("-1 100000"), "0")
	f(quota("nonsense"), "0")
	f(memory("max\n"), "0")
	f(memory("536870912\n"), "536870912")
	f(memory("9223372036854771712"), "0")
}
