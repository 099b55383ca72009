// Package state writes what a piece of the engine knows, and reads it back,
// by one description for both ways:
//
//	func (x *T) code(c *Coder) { c.Int64(&x.a); c.Bool(&x.b); List(c, &x.levels) }
//
//	Save: x ─► bytes of a snapshot        names and all: from them x goes on exactly
//	Load: bytes ─► x                      damaged bytes are an error, never a panic nor more memory than they can fill
//	Hash: x ─► bytes to be hashed         what is only a name is left out, or told by its place
//
// Numbers are little-endian; lists of plain values are copied as they lie in
// memory, like the packets of the log.
package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unsafe"
)

// ErrDamaged says that the bytes are no state. Recovery takes an older
// snapshot then.
var ErrDamaged = errors.New("the state is damaged, or of another build")

type mode uint8

const (
	saving mode = iota
	loading
	hashing
)

// Coder goes over a state, one way or the other. It is used again and again;
// the zero Coder saves. What it saves or hashes it only reads: several shards
// share their options.
type Coder struct {
	// Format, where not 0, is that of what is loaded; see Before.
	Format uint16

	mode  mode
	bytes []byte // written so far, or left to read
	err   error
	lines []uint16
}

// Save begins to append to dst, whose memory belongs to the coder until Bytes.
func (c *Coder) Save(dst []byte) { *c = Coder{bytes: dst, lines: c.lines[:0]} }

// Hash does so too, without names.
func (c *Coder) Hash(dst []byte) { *c = Coder{mode: hashing, bytes: dst, lines: c.lines[:0]} }

// Load begins to read src.
func (c *Coder) Load(src []byte) {
	*c = Coder{Format: c.Format, mode: loading, bytes: src, lines: c.lines[:0]}
}

// Before reports whether what is loaded lacks what a format brought.
func (c *Coder) Before(format uint16) bool {
	return c.mode == loading && c.Format != 0 && c.Format < format
}

// Loading reports whether values are read and not written.
func (c *Coder) Loading() bool { return c.mode == loading }

// Hashing reports whether names are left out.
func (c *Coder) Hashing() bool { return c.mode == hashing }

// Bytes returns what was written, or what is left to read.
func (c *Coder) Bytes() []byte { return c.bytes }

// Err is why the bytes are no state, nil so far.
func (c *Coder) Err() error { return c.err }

// End requires that all was read.
func (c *Coder) End() error {
	if c.mode == loading && len(c.bytes) > 0 {
		c.Fail("bytes behind the end")
	}
	return c.err
}

// Fail says that what was read cannot be. Everything behind reads as zero.
func (c *Coder) Fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrDamaged, what)
	}
	c.bytes = nil
}

// Require fails unless ok; it means something while loading alone.
func (c *Coder) Require(ok bool, what string) {
	if !ok && c.mode == loading {
		c.Fail(what)
	}
}

// take returns the next n bytes, nil behind the end.
func (c *Coder) take(n int) []byte {
	if len(c.bytes) < n {
		c.Fail("it ends too early")
		return nil
	}
	p := c.bytes[:n]
	c.bytes = c.bytes[n:]
	return p
}

// Uint64 codes eight bytes.
func (c *Coder) Uint64(v *uint64) {
	if c.mode != loading {
		c.bytes = binary.LittleEndian.AppendUint64(c.bytes, *v)
	} else if p := c.take(8); p != nil {
		*v = binary.LittleEndian.Uint64(p)
	} else {
		*v = 0
	}
}

// Int64 codes eight bytes.
func (c *Coder) Int64(v *int64) {
	u := uint64(*v)
	c.Uint64(&u)
	if c.mode == loading {
		*v = int64(u)
	}
}

// Int codes eight bytes.
func (c *Coder) Int(v *int) {
	u := uint64(*v)
	c.Uint64(&u)
	if c.mode == loading {
		*v = int(u)
	}
}

// Int64s codes several.
func (c *Coder) Int64s(all ...*int64) {
	for _, v := range all {
		c.Int64(v)
	}
}

// Uint64s codes several.
func (c *Coder) Uint64s(all ...*uint64) {
	for _, v := range all {
		c.Uint64(v)
	}
}

// Uint32 codes four bytes.
func (c *Coder) Uint32(v *uint32) {
	if c.mode != loading {
		c.bytes = binary.LittleEndian.AppendUint32(c.bytes, *v)
	} else if p := c.take(4); p != nil {
		*v = binary.LittleEndian.Uint32(p)
	} else {
		*v = 0
	}
}

