package sim

import (
	"cmp"
	"slices"
	"sort"

	"tickproc/tick"
)

// TruthDepth is the number of levels a side that the truth keeps of a book.
const TruthDepth = 10

// Trade is one trade that happened, whether a client heard of it or not.
// Price and Size are scaled by the instrument's digits.
type Trade struct {
	ID          int64 // the market's: contiguous; Truth.TradeID has the venue's
	TimeNanos   int64 // matching time, ns since the epoch, the venue's clock
	Price, Size int64
	Sell        bool // the aggressor sold
	// Delivered counts the undamaged frames with this trade that were wholly
	// written to a client which, as far as can be seen, read them.
	Delivered uint32
	// Doubtful counts those written to a client that then left before it
	// answered a later ping, and REST answers: it may have read them, or not.
	Doubtful uint32
}

// Quote is a best bid and offer that the venue told.
type Quote struct {
	ID        uint64 // on the wire; 0 = none
	TimeNanos int64  // on the wire, ns since the epoch, the venue's clock; 0 = none
	Bid, Ask  tick.Level
}

// image is the top of a book under an id and a time.
type image struct {
	id         uint64
	nanos      int64
	bids, asks [TruthDepth]tick.Level
	counts     [2]uint8
}

// Truth is what happened to one instrument, and who was told. It is a copy;
// its methods are for one goroutine.
type Truth struct {
	Venue, Symbol           string
	PriceDigits, SizeDigits uint8
	Trades                  []Trade // by id, contiguous
	Quotes                  []Quote // by time
	References              []Reference
	OpenInterests           []OpenInterest
	Liquidations            []Liquidation
	Changes                 []Change
	// FirstReference and FirstInterest are those that no event told: snapshots
	// and REST may have.
	FirstReference Reference
	FirstInterest  OpenInterest
	// Forgotten counts trades older than Options.History that are not in Trades.
	Forgotten uint64
	// SubscribedNanos is the first time after a client first asked for each
	// channel, in tick.AllChannels' order, ns since the epoch, the venue's clock;
	// 0 = never.
	SubscribedNanos [tick.ChannelCount]int64

	images                 []image // in the order in which they were told
	byID, byAt             []int   // their places, in order; made when asked for
	quotesByID, quotesByAt []int
	dialect                Dialect
	instrument             *Instrument
}

// TradeID is a trade's id as the venue writes it.
func (t *Truth) TradeID(x *Trade) string { return t.dialect.TradeID(t.instrument, x.ID) }

// Book is the top of a book as the venue told it, best first.
type Book struct {
	ID         uint64
	TimeNanos  int64
	Bids, Asks []tick.Level
}

// Books returns the ten best levels a side of every book that the venue told
// under an id or, where the id is 0, at a time (ns, the venue's clock). Where
// ids begin anew after a restart, or times tie, there are several: what a
// client shows is one of them. A time beside an id, 0 for none, chooses among
// those of the id, if it is one of theirs. None: the id or the time is not one
// of the venue's, or older than Options.History.
func (t *Truth) Books(id uint64, nanos int64) []Book {
	if t.byID == nil {
		t.byID = sorted(len(t.images), func(a, b int) int { return cmp.Compare(t.images[a].id, t.images[b].id) })
		t.byAt = sorted(len(t.images), func(a, b int) int { return cmp.Compare(t.images[a].nanos, t.images[b].nanos) })
	}
	found := pick(id, nanos, t.byID, t.byAt, func(i int) (uint64, int64) { return t.images[i].id, t.images[i].nanos })
	var out []Book
	for _, i := range found {
		m := &t.images[i]
		out = append(out, Book{m.id, m.nanos, m.bids[:m.counts[0]], m.asks[:m.counts[1]]})
	}
	return out
}

// QuotesAt is Books for best bids and offers.
func (t *Truth) QuotesAt(id uint64, nanos int64) []Quote {
	if t.quotesByID == nil {
		t.quotesByID = sorted(len(t.Quotes), func(a, b int) int { return cmp.Compare(t.Quotes[a].ID, t.Quotes[b].ID) })
	}
	var out []Quote
	if id == 0 && t.quotesByAt == nil {
		t.quotesByAt = sorted(len(t.Quotes), func(a, b int) int { return cmp.Compare(t.Quotes[a].TimeNanos, t.Quotes[b].TimeNanos) })
	}
	for _, i := range pick(id, nanos, t.quotesByID, t.quotesByAt, func(i int) (uint64, int64) { return t.Quotes[i].ID, t.Quotes[i].TimeNanos }) {
		out = append(out, t.Quotes[i])
	}
	return out
}

// sorted returns the places 0 … n-1 in an order; equal ones stay in order.
func sorted(n int, order func(a, b int) int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	slices.SortStableFunc(out, order)
	return out
}

// pick returns the places with an id, or, with id 0, with a time.
func pick(id uint64, nanos int64, byID, byAt []int, key func(i int) (uint64, int64)) []int {
	if id == 0 {
		from := sort.Search(len(byAt), func(k int) bool { _, at := key(byAt[k]); return at >= nanos })
		to := sort.Search(len(byAt), func(k int) bool { _, at := key(byAt[k]); return at > nanos })
		return byAt[from:to]
	}
	from := sort.Search(len(byID), func(k int) bool { have, _ := key(byID[k]); return have >= id })
	to := sort.Search(len(byID), func(k int) bool { have, _ := key(byID[k]); return have > id })
	var exact []int
	for _, i := range byID[from:to] {
		if _, at := key(i); at == nanos {
			exact = append(exact, i)
		}
	}
	if exact != nil {
		return exact
	}
	return byID[from:to]
}

