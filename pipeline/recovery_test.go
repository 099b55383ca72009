package pipeline

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tickproc/internal/clock"
	"tickproc/internal/testdata"
	"tickproc/tick"
	"tickproc/writer/spool"
)

// clone is what is kept at this moment.
func (k *keptRows) clone() *keptRows {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := &keptRows{marks: maps.Clone(k.marks), trades: k.trades}
	if k.ledger != nil {
		k.ledger.mu.Lock()
		defer k.ledger.mu.Unlock()
		c.ledger = newLedger()
		c.ledger.instruments = maps.Clone(k.ledger.instruments)
		for _, e := range k.ledger.order {
			own := *e
			c.ledger.rows[e.key] = &own
			c.ledger.order = append(c.ledger.order, &own)
		}
	}
	return c
}

// killed leaves the folder as a kill of the process would at this moment, with
// the rows that the sink had, and returns the lab of the next process.
func (l *durableLab) killed(s *system) *durableLab {
	l.t.Helper()
	rows := l.rows.clone()
	for _, log := range s.durable.logs {
		// The copy is not of one instant: files stand still once all is synced.
		await(l.t, "the log is on disk", time.Minute, func() bool { return log.Synced() == log.Appended() })
	}
	next := &durableLab{t: l.t, config: l.at(l.config.DataDir + "'"), rows: rows}
	if err := os.CopyFS(next.config.DataDir, os.DirFS(l.config.DataDir)); err != nil {
		l.t.Fatal(err)
	}
	s.abandon()
	l.dir.close()
	return next
}

// at is the configuration with another folder.
func (l *durableLab) at(dir string) *Config {
	c := *l.config
	c.DataDir = dir
	return &c
}

// record logs and applies packets.
func (l *durableLab) record(s *system, packets []tick.Unit) {
	l.t.Helper()
	if !s.drivers[0].Record(packets) {
		l.t.Fatal("the log takes nothing")
	}
}

// settled waits until the sink has all rows of what was logged.
func (l *durableLab) settled(s *system) {
	l.t.Helper()
	end := s.durable.logs[0].Appended()
	await(l.t, "the sink has the rows", time.Minute, func() bool { return l.rows.Marks()[0].Position == end })
}

