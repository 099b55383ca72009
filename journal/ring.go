package journal

import (
	"fmt"
	"slices"

	"tickproc/tick"
)

// A ring is a page of headers and then a power of two of units; the unit of
// position p lies at p modulo their number, so frames may wrap.
//
// Words of the header: magic, format, shard; identity; units; boot; session; 0;
// 0; CRC. The next unit counts what was appended, and its complement: what is
// missing there although the memory was kept is damage, not a torn tail.
const (
	ringMagic = 0x474e5254 // "TRNG"
	ringPage  = 4096 / unitBytes
	ringCount = 1 // index of the unit that counts
)

func ringName(shard int) string { return fmt.Sprintf("shard-%02d.ring", shard) }

type ringHeader struct {
	identity      Identity
	units         uint64
	boot, session uint64
}

func (h ringHeader) unit(shard int) tick.Unit {
	u := tick.Unit{word0(ringMagic, shard), uint64(h.identity), h.units, h.boot, h.session}
	seal(&u)
	return u
}

// ringImage is a copy of a ring as it was found.
type ringImage struct {
	header   ringHeader
	headerOK bool
	blank    bool // the header is zeros: it was never made ready
	short    bool // the file was longer when the header was written
	appended uint64
	units    []tick.Unit
	frames   []frame // whole ones, by position
	buffer   []tick.Unit
}

// readRing takes a loaded ring apart; nil if it is none. identity is the log's,
// 0 if only the ring may know it.
func readRing(all []tick.Unit, shard int, identity Identity) *ringImage {
	n := len(all) - ringPage
	if n < 1 || n&(n-1) != 0 {
		return nil
	}
	r := &ringImage{units: all[ringPage:]}
	h := &all[0]
	r.blank = *h == tick.Unit{}
	if sealed(h, ringMagic, shard) {
		r.header = ringHeader{identity: Identity(h[1]), units: h[2], boot: h[3], session: h[4]}
		if r.headerOK, r.short = h[2] == uint64(n), h[2] > uint64(n); r.headerOK {
			identity = r.header.identity
		}
	}
	// A kill between the two stores leaves them one batch apart.
	r.appended = min(all[ringCount][0], ^all[ringCount][1])
	framer := framer{identity: identity, shard: shard}
	for i := range r.units {
		u := &r.units[i]
		if u[3]&uint64(n-1) != uint64(i) {
			continue
		}
		if size := framer.claims(u, u[3]); size > 0 && size <= n {
			if is, ok := framer.check(r.at(u[3], size)); ok {
				r.frames = append(r.frames, is)
			}
		}
	}
	slices.SortFunc(r.frames, func(a, b frame) int {
		if a.position < b.position {
			return -1
		}
		return 1 // positions differ: they have different places or laps
	})
	return r
}

// at returns the units at a position; they are valid until the next call.
func (r *ringImage) at(position uint64, n int) []tick.Unit {
	i := int(position & uint64(len(r.units)-1))
	if i+n <= len(r.units) {
		return r.units[i : i+n]
	}
	r.buffer = append(append(r.buffer[:0], r.units[i:]...), r.units[:n-(len(r.units)-i)]...)
	return r.buffer
}

// frame finds the frame at a position.
func (r *ringImage) frame(position uint64) (frame, bool) {
	if r == nil {
		return frame{}, false
	}
	i, ok := slices.BinarySearchFunc(r.frames, position, func(f frame, p uint64) int {
		switch {
		case f.position < p:
			return -1
		case f.position > p:
			return 1
		}
		return 0
	})
	if !ok {
		return frame{}, false
	}
	return r.frames[i], true
}

// after returns the first frame behind a position.
func (r *ringImage) after(position uint64) (frame, bool) {
	if r != nil {
		for _, f := range r.frames {
			if f.position > position {
				return f, true
			}
		}
	}
	return frame{}, false
}

// end is where the last whole frame ends, 0 if there is none.
func (r *ringImage) end() uint64 {
	if r == nil || len(r.frames) == 0 {
		return 0
	}
	return r.frames[len(r.frames)-1].end
}
