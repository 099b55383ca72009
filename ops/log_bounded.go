package ops

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// boundedBurst records of one message pass in each boundedWindow.
	boundedBurst  = 20
	boundedWindow = 10 * time.Second
	// boundedMessages is how many messages are told apart; all others share one bound.
	boundedMessages = 1024
)

// Bounded passes records on to next, at most 20 of one message in 10 s, so
// that a venue's nonsense at 10,000 frames/s costs neither disk nor lock
// time. The first record after a bounded stretch carries what was left out as
// the attribute "suppressed". Debug records always pass: who asks for them
// wants them all.
//
// The message tells records apart, not the attributes; so messages are
// constant texts, and what varies is an attribute.
func Bounded(next slog.Handler) slog.Handler {
	return bounded{next, &bounds{windows: map[string]*window{}}}
}

type bounded struct {
	next slog.Handler
	*bounds
}

// bounds is shared by all handlers derived from one. The mutex is held for a
// map lookup only, and logging is off the hot path.
type bounds struct {
	mu      sync.Mutex
	windows map[string]*window
	others  window
}

type window struct {
	since      time.Time
	passed     int
	suppressed int
}

func (h bounded) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h bounded) Handle(ctx context.Context, r slog.Record) error {
	if r.Level > slog.LevelDebug {
		pass, suppressed := h.admit(r.Message, r.Time)
		if !pass {
			return nil
		}
		if suppressed > 0 {
			r = r.Clone()
			r.AddAttrs(slog.Int("suppressed", suppressed))
		}
	}
	return h.next.Handle(ctx, r)
}

// admit counts a record at that time, which is the record's own: the bound
// needs no clock.
func (b *bounds) admit(message string, at time.Time) (pass bool, suppressed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w, known := b.windows[message]
	switch {
	case known:
	case len(b.windows) < boundedMessages:
		w = &window{since: at}
		b.windows[message] = w
	default:
		w = &b.others
	}
	if at.Sub(w.since) >= boundedWindow {
		suppressed = w.suppressed
		*w = window{since: at}
	}
	if w.passed == boundedBurst {
		w.suppressed++
		return false, 0
	}
	w.passed++
	return true, suppressed
}

func (h bounded) WithAttrs(attrs []slog.Attr) slog.Handler {
	return bounded{h.next.WithAttrs(attrs), h.bounds}
}

func (h bounded) WithGroup(name string) slog.Handler {
	return bounded{h.next.WithGroup(name), h.bounds}
}
