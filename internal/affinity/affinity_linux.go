package affinity

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Cores are those that the calling thread may use, in ascending order.
func Cores() (cores []int) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			cores = append(cores, i)
		}
	}
	return cores
}

// Pin keeps the calling thread, which the caller has locked, on one core. It
// stays there: let the goroutine end without unlocking, and the thread ends
// with it.
func Pin(core int) error {
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("core %d: %w", core, err)
	}
	return nil
}
