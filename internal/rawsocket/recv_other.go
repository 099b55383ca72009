//go:build !linux

package rawsocket

type stamps struct{}

func (c *Conn) prepare(Options) error { return ErrUnsupported }

func (c *Conn) receive(uintptr) bool { panic("BUG: a connection that was refused is read") }
