package questdb

import "sync"

// rejection is a row that QuestDB refused.
type rejection struct {
	table         int
	venue, symbol string
	ts            int64
	offset        int64 // of its batch in the spool
}

const rejectionMax = 4096 // rejections that wait to become gaps rows

// rejections go from the senders to the goroutine that writes rows. Rare.
type rejections struct {
	mu   sync.Mutex
	rows []rejection
}

// add reports whether there was room.
func (x *rejections) add(r rejection) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.rows) >= rejectionMax {
		return false
	}
	x.rows = append(x.rows, r)
	return true
}

func (x *rejections) take() []rejection {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.rows
	x.rows = nil
	return r
}

func (x *rejections) none() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.rows) == 0
}
