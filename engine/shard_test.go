package engine

import (
	"testing"
	"time"

	"tickproc/indicators"
)

// What is due fires in its order before a packet that comes later.
func TestDeadlinesBeforePackets(t *testing.T) {
	t.Parallel()
	tell(t, Options{Intervals: []time.Duration{time.Second}, Silence: 4 * time.Second}, "bar book trade", `
		 8.0 catalog BTC
			> book BTC 8.000 seq=0 invalid est
		 8.0 catalog ETH
			> book ETH 8.000 seq=0 invalid est
		 8.1 depth BTC 1..1
		 8.1 snapshot BTC 0 99x1 | 101x1
			> book BTC 8.100 seq=0 99x1 | 101x1 est
		 9.0 trade ETH 1 10x1
			> trade ETH 9.000 id=1 buy 10x1
		 9.0 trade BTC 1 100x1
			> trade BTC 9.000 id=1 buy 100x1
		11.5 trade BTC 2 100x1
			> book BTC 8.100 seq=1 99x1 | 101x1
			> bar BTC 1s 9.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
			> bar ETH 1s 9.000 10 10 10 10 v=1 n=10 buy=1 sell=0 trades=1 rev=0
			> trade BTC 11.500 id=2 buy 100x1
		20.0 trade ETH 2 10x1
			> book BTC 12.100 seq=0 99x1 | 101x1 invalid est
			> bar BTC 1s 11.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0 complete
			> trade ETH 20.000 id=2 buy 10x1
	`)
}

// A quiet instrument's bar closes by the clock, on the venue's: 2 s ahead of
// ours, or behind.
func TestBarClosesByTheVenuesClock(t *testing.T) {
	t.Parallel()
	tell(t, secondBars, "bar", `
		 8.0 catalog BTC
		10.0 trade BTC 1 100x1 @12.0
		11.249 tick
		11.25 tick
			> bar BTC 1s 12.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
	`)
	tell(t, secondBars, "bar", `
		 8.0 catalog BTC
		10.0 trade BTC 1 100x1 @8.0
		11.3 tick
			> bar BTC 1s 8.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
		13.249 tick
		13.25 tick
	`)
}

// A packet that is older than what was already applied is applied now: time
// does not go back, and its own times stay its own.
func TestOlderPacket(t *testing.T) {
	t.Parallel()
	s := tell(t, secondBars, "trade bar", `
		 8.0 catalog BTC
		10.0 trade BTC 1 100x1
			> trade BTC 10.000 id=1 buy 100x1
		12.0 tick
			> bar BTC 1s 10.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
		11.0 trade BTC 2 100x1
			> trade BTC 11.000 id=2 buy 100x1
		11.5 trade BTC 3 100x1 @10.5
			> trade BTC 10.500 id=3 buy 100x1
		12.0 tick
			> bar BTC 1s 10.000 100 100 100 100 v=2 n=200 buy=2 sell=0 trades=2 rev=1
	`)
	if now := s.shard.Now(); now != s.nanos("12.0") {
		t.Errorf("now is %s", clockText(now))
	}
}

// The wall clock is set: what waits keeps its distance from it, though not from
// the venue's, whose clock was not.
func TestClockStep(t *testing.T) {
	t.Parallel()
	s := tell(t, Options{Intervals: []time.Duration{time.Second}, Silence: 5 * time.Second}, "bar book gap resync", `
		  8.0 catalog BTC channels=trades+depth+quotes
			> gap trades BTC 8.000.. start
			> gap quotes BTC 8.000.. start
			> gap depth BTC 8.000.. start
			> book BTC 8.000 seq=0 invalid est
		  9.0 depth BTC 1..1
			> resync BTC epoch=1 start
		  9.0 snapshot BTC 0 99x1 | 101x1
			> gap depth BTC 8.000..9.000 start repaired
			> book BTC 9.000 seq=0 99x1 | 101x1 est
		 10.0 trade BTC 1 100x1
			> gap trades BTC 8.000..10.000 start
		 10.5 quote BTC 9 99x1 101x1 @0      // stale at 13.5, silent at 14
			> book BTC 9.000 seq=1 99x1 | 101x1
			> gap quotes BTC 8.000..10.500 start repaired
		100.7 step 10.7                      // at 103.5 and 104
		101.249 tick
		101.25 tick
			> bar BTC 1s 10.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
		103.499 tick
		103.5 tick
			> gap depth BTC 9.000.. stale
			> book BTC 13.500 seq=0 99x1 | 101x1 invalid est
			> resync BTC epoch=2 stale
	`)
	if due := s.shard.NextDeadline(); due != s.nanos("104.0") {
		t.Errorf("next deadline %s", clockText(due))
	}
	s.tell(`
		 50.5 step 103.5
		 50.999 tick
		 51.0 tick
			> resync BTC epoch=3 silence
	`)
	if now := s.shard.Now(); now != s.nanos("51.0") {
		t.Errorf("now is %s", clockText(now))
	}
}

