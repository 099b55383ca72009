package questdb

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"tickproc/tick"
)

// parsed is a line of ILP, read by an independent, stricter parser.
type parsed struct {
	table  string
	tags   [][2]string
	fields [][2]string // values as written, strings without quotes
	ts     int64
}

// parseLine reads one line without its break.
func parseLine(line string) (p parsed, err error) {
	if !utf8.ValidString(line) || strings.ContainsAny(line, "\x00\n\r") {
		return p, errors.New("control characters or invalid UTF-8")
	}
	rest := line
	// word reads up to one of the delimiters that is not escaped.
	word := func(delimiters string) (text string, delimiter byte) {
		var b strings.Builder
		for i := 0; i < len(rest); i++ {
			switch {
			case rest[i] == '\\' && i+1 < len(rest):
				i++
				b.WriteByte(rest[i])
			case strings.IndexByte(delimiters, rest[i]) >= 0:
				delimiter, rest = rest[i], rest[i+1:]
				return b.String(), delimiter
			default:
				b.WriteByte(rest[i])
			}
		}
		text, rest = b.String(), ""
		return text, 0
	}
	name, delimiter := word(", ")
	p.table = name
	for delimiter == ',' {
		tag, eq := word("=, ")
		value, next := word(", =")
		if eq != '=' || next == '=' || tag == "" || value == "" {
			return p, fmt.Errorf("tag %q=%q", tag, value)
		}
		p.tags, delimiter = append(p.tags, [2]string{tag, value}), next
	}
	if delimiter != ' ' {
		return p, errors.New("no space after the tags")
	}
	for {
		name, eq := word("=, ")
		if eq != '=' || name == "" || rest == "" {
			return p, fmt.Errorf("field %q", name)
		}
		var value string
		if rest[0] == '"' {
			rest = rest[1:]
			var end byte
			if value, end = word(`"`); end != '"' || rest == "" {
				return p, fmt.Errorf("string of %q does not end", name)
			}
			delimiter, rest = rest[0], rest[1:]
		} else {
			value, delimiter = word(", ")
			if !scalar(value) {
				return p, fmt.Errorf("value %q of %q", value, name)
			}
		}
		p.fields = append(p.fields, [2]string{name, value})
		if delimiter == ' ' {
			break
		}
		if delimiter != ',' {
			return p, fmt.Errorf("%q after %q", delimiter, name)
		}
	}
	p.ts, err = strconv.ParseInt(rest, 10, 64)
	return p, err
}

func scalar(v string) bool {
	if v == "t" || v == "f" {
		return true
	}
	if digits, ok := strings.CutSuffix(v, "i"); ok {
		_, err := strconv.ParseInt(digits, 10, 64)
		return err == nil
	}
	f, err := strconv.ParseFloat(v, 64)
	return err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) && !strings.ContainsAny(v, "xX_pP")
}

