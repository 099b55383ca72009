//go:build !amd64 || race

package shm

import (
	"sync/atomic"

	"tickproc/writer/shm/layout"
)

// Every store is atomic: on arm64 a store-release each, which becomes visible
// only after all stores before it (docs/decisions/shm.md).

func store(to *uint64, v uint64) { atomic.StoreUint64(to, v) }

// storeSlot writes a slot so that whoever finds the same mark before and after
// reading the payload has read all of it.
//
// hot: per slot
func storeSlot(to *slot, writing uint64, payload *[layout.PayloadWords]uint64, mark uint64) {
	store(&to[0], writing)
	for i, v := range payload {
		store(&to[1+i], v)
	}
	store(&to[0], mark)
}

// storeWords copies words between two calls of store.
func storeWords(to, from []uint64) {
	for i, v := range from {
		store(&to[i], v)
	}
}
