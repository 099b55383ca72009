package ops

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// View is what the terminal shows: one line an instrument, or a venue, one a
// stage.
type View struct {
	Header      []string         // above the tables: addresses, hints
	Instruments []InstrumentLine // venue by venue
	Nbbo        []NbboLine
	Stages      []StageLine
	// Latencies are by venue and stage, LatenciesOfAll by stage, for a screen
	// that has no room for the others.
	Latencies, LatenciesOfAll []LatencyLine
	// Clock is what is known of this machine's clock, beside one-way times.
	Clock  string
	Footer []string
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

// NbboLine is the best bid and offer of a pair over all venues; texts are empty
// where there is none.
type NbboLine struct {
	Pair, Type    string
	Bid, BidVenue string
	Ask, AskVenue string
	Venues        int // that count
	Crossed       bool
}

// StageLine is the latency of one stage over the last interval.
type StageLine struct {
	Name          string
	P50, P99, Max time.Duration
	Count         uint64
}

// LatencyLine is a stage's distribution over the last while.
type LatencyLine struct {
	Venue, Stage        string
	P50, P99, P999, Max time.Duration
	Count               uint64
}

const latencyHeader = "LATENCY OF    STAGE                          P50       P99     P99.9       MAX     COUNT"

func (l *LatencyLine) text() string {
	return fmt.Sprintf("%-13s %-24s %9s %9s %9s %9s %9d", l.Venue, l.Stage, short(l.P50), short(l.P99), short(l.P999), short(l.Max), l.Count)
}

// latencies are the lines of the table of latencies that fit into a room; 0 =
// any number does.
func (v *View) latencies(room int) (lines []string) {
	for _, all := range [][]LatencyLine{v.Latencies, v.LatenciesOfAll} {
		if len(all) == 0 {
			continue
		}
		lines = []string{"", latencyHeader}
		for i := range all {
			lines = append(lines, all[i].text())
		}
		if v.Clock != "" {
			lines = append(lines, v.Clock)
		}
		if room == 0 || len(lines) <= room {
			return lines
		}
	}
	return nil
}

// Screen redraws a View in place on a terminal.
type Screen struct {
	W io.Writer
	// Size of the terminal; nil, or 0, is no limit. What is wider is cut, so that
	// a line stays one; what is higher shows a line a venue.
	Size  func() (columns, lines int)
	drawn int // lines, last time
}

// Draw replaces what the last Draw showed.
func (s *Screen) Draw(v *View) {
	columns, height := 0, 0
	if s.Size != nil {
		columns, height = s.Size()
	}
	lines := v.fit(height)
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", s.drawn)
	}
	for _, line := range lines {
		if runes := []rune(line); columns > 0 && len(runes) > columns {
			line = string(runes[:columns])
		}
		b.WriteString(line + "\n")
	}
	s.drawn = len(lines)
	io.WriteString(s.W, b.String())
}

