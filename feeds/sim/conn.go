package sim

import (
	"encoding/binary"
	"time"

	"tickproc/tick"
)

type frameKind uint8

const (
	frameText frameKind = iota
	framePing
	framePong
	frameHuge
	frameBomb
	frameAbort // the socket ends without a close frame, after all that came before
	frameClose // the same with a close frame
)

// frame is one thing to write to a client.
type frame struct {
	kind       frameKind
	text       []byte // shared: read only
	bytes      int    // frameHuge, frameBomb
	ping       uint64 // framePing
	instrument *Instrument
	// Ids of the trades that it carries whole, 0 for none.
	firstTrade, lastTrade int64
}

// eachTrade calls do for every trade that a frame carries and the truth knows.
func (m *frame) eachTrade(do func(*Trade)) {
	if m.instrument == nil {
		return
	}
	for id := m.firstTrade; id <= m.lastTrade; id++ {
		if t := m.instrument.truth.trade(id); t != nil {
			do(t)
		}
	}
}

// held is a frame that waits for the next of its symbol and channel.
type held struct {
	symbol  string
	channel tick.Channels
	frame   frame
}

// delayed is a frame that waits for a time.
type delayed struct {
	due   int64
	frame frame
}

// written is a frame with trades that went to a client after its ping number ping.
type written struct {
	frame frame
	ping  uint64
}

// asked is a stream that a client asked for; nil where there is none by the name.
type asked struct {
	name   string
	stream *Stream
}

// Conn is one connection, or a tap. Its fields are under the venue's lock,
// except where they say otherwise.
type Conn struct {
	// Mode is how the connection speaks, as Dialect.Open said.
	Mode any
	// State is the dialect's.
	State any
	// BeatEvery calls Dialect.Beat each so often, if BeatIdle only after so long
	// without another frame; 0 = never.
	BeatEvery time.Duration
	BeatIdle  bool

	market  *Market
	number  int
	streams []asked // in order
	frames  uint64  // numbered
	sink    func(frame []byte)
	direct  func(Sent) // of a client in this process
	socket  *socket    // nil for a tap and for such a client

	ended    bool  // takes nothing more
	lost     bool  // ended by the client, or by force: what it read is unknown
	halfOpen bool  // nothing goes out, nothing that comes in is served
	noticed  bool  // its end was announced
	endAt    int64 // when the venue ends it, 0 = not planned
	endBy    frameKind
	dropNext int // frames of any kind that are not sent

	held      []held
	delayed   []delayed
	slowUntil int64
	backlog   []frame

	// Times of steps, ns: of birth, of the last text from and to the client, of
	// the last beat.
	bornNanos, heardNanos, sentNanos, beatNanos int64

	pings, pongs   uint64
	pingedAt       int64
	unansweredFrom int64  // time of the first ping that has no pong; 0 = none
	writtenPing    uint64 // the last ping that was written
	unconfirmed    []written
	// oversized: a frame was sent, after ping oversizedPing, for which a client may
	// leave without reading what follows.
	oversized     bool
	oversizedPing uint64
	messages      []usage // one a budget
}

// Market returns the connection's exchange.
func (c *Conn) Market() *Market { return c.market }

// Send queues an answer, a heartbeat or the like; the text is not used again
// by the caller.
func (c *Conn) Send(text []byte) { c.market.send(c, frame{kind: frameText, text: text}) }

// Close ends the connection with a close frame after all that was sent.
func (c *Conn) Close() { c.market.end(c, frameClose) }

// NextNumber counts the frames of the connection from 0. Dialects whose frames
// carry the count call it in Wrap and for each frame that they Send.
func (c *Conn) NextNumber() uint64 {
	c.frames++
	return c.frames - 1
}

// Number of the connection at its venue, from 1.
func (c *Conn) Number() int { return c.number }

// Streams lists what the client subscribed, in order.
func (c *Conn) Streams() []string {
	out := []string{}
	for _, a := range c.streams {
		out = append(out, a.name)
	}
	return out
}

