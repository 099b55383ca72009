package bench

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/feeds"
	"tickproc/ringbuf"
)

// client is the product's own feed on a frameServer: real connections and
// decoders, whose packets come to ring.
type client struct {
	ring    *ringbuf.Ring
	waker   *ringbuf.Waker
	numbers *feeds.LineStats
	stop    func() // returns when all of it has ended
}

// newClient starts a feed of the frames' venue.
func newClient(server *frameServer, f *Frames, policy ringbuf.Policy) (*client, error) {
	var routes feeds.Routes
	for _, s := range f.subscriptions() {
		routes.Set(s.Instrument.ID, 0)
	}
	x := &client{waker: ringbuf.NewWaker(policy)}
	abort := make(chan struct{})
	feed, err := feeds.New(feeds.Options{
		Adapter: f.Session.Adapter, Subscriptions: f.subscriptions(),
		WSURL: "ws://" + server.address(), RESTURL: "http://" + server.address(),
		Dial: func(context.Context, string, string) (net.Conn, error) { return server.dial() },
		NewOutput: func(feeds.LineInfo) *feeds.Output {
			ring := ringbuf.New(ringUnits)
			if x.ring == nil { // the socket's: it is planned first
				x.ring = ring
				ring.SetWaker(x.waker)
			}
			return feeds.NewOutput([]*ringbuf.Ring{ring}, &routes, feeds.OutputOptions{Abort: abort})
		},
		// A server that is gone has no more to say.
		StopWait: time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	for _, line := range feed.Stats() {
		if len(line.Streams) > 0 && x.numbers == nil {
			x.numbers = line
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { feed.Run(ctx); close(done) }()
	x.stop = func() {
		close(abort)
		cancel()
		<-done
	}
	return x, nil
}

// discard reads a websocket by the same library into memory that it uses again,
// and looks at nothing: what can be reached at all. It counts frames until the
// socket ends.
func discard(server *frameServer, frames *atomic.Uint64) error {
	dialer := websocket.Dialer{ReadBufferSize: 64 << 10, NetDialContext: func(context.Context, string, string) (net.Conn, error) { return server.dial() }}
	ws, _, err := dialer.Dial("ws://"+server.address()+"/ws", nil)
	if err != nil {
		return err
	}
	defer ws.Close()
	into := make([]byte, 64<<10)
	for {
		_, reader, err := ws.NextReader()
		for err == nil {
			_, err = reader.Read(into)
		}
		if !errors.Is(err, io.EOF) {
			return nil // the server closed it
		}
		frames.Add(1)
	}
}
