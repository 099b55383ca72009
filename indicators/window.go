package indicators

import (
	"errors"
	"fmt"
	"time"

	"tickproc/tick"
)

// WindowSpec configures a VWAP window, sliding or of the session.
type WindowSpec struct {
	// Span of a sliding window: a row at time b is about [b-Span, b). 0 = the
	// session, which begins at 00:00 UTC.
	Span time.Duration
	// Step between rows; they lie at its multiples since 1970-01-01 00:00 UTC.
	// Default 1 s.
	Step time.Duration
	// Grace is how long after its end a window waits for trades before it is final.
	Grace time.Duration
	// Lateness is how old a trade may be and still revise windows.
	Lateness time.Duration
}

const day = 24 * time.Hour

// EnsureDefaults fills in the step.
func (s *WindowSpec) EnsureDefaults() {
	if s.Step == 0 {
		s.Step = time.Second
	}
}

// Validate returns every fault at once.
func (s WindowSpec) Validate() error {
	s.EnsureDefaults()
	var faults []error
	if s.Span < 0 {
		faults = append(faults, fmt.Errorf("vwap span %v: must be above 0, or 0 for the session", s.Span))
	}
	if s.Step < 0 {
		faults = append(faults, fmt.Errorf("vwap step %v: must be above 0", s.Step))
	}
	if s.Span == 0 && s.Step > 0 && day%s.Step != 0 {
		faults = append(faults, fmt.Errorf("vwap step %v of the session: must divide 24h, so that a row falls on midnight", s.Step))
	}
	faults = append(faults, validateWaits(s.Grace, s.Lateness))
	if err := errors.Join(faults...); err != nil {
		return err
	}
	if s.slots() > slotsMax {
		return fmt.Errorf("vwap span %v with step %v and lateness %v: more than %d buckets of %v would be held; use a longer step, one that divides the span, or less lateness",
			s.Span, s.Step, s.Lateness, slotsMax, s.width())
	}
	return nil
}

// width of the buckets of which every window is made whole.
func (s WindowSpec) width() time.Duration {
	a, b := s.Span, s.Step
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

// slots: the buckets of a window that a late trade still revises, up to the
// open one, one that waits out its grace, and one for a trade ahead of the clock.
func (s WindowSpec) slots() int64 { return int64(s.Span/s.width()) + int64(s.Lateness/s.width()) + 4 }

// New builds the indicator.
func (s WindowSpec) New(coverage *Coverage) Indicator {
	if s.Span == 0 {
		return NewSessionVWAP(s, coverage)
	}
	return NewSlidingVWAP(s, coverage)
}

// row appends the row of the window that ends at end.
func (s *WindowSpec) row(end int64, total *sums, rev uint32, flags tick.RowFlags, out *Out) {
	rows, u := tick.NewRow(out.Rows, tick.RowWindow)
	out.Rows = rows
	r := u.WindowRow()
	r.RowHeader = out.header(tick.RowWindow, flags, end)
	r.Volume, r.Notional, r.Trades = total.volume, total.notional, total.trades
	r.SpanNanos, r.StepNanos, r.Rev = int64(s.Span), int64(s.Step), rev
}
