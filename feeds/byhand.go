package feeds

import (
	"net/http"
	"slices"
	"time"

	"tickproc/tick"
)

// ByHand is a Feed that its holder drives: the same code decides what is said,
// decoded, asked for and given up, but nothing here runs by itself, and sockets
// and requests are the holder's. Time is Options.Now. There is no bridge: a
// planned end is a hole.
//
//	holder: dial ─► Link.Opened, Frame, Heard, Ended
//	        ◄─ Link.Next: send, ping, close, wait
//	        NextRequest ─► GET ─► Answered
//
// One goroutine uses it.
type ByHand struct {
	*Feed
	Links    []*Link
	inFlight int
}

// NewByHand is New, and introduces the instruments.
func NewByHand(o Options) (*ByHand, error) {
	f, err := New(o)
	if err != nil {
		return nil, err
	}
	h := &ByHand{Feed: f}
	f.rest.takeAsked()
	f.rest.stats.setState(LineUp, tick.ReasonNone)
	for _, c := range f.connections {
		c.bridge = func() *bridge { return nil }
		c.introduce()
		h.Links = append(h.Links, &Link{c: c})
	}
	return h, nil
}

// Call is a REST request in flight.
type Call struct {
	URL string
	job job
}

// NextRequest returns a request that is to be made now; nil, and when to ask
// again unless something happens before, in ns. What waited for the REST line
// is written.
func (h *ByHand) NextRequest() (*Call, int64) {
	w := h.rest
	w.takeAsked()
	if h.inFlight >= restParallel {
		return nil, never
	}
	j, at := w.due(w.now())
	if j.request.URL == "" {
		return nil, at
	}
	h.inFlight++
	url, _ := w.begin(j)
	return &Call{URL: url, job: j}, at
}

// Answered takes what came of a request: a status, or an error. The body is
// not used after the call.
func (h *ByHand) Answered(c *Call, status int, header http.Header, body []byte, err error) {
	h.inFlight--
	h.rest.take(answer{resync: c.job.resync, poll: c.job.poll, fetch: c.job.fetch, url: c.job.request.URL,
		status: status, header: header, body: body, at: h.rest.now(), err: err})
	h.rest.spare = nil
}

// Link is one planned socket of a ByHand.
type Link struct {
	c *connection
	d *dialogue // nil: no socket
}

// Act is what to do on a socket.
type Act uint8

const (
	ActWait   Act = iota // for Wait, or for a frame; 0 = for a frame alone
	ActSend              // Text
	ActPing              // a websocket ping
	ActClose             // say goodbye, read on until the venue closes, then Ended(Reason)
	ActHangUp            // at once, then Ended(Reason)
)

// Action is an Act with what belongs to it.
type Action struct {
	Do     Act
	Text   []byte
	Reason tick.Reason
	Wait   time.Duration
}

// Name is the connection's, URL where it is dialled.
func (l *Link) Name() string { return l.c.plan.Name }
func (l *Link) URL() string  { return l.c.url }

// Carries are the streams that it is for.
func (l *Link) Carries() []Subscription {
	return append(slices.Clone(l.c.plan.Streams), l.c.plan.Subscriptions...)
}

// Undialled notes that no socket could be opened; response is that of a refused
// handshake, or nil. It returns how long to wait before the next attempt.
func (l *Link) Undialled(response *http.Response, err error) time.Duration {
	return l.c.undialled(response, err)
}

// Opened notes that a socket is open.
func (l *Link) Opened() { l.d = l.c.opened() }

// Frame takes a whole text frame, whose memory stays the caller's. Packets wait
// for Flush.
func (l *Link) Frame(text []byte) {
	l.c.frame = append(l.c.frame[:0], text...)
	l.c.ordinal++
	l.c.take(l.c.options.Now())
}

// Flush makes packets visible to the shards.
func (l *Link) Flush() { l.c.out.Flush() }

// Heard notes a websocket ping or pong.
func (l *Link) Heard() { l.c.heard.Set(l.c.options.Now()) }

// Next says what to do now. After doing it, ask again.
func (l *Link) Next() Action {
	for {
		select {
		case n := <-l.c.notices:
			l.d.notice(n, l.c.options.Now())
			continue
		default:
		}
		switch s := l.c.next(l.d, l.c.options.Now()); s.do {
		case doSend:
			return Action{Do: ActSend, Text: s.text}
		case doPing:
			return Action{Do: ActPing}
		case doClose:
			return Action{Do: ActClose, Reason: s.reason}
		case doHangUp:
			return Action{Do: ActHangUp, Reason: s.reason}
		case doCover:
			l.d.uncoverable()
		default:
			return Action{Do: ActWait, Wait: s.wait}
		}
	}
}

// Ended notes that the socket is gone, and returns how long to wait before the
// next one.
func (l *Link) Ended(reason tick.Reason) time.Duration {
	l.d = nil
	l.c.closed(reason)
	return l.c.lost(reason, nil)
}

// Silent is how many of the line's streams the venue does not deliver now.
func (l *Link) Silent() (n int) {
	for i := range l.c.session.streams {
		if !l.c.session.streams[i].up {
			n++
		}
	}
	return n
}

// State is what the line does.
func (l *Link) State() LineState {
	state, _ := l.c.stats.State()
	return state
}
