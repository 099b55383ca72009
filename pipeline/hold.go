package pipeline

import (
	"sync"

	"tickproc/feeds"
	"tickproc/journal"
	"tickproc/tick"
)

// holding keeps every feed from reading while any log cannot be written: an
// instrument's shard is nobody's choice, and a socket carries those of many.
type holding struct {
	mu    sync.Mutex // drainers tell it, a moment each
	ill   map[int]bool
	feeds []*feeds.Feed
}

// add makes a feed one of those that are held.
func (h *holding) add(f *feeds.Feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.feeds = append(h.feeds, f)
	if len(h.ill) > 0 {
		f.Hold(tick.ReasonLog)
	}
}

// tell notes a log's state. One that is behind stays what it was: a disk that
// has just had room again must first take what waits.
func (h *holding) tell(shard int, s journal.State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := len(h.ill)
	switch s {
	case journal.Full, journal.Failed:
		if h.ill == nil {
			h.ill = map[int]bool{}
		}
		h.ill[shard] = true
	case journal.Healthy:
		delete(h.ill, shard)
	}
	for _, f := range h.feeds {
		switch {
		case before == 0 && len(h.ill) > 0:
			f.Hold(tick.ReasonLog)
		case before > 0 && len(h.ill) == 0:
			f.Release()
		}
	}
}
