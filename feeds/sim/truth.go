package sim

import (
	"sort"

	"tickproc/tick"
)

// TruthDepth is the number of levels a side that the truth keeps of a book.
const TruthDepth = 10

// Trade is one trade that happened, whether a client heard of it or not.
// Price and Size are scaled by the instrument's digits.
type Trade struct {
	ID          int64
	TimeMs      int64 // matching time, ms since the epoch, the venue's clock
	Price, Size int64
	Sell        bool // the aggressor sold
	// Delivered counts the undamaged frames with this trade that were wholly
	// written to a client which, as far as can be seen, read them.
	Delivered uint32
	// Doubtful counts those written to a client that then left before it
	// answered a later ping: it may have read them, or not.
	Doubtful uint32
}

// Quote is a best bid and offer that the venue told.
type Quote struct {
	ID       uint64
	TimeMs   int64
	Bid, Ask tick.Level
}

// image is the top of a book after an update id.
type image struct {
	id         uint64
	bids, asks [TruthDepth]tick.Level
	counts     [2]uint8
}

// Truth is what happened to one instrument, and who was told. It is a copy.
type Truth struct {
	Venue, Symbol           string
	PriceDigits, SizeDigits uint8
	Trades                  []Trade // by id, contiguous
	Quotes                  []Quote // by id
	// Forgotten counts trades older than Options.History that are not in Trades.
	Forgotten uint64
	// SubscribedMs is the first ms after a client first asked for each channel, in
	// tick.AllChannels' order, since the epoch, the venue's clock; 0 = never.
	SubscribedMs [tick.ChannelCount]int64
	images       []image
}

// BookAt returns the ten best levels a side right after an update id that
// ended a depth message or named a REST snapshot; ok is false for other ids
// and for those older than Options.History.
func (t *Truth) BookAt(id uint64) (bids, asks []tick.Level, ok bool) {
	i := sort.Search(len(t.images), func(i int) bool { return t.images[i].id >= id })
	if i == len(t.images) || t.images[i].id != id {
		return nil, nil, false
	}
	m := &t.images[i]
	return m.bids[:m.counts[0]], m.asks[:m.counts[1]], true
}

// QuoteAt returns the best bid and offer that the venue told under an update id.
func (t *Truth) QuoteAt(id uint64) (Quote, bool) {
	i := sort.Search(len(t.Quotes), func(i int) bool { return t.Quotes[i].ID >= id })
	if i == len(t.Quotes) || t.Quotes[i].ID != id {
		return Quote{}, false
	}
	return t.Quotes[i], true
}

// Oldest returns the first update id that BookAt knows, 0 for none.
func (t *Truth) Oldest() uint64 {
	if len(t.images) == 0 {
		return 0
	}
	return t.images[0].id
}

// record is the truth as it grows. owner: the venue's lock.
type record struct {
	trades       history[Trade]
	quotes       history[Quote]
	images       history[image]
	subscribedMs [tick.ChannelCount]int64
}

func (r *record) init(limit int) {
	r.trades.limit, r.quotes.limit, r.images.limit = limit, limit, limit
}

// note keeps what an event says.
func (r *record) note(e *event) {
	switch e.channel {
	case tick.ChannelTrades:
		r.trades.add(Trade{ID: e.tradeID, TimeMs: e.timeMs, Price: e.price, Size: e.size, Sell: e.sell})
	case tick.ChannelQuotes:
		r.quotes.add(Quote{ID: e.lastID, TimeMs: e.timeMs, Bid: e.bids[0], Ask: e.asks[0]})
	case tick.ChannelDepth:
		r.imageOf(e.symbol)
	}
}

// imageOf keeps the top of the book as it stands.
func (r *record) imageOf(s *symbol) {
	if last := r.images.last(); last != nil && last.id == s.updateID {
		return
	}
	m := image{id: s.updateID}
	m.counts[0] = uint8(len(s.bids.appendTop(m.bids[:0], TruthDepth)))
	m.counts[1] = uint8(len(s.asks.appendTop(m.asks[:0], TruthDepth)))
	r.images.add(m)
}

// trade finds a trade by id, nil if it was forgotten.
func (r *record) trade(id int64) *Trade {
	last := r.trades.last()
	if last == nil {
		return nil
	}
	return r.trades.back(int(last.ID - id))
}

func (s *symbol) truthNow() Truth {
	r := &s.truth
	return Truth{Venue: s.venue.name, Symbol: s.name, PriceDigits: s.priceDigits, SizeDigits: s.sizeDigits,
		Trades: r.trades.all(), Quotes: r.quotes.all(), Forgotten: r.trades.forgotten, SubscribedMs: r.subscribedMs, images: r.images.all()}
}

// history keeps the newest items up to a limit.
type history[T any] struct {
	items     []T
	start     int // of the oldest, once full
	limit     int
	forgotten uint64
}

func (h *history[T]) add(x T) {
	if len(h.items) < h.limit {
		h.items = append(h.items, x)
		return
	}
	h.items[h.start] = x
	h.start = (h.start + 1) % h.limit
	h.forgotten++
}

// back returns the item added n before the newest, nil if it is not there.
func (h *history[T]) back(n int) *T {
	if n < 0 || n >= len(h.items) {
		return nil
	}
	return &h.items[(h.start+len(h.items)-1-n)%len(h.items)]
}

func (h *history[T]) last() *T { return h.back(0) }

func (h *history[T]) all() []T {
	return append(append(make([]T, 0, len(h.items)), h.items[h.start:]...), h.items[:h.start]...)
}
