package engine

import (
	"slices"

	"tickproc/internal/state"
	"tickproc/tick"
)

// sampler writes the book table: the book after the last depth message before
// each boundary in event time, keyed by that message. It is written by the next
// message or by a timer, whichever is first, so that the row is the same
// however the packets were paced.
type sampler struct {
	every, grace int64
	depth        int

	pending  bool  // a message was applied since the last sample
	boundary int64 // the first boundary after the last message
	ts       int64 // of the last message
	seq      uint64
	source   tick.TimeSource
	receive  int64

	last      []tick.Level // levels of the last sample, bids first
	lastBids  int
	sampled   bool // since the book became valid
	announced bool // the last change of validity that was written
	shown     bool // the latest row by ts says valid
	lastTs    int64
	ord       ordinal
	top       []tick.Level // scratch, 2×depth
}

func (x *sampler) init(o *Options) {
	x.every, x.grace, x.depth = int64(o.BookEvery), int64(o.BookGrace), o.BookDepth
	x.top = make([]tick.Level, 2*o.BookDepth)
	x.last = make([]tick.Level, 0, 2*o.BookDepth)
	x.boundary = never
}

// due is the venue time at which the pending sample is written without a next message.
func (x *sampler) due() int64 {
	if !x.pending {
		return never
	}
	return x.boundary + x.grace
}

// note notes the last message, and reports whether a sample may be due earlier
// than before.
func (x *sampler) note(ts int64, source tick.TimeSource, d *tick.Depth) (earlier bool) {
	if !x.pending || uint64(x.boundary-ts-1) >= uint64(x.every) { // else a division would say the same
		x.pending, earlier = true, true
		x.boundary = ts - ts%x.every + x.every
	}
	x.ts, x.source, x.seq, x.receive = ts, source, d.LastID, d.ReceiveNanos
	return earlier
}

// writeSample writes the pending sample unless nothing changed since the last.
func (in *instrument) writeSample() {
	x := &in.sample
	if !x.pending {
		return
	}
	x.pending = false
	bids := in.sync.Book.Bids.CopyBest(x.top[:x.depth])
	asks := in.sync.Book.Asks.CopyBest(x.top[bids : bids+x.depth])
	top := x.top[:bids+asks]
	if x.sampled && bids == x.lastBids && slices.Equal(top, x.last) {
		return
	}
	x.last, x.lastBids, x.sampled = append(x.last[:0], top...), bids, true
	in.appendBookRow(true, x.ts, x.seq, x.source, x.receive, top, bids)
}

// flushSample writes a sample that waited for its boundary: the book will not
// be there when the boundary comes.
func (in *instrument) flushSample() {
	in.writeSample()
	in.sample.sampled = false
}

// writeBook writes a row for a change of validity. Its time is ours, and its
// key can meet no sample's.
func (in *instrument) writeBook(valid bool) {
	x := &in.sample
	bids := in.sync.Book.Bids.CopyBest(x.top[:x.depth])
	asks := in.sync.Book.Asks.CopyBest(x.top[bids : bids+x.depth])
	in.appendBookRow(valid, in.invalidTime(x.lastTs), 0, tick.TimeEstimate, in.shard.now, x.top[:bids+asks], bids)
}

func (in *instrument) appendBookRow(valid bool, ts int64, seq uint64, source tick.TimeSource, receive int64, levels []tick.Level, bids int) {
	s, x := in.shard, &in.sample
	var p []tick.Unit
	s.rows, p = tick.AppendUnits(s.rows, tick.DepthUnits(len(levels)))
	r := p[0].BookRow()
	r.Kind, r.Instrument, r.TsNanos, r.ReceiveNanos = tick.RowBook, in.def.ID, ts, receive
	r.PriceDigits, r.SizeDigits = in.priceDigits, in.sizeDigits
	r.Source, r.Seq, r.Ord = source, seq, x.ord.of(source, ts, seq)
	r.Bids, r.LevelCount = uint16(bids), uint16(len(levels))
	if valid {
		r.Flags |= tick.RowValid
	}
	copy(tick.RowLevels(p), levels)
	if ts >= x.lastTs {
		x.lastTs, x.shown = ts, valid
	}
}

// code codes what is sampled; how often and how deep the options say.
func (x *sampler) code(c *state.Coder) {
	c.Bools(&x.pending, &x.sampled, &x.announced, &x.shown)
	state.Enum(c, &x.source, tick.TimeEstimate)
	c.Int64s(&x.boundary, &x.ts, &x.receive, &x.lastTs)
	c.Uint64(&x.seq)
	state.List(c, &x.last, 2*x.depth)
	c.Int(&x.lastBids)
	x.ord.code(c)
}
