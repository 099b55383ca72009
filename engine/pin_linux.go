package engine

import "golang.org/x/sys/unix"

// pinThread keeps the calling thread on one core. A refusal (a container's cpu
// set, say) leaves it where it was.
func pinThread(core int) {
	var set unix.CPUSet
	set.Set(core)
	_ = unix.SchedSetaffinity(0, &set)
}
