package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

// Report is what Do found. Its JSON form is stable: keys may be added.
type Report struct {
	Version     string    `json:"version"`
	Started     time.Time `json:"started"`
	Seconds     float64   `json:"seconds"`
	TimeNanos   int64     `json:"time_ns"` // a line, over all rounds
	Rounds      int       `json:"rounds"`
	Interrupted bool      `json:"interrupted"`
	Machine     Machine   `json:"machine"`
	Warnings    []string  `json:"warnings"`
	Lines       []Result  `json:"lines"`

	samples []*Sample
}

// Result is one line. Times are ns of one Unit; each sample is the mean of
// Batch operations, so that with a Batch above 1 the percentiles are those of
// means.
type Result struct {
	Name       string   `json:"name"`
	What       string   `json:"what"`
	Unit       string   `json:"unit"`
	Samples    int64    `json:"samples"`
	Batch      int      `json:"batch"`
	Min        float64  `json:"min_ns"`
	P50        float64  `json:"p50_ns"`
	P99        float64  `json:"p99_ns"`
	P999       float64  `json:"p99_9_ns"`
	Max        float64  `json:"max_ns"`
	Mean       float64  `json:"mean_ns"`
	Floor      string   `json:"floor,omitempty"`
	FloorNanos float64  `json:"floor_ns,omitempty"` // its p50
	Ratio      float64  `json:"ratio,omitempty"`    // p50 / floor_ns
	Allocs     *float64 `json:"allocs,omitempty"`   // a unit; absent where they cannot be told
	Aim        string   `json:"aim,omitempty"`
	Met        *bool    `json:"met,omitempty"`    // absent without an aim, or where it cannot be judged
	Frames     string   `json:"frames,omitempty"` // that were gone round
	Note       string   `json:"note,omitempty"`
	Skipped    string   `json:"skipped,omitempty"` // why there are no figures
}

func resultOf(m *Measurement, s *Sample) Result {
	r := Result{Name: m.Name, What: m.What, Unit: m.Unit, Floor: m.Floor, Aim: m.Aim.Text}
	if s == nil || s.picos.TotalCount() == 0 {
		return r
	}
	at := func(percentile float64) float64 { return float64(s.picos.ValueAtPercentile(percentile)) / 1000 }
	r.Samples, r.Batch, r.Note, r.Frames = s.picos.TotalCount(), max(s.Batch, 1), s.Note, s.Frames
	r.Min, r.P50, r.P99, r.P999, r.Max, r.Mean = float64(s.picos.Min())/1000, at(50), at(99), at(99.9), float64(s.picos.Max())/1000, s.picos.Mean()/1000
	if s.ops > 0 && !s.NoAllocs {
		allocs := math.Round(float64(s.mallocs)/float64(s.ops)*1e4) / 1e4
		r.Allocs = &allocs
	}
	return r
}

// compare fills in floors and whether aims are met.
func (r *Report) compare(chosen []*Measurement) {
	byName := map[string]*Result{}
	for i := range r.Lines {
		byName[r.Lines[i].Name] = &r.Lines[i]
	}
	for i := range r.Lines {
		if floor := byName[r.Lines[i].Floor]; floor != nil && floor.P50 > 0 && r.Lines[i].Samples > 0 {
			r.Lines[i].FloorNanos, r.Lines[i].Ratio = floor.P50, r.Lines[i].P50/floor.P50
		}
	}
	for i, m := range chosen {
		line := &r.Lines[i]
		if m.Aim.Met == nil || line.Samples == 0 || line.Floor != "" && line.FloorNanos == 0 {
			continue
		}
		if cores := m.Aim.Cores; cores > r.Machine.MaxProcs {
			line.Note = strings.TrimPrefix(fmt.Sprintf("%s; the aim is not judged: with less than %d cores whoever spins takes that of the others", line.Note, cores), "; ")
			continue
		}
		if m.Aim.Calm && !r.Machine.calm() {
			line.Note = strings.TrimPrefix(line.Note+"; the aim is not judged: others used the machine", "; ")
			continue
		}
		met := m.Aim.Met(line, func(name string) *Result { return byName[name] })
		line.Met = &met
	}
}

