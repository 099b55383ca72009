//go:build !linux

package journal

// defaultMemory: no tmpfs is known here.
func defaultMemory(*Options) (m Memory, ok bool, err error) { return nil, false, nil }

// bootID is not known: after a kill the ring counts as perhaps incomplete.
func bootID() uint64 { return 0 }
