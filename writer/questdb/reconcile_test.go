package questdb

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tickproc/tick"
)

// reconciles compares what Reconcile finds with a transcript, a line an hour
// that has differences: table, hour, kept, missing, older, excused. It returns
// the report.
func reconciles(t *testing.T, o ReconcileOptions, want ...string) *ReconcileReport {
	t.Helper()
	r, err := Reconcile(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range r.Hours {
		if h.Missing+h.Older+h.Excused > 0 {
			got = append(got, fmt.Sprintf("%s %s kept %d missing %d older %d excused %d", h.Table, h.Hour.Format("15"), h.Kept, h.Missing, h.Older, h.Excused))
		}
		for _, sum := range h.Sums {
			if h.Missing+h.Older+h.Excused == 0 && h.Table != "bars" && math.Abs(sum.Kept-sum.Found) > 1e-9*sum.Kept {
				t.Errorf("%s %s: sum of %s is %v and %v", h.Table, h.Hour, sum.Column, sum.Kept, sum.Found)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		for _, h := range r.Hours {
			t.Log(h.Table, h.Examples)
		}
	}
	return r
}

// hours writes trades, quotes, bars and gaps over three hours, 60 of each an
// hour and instrument, and a later version of each gap.
func (x *tape) hours(t *testing.T) {
	x.define(t, btc, start)
	x.define(t, perp, start)
	const minute = int64(time.Minute)
	for i := range int64(180) {
		for in := range uint32(2) {
			ts := start + i*minute + int64(in)
			x.trade(in, ts, uint64(i)).Flags = tick.RowFlags(i%2) * tick.RowSell
			x.quote(in, ts, uint64(i))
			b := x.row(tick.RowBar, in, start+i*minute).BarRow()
			b.IntervalNanos, b.Flags, b.Trades = minute, tick.RowFinal|tick.RowComplete, uint64(i)
			x.gap(in, ts, 0)
		}
	}
	for i := range int64(180) {
		for in := range uint32(2) {
			x.gap(in, start+i*minute+int64(in), 5)
		}
	}
}

// gap is open without a length.
func (x *tape) gap(instrument uint32, ts, length int64) {
	g := x.row(tick.RowGap, instrument, ts).GapRow()
	g.Channel, g.Reason, g.Lost = tick.ChannelTrades, tick.ReasonSequence, -1
	if length > 0 {
		g.EndNanos, g.Lost, g.Flags = ts+length, 7, tick.RowRepaired
	}
}

// What QuestDB acknowledged and lost is told by table and hour, however it was
// lost; a resend brings it back, and then nothing differs. Rows of others in
// the same hours change nothing.
func TestReconcileFindsWhatIsMissing(t *testing.T) {
	server, c := database(t)
	dir := t.TempDir()
	change := func(o *Options) {
		spooled(dir)(o)
		o.Spool.SyncInterval, o.FlushRows = 2*time.Millisecond, 100
	}
	o := ReconcileOptions{URL: server.URL(), SpoolDir: dir}
	// Another run's rows: the same symbols and hours, other keys.
	s := newSink(t, server.URL(), nil)
	var x tape
	x.define(t, btc, start)
	for i := range int64(100) {
		x.trade(0, start+i*int64(time.Minute)+77, uint64(1000+i))
	}
	s.Write(x.take())
	closes(t, s)

	s = newSink(t, server.URL(), change)
	x.hours(t)
	s.Write(x.take())
	s.Idle(s.o.Now() + 1e9)
	settled := func() *ReconcileReport {
		t.Helper()
		until(t, "all is acknowledged, and that is written down", func() bool {
			s.Idle(s.o.Now() + 1e9)
			r, err := Reconcile(t.Context(), o)
			return err == nil && s.spool.State().Empty && r.Waiting == 0 && len(r.Moving) == 0
		})
		return reconciles(t, o)
	}
	report := settled()
	var hours []string
	for _, h := range report.Hours {
		hours = append(hours, fmt.Sprintf("%s %s %d", h.Table, h.Hour.Format("15"), h.Kept))
	}
	if got, want := strings.Join(hours, ", "), "trades 00 120, trades 01 120, trades 02 120, quotes 00 120, quotes 01 120, quotes 02 120, "+
		"bars 00 120, bars 01 120, bars 02 120, gaps 00 120, gaps 01 120, gaps 02 120, instruments 00 2"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	resends := func() {
		t.Helper()
		before := s.Stats.Tables[tableTrades].Resent.Load()
		s.Resend(time.Unix(0, 0))
		until(t, "it is sent again", func() bool { return s.Stats.Tables[tableTrades].Resent.Load() > before })
		settled()
	}

	// A partition goes.
	query(t, c, "ALTER TABLE trades DROP PARTITION LIST '2024-08-08T01'")
	r := reconciles(t, o, "trades 01 kept 120 missing 120 older 0 excused 0")
	if len(r.Hours[1].Examples) == 0 || !strings.Contains(r.Hours[1].Examples[0], "missing 2024-08-08T01:00:00Z venue=binance-spot symbol=BTCUSDT id=60") &&
		!strings.Contains(r.Hours[1].Examples[0], "BTCUSD_PERP") {
		t.Errorf("examples %q", r.Hours[1].Examples)
	}
	if sum := r.Hours[1].Sums; len(sum) != 2 || sum[1].Column != "size" || sum[1].Found != 0 || !(sum[1].Kept > 0) {
		t.Errorf("sums %+v", sum)
	}
	from := time.Unix(0, start).Add(2 * time.Hour)
	reconciles(t, ReconcileOptions{URL: o.URL, SpoolDir: dir, From: from})
	reconciles(t, ReconcileOptions{URL: o.URL, SpoolDir: dir, To: from, From: from.Add(-time.Minute)}, "trades 01 kept 2 missing 2 older 0 excused 0")
	resends()

	// Any rows go, from any table.
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	lost := map[string]int{}
	for _, table := range []string{"trades", "quotes"} {
		var gone []string
		for range 1 + random.IntN(40) {
			i := random.Int64N(180)
			ts := moment(start + i*int64(time.Minute))
			if !slices.Contains(gone, ts) {
				gone = append(gone, ts)
				lost[fmt.Sprintf("%s %02d", table, i/60)]++
			}
		}
		query(t, c, "CREATE TABLE partly AS (SELECT * FROM "+table+" WHERE ts NOT IN ("+strings.Join(gone, ", ")+")) TIMESTAMP(ts) PARTITION BY HOUR WAL")
		if err := c.Settle(t.Context(), "partly"); err != nil {
			t.Fatal(err)
		}
		query(t, c, "TRUNCATE TABLE "+table)
		query(t, c, "INSERT INTO "+table+" SELECT * FROM partly")
		query(t, c, "DROP TABLE partly")
	}
	var want []string
	for _, table := range []string{"trades", "quotes"} {
		for i := range 3 {
			if n := lost[fmt.Sprintf("%s %02d", table, i)]; n > 0 {
				want = append(want, fmt.Sprintf("%s %02d kept 120 missing %d older 0 excused 0", table, i, n))
			}
		}
	}
	reconciles(t, o, want...)
	resends()

	// Rows go back to what they were: an open gap, a bar of fewer trades.
	query(t, c, fmt.Sprintf("INSERT INTO gaps (ts, venue, symbol, channel, reason, ord, repaired) VALUES (%s, 'binance-spot', 'BTCUSDT', 'trades', 'sequence', 0, false)", moment(start)))
	query(t, c, fmt.Sprintf("INSERT INTO bars (ts, venue, symbol, interval, trades, rev, final, complete) VALUES (%s, 'binance-spot', 'BTCUSDT', '1m', 3, 0, true, true)", moment(start+5*60e9)))
	// Another run's better bar is no difference.
	query(t, c, fmt.Sprintf("INSERT INTO bars (ts, venue, symbol, interval, trades, rev, final, complete) VALUES (%s, 'binance-spot', 'BTCUSDT', '1m', 9, 0, true, true)", moment(start+6*60e9)))
	reconciles(t, o, "bars 00 kept 120 missing 0 older 1 excused 0", "gaps 00 kept 120 missing 0 older 1 excused 0")
	resends()

	// A table goes, while nobody is there to notice.
	closes(t, s)
	query(t, c, "DROP TABLE quotes")
	reconciles(t, o, "quotes 00 kept 120 missing 120 older 0 excused 0", "quotes 01 kept 120 missing 120 older 0 excused 0", "quotes 02 kept 120 missing 120 older 0 excused 0")
	s = newSink(t, server.URL(), change)
	until(t, "it is sent again", func() bool { return s.Stats.Tables[tableQuotes].Resent.Load() > 0 })
	settled()
	closes(t, s)
	conserved(t, s)
}

// Rows that wait are not missing; rows that were refused, or are beyond a TTL,
// are excused; what the spool cannot read any more is counted.
func TestReconcileKnowsWhyRowsAreMissing(t *testing.T) {
	server, c := database(t)
	dir, letters := t.TempDir(), t.TempDir()
	change := func(o *Options) {
		spooled(dir)(o)
		o.FlushRows = 50
	}
	o := ReconcileOptions{URL: server.URL(), SpoolDir: dir, DeadLetterDir: letters}
	away := newFaulty(t, func(string, int, []string) (int, string) { return 503, "away" })
	s := newSink(t, away.URL, change)
	var x tape
	x.hours(t)
	s.Write(x.take())
	closes(t, s)
	if r := reconciles(t, o); r.Waiting == 0 || len(r.Hours) != 0 {
		t.Errorf("%+v", r)
	}
	// This one takes everything, and keeps nothing of it.
	liar := newFaulty(t, yes)
	s = newSink(t, liar.URL, change)
	closes(t, s)
	real := newSink(t, server.URL(), func(o *Options) { o.TTL = map[string]string{"quotes": "1 HOUR"} })
	x.hours(t)
	real.Write(x.take())
	closes(t, real)
	query(t, c, "ALTER TABLE trades DROP PARTITION LIST '2024-08-08T01'")
	dead := deadLetters{dir: letters}
	if kept, err := dead.add(start, "trades", "once", fmt.Sprintf(`trades,venue=binance-spot,symbol=BTCUSDT,side=buy id="61",price=1.5,size=2 %d`, start+61*60e9)); !kept || err != nil {
		t.Fatal(kept, err)
	}
	// Quotes of the first hour are gone or not, as the server came by.
	query(t, c, "ALTER TABLE quotes DROP PARTITION LIST '2024-08-08T00'")
	reconciles(t, o, "trades 01 kept 120 missing 119 older 0 excused 1", "quotes 00 kept 120 missing 0 older 0 excused 120")

	names, _ := filepath.Glob(filepath.Join(dir, "trades-*.seg"))
	content, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	content[bytes.Index(content, []byte(`id="100"`))] ^= 1
	if err := os.WriteFile(names[0], content, 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Reconcile(t.Context(), o)
	if err != nil || r.Unreadable == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, missing, _, _ := r.Totals(); missing != 119-40 { // of the record's 50 rows 10 are of the next hour
		t.Errorf("%d are missing", missing)
	}
}

// Beside a service that writes new rows and new versions of old ones, and sends
// all again now and then, nothing differs at any moment.
func TestReconcileBesideAWriter(t *testing.T) {
	server, _ := database(t)
	dir := t.TempDir()
	s := newSink(t, server.URL(), func(o *Options) {
		spooled(dir)(o)
		o.FlushRows = 200
	})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		var x tape
		x.define(t, btc, start)
		x.define(t, perp, start)
		for n := int64(0); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			for in := range uint32(2) {
				ts := start + n*int64(time.Second)
				x.trade(in, ts, uint64(n))
				x.quote(in, ts, uint64(n))
				x.gap(in, ts, 0)
				if n >= 50 {
					x.gap(in, ts-50e9, 5)
					b := x.row(tick.RowBar, in, start+(n-50)*60e9).BarRow()
					b.IntervalNanos, b.Flags, b.Rev, b.Trades = 60e9, tick.RowFinal, 1, uint64(n+1)
				}
				b := x.row(tick.RowBar, in, start+n*60e9).BarRow()
				b.IntervalNanos, b.Flags, b.Trades = 60e9, tick.RowFinal|tick.RowComplete, uint64(n)
			}
			s.Write(x.take())
			s.Idle(s.o.Now())
			if n%400 == 399 {
				s.Resend(time.Unix(0, 0))
			}
			if s.spool.State().Bytes > 32<<10 { // slower than we: wait for it
				<-s.spool.Moved()
			}
		}
	}()
	o := ReconcileOptions{URL: server.URL(), SpoolDir: dir}
	until(t, "something is acknowledged", func() bool {
		r, err := Reconcile(t.Context(), o)
		if err != nil {
			return false
		}
		kept, _, _, _ := r.Totals()
		return kept > 0
	})
	compared := int64(0)
	for range 3 {
		r, err := Reconcile(t.Context(), o)
		if err != nil {
			t.Error(err)
			break
		}
		kept, missing, older, _ := r.Totals()
		compared += kept
		if missing+older > 0 {
			t.Errorf("of %d rows %d are missing, %d older", kept, missing, older)
			for _, h := range r.Hours {
				t.Log(h.Table, h.Hour, h.Examples)
			}
		}
	}
	close(stop)
	<-stopped
	closes(t, s)
	if r := reconciles(t, o); r.Waiting > 0 || compared == 0 {
		t.Errorf("%d rows were compared, %d wait", compared, r.Waiting)
	}
	conserved(t, s)
}
