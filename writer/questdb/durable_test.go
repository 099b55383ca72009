package questdb

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickproc/internal/questdbserver"
	"tickproc/internal/vfs"
	"tickproc/tick"
	"tickproc/writer/spool"
)

func spooled(dir string) func(*Options) {
	return func(o *Options) { o.SpoolDir, o.Spool.FreeBytes = dir, -1 }
}

// While the database takes nothing, rows go to the spool, and a stop is no
// error. The next run delivers them first, in order, then its own.
func TestRowsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := newFaulty(t, func(string, int, []string) (int, string) { return 503, "away" })
	s := newSink(t, server.URL, spooled(dir))
	if _, err := New(Options{SpoolDir: dir, Logger: quiet()}); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("a second one uses the spool: %v", err)
	}
	trades(t, s, 700)
	closes(t, s)
	back := newFaulty(t, yes)
	s = newSink(t, back.URL, spooled(dir))
	var x tape
	x.define(t, btc, start)
	for id := 700; id < 1000; id++ {
		x.trade(0, start+int64(id)*1000, uint64(id))
	}
	s.Write(x.take())
	closes(t, s)
	if got, want := ids(back.committed("trades")), idsWithout(1000, func(int) bool { return false }); got != want {
		t.Errorf("committed %s", got)
	}
	if n := s.Stats.Tables[tableTrades].Recovered.Load(); n != 700 {
		t.Errorf("%d rows recovered", n)
	}
	conserved(t, s)
}

// A checkpoint says up to where the shards' logs are covered, and the next run
// knows it, also of tables that had no row.
func TestCheckpointCoversAllTables(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := newFaulty(t, yes)
	s := newSink(t, server.URL, spooled(dir))
	var x tape
	x.define(t, btc, start)
	x.trade(0, start, 1)
	p := x.row(tick.RowPosition, 0, 0).PositionRow()
	p.Shard, p.Epoch, p.Position = 2, 1, 640
	s.Write(x.take())
	type answer struct {
		marks []spool.ShardMark
		err   error
	}
	answers := make(chan answer, 1)
	s.Checkpoint(func(marks []spool.ShardMark, err error) { answers <- answer{marks, err} })
	s.Idle(start)
	a := <-answers
	if a.err != nil || fmt.Sprint(a.marks) != "[{2 {1 640}}]" {
		t.Errorf("%+v", a)
	}
	p = x.row(tick.RowPosition, 0, 0).PositionRow()
	p.Shard, p.Epoch, p.Position = 2, 1, 700
	x.trade(0, start+1, 2)
	s.Write(x.take())
	closes(t, s)
	s = newSink(t, server.URL, spooled(dir))
	if got := fmt.Sprint(s.Marks()); got != "map[2:{1 640}]" {
		t.Errorf("marks %s", got)
	}
	closes(t, s)
	memory := newSink(t, server.URL, nil)
	memory.Checkpoint(func(marks []spool.ShardMark, err error) { answers <- answer{marks, err} })
	memory.Idle(start)
	if a := <-answers; a.err == nil {
		t.Error("memory was said to be durable")
	}
	closes(t, memory)
}

// What cannot be read back from the spool is a gap, also of rows of a run
// before: exactly where only the payload is damaged, else from the record before
// it to the one behind.
func TestSpoolLossesBecomeGaps(t *testing.T) {
	t.Parallel()
	f := func(name string, flip func(content []byte), want string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			away := newFaulty(t, func(string, int, []string) (int, string) { return 503, "away" })
			change := func(o *Options) {
				spooled(dir)(o)
				o.FlushRows = 100
			}
			s := newSink(t, away.URL, change)
			trades(t, s, 1000)
			closes(t, s)
			names, _ := filepath.Glob(filepath.Join(dir, "trades-*.seg"))
			content, err := os.ReadFile(names[0])
			if err != nil {
				t.Fatal(err)
			}
			flip(content)
			if err := os.WriteFile(names[0], content, 0o644); err != nil {
				t.Fatal(err)
			}
			back := newFaulty(t, yes)
			s = newSink(t, back.URL, change)
			closes(t, s)
			if got := ids(back.committed("trades")); got != idsWithout(1000, func(id int) bool { return id/100 == 5 }) {
				t.Errorf("trades %s", got)
			}
			gaps := strings.Join(back.committed("gaps"), "\n")
			if gaps != "gaps,venue=binance-spot,symbol=BTCUSDT,channel=trades,reason=sink "+want {
				t.Errorf("gaps %q", gaps)
			}
		})
	}
	at := func(us int) string { return fmt.Sprint(start + int64(us)*1000) }
	f("payload", func(c []byte) { c[bytes.Index(c, []byte(`id="550"`))] ^= 1 },
		fmt.Sprintf("ts_end=%si,ord=0i,lost=100i,repaired=f %s", at(599), at(500)))
	f("head", func(c []byte) { c[bytes.Index(c, []byte(`id="500"`))-110] ^= 1 },
		fmt.Sprintf("ts_end=%si,ord=0i,repaired=f %s", at(600), at(499)))
}