// Subscribe adds a stream to the connection. The stream is nil unless the
// outcome is Subscribed or Already. Nothing is sent: the dialect answers, and
// hands out the snapshot where its venue does.
func (c *Conn) Subscribe(name string) (*Stream, Outcome) {
	v := c.market
	for _, have := range c.streams {
		if have.name == name {
			return have.stream, Already
		}
	}
	if limit := v.profile.StreamsMax; limit > 0 && len(c.streams) >= limit {
		return nil, TooMany
	}
	spec, known := v.dialect.Stream(c.Mode, name)
	in := v.byName[spec.Symbol]
	outcome := Subscribed
	switch {
	case !known:
		outcome = UnknownStream
	case spec.Symbol != "" && in == nil:
		outcome = UnknownSymbol
	}
	silent := false
	if f, struck := v.faults.pickSubscription(spec.Symbol, spec.Channel); struck && outcome == Subscribed {
		v.note(f, spec.Symbol, spec.Channel, c)
		switch f.Kind {
		case FaultRefuse:
			outcome = Refused
		case FaultUnknown:
			outcome = UnknownSymbol
		case FaultRateLimit:
			outcome = RateLimited
		case FaultSilent:
			silent = true
		}
	}
	if outcome != Subscribed {
		if v.profile.TakesUnknown && (outcome == UnknownStream || outcome == UnknownSymbol) {
			c.streams = append(c.streams, asked{name, nil})
		}
		return nil, outcome
	}
	s := v.open(name, spec, in)
	c.streams = append(c.streams, asked{name, s})
	v.attach(s, subscriber{c, silent})
	for i := range channelBits {
		// Not the time of the last step, which has trades that came before.
		if in != nil && spec.Channel&(1<<i) != 0 && in.truth.subscribedNanos[i] == 0 {
			in.truth.subscribedNanos[i] = v.cut(v.now) + int64(v.profile.Resolution)
		}
	}
	return s, Subscribed
}

// Unsubscribe takes a stream from the connection, and says whether it had it.
func (c *Conn) Unsubscribe(name string) bool {
	for i, have := range c.streams {
		if have.name == name {
			c.streams = append(c.streams[:i:i], c.streams[i+1:]...)
			if have.stream != nil {
				c.market.detach(have.stream, c)
			}
			return true
		}
	}
	return false
}

// SendSnapshot sends a stream's whole state, if it has one, through what
// befalls messages.
func (c *Conn) SendSnapshot(s *Stream) {
	v := c.market
	for _, sub := range s.subscribers {
		if sub.conn == c && sub.silent {
			return
		}
	}
	body, m := v.snapshot(s)
	if len(body) == 0 {
		return
	}
	m.kind, m.text = frameText, v.dialect.Wrap(nil, c, s, body)
	v.post(c, s.Symbol, s.Channel, m)
}

// begin subscribes what a URL named, or a tap asks for.
func (c *Conn) begin(streams []string) {
	for _, name := range streams {
		if s, outcome := c.Subscribe(name); outcome == Subscribed {
			c.SendSnapshot(s)
		}
	}
}

// carries says whether a stream of the symbol and channel goes to the client;
// "" and 0 stand for any.
func (c *Conn) carries(symbol string, channel tick.Channels) bool {
	if symbol == "" && channel == 0 {
		return true
	}
	for _, a := range c.streams {
		s := a.stream
		if s != nil && (symbol == "" || s.Symbol == symbol) && (channel == 0 || s.Channel != 0 && channel.Has(s.Channel)) {
			return true
		}
	}
	return false
}

func (c *Conn) holds(symbol string, channel tick.Channels) bool {
	for _, h := range c.held {
		if h.symbol == symbol && h.channel == channel {
			return true
		}
	}
	return false
}

// send queues a frame, or holds it back on a slow connection. A client whose
// queue is full is cut off, as the venue does.
func (v *Market) send(c *Conn, m frame) {
	switch {
	case c.ended || c.halfOpen:
		return
	case c.dropNext > 0 && m.kind == frameText:
		c.dropNext--
		return
	case c.slowUntil != 0:
		c.backlog = append(c.backlog, m)
		return
	}
	switch m.kind {
	case frameText:
		c.sentNanos = v.now
	case frameHuge, frameBomb:
		// Before it is written: the client may leave sooner than the writer tells.
		c.oversized, c.oversizedPing = true, c.pings
	}
	if c.sink != nil {
		v.tap(c, m)
		return
	}
	if c.direct != nil {
		v.hand(c, m)
		return
	}
	select {
	case c.socket.queue <- m:
	default:
		v.stats.SlowClients++
		v.fail(c)
		c.socket.connection.Close()
	}
}

