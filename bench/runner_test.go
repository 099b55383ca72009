package bench

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// fixed is a measurement that finds the same each round.
func fixed(name string, ns int64, change func(*Measurement)) Measurement {
	m := Measurement{Name: name, What: "a test", Unit: "thing", Run: func(_ *Run, s *Sample) error {
		s.Batch = 1
		s.Add(ns, 1)
		return nil
	}}
	if change != nil {
		change(&m)
	}
	return m
}

func do(t *testing.T, ctx context.Context, o Options) *Report {
	t.Helper()
	o.Time = time.Millisecond
	report, err := Do(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func namesOf(r *Report) (all []string) {
	for i := range r.Lines {
		all = append(all, r.Lines[i].Name)
	}
	return all
}

// All lines are gone over once a round, in the order of the registry.
func TestRoundsGoOverAllLines(t *testing.T) {
	t.Parallel()
	var order []string
	note := func(m *Measurement) {
		run := m.Run
		m.Run = func(r *Run, s *Sample) error {
			order = append(order, m.Name)
			return run(r, s)
		}
	}
	lines := []Measurement{fixed("a", 1, nil), fixed("b", 2, nil)}
	for i := range lines {
		note(&lines[i])
	}
	r := do(t, t.Context(), Options{Measurements: lines, Rounds: 3})
	if !slices.Equal(order, []string{"a", "b", "a", "b", "a", "b"}) {
		t.Errorf("measured in the order %v", order)
	}
	if r.Lines[1].Samples != 3 || int(r.Lines[1].P50) != 2 {
		t.Errorf("b: %+v", r.Lines[1])
	}
}

// A line that is asked for alone brings the floors that it stands on, and theirs.
func TestOnlyBringsFloors(t *testing.T) {
	t.Parallel()
	on := func(floor string) func(*Measurement) { return func(m *Measurement) { m.Floor = floor } }
	r := do(t, t.Context(), Options{Only: regexp.MustCompile("top"), Rounds: 1, Measurements: []Measurement{
		fixed("other", 1, nil), fixed("ground", 10, nil), fixed("middle", 20, on("ground")), fixed("top", 50, on("middle"))}})
	if !slices.Equal(namesOf(r), []string{"ground", "middle", "top"}) {
		t.Fatalf("measured %v", namesOf(r))
	}
	if top := r.Lines[2]; int(top.FloorNanos) != 20 || top.Ratio < 2.49 || top.Ratio > 2.51 {
		t.Errorf("top stands on %v ns, ratio %v", top.FloorNanos, top.Ratio)
	}
}

// Figures have three digits.
func TestAimsAreJudged(t *testing.T) {
	t.Parallel()
	f := func(aim Aim, p50, floor int64, want bool) {
		t.Helper()
		r := do(t, t.Context(), Options{Rounds: 1, Measurements: []Measurement{fixed("floor", floor, nil),
			fixed("line", p50, func(m *Measurement) { m.Floor, m.Aim = "floor", aim })}})
		if met := r.Lines[1].Met; met == nil || *met != want {
			t.Errorf("%s: %d ns on a floor of %d: %v", aim.Text, p50, floor, met)
		}
	}
	f(atMost(150), 149, 1, true)
	f(atMost(150), 151, 1, false)
	f(timesFloor(1.5), 149, 100, true)
	f(timesFloor(1.5), 152, 100, false)
	f(TimesFaster(6), 10, 61, true)
	f(TimesFaster(6), 11, 60, false)
	// Where sleepers wait for their turn, nothing is judged that sleeps.
	of := func(others float64, p50 int64) *bool {
		r := &Report{Machine: Machine{Others: others}, Lines: []Result{{Name: "floor", P50: 100, Samples: 1}, {Name: "line", Floor: "floor", P50: float64(p50), Samples: 1}}}
		r.compare([]*Measurement{{}, {Aim: beyondFloor(50)}})
		return r.Lines[1].Met
	}
	if met := of(0.01, 150); met == nil || !*met {
		t.Error("a floor of 100 and 50 more is not within 50 of it")
	}
	if met := of(0.01, 151); met == nil || *met {
		t.Error("a floor of 100 and 51 more is within 50 of it")
	}
	if of(0.5, 150) != nil {
		t.Error("a busy machine was judged")
	}
	// Nor is what more cores would do.
	one := &Report{Machine: Machine{MaxProcs: 2}, Lines: []Result{{Name: "line", P50: 1, Samples: 1}}}
	aim := atMost(5)
	aim.Cores = 3
	if one.compare([]*Measurement{{Aim: aim}}); one.Lines[0].Met != nil || !strings.Contains(one.Lines[0].Note, "less than 3 cores") {
		t.Errorf("two cores were judged as three: %+v", one.Lines[0])
	}
	// Without its floor nobody knows.
	r := do(t, t.Context(), Options{Rounds: 1, Measurements: []Measurement{
		fixed("floor", 1, func(m *Measurement) { m.Run = func(*Run, *Sample) error { return errors.New("no socket") } }),
		fixed("line", 5, func(m *Measurement) { m.Floor, m.Aim = "floor", timesFloor(2) })}})
	if r.Lines[0].Skipped != "no socket" || r.Lines[1].Met != nil || r.Lines[1].Ratio != 0 {
		t.Errorf("%+v", r.Lines)
	}
}

// A trade on its way to another process may cost what the log does, and its tail
// a fifth more than the floor's.
func TestAimOfTheOtherProcess(t *testing.T) {
	t.Parallel()
	f := func(more string, p50, p99 float64, want bool) {
		t.Helper()
		line := Result{Floor: "floor", P50: p50, P99: p99}
		of := func(name string) *Result { return map[string]*Result{"floor": {P99: 1000}, "log": {P50: 100}}[name] }
		if met := toProcess(more).Met(&line, of); met != want {
			t.Errorf("p50 %v, p99 %v, and %q: %v", p50, p99, more, met)
		}
	}
	f("", 400, 1200, true)
	f("", 401, 1200, false)
	f("", 400, 1201, false)
	f("log", 500, 1200, true)
	f("log", 501, 1200, false)
	f("not measured", 401, 1200, false)
}

// A cancelled run returns what it has.
func TestInterruptedRunReports(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	r := do(t, ctx, Options{Rounds: 3, Measurements: []Measurement{fixed("a", 7, nil),
		fixed("b", 8, func(m *Measurement) {
			run := m.Run
			m.Run = func(r *Run, s *Sample) error { cancel(); return run(r, s) }
		}), fixed("c", 9, nil)}})
	if !r.Interrupted || r.Lines[0].Samples != 1 || r.Lines[1].Samples != 1 {
		t.Errorf("interrupted %v, %+v", r.Interrupted, r.Lines)
	}
	if c := r.Lines[2]; c.Samples != 0 || c.Skipped != "interrupted before it was measured" {
		t.Errorf("c: %+v", c)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "interrupted: this is what was measured until then") {
		t.Errorf("%v\n%s", err, text.String())
	}
}

// On a slow machine rounds are left out, never the first.
func TestRoundsThatDoNotFit(t *testing.T) {
	t.Parallel()
	r := do(t, t.Context(), Options{Rounds: 5, Within: 1, Measurements: []Measurement{fixed("a", 7, nil)}})
	if r.Rounds != 1 || r.Lines[0].Samples != 1 || !strings.Contains(strings.Join(r.Warnings, "\n"), "1 of 5 rounds") {
		t.Errorf("%d rounds, %+v, %q", r.Rounds, r.Lines[0], r.Warnings)
	}
}

// Lines that need more cores than there are say so, and are not tried.
func TestTooFewCores(t *testing.T) {
	t.Parallel()
	r := do(t, t.Context(), Options{Rounds: 1, Measurements: []Measurement{fixed("a", 1, func(m *Measurement) { m.Cores = 100_000 })}})
	if r.Lines[0].Samples != 0 || !strings.Contains(r.Lines[0].Skipped, "needs 100000 cores") {
		t.Errorf("%+v", r.Lines[0])
	}
}

func TestFaultyOptions(t *testing.T) {
	t.Parallel()
	f := func(o Options, want string) {
		t.Helper()
		o.Measurements = []Measurement{fixed("a", 1, nil)}
		if _, err := Do(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("have %v, want %s", err, want)
		}
	}
	f(Options{Time: time.Microsecond}, "a line takes 1µs")
	f(Options{Rounds: -1}, "-1 rounds")
	f(Options{Only: regexp.MustCompile("b")}, `"b" matches no line: they are a`)
}

// The registry's names are unique, and its floors are lines of it.
func TestRegistry(t *testing.T) {
	t.Parallel()
	for _, data := range []string{"", "somewhere"} {
		o := Options{Data: data}
		o.EnsureDefaults()
		if err := o.Validate(); err != nil { // which panics on either
			t.Error(err)
		}
		for i := range o.Measurements {
			if m := &o.Measurements[i]; m.What == "" || m.Unit == "" || m.Run == nil || strings.ContainsAny(m.Name, " \t") {
				t.Errorf("%q is not complete: %+v", m.Name, m)
			}
		}
	}
}