// idle returns a sink whose senders never start.
func idleSink(t testing.TB, numbers string) *Sink {
	t.Helper()
	s, err := New(Options{Numbers: numbers, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lines takes what a lane has encoded.
func (s *Sink) lines(table int) []string {
	text := string(s.lanes[table].take(nil))
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// checkLines holds every encoded line against the table's declaration.
func checkLines(t *testing.T, s *Sink) {
	t.Helper()
	for i := range s.lanes {
		l := &s.lanes[i]
		lines := s.lines(i)
		if uint64(len(lines)) != s.Stats.Tables[i].Accepted.Load() {
			t.Fatalf("%s: %d lines of %d rows", l.table.name, len(lines), s.Stats.Tables[i].Accepted.Load())
		}
		for _, line := range lines {
			p, err := parseLine(line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if p.table != l.table.name || p.ts <= nanosMin || p.ts >= nanosMax {
				t.Fatalf("%s: table or time", line)
			}
			if venue, symbol, ts, ok := lineIdentity(line); ok {
				if !slices.Contains(p.tags, [2]string{"venue", venue}) || !slices.Contains(p.tags, [2]string{"symbol", symbol}) || ts != p.ts {
					t.Fatalf("%s: identity %q %q %d", line, venue, symbol, ts)
				}
			}
			next := 0
			for _, named := range [][][2]string{p.tags, p.fields} {
				for _, pair := range named {
					// In the declared order: so none is there twice.
					for next < len(l.table.lines) && l.table.lines[next].name != pair[0] {
						next++
					}
					if next == len(l.table.lines) {
						t.Fatalf("%s: column %s is unknown or out of order", line, pair[0])
					}
					next++
				}
			}
		}
	}
}

func TestEncodedRowsAreValidLines(t *testing.T) {
	t.Parallel()
	for _, numbers := range []string{"double", "decimal"} {
		s := idleSink(t, numbers)
		var x tape
		oneOfEach(t, &x)
		s.Write(x.take())
		checkLines(t, s)
	}
}

// A row that cannot be one is counted and leaves no trace.
func TestRowsThatAreRefused(t *testing.T) {
	t.Parallel()
	f := func(what string, in tick.Instrument, ts int64, want uint64) {
		t.Helper()
		s := idleSink(t, "double")
		var x tape
		x.define(t, in, start)
		x.trade(0, ts, 1)
		x.trade(0, start, 2)
		s.Write(x.take())
		if got := s.Stats.Tables[tableTrades].Refused.Load(); got != want {
			t.Errorf("%s: %d refused, want %d", what, got, want)
		}
		checkLines(t, s)
	}
	named := func(venue, symbol string) tick.Instrument {
		in := btc
		in.Venue, in.Symbol = venue, symbol
		return in
	}
	f("fine", btc, start, 0)
	f("time zero", btc, 0, 1)
	f("before 1970", btc, -1, 1)
	f("beyond 2200", btc, nanosMax, 1)
	f("largest time", btc, math.MaxInt64, 1)
	f("just before 2200", btc, nanosMax-1, 0)
	f("NUL", named("v", "a\x00b"), start, 0) // the definition's field ends at NUL
	f("line break", named("v", "a\nb"), start, 2)
	f("carriage return", named("v\r", "a"), start, 2)
	f("invalid UTF-8", named("v", "a\xff"), start, 2)
	f("no symbol", named("v", ""), start, 2)
	f("delimiters", named("v, =\\\"", "a,b=c d\"e\\"), start, 0)
	f("unicode", named("vénue", "比特币"), start, 0)

	s := idleSink(t, "double")
	var x tape
	h := x.row(tick.RowHealth, 0, start).HealthRow()
	copy(h.VenueText[:], "v\tx")
	x.row(tick.RowHealth, 0, start)
	s.Write(x.take())
	if got := s.Stats.Tables[tableHealth].Refused.Load(); got != 1 {
		t.Errorf("%d health rows refused, want 1", got)
	}
	checkLines(t, s)
}

// A definition without a time waits for its first row's.
func TestDefinitionWithoutTime(t *testing.T) {
	t.Parallel()
	s := idleSink(t, "double")
	var x tape
	x.define(t, btc, 0)
	x.trade(0, start, 1)
	x.trade(0, start+5, 2)
	s.Write(x.take())
	lines := s.lines(tableInstruments)
	if len(lines) != 1 || !strings.HasSuffix(lines[0], fmt.Sprint(" ", start+1)) {
		t.Errorf("%q", lines)
	}
}

func TestOwnNonsensePanics(t *testing.T) {
	t.Parallel()
	f := func(what string, units []tick.Unit) {
		t.Helper()
		defer func() {
			if r := recover(); r == nil || !strings.HasPrefix(fmt.Sprint(r), "BUG: ") {
				t.Errorf("%s: %v", what, r)
			}
		}()
		s := idleSink(t, "double")
		s.Write(units)
	}
	var x tape
	x.trade(0, start, 1)
	f("never introduced", x.take())
	f("no kind", make([]tick.Unit, 1))
	x.row(tick.RowBar, 0, start)
	f("torn", x.take()[:1])
	x.units = tick.AppendEvent(nil, tick.Header{Kind: tick.KindUp}, tick.ChannelTrades, 0)
	f("no row", x.take())
}

var rowKinds = []tick.Kind{tick.RowTrade, tick.RowQuote, tick.RowBook, tick.RowBar, tick.RowWindow, tick.RowGap, tick.RowHealth,
	tick.RowFunding, tick.RowOpenInterest, tick.RowLiquidation, tick.RowStatus, tick.RowNbbo}

// Whatever a row holds, what is encoded is a valid line of its table.
func FuzzEncode(f *testing.F) {
	f.Add("BTCUSDT", uint8(0), []byte("seed"), false)
	f.Add("a,b=c d\"\\\n", uint8(3), []byte{0xff, 0x80, 0x7f}, true)
	f.Fuzz(func(t *testing.T, name string, kind uint8, data []byte, decimals bool) {
		numbers := "double"
		if decimals {
			numbers = "decimal"
		}
		s := idleSink(t, numbers)
		in := btc
		in.Symbol, in.TradeIDs, in.Inverse, in.Type = name, tick.TradeIDKind(kind>>4)%3, kind&8 != 0, tick.InstrumentType(kind>>6)
		in.ContractSize = tick.Number{Mantissa: int64(len(data)) - 2, Digits: kind % 19}
		units, err := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: start}, in)
		if err != nil {
			return
		}
		var u *tick.Unit
		if row := rowKinds[int(kind)%len(rowKinds)]; row == tick.RowBook {
			var x tape
			x.book(0, 0, 0, make([]tick.Level, kind>>4), make([]tick.Level, len(data)%25))
			units = append(units, x.units...)
			u = &units[tick.CatalogUnits]
		} else {
			units, u = tick.NewRow(units, row)
		}
		// Fill the row with data, then set what the shard guarantees.
		h := *u.RowHeader()
		var levels tick.BookRow
		if h.Kind == tick.RowBook {
			levels = *u.BookRow()
		}
		body := units[tick.CatalogUnits:]
		bytes := unsafe.Slice((*byte)(unsafe.Pointer(&body[0])), len(body)*tick.UnitSize)
		for i := range bytes {
			if len(data) > 0 {
				bytes[i] = data[i%len(data)] + byte(i/len(data))
			}
		}
		g := u.RowHeader()
		g.Kind, g.Instrument = h.Kind, 0
		g.PriceDigits, g.SizeDigits, g.Source = g.PriceDigits%(tick.MaxDigits+1), g.SizeDigits%(tick.MaxDigits+1), g.Source%3
		switch h.Kind {
		case tick.RowBook:
			u.BookRow().Bids, u.BookRow().LevelCount = levels.Bids, levels.LevelCount
		case tick.RowBar:
			u.BarRow().IntervalNanos = max(u.BarRow().IntervalNanos, 1)
		case tick.RowWindow:
			u.WindowRow().SpanNanos, u.WindowRow().StepNanos = 60e9, 1e9
		case tick.RowNbbo:
			n := u.NbboRow()
			n.BidInstrument, n.AskInstrument = 0, 0
			boundDigits(&n.BidDigits, &n.BidSizeDigits, &n.AskDigits, &n.AskSizeDigits)
		case tick.RowFunding:
			f := u.FundingRow()
			boundDigits(&f.MarkDigits, &f.IndexDigits, &f.RateDigits)
		case tick.RowHealth:
			for _, flag := range []*bool{&u.HealthRow().Up, &u.HealthRow().KernelStamped} {
				*(*byte)(unsafe.Pointer(flag)) &= 1
			}
		}
		if len(data)%2 == 0 {
			g.TsNanos = start
		}
		s.Write(units)
		checkLines(t, s)
	})
}

func boundDigits(digits ...*uint8) {
	for _, d := range digits {
		*d %= tick.MaxDigits + 1
	}
}

// mixed is a run of rows as a busy market gives them.
func mixed(t testing.TB, n int) []tick.Unit {
	t.Helper()
	var x tape
	x.define(t, btc, start)
	level := make([]tick.Level, 10)
	for i := range level {
		level[i] = tick.Level{Price: 6183700 + int64(i), Size: int64(i+1) * 12345}
	}
	for i := range n {
		ts := start + int64(i)*1e5
		switch i % 20 {
		case 0:
			x.book(0, ts, uint64(i), level, level)
		case 1:
			b := x.row(tick.RowBar, 0, ts).BarRow()
			b.IntervalNanos, b.Flags, b.Open, b.High, b.Low, b.Close = 1e9, tick.RowFinal|tick.RowComplete, 6183763, 6183800, 6183700, 6183790
			b.Volume, b.Notional = tick.Int128Of(123456789), tick.Mul64(6183763, 123456789)
		case 2, 3, 4, 5, 6:
			tr := x.trade(0, ts, 3_000_000_000+uint64(i))
			tr.Price, tr.Size = 6183763+int64(i%100), 12345
		default:
			q := x.quote(0, ts, 50_000_000_000+uint64(i))
			q.Bid, q.Ask, q.BidSize, q.AskSize = 6183763+int64(i%50), 6183764+int64(i%50), 512345, 1912
		}
	}
	return x.take()
}

func TestWriteZeroAllocs(t *testing.T) {
	skipUnderRace(t)
	s := idleSink(t, "double")
	rows := mixed(t, 1000)
	s.Write(rows)
	rows = rows[tick.CatalogUnits:]
	s.Write(rows)
	for i := range s.lanes {
		s.lanes[i].take(nil)
		s.lanes[i].rows = 0
	}
	if n := testing.AllocsPerRun(1, func() { s.Write(rows) }); n != 0 {
		t.Errorf("%v allocations for 1000 rows", n)
	}
}

// The writer calls Idle after every look at its rings.
func TestIdleZeroAllocs(t *testing.T) {
	s := idleSink(t, "double")
	if n := testing.AllocsPerRun(100, func() { s.Idle(start) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEncode(b *testing.B) {
	f := func(name, numbers string, rows []tick.Unit, n int) {
		b.Run(name+"/"+numbers, func(b *testing.B) {
			s := idleSink(b, numbers)
			s.Write(mixed(b, 1)[:tick.CatalogUnits])
			var buffer []byte
			b.ReportAllocs()
			var bytes int64
			for b.Loop() {
				s.Write(rows)
				for i := range s.lanes {
					l := &s.lanes[i]
					if l.size() > flushBytesMax/2 {
						buffer = l.take(buffer[:0])
						bytes += int64(len(buffer))
						l.rows, l.spans = 0, l.spans[:0]
						l.batch++
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/row")
		})
	}
	trades := func() []tick.Unit {
		var x tape
		for i := range 1000 {
			tr := x.trade(0, start+int64(i)*1e5, 3_000_000_000+uint64(i))
			tr.Price, tr.Size = 6183763+int64(i%100), 12345
		}
		return x.take()
	}()
	f("trades", "double", trades, 1000)
	f("trades", "decimal", trades, 1000)
	f("mixed", "double", mixed(b, 1000)[tick.CatalogUnits:], 1000)
}

// benchTrades writes n trades.
func benchTrades(s *Sink, x *tape, id *uint64, n int) {
	for range n {
		*id++
		tr := x.trade(0, start+int64(*id)*1e5, *id)
		tr.Price, tr.Size = 6183763+int64(*id%100), 12345
	}
	s.Write(x.units)
	x.units = x.units[:0]
	s.Idle(s.o.Now())
}

// BenchmarkRealServer is trades from Write to the acknowledgement, client and
// server on the same machine: through memory, and through a spool on disk.
func BenchmarkRealServer(b *testing.B) {
	f := func(name string, change func(*Options)) {
		b.Run(name, func(b *testing.B) {
			server, _ := database(b)
			s := newSink(b, server.URL(), change)
			s.Write(mixed(b, 1)[:tick.CatalogUnits])
			var x tape
			const n = 10_000
			id := uint64(0)
			write := func() {
				benchTrades(s, &x, &id, n)
				// As the ring would: no further ahead than some batches.
				for s.Stats.WaitingBytes.Load() > 64<<20 {
					s.Idle(s.o.Now())
				}
			}
			for range 50 { // a cold server takes half as many
				write()
			}
			until(b, "the server is warm", func() bool { s.Idle(s.o.Now() + 1e9); return s.Stats.Tables[tableTrades].Acked.Load() == id })
			before, started, cpu := id, time.Now(), processorTime()
			for b.Loop() {
				write()
			}
			until(b, "all is acknowledged", func() bool { s.Idle(s.o.Now() + 1e9); return s.Stats.Tables[tableTrades].Acked.Load() == id })
			b.ReportMetric(float64(id-before)/time.Since(started).Seconds(), "rows/s")
			b.ReportMetric(float64(processorTime()-cpu)/float64(id-before), "cpu-ns/row")
			closes(b, s)
		})
	}
	f("memory", nil)
	f("spool", spooled(b.TempDir()))
}

// BenchmarkCatchUp delivers what a run left in the spool, in batches of 100 ms
// of 20,000 rows a second, while as many live rows come.
func BenchmarkCatchUp(b *testing.B) {
	dir := b.TempDir()
	var x tape
	id := uint64(0)
	s := newSink(b, "http://127.0.0.1:1", func(o *Options) { spooled(dir)(o); o.FlushRows = 2000 })
	s.Write(mixed(b, 1)[:tick.CatalogUnits])
	for b.Loop() {
		benchTrades(s, &x, &id, 10_000)
		for s.Spool().MemoryBytes.Load() > 256<<20 {
			time.Sleep(time.Millisecond)
		}
	}
	closes(b, s)
	server, _ := database(b)
	s = newSink(b, server.URL(), spooled(dir))
	s.Write(mixed(b, 1)[:tick.CatalogUnits])
	started, old := time.Now(), id
	for s.Stats.Tables[tableTrades].Acked.Load() < old {
		if due := old + uint64(time.Since(started).Seconds()*20_000); id < due {
			benchTrades(s, &x, &id, int(due-id))
		}
		s.Idle(s.o.Now())
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(s.Stats.Tables[tableTrades].Acked.Load())/time.Since(started).Seconds(), "rows/s-caught-up")
	closes(b, s)
}

// processorTime is what this process took of the processors, in ns: what says
// something on a machine that others use too.
func processorTime() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
