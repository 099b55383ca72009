//go:build linux

package rawsocket

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
	"time"
)

// ways are all ways to read a socket. Hours of spinning never end in a test:
// whatever ends a Read ends it while it spins; a nanosecond of it is over at
// once.
var ways = map[string]Options{
	"waiting":            {},
	"stamped":            {Stamps: true},
	"spinning":           {Spin: time.Hour},
	"spinning, stamped":  {Spin: time.Hour, Stamps: true},
	"spinning for a bit": {Spin: time.Nanosecond},
}

func eachWay(t *testing.T, f func(t *testing.T, o Options)) {
	for name, o := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, o)
		})
	}
}

// pair is two ends of a connection over loopback, the first read by hand.
func pair(t testing.TB, o Options) (*Conn, *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialled, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(dialled, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); peer.Close() })
	return c, peer.(*net.TCPConn)
}

// What is read is what was written, whole and in order, in whatever pieces it
// comes and is taken; then the end.
func TestReadsWhatWasWritten(t *testing.T) {
	eachWay(t, func(t *testing.T, o Options) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 1))
		want := make([]byte, 1<<20)
		for i := range want {
			want[i] = byte(r.Uint32())
		}
		c, peer := pair(t, o)
		writer := rand.New(rand.NewPCG(seed, 2))
		go func() {
			for rest := want; len(rest) > 0; {
				n := min(1+writer.IntN(40_000), len(rest))
				if _, err := peer.Write(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
			peer.CloseWrite()
		}()
		var have []byte
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf[:1+r.IntN(len(buf))])
			have = append(have, buf[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%d bytes, not the %d that were written", len(have), len(want))
		}
		if n, err := c.Read(nil); n != 0 || err != nil {
			t.Errorf("a read of nothing: %d %v", n, err)
		}
	})
}

// TLS knows no difference, both ways.
func TestReadsUnderTLS(t *testing.T) {
	eachWay(t, func(t *testing.T, o Options) {
		server := httptest.NewUnstartedServer(nil) // for its certificate
		server.StartTLS()
		defer server.Close()
		c, peer := pair(t, o)
		go func() {
			s := tls.Server(peer, &tls.Config{Certificates: server.TLS.Certificates})
			_, _ = io.Copy(s, s)
			s.Close()
		}()
		client := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		sent := bytes.Repeat([]byte("tick "), 50_000)
		go func() {
			_, _ = client.Write(sent)
			client.CloseWrite()
		}()
		if have, err := io.ReadAll(client); err != nil || !bytes.Equal(have, sent) {
			t.Errorf("%d bytes of %d: %v", len(have), len(sent), err)
		}
	})
}

// A deadline ends a Read, whether it was set before or while it waits, and data
// is read again once it is gone.
func TestDeadlineEndsARead(t *testing.T) {
	eachWay(t, func(t *testing.T, o Options) {
		c, peer := pair(t, o)
		buf := make([]byte, 10)
		expired := func(what string) {
			t.Helper()
			n, err := c.Read(buf)
			var timeout net.Error
			if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%s: %d %v", what, n, err)
			}
		}
		deadline := func(d time.Duration) {
			if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
				t.Error(err)
			}
		}
		deadline(time.Millisecond)
		expired("set before")
		expired("still there")
		deadline(time.Hour)
		go deadline(-time.Second)
		expired("set while it waits")
		deadline(time.Hour)
		go func() { _ = c.SetDeadline(time.Now().Add(-time.Second)) }()
		expired("set for both directions")
		if err := c.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Write([]byte("now")); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(buf); string(buf[:n]) != "now" || err != nil {
			t.Errorf("afterwards: %q %v", buf[:n], err)
		}
	})
}

// A Read that waits or spins on a peer that is silent, or gone without a word,
// ends when another goroutine closes the connection; and Close returns.
func TestCloseEndsARead(t *testing.T) {
	eachWay(t, func(t *testing.T, o Options) {
		c, _ := pair(t, o)
		ended := make(chan error)
		reads := make(chan struct{})
		go func() {
			close(reads)
			_, err := c.Read(make([]byte, 10))
			ended <- err
		}()
		<-reads
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the read ended with %v", err)
		}
		if _, err := c.Read(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a read after it: %v", err)
		}
	})
}

// A connection that is cut is an error, after what had come before.
func TestCutSocket(t *testing.T) {
	eachWay(t, func(t *testing.T, o Options) {
		c, peer := pair(t, o)
		if err := peer.SetLinger(0); err != nil { // Close resets
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 10))
			ended <- err
		}()
		peer.Close()
		if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v", err)
		}
	})
}

// The kernel's stamp lies between the sending and the reading, ascends, and is
// of the newest byte that was read.
func TestStampIsWhenTheBytesArrived(t *testing.T) {
	t.Parallel()
	c, peer := pair(t, Options{Stamps: true})
	buf := make([]byte, 1<<16)
	// The kernel begins to stamp a moment after it was asked to.
	for c.Stamp() == 0 {
		if _, err := peer.Write([]byte("tick")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf[:4]); err != nil {
			t.Fatal(err)
		}
	}
	last := int64(0)
	for i := range 20 {
		before := time.Now().UnixNano()
		for range 1 + i%3 {
			if _, err := peer.Write([]byte("tick")); err != nil {
				t.Fatal(err)
			}
		}
		for n := 0; n < 4*(1+i%3); {
			m, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			n += m
			if at := c.Stamp(); at < before || at > time.Now().UnixNano() || at < last {
				t.Fatalf("stamp %d, sent from %d on, read before %d, the last one %d", at, before, time.Now().UnixNano(), last)
			}
			last = c.Stamp()
		}
	}
}

// What is no socket is refused, and stays as it is.
func TestWhatIsNoSocketIsRefused(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, err := New(a, Options{Spin: time.Second}); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}

func TestReadZeroAllocs(t *testing.T) {
	for name, o := range ways {
		c, peer := pair(t, o)
		buf, out := make([]byte, 100), []byte("tick")
		if n := testing.AllocsPerRun(100, func() {
			if _, err := peer.Write(out); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(buf); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
