package feeds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"tickproc/internal/hardware"
	"tickproc/internal/invariants"
	"tickproc/internal/rawsocket"
	"tickproc/internal/stat"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// connection keeps one planned socket open for as long as the feed runs. One
// goroutine reads, stamps, decodes and writes to the line's rings; while a
// socket is open a second one talks on it.
// owner of all fields, unless said otherwise: the reading goroutine.
type connection struct {
	number      uint16
	plan        *Connection
	url         string // where it is dialled
	profile     Profile
	adapter     Adapter
	options     *Options
	connects    *rate.Limiter // shared by the feed's connections
	catalog     []tick.Unit   // introduces the instruments that this line carries first
	out         *Output
	table       *Table
	session     *session
	decoder     Decoder
	stats       *LineStats
	trouble     trouble
	recorder    *LineRecorder // nil = off
	backoff     backoff
	ordinal     uint64 // of the last frame
	frame       []byte // the last one, until the next is read
	joined      []byte // those that the library reads
	units       []tick.Unit
	changes     []tick.Unit
	firstDataAt int64      // market data of the present socket; 0 = none yet
	heard       stat.Gauge // when anything last came; the talker reads it
	dataAt      stat.Gauge // when market data last came; the talker reads it
	pulse       pulse
	dataPause   stat.Gauge // its limit; the talker reads it
	notices     chan Notice
	requests    *requestLog // of the present socket
	wishes      wishes      // books to be had anew; any goroutine adds
	bridge      func() *bridge
	hold        *hold         // the feed's
	covered     chan struct{} // the bridge delivers all of it; capacity 1
	handover    *handover     // of a bridge: what it stands in for
	reading     rawsocket.Options
	socket      socket   // the present one; its reader's part
	core        int      // the reading thread's, while it spins
	stamper     *stamper // nil: receive times are when a frame is complete here
}

// carry gives the line what it carries, before it runs or between two sockets.
func (c *connection) carry(plan *Connection, url string) {
	c.plan, c.url = plan, url
	var streams []StreamStats
	c.session, streams = newSession(plan)
	if c.bridge != nil {
		// A bridge carries now these and now those, while others read its numbers.
		c.stats.Streams = streams
	}
}

// carries reports whether the connection has a channel of an instrument. Any
// goroutine may ask.
func (c *connection) carries(instrument uint32, channel tick.Channels) bool {
	return c.session.find(instrument, channel.Index()) != nil
}

// healthyAfter is the least time for which a socket must have delivered data
// before its loss counts as a first one.
const healthyAfter = 2 * time.Second

// introduce writes the definitions of the line's instruments, before anything
// about them.
func (c *connection) introduce() {
	now := c.options.Now()
	for i := 0; i < len(c.catalog); i += tick.CatalogUnits {
		h := c.catalog[i].Header()
		h.Line, h.ReceiveNanos = c.number, now
	}
	c.out.Write(c.catalog)
	c.out.Flush()
	c.catalog = nil
}

// run dials, reads and dials again until ctx ends.
func (c *connection) run(ctx context.Context) {
	defer c.stats.setState(LineStopped, tick.ReasonStopped)
	defer c.out.Close()
	if c.reading.Spin > 0 {
		ringbuf.Occupy(1)
		defer ringbuf.Occupy(-1)
		runtime.LockOSThread() // for good: a thread that was pinned is of no use to others
		if err := hardware.Pin(c.core); err != nil {
			c.stats.Unpinned.Set(1)
			c.trouble.log.Warn("the socket's thread is not pinned: it competes for its core", "error", err)
		}
	}
	for ctx.Err() == nil {
		if why, _ := c.hold.state(); why != tick.ReasonNone {
			c.stats.setState(LineDown, why)
			c.hold.wait(ctx)
			c.stats.setState(LineConnecting, tick.ReasonNone)
		}
		once, done := c.hold.until(ctx)
		wait := c.runOnce(once)
		done()
		c.pause(ctx, wait)
	}
}

