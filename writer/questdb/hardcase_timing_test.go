package questdb

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tickproc/internal/questdbserver"
)

var (
	hardCase      = flag.Duration("hard-case", 0, "run TestHardCase for this long: it takes both cores and gigabytes")
	hardSymbols   = flag.Int("symbols", 10_000, "instruments of TestHardCase")
	hardVenues    = flag.Int("venues", 20, "venues that they are spread over")
	hardRate      = flag.Int("rate", 20_000, "rows a second, one in four a trade, the rest quotes")
	hardSkew      = flag.Duration("skew", 2*time.Second, "how far the venues' times are before or behind ours")
	hardRows      = flag.Int("flush-rows", 75_000, "Options.FlushRows")
	hardInterval  = flag.Duration("flush-interval", time.Second, "Options.FlushInterval")
	hardPartition = flag.String("partition", "HOUR", "of trades and quotes")
	hardCapacity  = flag.Int("capacity", capacitySymbols, "of the symbol columns of symbols")
	hardHeap      = flag.Int("heap", 1024, "megabytes of the server's heap")
	hardEnv       = flag.String("server-env", "", "more settings of the server, QDB_A=1,QDB_B=2")
	hardSample    = flag.Duration("sample", 10*time.Second, "how often a line is printed")
)

// TestHardCase writes what is hardest for QuestDB: very many symbols of many
// venues whose times are before and behind each other, so that every batch
// overlaps the one before, with dedup keys. It goes through the sink and its
// spool at a steady rate, as live rows do, and prints how far queries are behind
// and how often a row is written.
func TestHardCase(t *testing.T) {
	if *hardCase == 0 {
		t.Skip("-hard-case is not set")
	}
	env := append(strings.FieldsFunc(*hardEnv, func(r rune) bool { return r == ',' }), "QDB_METRICS_ENABLED=true")
	server, err := questdbserver.Start(t.Context(), questdbserver.Options{Dir: t.TempDir(), HeapMB: *hardHeap, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	s, err := New(Options{URL: server.URL(), Logger: quiet(), FlushRows: *hardRows, FlushInterval: *hardInterval, SpoolDir: t.TempDir(),
		PartitionBy: map[string]string{"trades": *hardPartition, "quotes": *hardPartition}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.lanes {
		for k := range s.lanes[i].table.columns {
			if c := &s.lanes[i].table.columns[k]; c.kind == symbol && c.capacity == capacitySymbols {
				c.capacity = *hardCapacity
			}
		}
	}
	s.Start()
	m := &hardMarket{r: rand.New(rand.NewPCG(1, 1)), skews: make([]int64, *hardVenues)}
	for i := range m.skews {
		m.skews[i] = m.r.Int64N(2*int64(*hardSkew)+1) - int64(*hardSkew)
	}
	for i := range *hardSymbols {
		in := btc
		in.ID, in.Venue, in.Symbol = uint32(i), fmt.Sprintf("venue-%d", i%*hardVenues), fmt.Sprintf("S%05dUSDT", i)
		m.define(t, in, start)
	}
	s.Write(m.take())

	w := newHardWatch(t, server, s)
	defer w.client.closeIdle()
	t.Logf("%d symbols, %d venues, ±%s, %d rows/s for %s; batches %d rows or %s, by %s, capacity %d, heap %d MB, %s", *hardSymbols, *hardVenues, *hardSkew,
		*hardRate, *hardCase, *hardRows, *hardInterval, *hardPartition, *hardCapacity, *hardHeap, *hardEnv)
	done := make(chan struct{})
	go func() { defer close(done); w.run() }()
	began, written := time.Now(), 0
	for {
		took := time.Since(began)
		if took >= *hardCase {
			break
		}
		for due := int(took.Seconds() * float64(*hardRate)); written < due; {
			n := min(due-written, 1000)
			for range n {
				m.add(s.o.Now())
			}
			s.Write(m.units)
			m.units = m.units[:0]
			written += n
		}
		s.Idle(s.o.Now())
		w.wrote.Store(int64(written))
		time.Sleep(5 * time.Millisecond)
	}
	ended := time.Now()
	for s.Stats.Tables[tableTrades].Acked.Load()+s.Stats.Tables[tableQuotes].Acked.Load() < uint64(written) {
		s.Idle(s.o.Now() + int64(time.Second))
		time.Sleep(5 * time.Millisecond)
	}
	acked := time.Since(ended)
	for _, table := range []string{"trades", "quotes"} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
		if err := w.client.Settle(ctx, table); err != nil {
			t.Error(err)
		}
		cancel()
	}
	visible := time.Since(ended)
	close(w.end)
	<-done
	w.report(written, acked, visible)
	if got := w.rows(); got != int64(written) {
		t.Errorf("%d rows of %d", got, written)
	}
	closes(t, s)
}

// hardMarket makes rows.
type hardMarket struct {
	tape
	r     *rand.Rand
	skews []int64 // by venue, ns
	id    uint64
}

func (m *hardMarket) add(now int64) {
	m.id++
	in := m.r.Uint32N(uint32(*hardSymbols))
	// A venue's rows are nearly in order among themselves.
	ts := now + m.skews[int(in)%len(m.skews)] - m.r.Int64N(20e6)
	if m.r.IntN(4) == 0 {
		tr := m.trade(in, ts, m.id)
		tr.Price, tr.Size = 6183763+m.r.Int64N(1000), 1+m.r.Int64N(1e6)
		return
	}
	q := m.quote(in, ts, m.id)
	q.Bid, q.BidSize, q.AskSize = 6183763+m.r.Int64N(1000), 1+m.r.Int64N(1e6), 1+m.r.Int64N(1e6)
	q.Ask = q.Bid + 1
}

// hardWatch looks at the server from beside.
type hardWatch struct {
	t      *testing.T
	server *questdbserver.Server
	client *Client
	sink   *Sink
	wrote  atomic.Int64 // rows given to the sink
	end    chan struct{}

	history []hardMark // of wrote
	lags    []float64  // seconds from Write to a query, a sample a second
	behind  []float64  // transactions that are not applied
	first   map[string]float64
	rssMax  int64
}

type hardMark struct {
	at   time.Time
	rows int64
}

func newHardWatch(t *testing.T, server *questdbserver.Server, s *Sink) *hardWatch {
	w := &hardWatch{t: t, server: server, client: NewClient(server.URL(), Credentials{}, time.Minute), sink: s, end: make(chan struct{})}
	w.first = w.counters()
	return w
}

// run ends with end.
func (w *hardWatch) run() {
	fast, slow := time.NewTicker(time.Second), time.NewTicker(*hardSample)
	defer fast.Stop()
	defer slow.Stop()
	mark := time.NewTicker(20 * time.Millisecond)
	defer mark.Stop()
	for {
		select {
		case <-w.end:
			return
		case <-mark.C:
			w.history = append(w.history, hardMark{time.Now(), w.wrote.Load()})
		case <-fast.C:
			w.look()
		case <-slow.C:
			w.print()
		}
	}
}

// look finds how old the newest row is that everything before it is visible of.
func (w *hardWatch) look() {
	now := time.Now()
	rows := w.rows()
	i, _ := slices.BinarySearchFunc(w.history, rows, func(m hardMark, rows int64) int { return cmp.Compare(m.rows, rows+1) })
	// history[i] is the first with more rows than are visible.
	if i < len(w.history) {
		w.lags = append(w.lags, now.Sub(w.history[i].at).Seconds())
		w.history = w.history[max(0, i-1):]
	}
	behind := 0.0
	for _, row := range w.sql("SELECT sequencerTxn - writerTxn FROM wal_tables() WHERE name IN ('trades', 'quotes')") {
		n, _ := strconv.ParseFloat(fmt.Sprint(row[0]), 64)
		behind += n
	}
	w.behind = append(w.behind, behind)
	w.rssMax = max(w.rssMax, w.rss())
}

func (w *hardWatch) sql(statement string) [][]any {
	r, err := w.client.Query(context.Background(), statement)
	if err != nil {
		w.t.Log(err)
		return nil
	}
	return r.Rows
}

func (w *hardWatch) rows() (n int64) {
	for _, table := range []string{"trades", "quotes"} {
		for _, row := range w.sql("SELECT count() FROM " + table) {
			k, _ := strconv.ParseInt(fmt.Sprint(row[0]), 10, 64)
			n += k
		}
	}
	return n
}

// counters are the server's: its metrics, the bytes it wrote, its processor time in s.
func (w *hardWatch) counters() map[string]float64 {
	all := map[string]float64{}
	response, err := http.Get(w.server.HealthURL() + "/metrics")
	if err != nil {
		w.t.Log(err)
		return all
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			all[name] = v
		}
	}
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/io", w.server.PID()))
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		all[name], _ = strconv.ParseFloat(value, 64)
	}
	all["cpu"] = float64(processorTimeOf(w.t, w.server.PID())) / 1e9
	return all
}

func (w *hardWatch) rss() int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", w.server.PID()))
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// diskBytes is what the tables take, by blocks: their files are sparse.
func (w *hardWatch) diskBytes() (n int64) {
	_ = filepath.WalkDir(filepath.Join(w.server.Dir(), "db"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			if s, ok := info.Sys().(*syscall.Stat_t); ok {
				n += s.Blocks * 512
			}
		}
		return nil
	})
	return n
}

