// Package clock gives receive times: a wall-clock anchor taken once, moved by
// the monotonic clock, so that time never steps within a process.
package clock

import "time"

var anchor = time.Now()

var anchorNanos = anchor.UnixNano()

// Nanos returns now in ns since the epoch.
func Nanos() int64 { return anchorNanos + int64(time.Since(anchor)) }
