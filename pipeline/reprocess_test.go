package pipeline

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"tickproc/feeds/binance"
	"tickproc/feeds/sim"
	"tickproc/writer"
)

func recording(c *Config) {
	c.Record.Enabled = On
	c.Bars.Intervals, c.Bars.Lateness, c.Bars.Grace = []Duration{Duration(100 * time.Millisecond)}, Duration(100*time.Millisecond), Duration(50*time.Millisecond)
}

// reprocess runs a period again; rows gets what would go to QuestDB.
func (l *logLab) reprocess(from, to time.Time, rows writer.Sink, edit func(*ReprocessOptions)) *ReprocessReport {
	l.t.Helper()
	o := ReprocessOptions{Config: l.config, From: from, To: to, Logger: slog.New(slog.DiscardHandler)}
	if edit != nil {
		edit(&o)
	}
	r, err := newReprocess(o)
	if err != nil {
		l.t.Fatal(err)
	}
	report, err := r.run(l.t.Context(), []writer.Sink{rows})
	if err != nil {
		l.t.Fatal(err)
	}
	return report
}

// same fails the test where a reprocessed period differs from the logged one.
func (r *ReprocessReport) same(t *testing.T, what string) {
	t.Helper()
	var b strings.Builder
	r.Print(&b)
	for _, x := range r.Tables {
		if x.Differs || x.Before != x.Now {
			t.Errorf("%s: %s differs\n%s", what, x.Table, &b)
			return
		}
	}
	if r.StateHash != r.StateHashBefore || r.Frames == 0 || r.Kept > 0 || len(r.Tables) == 0 {
		t.Errorf("%s: state %s, before %s\n%s", what, r.StateHash, r.StateHashBefore, &b)
	}
}

// The same decoders give the same rows and the same state, of all venues, through
// faults and a restart, wherever a period begins and ends: with a snapshot, or
// with the beginning of the logs.
func TestReprocessOfTheSame(t *testing.T) {
	t.Parallel()
	l := newLogLab(t, sim.Options{Seed: 31, Levels: 60, Rate: 60}, recording)
	var times []time.Time
	mark := func() { times = append(times, time.Now()) }
	l.run(newRowCounts(), func(x *lab) {
		x.awaitValid()
		x.awaitEvents(300)
		mark()
		for _, kind := range []sim.FaultKind{sim.FaultDrop, sim.FaultReorder, sim.FaultGarbage, sim.FaultDisconnect} {
			for _, venue := range []string{binance.USDM, binance.COINM} {
				x.inject(sim.Fault{Kind: kind, Venue: venue})
			}
			x.awaitEvents(150)
		}
		mark()
		x.awaitEvents(200)
		mark()
	})
	l.run(newRowCounts(), func(x *lab) {
		x.awaitValid()
		x.awaitEvents(200)
		mark()
		x.awaitEvents(100)
	})
	discard := writer.NewMemory(0)
	f := func(what string, from, to time.Time, snapshot bool) {
		t.Helper()
		report := l.reprocess(from, to, discard, nil)
		report.same(t, what)
		if report.Snapshot > 0 != snapshot {
			t.Errorf("%s: it begins with snapshot %d", what, report.Snapshot)
		}
	}
	f("faults", times[0], times[1], false)
	f("over a restart", times[2], times[3], false)
	f("from a snapshot to the end", times[3], time.Time{}, true)
	f("all", times[0].Add(-time.Hour), time.Time{}, false)
}
