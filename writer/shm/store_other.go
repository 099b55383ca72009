//go:build !amd64 || race

package shm

import (
	"tickproc/internal/ordered"
	"tickproc/writer/shm/layout"
)

// Every store is atomic: on arm64 a store-release each, which becomes visible
// only after all stores before it (docs/decisions/shm.md).

// storeSlot writes a slot so that whoever finds the same mark before and after
// reading the payload has read all of it.
//
// hot: per slot
func storeSlot(to *slot, writing uint64, payload *[layout.PayloadWords]uint64, mark uint64) {
	ordered.StoreWord(&to[0], writing)
	for i, v := range payload {
		ordered.StoreWord(&to[1+i], v)
	}
	ordered.StoreWord(&to[0], mark)
}

// storeWords copies words between two ordered stores.
func storeWords(to, from []uint64) {
	for i, v := range from {
		ordered.StoreWord(&to[i], v)
	}
}