// tap hands a frame to a client without a socket.
func (v *Market) tap(c *Conn, m frame) {
	switch m.kind {
	case frameText:
		c.sink(m.text)
		v.stats.Frames++
		v.stats.Bytes += uint64(len(m.text))
		m.eachTrade(func(t *Trade) { t.Delivered++ })
	case frameHuge, frameBomb:
		c.sink(make([]byte, m.bytes))
	}
}

// end stops a client by the venue's will: it still gets all that was sent.
func (v *Market) end(c *Conn, how frameKind) {
	if c.ended {
		return
	}
	if c.slowUntil != 0 {
		c.backlog = nil // the connection dies with what it held back
		c.slowUntil = 0
	}
	c.halfOpen = false
	v.send(c, frame{kind: how})
	v.forget(c)
	if c.sink != nil {
		c.sink(nil)
	}
}

// fail stops a client that left or was cut off: what it had not confirmed is
// doubtful.
func (v *Market) fail(c *Conn) {
	if c.lost {
		return
	}
	c.lost = true
	for _, w := range c.unconfirmed {
		w.frame.eachTrade(func(t *Trade) {
			t.Delivered--
			t.Doubtful++
		})
	}
	c.unconfirmed = nil
	v.forget(c)
}

// forget takes a client off all lists.
func (v *Market) forget(c *Conn) {
	if c.ended {
		return
	}
	c.ended = true
	for _, a := range c.streams {
		if a.stream != nil {
			v.detach(a.stream, c)
		}
	}
	c.streams = nil
	for i, other := range v.conns {
		if other == c {
			v.conns = append(v.conns[:i], v.conns[i+1:]...)
			break
		}
	}
	v.wake()
}

// ping sends the next ping; its payload counts them.
func (v *Market) ping(c *Conn) {
	if c.pings == c.pongs {
		c.unansweredFrom = v.now
	}
	c.pings++
	c.pingedAt = v.now
	v.send(c, frame{kind: framePing, ping: c.pings})
}

// pong notes that the client has read everything before a ping.
func (v *Market) pong(c *Conn, payload []byte) {
	if len(payload) != 8 {
		return // unsolicited
	}
	n := binary.BigEndian.Uint64(payload)
	if n <= c.pongs || n > c.pings {
		return
	}
	c.pongs, c.unansweredFrom = n, 0
	if n > c.oversizedPing {
		c.oversized = false
	}
	if n < c.pings {
		c.unansweredFrom = v.now
	}
	kept := c.unconfirmed[:0]
	for _, w := range c.unconfirmed {
		if w.ping >= n {
			kept = append(kept, w)
		}
	}
	c.unconfirmed = kept
	v.wake()
}

// account books frames that the socket took whole, or, not ok, perhaps.
func (v *Market) account(c *Conn, batch []frame, ok bool) {
	for _, m := range batch {
		switch {
		case m.kind == framePing:
			c.writtenPing = m.ping
		case m.kind == frameText && ok:
			v.stats.Frames++
			v.stats.Bytes += uint64(len(m.text))
		}
		if m.instrument == nil {
			continue
		}
		if !ok || c.lost {
			m.eachTrade(func(t *Trade) { t.Doubtful++ })
			continue
		}
		m.eachTrade(func(t *Trade) { t.Delivered++ })
		// A pong may overtake this booking.
		if c.writtenPing >= c.pongs {
			m.text = nil
			c.unconfirmed = append(c.unconfirmed, written{m, c.writtenPing})
		}
	}
}

// tooFast counts a message of the client at a time in ns, and says whether it
// is one too many.
func (v *Market) tooFast(c *Conn, at int64) bool {
	over := false
	for i, b := range v.profile.Messages {
		if !c.messages[i].take(b, 1, at) {
			over = true
		}
	}
	return over
}

// join puts a client on the venue's list.
func (v *Market) join(c *Conn) {
	v.stats.Connections++
	c.market, c.number = v, int(v.stats.Connections)
	c.messages = make([]usage, len(v.profile.Messages))
	c.sentNanos, c.beatNanos = v.now, v.now
	v.conns = append(v.conns, c)
	v.dialect.Greet(c)
}
