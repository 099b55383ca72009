// Package ordered stores what another goroutine loads atomically, in program
// order and without waiting for it:
//
//	data ─► Store(position) ─► … ─► Load(position) ─► data
//
// Go's atomic stores also keep later loads behind them. On x86-64 that makes
// them an XCHG, which waits until all earlier stores of the core have reached
// the cache: where these are cold lines of a large ring, longer than all else
// that a packet costs. Who needs that (publish, then look whether somebody is
// parked) uses sync/atomic; who only hands something over needs this.
package ordered
