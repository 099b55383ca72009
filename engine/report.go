package engine

import (
	"tickproc/book"
	"tickproc/tick"
)

// Report is the standing of one instrument, for replays and tests. It is read
// while the shard stands still.
type Report struct {
	Instrument              tick.Instrument
	PriceDigits, SizeDigits uint8
	Valid                   bool
	ChecksumAbsent          bool // as in Image
	ChecksumConstant        bool
	Reason                  tick.Reason // why not
	LastID                  uint64
	Bids, Asks              []tick.Level // best first, at most as many as asked for
	BidLevels, AskLevels    int
	Depth                   book.Counts
	Unsynced                uint64
	TopAgrees, TopDiffers   uint64
	OffsetNanos             int64
	Counts                  Counts
}

// Reports returns the standing of every instrument, by id, with the n best
// levels a side.
func (s *Shard) Reports(n int) []Report {
	var all []Report
	for _, in := range s.instruments {
		if in == nil {
			continue
		}
		state, reason := in.sync.State()
		b := &in.sync.Book
		r := Report{Instrument: in.def, PriceDigits: in.priceDigits, SizeDigits: in.sizeDigits,
			Valid: state == book.Valid, ChecksumAbsent: in.sync.ChecksumAbsent(), ChecksumConstant: in.sync.ChecksumConstant(),
			Reason: reason, LastID: in.sync.LastID(),
			Bids: make([]tick.Level, n), Asks: make([]tick.Level, n), BidLevels: b.Bids.Len(), AskLevels: b.Asks.Len(),
			Depth: in.sync.Counts, Unsynced: in.sync.Unsynced(),
			TopAgrees: in.sync.Quotes.Agreed, TopDiffers: in.sync.Quotes.Differed,
			OffsetNanos: in.offset.nanos(), Counts: in.counts}
		r.Bids = r.Bids[:b.Bids.CopyBest(r.Bids)]
		r.Asks = r.Asks[:b.Asks.CopyBest(r.Asks)]
		all = append(all, r)
	}
	return all
}
