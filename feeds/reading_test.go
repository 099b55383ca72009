//go:build linux

package feeds

import (
	"crypto/tls"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/internal/hardware"
)

// readingWays are all ways to read a socket, the spinning ones on a core that
// exists. Hours of spinning never end in a test.
func readingWays() map[string]ReadOptions {
	core := hardware.ReadCores().Allowed[:1]
	return map[string]ReadOptions{
		"waiting":           {},
		"stamped":           {KernelStamps: true},
		"spinning":          {Cores: core, Spin: time.Hour},
		"spinning, stamped": {Cores: core, Spin: time.Hour, KernelStamps: true},
	}
}

// startTLS serves with a certificate of its own, which the options trust.
func (s *server) startTLS(t *testing.T, o *Options) {
	srv := httptest.NewTLSServer(s)
	t.Cleanup(srv.Close)
	address := strings.TrimPrefix(srv.URL, "https://")
	o.WSURL, o.RESTURL = "wss://"+address, "https://"+address
	o.TLS = &tls.Config{InsecureSkipVerify: true}
}

// However a socket is read, the same packets come of it: from a burst, after
// the socket was cut in the middle of a frame, and to a stop while it is quiet.
func TestEveryWayOfReadingDeliversTheSame(t *testing.T) {
	for name, read := range readingWays() {
		for _, encrypted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %t", name, encrypted), func(t *testing.T) {
				t.Parallel()
				o := quick(&toy{inURL: true}, "A")
				o.Read = read
				s := &server{socket: func(n int, ws *websocket.Conn) {
					if n == 0 {
						say(ws, "trade A 1", "depth A 1 2", "quote A 2")
						// The beginning of a frame of 100 bytes, and the end of the socket.
						_, _ = ws.NetConn().Write([]byte("\x81\x64trade"))
						return
					}
					for id := range 500 {
						say(ws, fmt.Sprintf("trade A %d", id))
					}
					listen(ws, "")
				}}
				if encrypted {
					s.startTLS(t, &o)
				} else {
					s.start(t, &o)
				}
				r := newRig(t, o)
				r.until("10.1 trade 0 1", "10.2 depth 0 1 2", "10.3 quote 0 2", "10.3 down 0 trades disconnect", "10.3 up 0 trades",
					"10.4 trade 0 0", "10.203 trade 0 199", "10.503 trade 0 499")
				r.stop()
				stats := r.feed.Stats()[0]
				if n := stats.Frames.Load(); n != 503 {
					t.Errorf("%d frames", n)
				}
				stamped := stats.Stamps.Kernel.Load() + stats.Stamps.Late.Load() + stats.Stamps.Strange.Load() + stats.Stamps.None.Load()
				if want := map[bool]uint64{true: 503}[read.KernelStamps]; stamped != want {
					t.Errorf("%d stamps judged", stamped)
				}
				for i := 1; i < len(r.stamps); i++ {
					if a, b := r.stamps[i-1], r.stamps[i]; a.Line == 10 && b.Line == 10 && b.ReceiveNanos < a.ReceiveNanos {
						t.Fatalf("receive times go back: %s, %s", r.seen[i-1], r.seen[i])
					}
				}
			})
		}
	}
}

// The kernel's stamps are used, and the capture says so.
func TestKernelStampsReachTheCapture(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := quick(&toy{inURL: true}, "A")
	o.Read.KernelStamps = true
	o.Recorder = NewRecorder(RecorderOptions{Dir: dir, Venue: "toy"})
	reader := make(chan *LineStats, 1)
	s := &server{socket: func(_ int, ws *websocket.Conn) {
		// Each alone, for the kernel begins to stamp a while after it was asked, and on
		// a busy machine the reader may be late for some.
		stats := <-reader
		for id := uint64(0); ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "trade A %d", id)) == nil; id++ {
			for stats.Frames.Load() <= id {
				if state, _ := stats.State(); state == LineStopped {
					return
				}
				runtime.Gosched()
			}
		}
	}}
	s.start(t, &o)
	r := newRig(t, o)
	stats := r.feed.Stats()[0]
	reader <- stats
	r.waker.Wait(func() bool { r.poll(); return stats.Stamps.Kernel.Load() > 0 }, time.Minute)
	r.stop()
	if stats.Stamps.Kernel.Load() == 0 {
		t.Fatalf("none of %d frames bears the kernel's stamp: late %d, strange %d, none %d", stats.Frames.Load(),
			stats.Stamps.Late.Load(), stats.Stamps.Strange.Load(), stats.Stamps.None.Load())
	}
	files, _ := filepath.Glob(filepath.Join(dir, "toy-public-0-*.gz"))
	if len(files) != 1 {
		t.Fatalf("captures %v", files)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	capture, _ := readAll(t, f)
	if capture.ReceiveSource != ReceivedKernel.String() {
		t.Errorf("receive times of %q", capture.ReceiveSource)
	}
}

// Sockets beyond the cores wait as ever, those that are added later among them.
func TestCoresGoToTheFirstSockets(t *testing.T) {
	t.Parallel()
	o := Options{Adapter: &toy{inURL: true, perSocket: 1}, Subscriptions: subscriptions("A", "B", "C")}
	o.Read.Cores = []int{4, 2}
	o.NewOutput = func(LineInfo) *Output { return NewOutput(nil, &Routes{}, OutputOptions{}) }
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	have := ""
	for _, c := range append(f.connections, f.bridge.line) {
		have += fmt.Sprintf("%s %v on %d, ", c.stats.Name, c.reading.Spin, c.core)
	}
	if want := "public-0 1s on 4, public-1 1s on 2, public-2 0s on 0, bridge 0s on 0, "; have != want {
		t.Errorf("%q, not %q", have, want)
	}
}

// A core that cannot be had is told, and the socket is read all the same.
func TestSocketWithoutItsCore(t *testing.T) {
	t.Parallel()
	o := quick(&toy{inURL: true}, "A")
	o.Read = ReadOptions{Cores: []int{1023}, Spin: time.Millisecond}
	said := &logs{}
	o.Logger = newTextLogger(said)
	s := &server{socket: func(_ int, ws *websocket.Conn) {
		say(ws, "trade A 1")
		listen(ws, "")
	}}
	s.start(t, &o)
	r := newRig(t, o)
	r.until("10.1 trade 0 1")
	r.stop()
	if r.feed.Stats()[0].Unpinned.Load() != 1 || !strings.Contains(said.String(), "is not pinned") {
		t.Errorf("nothing tells that it is on no core of its own:\n%v", said)
	}
}
