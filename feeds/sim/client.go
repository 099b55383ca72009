package sim

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Client is a connection without a socket, for who has a network of its own.
// Nothing happens to a frame on the way but what the venue does; whether the
// client read it, the truth does not know.
type Client struct{ conn *Conn }

// SentKind says what the venue sent to a Client.
type SentKind uint8

const (
	SentText  SentKind = iota // Text
	SentPing                  // Text is the payload, to be given back by Pong
	SentPong                  // Text is that of the client's ping
	SentClose                 // the venue parts with a close frame
	SentAbort                 // or without one
)

// Sent is one thing that the venue sent. Text is shared: read only.
type Sent struct {
	Kind SentKind
	Text []byte
}

// Connect opens a connection on a venue's path. take is called under the
// venue's lock, for all that is sent, in order. The HTTP status of a refusal
// comes back instead of a client.
func (e *Exchange) Connect(venue string, u *url.URL, take func(Sent)) (c *Client, status int, err error) {
	v, err := e.market(venue)
	if err != nil {
		return nil, 0, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if status := v.admit(v.now); status != 0 {
		return nil, status, nil
	}
	o, ok := v.dialect.Open(u.Path, u.Query())
	if !ok {
		return nil, http.StatusNotFound, nil
	}
	conn := &Conn{Mode: o.Mode, direct: take}
	v.join(conn)
	conn.begin(o.Streams)
	return &Client{conn}, 0, nil
}

// Get makes a REST request. The answer is to be held back for slow.
func (e *Exchange) Get(venue string, u *url.URL) (status int, h http.Header, body []byte, slow time.Duration, err error) {
	v, err := e.market(venue)
	if err != nil {
		return 0, nil, nil, 0, err
	}
	status, h, body, slow = v.answer(u.Path, u.Query())
	return status, h, body, slow, nil
}

// Say takes a text of the client, Ping and Pong control frames of it.
func (c *Client) Say(text []byte) {
	v := c.conn.market
	v.mu.Lock()
	defer v.mu.Unlock()
	v.serve(c.conn, text, v.now)
}

// Ping asks for a pong.
func (c *Client) Ping(payload []byte) {
	v := c.conn.market
	v.mu.Lock()
	defer v.mu.Unlock()
	if !c.conn.halfOpen && !v.cutOff(c.conn, v.now) {
		v.send(c.conn, frame{kind: framePong, text: payload})
	}
}

// Pong gives a ping's payload back.
func (c *Client) Pong(payload []byte) {
	v := c.conn.market
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pong(c.conn, payload)
}

// HalfOpen reports that a fault has made the connection dead on the venue's
// side, of which the client cannot know.
func (c *Client) HalfOpen() bool {
	v := c.conn.market
	v.mu.Lock()
	defer v.mu.Unlock()
	return c.conn.halfOpen || c.conn.ended
}

// Leave ends the connection from the client's side.
func (c *Client) Leave() {
	v := c.conn.market
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fail(c.conn)
}

// hand gives a frame to a client in this process.
func (v *Market) hand(c *Conn, m frame) {
	switch m.kind {
	case frameText:
		v.stats.Frames++
		v.stats.Bytes += uint64(len(m.text))
		m.eachTrade(func(t *Trade) { t.Doubtful++ })
		c.direct(Sent{SentText, m.text})
	case framePing:
		c.direct(Sent{SentPing, binary.BigEndian.AppendUint64(nil, m.ping)})
	case framePong:
		c.direct(Sent{SentPong, m.text})
	case frameClose:
		c.direct(Sent{Kind: SentClose})
	case frameAbort:
		c.direct(Sent{Kind: SentAbort})
	case frameHuge, frameBomb:
		panic(fmt.Sprintf("BUG: a frame of kind %d has no socket to go to", m.kind))
	}
}

// Calm ends all faults: those that wait strike nothing any more, and what lasts
// is over with the next step.
func (e *Exchange) Calm() {
	for _, v := range e.markets {
		v.mu.Lock()
		v.calm()
		v.mu.Unlock()
	}
}

// Finish ends all faults, sends what they hold back and a last trade, quote and
// depth message of each symbol.
func (e *Exchange) Finish() {
	for _, v := range e.markets {
		v.finish()
	}
}
