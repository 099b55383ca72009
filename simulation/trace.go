package simulation

import (
	"fmt"
	"hash/fnv"
	"strings"
)

type traceWriter struct{ w *world }

func (t traceWriter) Write(p []byte) (int, error) {
	text := string(p)
	if i := strings.Index(text, "level="); i >= 0 {
		text = text[i:]
	}
	t.w.trace("log", strings.TrimSpace(text))
	return len(p), nil
}

func (w *world) trace(what, text string) {
	if w.o.Trace != nil {
		fmt.Fprintf(w.o.Trace, "%12.6f %-9s %s\n", float64(w.now-w.began)/1e9, what, text)
	}
}

// note is a thing that happened: it is part of what a seed repeats.
func (w *world) note(what, text string) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d %s %s", w.sum, w.now, what, text)
	w.sum = h.Sum64()
	w.trace(what, text)
}

// violate notes that something is wrong that must never be.
func (w *world) violate(kind, format string, args ...any) {
	if w.said[kind]++; w.said[kind] <= 5 {
		text := kind + ": " + fmt.Sprintf(format, args...)
		w.wrong = append(w.wrong, text)
		w.trace("WRONG", text)
	}
}
