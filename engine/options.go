package engine

import (
	"errors"
	"fmt"
	"time"

	"tickproc/indicators"
	"tickproc/internal/state"
	"tickproc/tick"
)

// Options say what a shard computes. They are part of what its output is a
// function of.
type Options struct {
	Intervals []time.Duration // of bars
	Grace     time.Duration   // a bar closes this long after its end, on the venue's clock; default 250 ms
	Lateness  time.Duration   // trades older than this no longer revise; default 10 s
	Carry     bool            // empty intervals repeat the last close instead of being skipped
	// Windows in the order in which rows name them; Grace, Lateness and Name are filled in.
	Windows []indicators.WindowSpec

	BookEvery time.Duration // sampling of the book table; default 1 s
	// BookGrace is how long after its boundary a sample waits for the next message,
	// which writes it, before a timer does; default Grace.
	BookGrace    time.Duration
	BookOnChange bool // a book row at every change of the sampled levels instead
	BookDepth    int  // levels a side in book rows; default 10

	// Silence: a book without a depth message for this long is not trusted; default 5 min.
	Silence time.Duration
	// Stale: nor is one whose venue's quotes ran ahead of its depth for this long; default 3 s.
	Stale time.Duration
	// LineHold is how long a depth message waits for another line to bring what
	// lies before it, and how long a line must have been whole to vouch for what
	// another loses; default 250 ms.
	LineHold time.Duration
	// ClockWindow: exchange times farther than this from the receive time are
	// nonsense, and the receive time stands in; default 10 min.
	ClockWindow time.Duration

	// Backfill asks the feeds for trades that were missed.
	Backfill bool
	// BackfillReach is how old a trade that was fetched may be and still revise its
	// bars; bars since the start of a gap are held for so long. Default 1 h.
	BackfillReach time.Duration
	// BackfillWithin is when fetching the trades of a gap is given up, counted from
	// its end; default 30 min.
	BackfillWithin time.Duration

	// Nbbo consolidates the best bids and offers of instruments that trade the
	// same base and quote asset, spot and perpetuals each for themselves.
	Nbbo bool
	// NbboStale: a venue whose quotes and depth are silent for this long does not
	// count; default 10 s.
	NbboStale time.Duration
	// NbboEvery is the least time between two rows of a group; default 100 ms.
	// That no venue counts any more is written at once.
	NbboEvery time.Duration
}

// window returns the spec of the i-th window with all that it shares with the
// others.
func (o *Options) window(i int) indicators.WindowSpec {
	spec := o.Windows[i]
	spec.Grace, spec.Lateness = o.Grace, o.Lateness
	spec.EnsureDefaults()
	return spec
}

// EnsureDefaults fills what is zero.
func (o *Options) EnsureDefaults() {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.Grace, 250 * time.Millisecond}, {&o.Lateness, 10 * time.Second}, {&o.BookEvery, time.Second},
		{&o.Silence, 5 * time.Minute}, {&o.Stale, 3 * time.Second}, {&o.LineHold, 250 * time.Millisecond},
		{&o.ClockWindow, 10 * time.Minute}, {&o.BackfillReach, time.Hour}, {&o.BackfillWithin, 30 * time.Minute}, {&o.NbboStale, 10 * time.Second}, {&o.NbboEvery, 100 * time.Millisecond}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.BookGrace == 0 {
		o.BookGrace = o.Grace
	}
	if o.BookDepth == 0 {
		o.BookDepth = 10
	}
}

// validate returns every fault of options that were loaded.
func (o *Options) validate() error {
	var faults []error
	for _, interval := range o.Intervals {
		faults = append(faults, indicators.BarsSpec{Interval: interval, Grace: o.Grace, Lateness: o.Lateness}.Validate())
	}
	for i := range o.Windows {
		faults = append(faults, o.window(i).Validate())
	}
	if o.BookEvery <= 0 || o.BookDepth < 0 || o.BookDepth > tick.MaxLevels/2 {
		faults = append(faults, fmt.Errorf("a book of %d levels every %v", o.BookDepth, o.BookEvery))
	}
	return errors.Join(faults...)
}

func (o *Options) code(c *state.Coder) {
	span := func(d *time.Duration) { c.Int64((*int64)(d)) }
	n := c.Len(len(o.Intervals), 8, 1<<16)
	if c.Loading() {
		o.Intervals = make([]time.Duration, n)
	}
	for i := range o.Intervals {
		span(&o.Intervals[i])
	}
	n = c.Len(len(o.Windows), 16, 1<<16)
	if c.Loading() {
		o.Windows = make([]indicators.WindowSpec, n)
	}
	for i := range o.Windows {
		span(&o.Windows[i].Span)
		span(&o.Windows[i].Step)
	}
	span(&o.Grace)
	span(&o.Lateness)
	c.Bool(&o.Carry)
	span(&o.BookEvery)
	span(&o.BookGrace)
	c.Bool(&o.BookOnChange)
	c.Int(&o.BookDepth)
	span(&o.Silence)
	span(&o.Stale)
	span(&o.LineHold)
	span(&o.ClockWindow)
	c.Bool(&o.Backfill)
	span(&o.BackfillReach)
	span(&o.BackfillWithin)
	c.Bool(&o.Nbbo)
	span(&o.NbboStale)
	span(&o.NbboEvery)
}
