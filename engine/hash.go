package engine

import (
	"hash/fnv"

	"tickproc/internal/state"
)

// StateHash is one number for everything that decides the shard's future:
// equal logs give equal hashes. Instruments are combined by addition, so that
// it depends neither on their ids nor on how they are spread over shards; nor
// does it on the numbers of lines.
func (s *Shard) StateHash() uint64 {
	var sum uint64
	var c state.Coder
	for _, in := range s.instruments {
		if in == nil {
			continue
		}
		h := fnv.New64a()
		h.Write([]byte(in.def.Venue + "\x00" + in.def.Symbol + "\x00"))
		c.Hash(c.Bytes()[:0])
		in.code(&c)
		h.Write(c.Bytes())
		sum += h.Sum64()
	}
	return sum
}
