package indicators

import (
	"testing"
	"time"

	"tickproc/tick"
)

// BenchmarkTrade feeds the recorded USD-M trades, in a circle whose times go
// on, to what one instrument has by default: four bar intervals, a sliding
// window and the session. It includes Advance and the rows.
func BenchmarkTrade(b *testing.B) {
	trades := recorded(b, "binance-usdm-btcusdt-20240808", 2, 3)
	coverage := new(Coverage)
	var all []Indicator
	for _, interval := range []time.Duration{time.Second, time.Minute, time.Hour, day} {
		all = append(all, BarsSpec{Interval: interval, Grace: defaultGrace, Lateness: defaultLateness}.New(coverage))
	}
	for _, span := range []time.Duration{time.Minute, 0} {
		all = append(all, WindowSpec{Span: span, Step: time.Second, Grace: defaultGrace, Lateness: defaultLateness}.New(coverage))
	}
	lap := trades[len(trades)-1].TsNanos - trades[0].TsNanos + second
	out := Out{Rows: make([]tick.Unit, 0, 256)}
	var trade Trade
	now, rows := int64(0), 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		trade = trades[i%len(trades)]
		trade.TsNanos += int64(i/len(trades)) * lap
		trade.ID.Hi = uint64(i / len(trades))
		now = max(now, trade.TsNanos)
		for _, in := range all {
			in.Trade(&trade)
			if in.Deadline() <= now {
				in.Advance(now, &out)
			}
		}
		rows += len(out.Rows)
		out.Rows = out.Rows[:0]
	}
	b.ReportMetric(float64(rows)*tick.UnitSize/float64(b.N), "rowbytes/op")
}
