//go:build amd64 && !race

package ordered

import (
	"sync/atomic"
	"unsafe"
)

// On x86-64 the stores of a core become visible to all others in the order of
// its program, so that order is the compiler's affair alone: it cannot look into
// the call, and moves nothing across it.

// Store makes v visible after everything that the goroutine stored before.
func Store(to *atomic.Uint64, v uint64) { StoreWord((*uint64)(unsafe.Pointer(to)), v) }

// StoreInt is Store of a signed number.
func StoreInt(to *atomic.Int64, v int64) { StoreWord((*uint64)(unsafe.Pointer(to)), uint64(v)) }

// StoreWord is Store of a word of memory that other processes load from.
//
//go:noinline
func StoreWord(to *uint64, v uint64) { *to = v }

// Add adds n where no other goroutine adds, and promises no order.
func Add(to *atomic.Uint64, n uint64) { *(*uint64)(unsafe.Pointer(to)) += n }

// Copy stores words, behind everything that was stored before; among themselves
// they have no order. Both have the same length.
//
//go:noinline
func Copy(to []atomic.Uint64, from []uint64) {
	if len(to) != len(from) {
		panic("BUG: words that are not as many")
	}
	if len(to) > 0 {
		copy(unsafe.Slice((*uint64)(unsafe.Pointer(&to[0])), len(to)), from)
	}
}