// The newest rows of a table are cut off from the spool, and the server was
// restarted: what is kept of gaps would open one again that is closed, and is not
// sent. Trades, which have one version each, are.
func TestACutSpoolReopensNoGap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := newFaulty(t, yes)
	change := spooled(dir)
	s := newSink(t, server.URL, change)
	var x tape
	x.define(t, btc, start)
	gap := func(ts, end int64) {
		g := x.row(tick.RowGap, 0, ts).GapRow()
		g.Channel, g.Reason, g.EndNanos = tick.ChannelTrades, tick.ReasonSequence, end
		s.Write(x.take())
		s.Idle(s.o.Now() + 1e9)
	}
	x.trade(0, start, 1)
	gap(start, 0)
	gap(start, start+5)
	closes(t, s)
	names, _ := filepath.Glob(filepath.Join(dir, "gaps-*.seg"))
	content, err := os.ReadFile(names[0])
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	closed := bytes.Index(content, []byte("ts_end="))
	if err := os.Truncate(names[0], int64(closed)); err != nil {
		t.Fatal(err)
	}
	back := newFaulty(t, yes)
	s = newSink(t, back.URL, change)
	s.Resend(time.Unix(0, 0))
	until(t, "the resend has begun", func() bool {
		return s.senders[tableGaps].resend.Load() == noResend && s.Stats.Tables[tableTrades].Resent.Load() == 1
	})
	x.define(t, btc, start)
	gap(start+7, 0)
	closes(t, s)
	if got := back.committed("gaps"); len(got) != 1 || !strings.HasSuffix(got[0], fmt.Sprint(" ", start+7)) {
		t.Errorf("gaps %q", got)
	}
	if got := back.committed("trades"); len(got) != 1 {
		t.Errorf("trades %q", got)
	}
}

// A process is killed at any instant while it spools and posts, again and
// again. What it said was durable is in the table in the end, and nothing twice.
func TestKilledProcess(t *testing.T) {
	server, c := database(t)
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	rounds := 5
	first, durable := 0, 0
	for round := range rounds {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "TICKPROC_TEST_SPOOL="+dir, "TICKPROC_TEST_URL="+server.URL(), fmt.Sprint("TICKPROC_TEST_FIRST=", first))
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(out)
		for left := 1 + random.IntN(40); left > 0 && in.Scan(); left-- {
			n := 0
			switch {
			case strings.HasPrefix(in.Text(), "marks "):
				fmt.Sscanf(in.Text(), "marks %d", &n)
				if n < durable {
					t.Errorf("round %d: marks say %d, %d were durable", round, n, durable)
				}
			default:
				fmt.Sscanf(in.Text(), "durable %d", &n)
				durable = max(durable, n)
			}
		}
		_ = child.Process.Kill()
		for in.Scan() { // what it said before it died counts
			n := 0
			fmt.Sscanf(in.Text(), "durable %d", &n)
			durable = max(durable, n)
		}
		_ = child.Wait()
		first = durable
	}
	s := newSink(t, server.URL(), spooled(dir))
	closes(t, s)
	if err := c.Settle(t.Context(), "trades"); err != nil {
		t.Fatal(err)
	}
	r, err := c.Query(t.Context(), "SELECT count(), count_distinct(id), min(id::long), max(id::long) FROM trades")
	if err != nil {
		t.Fatal(err)
	}
	count, distinct, least, most := r.Int(0, 0), r.Int(0, 1), r.Int(0, 2), r.Int(0, 3)
	if durable == 0 || count != distinct || least != 0 || count != most+1 || int(count) < durable {
		t.Errorf("%d durable; %d rows, %d distinct, %d..%d", durable, count, distinct, least, most)
	}
	t.Logf("%d rounds, %d rows durable, %d in the table", rounds, durable, count)
}