// runOnce dials and serves one socket to its end. It returns how long to wait
// before the next.
func (c *connection) runOnce(ctx context.Context) (wait time.Duration) {
	if c.connects.Wait(ctx) != nil {
		return 0
	}
	s, response, err := dialSocket(ctx, c.options, c.url, c.reading, c.out)
	if err != nil {
		if ctx.Err() != nil {
			return 0
		}
		return c.undialled(response, err)
	}
	reason, err := c.serve(ctx, s)
	if ctx.Err() != nil && reason == endedBy(ctx) {
		return 0
	}
	return c.lost(reason, err)
}

// undialled notes that no socket could be opened. It returns how long to wait
// before the next attempt. response is that of a refused handshake, if there
// was one.
func (c *connection) undialled(response *http.Response, err error) (wait time.Duration) {
	now := c.options.Now()
	c.stats.DialFailures.Add(1)
	wait = c.backoff.next()
	if response != nil {
		err = fmt.Errorf("%w: %s", err, response.Status)
		wait = max(wait, retryAfter(response.Header, time.Unix(0, now)))
		c.suspectAddress(response.StatusCode)
	}
	c.trouble.warn(troubleDial, now, "cannot connect", "retry_in", wait, "error", err)
	return wait
}

// lost notes that a socket ended against our will, and returns how long to wait
// before the next.
func (c *connection) lost(reason tick.Reason, err error) (wait time.Duration) {
	now, spanBefore := c.options.Now(), c.backoff.span
	c.stats.Lost.Add(1)
	quiet := reason == tick.ReasonSilence && now-c.dataAt.Load() >= c.pulse.limit()
	c.pulse.ended(quiet)
	c.dataPause.Set(c.pulse.limit())
	delivered := time.Duration(0)
	if c.firstDataAt != 0 {
		delivered = time.Duration(c.dataAt.Load() - c.firstDataAt)
	}
	healthy := delivered >= max(healthyAfter, spanBefore)
	if healthy {
		c.backoff.reset()
	}
	if !healthy || reason != tick.ReasonReconnect {
		wait = c.backoff.next()
	}
	c.trouble.warn(troubleLost, now, "connection ended", "reason", reason.String(), "retry_in", wait, "error", err)
	return wait
}

// suspectAddress tells the canary of an answer that only a retired address gives.
func (c *connection) suspectAddress(status int) {
	switch status {
	case http.StatusMovedPermanently, http.StatusPermanentRedirect, http.StatusNotFound, http.StatusGone:
		c.options.Canary.Report(CanaryAddress, maskURL(c.url)+": "+http.StatusText(status))
	}
}

func (c *connection) pause(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
		c.stats.setState(LineConnecting, tick.ReasonNone)
	}
}

// serve reads a socket to its end. It returns why it ended, and the error of
// the last read.
func (c *connection) serve(ctx context.Context, s socket) (tick.Reason, error) {
	c.socket = s
	ws := s.ws
	defer ws.Close()
	d := c.opened()
	ws.SetReadLimit(c.profile.FrameLimit)
	pong := ws.PingHandler() // the library's own handler answers
	ws.SetPingHandler(func(data string) error {
		c.heard.Set(c.options.Now())
		return pong(data)
	})
	ws.SetPongHandler(func(string) error {
		c.heard.Set(c.options.Now())
		return nil
	})

	// The talker ends when the reader has ended, or by closing the socket,
	// which ends the reader.
	ended, talked := make(chan struct{}), make(chan tick.Reason, 1)
	go func() {
		t := talker{ws: ws, dialogue: d, c: c}
		talked <- t.run(ctx, ended)
	}()
	err := c.read(ws)
	c.goodbye(err)
	close(ended)
	reason := <-talked
	if reason == tick.ReasonNone {
		reason = tick.ReasonDisconnect
	}
	c.closed(reason)
	return reason, err
}

