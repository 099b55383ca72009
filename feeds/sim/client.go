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
	kind   frameKind
	text   []byte // shared: read only
	bytes  int    // frameHuge, frameBomb
	ping   uint64 // framePing
	symbol *symbol
	trade  int64 // id of the trade that it carries whole, 0 for none
}

// held is a frame that waits for the next of its symbol and channel.
type held struct {
	symbol  *symbol
	channel tick.Channels
	frame   frame
}

// delayed is a frame that waits for a time.
type delayed struct {
	due   int64
	frame frame
}

// written is a trade that went to a client after its ping number ping.
type written struct {
	symbol *symbol
	trade  int64
	ping   uint64
}

// client is one connection, or a tap. Its fields are under the venue's lock,
// except where they say otherwise.
type client struct {
	number  int
	mode    socketMode
	streams []string // as asked for, in order
	sink    func(frame []byte)
	socket  *socket // nil for a tap

	ended    bool  // takes nothing more
	lost     bool  // ended by the client, or by force: what it read is unknown
	halfOpen bool  // nothing goes out, nothing that comes in is served
	endAt    int64 // when the venue ends it, 0 = not planned
	endBy    frameKind

	held      []held
	delayed   []delayed
	slowUntil int64
	backlog   []frame

	pings, pongs   uint64
	pingedAt       int64
	unansweredFrom int64  // time of the first ping that has no pong; 0 = none
	writtenPing    uint64 // the last ping that was written
	unconfirmed    []written
	// oversized: a frame was written, after ping oversizedPing, for which a client
	// may leave without reading what follows.
	oversized     bool
	oversizedPing uint64
	messagesFrom  int64 // start of the second in which messages are counted
	messages      int
}

// carries says whether a stream of the symbol and channel goes to the client;
// "" and 0 stand for any.
func (v *venue) carries(c *client, symbolName string, channel tick.Channels) bool {
	if symbolName == "" && channel == 0 {
		return true
	}
	for _, name := range c.streams {
		s, ch, ok := v.dialect.stream(c.mode, name)
		if ok && (symbolName == "" || s == symbolName) && (channel == 0 || channel.Has(ch)) {
			return true
		}
	}
	return false
}

func (c *client) holds(e *event) bool {
	for _, h := range c.held {
		if h.symbol == e.symbol && h.channel == e.channel {
			return true
		}
	}
	return false
}

// send queues a frame, or holds it back on a slow connection. A client whose
// queue is full is cut off, as the venue does.
func (v *venue) send(c *client, m frame) {
	switch {
	case c.ended || c.halfOpen:
		return
	case c.slowUntil != 0:
		c.backlog = append(c.backlog, m)
		return
	}
	if c.sink != nil {
		v.tap(c, m)
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
func (v *venue) tap(c *client, m frame) {
	switch m.kind {
	case frameText:
		c.sink(m.text)
		v.stats.Frames++
		v.stats.Bytes += uint64(len(m.text))
		if m.trade != 0 {
			if t := m.symbol.truth.trade(m.trade); t != nil {
				t.Delivered++
			}
		}
	case frameHuge, frameBomb:
		c.sink(make([]byte, m.bytes))
	}
}

// end stops a client by the venue's will: it still gets all that was sent.
func (v *venue) end(c *client, how frameKind) {
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
func (v *venue) fail(c *client) {
	if c.lost {
		return
	}
	c.lost = true
	for _, w := range c.unconfirmed {
		if t := w.symbol.truth.trade(w.trade); t != nil {
			t.Delivered--
			t.Doubtful++
		}
	}
	c.unconfirmed = nil
	v.forget(c)
}

// forget takes a client off all lists.
func (v *venue) forget(c *client) {
	if c.ended {
		return
	}
	c.ended = true
	v.unsubscribe(c, "")
	for i, other := range v.clients {
		if other == c {
			v.clients = append(v.clients[:i], v.clients[i+1:]...)
			break
		}
	}
	v.wake()
}

// ping sends the next ping; its payload counts them.
func (v *venue) ping(c *client) {
	if c.pings == c.pongs {
		c.unansweredFrom = v.now
	}
	c.pings++
	c.pingedAt = v.now
	v.send(c, frame{kind: framePing, ping: c.pings})
}

// pong notes that the client has read everything before a ping.
func (v *venue) pong(c *client, payload []byte) {
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
func (v *venue) account(c *client, batch []frame, ok bool) {
	for _, m := range batch {
		switch {
		case m.kind == framePing:
			c.writtenPing = m.ping
		case m.kind == frameHuge || m.kind == frameBomb:
			c.oversized, c.oversizedPing = true, c.writtenPing
		case m.kind == frameText && ok:
			v.stats.Frames++
			v.stats.Bytes += uint64(len(m.text))
		}
		if m.trade == 0 {
			continue
		}
		t := m.symbol.truth.trade(m.trade)
		switch {
		case t == nil:
		case !ok || c.lost:
			t.Doubtful++
		default:
			t.Delivered++
			// A pong may overtake this booking.
			if c.writtenPing >= c.pongs {
				c.unconfirmed = append(c.unconfirmed, written{m.symbol, m.trade, c.writtenPing})
			}
		}
	}
}

// tooFast counts a message of the client at a time in ns, and says whether it
// is one too many.
func (v *venue) tooFast(c *client, at int64) bool {
	if at-c.messagesFrom >= int64(time.Second) {
		c.messagesFrom, c.messages = at, 0
	}
	c.messages++
	return c.messages > v.dialect.messagesPerSecond()
}

// join puts a client on the venue's list.
func (v *venue) join(c *client) {
	v.stats.Connections++
	c.number = int(v.stats.Connections)
	v.clients = append(v.clients, c)
}
