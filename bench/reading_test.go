package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/feeds"
	"tickproc/ringbuf"
	"tickproc/tick"
)

// BenchmarkReading is a frame's way from a socket's bytes to its line's ring, by
// one goroutine and without a socket: the connection's buffer is filled from
// memory. Beside it a reader that discards the frames, by the library alone.
//
// Instructions are counted in the reader alone by
//
//	CGO_ENABLED=0 go test -c -o bench.test ./bench && cd bench && GODEBUG=asyncpreemptoff=1 valgrind --tool=callgrind \
//	  '--toggle-collect=tickproc/feeds.(*connection).read' ../bench.test -test.run='^$' -test.bench='Reading/trades/ours' -test.benchtime=20000x
func BenchmarkReading(b *testing.B) {
	for _, channel := range []tick.Channels{tick.ChannelTrades, tick.ChannelDepth} {
		r := &Run{sessions: map[Recipe]*Session{}}
		b.Run(channel.String()+"/ours", func(b *testing.B) {
			f, err := r.Frames(spot, channel)
			if err != nil {
				b.Fatal(err)
			}
			conn := newMemoryConn(f, b.N)
			ring := ringbuf.New(ringUnits)
			conn.before = func() {
				for got := ring.Poll(); len(got) > 0; got = ring.Poll() {
					ring.Release(len(got))
				}
			}
			conn.ended = func() { b.StopTimer() }
			numbers, stop, err := feedOn(conn, f, ring)
			if err != nil {
				b.Fatal(err)
			}
			<-conn.done
			stop()
			if n := int(numbers.Frames.Load()); n != b.N {
				b.Fatalf("%d frames of %d", n, b.N)
			}
		})
		b.Run(channel.String()+"/discard", func(b *testing.B) {
			f, err := r.Frames(spot, channel)
			if err != nil {
				b.Fatal(err)
			}
			conn := newMemoryConn(f, b.N)
			conn.ended = func() { b.StopTimer() }
			dialer := websocket.Dialer{ReadBufferSize: 64 << 10, NetDialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
			ws, _, err := dialer.Dial("ws://memory/ws", nil)
			if err != nil {
				b.Fatal(err)
			}
			if n := discardAll(ws); n != b.N {
				b.Fatalf("%d frames of %d", n, b.N)
			}
		})
	}
}

// discardAll has a name of its own for the counting of instructions.
//
//go:noinline
func discardAll(ws *websocket.Conn) (frames int) {
	into := make([]byte, 64<<10)
	for {
		_, reader, err := ws.NextReader()
		for err == nil {
			_, err = reader.Read(into)
		}
		if !errors.Is(err, io.EOF) {
			return frames
		}
		frames++
	}
}

// feedOn starts a feed whose socket is conn and whose packets come to ring.
func feedOn(conn net.Conn, f *Frames, ring *ringbuf.Ring) (numbers *feeds.LineStats, stop func(), err error) {
	var routes feeds.Routes
	for _, s := range f.subscriptions() {
		routes.Set(s.Instrument.ID, 0)
	}
	var dialled, first atomic.Bool
	abort := make(chan struct{})
	feed, err := feeds.New(feeds.Options{
		Adapter: f.Session.Adapter, Subscriptions: f.subscriptions(), WSURL: "ws://memory", RESTURL: "http://memory",
		Dial: func(context.Context, string, string) (net.Conn, error) {
			if dialled.CompareAndSwap(false, true) {
				return conn, nil
			}
			return nil, errors.New("one socket is enough")
		},
		NewOutput: func(feeds.LineInfo) *feeds.Output {
			to := ringbuf.New(ringUnits)
			if first.CompareAndSwap(false, true) { // the socket's: it is planned first
				to = ring
			}
			return feeds.NewOutput([]*ringbuf.Ring{to}, &routes, feeds.OutputOptions{Abort: abort, Latency: feeds.NewLineLatency()})
		},
		StopWait: time.Millisecond,
	})
	if err != nil {
		return nil, nil, err
	}
	for _, line := range feed.Stats() {
		if len(line.Streams) > 0 && numbers == nil {
			numbers = line
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { feed.Run(ctx); close(done) }()
	return numbers, func() {
		close(abort)
		cancel()
		<-done
	}, nil
}

// memoryConn is a socket whose peer answers the handshake and has then sent so
// many frames that each read fills the buffer.
type memoryConn struct {
	frames [][]byte // gone round
	next   int
	left   int // to be sent
	rest   []byte
	before func() // each read
	ended  func()

	request chan []byte
	shaken  bool
	done    chan struct{}
	said    atomic.Bool
}

func newMemoryConn(f *Frames, frames int) *memoryConn {
	nothing := func() {}
	c := &memoryConn{left: frames, request: make(chan []byte, 1), done: make(chan struct{}), before: nothing, ended: nothing}
	for i := range f.Records {
		c.frames = append(c.frames, appendFrame(nil, f.Records[i].Payload))
	}
	return c
}

// Write takes the handshake's request, and forgets what is said later.
func (c *memoryConn) Write(p []byte) (int, error) {
	if c.said.CompareAndSwap(false, true) {
		c.request <- bytes.Clone(p)
	}
	return len(p), nil
}

func (c *memoryConn) Read(p []byte) (int, error) {
	if !c.shaken {
		c.shaken = true
		var answer bytes.Buffer
		_, err := shakeHands(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(<-c.request), &answer})
		return copy(p, answer.Bytes()), err
	}
	c.before()
	n := 0
	for n < len(p) && (len(c.rest) > 0 || c.left > 0) {
		if len(c.rest) == 0 {
			c.rest, c.left = c.frames[c.next], c.left-1
			if c.next++; c.next == len(c.frames) {
				c.next = 0
			}
		}
		m := copy(p[n:], c.rest)
		n, c.rest = n+m, c.rest[m:]
	}
	if n == 0 {
		c.ended()
		close(c.done)
		return 0, io.EOF
	}
	return n, nil
}

func (c *memoryConn) Close() error                     { return nil }
func (c *memoryConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }
