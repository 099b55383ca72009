package latency

import "golang.org/x/sys/unix"

// pin binds the thread to a core, where it may, until undo.
func pin(core int) (undo func()) {
	var before, set unix.CPUSet
	if unix.SchedGetaffinity(0, &before) != nil {
		return func() {}
	}
	set.Set(core)
	_ = unix.SchedSetaffinity(0, &set)
	return func() { _ = unix.SchedSetaffinity(0, &before) }
}
