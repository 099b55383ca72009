package pipeline

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
	"unsafe"

	"tickproc/engine"
	"tickproc/feeds"
	"tickproc/ringbuf"
	"tickproc/tick"
	"tickproc/writer"
	"tickproc/writer/questdb"
)

// ReprocessOptions say which period to decode again, and where its rows go.
type ReprocessOptions struct {
	// Config says where logs and captures are, and QuestDB.
	Config *Config
	// From and To bound the period, by receive time, [From, To). The zero To is the
	// end of the logs.
	From, To  time.Time
	ToQuestDB bool
	Logger    *slog.Logger

	adapter func(venue string) (feeds.Adapter, bool) // nil = the venue's own
}

// Reprocess runs a period of the logs again with what today's decoders make of
// the raw frames that were captured beside them:
//
//	snapshot ─► log ahead of the period ─► shard ◄─ log of the period, each frame's packets replaced ◄─ decoder ◄─ capture
//
// All that is no market data of a frame stays as it was logged: definitions,
// what sessions said of their channels, configurations, ticks, the ends of
// backfills. So nothing but the decoding differs, and with the same decoders the
// rows are the same. docs/decisions/reprocess.md
func Reprocess(ctx context.Context, o ReprocessOptions) (*ReprocessReport, error) {
	r, err := newReprocess(o)
	if err != nil {
		return nil, err
	}
	if !o.ToQuestDB {
		return r.run(ctx, nil)
	}
	database, err := openDatabase(ctx, o.Config, o.Logger, questdb.RepeatCorrected)
	if err != nil {
		return nil, err
	}
	report, err := r.run(ctx, []writer.Sink{database})
	return report, errors.Join(err, closeDatabase(ctx, database))
}

// reprocess is one run: a goroutine decodes, one a shard applies, one writes.
type reprocess struct {
	options ReprocessOptions
	source  *logSource
	start   *logStart // of what is made now
	before  *logStart // of what was made: it takes the packets as they were logged
	survey  *survey
	chains  map[lineRun]*captureChain
	runs    []int64 // of the captures, ascending
}

// lineRun names a line of one process; run is when that began.
type lineRun struct {
	run  int64
	line uint16
}

