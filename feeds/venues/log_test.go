package venues_test

import (
	"log/slog"
	"strings"
	"sync"
)

// logText collects what is logged.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// lines counts those with a text.
func (l *logText) lines(text string) int { return strings.Count(l.String(), text) }

func (l *logText) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
