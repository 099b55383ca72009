package engine

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"tickproc/indicators"
	"tickproc/tick"
)

// others are configurations that records of the log name.
var others = []Options{
	{Intervals: []time.Duration{5 * time.Second, time.Second}, Windows: []indicators.WindowSpec{{}, {Span: 4 * time.Second, Step: 2 * time.Second}, {Span: 3 * time.Second, Step: time.Second}},
		Lateness: 3 * time.Second, Silence: 2 * time.Second, Stale: time.Second, BookEvery: 500 * time.Millisecond, BookDepth: 3},
	{Intervals: []time.Duration{time.Second, time.Minute}, Lateness: time.Second, Carry: true, BookOnChange: true, LineHold: 50 * time.Millisecond,
		Nbbo: true, NbboStale: time.Second, NbboEvery: 300 * time.Millisecond},
}

func taught(s *Shard) *Shard {
	for i, o := range others {
		s.Learn([32]byte{byte(i)}, o)
	}
	return s
}

func configPacket(which byte) []tick.Unit {
	var u tick.Unit
	u.Config().Kind, u.Config().Hash = tick.KindConfig, [32]byte{which}
	return []tick.Unit{u}
}

// Bars and windows that stay the same go on; those that are no longer wanted
// end as they stand; new ones begin, and say that they did not see all.
func TestReconfigure(t *testing.T) {
	t.Parallel()
	s := tell(t, Options{Intervals: []time.Duration{time.Second, 10 * time.Second}, Windows: []indicators.WindowSpec{{Span: 2 * time.Second}, {Span: 4 * time.Second}}}, "bar window", `
		 8.0 catalog BTC channels=trades
		10.0 trade BTC 1 100x1
		10.5 trade BTC 2 100x1
		12.1 trade BTC 3 100x1
			> bar BTC 1s 10.000 100 100 100 100 v=2 n=200 buy=2 sell=0 trades=2 rev=0
			> window BTC vwap_2s_1s 11.000 v=2 n=200 trades=2 rev=0
			> window BTC vwap_4s_1s 11.000 v=2 n=200 trades=2 rev=0
		12.3 tick
			> window BTC vwap_2s_1s 12.000 v=2 n=200 trades=2 rev=0
			> window BTC vwap_4s_1s 12.000 v=2 n=200 trades=2 rev=0
	`)
	options := s.shard.Options()
	options.Intervals = []time.Duration{10 * time.Second, 2 * time.Second}
	options.Windows = options.Windows[1:]
	s.shard.Reconfigure(options)
	s.says(`
		bar BTC 1s 12.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0 open
		window BTC vwap_2s_1s 13.000 v=1 n=100 trades=1 rev=0 open
	`)
	s.tell(`
		13.5 trade BTC 4 110x1
			> window BTC vwap_4s_1s 13.000 v=3 n=300 trades=3 rev=0
		14.5 trade BTC 5 110x1
			> bar BTC 2s 12.000 110 110 110 110 v=1 n=110 buy=1 sell=0 trades=1 rev=0
			> window BTC vwap_4s_1s 14.000 v=4 n=410 trades=4 rev=0
		20.5 tick
			> window BTC vwap_4s_1s 15.000 v=3 n=320 trades=3 rev=0 complete
			> bar BTC 2s 14.000 110 110 110 110 v=1 n=110 buy=1 sell=0 trades=1 rev=0 complete
			> window BTC vwap_4s_1s 16.000 v=3 n=320 trades=3 rev=0 complete
			> window BTC vwap_4s_1s 17.000 v=2 n=220 trades=2 rev=0 complete
			> window BTC vwap_4s_1s 18.000 v=1 n=110 trades=1 rev=0 complete
			> bar BTC 10s 10.000 100 110 100 110 v=5 n=520 buy=5 sell=0 trades=5 rev=0
	`)
}

