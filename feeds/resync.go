package feeds

import (
	"math"
	"time"
)

// resyncs decides which instrument's snapshot is asked for next, and when: at
// most one request in flight an instrument, first come first served, failed
// ones later and later. It does no I/O and reads no clock; all times are ns.
// owner: the REST goroutine.
type resyncs struct {
	min, max     time.Duration // backoff of an instrument
	byInstrument map[uint32]*resync
	chance       chance
	waiting      []*resync // in the order in which they were asked for
}

// resync is one instrument's need of a snapshot.
type resync struct {
	instrument uint32
	epoch      uint64 // asked for; 0 with waiting false
	waiting    bool
	inFlight   bool
	sentEpoch  uint64
	notBefore  int64
	retry      bool // the last answer was no snapshot
	backoff    backoff
}

func newResyncs(min, max time.Duration) *resyncs {
	return &resyncs{min: min, max: max, byInstrument: map[uint32]*resync{}}
}

// ask wants a snapshot that answers epoch. A newer epoch replaces one that
// waits; one that is in flight or older is not asked for again.
func (q *resyncs) ask(instrument uint32, epoch uint64) {
	r := q.byInstrument[instrument]
	if r == nil {
		r = &resync{instrument: instrument, backoff: backoff{min: q.min, max: q.max, chance: q.chance}}
		q.byInstrument[instrument] = r
	}
	if r.inFlight && epoch <= r.sentEpoch {
		return
	}
	if r.waiting {
		r.epoch = max(r.epoch, epoch)
		return
	}
	r.epoch, r.waiting = epoch, true
	q.waiting = append(q.waiting, r)
}

// next returns the first resync that may be sent at now, or nil and the time
// from which one may be (math.MaxInt64 = none waits).
func (q *resyncs) next(now int64) (r *resync, at int64) {
	at = math.MaxInt64
	for _, r := range q.waiting {
		if r.inFlight {
			continue
		}
		if r.notBefore <= now {
			return r, now
		}
		at = min(at, r.notBefore)
	}
	return nil, at
}

// sent notes that the request of r, which next returned, is on its way.
func (q *resyncs) sent(r *resync) {
	r.inFlight, r.waiting, r.sentEpoch = true, false, r.epoch
	for i, x := range q.waiting {
		if x == r {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			return
		}
	}
}

// answered notes the end of the request of r; without a snapshot it is asked
// again, after a backoff, under its newest epoch.
func (q *resyncs) answered(r *resync, snapshot bool, now int64) {
	r.inFlight = false
	if snapshot {
		r.retry, r.notBefore = false, 0
		r.backoff.reset()
		return
	}
	r.retry = true
	r.notBefore = now + int64(r.backoff.next())
	q.ask(r.instrument, r.sentEpoch)
}