// opened begins a socket, and returns what is to be said on it.
func (c *connection) opened() *dialogue {
	now := c.options.Now()
	c.firstDataAt = 0
	c.heard.Set(now)
	c.dataAt.Set(now)
	c.stats.Connects.Add(1)
	c.stats.setState(LineUp, tick.ReasonNone)
	c.trouble.log.Info("connected")
	if c.stamper != nil {
		var stamp func() int64
		if raw := c.socket.raw; raw != nil {
			stamp = raw.Stamp
		}
		c.stamper.opened(stamp, now)
	}
	if c.recorder != nil {
		c.recorder.open(now, c.plan.URL)
	}
	// A decoder may count frames of its socket; the table's scales belong to
	// the line, whose shards would otherwise read the numbers wrongly.
	c.decoder = c.adapter.NewDecoder(c.plan, c.table)
	c.notices = make(chan Notice, len(c.plan.Subscriptions)*tick.ChannelCount+noticeSpare)
	c.requests = &requestLog{}
	c.wishes.forget()
	select {
	case <-c.covered: // of the socket before
	default:
	}
	c.changes = c.session.opened(c.changes[:0], c.stamp(now))
	c.out.Write(c.changes)

	d := newDialogue(c.adapter, c.plan, &c.profile, c.requests, c.options.AckTimeout, c.options.Random, now)
	switch {
	case c.bridge == nil:
		d.life = 0 // a bridge ends when it is relieved
	case c.bridge() != nil:
		d.coverWait = int64(c.options.CoverWait)
	}
	return d
}

// closed notes that the socket is gone.
func (c *connection) closed(reason tick.Reason) {
	now := c.options.Now()
	heard := c.heardUntil(now)
	if c.recorder != nil {
		c.recorder.close(now, reason, heard)
	}
	c.stats.setState(LineDown, reason)
	c.changes = c.session.ended(c.changes[:0], reason, c.stamp(now), heard)
	c.out.Write(c.changes)
	c.out.Flush()
}

// heardUntil is the receive time up to which the socket is known to have
// brought what it carries: it may have been dead since. A socket whose data
// paused for too long may have lost its subscriptions, of which no pong tells.
func (c *connection) heardUntil(now int64) int64 {
	data := c.dataAt.Load()
	if limit := c.pulse.limit(); limit > 0 && now-data >= limit {
		return data
	}
	return min(max(data, c.heard.Load()), now)
}

// goodbye notes that the venue closed the socket in order, behind all that it
// had sent.
func (c *connection) goodbye(err error) {
	var end *websocket.CloseError
	if errors.As(err, &end) && end.Code != websocket.CloseAbnormalClosure {
		c.heard.Set(c.options.Now())
	}
}

func (c *connection) stamp(now int64) Stamp {
	return Stamp{Line: c.number, Ordinal: c.ordinal, ReceiveNanos: now}
}

// read takes frames until the first error; the library panics if it is asked
// again and again after one.
func (c *connection) read(ws *websocket.Conn) error {
	for {
		kind, err := c.readFrame(ws)
		if err != nil {
			if errors.Is(err, errOversized) {
				c.fault(err, c.options.Now())
			}
			return err
		}
		now := c.options.Now()
		if c.stamper != nil {
			now = c.received(now)
		}
		c.ordinal++
		if c.recorder != nil {
			c.recorder.frame(now, c.ordinal, kind == websocket.BinaryMessage, c.frame)
		}
		c.take(now)
	}
}

// received is the receive time of a frame that is complete now.
func (c *connection) received(now int64) int64 {
	at, kernel := c.stamper.receive(now)
	source := ReceivedUser
	if kernel {
		source = ReceivedKernel
	}
	if int64(source) != c.stats.Received.Load() {
		c.stats.Received.Set(int64(source))
	}
	return at
}