// A recorded session is played into a process that is killed at any place of it,
// again and again, with some snapshots between. The rows that came together over
// all of these are those that one process makes of the log as it is in the end.
func TestRecoveryEqualsTheLogReplayed(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	tape, _ := tapeOf(t, DefaultConfig(), filepath.Join(testdata.Dir(t), "captures", "binance-spot-btcusdt-20240808.gz"))
	tape = tape[:min(len(tape), 20_000)]
	l := newDurableLab(t)
	l.rows.ledger = newLedger()
	s := l.mustStart()
	kills := 5
	last := int64(0) // receive time
	for part := range kills {
		to := len(tape)
		if part < kills-1 {
			to = random.IntN(len(tape) + 1)
		}
		if to > 0 {
			// As if it came now: a restart has the clock of now.
			delta := clock.Nanos() - tape[0][0].Header().ReceiveNanos
			for _, p := range tape[:to] {
				h := p[0].Header()
				if h.ReceiveNanos += delta; h.ExchangeNanos != 0 {
					h.ExchangeNanos += delta
				}
				last = max(last, h.ReceiveNanos)
			}
		}
		for n := 0; n < to; {
			m := min(to, n+1+random.IntN(200))
			l.record(s, slices.Concat(tape[n:m]...))
			if n = m; random.IntN(40) == 0 {
				l.snapshot(s)
			}
		}
		tape = tape[to:]
		l = l.killed(s)
		if part < kills-1 {
			s = l.mustStart()
		}
	}
	// All the rows of the log's end may not have been in the sink: a last recovery
	// makes them. The other begins at the log's start.
	whole := &durableLab{t: t, config: l.at(l.config.DataDir + "-whole"), rows: &keptRows{marks: map[uint16]spool.Mark{}, ledger: newLedger()}}
	if err := os.CopyFS(whole.config.DataDir, os.DirFS(l.config.DataDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(whole.config.DataDir, "snapshots")); err != nil {
		t.Fatal(err)
	}
	var hashes []string
	for _, x := range []*durableLab{l, whole} {
		s := x.mustStart()
		hashes = append(hashes, recoveredState(x.said.String()))
		s.abandon() // which gives the sink all rows
		x.dir.close()
	}
	if hashes[0] != hashes[1] {
		t.Errorf("recovered states %v", hashes)
	}
	whole.saidAll("snapshot_position=0 ")
	// What the last start itself says is of its own clock.
	have, want := l.rows.ledger.until(last), whole.rows.ledger.until(last)
	if len(want) < 1000 {
		t.Errorf("only %d rows", len(want))
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if have[key] != want[key] {
			t.Errorf("%s: %q, want %q", key, have[key], want[key])
		}
		delete(have, key)
	}
	for key, value := range have {
		t.Errorf("%s: %q, which the whole log does not give", key, value)
	}
}

// until is the values of the rows of times up to at, by key.
func (l *ledger) until(at int64) map[string]string {
	values := map[string]string{}
	for _, e := range l.order {
		if e.units[0].RowHeader().TsNanos <= at {
			values[e.key] = e.value
		}
	}
	return values
}

func recoveredState(said string) string {
	_, rest, _ := strings.Cut(said, "state=")
	return strings.Fields(rest + " none")[0]
}

// snapshot takes one now.
func (l *durableLab) snapshot(s *system) {
	l.t.Helper()
	if _, err := s.durable.snapshots.take(l.t.Context(), s.barrierNow); err != nil {
		l.t.Fatal(err)
	}
}

// tradesOf are n trades of an instrument, from an id on.
func tradesOf(in *tick.Instrument, from uint64, n int, price int64) (packets []tick.Unit) {
	now := clock.Nanos()
	for i := range n {
		var u []tick.Unit
		packets, u = tick.AppendUnits(packets, 1)
		*u[0].Trade() = tick.Trade{Header: tick.Header{Kind: tick.KindTrade, Instrument: in.ID, ReceiveNanos: now + int64(i), ExchangeNanos: now + int64(i)},
			ID: tick.ID{Lo: from + uint64(i)}, Price: price, Size: 1000}
	}
	return packets
}

// Rows that the sink keeps are not made again; those behind its marks are, and
// another build makes all again that the log gives.
func TestMarkedRowsAreNotMadeAgain(t *testing.T) {
	t.Parallel()
	l := newDurableLab(t)
	s := l.mustStart()
	in := l.list(s, "BTC-USDT")
	l.record(s, tradesOf(in, 1, 100, 150))
	l.settled(s)
	marks := l.rows.Marks()
	l.record(s, tradesOf(in, 101, 20, 150))
	l.settled(s)

	after := func(change func(next *durableLab), want int) {
		t.Helper()
		next := &durableLab{t: t, config: l.at(l.config.DataDir + fmt.Sprint("-", want)), rows: l.rows.clone()}
		if err := os.CopyFS(next.config.DataDir, os.DirFS(l.config.DataDir)); err != nil {
			t.Fatal(err)
		}
		next.rows.trades = 0
		change(next)
		s := next.mustStart()
		next.settled(s)
		if next.rows.trades != want {
			t.Errorf("%d trades were made again, want %d", next.rows.trades, want)
		}
		s.abandon()
		next.dir.close()
	}
	await(t, "the log is on disk", time.Minute, func() bool { return s.durable.logs[0].Synced() == s.durable.logs[0].Appended() })
	after(func(*durableLab) {}, 0)
	after(func(next *durableLab) { next.rows.marks = marks }, 20)
	after(func(next *durableLab) {
		r, err := (&dataDir{path: next.config.DataDir, around: machine}).readLastRun()
		if err != nil {
			t.Fatal(err)
		}
		r.Build = "another"
		if err := (&dataDir{path: next.config.DataDir, around: machine}).writeLastRun(r); err != nil {
			t.Fatal(err)
		}
	}, 120)
	s.abandon()
	l.dir.close()
}

// The spool lost rows from before the newest snapshot, moved away or cut: they
// are made again, from an older snapshot that still has its rows, else from the
// logs' beginning.
func TestRowsThatTheSpoolLost(t *testing.T) {
	t.Parallel()
	l := newDurableLab(t)
	s := l.mustStart()
	in := l.list(s, "BTC-USDT")
	snapshot := func(first uint64, trades int) {
		l.record(s, tradesOf(in, first, trades, 150))
		if _, err := s.durable.snapshots.take(t.Context(), s.barrierNow); err != nil {
			t.Fatal(err)
		}
	}
	snapshot(1, 100)
	marks := l.rows.Marks()
	snapshot(101, 20)
	await(t, "the log is on disk", time.Minute, func() bool { return s.durable.logs[0].Synced() == s.durable.logs[0].Appended() })
	hash := fmt.Sprintf("state=%016x", s.drivers[0].Shard.StateHash())
	for says, c := range map[string]struct {
		marks map[uint16]spool.Mark
		again int
	}{
		"snapshot_position":             {l.rows.Marks(), 0},
		"an older one is taken":         {marks, 20},
		"are read from their beginning": {map[uint16]spool.Mark{}, 120},
	} {
		next := &durableLab{t: t, config: l.at(fmt.Sprint(l.config.DataDir, "-", c.again)), rows: &keptRows{marks: c.marks}}
		if err := os.CopyFS(next.config.DataDir, os.DirFS(l.config.DataDir)); err != nil {
			t.Fatal(err)
		}
		s := next.mustStart()
		next.saidAll(says, hash)
		next.settled(s)
		if next.rows.trades != c.again {
			t.Errorf("%s: %d trades were made again, want %d", says, next.rows.trades, c.again)
		}
		s.abandon()
		next.dir.close()
	}
	s.abandon()
	l.dir.close()
}

// Damage in the middle of the log is refused, with what to do; by the policy to
// skip, what was logged behind it is given up and lies in gaps, and the next
// start finds whole logs.
func TestDamageInTheMiddle(t *testing.T) {
	t.Parallel()
	l := newDurableLab(t)
	l.rows.ledger = newLedger()
	s := l.mustStart()
	in := l.list(s, "BTC-USDT")
	var good []int64 // times of the trades
	for i := range 10 {
		trades := tradesOf(in, 1+uint64(i)*10, 10, 150+int64(i))
		for i := range trades {
			good = append(good, trades[i].Header().ExchangeNanos)
		}
		l.record(s, trades)
	}
	l.settled(s)
	s.abandon() // the ring is gone, no snapshot stands in
	l.dir.close()
	segments, err := filepath.Glob(filepath.Join(l.config.DataDir, "journal", "1", "shard-00-*.log"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	text, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	var places []int // of trades
	for at := 0; at < len(text); at += 64 {
		if tick.Kind(text[at]) == tick.KindTrade && text[at+2] == 0 && text[at+4] == byte(in.ID) {
			places = append(places, at)
		}
	}
	if len(places) < 100 {
		t.Fatalf("%d trades in the log", len(places))
	}
	text[places[55]+40] ^= 1
	if err := os.WriteFile(segments[0], text, 0o644); err != nil {
		t.Fatal(err)
	}
	if s, err := l.start(); err == nil {
		l.stop(s)
		t.Fatalf("started on damage:\n%s", l.said.String())
	} else if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), "damage: skip") || !strings.Contains(err.Error(), "from a copy") {
		t.Errorf("refused without a remedy: %v", err)
	}
	l.config.Journal.Damage = "skip"
	s = l.mustStart()
	l.saidAll("the log is damaged", "what was logged behind the damage is not applied")
	l.record(s, tradesOf(in, 200, 1, 160))
	l.settled(s)
	var begins []int64
	for _, e := range l.rows.ledger.order {
		if g := e.units[0].GapRow(); e.table == "gaps" && g.Channel == tick.ChannelTrades && g.Reason == tick.ReasonRestart {
			begins = append(begins, g.TsNanos)
		}
	}
	// Of ten trades a batch, the sixth batch is damaged.
	if want := good[49]; len(begins) != 1 || begins[0] != want {
		t.Errorf("gaps of trades begin at %v, want %d", begins, want)
	}
	hash := l.stop(s)
	l.stop(l.mustStart())
	l.saidAll("ended cleanly", hash)
	if strings.Contains(l.said.String(), "damaged") {
		t.Errorf("damage is met again:\n%s", l.said.String())
	}
}
