//go:build !amd64 || race

package ordered

import "sync/atomic"

// Store makes v visible after everything that the goroutine stored before: a
// store-release on arm64.
func Store(to *atomic.Uint64, v uint64) { to.Store(v) }

// StoreInt is Store of a signed number.
func StoreInt(to *atomic.Int64, v int64) { to.Store(v) }

// StoreWord is Store of a word of memory that other processes load from.
func StoreWord(to *uint64, v uint64) { atomic.StoreUint64(to, v) }

// Add adds n where no other goroutine adds, and promises no order.
func Add(to *atomic.Uint64, n uint64) { to.Store(to.Load() + n) }

// Copy stores words, behind everything that was stored before; among themselves
// they have no order. Both have the same length.
func Copy(to []atomic.Uint64, from []uint64) {
	if len(to) != len(from) {
		panic("BUG: words that are not as many")
	}
	for i, v := range from {
		to[i].Store(v)
	}
}
