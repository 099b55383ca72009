package sim

import (
	"fmt"
	"sync"
	"time"

	"tickproc/tick"
)

// Market is one simulated exchange: instruments, connections, and what goes
// wrong between them. Everything in it is under mu: steps, dialogues, REST
// answers and the truth see each other whole. Dialects see its methods.
type Market struct {
	name       string
	options    *Options
	dialect    Dialect
	profile    Profile
	depthEvery time.Duration
	pingEvery  time.Duration
	ageMax     time.Duration

	mu          sync.Mutex
	now         int64 // of the last step, ns since the epoch
	schedule    schedule
	instruments []*Instrument // that ever were, by order of listing
	byName      map[string]*Instrument
	streams     map[string]*Stream
	wide        [channelBits][]*Stream // about all instruments, with subscribers
	quiet       []*Stream              // that have something to say when silent
	halted      []*Instrument          // by a fault, for a time
	conns       []*Conn                // in the order in which they came
	faults      faults
	stats       Stats
	body        []byte         // scratch of tellStream
	closed      bool           // takes no more clients
	serving     sync.WaitGroup // one goroutine a websocket
	changed     chan struct{}  // closed, and replaced, when a pong or an end comes
	weight      usage
	connects    []usage // one a budget

	constantUntil    int64 // checksums stand still
	maintenanceUntil int64 // handshakes are refused
}

// Name of the venue.
func (v *Market) Name() string { return v.name }

// NowNanos is the time in the venue's clock, ns since the epoch, uncut.
func (v *Market) NowNanos() int64 { return v.now + int64(v.options.ClockOffset) }

// CutNanos is NowNanos cut to the venue's resolution.
func (v *Market) CutNanos() int64 { return v.cut(v.now) }

// Instruments are those that the venue lists, in the order of listing.
func (v *Market) Instruments() []*Instrument {
	var out []*Instrument
	for _, in := range v.instruments {
		if in.State != tick.StateDelisted {
			out = append(out, in)
		}
	}
	return out
}

// Instrument returns a listed instrument by name, nil if there is none.
func (v *Market) Instrument(name string) *Instrument { return v.byName[name] }

