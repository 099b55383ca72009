package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"tickproc/internal/clock"
	"tickproc/internal/hardware"
)

// Options of Do. The zero value is useful.
type Options struct {
	// Measurements; default those of the registry.
	Measurements []Measurement
	// Only these, and the floors that they need; nil = all.
	Only *regexp.Regexp
	// Time a line, over all rounds; default 400 ms.
	Time time.Duration
	// Rounds go over all lines, so that what disturbs the machine for a while does
	// not disturb one line alone; default 3.
	Rounds int
	// Within bounds the whole: rounds behind the first that would not end by then
	// are left out; default 110 s, or twice what all lines are given.
	Within time.Duration
	// Data is a folder with captures/ of recorded sessions; "" = none.
	Data string
	// OtherProcess makes one that calls latency.Child with what is appended to its
	// arguments; nil = lines that take another process are skipped.
	OtherProcess func() *exec.Cmd
	// Version and commit of the build, for the report.
	Version string
	// Progress is told what is measured next; nil = nobody.
	Progress func(line string, done, of int)
}

// EnsureDefaults fills what is zero.
func (o *Options) EnsureDefaults() {
	if o.Measurements == nil {
		o.Measurements = All(o.Data)
	}
	if o.Time == 0 {
		o.Time = 400 * time.Millisecond
	}
	if o.Rounds == 0 {
		o.Rounds = 3
	}
	if o.Within == 0 {
		o.Within = max(110*time.Second, 2*o.Time*time.Duration(len(o.Measurements)))
	}
}

// Validate returns every fault at once.
func (o *Options) Validate() error {
	var faults []error
	if o.Time < time.Millisecond || o.Time > time.Hour {
		faults = append(faults, fmt.Errorf("a line takes %v: must be 1ms to 1h", o.Time))
	}
	if o.Rounds < 1 || o.Rounds > 1000 {
		faults = append(faults, fmt.Errorf("%d rounds: must be 1 to 1000", o.Rounds))
	}
	seen := map[string]bool{}
	for i := range o.Measurements {
		if name := o.Measurements[i].Name; seen[name] {
			panic("BUG: two measurements are called " + name)
		} else {
			seen[name] = true
		}
	}
	for i := range o.Measurements {
		if m := &o.Measurements[i]; m.Floor != "" && !seen[m.Floor] {
			panic("BUG: " + m.Name + " stands on " + m.Floor + ", which nobody measures")
		}
	}
	if o.Only != nil && len(o.selected()) == 0 {
		faults = append(faults, fmt.Errorf("%q matches no line: they are %s", o.Only, strings.Join(o.names(), ", ")))
	}
	return errors.Join(faults...)
}

func (o *Options) names() (all []string) {
	for i := range o.Measurements {
		all = append(all, o.Measurements[i].Name)
	}
	return all
}

// selected are the lines that Only names, and the floors of floors that they
// need, in the order of the registry.
func (o *Options) selected() (chosen []*Measurement) {
	want := map[string]bool{}
	for i := range o.Measurements {
		if name := o.Measurements[i].Name; o.Only == nil || o.Only.MatchString(name) {
			want[name] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for i := range o.Measurements {
			if m := &o.Measurements[i]; want[m.Name] && m.Floor != "" && !want[m.Floor] {
				want[m.Floor], grown = true, true
			}
		}
	}
	for i := range o.Measurements {
		if m := &o.Measurements[i]; want[m.Name] {
			chosen = append(chosen, m)
		}
	}
	return chosen
}

// Run is what a measurement is given.
type Run struct {
	Time time.Duration // to measure for, in this round
	// Cores that threads may be tied to; empty where the system does not tell.
	Cores []int

	ctx      context.Context
	other    func() *exec.Cmd
	sessions map[Recipe]*Session
	recorded map[string]*Session // by path
}

// Stopped reports that whoever asked for the measurements wants no more.
func (r *Run) Stopped() bool { return r.ctx.Err() != nil }

// Generated returns the session of a recipe, made when it is first asked for.
func (r *Run) Generated(recipe Recipe) (*Session, error) {
	if s := r.sessions[recipe]; s != nil {
		return s, nil
	}
	s, err := Generate(recipe)
	if err == nil {
		r.sessions[recipe] = s
	}
	return s, err
}

// Do measures and reports. A cancelled context is no error: the report has what
// was measured until then, and says so.
func Do(ctx context.Context, o Options) (*Report, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	report := &Report{Version: o.Version, Started: time.Now().UTC(), TimeNanos: o.Time.Nanoseconds(), Rounds: o.Rounds}
	machine := lookAtMachine()
	run := &Run{ctx: ctx, other: o.OtherProcess, Time: o.Time / time.Duration(o.Rounds), Cores: hardware.ReadCores().Allowed, sessions: map[Recipe]*Session{}, recorded: map[string]*Session{}}
	chosen := o.selected()
	samples, failed := make([]*Sample, len(chosen)), make([]string, len(chosen))
	from := clock.Nanos()
	for round := range o.Rounds {
		if passed := clock.Nanos() - from; round > 0 && passed/int64(round)*int64(round+1) > int64(o.Within) {
			report.Rounds = round
			report.Warnings = append(report.Warnings, fmt.Sprintf("the machine is slow or busy: %d of %d rounds within %v", round, o.Rounds, o.Within))
			break
		}
		for i, m := range chosen {
			if run.Stopped() {
				report.Interrupted = true
				break
			}
			if failed[i] != "" {
				continue
			}
			if cores := usableCores(run.Cores); cores < m.Cores {
				failed[i] = fmt.Sprintf("needs %d cores, here is %d: threads that spin would wait for each other", m.Cores, cores)
				continue
			}
			if o.Progress != nil {
				o.Progress(m.Name, round*len(chosen)+i, o.Rounds*len(chosen))
			}
			if samples[i] == nil {
				samples[i] = newSample()
			}
			runtime.GC() // what came before must not be collected at this line's expense
			if err := m.Run(run, samples[i]); err != nil && !run.Stopped() {
				failed[i] = err.Error()
			}
		}
	}
	report.Seconds = float64(clock.Nanos()-from) / 1e9
	report.Machine = machine.since()
	report.Warnings = append(report.Machine.warnings(), report.Warnings...)
	for i, m := range chosen {
		report.Lines = append(report.Lines, resultOf(m, samples[i]))
		report.Lines[i].Skipped = failed[i]
		if failed[i] == "" && report.Lines[i].Samples == 0 {
			report.Lines[i].Skipped = "interrupted before it was measured"
		}
	}
	report.compare(chosen)
	report.samples = samples
	return report, nil
}

// usableCores is how many threads of this process can run at once.
func usableCores(cores []int) int {
	n := runtime.GOMAXPROCS(0)
	if len(cores) > 0 {
		n = min(n, len(cores))
	}
	return n
}