// fit returns the lines of the view, on a screen of a height: where the
// instruments are too many, one a venue, and below it those whose book is not
// valid, as far as there is room. The last line of the screen is the cursor's.
func (v *View) fit(height int) []string {
	var above, below []string
	above = append(append(above, v.Header...), "", fmt.Sprintf("%-13s %-14s %5s %-9s %10s %10s %4s %8s  %s",
		"VENUE", "SYMBOL", "MSG/S", "BOOK", "BID", "ASK", "GAPS", "LAG", "LAST 1s BAR (open high low close volume)"))
	if len(v.Nbbo) > 0 {
		below = append(below, "", fmt.Sprintf("%-9s %-9s %11s %-13s %11s %-13s %s", "BEST OF", "", "BID", "", "ASK", "", "VENUES"))
		for _, l := range v.Nbbo {
			below = append(below, l.text())
		}
	}
	below = append(below, "", fmt.Sprintf("%-34s %9s %9s %9s %9s", "STAGE", "P50", "P99", "MAX", "COUNT"))
	for _, l := range v.Stages {
		below = append(below, fmt.Sprintf("%-34s %9s %9s %9s %9d", l.Name, short(l.P50), short(l.P99), short(l.Max), l.Count))
	}
	room := 0
	if height > 0 {
		// Instruments come first; of many, a few lines are enough.
		room = max(1, height-1-len(above)-len(below)-len(v.Footer)-min(len(v.Instruments), fewInstruments))
	}
	below = append(below, v.latencies(room)...)
	below = append(below, v.Footer...)

	shown := v.Instruments
	room = height - 1 - len(above) - len(below)
	if height > 0 && len(shown) > room {
		shown = v.venues()
		for _, l := range v.Instruments {
			if len(shown) < room && l.Book != valid {
				shown = append(shown, l)
			}
		}
	}
	for _, l := range shown {
		above = append(above, fmt.Sprintf("%-13s %-14s %5.0f %-9.9s %10s %10s %4d %8s  %s",
			l.Venue, l.Symbol, l.PerSecond, l.Book, l.Bid, l.Ask, l.Gaps, short(l.Lag), l.LastBar))
	}
	lines := append(above, below...)
	if height > 0 && len(lines) > height-1 {
		lines = lines[:max(0, height-1)]
	}
	return lines
}

// fewInstruments is for how many there is always room before there is for latencies.
const fewInstruments = 10

// valid is what InstrumentLine.Book says of a good book.
const valid = "valid"

// venues sums the instruments up, a line each venue: name and prices are those
// of its first one.
func (v *View) venues() (lines []InstrumentLine) {
	count := map[string]int{}
	good := map[string]int{}
	for _, l := range v.Instruments {
		count[l.Venue]++
		if l.Book == valid {
			good[l.Venue]++
		}
		if count[l.Venue] == 1 {
			lines = append(lines, l)
			continue
		}
		sum := &lines[len(lines)-1]
		sum.PerSecond += l.PerSecond
		sum.Gaps += l.Gaps
	}
	for i := range lines {
		l := &lines[i]
		if n := count[l.Venue]; n > 1 {
			l.Book, l.LastBar = fmt.Sprintf("%d/%d good", good[l.Venue], n), ""
		}
	}
	return lines
}

func (l *NbboLine) text() string {
	or := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	text := fmt.Sprintf("%-9s %-9s %11s %-13s %11s %-13s %d", l.Pair, l.Type, or(l.Bid), or(l.BidVenue), or(l.Ask), or(l.AskVenue), l.Venues)
	if l.Crossed {
		text += " x"
	}
	return text
}

// Lines is the View for an output that is no terminal: one line an instrument.
func (v *View) Lines() []string {
	var lines []string
	for _, l := range v.Instruments {
		lines = append(lines, fmt.Sprintf("%s %s msg/s=%.0f book=%s bid=%s ask=%s lag=%s gaps=%d bar=[%s]",
			l.Venue, l.Symbol, l.PerSecond, l.Book, l.Bid, l.Ask, short(l.Lag), l.Gaps, l.LastBar))
	}
	for _, l := range v.Nbbo {
		lines = append(lines, fmt.Sprintf("nbbo %s %s bid=%s ask=%s venues=%d crossed=%t", l.Pair, l.Type,
			strings.TrimSpace(l.Bid+" "+l.BidVenue), strings.TrimSpace(l.Ask+" "+l.AskVenue), l.Venues, l.Crossed))
	}
	for _, l := range v.Stages {
		lines = append(lines, fmt.Sprintf("stage %q p50=%s p99=%s max=%s n=%d", l.Name, short(l.P50), short(l.P99), short(l.Max), l.Count))
	}
	for i := range v.LatenciesOfAll { // those of each venue are many, and in the metrics
		l := &v.LatenciesOfAll[i]
		lines = append(lines, fmt.Sprintf("latency %q p50=%s p99=%s p99.9=%s max=%s n=%d", l.Stage, short(l.P50), short(l.P99), short(l.P999), short(l.Max), l.Count))
	}
	if v.Clock != "" {
		lines = append(lines, v.Clock)
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
