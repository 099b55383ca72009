package sim

import (
	"fmt"
	"sync"
	"time"

	"tickproc/tick"
)

// venue is one simulated exchange: a market, its clients, and what goes wrong
// between them. Everything in it is under mu: steps, dialogues, REST answers
// and the truth see each other whole.
type venue struct {
	name       string
	options    *Options
	dialect    dialect
	depthEvery time.Duration
	pingEvery  time.Duration

	mu       sync.Mutex
	now      int64 // of the last step, ns since the epoch
	market   market
	bySymbol map[string]*symbol
	clients  []*client // in the order in which they came
	faults   faults
	stats    Stats
	body     []byte         // scratch of deliver
	closed   bool           // takes no more clients
	serving  sync.WaitGroup // one goroutine a websocket
	changed  chan struct{}  // closed, and replaced, when a pong or an end comes
	weight   struct{ minute, used int64 }
}

// subscription is a stream of a client that an event goes to.
type subscription struct {
	client *client
	stream string
}

func newVenue(o *Options, vo Venue) (*venue, error) {
	d := dialectOf(vo.Name)
	if d == nil {
		return nil, fmt.Errorf("unknown venue %q: the simulator speaks for %v", vo.Name, VenueNames())
	}
	v := &venue{name: vo.Name, options: o, dialect: d, depthEvery: vo.DepthEvery, pingEvery: o.PingEvery,
		bySymbol: map[string]*symbol{}, changed: make(chan struct{})}
	if v.depthEvery == 0 {
		v.depthEvery = d.depthEvery()
	}
	if v.pingEvery == 0 {
		v.pingEvery = d.pingEvery()
	}
	v.faults.random = newSource(o.Seed, "faults "+v.name).Rand
	for k, rate := range o.Faults {
		v.faults.rates[k] = rate
	}
	for _, want := range vo.Symbols {
		sp, err := specOf(v.name, want.Name)
		if err != nil {
			return nil, err
		}
		if v.bySymbol[want.Name] != nil {
			return nil, fmt.Errorf("%s: symbol %q is named twice", v.name, want.Name)
		}
		rate := want.Rate
		if rate == 0 {
			rate = 1
		}
		s := newSymbol(v, sp, rate*o.Rate, o.Levels)
		s.truth.init(o.History)
		v.market.symbols = append(v.market.symbols, s)
		v.bySymbol[want.Name] = s
	}
	return v, nil
}

// step moves the venue to now.
func (v *venue) step(now int64) {
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
	for _, c := range append([]*client(nil), v.clients...) {
		v.tend(c)
	}
	v.market.step(now, v.deliver)
}

// tend does what is due for a client.
func (v *venue) tend(c *client) {
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
	switch {
	case c.sink != nil || c.halfOpen:
	case c.pingedAt == 0:
		c.pingedAt = v.now
	case c.unansweredFrom != 0 && v.now-c.unansweredFrom > int64(v.dialect.pongWithin()):
		v.end(c, frameClose)
	case v.now-c.pingedAt >= int64(v.pingEvery):
		v.ping(c)
	}
}

// release sends what a slow connection held back.
func (v *venue) release(c *client) {
	c.slowUntil = 0
	backlog := c.backlog
	c.backlog = nil
	for _, m := range backlog {
		v.send(c, m)
	}
}

// deliver notes an event and sends it to whoever asked for it.
func (v *venue) deliver(e *event) {
	s := e.symbol
	s.truth.note(e)
	v.stats.Events++
	subscribers := s.subscribers[e.channel.Index()]
	if len(subscribers) == 0 {
		return
	}
	v.body = v.dialect.appendEvent(v.body[:0], e)
	var text []byte
	for i, sub := range subscribers {
		// Clients share a frame's bytes: nobody writes to them again.
		if i == 0 || sub.stream != subscribers[i-1].stream || sub.client.mode != subscribers[i-1].client.mode {
			text = v.dialect.appendFrame(make([]byte, 0, len(v.body)+len(sub.stream)+24), sub.client.mode, sub.stream, v.body)
		}
		m := frame{kind: frameText, text: text}
		if e.channel == tick.ChannelTrades {
			m.symbol, m.trade = s, e.tradeID
		}
		v.post(sub.client, e, m)
	}
}

// subscribe adds a stream to a client, once.
func (v *venue) subscribe(c *client, name string) {
	for _, have := range c.streams {
		if have == name {
			return
		}
	}
	c.streams = append(c.streams, name)
	symbolName, channel, ok := v.dialect.stream(c.mode, name)
	s := v.bySymbol[symbolName]
	if !ok || s == nil {
		return
	}
	i := channel.Index()
	s.subscribers[i] = append(s.subscribers[i], subscription{c, name})
	if s.truth.subscribedMs[i] == 0 {
		// Not the ms of the last step, which has trades that came before.
		s.truth.subscribedMs[i] = max(1, v.ms(v.now)+1)
	}
}

// unsubscribe takes a stream from a client; name "" takes all.
func (v *venue) unsubscribe(c *client, name string) {
	var streams []string
	for _, have := range c.streams {
		if name != "" && have != name {
			streams = append(streams, have)
		}
	}
	c.streams = streams
	for _, s := range v.market.symbols {
		for i, all := range s.subscribers {
			// A new slice: deliver may be walking the old one.
			var kept []subscription
			for _, sub := range all {
				if sub.client != c || name != "" && sub.stream != name {
					kept = append(kept, sub)
				}
			}
			s.subscribers[i] = kept
		}
	}
}

// finish ends all faults, sends what they hold back, and closes the market's
// books with a last message of each kind.
func (v *venue) finish() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.faults.rates, v.faults.armed = [faultKindEnd]float64{}, nil
	for _, s := range v.market.symbols {
		s.quietUntil, s.staleUntil = 0, 0
	}
	for _, c := range append([]*client(nil), v.clients...) {
		v.release(c)
		for _, d := range c.delayed {
			v.send(c, d.frame)
		}
		for _, h := range c.held {
			v.send(c, h.frame)
		}
		c.delayed, c.held = nil, nil
	}
	v.market.finish(v.now, v.deliver)
}

// wake tells waiters that a client answered or went.
func (v *venue) wake() {
	close(v.changed)
	v.changed = make(chan struct{})
}