func newMarket(o *Options, vo Venue) (*Market, error) {
	v := &Market{name: vo.Name, options: o, dialect: vo.Dialect, profile: vo.Dialect.Profile(), depthEvery: vo.DepthEvery,
		pingEvery: o.PingEvery, ageMax: vo.AgeMax, byName: map[string]*Instrument{}, streams: map[string]*Stream{}, changed: make(chan struct{})}
	p := &v.profile
	if p.Resolution == 0 {
		p.Resolution = time.Millisecond
	}
	if p.RequestMax == 0 {
		p.RequestMax = 64 << 10
	}
	if v.depthEvery == 0 {
		v.depthEvery = p.DepthEvery
	}
	if v.pingEvery == 0 {
		v.pingEvery = p.PingEvery
	}
	if v.ageMax == 0 {
		v.ageMax = p.AgeMax
	}
	if v.depthEvery <= 0 {
		panic("BUG: dialect of " + vo.Name + " without DepthEvery")
	}
	v.connects = make([]usage, len(p.Connects))
	v.faults.random = newSource(o.Seed, "faults "+v.name).Rand
	for k, rate := range o.Faults {
		v.faults.rates[k] = rate
	}
	for _, want := range vo.Symbols {
		if v.byName[want.Name] != nil {
			return nil, fmt.Errorf("%s: symbol %q is named twice", v.name, want.Name)
		}
		if _, err := v.list(want); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// list adds an instrument that has not begun.
func (v *Market) list(want Symbol) (*Instrument, error) {
	sp, err := v.dialect.Spec(want.Name)
	if err != nil {
		return nil, err
	}
	rate := want.Rate
	if rate == 0 {
		rate = 1
	}
	in := newInstrument(v, sp, rate*v.options.Rate)
	in.order = len(v.instruments)
	v.instruments = append(v.instruments, in)
	v.byName[sp.Name] = in
	return in, nil
}

// step moves the venue to now.
func (v *Market) step(now int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	passed := now - v.now
	first := v.now == 0
	if passed < 0 {
		return // a clock that was set back: wait for it
	}
	v.now = now
	if !first {
		v.strike(passed)
	}
	for _, c := range append([]*Conn(nil), v.conns...) {
		v.tend(c)
	}
	v.resume()
	v.schedule.step(now, v.instruments)
	v.keepAlive()
}

// tend does what is due for a connection.
func (v *Market) tend(c *Conn) {
	if c.endAt != 0 && c.endAt <= v.now {
		v.end(c, c.endBy)
		return
	}
	kept := c.delayed[:0]
	for _, d := range c.delayed {
		if d.due > v.now {
			kept = append(kept, d)
		} else {
			v.send(c, d.frame)
		}
	}
	c.delayed = kept
	if c.slowUntil != 0 && c.slowUntil <= v.now {
		v.release(c)
	}
	if c.sink == nil && !c.halfOpen {
		v.tendSocket(c)
	}
	if every := int64(c.BeatEvery); every > 0 && !c.ended {
		since := c.beatNanos
		if c.BeatIdle {
			since = max(since, c.sentNanos)
		}
		if v.now-since >= every {
			// Whole intervals, so that steps of any size give the same number of beats.
			c.beatNanos = since + (v.now-since)/every*every
			v.dialect.Beat(c)
		}
	}
}

// tendSocket pings, and ends what the venue's rules say.
func (v *Market) tendSocket(c *Conn) {
	p := &v.profile
	over := func(since int64, limit time.Duration) bool { return limit > 0 && v.now-since >= int64(limit) }
	switch {
	case c.bornNanos == 0:
		c.bornNanos, c.pingedAt, c.heardNanos, c.sentNanos = v.now, v.now, v.now, max(c.sentNanos, v.now)
	case c.unansweredFrom != 0 && p.PongWithin > 0 && v.now-c.unansweredFrom > int64(p.PongWithin),
		len(c.streams) == 0 && over(c.bornNanos, p.FirstWithin),
		over(max(c.heardNanos, c.sentNanos), p.IdleMax),
		over(c.bornNanos, v.ageMax):
		v.end(c, frameClose)
		return
	case over(c.pingedAt, v.pingEvery):
		v.ping(c)
	}
	if p.AgeNotice > 0 && v.ageMax > 0 && !c.noticed && over(c.bornNanos, v.ageMax-p.AgeNotice) {
		c.noticed = true
		v.notice(c, NoticeShutdown)
	}
}

// notice says something of the venue's own.
func (v *Market) notice(c *Conn, n Notice) {
	if text := v.dialect.Notice(c, n); text != nil {
		v.send(c, frame{kind: frameText, text: text})
	}
}

// release sends what a slow connection held back.
func (v *Market) release(c *Conn) {
	c.slowUntil = 0
	backlog := c.backlog
	c.backlog = nil
	for _, m := range backlog {
		v.send(c, m)
	}
}

// finish ends all faults, sends what they hold back, and closes the market's
// books with a last message of each kind.
func (v *Market) finish() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calm()
	for _, c := range append([]*Conn(nil), v.conns...) {
		c.dropNext = 0
		v.release(c)
		for _, d := range c.delayed {
			v.send(c, d.frame)
		}
		for _, h := range c.held {
			v.send(c, h.frame)
		}
		c.delayed, c.held = nil, nil
	}
	if !v.schedule.begun {
		return
	}
	for _, in := range v.instruments {
		if in.State == tick.StateTrading {
			in.last(v.now)
		}
	}
}

// calm ends all faults but those of sockets.
func (v *Market) calm() {
	v.faults.rates, v.faults.armed = [faultKindEnd]float64{}, nil
	v.constantUntil, v.maintenanceUntil = 0, 0
	for _, in := range v.instruments {
		in.quietUntil, in.staleUntil, in.haltedUntil = 0, 0, min(in.haltedUntil, v.now)
	}
	v.resume()
}

// wake tells waiters that a client answered or went.
func (v *Market) wake() {
	close(v.changed)
	v.changed = make(chan struct{})
}

// usage is what was used of a budget in the period that began at from.
type usage struct {
	from int64
	n    int
}

// take uses n of a budget at a time in ns, and says whether it was there.
func (u *usage) take(b Budget, n int, at int64) bool {
	if at-u.from >= int64(b.Per) {
		u.from, u.n = at, 0
	}
	u.n += n
	return u.n <= b.N
}

// period is the start of the period of a budget at a time; a new one begins
// with nothing used.
func (u *usage) period(b Budget, at int64) int64 {
	from := at / int64(b.Per) * int64(b.Per)
	if from != u.from {
		u.n = 0
	}
	return from
}

// admit says whether a handshake at a time of the client's is taken, or the
// HTTP status of the refusal.
func (v *Market) admit(now int64) (status int) {
	if v.now < v.maintenanceUntil {
		return 503
	}
	if f, struck := v.faults.pickOf(FaultHandshakeLimit, "", 0); struck {
		v.note(f, "", 0, nil)
		return 429
	}
	for i, b := range v.profile.Connects {
		if !v.connects[i].take(b, 1, now) {
			v.stats.RefusedClients++
			return 429
		}
	}
	return 0
}
