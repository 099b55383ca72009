package hardware

import (
	"errors"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// A thread that is pinned may run on that core alone; one that does not exist is
// refused, and said by its number.
func TestPin(t *testing.T) {
	cores := ReadCores().Allowed
	if len(cores) == 0 {
		t.Fatal("no core is allowed, and something runs")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // without Unlock: the thread ends with this goroutine
		if err := Pin(cores[len(cores)-1]); err != nil {
			t.Error(err)
		}
		if now := ReadCores().Allowed; !slices.Equal(now, cores[len(cores)-1:]) {
			t.Errorf("allowed on %v", now)
		}
		if err := Pin(1000); err == nil || errors.Is(err, ErrUnsupported) {
			t.Error("a core that does not exist:", err)
		}
	}()
	<-done
}

var sink []byte

// A page is a fault when it is first written to, and no more.
func TestFaultsAreCounted(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, _, err := Faults()
	if err != nil {
		t.Fatal(err)
	}
	const pages = 1 << 14
	sink = make([]byte, pages<<12) // 64 MB come from the system untouched
	for i := 0; i < len(sink); i += 4096 {
		sink[i] = 1
	}
	after, _, _ := Faults()
	if after <= before { // few, where the kernel maps huge pages
		t.Errorf("%d faults for %d pages", after-before, pages)
	}
	for i := 0; i < len(sink); i += 4096 {
		sink[i] = 2
	}
	if again, _, _ := Faults(); again-after > pages/100 {
		t.Errorf("%d faults for pages that are mapped", again-after)
	}
	sink = nil
}

// A refusal says which limit it was, and how to raise it.
func TestRefusedLockOfMemory(t *testing.T) {
	t.Parallel()
	f := func(err error, limit uint64, want string) {
		t.Helper()
		if have := lockError(err, limit); have.Error() != want || !errors.Is(have, err) {
			t.Errorf("%v", have)
		}
	}
	f(unix.ENOMEM, 8<<20, "mlockall: cannot allocate memory: RLIMIT_MEMLOCK is 8192 kB, and all that is mapped counts: ulimit -l unlimited, LimitMEMLOCK=infinity in the unit, or the capability IPC_LOCK")
	f(unix.EPERM, unix.RLIM_INFINITY, "mlockall: operation not permitted")
	f(unix.EINVAL, 0, "mlockall: invalid argument")
}