// spoolUntilKilled writes trades and says how many are durable.
func spoolUntilKilled(dir string) {
	next := 0
	fmt.Sscan(os.Getenv("TICKPROC_TEST_FIRST"), &next)
	s, err := New(Options{URL: os.Getenv("TICKPROC_TEST_URL"), SpoolDir: dir, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		FlushInterval: 5 * time.Millisecond, Spool: SpoolOptions{FreeBytes: -1, SyncInterval: 3 * time.Millisecond, SegmentBytes: 64 << 10, Horizon: time.Second}})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("marks", s.Marks()[0].Position)
	s.Start()
	var x tape
	x.units, _ = tick.AppendCatalog(x.units, tick.Header{ReceiveNanos: start}, btc)
	answered := make(chan int, 1)
	answered <- 0
	for {
		for range 50 {
			x.trade(0, start+int64(next)*1000, uint64(next))
			next++
		}
		p := x.row(tick.RowPosition, 0, 0).PositionRow()
		p.Epoch, p.Position = 1, uint64(next)
		s.Write(x.take())
		select {
		case <-answered:
			s.Checkpoint(func(marks []spool.ShardMark, err error) {
				if err == nil {
					fmt.Println("durable", marks[0].Position)
				}
				answered <- 0
			})
		default:
		}
		s.Idle(s.o.Now())
		if s.spool.State().Bytes > 4<<20 { // slower than we: wait for it
			<-s.spool.Moved()
		}
	}
}

