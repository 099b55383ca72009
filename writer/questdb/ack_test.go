package questdb

import (
	"testing"

	"tickproc/internal/stat"
	"tickproc/tick"
)

// Of a batch's rows the earliest and the latest receive time tell how long they
// took until QuestDB had them; rows that no packet brought are left out.
func TestTimeUntilRowsAreAcknowledged(t *testing.T) {
	server, _ := database(t)
	const now = start + 5_000_000_000
	s := newSink(t, server.URL(), func(o *Options) { o.Now = func() int64 { return now } })
	var x tape
	x.define(t, btc, 0)
	for i := range uint64(10) {
		x.trade(0, start+int64(i)*100_000_000-1, i) // received 1 ns later
	}
	x.row(tick.RowGap, 0, start).RowHeader().ReceiveNanos = 0
	s.Write(x.take())
	closes(t, s)
	f := func(what string, l *stat.Latency, count uint64, ns int64) {
		t.Helper()
		b := l.Snapshot()
		if have := b.Quantile(0.5); b.Count() != count || have < ns || have > ns+ns/32 {
			t.Errorf("%s: %d rows of %d ns, not %d of %d", what, b.Count(), have, count, ns)
		}
	}
	trades, gaps := &s.Stats.Tables[tableTrades], &s.Stats.Tables[tableGaps]
	if trades.Acked.Load() != 10 || gaps.Acked.Load() != 1 {
		t.Fatal("rows are missing")
	}
	f("earliest", &trades.AckFirst, 10, 5_000_000_000)
	f("latest", &trades.AckLast, 10, 4_100_000_000)
	f("gaps", &gaps.AckFirst, 0, 0)
}