func (w *hardWatch) print() {
	st := &w.sink.Stats
	acked := st.Tables[tableTrades].Acked.Load() + st.Tables[tableQuotes].Acked.Load()
	c := w.since()
	w.t.Logf("rows %d written, %d acknowledged; %s; behind %s s, %s transactions; server %d MB; waiting here %d kB", w.wrote.Load(), acked, w.amplification(c, float64(acked)),
		quantiles(w.lags[max(0, len(w.lags)-10):]), quantiles(w.behind[max(0, len(w.behind)-10):]), w.rss()>>20, st.WaitingBytes.Load()>>10)
}

func (w *hardWatch) since() map[string]float64 {
	c := w.counters()
	for name := range c {
		c[name] -= w.first[name]
	}
	return c
}

func (w *hardWatch) amplification(c map[string]float64, rows float64) string {
	physical, committed := c["questdb_wal_apply_physically_written_rows_total"], c["questdb_wal_apply_written_rows_total"]
	return fmt.Sprintf("rows written %.2f times (of %.0f), %.0f bytes to disk a row, server %.1f µs a row", physical/committed, committed, c["write_bytes"]/rows, 1e6*c["cpu"]/rows)
}

func (w *hardWatch) report(rows int, acked, visible time.Duration) {
	c := w.since()
	load, _ := os.ReadFile("/proc/loadavg")
	w.t.Logf("in all: %s; behind %s s, %s transactions; all acknowledged %s and visible %s after the last; disk %.0f bytes a row; server at most %d MB; load %s", w.amplification(c, float64(rows)),
		quantiles(w.lags), quantiles(w.behind), acked.Round(time.Millisecond), visible.Round(time.Millisecond), float64(w.diskBytes())/float64(rows), w.rssMax>>20, strings.Fields(string(load))[0])
	for _, table := range []int{tableTrades, tableQuotes} {
		st := &w.sink.Stats.Tables[table]
		_, nanos := st.PostNanos.Snapshot()
		for _, row := range w.sql("SELECT table_write_amp_p50, table_write_amp_p99, wal_tx_size_p50, wal_dedup_row_count_since_start FROM tables() WHERE table_name = '" + w.sink.lanes[table].table.name + "'") {
			w.t.Logf("%s: a commit writes its rows p50 %v p99 %v times, has p50 %v rows; %v rows were there already", w.sink.lanes[table].table.name, row[0], row[1], row[2], row[3])
		}
		w.t.Logf("%s: %d rows in %d posts of %s", w.sink.lanes[table].table.name, st.Acked.Load(), st.Batches.Load(),
			time.Duration(nanos/int64(max(st.Batches.Load(), 1))).Round(time.Microsecond))
	}
}

// quantiles prints the half, 99 of 100 and all of what was seen.
func quantiles(all []float64) string {
	if len(all) == 0 {
		return "?"
	}
	all = slices.Sorted(slices.Values(all))
	return fmt.Sprintf("p50 %.2f p99 %.2f max %.2f", all[len(all)/2], all[len(all)*99/100], all[len(all)-1])
}
