package feeds

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tickproc/internal/rawsocket"
	"tickproc/ringbuf"
)

// sent is a socket whose peer has sent bytes already, which come in reads of at
// most so many; then it ends.
type sent struct {
	net.Conn
	rest    []byte
	atMost  func() int
	request bytes.Buffer // what we said
	after   func(request []byte) []byte
}

func (s *sent) Read(p []byte) (int, error) {
	if s.after != nil { // first the answer to the handshake
		s.rest, s.after = s.after(s.request.Bytes()), nil
	}
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), max(1, s.atMost()))], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *sent) Write(p []byte) (int, error)      { return s.request.Write(p) }
func (s *sent) Close() error                     { return nil }
func (s *sent) SetDeadline(time.Time) error      { return nil }
func (s *sent) SetReadDeadline(time.Time) error  { return nil }
func (s *sent) SetWriteDeadline(time.Time) error { return nil }

// readingOf opens a websocket on a socket that the peer has sent stream on, by
// the library alone or with messages in place, and returns what is read of it: a
// line a message, pong and end, and how the messages were had.
func readingOf(t testing.TB, stream []byte, compressed, alone bool, atMost func() int) (lines []string, placed int) {
	conn := &sent{atMost: atMost}
	conn.after = func(request []byte) []byte {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
			base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
		if compressed {
			answer += "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
		}
		return append([]byte(answer+"\r\n"), stream...)
	}
	o := &Options{Compression: compressed, Dial: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	out := NewOutput([]*ringbuf.Ring{ringbuf.New(16)}, &Routes{}, OutputOptions{})
	s, _, err := dialSocket(t.Context(), o, "ws://peer.invalid/", rawsocket.Options{}, out)
	if err != nil {
		t.Fatal(err)
	}
	if alone {
		s.frames.live = false // the library gets what comes, as it comes
	}
	c := &connection{socket: s, profile: Profile{FrameLimit: limitOfTest}}
	s.ws.SetReadLimit(limitOfTest)
	if alone {
		c.socket.frames = nil
	}
	s.ws.SetPingHandler(func(data string) error { lines = append(lines, "ping "+data); return nil })
	s.ws.SetPongHandler(func(data string) error { lines = append(lines, "pong "+data); return nil })
	s.ws.SetCloseHandler(func(code int, text string) error { return nil })
	for {
		kind, err := c.readFrame(s.ws)
		if err != nil {
			why := "ended"
			var closed *websocket.CloseError
			switch {
			case errors.Is(err, errOversized):
				why = "oversized"
			case errors.As(err, &closed):
				why = fmt.Sprintf("closed %d", closed.Code)
			}
			return append(lines, why), placed
		}
		if s.frames != nil && len(c.frame) > 0 && len(c.joined) == 0 {
			placed++
		}
		lines = append(lines, fmt.Sprintf("%d %x", kind, c.frame))
		c.joined = c.joined[:0]
	}
}

const limitOfTest = 1000

// frameOf is a frame as a server sends it, or, with a mask, as it may not.
func frameOf(first byte, masked bool, payload []byte) []byte {
	f := []byte{first}
	mask := byte(0)
	if masked {
		mask = frameMasked
	}
	switch n := len(payload); {
	case n < 126:
		f = append(f, mask|byte(n))
	case n < 1<<16:
		f = binary.BigEndian.AppendUint16(append(f, mask|126), uint16(n))
	default:
		f = binary.BigEndian.AppendUint64(append(f, mask|127), uint64(n))
	}
	if masked {
		f = append(f, 0, 0, 0, 0)
	}
	return append(f, payload...)
}

// What a socket says is the same whether messages are read in place or the
// library reads all of it: whatever the frames, and wherever reads end in them.
func TestInPlaceIsWhatTheLibraryReads(t *testing.T) {
	t.Parallel()
	deflated := func(text string) []byte {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, 1)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err := errors.Join(err, w.Flush()); err != nil {
			t.Fatal(err)
		}
		return frameOf(0xc1, false, b.Bytes()[:b.Len()-4]) // RFC 7692, 7.2.1
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	some := func(most int) []byte {
		b := make([]byte, random.IntN(most+1))
		for i := range b {
			b[i] = byte('a' + random.IntN(26))
		}
		return b
	}
	kinds := []func() []byte{
		func() []byte { return frameOf(0x81, false, some(125)) },
		func() []byte { return frameOf(0x81, false, some(limitOfTest)) },
		func() []byte { return frameOf(0x82, false, some(300)) },
		func() []byte { return frameOf(0x81, false, nil) },
		func() []byte { return frameOf(0x89, false, some(20)) }, // ping
		func() []byte { return frameOf(0x8a, false, some(20)) }, // pong
		func() []byte { // fragments, with a ping between
			return slices.Concat(frameOf(0x01, false, some(200)), frameOf(0x00, false, some(200)), frameOf(0x89, false, some(3)), frameOf(0x80, false, some(200)))
		},
		func() []byte { return deflated(string(some(900))) },
		func() []byte { // of more bytes than it needs to tell its length
			return append([]byte{0x81, 127, 0, 0, 0, 0, 0, 0, 0, 3}, "abc"...)
		},
	}
	ends := [][]byte{
		nil,
		frameOf(0x88, false, []byte{3, 232, 'b', 'y', 'e'}),
		frameOf(0x81, false, make([]byte, limitOfTest+1)),
		frameOf(0x81, true, []byte("masked")),
		frameOf(0x83, false, []byte("of no kind")),
		frameOf(0x80, false, []byte("continues nothing")),
		frameOf(0xa1, false, []byte("reserved bit")),
		slices.Concat(frameOf(0x01, false, []byte("begun")), frameOf(0x81, false, []byte("another"))),
		{0x81, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'},
		{0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'},
		frameOf(0x81, false, make([]byte, 500))[:77],
		{0x81}, {0x81, 126}, {0x81, 126, 1}, {0x81, 127, 0}, {0x88},
	}
	placed := 0
	for range 40 {
		for _, end := range ends {
			var stream []byte
			for range random.IntN(40) {
				stream = append(stream, kinds[random.IntN(len(kinds))]()...)
			}
			stream = append(stream, end...)
			most := 1 + random.IntN(400)
			want, _ := readingOf(t, stream, true, true, func() int { return 1 << 20 })
			got, n := readingOf(t, stream, true, false, func() int { return random.IntN(most) })
			placed += n
			if !slices.Equal(got, want) {
				t.Fatalf("%x\nin place %q\nlibrary  %q", stream, got, want)
			}
		}
	}
	if placed == 0 {
		t.Error("nothing was read in place")
	}
}

// Whatever bytes come: the same messages, and the same reason for the end.
func FuzzInPlace(f *testing.F) {
	f.Add(slices.Concat(frameOf(0x81, false, []byte("one")), frameOf(0x89, false, []byte("ping")), frameOf(0x82, false, make([]byte, 200))), uint8(7))
	f.Add(slices.Concat(frameOf(0x01, false, []byte("be")), frameOf(0x80, false, []byte("gun")), frameOf(0x88, false, nil)), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, most uint8) {
		want, _ := readingOf(t, stream, false, true, func() int { return 1 << 20 })
		got, _ := readingOf(t, stream, false, false, func() int { return int(most) })
		if !slices.Equal(got, want) {
			t.Fatalf("%x\nin place %q\nlibrary  %q", stream, got, want)
		}
	})
}

// A refused handshake's answer comes whole, with its body.
func TestRefusedHandshakeInPlace(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\n\x81no!", "HTTP/1.1 403 Forbidden\nContent-Length: 4\n\n\x81no!"} {
		conn := &sent{atMost: func() int { return 3 }, after: func([]byte) []byte { return []byte(answer) }}
		o := &Options{Dial: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
		_, response, err := dialSocket(t.Context(), o, "ws://peer.invalid/", rawsocket.Options{}, NewOutput(nil, &Routes{}, OutputOptions{}))
		if err == nil || response == nil || response.StatusCode != http.StatusForbidden {
			t.Fatal(response, err)
		}
		if body, err := io.ReadAll(response.Body); err != nil || string(body) != "\x81no!" {
			t.Fatalf("%q, %v", body, err)
		}
	}
}

// Messages in place cost no allocation.
func TestInPlaceZeroAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	frame := frameOf(0x81, false, bytes.Repeat([]byte("x"), 200))
	stream := bytes.Repeat(frame, 4096)
	conn := &sent{rest: stream, atMost: func() int { return 1 << 20 }}
	in := newInPlace(conn, readBuffer)
	in.opened, in.live = true, true
	if n := testing.AllocsPerRun(4000, func() {
		if _, message, ok := in.next(limitOfTest); !ok || len(message) != 200 {
			t.Fatal("no message")
		}
	}); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}
