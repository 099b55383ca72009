package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
	"unsafe"

	"tickproc/feeds"
	"tickproc/feeds/sim"
	"tickproc/tick"
	"tickproc/writer"
	"tickproc/writer/spool"
)

// rowCounts is a sink that counts equal rows: those that are alike in every
// byte. Where they come from in a log is no part of them.
type rowCounts struct {
	keptRows
	mu   sync.Mutex
	rows map[string]int
	also writer.Sink // nil = nobody
}

func newRowCounts() *rowCounts {
	x := &rowCounts{rows: map[string]int{}}
	x.marks = map[uint16]spool.Mark{}
	return x
}

func (x *rowCounts) Write(packets []tick.Unit) {
	x.keptRows.Write(packets)
	if x.also != nil {
		x.also.Write(packets)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(packets) > 0 {
		n := tick.PacketUnits(&packets[0])
		switch kind := packets[0].KindOf(); {
		case kind == tick.RowPosition, kind == tick.RowHealth:
		case kind == tick.KindCatalog && packets[0].Header().Flags&tick.FlagKnown != 0: // no row
		default:
			x.rows[string(unsafe.Slice((*byte)(unsafe.Pointer(&packets[0])), n*tick.UnitSize))]++
		}
		packets = packets[n:]
	}
}

// unitsOf returns a copy of a row.
func unitsOf(row string) []tick.Unit {
	units := make([]tick.Unit, len(row)/tick.UnitSize)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&units[0])), len(row)), row)
	return units
}

// without returns the rows that are here more often than there.
func (x *rowCounts) without(other *rowCounts) (more []tick.Unit) {
	for row, n := range x.rows {
		for range n - other.rows[row] {
			more = append(more, unitsOf(row)[0])
		}
	}
	return more
}

func (x *rowCounts) equal(t *testing.T, what string, other *rowCounts) {
	t.Helper()
	for _, u := range slices.Concat(x.without(other), other.without(x)) {
		h := u.RowHeader()
		t.Errorf("%s: a row of kind %d, instrument %d, at %d, is on one side alone", what, h.Kind, h.Instrument, h.TsNanos)
		if t.Failed() && len(x.rows) > 0 {
			t.Logf("%d rows and %d", len(x.rows), len(other.rows))
			return
		}
	}
}

func (x *rowCounts) add(other *rowCounts) {
	for row, n := range other.rows {
		x.rows[row] += n
	}
}

// logLab runs the service on one folder again and again.
type logLab struct {
	t        *testing.T
	exchange *sim.Exchange
	config   *Config
	said     *logText // by the run that is, or was last
	marks    map[uint16]spool.Mark
	adapter  func(venue string) (feeds.Adapter, bool)
}

func newLogLab(t *testing.T, o sim.Options, edit func(*Config)) *logLab {
	t.Helper()
	l := &logLab{t: t, exchange: newExchange(t, o), config: DefaultConfig()}
	c := l.config
	c.DataDir, c.Feeds, c.Shards = filepath.Join(t.TempDir(), "data"), feedsOf(l.exchange), 2
	c.Journal.MemoryDir = filepath.Join(t.TempDir(), "none") // the ring lies on disk
	c.Metrics.Listen = ListenNone
	if edit != nil {
		edit(c)
	}
	c.EnsureDefaults()
	return l
}

// run serves until work returns, and ends in order. What it wrote is in rows.
func (l *logLab) run(rows *rowCounts, work func(*lab)) {
	l.t.Helper()
	l.said = &logText{}
	if l.marks != nil {
		rows.marks = l.marks // what the run before kept
	}
	defer func() { l.marks = rows.Marks() }()
	dir, err := openDataDir(l.config.DataDir)
	if err != nil {
		l.t.Fatal(err)
	}
	defer dir.close()
	s, err := newDurableSystem(RunOptions{Config: l.config, Logger: textLogger(l.said)}, rows, rows, dir)
	if err != nil {
		l.t.Fatalf("%v\n%s", err, l.said)
	}
	if l.adapter != nil {
		s.adapter = l.adapter
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := s.addFeeds(ctx); err != nil {
		l.t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); s.run(ctx) }()
	x := &lab{t: l.t, exchange: l.exchange, config: l.config, system: s, log: l.said}
	func() {
		defer func() { cancel(); <-stopped }() // also where the test failed
		work(x)
	}()
	if err := s.durable.close(); err != nil {
		l.t.Fatal(err)
	}
}

