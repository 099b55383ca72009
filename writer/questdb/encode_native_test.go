package questdb

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"tickproc/tick"
)

var rowKinds = []tick.Kind{tick.RowTrade, tick.RowQuote, tick.RowBook, tick.RowBar, tick.RowWindow, tick.RowGap, tick.RowHealth,
	tick.RowFunding, tick.RowOpenInterest, tick.RowLiquidation, tick.RowStatus, tick.RowNbbo}

// anyRow appends a row of instrument 0 whose words are from fill, but for what
// a shard guarantees.
func anyRow(dst []tick.Unit, kind tick.Kind, bids, asks int, fill func() uint64) []tick.Unit {
	from := len(dst)
	if kind == tick.RowBook {
		x := tape{units: dst}
		x.book(0, 0, 0, make([]tick.Level, bids), make([]tick.Level, asks))
		dst = x.units
	} else {
		dst, _ = tick.NewRow(dst, kind)
	}
	body := dst[from:]
	u := &body[0]
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(u)), len(body)*tick.UnitSize)
	for i := 0; i < len(bytes); i += 8 {
		binary.LittleEndian.PutUint64(bytes[i:], fill())
	}
	g := u.RowHeader()
	g.Kind, g.Instrument = kind, 0
	g.PriceDigits, g.SizeDigits, g.Source = g.PriceDigits%(tick.MaxDigits+1), g.SizeDigits%(tick.MaxDigits+1), g.Source%3
	switch kind {
	case tick.RowBook:
		u.BookRow().Bids, u.BookRow().LevelCount = uint16(bids), uint16(bids+asks)
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
	return dst
}

func boundDigits(digits ...*uint8) {
	for _, d := range digits {
		*d %= tick.MaxDigits + 1
	}
}

// bothWrite holds that the native encoder writes what the client writes, and
// that this is lines of the tables.
func bothWrite(t *testing.T, numbers string, units []tick.Unit) {
	t.Helper()
	native, client := idleSinkOf(t, Options{Numbers: numbers}), idleSinkOf(t, Options{Numbers: numbers, Encoder: EncoderV3})
	native.Write(units)
	client.Write(units)
	for i := range native.lanes {
		if got, want := native.Stats.Tables[i].Accepted.Load(), client.Stats.Tables[i].Accepted.Load(); got != want {
			t.Fatalf("%s: %d rows, by the client %d", native.lanes[i].table.name, got, want)
		}
		if got, want := native.lanes[i].size(), client.lanes[i].size(); got != want {
			t.Fatalf("%s: %d bytes, by the client %d", native.lanes[i].table.name, got, want)
		}
		got, want := native.lines(i), client.lines(i)
		for k := range min(len(got), len(want)) {
			if got[k] != want[k] {
				t.Fatalf("line %d\nnative %q\nclient %q", k, got[k], want[k])
			}
		}
		checkTable(t, native.lanes[i].table, got, client.Stats.Tables[i].Accepted.Load())
	}
}

// Whatever a row holds, what is encoded is a valid line of its table, and both
// encoders write the same.
func FuzzEncode(f *testing.F) {
	for kind := range rowKinds {
		f.Add("BTCUSDT", uint8(kind), []byte("seed"), false)
		f.Add("a,b=c d\"\\é", uint8(kind+48), []byte{0xff, 0x80, 0x7f}, true)
	}
	f.Add("a\n", uint8(3), []byte{0xff, 0x80, 0x7f}, true)
	f.Fuzz(func(t *testing.T, name string, kind uint8, data []byte, decimals bool) {
		numbers := "double"
		if decimals {
			numbers = "decimal"
		}
		in := btc
		in.Symbol, in.TradeIDs, in.Inverse, in.Type = name, tick.TradeIDKind(kind>>4)%3, kind&8 != 0, tick.InstrumentType(kind>>6)
		in.ContractSize = tick.Number{Mantissa: int64(len(data)) - 2, Digits: kind % 19}
		units, err := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: start}, in)
		if err != nil {
			return
		}
		at := 0
		units = anyRow(units, rowKinds[int(kind)%len(rowKinds)], int(kind>>4), len(data)%25, func() (word uint64) {
			for i := range 8 {
				if len(data) > 0 {
					word |= uint64(data[at%len(data)]+byte(at/len(data))) << (8 * i)
				}
				at++
			}
			return word
		})
		if len(data)%2 == 0 {
			units[tick.CatalogUnits].RowHeader().TsNanos = start
		}
		bothWrite(t, numbers, units)
	})
}

