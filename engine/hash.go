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
	dst = in.appendDerivative(dst)
	for i := range tick.AllChannels {
		c := &in.channels[i]
		dst = append(dst, flag(len(in.firsts[i].lines) > 0), flag(c.gap.open), byte(c.gap.reason))
		dst = le.AppendUint64(dst, uint64(c.lastTs))
		dst = le.AppendUint64(dst, uint64(c.leftTs))
		dst = le.AppendUint64(dst, uint64(c.gap.ts))
		dst = le.AppendUint32(dst, c.gap.ord)
		dst = in.firsts[i].appendState(c.ord.appendState(dst))
	}
	depth := &in.firsts[tick.ChannelDepth.Index()]
	dst = append(dst, byte(depth.place(in.leader)), byte(depth.place(in.depthLine)))
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
	dst = in.backfill.appendState(in.ids.appendState(dst))
	dst = in.coverage.AppendState(dst)
	for _, x := range in.indicators {
		dst = x.AppendState(dst)
	}
	for _, x := range in.standbys {
		dst = x.appendState(dst)
	}
	if in.group != nil {
		dst = in.appendGroup(dst)
	}
	return in.sync.AppendState(dst)
}

// appendGroup appends the contribution to the consolidated best bid and offer,
// and the group's own state with its first member.
func (in *instrument) appendGroup(dst []byte) []byte {
	le := binary.LittleEndian
	offered := func(x *offer) {
		dst = append(dst, x.priceDigits, x.sizeDigits)
		for _, v := range []int64{x.price, x.size, int64(x.arrival)} {
			dst = le.AppendUint64(dst, uint64(v))
		}
	}
	x, g := &in.contribution, in.group
	dst = le.AppendUint64(append(dst, flag(x.counts)), uint64(x.seenAt))
	offered(&x.bid)
	offered(&x.ask)
	if !in.leads() {
		return dst
	}
	offered(&g.shown.bid)
	offered(&g.shown.ask)
	dst = append(dst, flag(g.begun))
	for _, v := range []int64{int64(g.shown.bidder), int64(g.shown.asker), int64(g.shown.venues), int64(g.arrivals), g.writtenAt, g.pendingAt} {
		dst = le.AppendUint64(dst, uint64(v))
	}
	return g.ord.appendState(dst)
}

// appendDerivative appends what may change of the definition, and what
// derivatives have beside the market.
func (in *instrument) appendDerivative(dst []byte) []byte {
	le := binary.LittleEndian
	def, f, o := &in.def, &in.funding, &in.interest
	dst = append(dst, byte(def.State), byte(in.gone), flag(f.written), flag(o.written))
	for _, n := range []tick.Number{def.Tick, def.Lot, def.ContractSize} {
		dst = le.AppendUint64(append(dst, n.Digits), uint64(n.Mantissa))
	}
	for _, x := range []reference{f.mark, f.index, f.rate, o.size} {
		dst = le.AppendUint64(append(dst, x.digits, flag(x.told)), uint64(x.value))
	}
	dst = le.AppendUint64(le.AppendUint64(dst, uint64(def.ExpiryNanos)), uint64(f.nextNanos))
	for _, x := range []*ordinal{&f.ord, &o.ord, &in.liquidationOrd, &in.statusOrd} {
		dst = x.appendState(dst)
	}
	return dst
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
