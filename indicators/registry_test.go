package indicators

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tickproc/tick"
)

// examples are the configurations in which each kind is held to the contract.
// A new kind adds its own.
var examples = map[string][]Spec{
	"bars": {
		BarsSpec{Interval: time.Second, Grace: 250 * time.Millisecond, Lateness: 10 * time.Second},
		BarsSpec{Interval: time.Second, Grace: 250 * time.Millisecond, Lateness: 10 * time.Second, Carry: true},
		BarsSpec{Interval: 7 * time.Second, Grace: 250 * time.Millisecond, Lateness: 3 * time.Second, Carry: true},
		BarsSpec{Interval: time.Second, Carry: true},
		BarsSpec{Interval: 500 * time.Millisecond, Grace: 2 * time.Second, Lateness: time.Second},
		BarsSpec{Interval: 5 * time.Second, Grace: 250 * time.Millisecond, Lateness: 10 * time.Second,
			Inverse: true, ContractSize: tick.Number{Mantissa: 105, Digits: 1}, PriceDigits: 1, SizeDigits: 3},
	},
	"vwap": {
		WindowSpec{Span: 5 * time.Second, Step: time.Second, Grace: 250 * time.Millisecond, Lateness: 10 * time.Second},
		WindowSpec{Span: 1500 * time.Millisecond, Step: time.Second, Grace: 250 * time.Millisecond, Lateness: 4 * time.Second},
		WindowSpec{Span: time.Second, Step: 3 * time.Second, Grace: 250 * time.Millisecond, Lateness: 10 * time.Second},
		WindowSpec{Span: 4 * time.Second, Step: 2 * time.Second},
		WindowSpec{Span: time.Second, Step: 500 * time.Millisecond, Grace: 3 * time.Second, Lateness: time.Second},
	},
	"vwap_session": {
		WindowSpec{Step: 5 * time.Second, Grace: 250 * time.Millisecond, Lateness: 10 * time.Second},
		WindowSpec{},
		WindowSpec{Step: 500 * time.Millisecond, Grace: 3 * time.Second, Lateness: time.Second},
	},
}

// TestConformance holds every kind to the contract of Indicator.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds {
		if len(examples[kind.Name]) == 0 {
			t.Errorf("%s: no examples; add some", kind.Name)
		}
		for _, spec := range append([]Spec{kind.Default}, examples[kind.Name]...) {
			t.Run(fmt.Sprintf("%s/%+v", kind.Name, spec), func(t *testing.T) {
				t.Parallel()
				if err := spec.Validate(); err != nil {
					t.Fatal(err)
				}
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				for i := range uint64(6) {
					script := newScript(rand.New(rand.NewPCG(seed, i)), spec, 140)
					equalsModel(t, spec, script)
					isDeterministic(t, spec, script)
					resumesAnywhere(t, spec, script)
					rescalesAnywhere(t, spec, script)
				}
				arrivesInAnyOrder(t, spec, rand.New(rand.NewPCG(seed, 1)))
				refusesOverflow(t, spec)
			})
		}
	}
}

// action is one call of an indicator, or of its coverage and then of Revise.
type action struct {
	what                    string
	trade                   Trade
	now                     int64
	from, to                int64 // coverage
	priceFactor, sizeFactor int64
}

// run is one indicator or model with a coverage of its own.
type run struct {
	in       model
	coverage *Coverage
}

func (r *run) do(a *action) []tick.Unit {
	out := Out{Instrument: 1, PriceDigits: 2, SizeDigits: 3, NowNanos: a.now}
	switch a.what {
	case "trade":
		r.in.Trade(&a.trade)
	case "advance":
		r.in.Advance(a.now, &out)
	case "lose":
		r.coverage.Lose(a.from, a.to)
		r.in.Revise(a.from, a.to, &out)
	case "close":
		r.coverage.Close(a.to)
		r.in.Revise(a.to, math.MaxInt64, &out)
	case "restore":
		r.coverage.Restore(a.from, a.to)
		r.in.Revise(a.from, a.to, &out)
	case "rescale":
		if err := r.in.Rescale(a.priceFactor, a.sizeFactor); err != nil {
			panic(err)
		}
	case "finish":
		r.in.Finish(&out)
	}
	return out.Rows
}

func start(spec Spec) *run {
	coverage := new(Coverage)
	return &run{in: spec.New(coverage), coverage: coverage}
}

// timing returns what a script must know of a spec.
func timing(spec Spec) (step, grace, lateness int64) {
	switch s := spec.(type) {
	case BarsSpec:
		return int64(s.Interval), int64(s.Grace), int64(s.Lateness)
	case WindowSpec:
		s.EnsureDefaults()
		return int64(s.Step), int64(s.Grace), int64(s.Lateness)
	}
	panic("unknown spec")
}

