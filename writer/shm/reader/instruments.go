package reader

import (
	"encoding/binary"
	"iter"
	"sync/atomic"

	"tickproc/writer/shm/layout"
)

// Number is Mantissa / 10^Digits.
type Number struct {
	Mantissa int64
	Digits   uint8
}

// Instrument is one symbol of one venue.
type Instrument struct {
	ID                                     uint32
	Shard                                  int // the ring that its messages are in
	Venue, Symbol, Base, Quote, Underlying string
	Type                                   InstrumentType
	Inverse                                bool
	State                                  State
	Channels                               uint8 // bits, see ChannelName
	Truncate                               int   // levels a side that the venue tells of: forget those beyond after each depth message; 0 = keep all
	PriceDigits, SizeDigits                uint8 // at the beginning; messages and images say their own
	Tick, Lot, ContractSize                Number
	ExpiryNanos                            int64
}

// readTries bounds the attempts to read what the writer is writing: who holds a
// read for ever must not hold the reader too.
const readTries = 1000

// locked copies words that are guarded by their first one, and reports whether
// there is anything; not ok too where the writer died while writing.
func locked(to, from []uint64) bool {
	for range readTries {
		before := atomic.LoadUint64(&from[0])
		if before == 0 {
			return false
		}
		if before&1 != 0 {
			continue
		}
		for i := range to {
			to[i] = atomic.LoadUint64(&from[i])
		}
		if atomic.LoadUint64(&from[0]) == before {
			return true
		}
	}
	return false
}

// Instrument reads an entry; false if there is none.
func (r *Reader) Instrument(id uint32) (in Instrument, ok bool) {
	if int64(id) >= int64(r.capacity) {
		return in, false
	}
	var words [layout.InstrumentSize / 8]uint64
	at := r.instruments + int(id)*len(words)
	if !locked(words[:], r.words[at:at+len(words)]) {
		return in, false
	}
	b := bytesOf(words[:])
	text := func(at, n int) string { return textOf(b[at : at+n]) }
	i64 := func(at int) int64 { return int64(u64(b, at)) }
	return Instrument{ID: id, Shard: int(binary.LittleEndian.Uint16(b[layout.InShard:])),
		Venue: text(layout.InVenue, layout.InTextBytes), Symbol: text(layout.InSymbol, layout.InSymbolBytes),
		Base: text(layout.InBase, layout.InTextBytes), Quote: text(layout.InQuote, layout.InTextBytes), Underlying: text(layout.InUnderlying, layout.InTextBytes),
		Type: InstrumentType(b[layout.InType]), Inverse: b[layout.InInverse] != 0, State: State(b[layout.InState]), Channels: b[layout.InChannels],
		Truncate: int(binary.LittleEndian.Uint16(b[layout.InTruncate:])), PriceDigits: b[layout.InPriceDigits], SizeDigits: b[layout.InSizeDigits],
		Tick: Number{i64(layout.InTick), b[layout.InTickDigits]}, Lot: Number{i64(layout.InLot), b[layout.InLotDigits]},
		ContractSize: Number{i64(layout.InContract), b[layout.InContractDig]}, ExpiryNanos: i64(layout.InExpiry)}, true
}

// Instruments are those that there are now, by id.
func (r *Reader) Instruments() iter.Seq[Instrument] {
	return func(yield func(Instrument) bool) {
		n := min(atomic.LoadUint64(&r.words[layout.DirInstruments/8]), uint64(r.capacity))
		for id := range n {
			if in, ok := r.Instrument(uint32(id)); ok && !yield(in) {
				return
			}
		}
	}
}
