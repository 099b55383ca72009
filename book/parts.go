package book

import (
	"tickproc/internal/state"
	"tickproc/tick"
)

// parts puts together, aside from the book, messages that come in fragments.
// A line's fragments come in order; those of several lines interleave, and so
// do a line's snapshot and its deltas.
type parts []part

type part struct {
	line  uint16
	kind  tick.Kind
	units []tick.Unit // never empty
}

// isWhole reports whether a packet is a message, while there are no fragments.
func (ps *parts) isWhole(h *tick.Header) bool {
	const both = tick.FlagFirst | tick.FlagLast
	return len(*ps) == 0 && h.Flags&both == both
}

// assemble returns the whole message that p completes. It is valid until the
// next call.
func (ps *parts) assemble(p []tick.Unit) (message []tick.Unit, whole bool) {
	const both = tick.FlagFirst | tick.FlagLast
	h := p[0].Header()
	if ps.isWhole(h) {
		return p, true
	}
	i := -1
	for j := range *ps {
		if x := &(*ps)[j]; x.line == h.Line && x.kind == h.Kind {
			i = j
		}
	}
	if h.Flags&tick.FlagFirst != 0 && i >= 0 {
		(*ps)[i].units = (*ps)[i].units[:0] // the end of the one before was lost
	}
	switch {
	case h.Flags&both == both:
		ps.remove(i)
		return p, true
	case i < 0 && h.Flags&tick.FlagFirst == 0:
		return nil, false // its beginning was lost, and with it the message
	case i < 0:
		ps.add(h)
		i = len(*ps) - 1
	}
	x := &(*ps)[i]
	x.units = append(x.units, p...)
	if h.Flags&tick.FlagLast == 0 {
		return nil, false
	}
	message = x.units
	if h.Kind == tick.KindSnapshot {
		x.units = nil // up to a megabyte, and seldom wanted
	}
	ps.remove(i)
	return message, true
}

// add begins a message; the memory of one that is done is used again.
func (ps *parts) add(h *tick.Header) {
	n := len(*ps)
	if n < cap(*ps) {
		*ps = (*ps)[:n+1]
	} else {
		*ps = append(*ps, part{})
	}
	x := &(*ps)[n]
	x.line, x.kind, x.units = h.Line, h.Kind, x.units[:0]
}

func (ps *parts) remove(i int) {
	if i < 0 {
		return
	}
	last := len(*ps) - 1
	(*ps)[i], (*ps)[last] = (*ps)[last], (*ps)[i]
	*ps = (*ps)[:last]
}

// forget drops what a line has begun.
func (ps *parts) forget(line uint16) {
	for i := len(*ps) - 1; i >= 0; i-- {
		if (*ps)[i].line == line {
			ps.remove(i)
		}
	}
}

func (ps parts) rescale(priceFactor, sizeFactor int64) error {
	for i := range ps {
		if err := rescalePackets(ps[i].units, priceFactor, sizeFactor); err != nil {
			return err
		}
	}
	return nil
}

// partsMax bounds what loading takes for a list of parts: two a line.
const partsMax = 2 * linesMax

func (ps *parts) code(c *state.Coder) {
	n := c.Len(len(*ps), 3+4+tick.UnitSize, partsMax)
	if c.Loading() {
		*ps = make(parts, n)
	}
	for i := range *ps {
		x := &(*ps)[i]
		c.Line(&x.line)
		state.Byte(c, &x.kind)
		codePackets(c, &x.units)
		if c.Loading() {
			_, fault := countMessages(x.units, x.kind, false)
			c.Require(fault == "" && len(x.units) > 0 && (x.kind == tick.KindDepth || x.kind == tick.KindSnapshot), "a part of a message: "+fault)
		}
	}
	if c.Err() != nil {
		*ps = nil
	}
}
