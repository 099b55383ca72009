package feeds

import (
	"math"
	"testing"
	"time"
)

func TestResyncsComeInOrderOneInFlightAnInstrument(t *testing.T) {
	q := newResyncs(time.Second, time.Minute)
	sent := func(now int64) (instrument uint32, epoch uint64) {
		t.Helper()
		r, _ := q.next(now)
		if r == nil {
			return 999, 0
		}
		q.sent(r)
		return r.instrument, r.sentEpoch
	}
	expect := func(now int64, instrument uint32, epoch uint64) {
		t.Helper()
		if i, e := sent(now); i != instrument || e != epoch {
			t.Fatalf("sent %d epoch %d, want %d epoch %d", i, e, instrument, epoch)
		}
	}
	q.ask(7, 1)
	q.ask(5, 1)
	q.ask(7, 3) // newer: replaces
	q.ask(7, 2) // older: does not
	expect(0, 7, 3)
	expect(0, 5, 1)
	q.ask(7, 3) // in flight already
	expect(0, 999, 0)
	q.ask(7, 4) // waits for the one in flight
	expect(0, 999, 0)
	q.answered(q.byInstrument[7], true, 0)
	expect(0, 7, 4)
	q.answered(q.byInstrument[7], true, 0)
	// The shard refused it: the same epoch may be asked for again.
	q.ask(7, 4)
	expect(0, 7, 4)
}

func TestFailedResyncsBackOffAndKeepTheNewestEpoch(t *testing.T) {
	q := newResyncs(time.Second, time.Minute)
	q.ask(1, 1)
	now := int64(0)
	for attempt := range 10 {
		r, _ := q.next(now)
		if r == nil || r.retry != (attempt > 0) {
			t.Fatalf("attempt %d: %+v", attempt, r)
		}
		q.sent(r)
		if attempt == 4 {
			q.ask(1, 2)
		}
		q.answered(r, false, now)
		early, at := q.next(now)
		span := min(int64(time.Second)<<attempt, int64(time.Minute))
		if early != nil || at-now < span/2 || at-now > span {
			t.Fatalf("attempt %d: again after %v", attempt, time.Duration(at-now))
		}
		now = at
	}
	r, _ := q.next(now)
	q.sent(r)
	if r.sentEpoch != 2 {
		t.Errorf("epoch %d", r.sentEpoch)
	}
	q.answered(r, true, now)
	if r, at := q.next(now); r != nil || at != math.MaxInt64 {
		t.Error("something waits")
	}
}
