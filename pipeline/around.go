package pipeline

import (
	"tickproc/internal/clock"
	"tickproc/internal/pace"
	"tickproc/internal/vfs"
	"tickproc/journal"
)

// around is what a process finds: disk, clock, and who decides when it goes on.
type around struct {
	fs   vfs.FS
	now  func() int64 // ns since the epoch
	pace pace.Pace
	// hand is nil in a process that runs by itself.
	hand *hand
}

// hand is what a process that is driven by hand does not find by itself.
type hand struct {
	// memory is where the logs of a generation have their rings, forget empties it.
	memory   func(generation uint64) journal.Memory
	forget   func(generation uint64)
	identity func() uint64
	build    string
	// carry takes rows to the sinks; it is called where a full ring would else be
	// waited for.
	carry func()
}

var machine = &around{fs: vfs.OS, now: clock.Nanos, pace: pace.Real}
