package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing wrong with a configuration, and what to do about it.
type Fault struct {
	File         string // "" where the Config was made in Go
	Line, Column int    // from 1; 0 where there is no file
	Path         string // "feeds[0].venue"
	Reason       string
	Remedy       string // may be ""
	excerpt      string // the source line with a caret below; "" where it may show a secret
}

// String is one line: file:line:column: path: reason; remedy.
func (f Fault) String() string {
	var b strings.Builder
	if f.Line > 0 {
		fmt.Fprintf(&b, "%s:%d:%d: ", f.File, f.Line, f.Column)
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Reason)
	if f.Remedy != "" {
		b.WriteString("; " + f.Remedy)
	}
	return b.String()
}

// Errors are all faults of a configuration.
type Errors []Fault

// Error is one line a fault.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// Excerpts is Error with the source line and a caret below each fault, for a
// person at a terminal.
func (e Errors) Excerpts() string {
	var b strings.Builder
	for _, f := range e {
		b.WriteString(f.String() + "\n" + f.excerpt)
	}
	return b.String()
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// didYouMean is the remedy for a word that is none of the known ones.
func didYouMean(word string, known []string) string {
	if len(known) == 0 {
		return ""
	}
	if n := nearest(word, known); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return "known: " + strings.Join(known, ", ")
}

// nearest is the known word that a typing mistake may have turned into word,
// "" where none is close.
func nearest(word string, known []string) string {
	best, bestDistance := "", 0
	for _, k := range known {
		// Up to a third of the letters may be wrong, and always one.
		d := editDistance(strings.ToLower(word), strings.ToLower(k))
		if d <= max(1, len(k)/3) && (best == "" || d < bestDistance) {
			best, bestDistance = k, d
		}
	}
	return best
}

// editDistance counts the inserted, removed, changed and swapped bytes between two words.
func editDistance(a, b string) int {
	// Words this far apart in length are never near; it also bounds the work on hostile keys.
	if len(a) > 2*len(b)+8 {
		return len(a)
	}
	row := func() []int { return make([]int, len(b)+1) }
	before, last, now := row(), row(), row()
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		now[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			now[j+1] = min(now[j]+1, last[j+1]+1, last[j]+change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				now[j+1] = min(now[j+1], before[j-1]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
