package sim

import (
	"hash/fnv"
	"slices"
	"sort"
	"time"

	"tickproc/tick"
)

// Symbol chooses an instrument of a simulated venue.
type Symbol struct {
	// Name in the venue's spelling, "BTCUSDT", "BTCUSD_PERP".
	Name string
	// Rate multiplies Options.Rate; 0 means 1. Small values make a quiet symbol.
	Rate float64
}

// Spec is what a venue's catalog says of an instrument, and how its market moves.
type Spec struct {
	Name, Base, Quote string
	// Alias is a second spelling, where the venue has one: a futures pair, the
	// name that REST uses.
	Alias        string
	Type         tick.InstrumentType
	Contract     string      // the venue's contract type
	Inverse      bool        // sizes are contracts worth ContractSize of the quote asset
	ContractSize tick.Number // a contract; 0 for spot
	ExpiryNanos  int64       // 0 = never
	// FundingEvery is the interval of a perpetual's funding; default 8 h.
	FundingEvery time.Duration
	// Digits of prices and sizes; all integers below are at them.
	PriceDigits, SizeDigits uint8
	Tick, Lot               int64
	Start                   int64 // first price, in ticks; at least 1000
	OrderLots               int64 // typical size of an order, in lots
	ReachBits               int   // orders stand up to 2^ReachBits ticks from the best
}

// NameHash is a number that depends on a name alone, for the parameters of
// instruments outside a dialect's table.
func NameHash(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// UUID is a trade id that depends on an instrument and the market's number alone.
func UUID(symbol string, id int64) string {
	const digits = "0123456789abcdef"
	x := newSource(uint64(id), symbol)
	out := make([]byte, 0, 36)
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			out = append(out, '-')
		}
		d := x.IntN(16)
		switch i {
		case 12:
			d = 4 // the version
		case 16:
			d = 8 | d&3 // the variant
		}
		out = append(out, digits[d])
	}
	return string(out)
}

// Instrument is an instrument's market: the true book and what drives it.
// owner: the venue's lock.
type Instrument struct {
	Spec
	// State is what may be done with it now.
	State tick.State

	market        *Market
	order         int     // of listing
	random, drift *source // the book's, and the reference prices'
	bids, asks    side
	meanGap       float64 // ns between two events

	updateID     uint64 // of the last change
	sentID       uint64 // last id of the last depth message
	pendingFirst uint64 // id of the first change since then; 0 = none
	touched      [2][]int64
	tradeID      int64
	timeNanos    int64 // matching time of the last event, the venue's clock; never falls

	nextNanos, flushNanos, referenceNanos int64
	phaseNanos                            int64 // depth messages come at whole intervals from here
	quietUntil, staleUntil                int64
	haltedUntil                           int64 // of a fault; 0 = none
	quoted                                Quote
	trend                                 int // percent that lean the next market orders to buy
	reference                             Reference
	openInterest                          int64
	event                                 Event
	fills                                 []Trade
	changedBids, changedAsk               []tick.Level

	truth   record
	streams [channelBits][]*Stream // that have subscribers, by channel heard
}

// UpdateID is the id of the book as it stands.
func (in *Instrument) UpdateID() uint64 { return in.updateID }

// TimeNanos is the matching time of the last event: that of the book as it
// stands. ns since the epoch, the venue's clock.
func (in *Instrument) TimeNanos() int64 { return in.timeNanos }

// Bids returns a copy of up to n levels, best first; Asks the other side.
func (in *Instrument) Bids(n int) []tick.Level { return in.bids.appendTop(nil, n) }
func (in *Instrument) Asks(n int) []tick.Level { return in.asks.appendTop(nil, n) }

// Quote is the best bid and offer as last told.
func (in *Instrument) Quote() Quote { return in.quoted }

// Reference is the last mark and index price and funding; zero on spot.
func (in *Instrument) Reference() Reference { return in.reference }

// OpenInterest in the venue's quantity, at SizeDigits; 0 on spot.
func (in *Instrument) OpenInterest() int64 { return in.openInterest }

// LastTrades returns up to n trades, the oldest first.
func (in *Instrument) LastTrades(n int) []Trade {
	var out []Trade
	for i := range n {
		t := in.truth.trades.back(i)
		if t == nil {
			break
		}
		out = append(out, *t)
	}
	slices.Reverse(out)
	return out
}

// TradesFrom returns up to n trades with ids from id on, the oldest first.
func (in *Instrument) TradesFrom(id int64, n int) []Trade {
	return in.firstTrades(n, func(t *Trade) bool { return t.ID >= id })
}

// TradesSince is TradesFrom by time: those at nanos or behind it.
func (in *Instrument) TradesSince(nanos int64, n int) []Trade {
	return in.firstTrades(n, func(t *Trade) bool { return t.TimeNanos >= nanos })
}

// firstTrades returns the first n of those that are remembered which qualify;
// all behind one that does do.
func (in *Instrument) firstTrades(n int, qualifies func(*Trade) bool) []Trade {
	all := in.truth.trades.all()
	from := sort.Search(len(all), func(i int) bool { return qualifies(&all[i]) })
	return all[from:min(from+max(n, 0), len(all))]
}

// TradesBefore returns up to n trades with ids below id, the newest last.
func (in *Instrument) TradesBefore(id int64, n int) []Trade {
	all := in.truth.trades.all()
	to := sort.Search(len(all), func(i int) bool { return all[i].ID >= id })
	return all[max(to-max(n, 0), 0):to]
}

// NoteBook tells the truth that the book as it stands was given out, by REST,
// under its update id.
func (in *Instrument) NoteBook() { in.truth.image(in.updateID, in.timeNanos, &in.bids, &in.asks) }
