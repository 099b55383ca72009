//go:build amd64 && !race

package shm

import (
	"tickproc/internal/ordered"
	"tickproc/writer/shm/layout"
)

// Between two ordered stores the compiler keeps plain ones, and on x86 they become
// visible in that order (docs/decisions/shm.md).

// storeSlot writes a slot so that whoever finds the same mark before and after
// reading the payload has read all of it.
//
// hot: per slot
func storeSlot(to *slot, writing uint64, payload *[layout.PayloadWords]uint64, mark uint64) {
	ordered.StoreWord(&to[0], writing)
	// Word by word: the payload was written so a moment ago, and a wider load would
	// wait until it has left the store buffer.
	to[1], to[2], to[3], to[4] = payload[0], payload[1], payload[2], payload[3]
	to[5], to[6], to[7] = payload[4], payload[5], payload[6]
	ordered.StoreWord(&to[0], mark)
}

// storeWords copies words between two ordered stores.
func storeWords(to, from []uint64) { copy(to, from) }
