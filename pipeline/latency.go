package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/internal/clock"
	"tickproc/internal/stat"
	"tickproc/ops"
	"tickproc/tick"
	"tickproc/writer/questdb"
)

// The stages of a packet, and of its rows:
//
//	kernel ─socket─► complete ─decode─► in the ring ─┐
//	                    └───────────shard────────────┴─► taken ─apply─► applied ─rows─► in the writer's ring
//	                    └──────────────────────────────acked────────────────────────────────► QuestDB has it
const (
	stageSocket = "socket" // where the kernel stamps
	stageDecode = "decode"
	stageShard  = "shard"
	stageApply  = "apply"
	stageRows   = "rows"
	// Of a batch of rows the earliest and the latest receive time are known: what
	// its rows took lies between.
	stageAckedFirst = "acked_first"
	stageAckedLast  = "acked_last"
	stageOneWay     = "one_way" // venue's time → complete, by the clock of each
)

// stageTexts name the stages for people, in the order in which they are passed.
var stageTexts = []struct{ stage, text string }{
	{stageOneWay, "venue's clock to ours"}, {stageSocket, "kernel to frame"}, {stageDecode, "frame to ring"}, {stageShard, "frame to shard"},
	{stageApply, "log, apply"}, {stageRows, "rows to writer"}, {stageAckedLast, "frame to QuestDB, newest"}, {stageAckedFirst, "frame to QuestDB, oldest"},
}

// allKinds and allVenues stand where a latency is not told apart.
const (
	allKinds  = "all"
	allVenues = "all"
)

// latencyWindow is how often what is shown begins anew: quantiles are of the
// last one to two windows.
const latencyWindow = int64(30 * time.Second)

// series names a distribution.
type series struct{ venue, kind, stage string }

type distributions map[series]*stat.SignedBuckets

// latencies collects what lines, drivers and senders count.
type latencies struct {
	venues stat.Groups // of instruments, by number

	mu      sync.Mutex // guards the rest; nothing that a packet passes takes it
	numbers map[string]int
	names   []string // by number
	drivers []*engine.Latency
	lines   []lineLatency
	tables  []questdb.TableStats

	turned       int64         // when newer was taken
	older, newer distributions // what had been counted one or two windows ago
}

// lineLatency is what one line counts: no two count on the same at a time. Those
// of a feed that ended go to the venue's next lines.
type lineLatency struct {
	*feeds.LineLatency
	of *venueFeed
}

func newLatencies() *latencies {
	return &latencies{numbers: map[string]int{}, turned: clock.Nanos()}
}

// driver returns what a shard's driver counts by.
func (x *latencies) driver() *engine.Latency {
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	d := engine.NewLatency(&x.venues)
	d.Grow(len(x.names))
	x.drivers = append(x.drivers, d)
	return d
}

// instrument says which venue an instrument is of.
func (x *latencies) instrument(id uint32, venue string) {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	number, ok := x.numbers[venue]
	if !ok {
		number = len(x.names)
		x.numbers[venue], x.names = number, append(x.names, venue)
		for _, d := range x.drivers {
			d.Grow(len(x.names))
		}
	}
	x.venues.Set(id, number)
}

// line returns what a line of a feed counts by.
func (x *latencies) line(f *venueFeed) *feeds.LineLatency {
	if x == nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.lines {
		if l := &x.lines[i]; l.of.venue == f.venue && l.of.over.Load() {
			l.of = f
			return l.LineLatency
		}
	}
	x.lines = append(x.lines, lineLatency{feeds.NewLineLatency(), f})
	return x.lines[len(x.lines)-1].LineLatency
}

// database adds what QuestDB's senders count.
func (x *latencies) database(d *questdb.Sink) {
	if x == nil || d == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tables = d.Stats.Tables[:]
}

