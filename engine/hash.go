package engine

import (
	"encoding/binary"
	"hash/fnv"

	"tickproc/tick"
)

// StateHash is one number for everything that decides the shard's future:
// equal logs give equal hashes. Instruments are combined by addition, so that
// it depends neither on their ids nor on how they are spread over shards.
func (s *Shard) StateHash() uint64 {
	var sum uint64
	for _, in := range s.instruments {
		if in == nil {
			continue
		}
		h := fnv.New64a()
		h.Write([]byte(in.def.Venue + "\x00" + in.def.Symbol + "\x00"))
		h.Write(in.appendState(nil))
		sum += h.Sum64()
	}
	return sum
}

// appendState appends the canonical bytes of the instrument's state.
func (in *instrument) appendState(dst []byte) []byte {
	le := binary.LittleEndian
	dst = append(dst, in.priceDigits, in.sizeDigits)
	for i := range tick.AllChannels {
		c := &in.channels[i]
		dst = append(dst, flag(c.up), flag(c.gap.open), byte(c.gap.reason))
		dst = le.AppendUint64(dst, uint64(c.lastTs))
		dst = le.AppendUint64(dst, uint64(c.gap.ts))
	}
	dst = le.AppendUint64(dst, uint64(in.offset.nanos()))
	for _, v := range []int64{in.quote.bid.Price, in.quote.bid.Size, in.quote.ask.Price, in.quote.ask.Size, in.quote.lastTs, in.sample.ts, in.sample.lastTs} {
		dst = le.AppendUint64(dst, uint64(v))
	}
	dst = append(dst, flag(in.quote.written), flag(in.sample.pending), flag(in.sample.announced), flag(in.disabled))
	dst = in.ids.appendState(dst)
	dst = in.coverage.AppendState(dst)
	for _, x := range in.indicators {
		dst = x.AppendState(dst)
	}
	return in.sync.AppendState(dst)
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}