// NextDeadline is what a driver sleeps until.
func TestNextDeadline(t *testing.T) {
	t.Parallel()
	s := newStory(t, secondBars, "none")
	f := func(text, want string) {
		t.Helper()
		s.tell(text)
		if due := s.shard.NextDeadline(); want == "" && due != never || want != "" && due != s.nanos(want) {
			t.Errorf("%s: %d, want %s", text, due, want)
		}
	}
	f("", "")
	f("8.0 catalog BTC channels=trades", "")
	f("10.0 trade BTC 1 100x1", "11.25")
	f("10.0 catalog ETH channels=trades", "11.25")
	f("10.1 trade ETH 1 100x1 @10.2", "11.15")
	f("11.2 tick", "11.25")
	f("11.3 tick", "")
	f("11.4 trade BTC 2 100x1 @10.9", "11.4") // a revision, at once
	f("11.4 tick", "")
}

// What was open at the end is written as it stands.
func TestFinish(t *testing.T) {
	t.Parallel()
	tell(t, Options{Intervals: []time.Duration{time.Second, time.Minute}, Windows: []indicators.WindowSpec{{Span: 2 * time.Second}, {}}}, "bar window book", `
		 8.0 catalog BTC channels=trades+depth
			> book BTC 8.000 seq=0 invalid est
		10.0 trade BTC 1 100x1
		10.1 depth BTC 1..1 99x1
		10.2 snapshot BTC 0 | 101x1
			> book BTC 10.200 seq=0 99x1 | 101x1 est
		11.5 trade BTC 2 110x1 sell
			> bar BTC 1s 10.000 100 100 100 100 v=1 n=100 buy=1 sell=0 trades=1 rev=0
			> window BTC vwap_2s_1s 11.000 v=1 n=100 trades=1 rev=0
			> window BTC vwap_session 11.000 v=1 n=100 trades=1 rev=0
			> book BTC 10.100 seq=1 99x1 | 101x1
		finish
			> bar BTC 1s 11.000 110 110 110 110 v=1 n=110 buy=0 sell=1 trades=1 rev=0 open
			> bar BTC 1m 0.000 100 110 100 110 v=2 n=210 buy=1 sell=1 trades=2 rev=0 open
			> window BTC vwap_2s_1s 12.000 v=2 n=210 trades=2 rev=0 open
			> window BTC vwap_session 12.000 v=2 n=210 trades=2 rev=0 open
	`)
}

// Records of the log pass; what is about nobody we know is our own mistake.
func TestRecords(t *testing.T) {
	t.Parallel()
	s := newStory(t, Options{}, "")
	defer func() {
		if r := recover(); r == nil || s.shard.Now() != s.nanos("9.0") {
			t.Errorf("%v at %d", r, s.shard.Now())
		}
	}()
	barrier := tickPacket(s.nanos("5.0"))
	barrier[0].Header().Kind = 21
	s.shard.Apply(barrier)
	s.tell("9.0 tick")
	s.names["GHOST"] = 7
	s.shard.Apply(s.packet("9.0 trade GHOST 1 0x0"))
}
