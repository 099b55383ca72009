package questdb

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tickproc/tick"
)

// market writes n random trades of two instruments, many in one millisecond
// and shuffled within a second, and the bars they make. change may spoil a bar.
func market(t *testing.T, s *Sink, seed uint64, n int, intervals []int64, change func(b *tick.BarRow)) (bars int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	var x tape
	x.define(t, btc, start)
	uuid := perp
	uuid.Inverse = false
	x.define(t, uuid, start)
	s.Write(x.take())
	type key struct {
		instrument      uint32
		interval, start int64
	}
	made := map[key]*tick.BarRow{}
	var order []key
	var rows []tick.TradeRow
	ts := start
	for id := range uint64(n) {
		if r.IntN(5) == 0 {
			ts += int64(r.IntN(900)) * 1e6
		}
		row := *x.trade(uint32(r.IntN(2)), ts, id+95)
		row.Price, row.Size = 1+int64(r.IntN(1_000_000)), 1+int64(r.IntN(1_000_000))
		if row.Instrument == 1 {
			row.ID = tick.ID{Hi: id + 95, Lo: r.Uint64()}
		}
		if r.IntN(2) == 0 {
			row.Flags = tick.RowSell
		}
		if r.IntN(20) == 0 {
			row.Flags |= tick.RowLate
		}
		rows = append(rows, row)
		if row.Flags&tick.RowLate != 0 {
			continue
		}
		for _, interval := range intervals {
			k := key{row.Instrument, interval, ts - ts%interval}
			b := made[k]
			if b == nil {
				b = &tick.BarRow{RowHeader: row.RowHeader, IntervalNanos: interval, Open: row.Price, Low: row.Price}
				b.Kind, b.Flags, b.TsNanos = tick.RowBar, tick.RowFinal|tick.RowComplete, k.start
				made[k] = b
				order = append(order, k)
			}
			b.High, b.Low, b.Close = max(b.High, row.Price), min(b.Low, row.Price), row.Price
			b.Volume = b.Volume.Add(tick.Int128Of(row.Size))
			b.Notional = b.Notional.Add(tick.Mul64(row.Price, row.Size))
			if row.Flags&tick.RowSell != 0 {
				b.SellVolume = b.SellVolume.Add(tick.Int128Of(row.Size))
			} else {
				b.BuyVolume = b.BuyVolume.Add(tick.Int128Of(row.Size))
			}
			b.Trades++
		}
	}
	r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	x.take()
	for _, row := range rows {
		*x.row(tick.RowTrade, 0, 0).TradeRow() = row
	}
	for _, k := range order {
		change(made[k])
		*x.row(tick.RowBar, 0, 0).BarRow() = *made[k]
	}
	s.Write(x.take())
	return len(order)
}

