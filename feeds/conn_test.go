package feeds

import (
	"compress/flate"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/ringbuf"
	"tickproc/tick"
)

// quick makes retries fast, for tests over real sockets.
func quick(a *toy, symbols ...string) Options {
	return Options{Adapter: a, Subscriptions: subscriptions(symbols...), BackoffMin: time.Millisecond, BackoffMax: 4 * time.Millisecond}
}

func TestConnectionDeliversFromIntroductionToStop(t *testing.T) {
	t.Parallel()
	o := quick(&toy{}, "A", "B")
	s := &server{socket: func(_ int, ws *websocket.Conn) {
		listen(ws, `{"sub":"B"}`)
		say(ws, "ack 0", "trade A 1", "ack 1", "depth B 5 6", "quote B 6")
		listen(ws, "")
	}}
	s.start(t, &o)
	r := newRig(t, o)
	r.until("10.5 quote 1 6")
	stats := r.feed.Stats()[0]
	if state, _ := stats.State(); state != LineUp {
		t.Errorf("state %v", state)
	}
	r.stop()
	same(t, r.seen,
		"10.0 catalog 0 trades+quotes+depth", "10.0 catalog 1 trades+quotes+depth",
		"10.1 up 0 trades", "10.1 up 0 quotes", "10.1 up 0 depth", "10.2 trade 0 1",
		"10.3 up 1 trades", "10.3 up 1 quotes", "10.3 up 1 depth", "10.4 depth 1 5 6", "10.5 quote 1 6",
		"10.5 down 0 trades stopped", "10.5 down 0 quotes stopped", "10.5 down 0 depth stopped",
		"10.5 down 1 trades stopped", "10.5 down 1 quotes stopped", "10.5 down 1 depth stopped")
	if !slices.IsSortedFunc(r.stamps, func(a, b tick.Header) int { return int(a.ReceiveNanos - b.ReceiveNanos) }) {
		t.Error("receive times do not ascend")
	}
	for i, ring := range r.rings {
		if !ring.Done() {
			t.Errorf("ring %d was not closed", i)
		}
	}
	if state, _ := stats.State(); state != LineStopped || stats.Frames.Load() != 5 || stats.Connects.Load() != 1 || stats.LastFrameNanos.Load() == 0 {
		t.Errorf("state %v, %d frames, %d connects", state, stats.Frames.Load(), stats.Connects.Load())
	}
	if s.paths[0] != "/prefix/stream?token=hush" {
		t.Errorf("asked for %s", s.paths[0])
	}
}

func TestDisconnectIsToldAndReconnected(t *testing.T) {
	t.Parallel()
	o := quick(&toy{inURL: true}, "A")
	s := &server{socket: func(n int, ws *websocket.Conn) {
		say(ws, fmt.Sprintf("trade A %d", n))
		if n == 2 {
			listen(ws, "")
		}
	}}
	s.start(t, &o)
	r := newRig(t, o)
	r.until("10.0 up 0 trades", "10.1 trade 0 0", "10.1 down 0 trades disconnect", "10.1 down 0 depth disconnect",
		"10.1 up 0 trades", "10.2 trade 0 1", "10.2 down 0 trades disconnect", "10.2 up 0 trades", "10.3 trade 0 2")
	r.stop()
	if n := r.count("10.0 catalog"); n != 1 {
		t.Errorf("introduced %d times", n)
	}
	if lost := r.feed.Stats()[0].Lost.Load(); lost != 2 {
		t.Errorf("lost %d times", lost)
	}
}

func TestStopReadsWhatTheVenueHasSent(t *testing.T) {
	t.Parallel()
	o := quick(&toy{inURL: true}, "A")
	s := &server{socket: func(_ int, ws *websocket.Conn) {
		// The answer to the goodbye comes behind frames that were already sent.
		ws.SetCloseHandler(func(int, string) error {
			say(ws, "trade A 1", "trade A 2")
			return ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second))
		})
		listen(ws, "")
	}}
	s.start(t, &o)
	r := newRig(t, o)
	r.until("10.0 up 0 depth")
	r.stop()
	r.until("10.1 trade 0 1", "10.2 trade 0 2", "10.2 down 0 trades stopped")
}

