package feeds

import (
	"slices"
	"time"

	"tickproc/tick"
)

// bookResync is a book that must be had anew on a socket: where a venue sends
// snapshots in-band, its depth is unsubscribed and subscribed again.
type bookResync struct {
	instrument uint32
	at         int64 // when it is asked for; while it is asked, when it is given up
	asked      bool  // the venue owes a snapshot
	times      int   // that it was asked for without a good while between
	done       bool  // the last snapshot came; kept for a while to pace the next wish
}

const (
	// resyncGather lets books that break together be asked for together.
	resyncGather = 20 * time.Millisecond
	// resyncWithin is how long a snapshot may take.
	resyncWithin = 15 * time.Second
	// resyncPause is the wait before a book that was just had anew is had anew
	// again, doubled each time up to resyncPauseMax.
	resyncPause    = time.Second
	resyncPauseMax = time.Minute
	// resyncTries without a snapshot end the socket: a new one brings all books.
	resyncTries = 3
)

// wish wants the book of an instrument anew. A wish while one is open is the
// same wish.
func (d *dialogue) wish(instrument uint32, now int64) {
	i := slices.IndexFunc(d.resyncs, func(r bookResync) bool { return r.instrument == instrument })
	if i < 0 {
		d.resyncs = append(d.resyncs, bookResync{instrument: instrument, at: now + int64(resyncGather)})
		return
	}
	r := &d.resyncs[i]
	if !r.done {
		return
	}
	if now-r.at > int64(resyncPauseMax) {
		r.times = 0
	}
	pause := resyncGather
	if r.times > 0 {
		pause = min(resyncPause<<min(r.times-1, 10), resyncPauseMax)
	}
	r.done, r.asked, r.at = false, false, max(now+int64(resyncGather), r.at+int64(pause))
}

// resynced notes that a snapshot came.
func (d *dialogue) resynced(instrument uint32, now int64) {
	for i := range d.resyncs {
		if r := &d.resyncs[i]; r.instrument == instrument && r.asked {
			r.asked, r.done, r.at = false, true, now
			r.times++
		}
	}
}

// resyncDue is when the next book may be asked for; never if none waits.
func (d *dialogue) resyncDue() int64 {
	at := never
	for i := range d.resyncs {
		if r := &d.resyncs[i]; !r.asked && !r.done {
			at = min(at, max(r.at, d.mayWriteAt))
		}
	}
	return at
}

// resyncLate is when a snapshot that was asked for is late; never if none is owed.
func (d *dialogue) resyncLate() int64 {
	at := never
	for i := range d.resyncs {
		if r := &d.resyncs[i]; r.asked {
			at = min(at, r.at)
		}
	}
	return at
}

// resync writes the requests for all books that are due.
func (d *dialogue) resync(now int64) {
	var streams []Subscription
	for i := range d.resyncs {
		r := &d.resyncs[i]
		if r.asked || r.done || r.at > now {
			continue
		}
		r.asked, r.at = true, now+int64(resyncWithin)
		for _, s := range d.plan.Subscriptions {
			if s.Instrument.ID == r.instrument && s.Channels.Has(tick.ChannelDepth) {
				streams = append(streams, Subscription{s.Instrument, tick.ChannelDepth})
			}
		}
	}
	if len(streams) == 0 {
		return
	}
	d.write(d.adapter.Unsubscribe(d.plan, streams, d.next()), 0)
	d.write(d.adapter.Subscribe(d.plan, streams, d.next()), 0)
}

// hopeless reports that books are had sooner by a new socket: snapshots that
// do not come, or an hour's requests that are used up. Late ones are asked for
// again.
func (d *dialogue) hopeless(now int64) bool {
	waiting := 0
	for i := range d.resyncs {
		r := &d.resyncs[i]
		if r.asked && now >= r.at {
			if r.times++; r.times >= resyncTries {
				return true
			}
			r.asked, r.at = false, now
		}
		if !r.asked && !r.done {
			waiting++
		}
	}
	return waiting > 0 && d.hour.spent(2)
}
