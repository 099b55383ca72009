package feeds

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/internal/rawsocket"
)

// DialFunc opens a network connection, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

const (
	handshakeTimeout = 10 * time.Second
	writeTimeout     = 10 * time.Second
	// readBuffer takes a burst of frames in one system call.
	readBuffer = 64 << 10
	// owedRetry is how soon a gap packet that found no room is tried again
	// while the socket is quiet.
	owedRetry = 5 * time.Millisecond
)

// flushingConn publishes what the line has written just before a read that
// may block: as late as the batch allows, and never later.
type flushingConn struct {
	net.Conn
	out *Output
	// live is set after the handshake: before it other goroutines may set
	// deadlines, which Read would clear.
	live bool
}

// Read is called by the line's goroutine only.
func (c *flushingConn) Read(p []byte) (int, error) {
	if !c.live {
		return c.Conn.Read(p)
	}
	for {
		c.out.Flush()
		if !c.out.Owes() {
			return c.Conn.Read(p)
		}
		if err := c.Conn.SetReadDeadline(time.Now().Add(owedRetry)); err != nil {
			return 0, err
		}
		n, err := c.Conn.Read(p)
		// An error here means that the socket is closed: the next Read says so.
		_ = c.Conn.SetReadDeadline(time.Time{})
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
}

// dialSocket opens a websocket whose reads flush out. response is that of a
// refused handshake, if there was one; raw is the connection below, where it is
// read by hand as read says.
func dialSocket(ctx context.Context, o *Options, url string, read rawsocket.Options, out *Output) (ws *websocket.Conn, raw *rawsocket.Conn, response *http.Response, err error) {
	var socket *flushingConn
	dialer := websocket.Dialer{
		Proxy:             http.ProxyFromEnvironment,
		HandshakeTimeout:  handshakeTimeout,
		ReadBufferSize:    readBuffer,
		EnableCompression: o.Compression,
		TLSClientConfig:   o.TLS,
		NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := o.Dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			if read != (rawsocket.Options{}) {
				switch raw, err = rawsocket.New(c, read); {
				case err == nil:
					c = raw
				case !errors.Is(err, rawsocket.ErrUnsupported): // then it is read as any other
					c.Close()
					return nil, err
				}
			}
			socket = &flushingConn{Conn: c, out: out}
			return socket, nil
		},
	}
	ws, response, err = dialer.DialContext(ctx, url, http.Header{"User-Agent": {userAgent}})
	if err != nil {
		return nil, nil, response, err
	}
	socket.live = true
	return ws, raw, nil, nil
}