func TestRefusedSubscription(t *testing.T) {
	t.Parallel()
	o := quick(&toy{}, "A", "B")
	var out logs
	o.Logger = slog.New(slog.NewTextHandler(&out, nil))
	s := &server{socket: func(_ int, ws *websocket.Conn) {
		listen(ws, `{"sub":"B"}`)
		say(ws, "refuse 0", "ack 1", "trade B 1")
		listen(ws, "")
	}}
	s.start(t, &o)
	r := newRig(t, o)
	r.until("10.1 down 0 trades refused", "10.1 down 0 quotes refused", "10.1 down 0 depth refused", "10.2 up 1 depth", "10.3 trade 1 1")
	r.stop()
	if r.feed.Stats()[0].Refused.Load() != 1 || !strings.Contains(out.String(), "refused a subscription") {
		t.Errorf("not counted or logged: %s", out.String())
	}
	if r.count("10.3 down 0") != 0 {
		t.Error("what was never up went down twice")
	}
}

func TestVenueAnnouncesItsEnd(t *testing.T) {
	t.Parallel()
	o := quick(&toy{inURL: true}, "A")
	// The second connection is told nothing: what the first one still hears after
	// it came up, it can never stand in for.
	o.CoverWait = 50 * time.Millisecond
	s := &server{socket: func(n int, ws *websocket.Conn) {
		if n == 0 {
			say(ws, "trade A 1", "leave", "trade A 2")
		}
		listen(ws, "")
	}}
	s.start(t, &o)
	r := newRig(t, o)
	r.until("10.1 trade 0 1", "10.3 trade 0 2", "10.3 down 0 trades reconnect", "10.3 up 0 trades")
}

func TestGarbageIsCountedByKindAndLoggedOnce(t *testing.T) {
	t.Parallel()
	o := quick(&toy{inURL: true}, "A")
	var out logs
	o.Logger = slog.New(slog.NewTextHandler(&out, nil))
	s := &server{socket: func(_ int, ws *websocket.Conn) {
		for range 50 {
			say(ws, "{garbage", "news", "trade NOBODY 1", "range")
		}
		ws.WriteMessage(websocket.BinaryMessage, []byte{0, 1, 2})
		say(ws, strings.Repeat("long ", 1000), "trade A 1")
		listen(ws, "")
	}}
	s.start(t, &o)
	r := newRig(t, o)
	r.until("10.203 trade 0 1")
	r.stop()
	for fault, want := range map[Fault]uint64{FaultMalformed: 52, FaultUnknownMessage: 50, FaultUnknownSymbol: 50, FaultRange: 50, FaultOversized: 0} {
		if got := r.feed.Stats()[0].Faults[fault].Load(); got != want {
			t.Errorf("%v counted %d times, want %d", fault, got, want)
		}
	}
	if n := strings.Count(out.String(), "cannot use a frame"); n != 4 || len(out.String()) > 4000 {
		t.Errorf("%d log lines, %d bytes", n, len(out.String()))
	}
}

