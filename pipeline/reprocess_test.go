package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tickproc/feeds"
	"tickproc/feeds/binance"
	"tickproc/feeds/sim"
	"tickproc/internal/questdbserver"
	"tickproc/tick"
	"tickproc/writer"
	"tickproc/writer/questdb"
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
	o := sim.Options{Seed: 31, Levels: 60, Rate: 60}
	if testing.Short() {
		o.Venues = stormVenues // all of them take long under the race detector
	}
	l := newLogLab(t, o, recording)
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
	discard := writer.NewMemory(0)
	l.run(newRowCounts(), func(x *lab) {
		x.awaitValid()
		x.awaitEvents(200)
		mark()
		l.reprocess(times[0], times[1], discard, nil).same(t, "beside a running service")
		x.awaitEvents(100)
	})
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
	l.captureLate(900 * time.Millisecond)
	f("faults, captured late", times[0], times[1], false)
}

// captureLate has the captured REST answers bear later times, as those do whose
// line was recording something else.
func (l *logLab) captureLate(by time.Duration) {
	l.t.Helper()
	files, err := filepath.Glob(filepath.Join(l.config.captureFolder(), "*-"+restLine+"-*.gz"))
	if err != nil || len(files) == 0 {
		l.t.Fatalf("%d captures of answers, %v", len(files), err)
	}
	for _, path := range files {
		var late strings.Builder
		for line := range strings.Lines(unzip(l.t, path)) {
			if at, rest, _ := strings.Cut(line, " "); at != "#" {
				nanos, err := strconv.ParseInt(at, 10, 64)
				if err != nil {
					l.t.Fatal(err)
				}
				line = strconv.FormatInt(nanos+int64(by), 10) + " " + rest
			}
			late.WriteString(line)
		}
		write(l.t, path, late.String())
	}
}

// wrongAdapter decodes trades wrongly: each with the other side, and of some
// frames nothing at all.
type wrongAdapter struct {
	feeds.Adapter
	deafTo uint64 // of so many frames with trades one gives nothing; 0 = all do
}

func wrong(deafTo uint64) func(string) (feeds.Adapter, bool) {
	return func(venue string) (feeds.Adapter, bool) {
		adapter, ok := adapterOf(venue)
		return wrongAdapter{adapter, deafTo}, ok
	}
}

func (a wrongAdapter) NewDecoder(c *feeds.Connection, table *feeds.Table) feeds.Decoder {
	return &wrongDecoder{Decoder: a.Adapter.NewDecoder(c, table), deafTo: a.deafTo}
}

type wrongDecoder struct {
	feeds.Decoder
	deafTo, trades uint64
}

func (d *wrongDecoder) Decode(dst []tick.Unit, payload []byte, at feeds.Stamp) ([]tick.Unit, feeds.Notice, error) {
	from := len(dst)
	dst, notice, err := d.Decoder.Decode(dst, payload, at)
	some := false
	for rest := dst[from:]; len(rest) > 0; rest = rest[tick.PacketUnits(&rest[0]):] {
		if h := rest[0].Header(); h.Kind == tick.KindTrade {
			h.Flags ^= tick.FlagSell
			some = true
		}
	}
	if some {
		if d.trades++; d.deafTo > 0 && d.trades%d.deafTo == 0 {
			return dst[:from], feeds.Notice{}, feeds.ErrMalformed
		}
	}
	return dst, notice, err
}

