package questdbserver

import (
	"fmt"
	"io"
)

// ports are loopback ports of one server. Where the system allows it, they are
// held for as long as the server is in use, also while its process is dead: else
// whoever asks for any free port meanwhile gets one of them, and the server, whose
// clients know its address, cannot come back.
type ports struct {
	http, health, ilp, pg int
	held                  []io.Closer
}

// freePorts holds all four at once, so that they differ.
func freePorts() (ports, error) {
	var p ports
	for _, port := range []*int{&p.http, &p.health, &p.ilp, &p.pg} {
		number, holder, err := holdPort()
		if err != nil {
			p.free()
			return ports{}, fmt.Errorf("no free loopback port: %w", err)
		}
		*port = number
		p.held = append(p.held, holder)
	}
	if !heldBesideServer {
		p.free()
	}
	return p, nil
}

// free ends the holding. What still holds when nobody knows the server any more is
// closed by the garbage collector.
func (p *ports) free() {
	for _, holder := range p.held {
		_ = holder.Close()
	}
	p.held = nil
}
