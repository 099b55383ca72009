package book

import (
	"math"

	"tickproc/internal/state"
	"tickproc/tick"
)

// codePackets codes packets that wait. In a hash their instrument and frame
// are left out and their line is told by its place: others in every capture.
func codePackets(c *state.Coder, units *[]tick.Unit) {
	if !c.Hashing() {
		state.List(c, units, math.MaxInt32)
		return
	}
	c.Len(len(*units), tick.UnitSize, len(*units))
	for rest := *units; len(rest) > 0; {
		n := tick.PacketUnits(&rest[0])
		head := *rest[0].Depth()
		codeHead(c, &head)
		state.Plain(c, rest[1:n])
		rest = rest[n:]
	}
}

// codeHead codes the head of a packet.
func codeHead(c *state.Coder, d *tick.Depth) {
	var u [1]tick.Unit
	*u[0].Depth() = *d
	if c.Hashing() {
		c.Line(&d.Line)
		h := u[0].Header()
		h.Line, h.Instrument, h.Ordinal = 0, 0, 0
	}
	state.Plain(c, u[:])
	if c.Loading() {
		*d = *u[0].Depth()
	}
}

// countMessages returns how many messages end in packets, and what is wrong
// with these, "" if nothing is. Whole: the last message must end.
func countMessages(units []tick.Unit, kind tick.Kind, whole bool) (n uint64, fault string) {
	ended := true
	for len(units) > 0 {
		d := units[0].Depth()
		size := tick.DepthUnits(int(d.LevelCount))
		switch {
		case d.Kind != kind:
			return 0, "a packet of another kind"
		case size > len(units) || d.Bids > d.LevelCount:
			return 0, "a packet longer than can be"
		}
		for _, l := range tick.Levels(units) {
			if l.Size < 0 {
				return 0, "a size below 0"
			}
		}
		if ended = d.Flags&tick.FlagLast != 0; ended {
			n++
		}
		units = units[size:]
	}
	switch {
	case whole && !ended:
		return 0, "its end is missing"
	case !whole && n > 0:
		return 0, "it is over"
	}
	return n, ""
}
