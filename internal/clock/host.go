package clock

import "time"

// Host is what the kernel knows of its own wall clock, on which receive times
// stand: no one-way time is truer than it.
type Host struct {
	// Known: the kernel tells the rest. False on other systems, and where a
	// sandbox forbids to ask.
	Known bool
	// Synchronised: a time service keeps the clock. Where none does, the errors
	// mean nothing.
	Synchronised bool
	// MaxError bounds the error, EstimatedError is what the time service makes of
	// it; adjtimex(2).
	MaxError, EstimatedError time.Duration
}

// Stepped is how far the wall clock has gone from Nanos: by how much it was
// stepped since this process began.
func Stepped() time.Duration {
	now := time.Now() // both clocks at one moment
	return time.Duration(now.UnixNano() - (anchorNanos + int64(now.Sub(anchor))))
}
