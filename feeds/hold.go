package feeds

import (
	"context"
	"fmt"
	"sync"

	"tickproc/tick"
)

// hold keeps a feed from asking and hearing the venue while what it would hear
// could not be kept. Lines live under contexts that end when it begins.
type hold struct {
	mu     sync.Mutex // rare: once a socket, and once a hold
	reason tick.Reason
	ended  chan struct{} // closed while not held
	lines  map[uint64]context.CancelCauseFunc
	last   uint64 // key of lines
}

// heldError is why a context ended.
type heldError struct{ reason tick.Reason }

func (e heldError) Error() string { return fmt.Sprintf("the feed is held (%s)", e.reason) }

func newHold() *hold {
	h := &hold{ended: make(chan struct{}), lines: map[uint64]context.CancelCauseFunc{}}
	close(h.ended)
	return h
}

// Hold closes the feed's sockets, which tell their channels down for the
// reason, and lets it neither connect nor ask by REST until Release. Of
// requests that are on their way the answers are still taken. Any goroutine may
// call it, also before Run; it does not wait for the sockets. A feed that is
// held stays held for its first reason.
func (f *Feed) Hold(reason tick.Reason) {
	if reason == tick.ReasonNone {
		panic("BUG: a feed is held without a reason")
	}
	h := f.hold
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reason == tick.ReasonNone {
		h.reason, h.ended = reason, make(chan struct{})
		for _, cancel := range h.lines {
			cancel(heldError{reason})
		}
		f.rest.look()
	}
}

// Release lets a feed that is held go on by itself. Any goroutine may call it.
func (f *Feed) Release() {
	h := f.hold
	h.mu.Lock()
	if h.reason != tick.ReasonNone {
		h.reason = tick.ReasonNone
		close(h.ended)
	}
	h.mu.Unlock()
	f.rest.look()
}

func (h *hold) state() (reason tick.Reason, ended <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reason, h.ended
}

func (h *hold) held() bool {
	reason, _ := h.state()
	return reason != tick.ReasonNone
}

// AwaitRelease returns when the feed is not held, or ctx ends. Whoever asks the
// venue something beside the feed waits here first.
func (f *Feed) AwaitRelease(ctx context.Context) { f.hold.wait(ctx) }

func (h *hold) wait(ctx context.Context) {
	for reason, ended := h.state(); reason != tick.ReasonNone; reason, ended = h.state() {
		select {
		case <-ctx.Done():
			return
		case <-ended:
		}
	}
}

// until is a context that ends with ctx, and when the feed is held. Whoever has
// it calls done.
func (h *hold) until(ctx context.Context) (held context.Context, done func()) {
	held, cancel := context.WithCancelCause(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reason != tick.ReasonNone {
		cancel(heldError{h.reason})
		return held, func() {}
	}
	h.last++
	number := h.last
	h.lines[number] = cancel
	return held, func() {
		h.mu.Lock()
		delete(h.lines, number)
		h.mu.Unlock()
		cancel(context.Canceled)
	}
}

// endedBy is why a line's context ended: ReasonStopped unless the feed is held.
func endedBy(ctx context.Context) tick.Reason {
	if e, ok := context.Cause(ctx).(heldError); ok {
		return e.reason
	}
	return tick.ReasonStopped
}
