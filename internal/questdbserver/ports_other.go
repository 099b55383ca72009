//go:build !linux

package questdbserver

import (
	"io"
	"net"
)

const heldBesideServer = false

func holdPort() (port int, holder io.Closer, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, nil, err
	}
	return l.Addr().(*net.TCPAddr).Port, l, nil
}