// read adds up what was counted so far.
func (x *latencies) read() distributions {
	all := distributions{}
	var b stat.Buckets
	add := func(s series, from *stat.Latency) {
		if b = (stat.Buckets{}); from != nil {
			from.AddTo(&b)
		}
		if b.Count() > 0 {
			all.of(s).Above.Add(&b)
		}
	}
	for number, venue := range x.names {
		for c := range tick.ClassCount {
			kind, cell := tick.Class(c).String(), number*tick.ClassCount+c
			for _, d := range x.drivers {
				add(series{venue, kind, stageShard}, d.Wait.Load()[cell])
				add(series{venue, kind, stageApply}, d.Apply.Load()[cell])
				add(series{venue, kind, stageRows}, d.Rows.Load()[cell])
			}
		}
	}
	for _, l := range x.lines {
		for c := range tick.ClassCount {
			kind := tick.Class(c).String()
			add(series{l.of.venue, kind, stageDecode}, &l.Decode[c])
			var both stat.SignedBuckets
			if l.OneWay[c].AddTo(&both); both.Count() > 0 {
				all.of(series{l.of.venue, kind, stageOneWay}).Add(&both)
			}
		}
		add(series{l.of.venue, allKinds, stageSocket}, &l.Socket)
	}
	names := questdb.TableNames()
	for i := range x.tables {
		add(series{allVenues, names[i], stageAckedFirst}, &x.tables[i].AckFirst)
		add(series{allVenues, names[i], stageAckedLast}, &x.tables[i].AckLast)
	}
	return all
}

func (d distributions) of(s series) *stat.SignedBuckets {
	b := d[s]
	if b == nil {
		b = new(stat.SignedBuckets)
		d[s] = b
	}
	return b
}

// turn begins the next window where that is due.
func (x *latencies) turn(now int64) {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if now-x.turned >= latencyWindow {
		x.turned, x.older, x.newer = now, x.newer, x.read()
	}
}

// recent returns what was counted in the last one to two windows, and in all.
func (x *latencies) recent() (recent, all distributions) {
	x.mu.Lock()
	defer x.mu.Unlock()
	all, recent = x.read(), distributions{}
	for s, b := range all {
		grown := *b
		if earlier := x.older[s]; earlier != nil {
			grown.Sub(earlier)
		}
		recent[s] = &grown
	}
	return recent, all
}

// ordered returns the names in an order that stays.
func (d distributions) ordered() []series {
	names := make([]series, 0, len(d))
	for s := range d {
		names = append(names, s)
	}
	place := func(stage string) int {
		for i := range stageTexts {
			if stageTexts[i].stage == stage {
				return i
			}
		}
		return len(stageTexts)
	}
	slices.SortFunc(names, func(a, b series) int {
		return cmp.Or(cmp.Compare(a.venue, b.venue), place(a.stage)-place(b.stage), cmp.Compare(a.kind, b.kind))
	})
	return names
}

// register shows the stages, and one-way times apart: they are of two clocks.
func (x *latencies) register(r *ops.Registry) {
	if x == nil {
		return
	}
	shown := func(want func(stage string) bool, labels func(s series) []string) func() []ops.Latency {
		return func() (lines []ops.Latency) {
			recent, all := x.recent()
			for _, s := range all.ordered() {
				if !want(s.stage) {
					continue
				}
				b := recent[s]
				lines = append(lines, ops.Latency{Labels: labels(s), Count: all[s].Count(), SumNanos: all[s].Sum(), Recent: b.Count(),
					P50: b.Quantile(0.5), P99: b.Quantile(0.99), P999: b.Quantile(0.999), Max: b.Quantile(1)})
			}
			return lines
		}
	}
	r.Latencies("tickproc_stage_seconds", "How long packets took by stage, over the last 30 to 60 s; each quantile at most 1/32 above the true one.",
		[]string{"venue", "kind", "stage"}, shown(func(stage string) bool { return stage != stageOneWay }, func(s series) []string { return []string{s.venue, s.kind, s.stage} }))
	r.Latencies("tickproc_one_way_seconds", "From the venue's time to ours, by the clock of each; see tickproc_clock_error_seconds.",
		[]string{"venue", "kind"}, shown(func(stage string) bool { return stage == stageOneWay }, func(s series) []string { return []string{s.venue, s.kind} }))
}