// readFrame reads one message into c.frame. An oversized one is an error of
// the socket: what it held is lost, and the rest of it may be endless.
//
// hot: per frame, 0 allocs; of those that only the library can read, 1 of 8 bytes
// in it.
func (c *connection) readFrame(ws *websocket.Conn) (kind int, err error) {
	if c.socket.frames != nil {
		var ok bool
		if kind, c.frame, ok = c.socket.frames.next(c.profile.FrameLimit); ok {
			return kind, nil
		}
	}
	kind, r, err := ws.NextReader()
	if err == websocket.ErrReadLimit {
		err = errOversized
	}
	if err != nil {
		return 0, err
	}
	limit := int(c.profile.FrameLimit)
	b := c.joined[:0]
	for err == nil {
		if len(b) == cap(b) {
			b = slices.Grow(b, min(max(cap(b), readBuffer), limit+1-len(b)))
		}
		var n int
		n, err = r.Read(b[len(b):min(cap(b), limit+1)])
		b = b[:len(b)+n]
		if len(b) > limit {
			err = errOversized
		}
	}
	c.joined, c.frame = b, b
	if err == io.EOF {
		err = nil
	}
	if err == websocket.ErrReadLimit {
		err = errOversized
	}
	return kind, err
}

// take decodes c.frame and passes its packets on.
//
// hot: per frame, 0 allocs.
func (c *connection) take(now int64) {
	c.stats.Frames.AddAlone(1)
	c.stats.Bytes.AddAlone(uint64(len(c.frame)))
	c.stats.LastFrameNanos.Set(now)
	c.heard.Set(now)
	at := c.stamp(now)
	units, notice, err := c.decoder.Decode(c.units[:0], c.frame, at)
	if err != nil {
		c.fault(err, now)
		return
	}
	c.units = units
	if invariants.Enabled {
		if err := tick.WellFormed(units); err != nil {
			panic("feeds: a decoder returned packets that are not well formed: " + err.Error())
		}
	}
	if notice.Kind != NoticeNone {
		c.notice(notice, at)
	}
	if len(units) == 0 {
		return
	}
	if c.firstDataAt == 0 {
		c.firstDataAt = now
	}
	c.pulse.beat(now - c.dataAt.Load())
	c.dataPause.Set(c.pulse.limit())
	c.dataAt.Set(now)
	c.changes = c.session.seen(c.changes[:0], units, at)
	if c.wishes.open() {
		c.tellSnapshots(units)
	}
	c.out.Write(c.changes)
	c.out.Write(units)
}

// tellSnapshots tells the talker of books that came whole.
func (c *connection) tellSnapshots(units []tick.Unit) {
	for ; len(units) > 0; units = units[tick.PacketUnits(&units[0]):] {
		if h := units[0].Header(); h.Kind == tick.KindSnapshot && h.Flags&tick.FlagLast != 0 && c.wishes.granted(h.Instrument) {
			c.tell(Notice{Kind: noticeSnapshot, Instrument: h.Instrument})
		}
	}
}

// noticeSpare is room for more answers than there are requests.
const noticeSpare = 16

func (c *connection) notice(n Notice, at Stamp) {
	c.changes = c.changes[:0]
	switch n.Kind {
	case NoticeAck:
		c.changes = c.session.acked(c.changes, c.askedBy(n), at)
	case NoticeRefused:
		c.stats.Refused.Add(1)
		c.trouble.warn(troubleRefused, at.ReceiveNanos, "the venue refused a subscription", "request", n.Request, "code", n.Code, "text", excerpt([]byte(n.Text)))
		c.changes = c.session.refused(c.changes, c.askedBy(n), at)
	case NoticeGap:
		c.stats.FrameGaps.Add(1)
		c.trouble.warn(troubleGap, at.ReceiveNanos, "the venue's count of this socket's frames jumps: what it carries is not trusted until it is had anew", "lost", n.Lost)
		c.changes = c.session.gap(c.changes, at, c.dataAt.Load())
	case NoticeMaintenance:
		c.trouble.warn(troubleMaintenance, at.ReceiveNanos, "the venue tells of its service", "text", excerpt([]byte(n.Text)))
	case NoticeReconnect:
	default:
		return
	}
	c.out.Write(c.changes)
	c.tell(n)
}

