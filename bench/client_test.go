package bench

import (
	"bytes"
	"net"
	"sync/atomic"
	"testing"

	"tickproc/ringbuf"
	"tickproc/tick"
)

// Every frame that the server sends comes out of the ring as the packets that
// its decoder makes of it, plain and over TLS; the reader that discards reads as
// many frames.
func TestSocketsDeliverAll(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		name := "plain"
		if secure {
			name = "tls"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &Run{sessions: map[Recipe]*Session{}}
			f, err := r.Frames("binance-spot", tick.ChannelTrades)
			if err != nil {
				t.Fatal(err)
			}
			const n = 2000
			f.Records = f.Records[:n]
			var sent []byte
			for i := range f.Records {
				sent = appendFrame(sent, f.Records[i].Payload)
			}
			stay := make(chan struct{})
			server, err := serveFrames(secure, true, func(c net.Conn) {
				c.Write(sent)
				<-stay
			})
			if err != nil {
				t.Fatal(err)
			}
			var want []tick.Unit
			for _, packets := range f.decoded() {
				want = append(want, packets...)
			}

			x, err := newClient(server, f, ringbuf.Park)
			if err != nil {
				t.Fatal(err)
			}
			var have []tick.Unit
			ready := func() bool { return x.ring.Len() > 0 }
			for len(have) < len(want) {
				got := x.ring.Poll()
				for p := got; len(p) > 0; p = p[tick.PacketUnits(&p[0]):] {
					if p[0].KindOf() == tick.KindTrade {
						have = append(have, p[0])
					}
				}
				x.ring.Release(len(got))
				if got == nil {
					x.waker.Wait(ready, 0)
				}
			}
			for i := range want {
				if a, b := have[i].Trade(), want[i].Trade(); a.ID != b.ID || a.Price != b.Price || a.Size != b.Size || a.ExchangeNanos != b.ExchangeNanos {
					t.Fatalf("trade %d: %+v, want %+v", i, a, b)
				}
			}
			if got := x.numbers.Frames.Load(); got != n {
				t.Errorf("the line counted %d frames of %d", got, n)
			}

			var discarded atomic.Uint64
			done := make(chan error, 1)
			go func() { done <- discard(server, &discarded) }()
			var pause ringbuf.Backoff
			for discarded.Load() < n {
				pause.Pause()
			}
			close(stay)
			server.close()
			x.stop()
			if err := <-done; err != nil || discarded.Load() != n {
				t.Errorf("%d frames discarded: %v", discarded.Load(), err)
			}
		})
	}
}

// The three forms of a length (RFC 6455, 5.2).
func TestAppendFrame(t *testing.T) {
	t.Parallel()
	f := func(length int, head ...byte) {
		t.Helper()
		have := appendFrame(nil, make([]byte, length))
		if !bytes.HasPrefix(have, head) || len(have) != len(head)+length {
			t.Errorf("%d bytes: % x, %d in all", length, have[:len(head)], len(have))
		}
	}
	f(0, 0x81, 0)
	f(125, 0x81, 125)
	f(126, 0x81, 126, 0, 126)
	f(65535, 0x81, 126, 0xff, 0xff)
	f(65536, 0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0)
}