// longestWait is the longest, in ns, that a packet of a venue waited between its
// receive time and its shard.
func (x *latencies) longestWait() (longest int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for s, b := range x.read() {
		if s.stage == stageShard {
			longest = max(longest, b.Quantile(1))
		}
	}
	return longest
}

// lines are for people: by venue and stage, and by stage alone.
func (x *latencies) linesOf() (byVenue, byStage []ops.LatencyLine) {
	if x == nil {
		return nil, nil
	}
	recent, _ := x.recent()
	merged, stages := distributions{}, distributions{}
	for s, b := range recent {
		merged.of(series{venue: s.venue, stage: s.stage}).Add(b)
		stages.of(series{venue: allVenues, stage: s.stage}).Add(b)
	}
	lines := func(d distributions) (lines []ops.LatencyLine) {
		for _, s := range d.ordered() {
			b, text := d[s], ""
			for _, t := range stageTexts {
				if t.stage == s.stage {
					text = t.text
				}
			}
			if b.Count() == 0 {
				continue
			}
			lines = append(lines, ops.LatencyLine{Venue: s.venue, Stage: text, Count: b.Count(), P50: time.Duration(b.Quantile(0.5)),
				P99: time.Duration(b.Quantile(0.99)), P999: time.Duration(b.Quantile(0.999)), Max: time.Duration(b.Quantile(1))})
		}
		return lines
	}
	return lines(merged), lines(stages)
}

// hostClock is what is known of this machine's clock, read now and then.
type hostClock struct {
	mu   sync.Mutex // a scrape reads it, rarely
	host clock.Host
	step time.Duration
}

func (h *hostClock) look() {
	host, step := clock.ReadHost(), clock.Stepped()
	h.mu.Lock()
	h.host, h.step = host, step
	h.mu.Unlock()
}

func (h *hostClock) get() (clock.Host, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.host, h.step
}

func (h *hostClock) register(r *ops.Registry) {
	flag := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	gauge := func(name, help string, labels map[string]string, of func(clock.Host) float64) {
		r.GaugeFunc(name, help, labels, func() float64 { host, _ := h.get(); return of(host) })
	}
	const help = "By how much this machine's clock may be off, as the kernel knows it; without meaning while it is not synchronised."
	gauge("tickproc_clock_error_seconds", help, map[string]string{"bound": "max"}, func(x clock.Host) float64 { return x.MaxError.Seconds() })
	gauge("tickproc_clock_error_seconds", help, map[string]string{"bound": "estimated"}, func(x clock.Host) float64 { return x.EstimatedError.Seconds() })
	gauge("tickproc_clock_synchronised", "1 while a time service keeps this machine's clock, 0 while none does or nobody knows.", nil,
		func(x clock.Host) float64 { return flag(x.Known && x.Synchronised) })
	r.GaugeFunc("tickproc_clock_stepped_seconds", "How far the wall clock was stepped since the process began, which receive times do not follow.", nil,
		func() float64 { _, step := h.get(); return step.Seconds() })
}

// text is a line for people.
func (h *hostClock) text() string {
	host, step := h.get()
	text := ""
	switch {
	case !host.Known:
		text = "this machine's clock: the kernel does not tell how good it is"
	case !host.Synchronised:
		text = "this machine's clock: NOT SYNCHRONISED, times between clocks mean little: start a time service"
	default:
		text = fmt.Sprintf("this machine's clock: off by %v at most, %v as estimated", host.MaxError, host.EstimatedError)
	}
	if step.Abs() >= time.Millisecond {
		text += fmt.Sprintf("; stepped by %v since the start", step.Round(time.Millisecond))
	}
	return text
}
