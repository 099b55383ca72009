package feeds

import "sync"

// requestLog is what was asked for on a socket, by the numbers of requests.
// The talking goroutine writes it and the reading one looks answers up; both
// rarely, which is why a mutex is good enough.
type requestLog struct {
	mu      sync.Mutex
	streams [][]Subscription
}

// sent notes a request before it is sent, so that no answer overtakes it.
func (l *requestLog) sent(number int, streams []Subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if number != len(l.streams) {
		panic("BUG: requests are not sent in the order of their numbers")
	}
	l.streams = append(l.streams, streams)
}

// of returns what a request asked for, nil if there was none.
func (l *requestLog) of(number int) []Subscription {
	l.mu.Lock()
	defer l.mu.Unlock()
	if number < 0 || number >= len(l.streams) {
		return nil
	}
	return l.streams[number]
}
