package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A record is a batch as it lies in a segment, in little endian:
//
//	magic 4 | version 2 | marks 2 | identity 8 | offset 8 | payload bytes 4 | name bytes 2, 0 2 |
//	meta bytes 4 | rows 4 | oldest 8 | payload CRC 4, 0 4 | 0 4 | head CRC 4
//	name | marks: shard 2, epoch 8, position 8 | meta
//	payload
//
// Both sums are CRC32C. The head's covers everything before the payload, and so
// the payload's sum; the payload's covers the identity and the offset as well.
// So a head can be trusted without reading the payload, a batch that was damaged
// can still say what was in it, and a block that lies in a wrong place, or comes
// of another spool, is no record.

const (
	recordVersion = 1
	headBytes     = 64
	markBytes     = 18

	payloadMax = 1 << 30
	metaMax    = 64 << 20
	nameMax    = 255
)

var recordMagic = [4]byte{'T', 'P', 'S', 'R'}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errNoRecord: the bytes are no record of this place.
var errNoRecord = errors.New("no record")

// Mark is a place in a shard's log.
type Mark struct {
	Epoch    uint64
	Position uint64 // units
}

// Before reports that m is the earlier place.
func (m Mark) Before(o Mark) bool {
	return m.Epoch < o.Epoch || m.Epoch == o.Epoch && m.Position < o.Position
}

// ShardMark says that all rows of a shard's log up to Mark are there.
type ShardMark struct {
	Shard uint16
	Mark
}

// head is what stands before a record's payload.
type head struct {
	identity     uint64
	offset       int64
	rows         int
	payloadBytes int
	payloadSum   uint32
	oldestNanos  int64
	name         string
	marks        []ShardMark
	meta         []byte // aliases the bytes it was read from
	bytes        int    // of the head with name, marks and meta
}

func (h *head) end() int64 { return h.offset + int64(h.bytes) + int64(h.payloadBytes) }

// payloadSum covers the place, so that a payload is good there alone.
func payloadSum(identity uint64, offset int64, payload []byte) uint32 {
	var place [16]byte
	binary.LittleEndian.PutUint64(place[0:], identity)
	binary.LittleEndian.PutUint64(place[8:], uint64(offset))
	return crc32.Update(crc32.Update(0, castagnoli, place[:]), castagnoli, payload)
}

// headLength is how long the head of such a record is.
func headLength(name string, marks []ShardMark, meta []byte) int {
	return headBytes + len(name) + markBytes*len(marks) + len(meta)
}

// appendHead appends everything of a record but its payload.
func appendHead(dst []byte, h *head) []byte {
	if len(h.name) > nameMax || len(h.marks) > 1<<16-1 || len(h.meta) > metaMax || h.payloadBytes > payloadMax {
		panic(fmt.Sprintf("BUG: a record too large: name %d, marks %d, meta %d, payload %d bytes", len(h.name), len(h.marks), len(h.meta), h.payloadBytes))
	}
	start := len(dst)
	var fixed [headBytes]byte
	le := binary.LittleEndian
	copy(fixed[0:], recordMagic[:])
	le.PutUint16(fixed[4:], recordVersion)
	le.PutUint16(fixed[6:], uint16(len(h.marks)))
	le.PutUint64(fixed[8:], h.identity)
	le.PutUint64(fixed[16:], uint64(h.offset))
	le.PutUint32(fixed[24:], uint32(h.payloadBytes))
	le.PutUint16(fixed[28:], uint16(len(h.name)))
	le.PutUint32(fixed[32:], uint32(len(h.meta)))
	le.PutUint32(fixed[36:], uint32(h.rows))
	le.PutUint64(fixed[40:], uint64(h.oldestNanos))
	le.PutUint32(fixed[48:], h.payloadSum)
	dst = append(dst, fixed[:]...)
	dst = append(dst, h.name...)
	for _, m := range h.marks {
		dst = le.AppendUint16(dst, m.Shard)
		dst = le.AppendUint64(dst, m.Epoch)
		dst = le.AppendUint64(dst, m.Position)
	}
	dst = append(dst, h.meta...)
	le.PutUint32(dst[start+60:], headSum(dst[start:]))
	return dst
}

// headSum covers the head with its own sum left out.
func headSum(b []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, b[:60]), castagnoli, b[headBytes:])
}

// readLengths returns how long the head at the start of b is, by its fixed
// part alone, which nothing has proved yet.
func readLengths(b []byte) (headLen int, ok bool) {
	le := binary.LittleEndian
	if len(b) < headBytes || [4]byte(b[0:4]) != recordMagic || le.Uint16(b[4:]) != recordVersion {
		return 0, false
	}
	name, marks, meta := int(le.Uint16(b[28:])), int(le.Uint16(b[6:])), int(le.Uint32(b[32:]))
	if name > nameMax || meta > metaMax || le.Uint32(b[24:]) > payloadMax {
		return 0, false
	}
	return headBytes + name + markBytes*marks + meta, true
}

// readHead reads the head at the start of b, which must be all of it or more.
// The head is right if there is no error; the payload is not looked at.
func readHead(b []byte) (h head, err error) {
	n, ok := readLengths(b)
	if !ok || len(b) < n {
		return head{}, errNoRecord
	}
	le := binary.LittleEndian
	if le.Uint32(b[60:]) != headSum(b[:n]) || le.Uint16(b[30:]) != 0 || le.Uint32(b[52:]) != 0 || le.Uint32(b[56:]) != 0 {
		return head{}, errNoRecord
	}
	h = head{identity: le.Uint64(b[8:]), offset: int64(le.Uint64(b[16:])), payloadBytes: int(le.Uint32(b[24:])), rows: int(le.Uint32(b[36:])),
		oldestNanos: int64(le.Uint64(b[40:])), payloadSum: le.Uint32(b[48:]), bytes: n}
	at := headBytes
	h.name = string(b[at : at+int(le.Uint16(b[28:]))])
	at += len(h.name)
	for range le.Uint16(b[6:]) {
		h.marks = append(h.marks, ShardMark{le.Uint16(b[at:]), Mark{le.Uint64(b[at+2:]), le.Uint64(b[at+10:])}})
		at += markBytes
	}
	h.meta = b[at:n:n]
	return h, nil
}