func TestOversizedFramesEndTheSocket(t *testing.T) {
	t.Parallel()
	const limit = 100 << 10
	huge := func(ws *websocket.Conn) {
		ws.WriteMessage(websocket.TextMessage, make([]byte, limit+1))
	}
	for name, send := range map[string]func(*websocket.Conn){
		"huge frame": huge,
		"deflate bomb": func(ws *websocket.Conn) {
			// 8 MiB of zeros in some 8 KiB: below any limit of compressed bytes.
			ws.SetCompressionLevel(flate.BestCompression)
			w, err := ws.NextWriter(websocket.TextMessage)
			if err != nil {
				return
			}
			zeros := make([]byte, 1<<20)
			for range 8 {
				w.Write(zeros)
			}
			w.Close()
		},
		"fragments without end": func(ws *websocket.Conn) {
			ws.EnableWriteCompression(false)
			w, err := ws.NextWriter(websocket.TextMessage)
			for err == nil {
				_, err = w.Write(make([]byte, 4096))
			}
		},
		"length beyond all": func(ws *websocket.Conn) {
			ws.NetConn().Write([]byte{0x81, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := quick(&toy{inURL: true, profile: Profile{FrameLimit: limit}}, "A")
			o.Compression = true
			s := &server{upgrader: websocket.Upgrader{EnableCompression: true}, socket: func(n int, ws *websocket.Conn) {
				if n == 0 {
					say(ws, "trade A 1")
					send(ws)
				} else {
					// A frame of exactly the limit is fine.
					say(ws, "trade A 2", "trade A 3"+strings.Repeat(" ", limit-9))
				}
				listen(ws, "")
			}}
			s.start(t, &o)
			r := newRig(t, o)
			r.until("10.1 trade 0 1", "10.1 down 0 depth disconnect", "10.2 trade 0 2", "10.3 trade 0 3")
			r.stop()
			if got := r.feed.Stats()[0].Faults[FaultOversized].Load(); got != 1 {
				t.Errorf("oversized counted %d times", got)
			}
			if got := cap(r.feed.connections[0].joined); got > 2*limit+readBuffer {
				t.Errorf("%d bytes of buffer", got)
			}
		})
	}
}

func TestBrokenSocketsAreDisconnects(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(net.Conn){
		"end in a frame":    func(c net.Conn) { c.Write([]byte{0x81, 100, 'h', 'a', 'l', 'f'}) },
		"end in a header":   func(c net.Conn) { c.Write([]byte{0x81, 126, 1}) },
		"unknown opcode":    func(c net.Conn) { c.Write([]byte{0x8b, 0}) },
		"masked by server":  func(c net.Conn) { c.Write([]byte{0x81, 0x81, 1, 2, 3, 4, 5}) },
		"deflate unasked":   func(c net.Conn) { c.Write([]byte{0xc1, 1, 0}) },
		"close code of 2 b": func(c net.Conn) { c.Write(binary.BigEndian.AppendUint16([]byte{0x88, 2}, 9)) },
		"not websocket":     func(c net.Conn) { io.WriteString(c, "HTTP/1.1 500 no\r\n\r\n") },
		"reset":             func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := quick(&toy{inURL: true}, "A")
			s := &server{socket: func(n int, ws *websocket.Conn) {
				if n == 0 {
					send(ws.NetConn())
					return
				}
				say(ws, "trade A 1")
				listen(ws, "")
			}}
			s.start(t, &o)
			newRig(t, o).until("10.0 up 0 trades", "10.0 down 0 trades disconnect", "10.0 up 0 trades", "10.1 trade 0 1")
		})
	}
}

func TestRefusedHandshakesAreRetried(t *testing.T) {
	t.Parallel()
	o := quick(&toy{inURL: true}, "A")
	s := &server{}
	s.raw = func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 0:
			http.Error(w, "busy", http.StatusServiceUnavailable)
		case 1:
			w.WriteHeader(http.StatusOK)
		default:
			ws, err := s.upgrader.Upgrade(w, r, nil)
			if err == nil {
				defer ws.Close()
				say(ws, "trade A 1")
				listen(ws, "")
			}
		}
	}
	s.start(t, &o)
	r := newRig(t, o)
	r.until("10.1 trade 0 1")
	if got := r.feed.Stats()[0].DialFailures.Load(); got != 2 {
		t.Errorf("%d failures", got)
	}
}

func TestUnreachableVenueNeverEndsTheFeed(t *testing.T) {
	t.Parallel()
	o := quick(&toy{inURL: true}, "A")
	tries := make(chan struct{})
	o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case tries <- struct{}{}:
		case <-ctx.Done():
		}
		return nil, fmt.Errorf("no route")
	}
	r := newRig(t, o)
	for range 10 {
		<-tries
	}
	r.stop()
}

// withClock runs a feed against an in-memory venue under synctest's clock.
func withClock(t *testing.T, o Options, s *server, test func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		s.startInMemory(t, &o)
		r := newRig(t, o)
		test(r)
		r.stop()
		time.Sleep(time.Hour) // the venue's goroutines notice
	})
}

// after moves synctest's clock and takes what has come.
func (r *rig) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	r.poll()
}

