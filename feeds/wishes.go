package feeds

import (
	"slices"
	"sync"

	"tickproc/internal/stat"
)

// wishes are the instruments whose books must be had anew on a connection.
// Shards wish through any goroutine, the talker takes, the reader sees the
// books come; all rarely, which is why a mutex is good enough.
type wishes struct {
	arrived chan struct{} // something was wished; capacity 1

	mu    sync.Mutex
	asked []uint32   // not taken yet
	owed  []uint32   // taken, and no book came yet
	unmet stat.Gauge // len(owed), for the reader
}

func newWishes() wishes { return wishes{arrived: make(chan struct{}, 1)} }

// add wishes for the book of an instrument; it never blocks.
func (w *wishes) add(instrument uint32) {
	w.mu.Lock()
	if !slices.Contains(w.asked, instrument) {
		w.asked = append(w.asked, instrument)
	}
	w.mu.Unlock()
	select {
	case w.arrived <- struct{}{}:
	default:
	}
}

// take returns what was wished since the last call; the books are owed from
// here on.
func (w *wishes) take() []uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.asked
	w.asked = nil
	for _, instrument := range taken {
		if !slices.Contains(w.owed, instrument) {
			w.owed = append(w.owed, instrument)
		}
	}
	w.unmet.Set(int64(len(w.owed)))
	return taken
}

// open reports whether books are owed.
//
// hot: per frame, 0 allocs.
func (w *wishes) open() bool { return w.unmet.Load() > 0 }

// granted notes that a book came; false if it was not owed.
func (w *wishes) granted(instrument uint32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.owed, instrument)
	if i < 0 {
		return false
	}
	w.owed = slices.Delete(w.owed, i, i+1)
	w.unmet.Set(int64(len(w.owed)))
	return true
}

// forget drops what is owed: a new socket brings all books.
func (w *wishes) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked, w.owed = nil, nil
	w.unmet.Set(0)
}
