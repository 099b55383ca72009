package engine

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"tickproc/tick"
)

// restart is what a process does that takes over from a killed one: load, and
// say that all lines are gone. What it says is in the log.
func (s *story) restart(at string) {
	s.t.Helper()
	x := &shelf{}
	s.shard.SnapshotTo(x, 0)
	s.shard.Apply(barrierPacket(1))
	s.shard.SaveAll()
	s.shard = x.load(s.t)
	now := s.nanos(at)
	s.shard.Apply(s.shard.AppendRestart(nil, now))
	// The new process's connections are others, which speak at the first scale.
	for place := range s.scale {
		def := s.shard.instruments[place.instrument].def
		s.scale[place] = [2]uint8{def.PriceDigits, def.SizeDigits}
	}
	if again := s.shard.AppendRestart(nil, now); len(s.shard.instruments[0].lines) == 0 && len(again) > 0 {
		s.t.Errorf("%d packets say again that lines are gone", len(again))
	}
}

func (s *story) says(want string) {
	s.t.Helper()
	got := s.take()
	if !slices.Equal(got, splitLines(want)) {
		s.t.Errorf("it said otherwise:\n%s", diff(splitLines(want), got))
	}
}

func splitLines(text string) (lines []string) {
	for _, line := range bytes.Split([]byte(text), []byte("\n")) {
		if line := string(bytes.TrimSpace(line)); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// A process is killed at 10.6 and another takes over at 30: each channel was not
// seen from its last good message on, the book is down, and bars that span the
// outage are not complete.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := newStory(t, Options{Intervals: []time.Duration{time.Second, time.Minute}}, "")
	s.tell(`
		  8.0 catalog BTC
			> catalog BTC
			> gap trades BTC 8.000.. start
			> gap quotes BTC 8.000.. start
			> gap depth BTC 8.000.. start
			> book BTC 8.000 seq=0 invalid est
			> quote BTC 8.000 seq=0 0x0 0x0 invalid est
		  8.0 up BTC trades
		  8.0 up BTC quotes
		  8.0 up BTC depth
			> resync BTC epoch=1 start
		  9.0 depth BTC 1..1 98x1
		  9.0 snapshot BTC 0 99x1 | 101x1
			> gap depth BTC 8.000..9.000 start repaired
			> book BTC 9.000 seq=0 99x1 98x1 | 101x1 est
		 10.0 trade BTC 1 100x1
			> gap trades BTC 8.000..10.000 start
			> trade BTC 10.000 id=1 buy 100x1
		 10.5 trade BTC 2 100x1
			> book BTC 9.000 seq=1 99x1 98x1 | 101x1
			> trade BTC 10.500 id=2 buy 100x1
	`)
	s.restart("30.0")
	s.says(`
		gap trades BTC 10.500.. restart
		gap depth BTC 9.000.. restart
		book BTC 10.500 seq=0 99x1 98x1 | 101x1 invalid est
	`)
	s.tell(`
		 30.0 tick
			> bar BTC 1s 10.000 100 100 100 100 v=2 n=200 buy=2 sell=0 trades=2 rev=0
		 31.0 up BTC trades line=9
		 31.0 up BTC quotes line=9
		 31.0 up BTC depth line=9
			> resync BTC epoch=3 restart line=9
		 31.1 depth BTC 77..77 line=9
		 31.2 snapshot BTC 76 99x2 | 101x2 line=2
			> gap depth BTC 9.000..31.100 restart repaired
			> book BTC 31.200 seq=0 99x2 | 101x2 est
		 31.3 quote BTC 77 99x2 101x2 line=9
			> gap quotes BTC 8.000..31.300 start repaired
			> quote BTC 31.300 seq=77 99x2 101x2
		 31.5 trade BTC 5 110x1 line=9  // its id proves what was missed
			> gap trades BTC 10.500..31.500 restart lost=2
			> trade BTC 31.500 id=5 buy 110x1
		 33.0 tick
			> bar BTC 1s 31.000 110 110 110 110 v=1 n=110 buy=1 sell=0 trades=1 rev=0
			> book BTC 31.100 seq=77 99x2 | 101x2
		 34.1 trade BTC 6 110x1 line=9
			> trade BTC 34.100 id=6 buy 110x1
		 36.0 tick
			> bar BTC 1s 34.000 110 110 110 110 v=1 n=110 buy=1 sell=0 trades=1 rev=0 complete
		 62.0 tick
			> bar BTC 1m 0.000 100 110 100 110 v=4 n=420 buy=4 sell=0 trades=4 rev=0
	`)
}

// Of several lines the book that leads goes last: nobody takes its turn.
func TestRestartOfSeveralLines(t *testing.T) {
	t.Parallel()
	s := newStory(t, Options{}, "book gap resync")
	s.tell(`
		  8.0 catalog BTC channels=depth rule=plain
			> gap depth BTC 8.000.. start
			> book BTC 8.000 seq=0 invalid est
		  8.0 up BTC depth line=1
		  8.0 up BTC depth line=2
		  9.0 snapshot BTC 0 99x1 | 101x1 line=1
			> gap depth BTC 8.000..9.000 start repaired
			> book BTC 9.000 seq=0 99x1 | 101x1 est
		  9.1 snapshot BTC 0 99x1 | 101x1 line=2
	`)
	s.restart("30.0")
	s.says(`
		book BTC 9.000 seq=0 99x1 | 101x1 ord=1
		gap depth BTC 9.000.. restart
		book BTC 9.100 seq=0 99x1 | 101x1 invalid est
	`)
}

// The number of a line is another connection's now, which begins at the
// definition's scale.
func TestRestartForgetsScales(t *testing.T) {
	t.Parallel()
	s := newStory(t, Options{}, "trade")
	s.tell(`
		  8.0 catalog BTC channels=trades
		  9.0 rescale BTC 2/1 line=1
		  9.1 trade BTC 1 100.25x1.5 line=1
			> trade BTC 9.100 id=1 buy 100.25x1.5
	`)
	s.restart("30.0")
	s.says("")
	s.tell(`
		 31.0 trade BTC 2 100x1 line=1
			> trade BTC 31.000 id=2 buy 100x1
		 31.0 rescale BTC 2/1 line=1
		 31.1 trade BTC 3 100.75x1 line=1
			> trade BTC 31.100 id=3 buy 100.75x1
	`)
}

// The clock of the new process may be behind that of the old: then it was
// stepped, and what waits keeps its distance from it.
func TestRestartBehindTheLog(t *testing.T) {
	t.Parallel()
	s := newStory(t, secondBars, "bar trade")
	s.tell(`
		  8.0 catalog BTC channels=trades
		 10.0 trade BTC 1 100x1
			> trade BTC 10.000 id=1 buy 100x1
	`)
	s.restart("5.0")
	s.says("")
	if now := s.shard.Now(); now != s.nanos("5.0") {
		t.Errorf("now is %s", clockText(now))
	}
	s.tell(`
		  6.249 tick
		  6.25 tick
			> bar BTC 1s 10.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
	`)
}

// Whatever a shard had seen: after a restart it knows no line, every channel
// that is subscribed is down or gone, and all that it says follows from packets.
func TestRestartOfAnything(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for _, tape := range tapes(t, random) {
		packets := packetsOf(tape.make())
		packets = packets[:1+random.IntN(len(packets))]
		s := NewShard(fullTest)
		s.Apply(slices.Concat(packets...))
		now := s.Now()
		restart := s.AppendRestart(nil, now)
		s.Apply(restart)
		for _, in := range s.instruments {
			for i, c := range tick.AllChannels {
				ch := &in.channels[i]
				switch {
				case len(in.firsts[i].lines) > 0:
					t.Errorf("%s: a line of %s is left", tape.name, c)
				case in.disabled || !in.def.Channels.Has(c) || in.gone.Has(c):
				case !ch.gap.open:
					t.Errorf("%s: %s is not seen and has no gap", tape.name, c)
				}
			}
			if in.sync.IsValid() || len(in.standbys) > 0 {
				t.Errorf("%s: a book is left", tape.name)
			}
			for _, l := range in.lines {
				if !in.disabled && (l.priceDigits != in.def.PriceDigits || l.sizeDigits != in.def.SizeDigits) {
					t.Errorf("%s: a line keeps its scale", tape.name)
				}
			}
		}
		again := NewShard(fullTest)
		again.Apply(append(slices.Concat(packets...), restart...))
		if again.StateHash() != s.StateHash() {
			t.Errorf("%s: the log does not explain the restart", tape.name)
		}
	}
}
