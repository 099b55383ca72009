package journal

import (
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"unsafe"

	"tickproc/tick"
)

// A frame is one batch: a header unit, then the packets. Words of the header:
//
//	0  magic 32 bits | format version 16 | shard 16
//	1  sequence: number of the batch, from 1
//	2  units of the packets 32 | packets 32
//	3  position of this unit
//	4  receive time of the first packet, ns
//	5  synced: up to where the log was on disk when the batch was appended
//	6  CRC of the frame before: a batch of another history does not join
//	7  CRC32C of the header, with the log's identity in this word, and packets
//
// Numbers are in the machine's order, as those of the packets are.
const (
	frameMagic = 0x4d524654 // "TFRM"
	version    = 1

	// unitBytes is the unit of all positions.
	unitBytes = tick.UnitSize

	// MaxBatchUnits bounds the packets of one batch: a header that claims more
	// is damaged.
	MaxBatchUnits = 1 << 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Identity names a log: random, made with it.
type Identity uint64

func (id Identity) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// MarshalText writes 16 hexadecimal digits: JSON's numbers end at 2^53.
func (id Identity) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *Identity) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != 8 {
		return fmt.Errorf("identity %q is not 16 hexadecimal digits", text)
	}
	*id = 0
	for _, x := range b {
		*id = *id<<8 | Identity(x)
	}
	return nil
}

// bytesOf views units as bytes.
func bytesOf(units []tick.Unit) []byte {
	if len(units) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&units[0])), len(units)*unitBytes)
}

func word0(magic uint32, shard int) uint64 {
	return uint64(magic) | version<<32 | uint64(uint16(shard))<<48
}

// framer makes and checks the frames of one log. The scratch units lie in it
// because what is handed to the CRC would otherwise be allocated: a header, and
// room for the packets of most batches, so that one call takes both.
type framer struct {
	identity Identity
	shard    int
	scratch  [1 + scratchPackets]tick.Unit
}

const scratchPackets = 7

// sum is the CRC of a frame whose header, but for word 7, is in scratch.
func (f *framer) sum(packets []tick.Unit) uint32 {
	f.scratch[0][7] = uint64(f.identity)
	if n := len(packets); n <= scratchPackets {
		copy(f.scratch[1:], packets)
		return crc32.Update(0, castagnoli, unsafe.Slice((*byte)(unsafe.Pointer(&f.scratch)), (1+n)*unitBytes))
	}
	crc := crc32.Update(0, castagnoli, unsafe.Slice((*byte)(unsafe.Pointer(&f.scratch)), unitBytes))
	return crc32.Update(crc, castagnoli, bytesOf(packets))
}

// claims says how many units, header included, the frame takes whose header u
// would be, at the position; 0 if u is none.
func (f *framer) claims(u *tick.Unit, position uint64) int {
	if u[0] != word0(frameMagic, f.shard) || u[3] != position || u[7]>>32 != 0 {
		return 0
	}
	if n := uint32(u[2]); n >= 1 && n <= MaxBatchUnits {
		return 1 + int(n)
	}
	return 0
}

// frame is what a checked header says.
type frame struct {
	position, end     uint64
	sequence          uint64
	synced            uint64
	packets           uint64
	firstNanos, nanos int64 // receive time of the first and last packet
	link, crc         uint32
	_                 uint32
}

// check says whether a frame that claims its place is whole and what it holds.
func (f *framer) check(units []tick.Unit) (frame, bool) {
	h := &units[0]
	f.scratch[0] = *h
	if f.sum(units[1:]) != uint32(h[7]) {
		return frame{}, false
	}
	is := frame{
		position: h[3], end: h[3] + uint64(len(units)), sequence: h[1], synced: h[5], packets: h[2] >> 32,
		firstNanos: int64(h[4]), link: uint32(h[6]), crc: uint32(h[7]),
	}
	// A reader walks the packets without asking again where they end.
	packets, last, ok := walk(units[1:])
	if !ok || packets != is.packets {
		return frame{}, false
	}
	is.nanos = units[1+last].Header().ReceiveNanos
	return is, true
}

// walk counts the packets of a batch and says where the last one begins; ok is
// false if they do not end where the units do.
func walk(units []tick.Unit) (packets uint64, last int, ok bool) {
	at := 0
	for at < len(units) {
		n := tick.PacketUnits(&units[at])
		if n == 0 {
			return 0, 0, false
		}
		packets++
		last = at
		at += n
	}
	return packets, last, at == len(units) && packets > 0
}

// seal closes a unit that stands alone (headers of files) with a CRC.
func seal(u *tick.Unit) {
	u[7] = uint64(crc32.Checksum(bytesOf(unsafe.Slice(u, 1))[:unitBytes-8], castagnoli))
}

// sealed says whether seal made the unit what it is, for the magic and shard.
func sealed(u *tick.Unit, magic uint32, shard int) bool {
	return u[0] == word0(magic, shard) && u[7] == uint64(crc32.Checksum(bytesOf(unsafe.Slice(u, 1))[:unitBytes-8], castagnoli))
}
