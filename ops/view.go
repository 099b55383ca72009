package ops

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// View is what the terminal shows: one line a feed and instrument, one a stage.
type View struct {
	Header      []string // above the tables: addresses, hints
	Instruments []InstrumentLine
	Stages      []StageLine
	Footer      []string
}

// InstrumentLine is one instrument of one feed. Texts are ready to print.
type InstrumentLine struct {
	Venue, Symbol string
	PerSecond     float64 // market-data messages
	Book          string  // "valid", or why not
	Bid, Ask      string
	LastBar       string        // of the shortest interval
	Lag           time.Duration // venue clock to us, of the newest message, as far as clocks agree
	Gaps          uint64
}

// StageLine is the latency of one stage over the last interval.
type StageLine struct {
	Name          string
	P50, P99, Max time.Duration
	Count         uint64
}

// Screen redraws a View in place on a terminal.
type Screen struct {
	W     io.Writer
	lines int // drawn last time
}

// Draw replaces what the last Draw showed.
func (s *Screen) Draw(v *View) {
	text := v.text()
	var b strings.Builder
	if s.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", s.lines)
	}
	b.WriteString(text)
	s.lines = strings.Count(text, "\n")
	io.WriteString(s.W, b.String())
}

func (v *View) text() string {
	var b strings.Builder
	for _, h := range v.Header {
		b.WriteString(h + "\n")
	}
	fmt.Fprintf(&b, "\n%-14s %-13s %8s  %-14s %14s %14s  %9s %5s  %s\n", "VENUE", "SYMBOL", "MSG/S", "BOOK", "BID", "ASK", "LAG", "GAPS", "LAST 1s BAR (open high low close volume)")
	for _, l := range v.Instruments {
		fmt.Fprintf(&b, "%-14s %-13s %8.0f  %-14s %14s %14s  %9s %5d  %s\n",
			l.Venue, l.Symbol, l.PerSecond, l.Book, l.Bid, l.Ask, short(l.Lag), l.Gaps, l.LastBar)
	}
	fmt.Fprintf(&b, "\n%-34s %10s %10s %10s %12s\n", "STAGE", "P50", "P99", "MAX", "COUNT")
	for _, l := range v.Stages {
		fmt.Fprintf(&b, "%-34s %10s %10s %10s %12d\n", l.Name, short(l.P50), short(l.P99), short(l.Max), l.Count)
	}
	for _, f := range v.Footer {
		b.WriteString(f + "\n")
	}
	return b.String()
}

// Lines is the View for an output that is no terminal: one line an instrument.
func (v *View) Lines() []string {
	var lines []string
	for _, l := range v.Instruments {
		lines = append(lines, fmt.Sprintf("%s %s msg/s=%.0f book=%s bid=%s ask=%s lag=%s gaps=%d bar=[%s]",
			l.Venue, l.Symbol, l.PerSecond, l.Book, l.Bid, l.Ask, short(l.Lag), l.Gaps, l.LastBar))
	}
	for _, l := range v.Stages {
		lines = append(lines, fmt.Sprintf("stage %q p50=%s p99=%s max=%s n=%d", l.Name, short(l.P50), short(l.P99), short(l.Max), l.Count))
	}
	return lines
}

// short rounds a duration to three digits.
func short(d time.Duration) string {
	abs := d.Abs()
	switch {
	case abs < time.Microsecond:
		return d.String()
	case abs < time.Millisecond:
		return d.Round(10 * time.Nanosecond).String()
	case abs < time.Second:
		return d.Round(10 * time.Microsecond).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}