// What is sampled, and how soon silence is told, follows at once.
func TestReconfigureBook(t *testing.T) {
	t.Parallel()
	s := tell(t, Options{BookEvery: 10 * time.Second, Silence: time.Minute}, "book", `
		 8.0 catalog BTC channels=depth
			> book BTC 8.000 seq=0 invalid est
		 9.0 depth BTC 1..1 98x1
		 9.0 snapshot BTC 0 99x1 | 101x1
			> book BTC 9.000 seq=0 99x1 98x1 | 101x1 est
	`)
	options := s.shard.Options()
	options.BookEvery, options.BookDepth, options.Silence = time.Second, 1, 5*time.Second
	s.shard.Reconfigure(options)
	s.says("book BTC 9.000 seq=1 99x1 98x1 | 101x1") // it waited for a boundary that does not come now
	s.tell(`
		10.5 depth BTC 2..2 98x2
		12.0 tick
			> book BTC 10.500 seq=2 99x1 | 101x1
		15.5 tick
			> book BTC 15.500 seq=0 99x1 | 101x1 invalid est
	`)
}

// A consolidated group begins with what its members show, and ends without a
// row that looks as if it still stood.
func TestReconfigureNbbo(t *testing.T) {
	t.Parallel()
	s := tell(t, Options{}, "nbbo", `
		 8.0 catalog BTC channels=quotes
		 8.0 catalog BTC2 channels=quotes venue=two base=BTC
		 9.0 quote BTC 1 99x1 102x1
		 9.0 quote BTC2 1 98x1 101x1
	`)
	options := s.shard.Options()
	options.Nbbo = true
	s.shard.Reconfigure(options)
	s.says("nbbo BTC-USDT spot 9.000 none none venues=0 invalid") // what came before counted for nobody
	s.tell(`
		 9.5 quote BTC 2 99x2 102x1
			> nbbo BTC-USDT spot 9.500 99x2@BTC 102x1@BTC venues=1
		 9.6 quote BTC2 2 98x2 101x1
			> nbbo BTC-USDT spot 9.600 99x2@BTC 101x1@BTC2 venues=2
	`)
	options.Nbbo = false
	s.shard.Reconfigure(options)
	got := s.take()
	if len(got) != 1 || got[0] != "nbbo BTC-USDT spot 9.600 none none venues=0 invalid ord=1" {
		t.Errorf("%q", got)
	}
	s.tell("9.7 quote BTC 3 97x1 102x1")
}

// The options that are live already change nothing, and a record of the log
// does what Reconfigure does, however its batch is cut.
func TestConfigRecord(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for _, tape := range tapes(t, random) {
		packets := packetsOf(tape.make())
		at := random.IntN(len(packets))
		one, other := NewShard(fullTest), taught(NewShard(fullTest))
		one.Apply(slices.Concat(packets[:at]...))
		// A step of the clock can leave deadlines behind it, which fire with the next
		// packet, whatever the options.
		settled := tickPacket(one.now)
		one.Apply(slices.Clone(settled))
		said(one)
		before := one.StateHash()
		one.Reconfigure(fullTest)
		if now := one.StateHash(); now != before || len(said(one)) > 0 {
			t.Errorf("%s: the same options change something", tape.name)
		}
		one.Reconfigure(others[0])
		want := said(one)
		one.Apply(slices.Concat(packets[at:]...))
		want = append(want, said(one)...)
		other.Apply(append(slices.Concat(packets[:at]...), settled...))
		said(other)
		other.Apply(append(configPacket(0), slices.Concat(packets[at:]...)...))
		rows := said(other)
		if other.StateHash() != one.StateHash() || len(rows) != len(want) {
			t.Errorf("%s: a record does something else", tape.name)
		}
		if !bytes.Equal(sortedRows(rows), sortedRows(want)) {
			t.Errorf("%s: a record says something else", tape.name)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("an unknown configuration was taken")
		}
	}()
	s := NewShard(Options{})
	s.Apply(configPacket(9)) // taught none, it keeps its own
	taught(s).Apply(configPacket(9))
}

// sortedRows orders what was said by units: rows and commands of one batch come
// apart in those of two.
func sortedRows(all []byte) []byte {
	var units [][]byte
	for unit := range slices.Chunk(all, tick.UnitSize) {
		units = append(units, unit)
	}
	slices.SortFunc(units, bytes.Compare)
	return slices.Concat(units...)
}
