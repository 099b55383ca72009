// Package rawsocket reads a TCP connection by system calls of its own, under
// whatever protocol is spoken on it:
//
//	Read ─► recv(2) without waiting ─► nothing there? look again for a while (Spin) ─► wait as the runtime does
//	            └► recvmsg(2) with the kernel's receive stamp (Stamps)
//
// Writes, addresses and the rest are the connection's own. Deadlines and Close
// work as usual: both end a Read that spins.
package rawsocket

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Options say how a connection is read. The zero Options read it as the runtime
// does.
type Options struct {
	// Spin is how long a Read looks again and again before it waits for the
	// runtime's poller, with its thread's core to itself.
	Spin time.Duration
	// Stamps asks the kernel when what was read had arrived.
	Stamps bool
}

// ErrUnsupported says that a connection cannot be read by hand, because it is no
// socket of this system's or the kernel has no such option.
var ErrUnsupported = errors.New("the connection cannot be read by hand")

// Conn is a net.Conn. One goroutine reads it.
type Conn struct {
	net.Conn
	raw  syscall.RawConn
	spin int64
	look func(fd uintptr) bool // looks, bound once

	// any goroutine
	closing  atomic.Bool
	deadline atomic.Int64 // of reads, as nanos; 0 = none

	// owner: the goroutine that reads
	into   []byte
	n      int
	errno  syscall.Errno
	spun   bool // in this Read
	stamp  int64
	stamps *stamps // nil = off
}

// deadlineEvery is how many looks lie between two looks at the clock: some
// microseconds.
const deadlineEvery = 16

// New takes over a connection that stands on a socket.
func New(c net.Conn, o Options) (*Conn, error) {
	has, ok := c.(syscall.Conn)
	if !ok {
		return nil, ErrUnsupported
	}
	raw, err := has.SyscallConn()
	if err != nil {
		return nil, err
	}
	x := &Conn{Conn: c, raw: raw, spin: int64(o.Spin)}
	x.look = x.looks
	if err := x.prepare(o); err != nil {
		return nil, err
	}
	return x, nil
}

// Stamp is the kernel's receive time of the newest byte that Read returned
// last, by the wall clock in ns; 0 if it told none: it begins to a moment after
// it was asked.
func (c *Conn) Stamp() int64 { return c.stamp }

// Read implements io.Reader.
//
// hot: per read, 0 allocs.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.into, c.spun = p, false
	err := c.raw.Read(c.look)
	c.into = nil
	switch {
	case err != nil:
		return 0, err
	case c.errno != 0:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("recv", c.errno)}
	case c.n == 0:
		return 0, io.EOF
	}
	return c.n, nil
}

// looks reports whether the Read is over. The runtime calls it, at first and
// whenever its poller has found the socket readable, and holds the descriptor
// meanwhile; where it is not over, the poller also decides about deadlines and
// Close.
func (c *Conn) looks(fd uintptr) bool {
	if c.receive(fd) {
		return true
	}
	if c.spin == 0 || c.spun {
		return false
	}
	c.spun = true
	until := nanos() + c.spin
	for i := 1; ; i++ {
		if c.receive(fd) {
			return true
		}
		if c.closing.Load() {
			return false
		}
		if i%deadlineEvery == 0 {
			now, deadline := nanos(), c.deadline.Load()
			if now >= until || deadline != 0 && now >= deadline {
				return false
			}
		}
	}
}

// Close ends a Read, too.
func (c *Conn) Close() error {
	c.closing.Store(true) // first: the connection's own waits until the Read lets go
	return c.Conn.Close()
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	err := c.Conn.SetDeadline(t)
	c.keep(t)
	return err
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	err := c.Conn.SetReadDeadline(t)
	c.keep(t)
	return err
}

func (c *Conn) keep(t time.Time) {
	if t.IsZero() {
		c.deadline.Store(0)
		return
	}
	// On a clock that no step of the wall clock moves; never 0.
	c.deadline.Store(max(1, nanos()+int64(time.Until(t))))
}

var started = time.Now()

// nanos only rises.
func nanos() int64 { return int64(time.Since(started)) }