// newScript makes actions across a midnight: trades late, early and at the
// edges, silences, losses and repairs, and growing scales.
func newScript(random *rand.Rand, spec Spec, length int) []action {
	step, grace, lateness := timing(spec)
	now := noon + 12*3600*second - 10*step
	price, priceFactor, sizeFactor := int64(1000), int64(1), int64(1)
	type bounds struct{ from, to int64 }
	var script []action
	var losses []bounds
	open := int64(none)
	add := func(a action) {
		a.now = now
		script = append(script, a)
	}
	for id := uint64(1); len(script) < length; id++ {
		switch dice := random.IntN(100); {
		case dice < 50:
			var ts int64
			switch random.IntN(8) {
			case 0:
				ts = now - random.Int64N(lateness+1) // late
			case 1:
				ts = max(floorTo(now, step), now-lateness) // the edge of a row
			case 2:
				ts = now + random.Int64N(3*step) // ahead of the clock
			default:
				ts = now - random.Int64N(min(grace, lateness)+1)
			}
			if random.IntN(2) == 0 {
				ts = max(floorTo(ts, 100*milli), now-lateness) // so that some share a time
			}
			price = max(1, price+random.Int64N(5)-2)
			add(action{what: "trade", trade: Trade{TsNanos: ts, ID: tick.ID{Hi: random.Uint64N(3), Lo: id * 7919 % 1000}, Sell: random.IntN(2) == 0,
				Price: price * priceFactor, Size: (1 + random.Int64N(1000)) * sizeFactor}})
		case dice < 88:
			switch random.IntN(20) {
			case 0:
				now += random.Int64N(40 * step) // a silence
			case 1, 2, 3, 4:
				now = floorTo(now, step) + step + grace // the very deadline
			default:
				now += random.Int64N(step)
			}
			add(action{what: "advance"})
		case dice < 92:
			from := now - random.Int64N(8*step)
			to := from + random.Int64N(2*step)
			losses = append(losses, bounds{from, to})
			add(action{what: "lose", from: from, to: to})
		case dice < 94 && open == none:
			open = now - random.Int64N(2*step)
			add(action{what: "lose", from: open, to: math.MaxInt64})
		case dice < 96 && open != none:
			losses = append(losses, bounds{open, max(open, now)})
			add(action{what: "close", to: max(open, now)})
			open = none
		case dice < 99 && len(losses) > 0:
			i := random.IntN(len(losses))
			add(action{what: "restore", from: losses[i].from, to: losses[i].to})
			losses = slices.Delete(losses, i, i+1)
		case priceFactor*sizeFactor < 1000:
			a := action{what: "rescale", priceFactor: tick.Pow10(uint8(random.IntN(2))), sizeFactor: tick.Pow10(uint8(random.IntN(2)))}
			priceFactor, sizeFactor = priceFactor*a.priceFactor, sizeFactor*a.sizeFactor
			add(a)
		}
	}
	add(action{what: "finish"})
	return script
}

// equalsModel: after each action the same rows as the model; and none before
// the deadline.
func equalsModel(t *testing.T, spec Spec, script []action) {
	t.Helper()
	fast := start(spec)
	slow := &run{coverage: new(Coverage)}
	slow.in = newModel(spec, slow.coverage)
	for i := range script {
		deadline := fast.in.(Indicator).Deadline()
		got, want := fast.do(&script[i]), slow.do(&script[i])
		if !slices.Equal(got, want) {
			t.Fatalf("action %d %+v gave\n%s\nwant\n%s", i, script[i], text(t, got), text(t, want))
		}
		if sliding, ok := fast.in.(*SlidingVWAP); ok {
			cursorHolds(t, sliding)
		}
		if script[i].what == "advance" && len(got) > 0 && deadline > script[i].now {
			t.Fatalf("action %d: rows at %d, before the deadline %d:\n%s", i, script[i].now, deadline, text(t, got))
		}
		if after := fast.in.(Indicator).Deadline(); script[i].what == "advance" && after <= script[i].now {
			t.Fatalf("action %d: advanced to %d, and the deadline is still %d", i, script[i].now, after)
		}
	}
}

// cursorHolds: the running sum is that of the buckets it says.
func cursorHolds(t *testing.T, v *SlidingVWAP) {
	t.Helper()
	var sum sums
	for i := range v.buckets.count {
		start := v.buckets.start(i)
		in := v.at != none && start < v.at && start >= v.at-v.span
		if in != (v.lo <= i && i < v.hi) {
			t.Fatalf("bucket %d of [%d, %d), window ends at %d: bucket begins at %d", i, v.lo, v.hi, v.at, start)
		}
		if in {
			sum.add(v.buckets.at(i))
		}
	}
	if sum != v.window || v.lo < 0 || v.hi > v.buckets.count {
		t.Fatalf("window of buckets [%d, %d): %+v, want %+v", v.lo, v.hi, v.window, sum)
	}
}

