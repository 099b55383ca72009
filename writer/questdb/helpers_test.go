package questdb

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"tickproc/internal/questdbserver"
	"tickproc/tick"
)

// TestMain also plays the process that is killed in TestKilledProcess.
func TestMain(m *testing.M) {
	if dir := os.Getenv("TICKPROC_TEST_SPOOL"); dir != "" {
		spoolUntilKilled(dir)
	}
	os.Exit(questdbserver.RunTests(m))
}

// start is the time that tests begin at: 2024-08-08T00:00:00Z.
const start = int64(1723075200_000000000)

// database returns the package's server without any of our tables, and a
// client. Tests that use it do not run in parallel: the names are fixed.
func database(t testing.TB) (*questdbserver.Server, *Client) {
	t.Helper()
	s := questdbserver.ForTest(t)
	c := NewClient(s.URL(), Credentials{}, 20*time.Second)
	t.Cleanup(c.closeIdle)
	wipe(t, c)
	return s, c
}

func wipe(t testing.TB, c *Client) {
	t.Helper()
	for _, table := range tablesOf(1) {
		for _, v := range table.views {
			_, _ = c.Query(context.Background(), "DROP VIEW IF EXISTS "+v.name)
		}
		query(t, c, "DROP TABLE IF EXISTS "+table.name)
	}
}

func query(t testing.TB, c *Client, sql string) [][]any {
	t.Helper()
	r, err := c.Query(context.Background(), sql)
	if err != nil {
		t.Fatal(err)
	}
	return r.Rows
}

// text prints rows as a transcript: cells by a space, rows by a line break.
func text(rows [][]any) string {
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				b.WriteByte(' ')
			}
			if cell == nil {
				cell = "null"
			}
			fmt.Fprint(&b, cell)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// reads compares a query's answer with a transcript, once SQL sees all.
func reads(t testing.TB, c *Client, sql, want string) {
	t.Helper()
	for _, table := range TableNames() {
		if err := c.Settle(t.Context(), table); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSpace(want), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	if got := strings.TrimSpace(text(query(t, c, sql))); got != strings.Join(lines, "\n") {
		t.Errorf("%s\ngot:\n%s\nwant:\n%s", sql, got, strings.Join(lines, "\n"))
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// newSink returns a started sink that the test closes.
func newSink(t testing.TB, url string, change func(*Options)) *Sink {
	t.Helper()
	o := Options{URL: url, Logger: quiet(), RequestTimeout: 10 * time.Second}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	return s
}

// closes delivers everything, within a deadline that only a broken sink meets.
func closes(t testing.TB, s *Sink) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// until waits for a condition that other goroutines bring about.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// tape makes rows.
type tape struct{ units []tick.Unit }

func (x *tape) take() []tick.Unit {
	u := x.units
	x.units = nil
	return u
}

func (x *tape) define(t testing.TB, in tick.Instrument, at int64) {
	t.Helper()
	var err error
	if x.units, err = tick.AppendCatalog(x.units, tick.Header{ReceiveNanos: at}, in); err != nil {
		t.Fatal(err)
	}
}

func (x *tape) row(kind tick.Kind, instrument uint32, ts int64) *tick.Unit {
	var u *tick.Unit
	x.units, u = tick.NewRow(x.units, kind)
	h := u.RowHeader()
	h.Instrument, h.TsNanos, h.ReceiveNanos, h.PriceDigits, h.SizeDigits = instrument, ts, ts+1, 2, 3
	return u
}

// window is of vwap_60s_1s.
func (x *tape) window(end int64) *tick.WindowRow {
	r := x.row(tick.RowWindow, 0, end).WindowRow()
	r.SpanNanos, r.StepNanos = 60e9, 1e9
	return r
}

// trade has price = 100.00 + id cents and size 0.001 × (id+1).
func (x *tape) trade(instrument uint32, ts int64, id uint64) *tick.TradeRow {
	r := x.row(tick.RowTrade, instrument, ts).TradeRow()
	r.ID.Lo, r.Price, r.Size = id, 10000+int64(id), int64(id)+1
	return r
}

func (x *tape) quote(instrument uint32, ts int64, seq uint64) *tick.QuoteRow {
	r := x.row(tick.RowQuote, instrument, ts).QuoteRow()
	r.Flags, r.Seq, r.Bid, r.BidSize, r.Ask, r.AskSize = tick.RowValid, seq, 10000, 1, 10001, 2
	return r
}

func (x *tape) book(instrument uint32, ts int64, seq uint64, bids, asks []tick.Level) *tick.BookRow {
	n := len(bids) + len(asks)
	var p []tick.Unit
	x.units, p = tick.AppendUnits(x.units, tick.DepthUnits(n))
	r := p[0].BookRow()
	r.Kind, r.Instrument, r.TsNanos, r.ReceiveNanos, r.PriceDigits, r.SizeDigits = tick.RowBook, instrument, ts, ts+1, 2, 3
	r.Flags, r.Seq, r.Bids, r.LevelCount = tick.RowValid, seq, uint16(len(bids)), uint16(n)
	levels := tick.RowLevels(p)
	copy(levels, bids)
	copy(levels[len(bids):], asks)
	return r
}

var btc = tick.Instrument{ID: 0, Venue: "binance-spot", Symbol: "BTCUSDT", Underlying: "BTC", Base: "BTC", Quote: "USDT",
	PriceDigits: 2, SizeDigits: 5, Tick: tick.Number{Mantissa: 1, Digits: 2}, Lot: tick.Number{Mantissa: 1, Digits: 5},
	ContractSize: tick.Number{Mantissa: 1}, State: tick.StateTrading}

var perp = tick.Instrument{ID: 1, Venue: "binance-coinm", Symbol: "BTCUSD_PERP", Underlying: "BTC", Base: "BTC", Quote: "USD",
	Type: tick.TypePerpetual, Inverse: true, PriceDigits: 1, Tick: tick.Number{Mantissa: 1, Digits: 1},
	Lot: tick.Number{Mantissa: 1}, ContractSize: tick.Number{Mantissa: 100}, TradeIDs: tick.TradeIDUUID,
	ExpiryNanos: start + 86400_000000001}
