package feeds

import "tickproc/tick"

// polls are what must be asked for again and again, in turn: each no sooner
// than its interval after the last time. The worker's own pace spreads the first
// round, and with it all that follow. It does no I/O and reads no clock; times are ns.
// owner: the REST goroutine.
type polls struct {
	turns []*poll
	turn  int // index of whose turn it is
}

// poll is one of them.
type poll struct {
	Poll
	instrument *tick.Instrument
	askedAt    int64 // 0 = never
}

func (q *polls) add(in *tick.Instrument, p Poll) {
	q.turns = append(q.turns, &poll{Poll: p, instrument: in})
}

// next returns the poll that is due at now, or nil and when one will be.
func (q *polls) next(now int64) (*poll, int64) {
	if len(q.turns) == 0 {
		return nil, never
	}
	p := q.turns[q.turn]
	due := int64(0)
	if p.askedAt != 0 {
		due = p.askedAt + int64(p.Every)
	}
	if due > now {
		return nil, due
	}
	return p, now
}

// sent notes that a poll was asked for: the next one has its turn.
func (q *polls) sent(p *poll, now int64) {
	p.askedAt = now
	q.turn = (q.turn + 1) % len(q.turns)
}