func TestHalfOpenSocketIsGivenUp(t *testing.T) {
	s := &server{socket: func(n int, ws *websocket.Conn) {
		say(ws, "trade A 1")
		io.Copy(io.Discard, ws.NetConn()) // takes all, answers nothing, not even pings
	}}
	withClock(t, quick(&toy{inURL: true, profile: Profile{PingEvery: 20 * time.Second}}, "A"), s, func(r *rig) {
		r.after(40*time.Second - 1)
		if r.count("10.1 down") != 0 {
			t.Error("given up too early")
		}
		r.after(1)
		if r.count("10.1 down 0 trades silence") != 1 {
			t.Errorf("seen %q", r.seen)
		}
	})
}

func TestQuietSocketLivesByPongs(t *testing.T) {
	s := &server{socket: func(n int, ws *websocket.Conn) {
		say(ws, "trade A 1")
		listen(ws, "") // answers pings
	}}
	withClock(t, quick(&toy{inURL: true, profile: Profile{PingEvery: 20 * time.Second}}, "A"), s, func(r *rig) {
		r.after(time.Hour)
		if r.count("10.1 down") != 0 {
			t.Errorf("seen %q", r.seen)
		}
	})
}

func TestPingsOfTheVenueAreAnsweredAndCountAsLife(t *testing.T) {
	pongs := 0
	s := &server{socket: func(n int, ws *websocket.Conn) {
		ws.SetPongHandler(func(data string) error {
			if data == "17" {
				pongs++
			}
			return nil
		})
		ws.SetPingHandler(func(string) error { return nil }) // mute
		go func() {
			for ws.WriteControl(websocket.PingMessage, []byte("17"), time.Now().Add(time.Second)) == nil {
				time.Sleep(15 * time.Second)
			}
		}()
		listen(ws, "")
	}}
	withClock(t, quick(&toy{inURL: true, profile: Profile{PingEvery: 10 * time.Second}}, "A"), s, func(r *rig) {
		r.after(150*time.Second + 1)
		if r.count("10.0 down") != 0 || pongs != 11 {
			t.Errorf("%d pongs, seen %q", pongs, r.seen)
		}
	})
}

func TestServerThatNeverAcks(t *testing.T) {
	s := &server{socket: func(n int, ws *websocket.Conn) {
		if n == 1 {
			listen(ws, `{"sub":"A"}`)
			say(ws, "ack 0")
		}
		listen(ws, "")
	}}
	withClock(t, quick(&toy{}, "A"), s, func(r *rig) {
		r.after(10*time.Second - 1)
		if got := r.feed.Stats()[0].Lost.Load(); got != 0 {
			t.Fatal("too early")
		}
		r.after(time.Second)
		if r.count("10.1 up 0 trades") != 1 {
			t.Errorf("not reconnected: %q", r.seen)
		}
		r.after(time.Hour)
		if got := r.feed.Stats()[0].Lost.Load(); got != 1 {
			t.Errorf("lost %d", got)
		}
	})
}

func TestEndOfLifeReconnectsAheadOfTheVenue(t *testing.T) {
	s := &server{socket: func(n int, ws *websocket.Conn) {
		go func() {
			for n := 0; ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "trade A %d", n)) == nil; n++ {
				time.Sleep(time.Second)
			}
		}()
		listen(ws, "")
	}}
	withClock(t, quick(&toy{inURL: true, profile: Profile{Life: time.Hour}}, "A"), s, func(r *rig) {
		for range 60 {
			r.after(time.Minute)
		}
		down := slices.IndexFunc(r.seen, func(s string) bool { return strings.HasSuffix(s, "down 0 depth reconnect") })
		if down < 0 {
			t.Fatal("no reconnect")
		}
		// Nothing was lost at the seam but the moment of dialling: a healthy
		// connection that ends as planned is followed at once.
		next := down + 1
		if gap := r.stamps[next].ReceiveNanos - r.stamps[down].ReceiveNanos; !strings.Contains(r.seen[next], "up 0 trades") || gap != 0 {
			t.Errorf("%s after %v", r.seen[next], time.Duration(gap))
		}
	})
}