// isDeterministic: the same actions give the same rows and state, also after Reset.
func isDeterministic(t *testing.T, spec Spec, script []action) {
	t.Helper()
	if slices.ContainsFunc(script, func(a action) bool { return a.what == "rescale" }) {
		return // Reset keeps the scale
	}
	first, second := start(spec), start(spec)
	for i := range script {
		second.do(&script[len(script)-1-i])
	}
	second.in.(Indicator).Reset()
	*second.coverage = Coverage{}
	if empty := start(spec).in.(Indicator).AppendState(nil); !bytes.Equal(second.in.(Indicator).AppendState(nil), empty) {
		t.Fatal("state after Reset differs from a new one's")
	}
	for i := range script {
		if !slices.Equal(first.do(&script[i]), second.do(&script[i])) {
			t.Fatalf("action %d: other rows after Reset", i)
		}
	}
	if !bytes.Equal(first.in.(Indicator).AppendState(nil), second.in.(Indicator).AppendState(nil)) {
		t.Fatal("other state after Reset")
	}
}

// resumesAnywhere: saved and loaded at any place, the rest gives the same rows.
func resumesAnywhere(t *testing.T, spec Spec, script []action) {
	t.Helper()
	whole := start(spec)
	var rows [][]tick.Unit
	for i := range script {
		rows = append(rows, whole.do(&script[i]))
	}
	end := whole.in.(Indicator).AppendState(nil)
	saved := start(spec)
	for i := range script {
		state := saved.in.(Indicator).AppendState(nil)
		resumed := start(spec)
		*resumed.coverage = *saved.coverage
		rest, err := resumed.in.(Indicator).LoadState(append(slices.Clone(state), "rest"...))
		if err != nil || string(rest) != "rest" {
			t.Fatalf("load at action %d: %v, rest %q", i, err, rest)
		}
		if !bytes.Equal(resumed.in.(Indicator).AppendState(nil), state) {
			t.Fatalf("action %d: loaded state is saved differently", i)
		}
		for j := i; j < len(script); j++ {
			if got := resumed.do(&script[j]); !slices.Equal(got, rows[j]) {
				t.Fatalf("resumed at action %d: action %d gave\n%s\nwant\n%s", i, j, text(t, got), text(t, rows[j]))
			}
		}
		if !bytes.Equal(resumed.in.(Indicator).AppendState(nil), end) {
			t.Fatalf("resumed at action %d: ends in another state", i)
		}
		for cut := 0; i%20 == 0 && cut < len(state); cut++ {
			if _, err := resumed.in.(Indicator).LoadState(state[:cut]); err == nil {
				t.Fatalf("action %d: %d of %d bytes of a state were taken for one", i, cut, len(state))
			}
		}
		saved.do(&script[i])
	}
}

// rescalesAnywhere: whenever the scale grows, what follows is as if it had
// been so fine from the start.
func rescalesAnywhere(t *testing.T, spec Spec, script []action) {
	t.Helper()
	script = slices.DeleteFunc(slices.Clone(script), func(a action) bool { return a.what == "rescale" })
	const priceFactor, sizeFactor = 10, 1000
	fine := slices.Clone(script)
	for i := range fine {
		fine[i].trade.Price *= priceFactor
		fine[i].trade.Size *= sizeFactor
	}
	fineSpec := spec
	if bars, ok := spec.(BarsSpec); ok && bars.Inverse {
		bars.PriceDigits++
		bars.SizeDigits += 3
		fineSpec = bars
	}
	for at := 0; at < len(script); at += 9 {
		always, later := start(fineSpec), start(spec)
		for i := range script {
			if i == at {
				if err := later.in.Rescale(priceFactor, sizeFactor); err != nil {
					t.Fatal(err)
				}
			}
			want := always.do(&fine[i])
			if i < at {
				later.do(&script[i])
			} else if got := later.do(&fine[i]); !slices.Equal(got, want) {
				t.Fatalf("rescaled at %d: action %d gave\n%s\nwant\n%s", at, i, text(t, got), text(t, want))
			}
		}
		if !bytes.Equal(always.in.(Indicator).AppendState(nil), later.in.(Indicator).AppendState(nil)) {
			t.Fatalf("rescaled at %d: ends in another state", at)
		}
	}
}