// A decoder was wrong while the service ran. Decoded again, every trade of the
// period that reached a socket is there and as it was, at its place.
func TestReprocessMendsADecoder(t *testing.T) {
	t.Parallel()
	l := newLogLab(t, sim.Options{Seed: 32, Levels: 60, Rate: 100, Venues: stormVenues[:1], History: 1 << 20}, recording)
	l.adapter = wrong(3)
	for i := range l.config.Feeds {
		l.config.Feeds[i].Backfill.Enabled = Off
	}
	l.run(newRowCounts(), func(x *lab) {
		x.awaitValid()
		x.awaitEvents(600)
		drain, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := l.exchange.Drain(drain); err != nil {
			t.Error(err)
		}
	})
	mended := newLedger()
	report := l.reprocess(time.Unix(0, 1), time.Time{}, mended, nil)
	if report.Added == 0 || report.Undecodable > 0 || report.Kept > 0 {
		t.Errorf("%+v", report)
	}
	trades := 0
	for _, truth := range l.exchange.Truth() {
		stored := map[string]*entry{}
		for _, e := range mended.of(truth.Venue, truth.Symbol, tick.RowTrade) {
			stored[idText(e.catalog.TradeIDs, e.units[0].TradeRow().ID)] = e
		}
		for _, want := range truth.Trades {
			e := stored[truth.TradeID(&want)]
			switch {
			case want.Delivered == 0:
			case e == nil:
				t.Errorf("%s %s: trade %d reached a socket and is not stored", truth.Venue, truth.Symbol, want.ID)
			case e.has(tick.RowSell) != want.Sell:
				t.Errorf("%s %s: trade %d has the wrong side", truth.Venue, truth.Symbol, want.ID)
			default:
				trades++
			}
		}
		for _, e := range mended.of(truth.Venue, truth.Symbol, tick.RowGap) {
			if g := e.units[0].GapRow(); g.Channel == tick.ChannelTrades && g.Reason != tick.ReasonStart && g.Lost > 0 {
				t.Errorf("%s %s: %s: trades are still missing", truth.Venue, truth.Symbol, e.key)
			}
		}
	}
	if trades == 0 {
		t.Error("no trade was compared")
	}
}

