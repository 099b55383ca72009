package questdb

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tickproc/tick"
)

// oneOfEach writes one full row to every table, and one sparse row where
// columns may be null.
func oneOfEach(t *testing.T, x *tape) {
	x.define(t, btc, start+5)
	x.define(t, perp, start+6)

	tr := x.trade(0, start+123456789, 7)
	tr.Flags = tick.RowSell | tick.RowLate
	tr = x.trade(1, start+1, 0)
	tr.ID = tick.ID{Hi: 0x0123456789abcdef, Lo: 0xfedcba9876543210}
	tr.ReceiveNanos = 0

	q := x.quote(0, start+2, 99)
	q.Ord, q.Source, q.Flags = 3, tick.TimeReceive, tick.RowValid|tick.RowFromBook
	q = x.quote(0, start+3, 0)
	q.BidSize, q.Flags, q.Source = 0, 0, tick.TimeEstimate

	x.book(0, start+4, 5, []tick.Level{{Price: 10000, Size: 1}, {Price: 9999, Size: 2}}, []tick.Level{{Price: 10001, Size: 3}})

	b := x.row(tick.RowBar, 0, start).BarRow()
	b.Flags, b.IntervalNanos = tick.RowFinal|tick.RowComplete, 60e9
	b.Open, b.High, b.Low, b.Close = 100, 400, 50, 200
	b.Volume, b.Notional = tick.Int128Of(3000), tick.Int128Of(600000)
	b.BuyVolume, b.SellVolume, b.Trades, b.Rev = tick.Int128Of(1000), tick.Int128Of(2000), 3, 2
	b = x.row(tick.RowBar, 1, start).BarRow() // 4 contracts of 100 USD at 50000
	b.PriceDigits, b.SizeDigits, b.IntervalNanos = 1, 0, 1e9
	b.Open, b.High, b.Low, b.Close = 500000, 500000, 500000, 500000
	b.Volume, b.Notional, b.Trades = tick.Int128Of(4), tick.Int128Of(2000000), 1
	b.BuyVolume, b.InverseBase = tick.Int128Of(4), tick.Int128Of(80_000_000_000_000) // 4×100/50000 at 16 digits

	w := x.window(start + 1e9)
	w.Flags, w.Volume, w.Notional, w.Trades = tick.RowFinal, tick.Int128Of(3000), tick.Int128Of(600000), 3
	x.window(start + 2e9) // no trade: no value

	g := x.row(tick.RowGap, 0, start+7).GapRow()
	g.Backfill = tick.BackfillPartly
	g.EndNanos, g.Lost, g.Channel, g.Reason, g.Flags, g.Ord = start+9, 12, tick.ChannelTrades, tick.ReasonSequence, tick.RowRepaired, 1
	g = x.row(tick.RowGap, 0, start+8).GapRow()
	g.Lost, g.Channel, g.Reason = -1, tick.ChannelDepth, tick.ReasonSilence

	h := x.row(tick.RowHealth, 0, start+10).HealthRow()
	copy(h.VenueText[:], "binance-spot")
	copy(h.LineText[:], "public-0")
	h.Up, h.Frames, h.Bytes, h.DecodeErrors, h.Reconnects, h.AgeNanos, h.OffsetNanos = true, 1, 2, 3, 4, 5, -6
	h.First, h.Second, h.Missed, h.LeadNanos, h.KernelStamped = 7, 8, 9, -10, true

	f := x.row(tick.RowFunding, 1, start+11).FundingRow()
	f.Ord, f.Source = 2, tick.TimeReceive
	f.Mark, f.MarkDigits, f.Index, f.IndexDigits, f.Rate, f.RateDigits = 6180000000000, 8, 618001, 1, -1, 4
	f.NextFundingNanos = start + 28800_000000000
	f = x.row(tick.RowFunding, 1, start+12).FundingRow() // nothing told but the rate
	f.Mark, f.Index, f.Rate, f.RateDigits = tick.Absent, tick.Absent, 0, 4

	o := x.row(tick.RowOpenInterest, 1, start+13).OpenInterestRow()
	o.Ord, o.Size, o.SizeDigits = 1, 12345, 1

	l := x.trade(1, start+14, 3)
	l.Kind, l.Ord, l.Flags = tick.RowLiquidation, 1, tick.RowSell

	st := x.row(tick.RowStatus, 1, start+15).StatusRow()
	st.Ord, st.State, st.Before = 1, tick.StateDelisted, tick.StateTrading

	n := x.row(tick.RowNbbo, 0, start+16).NbboRow()
	n.Source, n.Flags, n.Ord, n.Venues = tick.TimeReceive, tick.RowValid|tick.RowCrossed, 1, 2
	n.Bid, n.BidDigits, n.BidSize, n.BidSizeDigits, n.BidInstrument = 618000, 1, 2501666666667, 12, 1
	n.Ask, n.AskDigits, n.AskSize, n.AskSizeDigits, n.AskInstrument = 6179900, 2, 15, 1, 0
	n = x.row(tick.RowNbbo, 1, start+17).NbboRow() // nobody counts
	n.Source, n.ReceiveNanos = tick.TimeReceive, 0
}