// askedBy returns the streams that an answer is about.
func (c *connection) askedBy(n Notice) []Subscription {
	if n.Channel == 0 {
		return c.requests.of(n.Request)
	}
	for i := range c.plan.Subscriptions {
		if s := &c.plan.Subscriptions[i]; s.Instrument.ID == n.Instrument {
			return []Subscription{{s.Instrument, n.Channel & s.Channels}}
		}
	}
	return nil
}

// tell passes a notice on to the talker.
func (c *connection) tell(n Notice) {
	select {
	case c.notices <- n:
	default:
		// The talker is closing the socket, or the venue sends answers that
		// nobody asked for: neither needs them.
	}
}

func (c *connection) fault(err error, now int64) {
	f := faultOf(err)
	c.stats.Faults[f].Add(1)
	c.trouble.warn(int(f), now, "cannot use a frame", "fault", f.String(), "ordinal", c.ordinal, "frame", excerpt(c.frame), "error", err)
}

// talker owns all writes to a socket, except pongs, which the library sends
// from the reading goroutine.
type talker struct {
	ws       *websocket.Conn
	dialogue *dialogue
	c        *connection // notices, heard, dataAt, recorder, options only
}

// run talks until the socket ends. It returns why, if it was the one to end
// it; ReasonNone if the peer or the network did.
func (t *talker) run(ctx context.Context, ended <-chan struct{}) tick.Reason {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := t.c.options.Now()
		s := t.c.next(t.dialogue, now)
		var event <-chan time.Time
		switch s.do {
		case doSend:
			if t.send(s.text) != nil {
				t.ws.Close()
				return tick.ReasonNone
			}
			continue
		case doPing:
			if t.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeTimeout)) != nil {
				t.ws.Close()
				return tick.ReasonNone
			}
			continue
		case doClose:
			t.part(ended)
			return s.reason
		case doHangUp:
			t.ws.Close()
			return s.reason
		case doCover:
			if !t.c.bridge().ask(t.c) {
				t.dialogue.uncoverable()
			}
			continue
		case doWait:
			if h := t.c.handover; h != nil {
				if h.step(t.c.session, now, t.c.trouble.log.Info) {
					t.part(ended)
					return tick.ReasonReconnect
				}
				if s.wait == 0 || s.wait > handoverEvery {
					s.wait = handoverEvery
				}
			}
			if s.wait > 0 {
				timer.Reset(s.wait)
				event = timer.C
			}
		}
		select {
		case <-ended:
			return tick.ReasonNone
		case <-ctx.Done():
			why := endedBy(ctx)
			if why == tick.ReasonStopped {
				t.part(ended)
			} else {
				t.ws.Close() // what has been sent could not be kept
			}
			return why
		case n := <-t.c.notices:
			t.dialogue.notice(n, t.c.options.Now())
		case <-t.c.wishes.arrived:
		case <-t.c.covered:
			t.dialogue.covered = true
		case <-event:
		}
	}
}

// next is the talker's next step.
func (c *connection) next(d *dialogue, now int64) step {
	d.dataPause = c.dataPause.Load()
	for _, instrument := range c.wishes.take() {
		d.wish(instrument, now)
	}
	return d.step(now, c.heard.Load(), c.dataAt.Load())
}

func (t *talker) send(text []byte) error {
	// Recorded first: otherwise the answer could come before its question.
	if t.c.recorder != nil {
		t.c.recorder.sent(text)
	}
	if err := t.ws.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return t.ws.WriteMessage(websocket.TextMessage, text)
}

// part says goodbye and gives the venue a moment to close, so that what it
// has already sent is read.
func (t *talker) part(ended <-chan struct{}) {
	defer t.ws.Close()
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if t.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(t.c.options.StopWait)) != nil {
		return
	}
	timer := time.NewTimer(t.c.options.StopWait)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
}

// lineLogger names the line in every log line.
func lineLogger(o *Options, number uint16, name string) *slog.Logger {
	return o.Logger.With("venue", o.Adapter.Venue(), "line", number, "connection", name)
}
