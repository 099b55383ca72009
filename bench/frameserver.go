package bench

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"
)

// frameServer takes connections on loopback and has each served: a plain one,
// or a websocket whose handshake it answers. What clients say is read and
// forgotten. It costs the machine as little as can be, because it shares it
// with what is measured.
type frameServer struct {
	listener net.Listener
	certs    *x509.CertPool // what its clients trust; nil = no TLS
	handlers sync.WaitGroup
	mu       sync.Mutex // guards the rest
	conns    []net.Conn
	closed   bool
}

// serveFrames starts a server. serve owns a connection until it returns; by then
// it must have noticed that writing fails.
func serveFrames(secure, websocket bool, serve func(net.Conn)) (*frameServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("no socket on loopback: %w", err)
	}
	x := &frameServer{listener: l}
	if secure {
		certificate, pool, err := selfSigned()
		if err != nil {
			l.Close()
			return nil, err
		}
		x.certs = pool
		x.listener = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}})
	}
	x.handlers.Go(func() {
		for {
			c, err := x.listener.Accept()
			if err != nil {
				return // closed
			}
			x.mu.Lock()
			if x.closed { // it came just before
				c.Close()
			}
			x.conns = append(x.conns, c)
			x.mu.Unlock()
			x.handlers.Go(func() {
				defer c.Close()
				if websocket {
					said, err := shakeHands(c)
					if err != nil {
						return
					}
					x.handlers.Go(func() { io.Copy(io.Discard, said) })
				}
				serve(c)
			})
		}
	})
	return x, nil
}

func (x *frameServer) address() string { return x.listener.Addr().String() }

// dial opens a connection of a client: what TLS there is, is inside it, so that
// clients speak of ws and http.
func (x *frameServer) dial() (net.Conn, error) {
	c, err := net.Dial("tcp", x.address())
	if err != nil || x.certs == nil {
		return c, err
	}
	secured := tls.Client(c, &tls.Config{RootCAs: x.certs, ServerName: serverName})
	if err := secured.Handshake(); err != nil {
		c.Close()
		return nil, err
	}
	return secured, nil
}

// close ends all connections and waits for who serves them.
func (x *frameServer) close() {
	x.listener.Close()
	x.mu.Lock()
	x.closed = true
	for _, c := range x.conns {
		c.Close()
	}
	x.mu.Unlock()
	x.handlers.Wait()
}

// shakeHands answers a websocket's handshake (RFC 6455, 4.2.2), and returns what
// the client says from here on.
func shakeHands(c io.ReadWriter) (said *bufio.Reader, err error) {
	said = bufio.NewReader(c)
	request, err := http.ReadRequest(said)
	if err != nil {
		return nil, err
	}
	sum := sha1.Sum([]byte(request.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	_, err = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	return said, err
}

// appendFrame appends a server's text frame (RFC 6455, 5.2): not masked, not
// compressed.
func appendFrame(dst, text []byte) []byte {
	dst = append(dst, 0x81)
	switch n := len(text); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, text...)
}

const serverName = "bench.invalid"

// selfSigned makes a certificate for this run.
func selfSigned() (c tls.Certificate, pool *x509.CertPool, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return c, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return c, nil, err
	}
	pool = x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool, nil
}
