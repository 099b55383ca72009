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
	dst = append(dst, in.priceDigits, in.sizeDigits, flag(in.disabled), flag(in.coarser), byte(in.def.Channels))
	for _, l := range in.lines {
		dst = le.AppendUint16(append(dst, l.priceDigits, l.sizeDigits), l.line)
	}
	for i := range tick.AllChannels {
		c := &in.channels[i]
		dst = append(dst, flag(len(in.firsts[i].lines) > 0), flag(c.gap.open), byte(c.gap.reason))
		dst = le.AppendUint64(dst, uint64(c.lastTs))
		dst = le.AppendUint64(dst, uint64(c.gap.ts))
		dst = le.AppendUint32(dst, c.gap.ord)
		dst = in.firsts[i].appendState(c.ord.appendState(dst))
	}
	if len(in.depthLines()) > 0 { // once all ended, their numbers decide nothing
		dst = le.AppendUint16(le.AppendUint16(dst, in.leader), in.depthLine)
	}
	o, q, x := &in.offset, &in.quote, &in.sample
	dst = append(dst, flag(o.seen), flag(o.hasOld), flag(q.written), flag(q.fromBook),
		flag(x.pending), flag(x.sampled), flag(x.announced), flag(x.shown), byte(x.source))
	for _, v := range []int64{in.silenceAt, in.doubtUntil, int64(in.deltaID), o.halfEnd, o.newest, o.older,
		q.bid.Price, q.bid.Size, q.ask.Price, q.ask.Size, q.lastTs, q.aheadSince, int64(q.aheadID),
		int64(q.differs), q.differSince, q.differTs, in.depthTs, int64(in.depthSource), in.answerBy, in.lineDue,
		x.boundary, x.ts, int64(x.seq), x.receive, x.lastTs, int64(x.lastBids), int64(len(x.last))} {
		dst = le.AppendUint64(dst, uint64(v))
	}
	for _, l := range x.last {
		dst = le.AppendUint64(le.AppendUint64(dst, uint64(l.Price)), uint64(l.Size))
	}
	dst = x.ord.appendState(q.ord.appendState(dst))
	dst = in.ids.appendState(dst)
	dst = in.coverage.AppendState(dst)
	for _, x := range in.indicators {
		dst = x.AppendState(dst)
	}
	for _, x := range in.standbys {
		dst = x.appendState(dst)
	}
	return in.sync.AppendState(dst)
}

func (o *ordinal) appendState(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(le.AppendUint64(dst, uint64(o.ts)), o.seq)
	return le.AppendUint32(le.AppendUint64(dst, uint64(o.estimate)), o.n)
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}