func columnNames(t *table) string {
	var names []string
	for _, c := range t.columns {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

// Every table's rows come back as they went in, nanoseconds included.
func TestEveryTableReadsBackDouble(t *testing.T) {
	server, c := database(t)
	s := newSink(t, server.URL(), nil)
	var x tape
	oneOfEach(t, &x)
	s.Write(x.take())
	closes(t, s)
	tables := tablesOf(10)
	all := func(table int) string {
		return "SELECT " + columnNames(tables[table]) + " FROM " + tables[table].name + " ORDER BY ts, venue"
	}
	reads(t, c, all(tableTrades), `
		2024-08-08T00:00:00.000000001Z binance-coinm BTCUSD_PERP 01234567-89ab-cdef-fedc-ba9876543210 buy 100.0 0.001 false null
		2024-08-08T00:00:00.123456789Z binance-spot BTCUSDT 7 sell 100.07 0.008 true 2024-08-08T00:00:00.123456790Z`)
	reads(t, c, all(tableQuotes), `
		2024-08-08T00:00:00.000000002Z binance-spot BTCUSDT 99 3 100.0 0.001 100.01 0.002 true book recv 2024-08-08T00:00:00.000000003Z
		2024-08-08T00:00:00.000000003Z binance-spot BTCUSDT 0 0 null null 100.01 0.002 false venue est 2024-08-08T00:00:00.000000004Z`)
	reads(t, c, all(tableBook), `
		2024-08-08T00:00:00.000000004Z binance-spot BTCUSDT 5 0 true 100.0 0.001 100.01 0.003 99.99 0.002`+
		strings.Repeat(" null", 2+8*4)+` exchange 2024-08-08T00:00:00.000000005Z`)
	reads(t, c, all(tableBars), `
		2024-08-08T00:00:00.000000000Z binance-coinm BTCUSD_PERP 1s 50000.0 50000.0 50000.0 50000.0 4.0 200000.0 0.008 400.0 50000.0 1 4.0 0.0 0 false false
		2024-08-08T00:00:00.000000000Z binance-spot BTCUSDT 1m 1.0 4.0 0.5 2.0 3.0 6.0 3.0 6.0 2.0 3 1.0 2.0 2 true true`)
	reads(t, c, all(tableWindows), `
		2024-08-08T00:00:01.000000000Z binance-spot BTCUSDT vwap_60s_1s 2.0 3.0 6.0 3 0 true false
		2024-08-08T00:00:02.000000000Z binance-spot BTCUSDT vwap_60s_1s null 0.0 0.0 0 0 false false`)
	reads(t, c, all(tableGaps), `
		2024-08-08T00:00:00.000000007Z 2024-08-08T00:00:00.000000009Z binance-spot BTCUSDT trades sequence 1 12 true partly
		2024-08-08T00:00:00.000000008Z null binance-spot BTCUSDT depth silence 0 null false null`)
	reads(t, c, all(tableHealth), `
		2024-08-08T00:00:00.000000010Z binance-spot public-0 true 1 2 3 4 5 -6 7 8 9 -10 kernel`)
	reads(t, c, all(tableInstruments), `
		2024-08-08T00:00:00.000000005Z binance-spot BTCUSDT BTC BTC USDT spot false 2 5 0.01 1.0E-5 1.0 trading null
		2024-08-08T00:00:00.000000006Z binance-coinm BTCUSD_PERP BTC BTC USD perpetual true 1 0 0.1 1.0 100.0 unknown 2024-08-09T00:00:00.000000001Z`)
	reads(t, c, all(tableFunding), `
		2024-08-08T00:00:00.000000011Z binance-coinm BTCUSD_PERP 2 61800.0 61800.1 -1.0E-4 2024-08-08T08:00:00.000000000Z recv 2024-08-08T00:00:00.000000012Z
		2024-08-08T00:00:00.000000012Z binance-coinm BTCUSD_PERP 0 null null 0.0 null exchange 2024-08-08T00:00:00.000000013Z`)
	reads(t, c, all(tableOpenInterest), `
		2024-08-08T00:00:00.000000013Z binance-coinm BTCUSD_PERP 1 1234.5 exchange 2024-08-08T00:00:00.000000014Z`)
	reads(t, c, all(tableLiquidations), `
		2024-08-08T00:00:00.000000014Z binance-coinm BTCUSD_PERP 1 sell 100.03 0.004 exchange 2024-08-08T00:00:00.000000015Z`)
	reads(t, c, all(tableStatus), `
		2024-08-08T00:00:00.000000015Z binance-coinm BTCUSD_PERP 1 delisted trading exchange 2024-08-08T00:00:00.000000016Z`)
	reads(t, c, "SELECT "+columnNames(tables[tableNbbo])+" FROM nbbo ORDER BY ts", `
		2024-08-08T00:00:00.000000016Z BTC-USDT spot 1 61800.0 2.501666666667 binance-coinm BTCUSD_PERP 61799.0 1.5 binance-spot BTCUSDT 2 true true recv 2024-08-08T00:00:00.000000017Z
		2024-08-08T00:00:00.000000017Z BTC-USD perpetual 0 null null null null null null null null 0 false false recv null`)
	reads(t, c, "SELECT id FROM late_trades", "7")
	reads(t, c, "SELECT l2price(0.002, asks[2], asks[1]) FROM book_arrays", "100.01")
}

// In decimal mode nothing is rounded but what no decimal holds.
func TestEveryTableReadsBackDecimal(t *testing.T) {
	server, c := database(t)
	s := newSink(t, server.URL(), func(o *Options) { o.Numbers = "decimal" })
	var x tape
	oneOfEach(t, &x)
	fine := x.trade(0, start+5e9, 8)
	fine.PriceDigits, fine.SizeDigits = 18, 18
	fine.Price, fine.Size = 1_234567890123456789, 9_223372036854775807
	b := x.row(tick.RowBar, 0, start+60e9).BarRow()
	b.PriceDigits, b.SizeDigits, b.IntervalNanos, b.Flags = 18, 18, 60e9, tick.RowFinal|tick.RowComplete
	b.Volume, b.Notional = tick.Int128Of(fine.Size), tick.Mul64(fine.Price, fine.Size)
	s.Write(x.take())
	closes(t, s)
	reads(t, c, "SELECT price, size FROM trades ORDER BY ts", `
		100.000000000000000000 0.001000000000000000
		100.070000000000000000 0.008000000000000000
		1.234567890123456789 9.223372036854775807`)
	reads(t, c, "SELECT notional, quote_volume, vwap FROM bars WHERE ts > '2024-08-08'", fmt.Sprintf("%s %[1]s 1.234567890123456789", tick.Mul64(fine.Price, fine.Size).Decimal(36)))
	reads(t, c, "SELECT base_volume, quote_volume FROM bars WHERE venue = 'binance-coinm'", `
		0.008000000000000000000000000000000000 400.000000000000000000000000000000000000`)
	reads(t, c, "SELECT tick, lot FROM instruments WHERE venue = 'binance-spot'", `
		0.010000000000000000 0.000010000000000000`)
	reads(t, c, "SELECT l2price(0.002, asks[2], asks[1]) FROM book_arrays", "100.01")
	reads(t, c, "SELECT mark, index_price, rate FROM funding ORDER BY ts", `
		61800.000000000000000000 61800.100000000000000000 -0.000100000000000000
		null null 0.000000000000000000`)
	reads(t, c, "SELECT bid, bid_size, ask FROM nbbo ORDER BY ts", `
		61800.000000000000000000 2.501666666667000000 61799.000000000000000000
		null null null`)
}

// A later definition is a row of its own, and what follows is of it.
func TestDefinitionChanges(t *testing.T) {
	server, c := database(t)
	s := newSink(t, server.URL(), nil)
	var x tape
	later := perp
	later.State, later.Tick = tick.StateSettling, tick.Number{Mantissa: 5, Digits: 1}
	x.define(t, perp, start)
	x.define(t, later, start+5)
	s.Write(x.take())
	closes(t, s)
	reads(t, c, "SELECT ts, symbol, tick, state FROM instruments ORDER BY ts", `
		2024-08-08T00:00:00.000000000Z BTCUSD_PERP 0.1 unknown
		2024-08-08T00:00:00.000000005Z BTCUSD_PERP 0.5 settling`)
}

// Rows that are sent twice are there once: every table has its identity.
func TestSentTwiceIsThereOnce(t *testing.T) {
	server, c := database(t)
	for range 2 {
		s := newSink(t, server.URL(), nil)
		var x tape
		oneOfEach(t, &x)
		s.Write(x.take())
		closes(t, s)
	}
	for table, want := range map[string]string{"trades": "2", "quotes": "2", "book": "1", "bars": "2", "windows": "2", "gaps": "2", "feed_health": "1", "instruments": "2",
		"funding": "2", "open_interest": "1", "liquidations": "1", "status": "1", "nbbo": "2"} {
		reads(t, c, "SELECT count() FROM "+table, want)
	}
}

// A gap that was open is the same row when it closes, and its null is gone.
func TestGapIsUpdatedInPlace(t *testing.T) {
	server, c := database(t)
	s := newSink(t, server.URL(), nil)
	var x tape
	x.define(t, btc, start)
	for _, end := range []int64{0, start + 5} {
		g := x.row(tick.RowGap, 0, start+1).GapRow()
		g.EndNanos, g.Lost, g.Channel, g.Reason = end, -1, tick.ChannelTrades, tick.ReasonDisconnect
	}
	s.Write(x.take())
	closes(t, s)
	reads(t, c, "SELECT ts_end, lost FROM gaps", "2024-08-08T00:00:00.000000005Z null")
}

// The columns of every table: the key is in the table, the designated
// timestamp is there once, names are unique, every column has its source.
func TestTablesAreWhole(t *testing.T) {
	for _, table := range tablesOf(3) {
		var names []string
		designatedCount := 0
		for _, c := range table.columns {
			names = append(names, c.name)
			if c.kind == designated {
				designatedCount++
			}
			has := map[columnKind]bool{designated: true, symbol: c.text != nil && c.capacity > 0, varchar: c.text != nil, price: c.number != nil,
				sum: c.number != nil, long: c.integer != nil, nanos: c.integer != nil, boolean: c.truth != nil}
			if !has[c.kind] {
				t.Errorf("%s.%s has no value", table.name, c.name)
			}
		}
		slices.Sort(names)
		if len(slices.Compact(names)) != len(table.columns) || designatedCount != 1 || table.columns[0].name != "ts" || len(table.keys()) < 3 {
			t.Errorf("%s: columns %v, keys %v", table.name, names, table.keys())
		}
	}
}