// recovered is the state that the next start finds, all shards together. That
// start writes rows, and ends in order.
func (l *logLab) recovered(rows *rowCounts) string {
	l.t.Helper()
	l.run(rows, func(*lab) {})
	return l.said.states(l.t)
}

var stateSaid = regexp.MustCompile(`msg=recovered shard=\d+ .*state=([0-9a-f]{16})`)

// states is the sum of the states that a start recovered.
func (l *logText) states(t *testing.T) string {
	t.Helper()
	var sum uint64
	found := stateSaid.FindAllStringSubmatch(l.String(), -1)
	if len(found) == 0 {
		t.Fatalf("nothing was recovered:\n%s", l)
	}
	for _, m := range found {
		n, err := strconv.ParseUint(m[1], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return fmt.Sprintf("%016x", sum)
}

// replay replays the logs as they are.
func (l *logLab) replay(from, to time.Time) (*rowCounts, *ReplayReport) {
	l.t.Helper()
	r := &journalReplay{options: JournalReplayOptions{Config: l.config, From: from, To: to, Logger: slog.New(slog.DiscardHandler)}, totals: &tradeTotals{}}
	if err := r.open(); err != nil {
		l.t.Fatal(err)
	}
	rows := newRowCounts()
	report, err := r.run(l.t.Context(), []writer.Sink{r.totals, rows})
	if err != nil {
		l.t.Fatal(err)
	}
	return rows, report
}

// The logs give the rows that the run wrote, byte for byte: those of one run, of
// several, and of any period of them; and end in the state that the next start
// recovers. A running service is not in the way.
func TestReplayOfTheLog(t *testing.T) {
	t.Parallel()
	l := newLogLab(t, sim.Options{Seed: 21, Levels: 60, Rate: 150, Venues: stormVenues}, nil)
	first, between, second := newRowCounts(), newRowCounts(), newRowCounts()
	var meanwhile *rowCounts
	var middle time.Time
	l.run(first, func(x *lab) {
		x.awaitValid()
		x.awaitEvents(300)
		middle = time.Now()
		x.awaitEvents(300)
		meanwhile, _ = l.replay(time.Time{}, middle)
	})
	rows, report := l.replay(time.Time{}, time.Time{})
	first.equal(t, "one run", rows)
	if len(rows.rows) < 500 || report.Journal.Packets < 500 || report.Frames == 0 {
		t.Fatalf("the log proves nothing: %d rows, %+v", len(rows.rows), report)
	}
	again, _ := l.replay(time.Time{}, middle)
	meanwhile.equal(t, "beside the running service", again)
	rest, _ := l.replay(middle, time.Time{})
	again.add(rest)
	rows.equal(t, "in two parts", again)

	state := l.recovered(between) // which ended in order, and says what it found
	if report.StateHash != state {
		t.Errorf("the log ends in state %s, the next start finds %s", report.StateHash, state)
	}

	// A second run goes on. What the first one's end wrote of open intervals is not
	// written again; all else is.
	l.run(second, func(x *lab) {
		x.awaitValid()
		x.awaitEvents(300)
	})
	all, report := l.replay(time.Time{}, time.Time{})
	both := newRowCounts()
	both.add(first)
	both.add(between)
	both.add(second)
	for _, u := range both.without(all) {
		h := u.RowHeader()
		if interim := h.Kind == tick.RowBook || h.Kind == tick.RowNbbo || (h.Kind == tick.RowBar || h.Kind == tick.RowWindow) && h.Flags&tick.RowFinal == 0; !interim {
			t.Errorf("the log does not give a row of kind %d at %d", h.Kind, h.TsNanos)
		}
	}
	if missing := second.without(all); len(missing) > 0 {
		t.Errorf("the log does not give %d rows of the last run", len(missing))
	}
	if state := l.recovered(newRowCounts()); report.StateHash != state {
		t.Errorf("two runs: the log ends in state %s, the next start finds %s", report.StateHash, state)
	}
}
