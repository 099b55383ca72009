package sim

import (
	"encoding/binary"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/internal/clock"
)

const (
	writeWithin  = 10 * time.Second // a write that takes longer ends the client
	lingerWithin = time.Second      // how long an ended client may take to leave
	batchMax     = 256              // frames in one write
)

// socket is a client's connection: a reader and a writer goroutine, which end
// together.
type socket struct {
	ws         *websocket.Conn
	connection *corked
	queue      chan frame
	gone       chan struct{} // closed by the reader's end
}

// corked gathers what the websocket library writes, so that a batch of frames
// is one system call. owner: before cork the handshake, then the writer.
type corked struct {
	net.Conn
	buffer []byte
	on     bool
}

func (c *corked) Write(p []byte) (int, error) {
	if !c.on {
		return c.Conn.Write(p)
	}
	c.buffer = append(c.buffer, p...)
	return len(p), nil
}

func (c *corked) flush() error {
	c.SetWriteDeadline(time.Now().Add(writeWithin))
	_, err := c.Conn.Write(c.buffer)
	if c.buffer = c.buffer[:0]; cap(c.buffer) > 1<<20 {
		c.buffer = nil
	}
	return err
}

type corkedListener struct{ net.Listener }

func (l corkedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &corked{Conn: c}, nil
}

// serveSocket takes a websocket and stays until it ends: the calling
// goroutine reads, one more writes.
func (v *Market) serveSocket(w http.ResponseWriter, r *http.Request, o Opening) {
	if limit := v.profile.StreamsMax; limit > 0 && len(o.Streams) > limit {
		http.Error(w, "too many streams", http.StatusBadRequest)
		return
	}
	upgrader := websocket.Upgrader{ReadBufferSize: 4 << 10, WriteBufferSize: 64 << 10, EnableCompression: v.options.Compression,
		CheckOrigin: func(*http.Request) bool { return true }}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	connection, ok := ws.NetConn().(*corked)
	if !ok {
		connection = &corked{Conn: ws.NetConn()}
	}
	defer connection.Close()
	c := &Conn{Mode: o.Mode, socket: &socket{ws: ws, connection: connection,
		queue: make(chan frame, v.options.ClientQueue), gone: make(chan struct{})}}
	ws.EnableWriteCompression(false)
	ws.SetReadLimit(int64(v.profile.RequestMax))
	connection.on = ok

	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return
	}
	v.serving.Add(1)
	defer v.serving.Done()
	v.join(c)
	c.begin(o.Streams)
	v.mu.Unlock()

	writer := make(chan struct{})
	go func() {
		defer close(writer)
		v.write(c)
	}()
	v.read(c)
	close(c.socket.gone)
	<-writer
}

// read serves what the client sends until it leaves.
func (v *Market) read(c *Conn) {
	ws := c.socket.ws
	ws.SetPingHandler(func(payload string) error {
		v.mu.Lock()
		defer v.mu.Unlock()
		if !c.halfOpen && !v.cutOff(c, clock.Nanos()) {
			v.send(c, frame{kind: framePong, text: []byte(payload)})
		}
		return nil
	})
	ws.SetPongHandler(func(payload string) error {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.pong(c, []byte(payload))
		return nil
	})
	ws.SetCloseHandler(func(int, string) error {
		v.mu.Lock()
		defer v.mu.Unlock()
		if !c.halfOpen {
			v.send(c, frame{kind: frameClose})
		}
		return nil
	})
	for {
		_, text, err := ws.ReadMessage()
		v.mu.Lock()
		if err != nil {
			// A client that we ended is expected to leave once it has read all; any other
			// went by itself.
			if !c.ended || c.oversized {
				v.fail(c)
			}
			v.mu.Unlock()
			return
		}
		v.serve(c, text, clock.Nanos())
		v.mu.Unlock()
	}
}

// serve takes a client's text at a time of its own.
func (v *Market) serve(c *Conn, text []byte, at int64) {
	if !c.halfOpen && !c.ended && !v.cutOff(c, at) {
		c.heardNanos = v.now
		v.dialect.Request(c, text)
	}
}

// cutOff counts a message, and tells the dialect of one too many.
func (v *Market) cutOff(c *Conn, at int64) bool {
	if !v.tooFast(c, at) {
		return false
	}
	v.stats.FastClients++
	v.dialect.TooFast(c)
	return true
}

// write sends what is queued, in batches, until the client ends.
func (v *Market) write(c *Conn) {
	s := c.socket
	batch := make([]frame, 0, batchMax)
	for {
		select {
		case m := <-s.queue:
			batch = append(batch[:0], m)
		case <-s.gone:
			return
		}
	fill:
		for len(batch) < batchMax {
			select {
			case m := <-s.queue:
				batch = append(batch, m)
			default:
				break fill
			}
		}
		last := false
		var err error
		for i, m := range batch {
			if err = s.put(m); err != nil {
				break
			}
			if m.kind == frameAbort || m.kind == frameClose {
				batch, last = batch[:i+1], true
				break
			}
		}
		if err == nil && s.connection.on {
			err = s.connection.flush()
		}
		v.mu.Lock()
		v.account(c, batch, err == nil)
		if err != nil {
			v.fail(c)
		}
		v.mu.Unlock()
		if err != nil || last {
			s.leave(err == nil)
			return
		}
	}
}

// put hands one frame to the websocket library.
func (s *socket) put(m frame) error {
	deadline := time.Now().Add(writeWithin)
	switch m.kind {
	case frameText:
		s.ws.SetWriteDeadline(deadline)
		return s.ws.WriteMessage(websocket.TextMessage, m.text)
	case framePing:
		return s.ws.WriteControl(websocket.PingMessage, binary.BigEndian.AppendUint64(nil, m.ping), deadline)
	case framePong:
		return s.ws.WriteControl(websocket.PongMessage, m.text, deadline)
	case frameClose:
		return s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, "disconnected"), deadline)
	case frameHuge, frameBomb:
		s.ws.SetWriteDeadline(deadline)
		s.ws.EnableWriteCompression(m.kind == frameBomb)
		defer s.ws.EnableWriteCompression(false)
		w, err := s.ws.NextWriter(websocket.TextMessage)
		if err != nil {
			return err
		}
		blank := make([]byte, 64<<10)
		for i := range blank {
			blank[i] = ' '
		}
		for left := m.bytes; left > 0; left -= len(blank) {
			if _, err := w.Write(blank[:min(left, len(blank))]); err != nil {
				return err
			}
		}
		return w.Close()
	}
	return nil
}

// leave ends the connection. If all was well the client may still read what
// lies in the socket: only our side is shut, and the reader waits for its end.
func (s *socket) leave(well bool) {
	half, ok := s.connection.Conn.(interface{ CloseWrite() error })
	if !well || !ok || half.CloseWrite() != nil {
		s.connection.Close()
		return
	}
	s.ws.SetReadDeadline(time.Now().Add(lingerWithin))
}
