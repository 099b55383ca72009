package feeds

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
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

// socket is an open websocket.
type socket struct {
	ws *websocket.Conn
	// frames has the messages that lie whole in a frame. Nil where a proxy of the
	// environment is between: only the library knows how to speak with it.
	frames *inPlace
	// raw is the connection below, where it is read by hand; else nil.
	raw *rawsocket.Conn
}

// dialSocket opens a websocket whose reads flush out, and which is read as read
// says. response is that of a refused handshake, if there was one.
func dialSocket(ctx context.Context, o *Options, address string, read rawsocket.Options, out *Output) (s socket, response *http.Response, err error) {
	var flushing *flushingConn
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := o.Dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if read != (rawsocket.Options{}) {
			switch raw, err := rawsocket.New(c, read); {
			case err == nil:
				s.raw, c = raw, raw
			case !errors.Is(err, rawsocket.ErrUnsupported): // then it is read as any other
				c.Close()
				return nil, err
			}
		}
		flushing = &flushingConn{Conn: c, out: out}
		return flushing, nil
	}
	dialer := websocket.Dialer{
		Proxy:             http.ProxyFromEnvironment,
		HandshakeTimeout:  handshakeTimeout,
		ReadBufferSize:    readBuffer,
		EnableCompression: o.Compression,
		TLSClientConfig:   o.TLS,
		NetDialContext:    dial,
	}
	if direct(address) {
		dialer.ReadBufferSize = 0 // the library's own: little comes to it
		dialer.NetDialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			s.frames = newInPlace(c, readBuffer)
			return s.frames, nil
		}
		dialer.NetDialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			secured := tls.Client(c, tlsConfig(o.TLS, address))
			if err := secured.HandshakeContext(ctx); err != nil {
				c.Close()
				return nil, err
			}
			s.frames = newInPlace(secured, readBuffer)
			return s.frames, nil
		}
	}
	s.ws, response, err = dialer.DialContext(ctx, address, http.Header{"User-Agent": {userAgent}})
	if err != nil {
		return socket{}, response, err
	}
	flushing.live = true
	if s.frames != nil {
		s.frames.live = true
	}
	return s, nil, nil
}

// direct reports whether no proxy of the environment is between.
func direct(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return true // the dialler says what is wrong
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	return err == nil && proxy == nil
}

// tlsConfig is c, which may be nil, for an address.
func tlsConfig(c *tls.Config, address string) *tls.Config {
	if c == nil {
		c = &tls.Config{}
	}
	if c.ServerName == "" {
		c = c.Clone()
		c.ServerName, _, _ = net.SplitHostPort(address)
	}
	return c
}
