package questdb

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"tickproc/tick"
	"tickproc/writer"
)

// faulty stands where QuestDB would, for what the real one does not do on
// demand. It says yes to every statement, and to a post what the test says.
type faulty struct {
	*httptest.Server
	// answer returns the status and body for the n-th post (from 0) of a table.
	answer func(table string, n int, lines []string) (status int, body string)

	mu       sync.Mutex
	posts    map[string]int
	lines    map[string][]string // committed, in order
	taken    map[string]int      // posts that were
	verified int                 // statements about tables
}

func newFaulty(t *testing.T, answer func(table string, n int, lines []string) (int, string)) *faulty {
	f := &faulty{answer: answer, posts: map[string]int{}, taken: map[string]int{}, lines: map[string][]string{}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *faulty) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/exec" {
		f.mu.Lock()
		f.verified++
		sql := r.URL.Query().Get("query")
		dataset := "[]"
		switch {
		case strings.HasPrefix(sql, "SELECT id FROM tables()"):
			dataset = "[[1]]"
		case strings.HasPrefix(sql, "SELECT sequencerTxn"):
			dataset = fmt.Sprintf("[[%d]]", f.taken[sql[strings.Index(sql, "'")+1:len(sql)-1]])
		}
		f.mu.Unlock()
		fmt.Fprintf(w, `{"columns":[],"dataset":%s}`, dataset)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	table, _, _ := strings.Cut(lines[0], ",")
	f.mu.Lock()
	n := f.posts[table]
	f.posts[table]++
	f.mu.Unlock()
	status, text := f.answer(table, n, lines)
	if status == 0 {
		panic(http.ErrAbortHandler) // the connection breaks
	}
	if status == http.StatusNoContent {
		f.mu.Lock()
		f.lines[table] = append(f.lines[table], lines...)
		f.taken[table]++
		f.mu.Unlock()
	}
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	fmt.Fprint(w, text)
}

func (f *faulty) posted(table string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.posts[table]
}

func (f *faulty) committed(table string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.lines[table]...)
}

func yes(string, int, []string) (int, string) { return http.StatusNoContent, "" }

var idText = regexp.MustCompile(`id="(\d+)"`)

// ids returns the trade ids of lines.
func ids(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		if m := idText.FindStringSubmatch(l); m != nil {
			b.WriteString(m[1] + " ")
		}
	}
	return strings.TrimSpace(b.String())
}

func idsWithout(n int, bad func(int) bool) string {
	var b strings.Builder
	for i := range n {
		if !bad(i) {
			fmt.Fprintf(&b, "%d ", i)
		}
	}
	return strings.TrimSpace(b.String())
}

// trades writes n trades with ids from 0, a microsecond apart.
func trades(t *testing.T, s *Sink, n int) {
	t.Helper()
	var x tape
	x.define(t, btc, start)
	for id := range n {
		x.trade(0, start+int64(id)*1000, uint64(id))
	}
	s.Write(x.take())
}

// Whatever a busy, failing or misconfigured server answers, rows are posted
// until it takes them, in order, and each once.
func TestRetriesUntilTaken(t *testing.T) {
	f := func(name string, status int, count func(*TableStats) uint64) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newFaulty(t, func(_ string, n int, _ []string) (int, string) {
				if n < 2 {
					return status, "no"
				}
				return http.StatusNoContent, ""
			})
			s := newSink(t, server.URL, func(o *Options) { o.FlushRows = 10 })
			trades(t, s, 30)
			closes(t, s)
			if got, want := ids(server.committed("trades")), idsWithout(30, func(int) bool { return false }); got != want {
				t.Errorf("committed %s", got)
			}
			if n := count(&s.Stats.Tables[tableTrades]); n != 2 {
				t.Errorf("%d counted, want 2", n)
			}
			if n := s.Stats.Tables[tableTrades].Retried.Load(); n != 20 {
				t.Errorf("%d rows retried, want 20", n)
			}
		})
	}
	f("connection breaks", 0, func(s *TableStats) uint64 { return s.Unreachable.Load() })
	f("500", 500, func(s *TableStats) uint64 { return s.Busy.Load() })
	f("502", 502, func(s *TableStats) uint64 { return s.Busy.Load() })
	f("503", 503, func(s *TableStats) uint64 { return s.Busy.Load() })
	f("429", 429, func(s *TableStats) uint64 { return s.Busy.Load() })
	f("401", 401, func(s *TableStats) uint64 { return s.Denied.Load() })
	f("404", 404, func(s *TableStats) uint64 { return s.Denied.Load() })
	f("302", 302, func(s *TableStats) uint64 { return s.Denied.Load() })
}

