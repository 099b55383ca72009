package engine

import (
	"slices"

	"tickproc/internal/state"
	"tickproc/tick"
)

const (
	// holesMax bounds the remembered runs of missing ids.
	holesMax = 512
	// idMemory bounds the remembered ids of venues whose ids do not count up.
	idMemory = 1 << 13
)

// tradeIDs knows which trades of an instrument were seen.
//
// Where ids count up, a trade is new exactly if its id lies above all others
// or in a hole, and holes are what is missing. Elsewhere the last idMemory ids
// are remembered.
type tradeIDs struct {
	contiguous bool
	any        bool
	highest    uint64
	holes      []idHole // ascending
	recent     recentIDs
}

// idHole is a run of ids that were not seen.
type idHole struct {
	from, to uint64 // inclusive
	// gap is the row that reports them, if it is counted: ids below the first
	// one seen are not.
	gap      openGap
	gapEnd   int64
	counted  bool
	lateFill bool // one of its trades came too late for the bars
	blurred  bool // ids that were seen lie between
	backfill tick.Backfill
}

// verdict says what an id means.
type verdict uint8

const (
	idNext      verdict = iota // as expected
	idJump                     // ids before it are missing
	idMissing                  // fills a hole
	idUnsure                   // fills a blurred hole, or was seen before
	idDuplicate                // seen before
)

// see takes the id of a trade. For idJump, missed is how many ids lie
// between; for idMissing and idUnsure, hole is the index of the hole it lies in.
//
// hot: per trade, 0 allocs while ids arrive in order.
func (t *tradeIDs) see(id tick.ID) (v verdict, missed uint64, hole int) {
	if !t.contiguous {
		if t.recent.add(id) {
			return idNext, 0, 0
		}
		return idDuplicate, 0, 0
	}
	switch n := id.Lo; {
	case !t.any:
		t.any, t.highest = true, n
		if n > 0 {
			t.holes = append(t.holes, idHole{from: 0, to: n - 1})
		}
		return idNext, 0, 0
	case n == t.highest+1:
		t.highest = n
		return idNext, 0, 0
	case n > t.highest:
		missed = n - t.highest - 1
		t.highest = n
		return idJump, missed, 0
	default:
		for i := len(t.holes) - 1; i >= 0; i-- {
			if h := &t.holes[i]; n >= h.from && n <= h.to {
				if h.blurred {
					return idUnsure, 0, i
				}
				return idMissing, 0, i
			}
		}
		return idDuplicate, 0, 0
	}
}

// miss remembers the ids below the highest as missing, reported by a gap row.
func (t *tradeIDs) miss(missed uint64, gap openGap, end int64) {
	if len(t.holes) >= holesMax {
		t.blur()
	}
	t.holes = append(t.holes, idHole{from: t.highest - missed, to: t.highest - 1, gap: gap, gapEnd: end, counted: true})
}

// mark notes at the holes of a gap what its row says of their backfill.
func (t *tradeIDs) mark(gap openGap, state tick.Backfill) {
	for i := range t.holes {
		if h := &t.holes[i]; h.counted && h.gap == gap {
			h.backfill = state
		}
	}
}

// missing returns the first and the last id that a gap's row still misses;
// false if it can no longer be told.
func (t *tradeIDs) missing(gap openGap) (from, to uint64, ok bool) {
	for i := range t.holes {
		if h := &t.holes[i]; h.counted && h.gap == gap {
			if !ok {
				from = h.from
			}
			to, ok = h.to, true
		}
	}
	return from, to, ok
}

// blur makes room: it joins the two oldest holes. Forgetting one would call its
// trades duplicates and lose them; a hole that is too wide only lets a
// duplicate through to the table, which drops it. Their rows stay as they are.
func (t *tradeIDs) blur() {
	for _, gap := range [2]openGap{t.holes[0].gap, t.holes[1].gap} {
		for i := range t.holes {
			if h := &t.holes[i]; h.gap == gap {
				h.counted = false
			}
		}
	}
	t.holes[1].from, t.holes[1].blurred = t.holes[0].from, true
	t.holes = slices.Delete(t.holes, 0, 1)
}

