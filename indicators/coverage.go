package indicators

import "encoding/binary"

// lossesMax bounds the losses that are told apart.
const lossesMax = 64

// Coverage is the list of intervals in which an instrument's trade channel was
// not seen: what decides whether a row is complete. Bounds are event times in
// ns, both ends included. The zero Coverage has seen everything. The engine
// writes it; indicators hold a pointer and ask.
//
// Losses stay apart even where they overlap, since repairing one says nothing
// about the trades that another missed. When the list is full, the two oldest
// become one that spans both and can no longer be repaired: rows may then
// stay incomplete that are not, never the other way round.
type Coverage struct {
	losses [lossesMax]loss // oldest first; at most one is open
	count  int
}

type loss struct{ from, to int64 }

// Lose notes that [from, to] was not seen; to = math.MaxInt64 while that goes
// on, until Close. A second open loss extends the first.
func (c *Coverage) Lose(from, to int64) {
	from, to = min(from, to), max(from, to) // a venue's times may step back across a reconnect
	if to == never {
		if open := c.open(); open != nil {
			open.from = min(open.from, from)
			return
		}
	}
	if c.count == lossesMax {
		c.mergeOldest()
	}
	c.losses[c.count] = loss{from, to}
	c.count++
}

// Close ends the open loss at to; without one it does nothing.
func (c *Coverage) Close(to int64) {
	if open := c.open(); open != nil {
		open.from, open.to = min(open.from, to), max(open.from, to)
	}
}

// Restore forgets one loss of exactly these bounds: its trades have come
// after all. A loss that is not listed (it was merged) changes nothing.
func (c *Coverage) Restore(from, to int64) {
	want := loss{min(from, to), max(from, to)}
	for i := range c.count {
		if c.losses[i] == want {
			c.remove(i)
			return
		}
	}
}

// Complete reports that [start, end) was seen whole.
func (c *Coverage) Complete(start, end int64) bool {
	for i := range c.count {
		if l := &c.losses[i]; l.from < end && l.to >= start {
			return false
		}
	}
	return true
}

func (c *Coverage) open() *loss {
	for i := range c.count {
		if c.losses[i].to == never {
			return &c.losses[i]
		}
	}
	return nil
}

// mergeOldest spares the open loss, whose end Close must still set.
func (c *Coverage) mergeOldest() {
	first := 0
	if c.losses[first].to == never {
		first++
	}
	second := first + 1
	if c.losses[second].to == never {
		second++
	}
	a, b := &c.losses[first], c.losses[second]
	a.from, a.to = min(a.from, b.from), max(a.to, b.to)
	c.remove(second)
}

func (c *Coverage) remove(i int) {
	copy(c.losses[i:], c.losses[i+1:c.count])
	c.count--
	c.losses[c.count] = loss{}
}

// AppendState appends the list, little-endian.
func (c *Coverage) AppendState(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.count))
	for _, l := range c.losses[:c.count] {
		dst = appendInt(appendInt(dst, l.from), l.to)
	}
	return dst
}

// LoadState takes what AppendState gave and returns the bytes behind it.
// After an error the coverage is as it was.
func (c *Coverage) LoadState(src []byte) (rest []byte, err error) {
	r := stateReader{src: src}
	var got Coverage
	n := r.count(16)
	r.require(n <= lossesMax)
	if r.failed {
		return src, errState
	}
	for range n {
		l := loss{r.int(), r.int()}
		r.require(l.from <= l.to && (l.to != never || got.open() == nil))
		got.losses[got.count] = l
		got.count++
	}
	if r.failed {
		return src, errState
	}
	*c = got
	return r.src, nil
}