func newReprocess(o ReprocessOptions) (*reprocess, error) {
	r := &reprocess{options: o}
	if r.options.adapter == nil {
		r.options.adapter = adapterOf
	}
	if o.From.IsZero() {
		return nil, fmt.Errorf("%w: a period needs its beginning", ErrInput)
	}
	var err error
	if r.source, err = openLogSource(o.Config, o.Logger); err != nil {
		return nil, err
	}
	for _, into := range []**logStart{&r.start, &r.before} {
		if *into, err = r.source.start(o.From); err != nil {
			return nil, err
		}
	}
	dir := o.Config.captureFolder()
	if r.chains, err = findChains(dir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if len(r.chains) == 0 {
		return nil, fmt.Errorf("%w: %s holds no capture that was made beside a log: \"record: on\" makes them from the next start on; "+
			"without them a period can be replayed as it was decoded: tickproc replay --from-journal", ErrInput, dir)
	}
	for key := range r.chains {
		r.runs = append(r.runs, key.run)
	}
	slices.Sort(r.runs)
	r.runs = slices.Compact(r.runs)
	if r.survey, err = r.look(); err != nil {
		return nil, err
	}
	return r, r.covered(dir)
}

// runOf is the process that received something at a time; 0: none whose capture
// is there.
func (r *reprocess) runOf(received int64) int64 {
	i, found := slices.BinarySearch(r.runs, received)
	if found {
		i++
	}
	if i == 0 {
		return 0
	}
	return r.runs[i-1]
}

// survey is what must be known of the logs before the first frame is decoded.
type survey struct {
	shards      []map[lineRun]*loggedLine
	instruments map[uint32]*surveyed
	carried     map[lineRun]map[uint32]tick.Channels
}

type surveyed struct {
	tick.Instrument // as it was defined first: lines begin at that scale
	shard           int
}

// loggedLine says which frames of a line gave packets to a shard.
type loggedLine struct {
	base        uint64   // of ordinals: the first word's number
	ordinals    []uint64 // a bit each
	first, last int64    // receive times in the period; 0 = there are none
}

func (l *loggedLine) has(ordinal uint64) bool {
	if l == nil {
		return false
	}
	word := ordinal/64 - l.base // far beyond where it is less
	return word < uint64(len(l.ordinals)) && l.ordinals[word]&(1<<(ordinal%64)) != 0
}

// note takes ordinals as they come on a line: ascending, but for lines of several
// processes whose captures are not there.
func (l *loggedLine) note(ordinal uint64) {
	if l.ordinals == nil {
		l.base = ordinal / 64
	}
	if before := int64(l.base - ordinal/64); before > 0 {
		l.ordinals, l.base = append(make([]uint64, before), l.ordinals...), ordinal/64
	}
	if need := int(ordinal/64-l.base) + 1; need > len(l.ordinals) {
		l.ordinals = append(l.ordinals, make([]uint64, need-len(l.ordinals))...)
	}
	l.ordinals[ordinal/64-l.base] |= 1 << (ordinal % 64)
}

func (l *loggedLine) within(received int64) {
	if l.first == 0 {
		l.first = received
	}
	l.last = max(l.last, received)
}

// ofFrame reports whether a packet is what a decoder made of a frame.
func ofFrame(h *tick.Header) bool {
	return h.Ordinal != 0 && (h.Kind.Channel() != 0 || h.Kind == tick.KindRescale)
}

// look reads the logs once.
func (r *reprocess) look() (*survey, error) {
	s := &survey{instruments: map[uint32]*surveyed{}, carried: map[lineRun]map[uint32]tick.Channels{}}
	define := func(in tick.Instrument, shard int) {
		if s.instruments[in.ID] == nil {
			s.instruments[in.ID] = &surveyed{in, shard}
		}
	}
	for i := range r.start.shards {
		l, p := &r.start.shards[i], newPeriod(r.options.From, r.options.To)
		lines := map[lineRun]*loggedLine{}
		s.shards = append(s.shards, lines)
		for _, in := range l.shard.Definitions() {
			define(in, i)
		}
		packet := func(u *tick.Unit, inside bool) error {
			h := u.Header()
			switch h.Kind {
			case tick.KindCatalog:
				define(u.Catalog().Definition(), i)
				return nil
			case tick.KindClockStep:
				if inside {
					return fmt.Errorf("%w: the clock was set back at %s: reprocess what is before and what is behind by two commands", ErrInput, momentText(u.ClockStep().FromNanos))
				}
				return nil
			}
			key := lineRun{r.runOf(h.ReceiveNanos), h.Line}
			channel := h.Kind.Channel()
			if h.Kind == tick.KindUp {
				channel = u.Event().Channel
			}
			if channel != 0 {
				if s.carried[key] == nil {
					s.carried[key] = map[uint32]tick.Channels{}
				}
				s.carried[key][h.Instrument] |= channel
			}
			if ofFrame(h) {
				if lines[key] == nil {
					lines[key] = &loggedLine{}
				}
				lines[key].note(h.Ordinal)
				if inside {
					lines[key].within(h.ReceiveNanos)
				}
			}
			return nil
		}
		err := l.log.Read(l.at, func(_ uint64, batch []tick.Unit) error {
			ahead, in := p.cut(batch)
			for _, part := range [2][]tick.Unit{ahead, in} {
				inside := len(part) > 0 && len(in) > 0 && &part[0] == &in[0]
				for ; len(part) > 0; part = part[tick.PacketUnits(&part[0]):] {
					if err := packet(&part[0], inside); err != nil {
						return err
					}
				}
			}
			if p.over {
				return errPeriodOver
			}
			return nil
		})
		if err != nil && !errors.Is(err, errPeriodOver) {
			return nil, err
		}
	}
	return s, nil
}

// covered refuses a period of which a line's capture is not there.
func (r *reprocess) covered(dir string) error {
	some := false
	for _, lines := range r.survey.shards {
		for _, key := range slices.SortedFunc(maps.Keys(lines), compareLineRuns) {
			l, chain := lines[key], r.chains[key]
			some = some || l.first != 0
			switch {
			case l.first == 0:
			case chain == nil:
				return fmt.Errorf("%w: %s has no capture of line %d, which received frames from %s to %s: choose a period in which \"record: on\" was in force "+
					"(the captures begin at %s), or replay it as it was decoded: tickproc replay --from-journal", ErrInput, dir, key.line, momentText(l.first), momentText(l.last), momentText(r.firstCapture()))
			case chain.files[0].first > l.first && !chain.files[0].whole:
				return fmt.Errorf("%w: the captures of %s %s in %s begin at %s, older ones were removed: say --from at or after that, "+
					"or replay what is before as it was decoded: tickproc replay --from-journal", ErrInput, chain.venue, chain.line, dir, momentText(chain.files[0].first))
			}
		}
	}
	if !some {
		return fmt.Errorf("%w: nothing was received from %s to %s", ErrInput, r.options.From.UTC().Format(time.RFC3339Nano), r.options.To.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

func (r *reprocess) firstCapture() (first int64) {
	for _, c := range r.chains {
		if at := c.files[0].first; first == 0 || at < first {
			first = at
		}
	}
	return first
}

// ReprocessReport says what came of it.
type ReprocessReport struct {
	From     string `json:"from"` // RFC 3339
	To       string `json:"to"`
	Snapshot uint64 `json:"snapshot"` // it began with; 0 = with the logs' beginning
	// Frames whose packets were replaced; Kept stand as they were logged, because
	// the capture lacks them; Added gave nothing when they came, and do now. A frame
	// that concerns two shards counts twice.
	Frames uint64 `json:"frames"`
	Kept   uint64 `json:"kept"`
	Added  uint64 `json:"added"`
	// Undecodable frames give nothing now; FirstFault says why the first does not.
	Undecodable uint64 `json:"undecodable"`
	FirstFault  string `json:"first_fault,omitempty"`
	// Open are bars and windows that what follows the period may still correct: they
	// are left as they stand.
	Open   uint64            `json:"open"`
	Tables []ReprocessedRows `json:"tables"`
	// StateHash is of the end of the period; StateHashBefore what it was as logged.
	StateHash       string `json:"state_hash"`
	StateHashBefore string `json:"state_hash_before"`
}

// ReprocessedRows counts the rows of a table that the period gives: as it was
// decoded when it came, and now. A key that is written twice counts twice.
type ReprocessedRows struct {
	Table   string `json:"table"`
	Before  uint64 `json:"before"`
	Now     uint64 `json:"now"`
	Differs bool   `json:"differs"` // any row, in any column but its own receive time
}

// Print writes the report for people.
func (r *ReprocessReport) Print(w io.Writer) {
	begun := "the beginning of the logs"
	if r.Snapshot > 0 {
		begun = fmt.Sprintf("snapshot %d", r.Snapshot)
	}
	fmt.Fprintf(w, "%s to %s, beginning with %s\n", r.From, r.To, begun)
	fmt.Fprintf(w, "frames: %d decoded again, %d that gave nothing before, %d as logged because the capture lacks them, %d not decodable\n", r.Frames, r.Added, r.Kept, r.Undecodable)
	if r.FirstFault != "" {
		fmt.Fprintf(w, "the first that is not decodable: %s\n", r.FirstFault)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "TABLE\tBEFORE\tNOW\t\t")
	for _, x := range r.Tables {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t\n", x.Table, x.Before, x.Now, map[bool]string{true: "differs", false: "as before"}[x.Differs])
	}
	t.Flush()
	if r.Open > 0 {
		fmt.Fprintf(w, "%d bars and windows at the end of the period are left as they stand: what follows may correct them\n", r.Open)
	}
}

// rowDigest tells whether two streams hold the same rows, in whatever order.
type rowDigest struct {
	rows [256]uint64 // by kind
	sums [256]uint64
}

func (d *rowDigest) add(row []tick.Unit) {
	kind := row[0].KindOf()
	h := fnv.New64a()
	h.Write(unsafe.Slice((*byte)(unsafe.Pointer(&row[0])), len(row)*tick.UnitSize))
	d.rows[kind]++
	d.sums[kind] += h.Sum64()
}

var reprocessedTables = []struct {
	name string
	kind tick.Kind
}{{"trades", tick.RowTrade}, {"quotes", tick.RowQuote}, {"book", tick.RowBook}, {"bars", tick.RowBar}, {"windows", tick.RowWindow}, {"gaps", tick.RowGap},
	{"funding", tick.RowFunding}, {"open_interest", tick.RowOpenInterest}, {"liquidations", tick.RowLiquidation}, {"status", tick.RowStatus}, {"nbbo", tick.RowNbbo}}

func (r *reprocess) run(ctx context.Context, sinks []writer.Sink) (*ReprocessReport, error) {
	policy := r.options.Config.waitPolicy()
	shards, rows := make([]*reshard, len(r.start.shards)), []*ringbuf.Ring(nil)
	for i := range shards {
		x := &reshard{of: r, number: i, log: r.start.shards[i].log, at: r.start.shards[i].at, logged: r.survey.shards[i], frames: make(chan []frame, frameChunks),
			period: newPeriod(r.options.From, r.options.To), was: r.before.shards[i].shard,
			driver:  &engine.Driver{Shard: r.start.shards[i].shard, Merge: true, Waker: ringbuf.NewWaker(policy), Rows: ringbuf.New(rowRingUnits)},
			pending: map[lineRun]*pendingLine{}, asked: map[uint32]uint64{}, askedBefore: map[uint32]uint64{}}
		shards[i], rows = x, append(rows, x.driver.Rows)
	}
	w := writer.New(rows, ringbuf.NewWaker(ringbuf.Park), sinks...)
	var sharding, writing sync.WaitGroup
	var writeErr error
	writing.Go(func() { writeErr = w.Run(context.WithoutCancel(ctx)) })
	// The scales that lines have where the period begins are needed to decode it.
	begins := make([]error, len(shards))
	for i, x := range shards {
		sharding.Go(func() { begins[i] = x.begin(ctx) })
	}
	sharding.Wait()
	err := errors.Join(begins...)
	var decoded *decoding
	if err == nil {
		decoded, err = newDecoding(r, shards)
	}
	if err == nil {
		for _, x := range shards {
			sharding.Go(func() { x.err = x.runPeriod(ctx) })
		}
		err = decoded.run(ctx)
		sharding.Wait()
	}
	for _, x := range shards {
		x.driver.Rows.Close()
		err = errors.Join(err, x.err)
	}
	writing.Wait()
	if err = errors.Join(err, writeErr); err != nil {
		return nil, err
	}
	return r.report(shards, decoded), nil
}

func (r *reprocess) report(shards []*reshard, decoded *decoding) *ReprocessReport {
	report := &ReprocessReport{From: r.options.From.UTC().Format(time.RFC3339Nano), Snapshot: r.start.snapshot,
		Undecodable: decoded.faults, FirstFault: decoded.firstFault}
	var now, before rowDigest
	var hash, hashBefore uint64
	last := int64(0)
	for _, x := range shards {
		report.Frames += x.replaced
		report.Kept += x.kept
		report.Added += x.added
		report.Open += x.settler.open()
		for kind := range now.rows {
			now.rows[kind] += x.now.rows[kind]
			now.sums[kind] += x.now.sums[kind]
			before.rows[kind] += x.before.rows[kind]
			before.sums[kind] += x.before.sums[kind]
		}
		hash += x.driver.Shard.StateHash()
		hashBefore += x.was.StateHash()
		last = max(last, x.driver.Shard.Now())
	}
	if report.To = r.options.To.UTC().Format(time.RFC3339Nano); r.options.To.IsZero() {
		report.To = momentText(last)
	}
	report.StateHash, report.StateHashBefore = hashText(hash), hashText(hashBefore)
	for _, t := range reprocessedTables {
		if now.rows[t.kind]+before.rows[t.kind] > 0 {
			report.Tables = append(report.Tables, ReprocessedRows{t.name, before.rows[t.kind], now.rows[t.kind], now.sums[t.kind] != before.sums[t.kind]})
		}
	}
	return report
}
