package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tickproc/feeds/sim"
	"tickproc/feeds/venues"
	"tickproc/pipeline"
	"tickproc/tick"
)

var (
	scale        = flag.Bool("scale", false, "run TestScale: it takes minutes and both cores")
	scaleSymbols = flag.Int("scale-symbols", 2000, "instruments over all venues")
	scaleRate    = flag.Float64("scale-rate", 5, "market events a second and instrument")
	scaleFor     = flag.Duration("scale-for", 40*time.Second, "how long is measured, after the start")
	scaleServe   = flag.Bool("scale-serve", false, "be the exchanges of TestScale")
)

// Where books are fetched by REST within a budget of weights a minute, more
// instruments would only wait for it: a fortieth of the rest's share on
// Binance's spot market, a third on its others.
var scaleShares = map[string]float64{"binance-spot": 0.07, "binance-usdm": 0.33, "binance-coinm": 0.33}

// scaleMany spreads the instruments over the venues.
func scaleMany() map[string][]sim.Symbol {
	share := func(venue string) float64 {
		if s, ok := scaleShares[venue]; ok {
			return s
		}
		return 1
	}
	total := 0.0
	for _, venue := range venues.Names() {
		total += share(venue)
	}
	all := map[string][]sim.Symbol{}
	left := *scaleSymbols
	for i, venue := range venues.Names() {
		n := int(float64(*scaleSymbols) * share(venue) / total)
		if i == len(venues.Names())-1 {
			n = left
		}
		left -= n
		first := venues.Dialect(venue).DefaultSymbols()[0].Name
		for k := range n {
			base := string([]byte{'Q', 'A' + byte(k/676%26), 'A' + byte(k/26%26), 'A' + byte(k%26)})
			all[venue] = append(all[venue], sim.Symbol{Name: strings.Replace(first, "BTC", base, 1)})
		}
	}
	return all
}

// scaleMark is what the exchanges' process tells when asked.
type scaleMark struct {
	URLs   map[string][2]string // websocket, REST
	Frames uint64
	Bytes  uint64
	Slow   uint64 // clients cut off
	CPU    time.Duration
	// Trades that reached a socket, by venue and symbol, after all were told.
	Trades   map[string]idSum
	Doubtful int
}

// idSum is a set of trade ids: its size, and a sum of them.
type idSum struct {
	N      int
	Hi, Lo uint64
}

func (s *idSum) add(id tick.ID) { s.N, s.Hi, s.Lo = s.N+1, s.Hi+id.Hi, s.Lo+id.Lo }

// cpu is the processor time of this process.
func cpu() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// TestScaleExchange is the other process of TestScale: it answers each line of
// its input with a mark, the last one, "drain", with all trades.
func TestScaleExchange(t *testing.T) {
	if !*scaleServe {
		t.Skip("is started by TestScale")
	}
	options := sim.Options{Seed: 1, Rate: *scaleRate, History: 1024, PingEvery: time.Second, Tick: 10 * time.Millisecond}
	symbols := scaleMany()
	for _, venue := range venues.Names() {
		options.Venues = append(options.Venues, sim.Venue{Name: venue, Dialect: venues.Dialect(venue), Symbols: symbols[venue]})
	}
	exchange, err := sim.New(options)
	if err != nil {
		t.Fatal(err)
	}
	if err := exchange.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer exchange.Close()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		m := scaleMark{URLs: map[string][2]string{}}
		if in.Text() == "drain" {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := exchange.Drain(ctx); err != nil {
				t.Error(err)
			}
			m.Trades = map[string]idSum{}
			for _, truth := range exchange.Truth() {
				if truth.Forgotten > 0 {
					t.Errorf("%s %s: the truth has forgotten trades", truth.Venue, truth.Symbol)
				}
				var s idSum
				for i := range truth.Trades {
					x := &truth.Trades[i]
					switch {
					case x.Delivered > 0:
						s.add(parseID(t, truth.TradeID(x)))
					case x.Doubtful > 0:
						m.Doubtful++
					}
				}
				m.Trades[truth.Venue+" "+truth.Symbol] = s
			}
		}
		for _, venue := range venues.Names() {
			m.URLs[venue] = [2]string{exchange.WSURL(venue), exchange.RESTURL(venue)}
		}
		for _, s := range exchange.Stats() {
			m.Frames += s.Frames
			m.Bytes += s.Bytes
			m.Slow += s.SlowClients
		}
		m.CPU = cpu()
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("mark %s\n", text)
	}
}

