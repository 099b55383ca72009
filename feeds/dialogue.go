package feeds

import (
	"slices"
	"time"

	"tickproc/tick"
)

// dialogue decides what to say on a socket, and when to give it up: paced
// subscription requests, books to be had anew, pings, silence, missing
// acknowledgements, end of life. It does no I/O and reads no clock; all times
// are ns.
// owner: the connection's talking goroutine.
type dialogue struct {
	adapter    Adapter
	plan       *Connection
	profile    *Profile
	requests   *requestLog
	ackWithin  int64
	life       int64         // when the socket has reached its age; 0 = never
	queue      []outgoing    // written, in the order of their numbers, and not sent yet
	open       []openRequest // by number; of those sent
	unsettled  int           // requests sent and neither acknowledged nor refused
	movedAt    int64         // when a request was last sent or answered
	refusals   []refusal
	resyncs    []bookResync
	hour       hourly
	mayWriteAt int64
	pingedAt   int64
	leaving    bool  // the venue announced that it will close the socket
	coverWait  int64 // how long a second connection may take to stand in; 0 = there is none
	coverBy    int64 // when that time is over; 0 = it was not asked for
	covered    bool  // it stands in
	dataPause  int64 // how long market data may pause; 0 = for ever
}

// outgoing is a request that was written.
type outgoing struct {
	SubscribeRequest
	times int // that what it asks for was refused before
}

// openRequest is a request that was sent.
type openRequest struct {
	streams []Subscription
	left    int // answers that are still to come
	times   int
}

// refusal is a set of streams to be asked for again: a venue may be busy now
// and not later. A set of several is halved, so that one bad symbol does not
// keep the others out.
type refusal struct {
	streams []Subscription
	times   int
	at      int64
}

// step is what to do next.
type step struct {
	do     action
	text   []byte        // doSend
	reason tick.Reason   // doClose, doHangUp
	wait   time.Duration // doWait; 0 = for an event
}

const (
	refusedMin   = 30 * time.Second // doubled by every further refusal
	refusedMax   = 10 * time.Minute
	halvedWithin = time.Second // before the halves of a refused set are tried
)

type action uint8

const (
	doWait   action = iota
	doSend          // text
	doPing          // a websocket ping
	doClose         // a planned end: close handshake, reading on until the venue closes
	doHangUp        // the peer is thought dead: close at once
	doCover         // ask for a second connection that stands in; the end waits for it
)

// newDialogue begins when the socket is open.
func newDialogue(adapter Adapter, plan *Connection, p *Profile, requests *requestLog, ackWithin time.Duration, random chance, now int64) *dialogue {
	d := &dialogue{adapter: adapter, plan: plan, profile: p, requests: requests, ackWithin: int64(ackWithin), movedAt: now, pingedAt: now,
		hour: hourly{limit: p.RequestsPerHour, from: now}}
	d.write(plan.Greetings, 0)
	d.write(adapter.Subscribe(plan, plan.Subscriptions, d.next()), 0)
	if p.Life > 0 {
		// A margin of 2 to 6 % keeps the sockets of a feed from ending together.
		d.life = now + int64(p.Life) - int64(p.Life)/50 - random.below(int64(p.Life)/25+1)
	}
	return d
}

// notice takes an answer of the venue to a request, or its wish to part.
func (d *dialogue) notice(n Notice, now int64) {
	switch n.Kind {
	case NoticeAck, NoticeRefused:
		if i := d.find(n); i >= 0 {
			d.answered(i, n, now)
		}
	case NoticeReconnect:
		d.leaving = true
	case noticeSnapshot:
		d.resynced(n.Instrument, now)
	}
}

// find returns the open request that an answer is about, -1 if there is none.
func (d *dialogue) find(n Notice) int {
	if n.Request >= 0 {
		if n.Request < len(d.open) && d.open[n.Request].left > 0 {
			return n.Request
		}
		return -1
	}
	if n.Channel == 0 {
		return -1
	}
	return slices.IndexFunc(d.open, func(o openRequest) bool {
		return o.left > 0 && slices.ContainsFunc(o.streams, func(s Subscription) bool { return s.Instrument.ID == n.Instrument && s.Channels.Has(n.Channel) })
	})
}

func (d *dialogue) answered(i int, n Notice, now int64) {
	o := &d.open[i]
	d.movedAt = now
	if n.Channel == 0 {
		o.left = 0
	} else {
		o.left--
	}
	if o.left == 0 {
		d.unsettled--
	}
	if n.Kind == NoticeAck {
		return
	}
	streams := o.streams
	if n.Channel != 0 {
		streams = nil
		for _, s := range o.streams {
			if s.Instrument.ID == n.Instrument && s.Channels.Has(n.Channel) {
				streams = []Subscription{{s.Instrument, n.Channel}}
			}
		}
	}
	switch len(streams) {
	case 0:
	case 1:
		d.refusals = append(d.refusals, refusal{streams, o.times + 1, now + int64(min(refusedMin<<min(o.times, 10), refusedMax))})
	default:
		half := len(streams) / 2
		for _, part := range [][]Subscription{streams[:half], streams[half:]} {
			d.refusals = append(d.refusals, refusal{part, o.times, now + int64(halvedWithin)})
		}
	}
}

