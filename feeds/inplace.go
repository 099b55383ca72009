package feeds

import (
	"encoding/binary"
	"math"
	"net"

	"tickproc/internal/invariants"
)

// inPlace stands between the websocket library and its connection, and owns the
// buffer that the socket is read into:
//
//	socket ─► (TLS) ─► buffer ─► next: a whole message in one frame, where it lies
//	                        └──► Read: all else, to the library, a frame at a time
//
// The library answers the handshake, pings and closes, joins fragments, inflates,
// and judges what is too large or breaks the protocol (RFC 6455, 5.2). It never
// gets a byte beyond the frame that it is reading, so that what follows is here.
// Venues send nearly all messages whole in a frame of their own: those cost
// neither a copy nor the library's layers.
//
// owner: the line's goroutine, but for what net.Conn promises of the rest.
type inPlace struct {
	net.Conn
	buffer []byte
	r, w   int   // what is read of the socket and not given on: buffer[r:w]
	err    error // of the socket, told behind what was read before it

	opened    bool // the handshake's answer was given on
	lineBegun bool // of that answer: its current line has bytes
	live      bool // frames follow, told by the dialler
	left      int  // of the library's frame, bytes that it has not had yet
	shown     []byte
}

func newInPlace(c net.Conn, size int) *inPlace {
	return &inPlace{Conn: c, buffer: make([]byte, size), lineBegun: true}
}

const (
	frameFinal  = 0x80 // of the first byte: the last frame of its message
	frameMasked = 0x80 // of the second byte
	frameText   = 1    // as the library numbers them, too
	frameBinary = 2
	lengthOf16  = 126 // the length follows in 2 bytes
	lengthOf64  = 127 // in 8 bytes
	// frameHeadMax is the longest head: two bytes, 8 of length, 4 of the mask.
	frameHeadMax = 14
)

// next returns the next message, valid until the call after, if it lies in one
// frame of at most limit bytes that fits the buffer, and is neither compressed
// nor masked. Not ok: the library is to be asked, which also tells the errors.
//
// hot: per frame, 0 allocs.
func (c *inPlace) next(limit int64) (kind int, message []byte, ok bool) {
	if invariants.Enabled {
		scribble(c.shown)
		c.shown = nil
	}
	if c.left > 0 { // the library left a message in its middle
		return 0, nil, false
	}
	if !c.have(2) {
		return 0, nil, false
	}
	kind = int(c.buffer[c.r]) - frameFinal
	if kind != frameText && kind != frameBinary {
		return 0, nil, false
	}
	head, n := 2, int(c.buffer[c.r+1])
	switch {
	case n == lengthOf16:
		if head = 4; !c.have(head) {
			return 0, nil, false
		}
		n = int(binary.BigEndian.Uint16(c.buffer[c.r+2:]))
	case n >= lengthOf64: // or masked
		return 0, nil, false
	}
	if int64(n) > limit || head+n > len(c.buffer) || !c.have(head+n) {
		return 0, nil, false
	}
	message = c.buffer[c.r+head : c.r+head+n : c.r+head+n]
	c.r += head + n
	if invariants.Enabled {
		c.shown = message
	}
	return kind, message, true
}

// have reads until n bytes are in the buffer, which has room for them; false: the
// socket ends before.
func (c *inPlace) have(n int) bool {
	for c.w-c.r < n {
		if !c.fill() {
			return false
		}
	}
	return true
}

// fill reads the socket once.
func (c *inPlace) fill() bool {
	if c.err != nil {
		return false
	}
	c.w = copy(c.buffer, c.buffer[c.r:c.w]) // at most a part of a frame
	c.r = 0
	n, err := c.Conn.Read(c.buffer[c.w:])
	c.w += n
	c.err = err
	return n > 0 || err == nil
}

// Read is the library's: up to the end of the handshake's answer, then of the
// frame.
func (c *inPlace) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !c.have(1) {
		return 0, c.err
	}
	most := c.w - c.r
	switch {
	case !c.opened:
		most = c.answer(c.buffer[c.r:][:min(most, len(p))])
	case c.live:
		if c.left == 0 {
			c.left = c.frame()
		}
		most = min(most, c.left)
	}
	n := copy(p, c.buffer[c.r:c.r+most])
	c.r += n
	if c.live {
		c.left -= n
	}
	return n, nil
}

// answer returns how many bytes belong to the handshake's answer, which ends with
// an empty line. What follows a refusal is given on as it comes.
func (c *inPlace) answer(b []byte) int {
	for i, x := range b {
		switch {
		case x == '\n' && !c.lineBegun:
			c.opened = true
			return i + 1
		case x == '\n':
			c.lineBegun = false
		case x != '\r':
			c.lineBegun = true
		}
	}
	return len(b)
}

// frame returns how many bytes the frame has that begins the buffer, its head
// included; where the socket ends before that is known, what there is.
func (c *inPlace) frame() int {
	if !c.have(2) {
		return c.w - c.r
	}
	head, n := 2, uint64(c.buffer[c.r+1]&^frameMasked)
	if c.buffer[c.r+1]&frameMasked != 0 {
		head += 4
	}
	switch n {
	case lengthOf16:
		if !c.have(4) {
			return c.w - c.r
		}
		head, n = head+2, uint64(binary.BigEndian.Uint16(c.buffer[c.r+2:]))
	case lengthOf64:
		if !c.have(10) {
			return c.w - c.r
		}
		head, n = head+8, binary.BigEndian.Uint64(c.buffer[c.r+2:])
	}
	return int(min(n, math.MaxInt-frameHeadMax)) + head
}

// scribble makes whoever still reads a message after its time read nonsense.
func scribble(message []byte) {
	for i := range message {
		message[i] = 0xDB
	}
}
