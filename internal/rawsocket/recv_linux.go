package rawsocket

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stamps is what recvmsg(2) fills beside the bytes.
type stamps struct {
	message unix.Msghdr
	vector  unix.Iovec
	control [64]byte // one message of 32 bytes, aligned by what precedes it
}

// busyPollMicros is for how long a look at an empty socket may poll the network
// card's own queue, where driver and rights allow it.
const busyPollMicros = 50

func (c *Conn) prepare(o Options) error {
	var err error
	control := c.raw.Control(func(fd uintptr) {
		if o.Spin > 0 {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BUSY_POLL, busyPollMicros) // a favour
		}
		if o.Stamps {
			if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
				err = fmt.Errorf("%w: SO_TIMESTAMPNS: %w", ErrUnsupported, err)
				return
			}
			s := &stamps{}
			s.message.Iov, s.message.Iovlen = &s.vector, 1
			c.stamps = s
		}
	})
	if control != nil {
		return control
	}
	return err
}

// receive takes what is there, without waiting; false: nothing is.
//
// RawSyscall, because a call that never waits needs no scheduler: the one that
// the runtime makes hands the processor over if it takes its time.
func (c *Conn) receive(fd uintptr) bool {
	for {
		var n uintptr
		var errno syscall.Errno
		if s := c.stamps; s == nil {
			n, _, errno = unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&c.into[0])), uintptr(len(c.into)), unix.MSG_DONTWAIT, 0, 0)
		} else {
			s.vector.Base = &c.into[0]
			s.vector.SetLen(len(c.into))
			s.message.Control = &s.control[0]
			s.message.SetControllen(len(s.control))
			n, _, errno = unix.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&s.message)), unix.MSG_DONTWAIT)
			s.vector.Base = nil // it must not outlive the Read
		}
		switch errno {
		case 0:
			c.n, c.errno = int(n), 0
			if c.stamps != nil && n > 0 {
				c.stamp = c.stamps.time()
			}
			return true
		case unix.EAGAIN:
			return false
		case unix.EINTR:
		default:
			c.n, c.errno = 0, errno
			return true
		}
	}
}

// time reads the stamp, 0 if the kernel told none. On a stream it is that of the
// newest segment of which bytes were taken (tcp_recv_timestamp).
func (s *stamps) time() int64 {
	const header = unix.SizeofCmsghdr
	var t unix.Timespec
	if int(s.message.Controllen) < header+int(unsafe.Sizeof(t)) {
		return 0
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&s.control[0]))
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_TIMESTAMPNS {
		return 0
	}
	return (*unix.Timespec)(unsafe.Pointer(&s.control[header])).Nano()
}