// The same with many rows a table whose numbers have all sizes, as a fuzzer
// would take long to find.
func TestEncodersWriteTheSame(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	word := func() uint64 {
		switch v := r.Uint64(); r.IntN(8) {
		case 0:
			return 0
		case 1:
			return uint64(int64(v) >> r.IntN(64)) // of either sign
		case 2:
			return uint64(tick.Pow10(uint8(r.IntN(19)))) * (v % 100)
		case 3:
			return [...]uint64{math.MaxUint64, math.MaxInt64, 1 << 63, 1 << 53, 1<<53 + 1, 999_999_999_999_999, 1e15, 9_007_199_254_740_993}[v%8]
		default:
			return v >> r.IntN(64)
		}
	}
	names := []string{"BTCUSDT", "a b", "c,d", "e=f", `g\h`, `i"j`, "比特币", "-", `\`, "=, \\\""}
	for _, numbers := range []string{"double", "decimal"} {
		for _, kind := range rowKinds {
			for range 4 {
				in := btc
				in.Venue, in.Symbol, in.Base = names[r.IntN(len(names))], names[r.IntN(len(names))], names[r.IntN(len(names))]
				in.TradeIDs, in.Inverse, in.Type = tick.TradeIDKind(r.IntN(3)), r.IntN(2) == 0, tick.InstrumentType(r.IntN(4))
				in.ContractSize = tick.Number{Mantissa: int64(word()), Digits: uint8(r.IntN(19))}
				in.Tick = tick.Number{Mantissa: int64(word()), Digits: uint8(r.IntN(19))}
				units, err := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: start}, in)
				if err != nil {
					t.Fatal(err)
				}
				for range 100 {
					from := len(units)
					units = anyRow(units, kind, r.IntN(12), r.IntN(12), word)
					units[from].RowHeader().TsNanos = 1 + r.Int64N(nanosMax)
					if kind == tick.RowHealth {
						h := units[from].HealthRow()
						h.VenueText, h.LineText = [len(h.VenueText)]byte{}, [len(h.LineText)]byte{}
						copy(h.VenueText[:], names[r.IntN(len(names))])
						copy(h.LineText[:], names[r.IntN(len(names))])
					}
				}
				bothWrite(t, numbers, units)
			}
		}
	}
}

// The same rows by either encoder are the same tables of a real server.
func TestEncodersFillTheSameTables(t *testing.T) {
	server, c := database(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, numbers := range []string{"double", "decimal"} {
		var tables [2]string
		for i, encoder := range []string{EncoderNative, EncoderV3} {
			r := rand.New(rand.NewPCG(seed, 1))
			var units []tick.Unit
			for id, names := range [][2]string{{"binance-spot", "BTCUSDT"}, {"a b", "c,d=e"}, {`"q"`, `back\slash`}} {
				in := btc
				in.ID, in.Venue, in.Symbol, in.TradeIDs = uint32(id), names[0], names[1], tick.TradeIDKind(id)
				var err error
				if units, err = tick.AppendCatalog(units, tick.Header{ReceiveNanos: start}, in); err != nil {
					t.Fatal(err)
				}
			}
			for range 40 {
				for _, kind := range rowKinds {
					from := len(units)
					units = anyRow(units, kind, r.IntN(12), r.IntN(12), func() uint64 { return r.Uint64() >> r.IntN(64) })
					h := units[from].RowHeader()
					h.Instrument, h.TsNanos, h.ReceiveNanos = r.Uint32N(3), start+r.Int64N(3600e9), start+r.Int64N(3600e9)
					if kind == tick.RowHealth {
						h := units[from].HealthRow()
						copy(h.VenueText[:], "venue 1\x00")
						copy(h.LineText[:], "line=2\x00")
					}
				}
			}
			wipe(t, c)
			s := newSink(t, server.URL(), func(o *Options) { o.Encoder, o.Numbers = encoder, numbers })
			s.Write(units)
			closes(t, s)
			for _, table := range tablesOf(10) {
				if err := c.Settle(t.Context(), table.name); err != nil {
					t.Fatal(err)
				}
				// Rows that no DECIMAL holds are refused; how many share a gap is up to time.
				where := ""
				if table.name == "gaps" {
					where = "WHERE reason <> 'rejected'"
				}
				rows := query(t, c, fmt.Sprintf("SELECT %s FROM %s %s ORDER BY %s", columnNames(table), table.name, where, strings.Join(table.keys(), ", ")))
				if len(rows) == 0 {
					t.Errorf("%s is empty", table.name)
				}
				tables[i] += table.name + "\n" + text(rows)
			}
		}
		a, b := strings.Split(tables[0], "\n"), strings.Split(tables[1], "\n")
		if len(a) != len(b) {
			t.Fatalf("%s: %d rows, by the client %d", numbers, len(a), len(b))
		}
		for k := range a {
			if a[k] != b[k] {
				t.Errorf("%s\nnative %s\nclient %s", numbers, a[k], b[k])
			}
		}
	}
}

// Every column may be null, the first field as well as all.
func TestEncodersAgreeOnSparseRows(t *testing.T) {
	t.Parallel()
	for _, numbers := range []string{"double", "decimal"} {
		var x tape
		oneOfEach(t, &x)
		for _, kind := range rowKinds {
			x.row(kind, 0, start)
		}
		bothWrite(t, numbers, x.take())
	}
}

// A loss is a row of an instrument that the sink knows by its names alone.
func TestEncodersAgreeOnLosses(t *testing.T) {
	t.Parallel()
	var lines [2]string
	for i, encoder := range []string{EncoderNative, EncoderV3} {
		s := idleSinkOf(t, Options{Encoder: encoder})
		s.losses.note(lossKey{tableTrades, "a b", "c,d=", tick.ReasonSink}, loss{start, start + 5, 3}, 0, start)
		s.writeLosses(start)
		lines[i] = string(s.lanes[tableGaps].take(nil))
	}
	if lines[0] != lines[1] || !strings.HasPrefix(lines[0], `gaps,venue=a\ b,symbol=c\,d\=,channel=trades`) {
		t.Errorf("native %q\nclient %q", lines[0], lines[1])
	}
}

// The text of a number is strconv's of its float64.
func FuzzFloatText(f *testing.F) {
	for _, v := range []int64{0, 1, -1, 10, 12345, 1e15 - 1, 1e15, 1e15 + 1, 9_007_199_254_740_991, 9_007_199_254_740_993, 123_456_789_012_345, 5_000_000_000_000_005,
		math.MaxInt64, math.MinInt64, 1e18} {
		for digits := range uint8(19) {
			f.Add(v>>63, uint64(v), digits)
		}
	}
	f.Add(int64(1), uint64(0), uint8(36))
	f.Add(int64(math.MinInt64), uint64(0), uint8(54))
	scratch := make([]byte, 0, 128)
	f.Fuzz(func(t *testing.T, hi int64, lo uint64, digits uint8) {
		n := number{value: tick.Int128{Hi: hi, Lo: lo}, digits: int(digits % 55)}
		want := strconv.FormatFloat(n.float(scratch), 'G', -1, 64)
		if got := string(n.appendFloat(nil, scratch)); got != want {
			t.Fatalf("%v / 10^%d: %s, want %s", n.value, n.digits, got, want)
		}
	})
}

func TestFloatTexts(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	scratch := make([]byte, 0, 128)
	for range 200_000 {
		v := int64(r.Uint64()) >> r.IntN(64)
		if r.IntN(2) == 0 { // around the edge of what is printed from the integer
			v = 1e15 + r.Int64N(2e6) - 1e6
		}
		n := scaled(v, uint8(r.IntN(19)))
		want := strconv.FormatFloat(n.float(scratch), 'G', -1, 64)
		if got := string(n.appendFloat(nil, scratch)); got != want {
			t.Fatalf("%d / 10^%d: %s, want %s", v, n.digits, got, want)
		}
	}
}

// Text is escaped as the client does, wherever it stands.
func FuzzTexts(f *testing.F) {
	for _, text := range []string{"a", " ", `a b,c=d"e\f`, "\n\r\t\x00", "é\xff", `\\`, "=="} {
		f.Add(text)
	}
	table := &table{name: "t", columns: []column{{name: "s", kind: symbol}, {name: "v", kind: varchar}}}
	table.lines = lineOrder(table.columns)
	client, native := newClientLines(table, 1<<20), newNativeLines(table)
	f.Fuzz(func(t *testing.T, text string) {
		var lines [2]string
		for i, w := range []lineWriter{native, client} {
			w.begin(nil)
			w.symbol(table.lines[0], text)
			w.text(table.lines[1], text)
			if err := w.end(start); err != nil {
				t.Fatal(err)
			}
			lines[i] = string(w.take(nil))
		}
		if lines[0] != lines[1] {
			t.Errorf("native %q\nclient %q", lines[0], lines[1])
		}
	})
}

func TestNamesNeedNoEscapes(t *testing.T) {
	t.Parallel()
	for _, table := range tablesOf(100) {
		names := []string{table.name}
		for _, c := range table.columns {
			names = append(names, c.name)
		}
		for _, name := range names {
			if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_0123456789") != "" {
				t.Errorf("%q", name)
			}
		}
	}
}

func BenchmarkFloatText(b *testing.B) {
	scratch, dst := make([]byte, 0, 128), make([]byte, 0, 64)
	numbers := make([]number, 1024)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range numbers {
		numbers[i] = scaled(6_183_763+r.Int64N(1e6), uint8(2+r.IntN(4)))
	}
	f := func(name string, each func(n number)) {
		b.Run(name, func(b *testing.B) {
			cpu := processorTime()
			for b.Loop() {
				for _, n := range numbers {
					each(n)
				}
			}
			b.ReportMetric(float64(processorTime()-cpu)/float64(b.N)/float64(len(numbers)), "cpu-ns/number")
		})
	}
	f("integer", func(n number) { dst = n.appendFloat(dst[:0], scratch) })
	f("float", func(n number) { dst = strconv.AppendFloat(dst[:0], n.float(scratch), 'G', -1, 64) })
}