// again returns which refused set is due first, and when; never if none waits.
func (d *dialogue) again() (first int, at int64) {
	at = never
	for i := range d.refusals {
		if d.refusals[i].at < at {
			first, at = i, d.refusals[i].at
		}
	}
	return first, at
}

// write puts requests, numbered from next, into the queue.
func (d *dialogue) write(requests []SubscribeRequest, times int) {
	for _, r := range requests {
		d.queue = append(d.queue, outgoing{r, times})
	}
}

// next is the number of the next request to be written.
func (d *dialogue) next() int { return len(d.open) + len(d.queue) }

// send returns the step that sends the oldest request of the queue.
func (d *dialogue) send(now int64) step {
	r := d.queue[0]
	d.queue = d.queue[1:]
	o := openRequest{streams: r.Streams, left: max(r.Answers, 0), times: r.times}
	if r.Answers == 0 {
		o.left = 1
	}
	if o.left > 0 {
		d.unsettled++
	}
	d.requests.sent(len(d.open), r.Streams)
	d.open = append(d.open, o)
	d.hour.count(now)
	d.movedAt, d.mayWriteAt = now, now+int64(d.profile.MessageInterval)
	return step{do: doSend, text: r.Text}
}

// pingAt is when the next ping is due, and whether it is now.
func (d *dialogue) pingAt(now, heard int64) (at int64, due bool) {
	every := int64(d.profile.PingEvery)
	switch {
	case every == 0:
		return never, false
	case d.profile.PingAlways:
		at = d.pingedAt + every
		return at, now >= at
	}
	at = heard + every
	return at, now >= at && d.pingedAt < at
}

// never is a time that does not come.
const never = int64(1<<63 - 1)

// step returns what to do now. heard is when anything last came from the
// venue, data when market data last did (both not before the opening). After
// doing it, ask again.
func (d *dialogue) step(now, heard, data int64) step {
	if d.leaving || d.life != 0 && now >= d.life {
		switch {
		case d.coverWait == 0 || d.covered || d.coverBy != 0 && now >= d.coverBy:
			return step{do: doClose, reason: tick.ReasonReconnect}
		case d.coverBy == 0:
			d.coverBy = now + d.coverWait
			if !d.leaving {
				// We end it ahead of the venue, which leaves time.
				d.coverBy = now + max(d.coverWait, int64(d.profile.Life)/100)
			}
			return step{do: doCover}
		}
	}
	every := int64(d.profile.PingEvery)
	if every > 0 && now-heard >= 2*every {
		return step{do: doHangUp, reason: tick.ReasonSilence}
	}
	if d.dataPause > 0 && now-data >= d.dataPause {
		return step{do: doHangUp, reason: tick.ReasonSilence}
	}
	answerBy := max(d.movedAt, data) + d.ackWithin
	if d.unsettled > 0 && now >= answerBy {
		return step{do: doHangUp, reason: tick.ReasonSilence}
	}
	if d.hopeless(now) {
		return step{do: doClose, reason: tick.ReasonReconnect}
	}
	pingAt, pingDue := d.pingAt(now, heard)
	if pingDue && d.profile.PingText == nil {
		d.pingedAt = now
		return step{do: doPing}
	}
	again, againAt := d.again()
	resyncAt := d.resyncDue()
	if now >= d.mayWriteAt {
		if pingDue {
			d.pingedAt, d.mayWriteAt = now, now+int64(d.profile.MessageInterval)
			return step{do: doSend, text: d.profile.PingText}
		}
		if len(d.queue) == 0 && now >= againAt {
			r := d.refusals[again]
			d.refusals = slices.Delete(d.refusals, again, again+1)
			d.write(d.adapter.Subscribe(d.plan, r.streams, d.next()), r.times)
			_, againAt = d.again()
		}
		if len(d.queue) == 0 && now >= resyncAt {
			d.resync(now)
			resyncAt = d.resyncDue()
		}
		if len(d.queue) > 0 {
			return d.send(now)
		}
	}

	until := min(d.resyncLate(), resyncAt, max(againAt, d.mayWriteAt))
	at := func(t int64) { until = min(until, t) }
	if d.life != 0 && now < d.life {
		at(d.life)
	}
	if d.coverBy != 0 {
		at(d.coverBy)
	}
	if every > 0 {
		at(heard + 2*every)
		if now < pingAt {
			at(pingAt)
		}
	}
	if d.dataPause > 0 {
		at(data + d.dataPause)
	}
	if d.unsettled > 0 {
		at(answerBy)
	}
	if pingDue || len(d.queue) > 0 {
		at(d.mayWriteAt)
	}
	if until == never {
		return step{do: doWait}
	}
	return step{do: doWait, wait: time.Duration(max(until-now, 1))}
}

// uncoverable notes that no second connection is to be had.
func (d *dialogue) uncoverable() { d.coverWait = 0 }

// hourly counts requests in an hour.
type hourly struct {
	limit, n int
	from     int64
}

func (h *hourly) count(now int64) {
	if now-h.from >= int64(time.Hour) {
		h.from, h.n = now, 0
	}
	h.n++
}

// spent reports whether n more requests would be too many.
func (h *hourly) spent(n int) bool { return h.limit > 0 && h.n+n > h.limit }
