package shm

import (
	"encoding/binary"
	"sync/atomic"

	"tickproc/internal/ordered"
	"tickproc/tick"
	"tickproc/writer/shm/layout"
)

// directory is the file that says what there is. Its header is the Writer's, an
// instrument's entry and image are its shard's.
type directory struct {
	bytes      []byte
	words      []uint64 // the same memory
	capacity   int
	imageWords int
	instrument int           // word of the first entry
	images     int           // word of the first image
	leftOut    atomic.Uint64 // as in the header, for when that is unmapped
}

// sizeOf says where the parts of a directory lie, and how large its file is.
func sizeOf(o *Options) (instrumentsAt, imagesAt, size int) {
	instrumentsAt = layout.DirHeaderBytes + o.Rings*layout.RingEntryBytes
	instrumentsAt = (instrumentsAt + 4095) &^ 4095
	imagesAt = instrumentsAt + o.Instruments*layout.InstrumentSize
	return instrumentsAt, imagesAt, imagesAt + o.Instruments*8*layout.ImageWords(o.Levels)
}

func newDirectory(o *Options, memory []byte, epoch uint64, now int64) *directory {
	instrumentsAt, imagesAt, size := sizeOf(o)
	d := &directory{bytes: memory, words: wordsOf(memory), capacity: o.Instruments, imageWords: layout.ImageWords(o.Levels),
		instrument: instrumentsAt / 8, images: imagesAt / 8}
	u32 := func(at int, v int) { binary.LittleEndian.PutUint32(memory[at:], uint32(v)) }
	u64 := func(at int, v uint64) { binary.LittleEndian.PutUint64(memory[at:], v) }
	u32(layout.DirVersion, layout.Version)
	u32(layout.DirHeaderSize, layout.DirHeaderBytes)
	u64(layout.DirEpoch, epoch)
	u64(layout.DirPid, uint64(o.Pid))
	u64(layout.DirBegun, uint64(now))
	u64(layout.DirHeartbeat, uint64(now))
	u64(layout.DirState, layout.StateRunning)
	u32(layout.DirRingCount, o.Rings)
	u32(layout.DirLevels, o.Levels)
	u32(layout.DirCapacity, o.Instruments)
	u32(layout.DirInstrumentSize, layout.InstrumentSize)
	u64(layout.DirRingsAt, layout.DirHeaderBytes)
	u64(layout.DirInstrumentsAt, uint64(instrumentsAt))
	u64(layout.DirImagesAt, uint64(imagesAt))
	u64(layout.DirImageSize, uint64(d.imageWords*8))
	u64(layout.DirFileSize, uint64(size))
	copy(memory[layout.DirInstance:layout.DirInstance+layout.DirInstanceBytes], o.Instance)
	for i := range o.Rings {
		entry := layout.DirHeaderBytes + i*layout.RingEntryBytes
		copy(memory[entry+layout.EntryRingName:], ringName(epoch, i))
		u64(entry+layout.EntryRingSlots, uint64(o.slots()))
		u64(entry+layout.EntryRingFile, uint64(ringBytes(o.slots())))
	}
	u64(layout.DirMagic, layout.DirectoryMagic)
	return d
}

// atomically views a word of the header.
func (d *directory) atomically(at int) *uint64 { return &d.words[at/8] }

// image returns the words of an instrument's image, nil where it has no room.
func (d *directory) image(id uint32) []uint64 {
	if int(id) >= d.capacity {
		return nil
	}
	at := d.images + int(id)*d.imageWords
	return d.words[at : at+d.imageWords]
}

// define writes an instrument's entry.
func (r *Ring) define(in *tick.Instrument) {
	d := r.directory
	if int(in.ID) >= d.capacity {
		n := uint64(int(in.ID) + 1 - d.capacity)
		raise(d.atomically(layout.DirLeftOut), n)
		for was := d.leftOut.Load(); n > was && !d.leftOut.CompareAndSwap(was, n); was = d.leftOut.Load() {
		}
		return
	}
	var entry [layout.InstrumentSize]byte
	u16 := func(at int, v uint16) { binary.LittleEndian.PutUint16(entry[at:], v) }
	u64 := func(at int, v int64) { binary.LittleEndian.PutUint64(entry[at:], uint64(v)) }
	binary.LittleEndian.PutUint32(entry[layout.InID:], in.ID)
	u16(layout.InShard, r.shard)
	entry[layout.InType] = uint8(in.Type)
	if in.Inverse {
		entry[layout.InInverse] = 1
	}
	entry[layout.InPriceDigits], entry[layout.InSizeDigits] = in.PriceDigits, in.SizeDigits
	entry[layout.InState], entry[layout.InChannels] = uint8(in.State), uint8(in.Channels)
	u16(layout.InTruncate, in.Sync.Truncate)
	entry[layout.InTickDigits], entry[layout.InLotDigits], entry[layout.InContractDig] = in.Tick.Digits, in.Lot.Digits, in.ContractSize.Digits
	u64(layout.InTick, in.Tick.Mantissa)
	u64(layout.InLot, in.Lot.Mantissa)
	u64(layout.InContract, in.ContractSize.Mantissa)
	u64(layout.InExpiry, in.ExpiryNanos)
	for _, f := range []struct {
		at, size int
		text     string
	}{{layout.InVenue, layout.InTextBytes, in.Venue}, {layout.InBase, layout.InTextBytes, in.Base}, {layout.InQuote, layout.InTextBytes, in.Quote},
		{layout.InUnderlying, layout.InTextBytes, in.Underlying}, {layout.InSymbol, layout.InSymbolBytes, in.Symbol}} {
		copy(entry[f.at:f.at+f.size], f.text)
	}
	at := d.instrument + int(in.ID)*layout.InstrumentSize/8
	to := d.words[at : at+layout.InstrumentSize/8]
	seq := to[0]
	ordered.StoreWord(&to[0], seq+1)
	storeWords(to[1:], wordsOf(entry[:])[1:])
	ordered.StoreWord(&to[0], seq+2)
	raise(d.atomically(layout.DirInstruments), uint64(in.ID)+1)
}

// raise makes a word that several shards write at least v.
func raise(word *uint64, v uint64) {
	for was := atomic.LoadUint64(word); v > was && !atomic.CompareAndSwapUint64(word, was, v); was = atomic.LoadUint64(word) {
	}
}
