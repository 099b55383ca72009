// Package affinity ties threads to cores, where the system can.
//
//	goroutine ─► runtime.LockOSThread ─► Pin ─► one core of Cores
package affinity

import "errors"

// ErrUnsupported says that this system does not tie threads to cores.
var ErrUnsupported = errors.New("threads cannot be tied to cores here")