func parseID(t *testing.T, text string) (id tick.ID) {
	t.Helper()
	if !strings.Contains(text, "-") {
		var err error
		if id.Lo, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
		return id
	}
	bits, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(bits) != 16 {
		t.Fatalf("trade id %q: %v", text, err)
	}
	for i, b := range bits {
		if i < 8 {
			id.Hi = id.Hi<<8 | uint64(b)
		} else {
			id.Lo = id.Lo<<8 | uint64(b)
		}
	}
	return id
}

// scaleCounts is a sink that counts. The writer's goroutine writes it.
type scaleCounts struct {
	mu          sync.Mutex
	instruments map[uint32]string
	rows        map[tick.Kind]int
	trades      map[string]idSum
	valid       map[uint32]bool
	gaps        map[string]int
}

func (c *scaleCounts) Write(rows []tick.Unit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; len(rows) > 0; rows = rows[tick.PacketUnits(&rows[0]):] {
		kind := rows[0].KindOf()
		c.rows[kind]++
		switch kind {
		case tick.KindCatalog:
			in := rows[0].Catalog().Definition()
			c.instruments[in.ID] = in.Venue + " " + in.Symbol
		case tick.RowTrade:
			r := rows[0].TradeRow()
			s := c.trades[c.instruments[r.Instrument]]
			s.add(r.ID)
			c.trades[c.instruments[r.Instrument]] = s
		case tick.RowBook:
			r := rows[0].BookRow()
			c.valid[r.Instrument] = r.Flags&tick.RowValid != 0
		case tick.RowGap:
			// A row when it opens, and another when it is over.
			if r := rows[0].GapRow(); r.EndNanos == 0 {
				c.gaps[r.Reason.String()]++
			}
		}
	}
}

func (c *scaleCounts) Idle(int64)                  {}
func (c *scaleCounts) Close(context.Context) error { return nil }

func (c *scaleCounts) validBooks() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ok := range c.valid {
		if ok {
			n++
		}
	}
	return n
}

