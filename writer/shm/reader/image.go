package reader

import "tickproc/writer/shm/layout"

// Image is how an instrument stands: for who joins late, or lost messages, or
// wants to know the newest only.
//
// A book is the venue's while Valid is set. Bids and Asks are its best levels, of
// BidTotal and AskTotal. Who wants to follow it from here takes an image after
// Ring.Join, passes over the instrument's messages before Position, and applies
// its depth messages: the best levels then are right as far down as the image
// went, less those that have gone since. A depth message with Whole brings all
// levels.
type Image struct {
	Instrument              uint32
	Position                uint64 // messages of the ring before it are in the image
	Valid                   bool
	Reason                  Reason // why not
	PriceDigits, SizeDigits uint8  // of Bids and Asks
	ReceiveNanos            int64  // of the shard's last packet
	OffsetNanos             int64  // the venue's clock minus ours
	DepthNanos              int64  // event time of the last good depth
	LastID                  uint64
	BidTotal, AskTotal      int
	Bids, Asks              []Level
	// The last quote and trade, at the digits that they came with; Nanos is 0
	// where there was none.
	Quote                             Quote
	QuoteNanos                        int64
	QuotePriceDigits, QuoteSizeDigits uint8
	Trade                             Trade
	TradeNanos                        int64
	TradePriceDigits, TradeSizeDigits uint8

	words []uint64
}

// Image reads the newest image of an instrument into x, whose slices it uses
// again; false if there is none, or the writer stands still in the middle of it,
// and then x is as it was.
func (r *Reader) Image(id uint32, x *Image) bool {
	if int64(id) >= int64(r.capacity) {
		return false
	}
	if len(x.words) != r.imageN {
		x.words = make([]uint64, r.imageN)
	}
	w := x.words
	at := r.images + int(id)*r.imageN
	if !locked(w, r.words[at:at+r.imageN]) {
		return false
	}
	head := w[layout.ImHead]
	x.Instrument, x.Position, x.Valid, x.Reason = uint32(head>>32), w[layout.ImPosition], head&layout.ImageValid != 0, Reason(head>>8)
	x.PriceDigits, x.SizeDigits = uint8(head>>16), uint8(head>>24)
	x.ReceiveNanos, x.OffsetNanos, x.DepthNanos, x.LastID = int64(w[layout.ImReceive]), int64(w[layout.ImOffset]), int64(w[layout.ImDepthTs]), w[layout.ImLastID]
	x.BidTotal, x.AskTotal = int(uint32(w[layout.ImTotals])), int(w[layout.ImTotals]>>32)
	x.Bids = levels(x.Bids, w[layout.ImHeadWords:], min(int(w[layout.ImLevels]&0xffff), r.levels))
	x.Asks = levels(x.Asks, w[layout.ImHeadWords+2*r.levels:], min(int(w[layout.ImLevels]>>16&0xffff), r.levels))
	q, t := w[layout.ImQuoteHead:], w[layout.ImTradeHead:]
	x.Quote, x.QuoteNanos, x.QuotePriceDigits, x.QuoteSizeDigits = quoteOf(q), int64(q[1]), uint8(q[0]>>16), uint8(q[0]>>24)
	x.Trade, x.TradeNanos, x.TradePriceDigits, x.TradeSizeDigits = tradeOf(t), int64(t[1]), uint8(t[0]>>16), uint8(t[0]>>24)
	return true
}

func levels(to []Level, from []uint64, n int) []Level {
	to = to[:0]
	for i := range n {
		to = append(to, Level{int64(from[2*i]), int64(from[2*i+1])})
	}
	return to
}