// arrivesInAnyOrder: within the grace the order of arrival changes no byte;
// within the lateness it changes only which revision is the last.
func arrivesInAnyOrder(t *testing.T, spec Spec, random *rand.Rand) {
	t.Helper()
	step, grace, lateness := timing(spec)
	f := func(delayMax int64) (ordered, mixed []tick.Unit, states [2][]byte) {
		type arrival struct {
			at    int64
			trade Trade
		}
		var late []arrival
		ts := noon
		for id := range uint64(120) {
			if random.IntN(4) > 0 {
				ts += random.Int64N(step)
			}
			trade := Trade{TsNanos: ts, ID: tick.ID{Lo: id}, Price: 100 + random.Int64N(9), Size: 1 + random.Int64N(9), Sell: random.IntN(2) == 0}
			late = append(late, arrival{ts + random.Int64N(delayMax), trade})
		}
		end := ts + grace + lateness + 10*step
		for i := range 2 {
			in := spec.New(new(Coverage))
			var out Out
			arrivals := slices.Clone(late)
			if i == 0 {
				for j := range arrivals {
					arrivals[j].at = arrivals[j].trade.TsNanos
				}
			}
			slices.SortStableFunc(arrivals, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
			now := int64(noon)
			advance := func(to int64) {
				// As the engine does it: each deadline at its own time.
				for in.Deadline() <= to {
					now = max(now, in.Deadline())
					in.Advance(now, &out)
				}
				now = to
			}
			for _, a := range arrivals {
				advance(a.at)
				in.Trade(&a.trade)
			}
			advance(end)
			in.Advance(end, &out)
			in.Finish(&out)
			states[i] = in.AppendState(nil)
			if i == 0 {
				ordered = out.Rows
			} else {
				mixed = out.Rows
			}
		}
		return ordered, mixed, states
	}
	if grace > 0 && lateness > 0 {
		ordered, mixed, states := f(min(grace, lateness))
		if !slices.Equal(ordered, mixed) {
			t.Fatalf("within the grace, in order\n%s\nmixed\n%s", text(t, ordered), text(t, mixed))
		}
		if !bytes.Equal(states[0], states[1]) {
			t.Fatal("within the grace: the states differ")
		}
	}
	if lateness > 0 {
		ordered, mixed, _ := f(lateness)
		if a, b := lastRevisions(t, ordered), lastRevisions(t, mixed); a != b {
			t.Fatalf("within the lateness, in order\n%s\nmixed\n%s", a, b)
		}
	}
}

// lastRevisions shows the last row of each key, without its revision.
func lastRevisions(t *testing.T, units []tick.Unit) string {
	t.Helper()
	bars, windows := parse(t, units)
	last := map[int64][]tick.Unit{}
	for _, r := range bars {
		r.Rev = 0
		rows, u := tick.NewRow(nil, tick.RowBar)
		*u.BarRow() = r
		last[r.TsNanos] = rows
	}
	for _, r := range windows {
		r.Rev = 0
		rows, u := tick.NewRow(nil, tick.RowWindow)
		*u.WindowRow() = r
		last[r.TsNanos] = rows
	}
	var keys []int64
	for ts := range last {
		keys = append(keys, ts)
	}
	slices.Sort(keys)
	var all []tick.Unit
	for _, ts := range keys {
		all = append(all, last[ts]...)
	}
	return text(t, all)
}

// refusesOverflow: a scale that the state cannot hold changes nothing.
func refusesOverflow(t *testing.T, spec Spec) {
	t.Helper()
	r := start(spec)
	in := r.in.(Indicator)
	in.Trade(&Trade{TsNanos: noon, ID: tick.ID{Lo: 1}, Price: 1, Size: 1})
	in.Trade(&Trade{TsNanos: noon + 1, ID: tick.ID{Lo: 2}, Price: 5_000, Size: 7_000})
	before := in.AppendState(nil)
	if err := in.Rescale(tick.Pow10(18), tick.Pow10(18)); !errors.Is(err, tick.ErrRange) {
		t.Errorf("rescale beyond the range: %v", err)
	}
	if !bytes.Equal(in.AppendState(nil), before) {
		t.Error("a refused rescale changed the state")
	}
}

func TestAdvanceAndTradeZeroAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, kind := range Kinds {
		for _, spec := range append([]Spec{kind.Default}, examples[kind.Name]...) {
			step, _, lateness := timing(spec)
			in := spec.New(new(Coverage))
			out := Out{Rows: make([]tick.Unit, 0, 4096)}
			now, id := noon, uint64(0)
			var trade Trade // outside, because what goes through an interface escapes
			spin := func() {
				out.Rows = out.Rows[:0]
				for range 40 {
					id++
					now += step / 4
					trade = Trade{TsNanos: now, ID: tick.ID{Lo: id}, Price: 100 + int64(id%7), Size: 3}
					if id%16 == 0 {
						trade.TsNanos -= lateness
					}
					in.Trade(&trade)
					if in.Deadline() <= now {
						in.Advance(now, &out)
					}
				}
				in.Revise(now-lateness, now, &out)
			}
			for range 200 {
				spin()
			}
			if n := testing.AllocsPerRun(200, spin); n != 0 {
				t.Errorf("%s %+v: %g allocations", kind.Name, spec, n)
			}
		}
	}
}
