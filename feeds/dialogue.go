package feeds

import (
	"math/rand/v2"
	"slices"
	"time"

	"tickproc/tick"
)

// dialogue decides what to say on a socket, and when to give it up: paced
// subscription requests, pings, silence, missing acknowledgements, end of
// life. It does no I/O and reads no clock; all times are ns.
// owner: the connection's talking goroutine.
type dialogue struct {
	requests   []SubscribeRequest
	pingText   []byte
	pause      int64 // between two messages that we send
	pingAfter  int64 // of silence; 0 = never
	ackWithin  int64
	life       int64 // when the socket has reached its age; 0 = never
	sent       int   // requests sent
	open       []bool
	unsettled  int   // requests sent and neither acknowledged nor refused
	movedAt    int64 // when a request was last sent or answered
	refused    []refusal
	mayWriteAt int64
	pingedAt   int64
	leaving    bool  // the venue announced that it will close the socket
	dataPause  int64 // how long market data may pause; 0 = for ever
}

// step is what to do next.
type step struct {
	do     action
	text   []byte        // doSend
	reason tick.Reason   // doClose, doHangUp
	wait   time.Duration // doWait; 0 = for an event
}

// refusal is a request to be sent again: a venue may be busy now and not later.
type refusal struct {
	request int
	times   int
	at      int64
}

const (
	refusedMin = 30 * time.Second // doubled by every further refusal
	refusedMax = 10 * time.Minute
)

type action uint8

const (
	doWait   action = iota
	doSend          // text
	doPing          // a websocket ping
	doClose         // a planned end: close handshake, reading on until the venue closes
	doHangUp        // the peer is thought dead: close at once
)

// newDialogue begins when the socket is open.
func newDialogue(p *Profile, requests []SubscribeRequest, ackWithin time.Duration, now int64) *dialogue {
	d := &dialogue{
		requests: requests, pingText: p.PingText, pause: int64(p.MessageInterval), pingAfter: int64(p.PingEvery),
		ackWithin: int64(ackWithin), open: make([]bool, len(requests)), movedAt: now,
	}
	if p.Life > 0 {
		// A margin of 2 to 6 % keeps the sockets of a feed from ending together.
		d.life = now + int64(p.Life) - int64(p.Life)/50 - rand.N(int64(p.Life)/25+1)
	}
	return d
}

// notice takes an answer of the venue to a request, or its wish to part.
func (d *dialogue) notice(n Notice, now int64) {
	switch n.Kind {
	case NoticeAck, NoticeRefused:
		if n.Request >= 0 && n.Request < len(d.open) && d.open[n.Request] {
			d.open[n.Request] = false
			d.unsettled--
			d.movedAt = now
			d.settle(n, now)
		}
	case NoticeReconnect:
		d.leaving = true
	}
}

// settle remembers a refused request, and forgets one that was accepted at last.
func (d *dialogue) settle(n Notice, now int64) {
	i := slices.IndexFunc(d.refused, func(r refusal) bool { return r.request == n.Request })
	switch {
	case n.Kind == NoticeAck && i >= 0:
		d.refused = slices.Delete(d.refused, i, i+1)
	case n.Kind == NoticeRefused:
		if i < 0 {
			i = len(d.refused)
			d.refused = append(d.refused, refusal{request: n.Request})
		}
		r := &d.refused[i]
		r.at = now + int64(min(refusedMin<<min(r.times, 10), refusedMax))
		r.times++
	}
}

// again returns the refused request that is due first, and when; nil if none waits.
func (d *dialogue) again() *refusal {
	var first *refusal
	for i := range d.refused {
		if r := &d.refused[i]; !d.open[r.request] && (first == nil || r.at < first.at) {
			first = r
		}
	}
	return first
}

// send returns the step that sends request i.
func (d *dialogue) send(i int, now int64) step {
	d.open[i] = true
	d.unsettled++
	d.movedAt, d.mayWriteAt = now, now+d.pause
	return step{do: doSend, text: d.requests[i].Text}
}

// next returns what to do now. heard is when anything last came from the
// venue, data when market data last did (both not before the opening). After
// doing it, ask again.
func (d *dialogue) next(now, heard, data int64) step {
	if d.leaving || d.life != 0 && now >= d.life {
		return step{do: doClose, reason: tick.ReasonReconnect}
	}
	if d.pingAfter > 0 && now-heard >= 2*d.pingAfter {
		return step{do: doHangUp, reason: tick.ReasonSilence}
	}
	if d.dataPause > 0 && now-data >= d.dataPause {
		return step{do: doHangUp, reason: tick.ReasonSilence}
	}
	answerBy := max(d.movedAt, data) + d.ackWithin
	if d.unsettled > 0 && now >= answerBy {
		return step{do: doHangUp, reason: tick.ReasonSilence}
	}
	pingAt := heard + d.pingAfter
	pingDue := d.pingAfter > 0 && now >= pingAt && d.pingedAt < pingAt
	if pingDue && d.pingText == nil {
		d.pingedAt = now
		return step{do: doPing}
	}
	again := d.again()
	if now >= d.mayWriteAt {
		if pingDue {
			d.pingedAt, d.mayWriteAt = now, now+d.pause
			return step{do: doSend, text: d.pingText}
		}
		if d.sent < len(d.requests) {
			d.sent++
			return d.send(d.sent-1, now)
		}
		if again != nil && now >= again.at {
			return d.send(again.request, now)
		}
	}

	until := int64(1<<63 - 1)
	at := func(t int64) { until = min(until, t) }
	if d.life != 0 {
		at(d.life)
	}
	if d.pingAfter > 0 {
		at(heard + 2*d.pingAfter)
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
	if pingDue || d.sent < len(d.requests) {
		at(d.mayWriteAt)
	}
	if again != nil {
		at(max(again.at, d.mayWriteAt))
	}
	if until == 1<<63-1 {
		return step{do: doWait}
	}
	return step{do: doWait, wait: time.Duration(max(until-now, 1))}
}
