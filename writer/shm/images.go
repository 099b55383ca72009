package shm

import (
	"unsafe"

	"tickproc/book"
	"tickproc/internal/ordered"
	"tickproc/tick"
	"tickproc/writer/shm/layout"
)

// Standing is how an instrument's book stands.
type Standing struct {
	Instrument              uint32
	Valid                   bool
	Reason                  tick.Reason // why not
	PriceDigits, SizeDigits uint8
	ReceiveNanos            int64 // of the shard's last packet
	OffsetNanos             int64 // the venue's clock minus ours
	DepthNanos              int64 // event time of the last good depth
	LastID                  uint64
}

// Image shows how an instrument stands after the messages so far.
//
// hot: per batch and instrument, 0 allocs
func (r *Ring) Image(x *Standing, bids, asks *book.Side) {
	to := r.directory.image(x.Instrument)
	if to == nil {
		return
	}
	seq := to[layout.ImSeq]
	w := r.image
	w[layout.ImPosition] = r.next
	head := uint64(x.Reason)<<8 | uint64(x.PriceDigits)<<16 | uint64(x.SizeDigits)<<24 | uint64(x.Instrument)<<32
	if x.Valid {
		head |= layout.ImageValid
	}
	w[layout.ImHead], w[layout.ImReceive], w[layout.ImOffset] = head, uint64(x.ReceiveNanos), uint64(x.OffsetNanos)
	w[layout.ImLastID], w[layout.ImDepthTs] = x.LastID, uint64(x.DepthNanos)
	newest := &r.newest[x.Instrument]
	copy(w[layout.ImQuoteHead:], newest.quote[:])
	copy(w[layout.ImTradeHead:], newest.trade[:])
	n := len(r.levels)
	nb := bids.CopyBest(r.levels)
	putLevels(w[layout.ImHeadWords:], r.levels[:nb])
	na := asks.CopyBest(r.levels)
	putLevels(w[layout.ImHeadWords+2*n:], r.levels[:na])
	w[layout.ImLevels] = uint64(nb) | uint64(na)<<16
	w[layout.ImTotals] = uint64(bids.Len()) | uint64(asks.Len())<<32
	ordered.StoreWord(&to[layout.ImSeq], seq+1)
	storeWords(to[1:], w[1:])
	ordered.StoreWord(&to[layout.ImSeq], seq+2)
}

// putLevels copies levels as words: price, size, price, …
func putLevels(to []uint64, levels []tick.Level) {
	if len(levels) > 0 {
		copy(to, unsafe.Slice((*uint64)(unsafe.Pointer(&levels[0])), 2*len(levels)))
	}
}

// noteTrade keeps the message just made as the instrument's last trade, unless
// it is older: fetched ones come afterwards.
func (r *Ring) noteTrade(instrument uint32, ts int64) {
	if int(instrument) < len(r.newest) {
		if last := &r.newest[instrument].trade; ts >= int64(last[1]) {
			copy(last[:], r.message[:])
		}
	}
}

func (r *Ring) noteQuote(instrument uint32) {
	if int(instrument) < len(r.newest) {
		copy(r.newest[instrument].quote[:], r.message[:])
	}
}
