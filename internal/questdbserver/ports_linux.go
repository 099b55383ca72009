package questdbserver

import (
	"io"
	"os"
	"syscall"
)

// A socket that is bound and does not listen refuses no bind and no listen of
// another that allows the address to be reused, as QuestDB's do; Linux gives its
// port to nobody who asks for any.
const heldBesideServer = true

func holdPort() (port int, holder io.Closer, err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "port")
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		f.Close()
		return 0, nil, os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		f.Close()
		return 0, nil, os.NewSyscallError("bind", err)
	}
	address, err := syscall.Getsockname(fd)
	if err != nil {
		f.Close()
		return 0, nil, os.NewSyscallError("getsockname", err)
	}
	return address.(*syscall.SockaddrInet4).Port, f, nil
}