// A line that the server names, one that it does not name, and one that is
// too long are set aside; the rest arrives, in order, in few requests.
func TestRefusedRowsAreSetAside(t *testing.T) {
	const n = 1000
	f := func(name string, bad func(int) bool, refuse func(line int) (int, string), postsMax int) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			server := newFaulty(t, func(table string, _ int, lines []string) (int, string) {
				for i, l := range lines {
					var id int
					if m := idText.FindStringSubmatch(l); m != nil {
						fmt.Sscan(m[1], &id)
						if bad(id) {
							return refuse(i + 1)
						}
					}
				}
				return http.StatusNoContent, ""
			})
			s := newSink(t, server.URL, func(o *Options) { o.DeadLetterDir = dir })
			trades(t, s, n)
			closes(t, s)
			if got, want := ids(server.committed("trades")), idsWithout(n, bad); got != want {
				t.Errorf("committed %s", got)
			}
			var want []string
			for i := range n {
				if bad(i) {
					want = append(want, fmt.Sprint(i))
				}
			}
			if got := ids(deadLines(t, dir)); got != strings.Join(want, " ") {
				t.Errorf("dead letters %s", got)
			}
			st := &s.Stats.Tables[tableTrades]
			if st.Quarantined.Load() != uint64(len(want)) || st.Acked.Load() != uint64(n-len(want)) {
				t.Errorf("quarantined %d, acked %d", st.Quarantined.Load(), st.Acked.Load())
			}
			if server.posts["trades"] > postsMax {
				t.Errorf("%d posts, want at most %d", server.posts["trades"], postsMax)
			}
			// One gap an instrument says from when to when, and how many.
			gaps := server.committed("gaps")
			if len(gaps) == 0 || !strings.Contains(gaps[len(gaps)-1], "channel=trades,reason=rejected") {
				t.Errorf("gaps: %q", gaps)
			}
		})
	}
	named := func(line int) (int, string) {
		return 400, fmt.Sprintf(`{"code":"invalid","message":"failed to parse line protocol:errors encountered on line(s):\nerror in line %d: bad","line":%[1]d}`, line)
	}
	unnamed := func(int) (int, string) { return 400, `{"message":"something is wrong"}` }
	noJSON := func(int) (int, string) { return 400, `what?` }
	long := func(int) (int, string) { return 413, `` }
	three := func(id int) bool { return id == 0 || id == 500 || id == n-1 }
	all := func(int) bool { return true }
	half := func(id int) bool { return id%2 == 0 }
	f("named", three, named, 20)
	f("unnamed", three, unnamed, 120)
	f("no JSON", three, noJSON, 120)
	f("too long", three, long, 120)
	f("all named", all, named, n+20)
	f("half named", half, named, n+50)
	f("all unnamed", all, unnamed, 3*n)
	f("wrong line named", three, func(int) (int, string) { return named(1_000_000) }, 120)
}