// memory is the live heap, and what the system gives the process.
func memory(t *testing.T) (heap, resident float64) {
	t.Helper()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("SKIPPED: no /proc: ", err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	const mb = 1 << 20
	return float64(m.HeapAlloc) / mb, float64(pages*os.Getpagesize()) / mb
}

// Many instruments of all venues at once, through sockets, rings, shards and
// writer; the exchanges run in a process of their own, so that processor time
// and memory are the product's. Every trade that reached a socket is a row,
// once, and nothing but the start and the end opens a gap.
//
//	go test ./bench -run 'TestScale$' -timeout 20m -v -args -scale
func TestScale(t *testing.T) {
	if !*scale {
		t.Skip("asked for by -args -scale")
	}
	exchange := exec.Command(os.Args[0], "-test.run=^TestScaleExchange$", "-test.timeout=20m", "-scale-serve",
		"-scale-symbols", fmt.Sprint(*scaleSymbols), "-scale-rate", fmt.Sprint(*scaleRate))
	in, err := exchange.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exchange.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var rest bytes.Buffer
	exchange.Stderr = &rest
	if err := exchange.Start(); err != nil {
		t.Fatal(err)
	}
	defer exchange.Wait()
	defer in.Close()
	lines := bufio.NewReader(out)
	ask := func(what string) (m scaleMark) {
		t.Helper()
		fmt.Fprintln(in, what)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("the exchanges ended: %v\n%s", err, &rest)
			}
			if text, ok := strings.CutPrefix(line, "mark "); ok {
				if err := json.Unmarshal([]byte(text), &m); err != nil {
					t.Fatal(err)
				}
				return m
			}
			rest.WriteString(line)
		}
	}

	config := pipeline.DefaultConfig()
	config.Metrics.Listen = pipeline.ListenNone
	urls := ask("where").URLs
	symbols := scaleMany()
	for _, venue := range venues.Names() {
		f := pipeline.Feed{Venue: venue, WSURL: urls[venue][0], RESTURL: urls[venue][1]}
		for _, s := range symbols[venue] {
			f.Symbols = append(f.Symbols, s.Name)
		}
		config.Feeds = append(config.Feeds, f)
	}
	config.EnsureDefaults()
	counts := &scaleCounts{instruments: map[uint32]string{}, rows: map[tick.Kind]int{}, trades: map[string]idSum{}, valid: map[uint32]bool{}, gaps: map[string]int{}}
	heapBefore, residentBefore := memory(t)

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	var log bytes.Buffer
	started := time.Now()
	go func() {
		ended <- pipeline.RunInto(ctx, pipeline.RunOptions{Config: config,
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))}, counts)
	}()
	deadline := time.After(2 * time.Minute)
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for waiting := true; waiting && counts.validBooks() < *scaleSymbols; {
		select {
		case <-every.C:
		case <-deadline:
			t.Errorf("%d of %d books are valid two minutes after the start", counts.validBooks(), *scaleSymbols)
			waiting = false
		}
	}
	begun := time.Since(started)
	from, fromCPU, fromTime := ask("mark"), cpu(), time.Now()
	<-time.After(*scaleFor)
	to, toCPU, seconds := ask("mark"), cpu(), time.Since(fromTime).Seconds()
	heap, resident := memory(t)
	valid := counts.validBooks()
	last := ask("drain")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	in.Close()
	io.Copy(&rest, lines)
	if err := exchange.Wait(); err != nil {
		t.Errorf("the exchanges: %v\n%s", err, &rest)
	}

	delivered, stored, wrong := 0, 0, 0
	for name, want := range last.Trades {
		have := counts.trades[name]
		delivered, stored = delivered+want.N, stored+have.N
		if have != want {
			if wrong++; wrong < 10 {
				t.Errorf("%s: %d trades reached a socket, %d rows", name, want.N, have.N)
			}
		}
	}
	if last.Doubtful > 0 || last.Slow > 0 || wrong > 0 || delivered == 0 {
		t.Errorf("%d trades are doubtful, %d clients were too slow, %d instruments differ, %d trades in all", last.Doubtful, last.Slow, wrong, delivered)
	}
	for reason, n := range counts.gaps {
		if reason != tick.ReasonStart.String() && reason != tick.ReasonStopped.String() {
			t.Errorf("%d gaps opened by %s", n, reason)
		}
	}
	rows := 0
	for _, n := range counts.rows {
		rows += n
	}
	thousands := float64(*scaleSymbols) / 1000
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "\n| %d instruments of %d venues, %v events/s each, %.0f s | |\n|---|---:|\n", *scaleSymbols, len(symbols), *scaleRate, seconds)
	for _, venue := range venues.Names() {
		line(venue, "%d", len(symbols[venue]))
	}
	line("all books valid after", "%.1f s", begun.Seconds())
	line("books valid at the end", "%d", valid)
	line("frames/s", "%.0f", float64(to.Frames-from.Frames)/seconds)
	line("MB/s", "%.1f", float64(to.Bytes-from.Bytes)/seconds/1e6)
	line("trades that reached a socket", "%d", delivered)
	line("trade rows", "%d", stored)
	line("rows of all tables", "%d", rows)
	for _, reason := range slices.Sorted(maps.Keys(counts.gaps)) {
		line("gaps by "+reason, "%d", counts.gaps[reason])
	}
	line("processor time, product, of one core", "%.0f %%", 100*(toCPU-fromCPU).Seconds()/seconds)
	line("processor time, exchanges, of one core", "%.0f %%", 100*(to.CPU-from.CPU).Seconds()/seconds)
	line("product, a frame", "%.1f µs", (toCPU-fromCPU).Seconds()*1e6/float64(to.Frames-from.Frames))
	line("live heap per 1,000 instruments", "%.1f MB", (heap-heapBefore)/thousands)
	line("resident per 1,000 instruments", "%.1f MB", (resident-residentBefore)/thousands)
	fmt.Println(b.String())
	if t.Failed() {
		t.Logf("log:\n%.4000s", log.String())
	}
}