// Bars that their trades make are found right, in both kinds of numbers, and
// each kind of difference is found.
func TestVerify(t *testing.T) {
	server, c := database(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	intervals := []int64{1e9, 60e9, 90e9, 3600e9}
	for _, numbers := range []string{"double", "decimal"} {
		wipe(t, c)
		s := newSink(t, server.URL(), func(o *Options) { o.Numbers = numbers })
		bars := market(t, s, seed, 20_000, intervals, func(*tick.BarRow) {})
		// A bar of a quiet interval has no trades, and one that is not final or
		// not complete is nobody's promise.
		var x tape
		quiet := x.row(tick.RowBar, 0, start-60e9).BarRow()
		quiet.IntervalNanos, quiet.Flags, quiet.Open = 60e9, tick.RowFinal|tick.RowComplete, 5
		for i, flags := range []tick.RowFlags{tick.RowFinal, tick.RowComplete, 0} {
			b := x.row(tick.RowBar, 0, start-120e9-int64(i)*60e9).BarRow()
			b.IntervalNanos, b.Flags, b.Trades = 60e9, flags, 5
		}
		s.Write(x.take())
		closes(t, s)
		report, err := Verify(t.Context(), VerifyOptions{URL: server.URL()})
		if err != nil {
			t.Fatal(err)
		}
		if checked, differing, excused := report.Totals(); checked != int64(bars+1) || differing != 0 || excused != 0 {
			t.Errorf("%s: %d checked of %d, %d differ, %d excused: %+v", numbers, checked, bars+1, differing, excused, report.Rows)
		}
		if len(report.Rows) != 2*len(intervals) || report.Rows[0].Interval != "1s" || report.Rows[0].Symbol != "BTCUSD_PERP" {
			t.Errorf("%s: rows %+v", numbers, report.Rows)
		}
	}
}

func TestVerifyFindsEachDifference(t *testing.T) {
	server, c := database(t)
	f := func(name string, spoil func(b *tick.BarRow)) {
		t.Helper()
		wipe(t, c)
		s := newSink(t, server.URL(), nil)
		n := 0
		market(t, s, 1, 2000, []int64{60e9}, func(b *tick.BarRow) {
			if b.Instrument == 0 {
				if n++; n == 2 {
					spoil(b)
				}
			}
		})
		closes(t, s)
		report, err := Verify(t.Context(), VerifyOptions{URL: server.URL(), Intervals: []string{"1m"}})
		if err != nil {
			t.Fatal(err)
		}
		row := report.Rows[1]
		if _, differing, _ := report.Totals(); differing != 1 || row.Symbol != "BTCUSDT" || row.Differing != 1 || len(row.Examples) != 1 || !strings.Contains(row.Examples[0], " "+name+" ") {
			t.Errorf("%s: %+v", name, report.Rows)
		}
	}
	one := tick.Int128Of(1)
	f("open", func(b *tick.BarRow) { b.Open++ })
	f("high", func(b *tick.BarRow) { b.High++ })
	f("low", func(b *tick.BarRow) { b.Low-- })
	f("close", func(b *tick.BarRow) { b.Close++ })
	f("volume", func(b *tick.BarRow) { b.Volume = b.Volume.Add(one) })
	f("notional", func(b *tick.BarRow) { b.Notional = b.Notional.Add(tick.Int128Of(1000000)) })
	f("buy_volume", func(b *tick.BarRow) { b.BuyVolume = b.BuyVolume.Add(one) })
	f("sell_volume", func(b *tick.BarRow) { b.SellVolume = b.SellVolume.Add(one) })
	f("trades", func(b *tick.BarRow) { b.Trades++ })

	// The last of these is still there: bounds leave it out, a reported loss excuses it.
	totals := func(o VerifyOptions) string {
		o.URL = server.URL()
		report, err := Verify(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		checked, differing, excused := report.Totals()
		return fmt.Sprint(checked > 0, differing, excused)
	}
	at := func(minute int) time.Time { return time.Unix(0, start).UTC().Add(time.Duration(minute) * time.Minute) }
	if got := totals(VerifyOptions{From: at(2)}) + ", " + totals(VerifyOptions{To: at(1)}) + ", " + totals(VerifyOptions{From: at(1), To: at(2)}); got != "true 0 0, true 0 0, true 1 0" {
		t.Errorf("bounds: %s", got)
	}
	query(t, c, fmt.Sprintf("INSERT INTO gaps (ts, ts_end, venue, symbol, channel, reason, ord, lost) VALUES (%d::timestamp_ns, %d::timestamp_ns, 'binance-spot', 'BTCUSDT', 'trades', 'sink', 0, 1)", start+61e9, start+62e9))
	if got := totals(VerifyOptions{}); got != "true 0 1" {
		t.Errorf("with a reported loss: %s", got)
	}
}

func TestVerifyRefusesAnUnknownInterval(t *testing.T) {
	server, _ := database(t)
	if _, err := Verify(t.Context(), VerifyOptions{URL: server.URL(), Intervals: []string{"1 minute"}}); err == nil || !strings.Contains(err.Error(), "1 minute") {
		t.Error(err)
	}
}