func deadLines(t *testing.T, dir string) []string {
	t.Helper()
	file, err := os.Open(filepath.Join(dir, DeadLetterFile))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var lines []string
	for in := bufio.NewScanner(file); in.Scan(); {
		var d DeadLetter
		if err := json.Unmarshal(in.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		if d.Table != "trades" || d.Reason == "" || d.Time == "" {
			t.Errorf("dead letter %+v", d)
		}
		lines = append(lines, d.Line)
	}
	return lines
}

// A table that is missing is verified, and so created, before rows are sent
// again; none of them is at fault.
func TestMissingTableIsNoRowsFault(t *testing.T) {
	t.Parallel()
	server := newFaulty(t, func(_ string, n int, _ []string) (int, string) {
		if n == 1 {
			return 400, `{"message":"error in line 1: table: trades; table does not exist, creating new tables is disabled","line":1}`
		}
		return http.StatusNoContent, ""
	})
	const statements = tableCount*2 + 2*2 // tables, and two views
	s := newSink(t, server.URL, func(o *Options) { o.FlushRows = 5 })
	until(t, "the tables were verified", func() bool { server.mu.Lock(); defer server.mu.Unlock(); return server.verified >= statements })
	trades(t, s, 10)
	closes(t, s)
	if got := ids(server.committed("trades")); got != "0 1 2 3 4 5 6 7 8 9" {
		t.Errorf("committed %s", got)
	}
	if s.Stats.Tables[tableTrades].Quarantined.Load() != 0 || server.verified <= statements {
		t.Errorf("quarantined %d, verified %d", s.Stats.Tables[tableTrades].Quarantined.Load(), server.verified)
	}
}

// While a server hangs, writing goes on; Close gives up with its context and
// says what was not delivered.
func TestHangingServerHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := newFaulty(t, func(string, int, []string) (int, string) { <-release; return 0, "" })
	defer close(release)
	s := newSink(t, server.URL, func(o *Options) { o.FlushRows = 100 })
	trades(t, s, 250)
	until(t, "a post hangs", func() bool { server.mu.Lock(); defer server.mu.Unlock(); return server.posts["trades"] == 1 })
	for round := range 100 { // these return, or the test does not
		var x tape
		for id := range 1000 {
			x.trade(0, start+int64(round), uint64(id))
		}
		s.Write(x.take())
		s.Idle(start + int64(round)*1e9)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("enough"))
	err := s.Close(ctx)
	var report *writer.UndeliveredError
	if !errors.As(err, &report) {
		t.Fatal(err)
	}
	if got := fmt.Sprint(report.Tables); got != "[{trades 100250} {instruments 1}]" || !strings.Contains(err.Error(), "enough") {
		t.Errorf("%v", err)
	}
}

// conserved checks that every accepted row ended in exactly one way.
func conserved(t *testing.T, s *Sink) {
	t.Helper()
	for i, name := range TableNames() {
		st := &s.Stats.Tables[i]
		if in, out := st.Accepted.Load()+st.Recovered.Load()+st.Resent.Load(), st.Acked.Load()+st.Quarantined.Load()+st.Lost.Load()+st.Outranked.Load(); in != out {
			t.Errorf("%s: %d rows accepted, %d accounted for", name, in, out)
		}
	}
	if n := s.spool.State().Bytes; n != 0 {
		t.Errorf("%d bytes wait in an empty spool", n)
	}
}

