package engine

import (
	"time"

	"tickproc/book"
	"tickproc/tick"
)

// Follower is told what a shard makes of each batch as soon as it is applied,
// before the writer is. The driver's goroutine calls it.
type Follower interface {
	// Rows takes what the shard said, in order: the rows of the tables, catalog
	// packets, and RowDepth and RowValidity, which no table has. Who applies every
	// RowDepth has the shard's book whenever the last RowValidity says valid. The
	// memory is the shard's.
	Rows(rows []tick.Unit)
	// Image takes how an instrument stands after all rows so far, for each that was
	// touched: when nothing else is to be done, or imagesToldEvery later. x and the
	// sides are the shard's.
	Image(x *Image, bids, asks *book.Side)
	// End comes after the last image: every instrument has one of now.
	End()
}

// imagesToldEvery is how long, in receive time, images may wait while packets do:
// they are for who joins, and cost more than most messages.
const imagesToldEvery = int64(time.Millisecond)

// told is what a follower knows of an instrument's book.
type told struct {
	whole     bool   // it has the levels, as of the snapshot that was applied last
	snapshots uint64 // applied until then: another number is another book
	said      bool   // a RowValidity
	valid     bool
	reason    tick.Reason
}

// follow begins to tell a follower, first what there is: part of it waits for
// the next TakeRows. It decides nothing of the state, nor of the rows of
// tables.
func (s *Shard) follow(f Follower) {
	s.follows = true
	for _, in := range s.instruments {
		if in == nil {
			continue
		}
		catalog, err := tick.AppendCatalog(nil, tick.Header{ReceiveNanos: s.now}, in.def)
		if err != nil {
			panic("BUG: a catalog record did not fit its own size")
		}
		f.Rows(catalog)
		if in.def.Channels.Has(tick.ChannelDepth) {
			in.tellBook()
		}
		s.touch(in)
	}
}

// touch notes that a follower's image of the instrument is old.
func (s *Shard) touch(in *instrument) {
	if !in.touched {
		in.touched = true
		s.touched = append(s.touched, in)
	}
}

// tellImages tells how the instruments stand that were touched since the last time.
//
// hot: 0 allocs.
func (s *Shard) tellImages(f Follower, x *Image) {
	for _, in := range s.touched {
		in.touched = false
		in.image(x)
		f.Image(x, &in.sync.Book.Bids, &in.sync.Book.Asks)
	}
	s.touched = s.touched[:0]
	f.End()
}

// tell tells the follower of rows, and returns those of the tables.
func (d *Driver) tell(rows []tick.Unit) []tick.Unit {
	if len(rows) > 0 {
		d.Follower.Rows(rows)
	}
	if d.Shard.Now() >= d.imagesToldAt {
		d.tellImages()
	}
	return forTables(rows)
}

// tellImages is also for when there is nothing else to do.
func (d *Driver) tellImages() {
	if d.Follower != nil {
		d.imagesToldAt = d.Shard.Now() + imagesToldEvery
		d.Shard.tellImages(d.Follower, &d.toldImage)
	}
}

// forTables leaves out, in place, what only a follower is told.
func forTables(rows []tick.Unit) []tick.Unit {
	kept := 0
	for rest := rows; len(rest) > 0; {
		n := tick.PacketUnits(&rest[0])
		if k := rest[0].KindOf(); k != tick.RowDepth && k != tick.RowValidity {
			kept += copy(rows[kept:], rest[:n])
		}
		rest = rest[n:]
	}
	return rows[:kept]
}

// tellDelta tells a delta that the book took, unless all of it is to be told
// anyway.
func (in *instrument) tellDelta(d *tick.Depth, ts int64, source tick.TimeSource) {
	t := &in.told
	if !t.whole {
		return
	}
	const single = tick.FlagFirst | tick.FlagLast
	if t.snapshots != in.sync.Counts.SnapshotsApplied || d.Flags&single != single {
		t.whole = false
		return
	}
	r := in.depthRow(d.LastID, ts, d.ReceiveNanos, source, d.Levels())
	r.Bids = d.Bids
}

// tellBook tells how the book stands, if that is news: all of it before the word
// that it is valid.
func (in *instrument) tellBook() {
	t := &in.told
	valid, reason := in.standing()
	switch {
	case !valid:
		t.whole = false
	case !t.whole || t.snapshots != in.sync.Counts.SnapshotsApplied:
		in.tellWhole()
	}
	if t.said && valid == t.valid && reason == t.reason {
		return
	}
	t.said, t.valid, t.reason = true, valid, reason
	r := in.newRow(tick.RowValidity, in.venueNow()).ValidityRow()
	r.Source, r.Reason = tick.TimeEstimate, reason
	if valid {
		r.Flags |= tick.RowValid
	}
}

// tellWhole tells every level, best first, bids before asks.
func (in *instrument) tellWhole() {
	in.told.whole, in.told.snapshots = true, in.sync.Counts.SnapshotsApplied
	s, b := in.shard, &in.sync.Book
	bids, asks := b.Bids.Len(), b.Asks.Len()
	s.levels = append(s.levels[:0], make([]tick.Level, bids+asks)...)
	b.Bids.CopyBest(s.levels[:bids])
	b.Asks.CopyBest(s.levels[bids:])
	first := true
	for rest := s.levels; first || len(rest) > 0; first = false {
		n := min(len(rest), tick.MaxLevels)
		r := in.depthRow(in.sync.LastID(), in.depthTs, s.now, in.depthSource, rest[:n])
		r.Bids = uint16(min(n, bids))
		bids -= int(r.Bids)
		if rest = rest[n:]; len(rest) > 0 {
			r.Flags |= tick.RowMore
		}
		if first {
			r.Flags |= tick.RowWhole
		}
	}
}

func (in *instrument) depthRow(seq uint64, ts, receive int64, source tick.TimeSource, levels []tick.Level) *tick.BookRow {
	s := in.shard
	var p []tick.Unit
	s.rows, p = tick.AppendUnits(s.rows, tick.DepthUnits(len(levels)))
	r := p[0].BookRow()
	r.Kind, r.Instrument, r.TsNanos, r.ReceiveNanos = tick.RowDepth, in.def.ID, ts, receive
	r.PriceDigits, r.SizeDigits = in.priceDigits, in.sizeDigits
	r.Source, r.Seq, r.LevelCount = source, seq, uint16(len(levels))
	copy(tick.RowLevels(p), levels)
	return r
}