// BookAt returns the ten best levels a side of the book last told under an id;
// ok is false for ids that are not the venue's and those older than
// Options.History.
func (t *Truth) BookAt(id uint64) (bids, asks []tick.Level, ok bool) {
	all := t.Books(id, 0)
	if id == 0 || len(all) == 0 {
		return nil, nil, false
	}
	last := all[len(all)-1]
	return last.Bids, last.Asks, true
}

// QuoteAt returns the best bid and offer that the venue last told under an id.
func (t *Truth) QuoteAt(id uint64) (Quote, bool) {
	all := t.QuotesAt(id, 0)
	if id == 0 || len(all) == 0 {
		return Quote{}, false
	}
	return all[len(all)-1], true
}

// Oldest returns the id and the time of the first book that is remembered, 0
// for none.
func (t *Truth) Oldest() (id uint64, nanos int64) {
	if len(t.images) == 0 {
		return 0, 0
	}
	return t.images[0].id, t.images[0].nanos
}

// record is the truth as it grows. owner: the venue's lock.
type record struct {
	trades          history[Trade]
	quotes          history[Quote]
	images          history[image]
	references      history[Reference]
	openInterests   history[OpenInterest]
	liquidations    history[Liquidation]
	changes         history[Change]
	firstReference  Reference
	firstInterest   OpenInterest
	subscribedNanos [channelBits]int64
}

func (r *record) init(limit int) {
	r.trades.limit, r.quotes.limit, r.images.limit = limit, limit, limit
	r.references.limit, r.openInterests.limit, r.liquidations.limit, r.changes.limit = limit, limit, limit, limit
}

// note keeps what an event says; books and quotes only where their ids on the
// wire are the market's.
func (r *record) note(e *Event, ownIDs bool) {
	switch e.Channel {
	case tick.ChannelTrades:
		for _, t := range e.Trades {
			r.trades.add(t)
		}
	case tick.ChannelQuotes:
		if !ownIDs {
			r.quotes.add(Quote{ID: e.LastID, TimeNanos: e.TimeNanos, Bid: e.Bids[0], Ask: e.Asks[0]})
		}
	case tick.ChannelDepth:
		if !ownIDs {
			r.image(e.LastID, e.TimeNanos, &e.Instrument.bids, &e.Instrument.asks)
		}
	case tick.ChannelFunding:
		r.references.add(e.Reference)
	case tick.ChannelOpenInterest:
		r.openInterests.add(OpenInterest{e.TimeNanos, e.OpenInterest})
	case tick.ChannelLiquidations:
		r.liquidations.add(e.Liquidation)
	case ChannelStatus:
		r.changes.add(e.Change)
	}
}

// image keeps the top of a book, once if it is told again at once.
func (r *record) image(id uint64, nanos int64, bids, asks *side) {
	if last := r.images.last(); last != nil && last.id == id && last.nanos == nanos {
		return
	}
	m := image{id: id, nanos: nanos}
	m.counts[0] = uint8(len(bids.appendTop(m.bids[:0], TruthDepth)))
	m.counts[1] = uint8(len(asks.appendTop(m.asks[:0], TruthDepth)))
	r.images.add(m)
}

// imageOf is image for levels, best first.
func (r *record) imageOf(id uint64, nanos int64, bids, asks []tick.Level) {
	if last := r.images.last(); last != nil && last.id == id && last.nanos == nanos {
		return
	}
	m := image{id: id, nanos: nanos}
	m.counts[0] = uint8(copy(m.bids[:], bids))
	m.counts[1] = uint8(copy(m.asks[:], asks))
	r.images.add(m)
}

func (r *record) quote(q Quote) {
	if last := r.quotes.last(); last == nil || *last != q {
		r.quotes.add(q)
	}
}

// trade finds a trade by id, nil if it was forgotten.
func (r *record) trade(id int64) *Trade {
	last := r.trades.last()
	if last == nil {
		return nil
	}
	return r.trades.back(int(last.ID - id))
}

// rescale multiplies all prices.
func (r *record) rescale(by int64) {
	for i := range r.trades.items {
		r.trades.items[i].Price *= by
	}
	for i := range r.quotes.items {
		r.quotes.items[i].Bid.Price *= by
		r.quotes.items[i].Ask.Price *= by
	}
	for i := range r.images.items {
		m := &r.images.items[i]
		for j := range m.bids {
			m.bids[j].Price *= by
			m.asks[j].Price *= by
		}
	}
	for i := range r.liquidations.items {
		r.liquidations.items[i].Price *= by
	}
}

func (in *Instrument) truthNow() Truth {
	r := &in.truth
	t := Truth{Venue: in.market.name, Symbol: in.Name, PriceDigits: in.PriceDigits, SizeDigits: in.SizeDigits,
		Trades: r.trades.all(), Quotes: r.quotes.all(), References: r.references.all(), OpenInterests: r.openInterests.all(),
		Liquidations: r.liquidations.all(), Changes: r.changes.all(), FirstReference: r.firstReference, FirstInterest: r.firstInterest, Forgotten: r.trades.forgotten,
		images: r.images.all(), dialect: in.market.dialect, instrument: in}
	copy(t.SubscribedNanos[:], r.subscribedNanos[:])
	return t
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
