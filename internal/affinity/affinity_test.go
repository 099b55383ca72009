package affinity

import (
	"errors"
	"runtime"
	"slices"
	"testing"
)

// A pinned thread may use the one core that it was given.
func TestPin(t *testing.T) {
	t.Parallel()
	cores := Cores()
	if len(cores) == 0 {
		if err := Pin(0); !errors.Is(err, ErrUnsupported) {
			t.Fatalf("no cores are known, and pinning says %v", err)
		}
		t.Skip("SKIPPED: " + ErrUnsupported.Error())
	}
	for _, core := range cores {
		pinned := make(chan []int)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			if err := Pin(core); err != nil {
				t.Error(err)
			}
			pinned <- Cores()
		}()
		if got := <-pinned; !slices.Equal(got, []int{core}) {
			t.Errorf("pinned to %d, may use %v", core, got)
		}
	}
	if got := Cores(); !slices.Equal(got, cores) {
		t.Errorf("pinning other threads moved this one to %v", got)
	}
}

func TestPinRefusesACoreThatIsNotThere(t *testing.T) {
	t.Parallel()
	if len(Cores()) == 0 {
		t.Skip("SKIPPED: " + ErrUnsupported.Error())
	}
	refused := make(chan error)
	go func() {
		runtime.LockOSThread()
		refused <- Pin(1000)
	}()
	if <-refused == nil {
		t.Error("core 1000 was there")
	}
}
