//go:build amd64 && !race

package shm

import "tickproc/writer/shm/layout"

// On x86 the stores of a core become visible to all others in the order of its
// program, so that order is the compiler's affair alone: it cannot look into the
// call of store, and moves nothing across it. An atomic store would be an XCHG,
// which also waits until the core's store buffer is empty (docs/decisions/shm.md).

//go:noinline
func store(to *uint64, v uint64) { *to = v }

// storeSlot writes a slot so that whoever finds the same mark before and after
// reading the payload has read all of it.
//
// hot: per slot
func storeSlot(to *slot, writing uint64, payload *[layout.PayloadWords]uint64, mark uint64) {
	store(&to[0], writing)
	// Word by word: the payload was written so a moment ago, and a wider load would
	// wait until it has left the store buffer.
	to[1], to[2], to[3], to[4] = payload[0], payload[1], payload[2], payload[3]
	to[5], to[6], to[7] = payload[4], payload[5], payload[6]
	store(&to[0], mark)
}

// storeWords copies words between two calls of store.
func storeWords(to, from []uint64) { copy(to, from) }