// Memory is full while the database is away: quotes go first, then book rows,
// then trades, oldest first; memory stays in its bound; when the database is
// back gaps say what is missing, per instrument.
func TestOverflow(t *testing.T) {
	t.Parallel()
	var away sync.WaitGroup
	away.Add(1)
	server := newFaulty(t, func(_ string, n int, _ []string) (int, string) {
		away.Wait()
		return http.StatusNoContent, ""
	})
	const limit = 1 << 20
	s := newSink(t, server.URL, func(o *Options) { o.MaxBytes, o.FlushRows = limit, 100 })
	lost := func(table int) uint64 { return s.Stats.Tables[table].Lost.Load() }
	var x tape
	x.define(t, btc, start)
	x.define(t, perp, start)
	s.Write(x.take())
	level := []tick.Level{{Price: 1, Size: 1}}
	wrote := map[int]int64{}
	write := func(table int, rows int) {
		for range rows {
			n := wrote[table]
			wrote[table]++
			ts, instrument := start+n*1000, uint32(n%2)
			switch table {
			case tableQuotes:
				x.quote(instrument, ts, uint64(n))
			case tableBook:
				x.book(instrument, ts, uint64(n), level, level)
			case tableTrades:
				x.trade(instrument, ts, uint64(n))
			}
		}
		s.Write(x.take())
		s.Idle(start)
		if waits := s.Stats.WaitingBytes.Load(); waits > limit {
			t.Fatalf("%d bytes wait", waits)
		}
	}
	write(tableTrades, 1000)
	write(tableBook, 1000)
	write(tableQuotes, 1000)
	if lost(tableTrades)+lost(tableBook)+lost(tableQuotes) != 0 {
		t.Fatal("rows were lost below the bound")
	}
	// A request holds the first batch of each: what is lost begins behind it.
	until(t, "a request of each table hangs", func() bool {
		return server.posted("trades") == 1 && server.posted("book") == 1 && server.posted("quotes") == 1
	})
	// Trades push out the quotes, all but those of the request that hangs, ...
	for lost(tableBook) == 0 {
		write(tableTrades, 100)
	}
	if n := lost(tableQuotes); n < 900 || lost(tableTrades) != 0 {
		t.Errorf("when book rows began to go: %d quotes, %d trades lost", n, lost(tableTrades))
	}
	// ... then the book, then the oldest trades.
	for lost(tableTrades) < 500 {
		write(tableTrades, 100)
	}
	if n := lost(tableBook); n < 900 {
		t.Errorf("when trades began to go: %d book rows lost", n)
	}
	away.Done()
	closes(t, s)
	conserved(t, s)

	// What is committed and what gaps report make up what was written.
	f := func(table int, channel string) {
		t.Helper()
		var total, from, to int64
		for _, line := range server.committed("gaps") {
			if strings.Contains(line, "channel="+channel+",") {
				var gapLost, end, ts int64
				if !strings.Contains(line, "reason=sink") {
					t.Errorf("gap %s", line)
				}
				fields := line[strings.Index(line, " ")+1:]
				if _, err := fmt.Sscanf(fields, "ts_end=%di,ord=0i,lost=%di,repaired=f %d", &end, &gapLost, &ts); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				total += gapLost
				if from == 0 || ts < from {
					from = ts
				}
				to = max(to, end)
			}
		}
		name := TableNames()[table]
		if total != int64(lost(table)) || int64(len(server.committed(name)))+total != wrote[table] {
			t.Errorf("%s: gaps say %d lost, %d committed of %d", name, total, len(server.committed(name)), wrote[table])
		}
		for _, line := range server.committed(name) {
			var ts int64
			fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &ts)
			if ts > from && ts < to {
				t.Fatalf("%s: a committed row lies inside %d..%d: %s", name, from, to, line)
			}
		}
	}
	f(tableQuotes, "quotes")
	f(tableBook, "depth")
	f(tableTrades, "trades")
}

// On a quiet feed a single row leaves when it is old.
func TestOldRowLeaves(t *testing.T) {
	t.Parallel()
	server := newFaulty(t, yes)
	s := newSink(t, server.URL, func(o *Options) { o.Now = func() int64 { return start } })
	trades(t, s, 1)
	s.Idle(start + int64(time.Second) - 1)
	if !s.spool.Idle(tableTrades) {
		t.Fatal("a row left before it was old")
	}
	s.Idle(start + int64(time.Second))
	until(t, "the row arrived", func() bool { return len(server.committed("trades")) == 1 })
	until(t, "nothing waits", func() bool { s.Idle(start); return s.Stats.WaitingBytes.Load() == 0 })
	closes(t, s)
}

// Credentials reach both endpoints.
func TestCredentials(t *testing.T) {
	t.Parallel()
	f := func(c Credentials, want string) {
		t.Helper()
		var mu sync.Mutex
		seen := map[string]string{}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seen[r.URL.Path] = r.Header.Get("Authorization")
			mu.Unlock()
			fmt.Fprint(w, `{}`)
		}))
		defer server.Close()
		s := newSink(t, server.URL, func(o *Options) { o.Credentials = c })
		trades(t, s, 1)
		closes(t, s)
		if seen["/exec"] != want || seen["/write"] != want {
			t.Errorf("got %v, want %s", seen, want)
		}
	}
	f(Credentials{}, "")
	f(Credentials{Token: "abc"}, "Bearer abc")
	f(Credentials{User: "u", Password: "p"}, "Basic dTpw")
}

func TestOptionsNameEveryFault(t *testing.T) {
	t.Parallel()
	_, err := New(Options{URL: "questdb:9000", FlushRows: -1, FlushInterval: time.Hour, MaxBytes: 5, Numbers: "float", Encoder: "v4", Depth: 1000,
		PartitionBy: map[string]string{"trade": "HOUR", "trades": "MINUTE"}, TTL: map[string]string{"*": "soon"},
		Credentials: Credentials{Token: "a", User: "b"}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"url", "flush rows", "flush interval", "max bytes", "numbers", "encoder", "depth", `partition_by "trade"`, "MINUTE", "soon", "token"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not named in:\n%v", want, err)
		}
	}
	var o Options
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
}