// What a wrong decoder has put into QuestDB, reprocessing puts right: every table
// is as it was before, in every column.
func TestReprocessRepairsQuestDB(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	server := questdbserver.NewForTest(t)
	l := newLogLab(t, sim.Options{Seed: 33, Levels: 60, Rate: 100, Venues: stormVenues}, recording)
	l.config.QuestDB.URL = server.URL()
	var from, to time.Time
	l.run(newRowCounts(), func(x *lab) {
		x.awaitValid()
		x.awaitEvents(200)
		from = time.Now()
		x.awaitEvents(600)
		to = time.Now()
		x.awaitEvents(100)
	})
	logger := slog.New(slog.DiscardHandler)
	report, err := ReplayJournal(t.Context(), JournalReplayOptions{Config: l.config, ToQuestDB: true, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	client := questdb.NewClient(server.URL(), questdb.Credentials{}, 0)
	stands := dumped(t, client)
	if report.Journal.Packets == 0 || len(stands["trades"]) < 50 || len(stands["bars"]) < 50 {
		t.Fatalf("%d trades and %d bars prove nothing", len(stands["trades"]), len(stands["bars"]))
	}
	again := func(what string, adapter func(string) (feeds.Adapter, bool)) map[string][]string {
		t.Helper()
		report, err := Reprocess(t.Context(), ReprocessOptions{Config: l.config, From: from, To: to, ToQuestDB: true, Logger: logger, adapter: adapter})
		if err != nil {
			t.Fatal(err)
		}
		if differs := slices.ContainsFunc(report.Tables, func(x ReprocessedRows) bool { return x.Table == "trades" && x.Differs }); differs != (adapter != nil) {
			t.Errorf("%s: %+v", what, report)
		}
		return dumped(t, client)
	}
	equal := func(what string, have map[string][]string) {
		t.Helper()
		for table, rows := range stands {
			if slices.Equal(have[table], rows) {
				continue
			}
			t.Errorf("%s: %s has %d rows, and had %d, or others", what, table, len(have[table]), len(rows))
			for i, row := range rows {
				if i >= len(have[table]) || have[table][i] != row {
					t.Errorf("had  %s\nhas %v", row, have[table][i:min(i+1, len(have[table]))])
					break
				}
			}
		}
	}
	equal("nothing was wrong", again("nothing was wrong", nil))
	damaged := again("wrong", wrong(0))
	for _, table := range []string{"trades", "bars"} {
		if slices.Equal(damaged[table], stands[table]) || len(damaged[table]) != len(stands[table]) {
			t.Errorf("the wrong decoder left no trace in %s, or other keys", table)
		}
	}
	equal("repaired", again("repaired", nil))
}

// dumped are all rows of the tables that shards write, as text.
func dumped(t *testing.T, client *questdb.Client) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, x := range reprocessedTables {
		if err := client.Settle(t.Context(), x.name); err != nil {
			t.Fatal(err)
		}
		r, err := client.Query(t.Context(), "SELECT * FROM "+x.name)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range r.Rows {
			all[x.name] = append(all[x.name], fmt.Sprint(row))
		}
		slices.Sort(all[x.name])
	}
	return all
}

// A period whose frames were not captured is refused, and the refusal says what
// can be had; what a capture lost stays as it was logged.
func TestReprocessNeedsCaptures(t *testing.T) {
	t.Parallel()
	l := newLogLab(t, sim.Options{Seed: 34, Levels: 60, Rate: 100, Venues: stormVenues[:1]}, nil)
	refused := func(from, to time.Time, want ...string) {
		t.Helper()
		_, err := Reprocess(t.Context(), ReprocessOptions{Config: l.config, From: from, To: to, Logger: slog.New(slog.DiscardHandler)})
		if !errors.Is(err, ErrInput) {
			t.Fatalf("from %v to %v: %v", from, to, err)
		}
		for _, part := range want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not say %q", err, part)
			}
		}
	}
	refused(time.Now(), time.Time{}, "data_dir")
	work := func(x *lab) {
		x.awaitValid()
		x.awaitEvents(100)
	}
	l.run(newRowCounts(), work)
	refused(time.Now().Add(-time.Hour), time.Time{}, l.config.captureFolder(), "no capture", "record: on", "replay --from-journal")
	recording(l.config)
	recorded := time.Now()
	l.run(newRowCounts(), work)
	refused(recorded.Add(-time.Hour), time.Time{}, "no capture of line", "the captures begin at", "replay --from-journal")
	refused(time.Now(), time.Now().Add(time.Hour), "nothing was received")
	discard := writer.NewMemory(0)
	l.reprocess(recorded, time.Time{}, discard, nil).same(t, "captured")

	// Lines of the capture are missing: their frames stay as they were logged.
	files, err := filepath.Glob(filepath.Join(l.config.captureFolder(), "*.gz"))
	if err != nil {
		t.Fatal(err)
	}
	dropped := 0
	for _, path := range files {
		var kept strings.Builder
		next := 0 // ordinal of the next frame
		for line := range strings.Lines(unzip(t, path)) {
			tag := strings.Fields(line)[1]
			if tag == "first_ordinal" {
				if _, err := fmt.Sscanf(line, "# first_ordinal %d", &next); err != nil {
					t.Fatal(err)
				}
			} else if slices.Contains([]string{"text", "rest", "binary", "text64", "rest64"}, tag) {
				if next++; tag == "text" && next%10 == 0 {
					dropped++
					line = fmt.Sprintf("# first_ordinal %d\n", next)
				}
			}
			kept.WriteString(line)
		}
		write(t, path, kept.String())
	}
	report := l.reprocess(recorded, time.Time{}, discard, nil)
	if report.Kept == 0 || report.Kept > uint64(2*dropped) || report.StateHash != report.StateHashBefore {
		t.Errorf("%d frames are missing, %+v", dropped, report)
	}

	// The beginning of a line was removed, by the bounds of captures.
	if err := os.RemoveAll(l.config.captureFolder()); err != nil {
		t.Fatal(err)
	}
	refused(recorded, time.Time{}, "no capture", "replay --from-journal")
}

// The set of a line's frames is that of a map, from wherever its ordinals begin.
func TestLoggedLine(t *testing.T) {
	t.Parallel()
	for _, begin := range []uint64{1, 63, 64, 1 << 40} {
		var l loggedLine
		want := map[uint64]bool{}
		for i := range uint64(500) {
			ordinal := begin + i*i%1000
			if i == 400 {
				ordinal = 1 // of another process
				if begin == 1<<40 {
					continue
				}
			}
			l.note(ordinal)
			want[ordinal] = true
		}
		for ordinal := begin - min(begin, 200); ordinal < begin+1200; ordinal++ {
			if l.has(ordinal) != want[ordinal] {
				t.Fatalf("from %d: %d is there: %v", begin, ordinal, l.has(ordinal))
			}
		}
		if l.has(0) || l.has(1<<50) || (*loggedLine)(nil).has(1) {
			t.Error("what was never noted is there")
		}
	}
}