// WriteJSON writes the report as one object.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// WriteHDR writes the distribution of each line into dir, as HdrHistogram's
// tools read them: percentiles in ns.
func (r *Report) WriteHDR(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range r.Lines {
		if r.Lines[i].Samples == 0 {
			continue
		}
		var text strings.Builder
		if _, err := r.samples[i].picos.PercentilesPrint(&text, 5, 1000); err != nil {
			return err
		}
		path := filepath.Join(dir, strings.NewReplacer("/", "_", " ", "_").Replace(r.Lines[i].Name)+".hgrm")
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	b.WriteString(r.Machine.String())
	fmt.Fprintf(&b, "%s; %s, %d rounds, %v a line, %.0f s in all\n", r.Version, r.Started.Format("2006-01-02 15:04 MST"), r.Rounds, time.Duration(r.TimeNanos), r.Seconds)
	if r.Interrupted {
		b.WriteString("interrupted: this is what was measured until then\n")
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(&b, "WARNING: %s\n", warning)
	}
	b.WriteString("\n")
	rows := [][]string{{"LINE", "OF", "P50", "P99", "P99.9", "MAX", "K", "FLOOR", "RATIO", "ALLOCS", "AIM", ""}}
	for i := range r.Lines {
		rows = append(rows, r.Lines[i].row())
	}
	writeColumns(&b, rows)
	notes := 0
	for i := range r.Lines {
		line := &r.Lines[i]
		for _, text := range []string{line.Skipped, line.Note} {
			if text == "" {
				continue
			}
			if notes++; notes == 1 {
				b.WriteString("\n")
			}
			fmt.Fprintf(&b, "%s: %s\n", line.Name, text)
		}
	}
	b.WriteString("\nK: a sample is the mean of K operations, and with K > 1 percentiles and maximum are those of means. RATIO: p50 / p50 of FLOOR.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (l *Result) row() []string {
	if l.Samples == 0 {
		return []string{l.Name, l.Unit, "-", "", "", "", "", l.Floor, "", "", l.Aim, ""}
	}
	row := []string{l.Name, l.Unit, nanosText(l.P50), nanosText(l.P99), nanosText(l.P999), nanosText(l.Max), fmt.Sprint(l.Batch), l.Floor, "", "", l.Aim, ""}
	if l.Ratio > 0 {
		row[8] = fmt.Sprintf("%.3g", l.Ratio)
		if l.Ratio >= 1000 {
			row[8] = fmt.Sprintf("%.0f", l.Ratio)
		}
	}
	if l.Allocs != nil {
		row[9] = fmt.Sprintf("%.3g", *l.Allocs)
	}
	switch {
	case l.Met == nil:
	case *l.Met:
		row[11] = "met"
	default:
		row[11] = "NOT MET"
	}
	return row
}

// writeColumns writes a table; columns 2 to 6, 8 and 9 hold numbers.
func writeColumns(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	for _, row := range rows {
		line := ""
		for i, text := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if i >= 2 && i <= 6 || i == 8 || i == 9 {
				text = pad + text
			} else {
				text += pad
			}
			line += text + "  "
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// nanosText is a time with three digits and its unit.
func nanosText(ns float64) string {
	unit := "ns"
	for _, next := range []string{"µs", "ms", "s"} {
		if ns < 999.5 {
			break
		}
		ns, unit = ns/1000, next
	}
	switch {
	case ns >= 100:
		return fmt.Sprintf("%.0f%s", ns, unit)
	case ns >= 10:
		return fmt.Sprintf("%.1f%s", ns, unit)
	}
	return fmt.Sprintf("%.2f%s", ns, unit)
}