// Uint16 codes two bytes.
func (c *Coder) Uint16(v *uint16) {
	if c.mode != loading {
		c.bytes = binary.LittleEndian.AppendUint16(c.bytes, *v)
	} else if p := c.take(2); p != nil {
		*v = binary.LittleEndian.Uint16(p)
	} else {
		*v = 0
	}
}

// Byte codes a byte of any name.
func Byte[T ~uint8](c *Coder, v *T) {
	if c.mode != loading {
		c.bytes = append(c.bytes, byte(*v))
	} else if p := c.take(1); p != nil {
		*v = T(p[0])
	} else {
		*v = 0
	}
}

// Enum codes one that is last at most.
func Enum[T ~uint8](c *Coder, v *T, last T) {
	Byte(c, v)
	if c.mode == loading && *v > last {
		c.Fail("a value that none has")
		*v = 0
	}
}

// Bool codes a truth.
func (c *Coder) Bool(v *bool) {
	var b byte
	if *v {
		b = 1
	}
	Enum(c, &b, 1)
	if c.mode == loading {
		*v = b == 1
	}
}

// Bools codes several.
func (c *Coder) Bools(all ...*bool) {
	for _, v := range all {
		c.Bool(v)
	}
}

// Len codes the length of a list whose elements take at least so many bytes
// each, and returns it. A length that the bytes cannot hold, or above most, is
// damage, seen before anything is built from it.
func (c *Coder) Len(n, elementBytes, most int) int {
	u := uint32(n)
	c.Uint32(&u)
	if c.mode == loading && (uint64(u)*uint64(elementBytes) > uint64(len(c.bytes)) || uint64(u) > uint64(most)) {
		c.Fail("a list longer than can be")
		return 0
	}
	return int(u)
}

// Plain codes values without pointers, padding and truths as they lie in
// memory. It is what makes a book of thousands of levels cost a copy.
func Plain[T any](c *Coder, s []T) {
	if len(s) == 0 {
		return
	}
	view := unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0])))
	if c.mode != loading {
		c.bytes = append(c.bytes, view...)
	} else {
		copy(view, c.take(len(view)))
	}
}

// Ring codes the newest values of a ring, oldest first and not by where they
// lie: next counts all that were ever put, the newest at (next-1) modulo the
// ring's size. What is loaded begins at the ring's beginning.
func Ring[T any](c *Coder, ring []T, next *uint64) {
	var one T
	size := uint64(len(ring))
	n := c.Len(int(min(*next, size)), int(unsafe.Sizeof(one)), len(ring))
	if c.Loading() {
		*next = uint64(n)
	}
	oldest := int((*next - uint64(n)) % size)
	first := min(n, len(ring)-oldest)
	Plain(c, ring[oldest:oldest+first])
	Plain(c, ring[:n-first])
}

// List codes a list of plain values, most at most.
func List[T any](c *Coder, s *[]T, most int) {
	var element T
	n := c.Len(len(*s), int(unsafe.Sizeof(element)), most)
	if c.mode == loading {
		*s = slices.Grow((*s)[:0], n)[:n]
	}
	Plain(c, *s)
}

// Part is a piece that codes itself.
type Part interface {
	AppendState(dst []byte) []byte
	LoadState(src []byte) (rest []byte, err error)
}

// Part codes it.
func (c *Coder) Part(x Part) {
	if c.mode != loading {
		c.bytes = x.AppendState(c.bytes)
		return
	}
	if c.err != nil {
		return
	}
	rest, err := x.LoadState(c.bytes)
	if err != nil {
		c.Fail(err.Error())
		return
	}
	c.bytes = rest
}

// NameLines gives the lines that Line tells by their places.
func (c *Coder) NameLines(count int, line func(i int) uint16) {
	c.lines = c.lines[:0]
	if c.mode == hashing {
		for i := range count {
			c.lines = append(c.lines, line(i))
		}
	}
}

// Line codes the number of a line. It is a name, which a capture gives anew: in
// a hash its place stands.
func (c *Coder) Line(v *uint16) {
	if c.mode != hashing {
		c.Uint16(v)
		return
	}
	c.bytes = append(c.bytes, byte(slices.Index(c.lines, *v)))
}