func TestReconnectsBackOffUntilAConnectionHolds(t *testing.T) {
	s := &server{socket: func(n int, ws *websocket.Conn) {
		say(ws, "trade A 1")
		if n == 8 { // this one holds
			for range 60 {
				time.Sleep(time.Second)
				say(ws, "trade A 2")
			}
		}
	}}
	o := quick(&toy{inURL: true}, "A")
	o.BackoffMin, o.BackoffMax = 250*time.Millisecond, 30*time.Second
	withClock(t, o, s, func(r *rig) {
		r.after(10 * time.Minute)
		var pauses []time.Duration
		for i := range r.seen[1:] {
			if strings.HasSuffix(r.seen[i], "down 0 depth disconnect") && strings.HasSuffix(r.seen[i+1], "up 0 trades") {
				pauses = append(pauses, time.Duration(r.stamps[i+1].ReceiveNanos-r.stamps[i].ReceiveNanos))
			}
		}
		span := o.BackoffMin
		for i, p := range pauses[:10] {
			if i == 8 {
				span = o.BackoffMin // after the connection that held
			}
			if p < span/2 || p > span {
				t.Errorf("pause %d: %v, want %v..%v", i, p, span/2, span)
			}
			span = min(2*span, o.BackoffMax)
		}
	})
}

func TestConnectsToAVenueAreSpaced(t *testing.T) {
	s := &server{socket: func(n int, ws *websocket.Conn) { listen(ws, "") }}
	withClock(t, quick(&toy{inURL: true, perSocket: 1, profile: Profile{ConnectInterval: time.Second}}, "A", "B", "C"), s, func(r *rig) {
		r.after(time.Minute)
		var opened []int64
		for i, s := range r.seen {
			if strings.Contains(s, " up ") && strings.HasSuffix(s, " trades") {
				opened = append(opened, r.stamps[i].ReceiveNanos)
			}
		}
		slices.Sort(opened)
		if len(opened) != 3 || opened[2]-opened[0] != 2*second {
			t.Errorf("opened at %v", opened)
		}
		if r.count("10.0 up 0") != 3 || r.count("11.0 up 1") != 3 || r.count("12.0 up 2") != 3 {
			t.Errorf("seen %q", r.seen)
		}
	})
}

// A gap that found no room is delivered although the socket stays quiet.
func TestOwedGapIsPaidOnAQuietSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, venue := net.Pipe()
		out, ring := oneRing(2, OutputOptions{OverloadWait: time.Nanosecond})
		out.Write(packet(tick.KindTrade, 1, 1, 0))
		out.Write(packet(tick.KindTrade, 1, 2, 0))
		out.Write(packet(tick.KindDepth, 1, 3, 0))
		socket := &flushingConn{Conn: client, out: out, live: true}
		read := make(chan string)
		go func() {
			b := make([]byte, 10)
			n, err := socket.Read(b)
			read <- fmt.Sprint(string(b[:n]), err)
		}()
		time.Sleep(time.Second)
		same(t, contents(ring), "0.1 trade 1 1", "0.2 trade 1 2")
		time.Sleep(time.Second)
		same(t, contents(ring), "0.3 gap 1 depth overload 1")
		venue.Write([]byte("hello"))
		if got := <-read; got != "hello<nil>" {
			t.Errorf("read %s", got)
		}
	})
}

func TestTakeZeroAllocs(t *testing.T) {
	ring, routes := ringbuf.New(64), &Routes{}
	o := Options{Adapter: &toy{inURL: true}, Subscriptions: subscriptions("A"), NextLine: lineNumbers(0), NewOutput: func(LineInfo) *Output {
		routes.Set(0, 0)
		return NewOutput([]*ringbuf.Ring{ring}, routes, OutputOptions{})
	}}
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	c := f.connections[0]
	c.decoder = o.Adapter.NewDecoder(c.plan, c.table)
	c.frame = []byte("depth A 1 2")
	zeroAllocs(t, func() {
		c.take(1)
		c.out.Flush()
		for p := ring.Poll(); p != nil; p = ring.Poll() {
			ring.Release(len(p))
		}
	})
}