// The server is killed and its data wiped, then restored from an older copy:
// rows that it had acknowledged come back, none twice, without our restart and
// with it.
func TestServerLosesWhatItAcknowledged(t *testing.T) {
	server := questdbserver.NewForTest(t)
	c := NewClient(server.URL(), Credentials{}, 20*time.Second)
	dir := t.TempDir()
	sink := func() *Sink {
		return newSink(t, server.URL(), func(o *Options) {
			spooled(dir)(o)
			o.FlushRows = 400
		})
	}
	s := sink()
	var x tape
	x.define(t, btc, start)
	s.Write(x.take())
	next := 0
	write := func(n int) {
		for range n {
			x.trade(0, start+int64(next)*1e6, uint64(next))
			b := x.row(tick.RowBar, 0, start+int64(next)*1e9).BarRow()
			b.IntervalNanos, b.Flags, b.Trades = 1e9, tick.RowFinal|tick.RowComplete, uint64(next)
			next++
		}
		s.Write(x.take())
		s.Idle(s.o.Now() + 1e9)
	}
	settled := func() {
		until(t, "nothing waits", func() bool { s.Idle(s.o.Now() + 1e9); return s.spool.State().Empty })
	}
	whole := func(when string) {
		t.Helper()
		until(t, when+": all rows are there", func() bool {
			s.Idle(s.o.Now() + 1e9)
			r, err := c.Query(t.Context(), "SELECT count() FROM trades")
			b, err2 := c.Query(t.Context(), "SELECT count() FROM bars")
			return err == nil && err2 == nil && r.Int(0, 0) == int64(next) && b.Int(0, 0) == int64(next)
		})
		settled()
		reads(t, c, "SELECT count(), count_distinct(id), min(id::long), max(id::long) FROM trades", fmt.Sprintf("%d %[1]d 0 %d", next, next-1))
		reads(t, c, "SELECT count(), count_distinct(ts), max(trades) FROM bars", fmt.Sprintf("%d %[1]d %d", next, next-1))
	}
	data := filepath.Join(server.Dir(), "db")
	unreachable := func() uint64 { return s.Stats.Tables[tableTrades].Unreachable.Load() }
	outage := func(change func()) {
		t.Helper()
		server.Kill()
		before := unreachable()
		write(1)
		until(t, "the outage is seen", func() bool { return unreachable() > before })
		change()
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	write(3000)
	settled()
	whole("at first")
	// Wiped.
	outage(func() { must(os.RemoveAll(data)) })
	write(10)
	whole("wiped")
	if s.Stats.Tables[tableTrades].Resent.Load() < 3000 {
		t.Errorf("%d rows resent", s.Stats.Tables[tableTrades].Resent.Load())
	}
	// Restored from an older copy.
	old := filepath.Join(t.TempDir(), "db")
	outage(func() { must(os.CopyFS(old, os.DirFS(data))) })
	write(2000)
	whole("copied")
	outage(func() { must(os.RemoveAll(data)); must(os.CopyFS(data, os.DirFS(old))) })
	whole("restored")
	// The same while we are not there.
	write(500)
	whole("before the stop")
	closes(t, s)
	conserved(t, s)
	server.Kill()
	must(os.RemoveAll(data))
	must(os.CopyFS(data, os.DirFS(old)))
	must(server.Restart(t.Context()))
	s = sink()
	x.define(t, btc, start)
	whole("restored while we were stopped")
	// A table is dropped.
	query(t, c, "DROP TABLE trades")
	write(1)
	whole("dropped")
	// On demand.
	before := s.Stats.Tables[tableBars].Resent.Load()
	s.Resend(time.Unix(0, 0))
	until(t, "it is sent again", func() bool { return s.Stats.Tables[tableBars].Resent.Load() > before })
	whole("on demand")
	closes(t, s)
	conserved(t, s)
}

// Another run's better row stands over a restart; our own correction for the
// worse replaces our own row over a restart; and however often the spool is
// sent again, the end is the same.
func TestRanksSurviveRestartAndResend(t *testing.T) {
	server, c := database(t)
	const whole, final = tick.RowFinal | tick.RowComplete, tick.RowFinal
	dir := t.TempDir()
	run := func(change func(*Options), rows func(x *tape), then func(s *Sink)) {
		t.Helper()
		s := newSink(t, server.URL(), change)
		var x tape
		x.define(t, btc, start)
		rows(&x)
		s.Write(x.take())
		if then != nil {
			then(s)
		}
		closes(t, s)
		conserved(t, s)
	}
	shows := func(want string) {
		t.Helper()
		reads(t, c, "SELECT minute(ts), complete, rev, trades FROM bars ORDER BY ts", want)
	}
	again := func(s *Sink) {
		until(t, "nothing waits", func() bool { s.Idle(s.o.Now() + 1e9); return s.spool.State().Empty })
		before := s.Stats.Tables[tableBars].Resent.Load()
		s.Resend(time.Unix(0, 0))
		until(t, "it is sent again", func() bool { return s.Stats.Tables[tableBars].Resent.Load() > before })
	}
	run(nil, func(x *tape) { x.barOf(5, whole, 0, 50) }, nil) // another run's
	run(spooled(dir), func(x *tape) {
		x.barOf(5, final, 0, 49) // worse
		x.barOf(6, whole, 0, 60)
		x.barOf(7, final, 0, 70)
		x.barOf(8, whole, 0, 80)
	}, nil)
	const want = "5 true 0 50\n6 false 1 59\n7 true 1 71\n8 true 2 82"
	run(spooled(dir), func(x *tape) {
		x.barOf(5, final, 1, 48) // still worse
		x.barOf(6, final, 1, 59) // a loss came to light
		x.barOf(7, whole, 1, 71) // backfilled
		x.barOf(8, whole, 1, 81)
		x.barOf(8, whole, 2, 82)
	}, nil)
	shows(want)
	run(spooled(dir), func(*tape) {}, again)
	shows(want)
	// A log lost its last part to a power cut, and makes earlier versions anew.
	run(spooled(dir), func(x *tape) {
		x.barOf(8, whole, 0, 79)
		x.barOf(8, final, 1, 79)
	}, nil)
	shows(want)
	// The spool's acked position is lost with a power cut: all is sent again.
	if err := os.Remove(filepath.Join(dir, "acked")); err != nil {
		t.Fatal(err)
	}
	run(spooled(dir), func(*tape) {}, nil)
	shows(want)
	// The table is gone, and the other run's row with it.
	query(t, c, "DROP TABLE bars")
	run(spooled(dir), func(*tape) {}, func(s *Sink) {
		until(t, "it is sent again", func() bool { return s.Stats.Tables[tableBars].Resent.Load() > 0 })
	})
	shows("5 false 1 48\n6 false 1 59\n7 true 1 71\n8 true 2 82")
	run(spooled(dir), func(*tape) {}, again)
	shows("5 false 1 48\n6 false 1 59\n7 true 1 71\n8 true 2 82")
}

// Dead letters are listed and sent again: those that fit now are in the table,
// worse ones than what stands are dropped, those refused again stay, and so
// does what was added meanwhile.
func TestDeadLettersAreReplayed(t *testing.T) {
	server, c := database(t)
	dir := t.TempDir()
	s := newSink(t, server.URL(), nil)
	var x tape
	x.define(t, btc, start)
	x.barOf(1, tick.RowFinal|tick.RowComplete, 0, 10)
	x.barOf(2, tick.RowFinal, 0, 20)
	g := x.row(tick.RowGap, 0, start).GapRow()
	g.Channel, g.Reason, g.EndNanos = tick.ChannelTrades, tick.ReasonSequence, start+5
	s.Write(x.take())
	closes(t, s)

	dead := deadLetters{dir: dir}
	add := func(table, line string) {
		t.Helper()
		if kept, err := dead.add(start, table, "once", line); !kept || err != nil {
			t.Fatal(kept, err)
		}
	}
	const key = "venue=binance-spot,symbol=BTCUSDT"
	bar := func(m int, complete string, trades int) string {
		return fmt.Sprintf("bars,%s,interval=1m open=1,trades=%di,rev=0i,final=t,complete=%s %d", key, trades, complete, start+int64(m)*60e9)
	}
	add("trades", fmt.Sprintf(`trades,%s,side=buy id="7",price=1.5,size=2 %d`, key, start))
	add("bars", bar(1, "f", 9))  // worse
	add("bars", bar(2, "t", 21)) // better
	add("bars", bar(3, "f", 1))  // new
	add("gaps", fmt.Sprintf("gaps,%s,channel=trades,reason=sequence ord=0i,lost=1i,repaired=f %d", key, start))
	add("trades", fmt.Sprintf(`trades,%s id="8",price="nonsense" %d`, key, start))
	file := filepath.Join(dir, DeadLetterFile)
	torn, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(torn, `{"time":"torn`)
	torn.Close()
	add("quotes", "quotes, not chosen")
	letters, unreadable, err := DeadLetters(dir)
	if len(letters) != 7 || unreadable != 1 || err != nil || letters[0].Reason != "once" {
		t.Fatalf("%d letters, %d unreadable, %v", len(letters), unreadable, err)
	}
	meanwhile := false
	report, err := ReplayDeadLetters(t.Context(), Options{URL: server.URL(), DeadLetterDir: dir, Logger: quiet()}, func(d DeadLetter) bool {
		if !meanwhile {
			meanwhile = true
			add("trades", "trades,added=meanwhile")
		}
		return d.Table != "quotes"
	})
	if err != nil || report != (ReplayReport{Sent: 3, Outranked: 2, Refused: 1, Unreadable: 1}) {
		t.Errorf("%+v, %v", report, err)
	}
	reads(t, c, "SELECT id FROM trades", "7")
	reads(t, c, "SELECT minute(ts), complete, trades FROM bars ORDER BY ts", "1 true 10\n2 true 21\n3 false 1")
	reads(t, c, "SELECT ts_end IS NULL FROM gaps", "false")
	left, unreadable, err := DeadLetters(dir)
	if len(left) != 3 || unreadable != 1 || err != nil || !strings.Contains(left[0].Line, "nonsense") || !strings.Contains(left[2].Line, "meanwhile") {
		t.Errorf("left %+v, %v", left, err)
	}
	// A server that does not answer keeps them all.
	if _, err := ReplayDeadLetters(context.Background(), Options{URL: "http://127.0.0.1:1", DeadLetterDir: dir, Logger: quiet()}, nil); err == nil {
		t.Error("no error")
	}
	if left, _, _ := DeadLetters(dir); len(left) != 3 {
		t.Errorf("left %+v", left)
	}
}