// fill takes an id out of the hole at index i, and returns the hole as it was
// and how many ids its gap row still misses.
func (t *tradeIDs) fill(i int, n uint64, late bool) (was idHole, left uint64) {
	was = t.holes[i]
	for j := range t.holes {
		if h := &t.holes[j]; h.counted == was.counted && h.gap == was.gap {
			h.lateFill = h.lateFill || late
		}
	}
	was.lateFill = was.lateFill || late
	switch h := &t.holes[i]; {
	case h.from == h.to:
		t.holes = slices.Delete(t.holes, i, i+1)
	case n == h.from:
		h.from++
	case n == h.to:
		h.to--
	case h.blurred: // it is a guess already
	default:
		upper := *h
		h.to, upper.from = n-1, n+1
		t.holes = slices.Insert(t.holes, i+1, upper)
	}
	for _, h := range t.holes {
		if h.counted && h.gap == was.gap {
			left += h.to - h.from + 1
		}
	}
	if len(t.holes) > holesMax {
		t.blur()
	}
	return was, left
}

// recentIDs is a set of the last idMemory ids: open addressing over a ring of
// slots, the oldest evicted first. It grows with what there is: 32 bytes an id, up
// to 256 KB.
type recentIDs struct {
	order []tick.ID // ring by arrival
	next  int
	slots []uint32 // place in order + 1; 0 = free. A power of two, four for each id that fits
}

// add returns false if the id is known.
func (r *recentIDs) add(id tick.ID) bool {
	if len(r.order) < idMemory && 4*len(r.order) >= len(r.slots) {
		r.grow()
	}
	i := r.find(id)
	if r.slots[i] != 0 {
		return false
	}
	if len(r.order) < idMemory {
		r.order = append(r.order, id)
		r.slots[i] = uint32(len(r.order))
		return true
	}
	r.remove(r.order[r.next])
	r.order[r.next] = id
	r.slots[r.find(id)] = uint32(r.next) + 1
	r.next = (r.next + 1) % idMemory
	return true
}

// grow makes room for twice as many ids.
func (r *recentIDs) grow() {
	room := min(max(2*len(r.order), idMemory/64), idMemory)
	r.order = append(make([]tick.ID, 0, room), r.order...)
	r.slots = make([]uint32, 4*room)
	for i, id := range r.order {
		r.slots[r.find(id)] = uint32(i) + 1
	}
}

func (r *recentIDs) home(id tick.ID) uint32 {
	return uint32((id.Lo^id.Hi*0x9E3779B97F4A7C15)*0x9E3779B97F4A7C15>>32) & uint32(len(r.slots)-1)
}

// find returns the slot of the id, or the free one where it belongs.
func (r *recentIDs) find(id tick.ID) uint32 {
	i := r.home(id)
	for r.slots[i] != 0 && r.order[r.slots[i]-1] != id {
		i = (i + 1) & uint32(len(r.slots)-1)
	}
	return i
}

// remove frees the id's slot and moves back what had been pushed past it.
func (r *recentIDs) remove(id tick.ID) {
	last := uint32(len(r.slots) - 1)
	hole := r.find(id)
	for i := (hole + 1) & last; r.slots[i] != 0; i = (i + 1) & last {
		home := r.home(r.order[r.slots[i]-1])
		if (i-home)&last >= (i-hole)&last {
			r.slots[hole] = r.slots[i]
			hole = i
		}
	}
	r.slots[hole] = 0
}

func (t *tradeIDs) code(c *state.Coder) {
	c.Bool(&t.any)
	c.Uint64(&t.highest)
	n := c.Len(len(t.holes), 2*8+14+8+4, holesMax)
	if c.Loading() {
		t.holes = make([]idHole, n)
	}
	for i := range t.holes {
		h := &t.holes[i]
		c.Uint64s(&h.from, &h.to)
		h.gap.code(c)
		c.Int64(&h.gapEnd)
		c.Bools(&h.counted, &h.lateFill, &h.blurred)
		state.Byte(c, &h.backfill)
		c.Require(h.from <= h.to && h.to <= t.highest && (i == 0 || h.from > t.holes[i-1].to), "missing ids out of order")
	}
	t.recent.code(c)
}

// code codes the ids, oldest first. Where each lies in the table is found anew.
func (r *recentIDs) code(c *state.Coder) {
	n := c.Len(len(r.order), 16, idMemory)
	if !c.Loading() {
		state.Plain(c, r.order[r.next:])
		state.Plain(c, r.order[:r.next])
		return
	}
	*r = recentIDs{}
	var id [1]tick.ID
	for range n {
		state.Plain(c, id[:])
		if !r.add(id[0]) {
			c.Fail("a trade's id that is there twice")
			return
		}
	}
}
