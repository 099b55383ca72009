package sim

import "tickproc/tick"

// Event is one thing that a venue tells about an instrument. It and what it
// points to belong to the market and live until the call that got it returns.
// Times are ns since the epoch in the venue's clock, cut to its resolution.
type Event struct {
	Instrument *Instrument
	Channel    tick.Channels // exactly one
	TimeNanos  int64         // matching time
	SendNanos  int64         // when the venue wrote it

	// Depth: what stands now at each price that changed, best first, 0 for
	// nothing; quotes: the best level a side. Quotes carry LastID alone.
	Bids, Asks              []tick.Level
	FirstID, LastID, PrevID uint64

	Trades       []Trade     // of one order, by id
	Reference    Reference   // funding
	OpenInterest int64       // at SizeDigits
	Liquidation  Liquidation // liquidations
	Change       Change      // status
}

// Reference is a derivative's reference prices and funding.
type Reference struct {
	TimeNanos        int64
	Mark, Index      int64 // at PriceDigits
	PriceDigits      uint8
	FundingRate      int64 // at RateDigits; 0.0001 is 0.01 %
	RateDigits       uint8
	NextFundingNanos int64
}

// OpenInterest is how many contracts were open at a time, at SizeDigits.
type OpenInterest struct{ TimeNanos, Size int64 }

// Liquidation is a forced order.
type Liquidation struct {
	TimeNanos   int64
	Price, Size int64
	Sell        bool // the forced order sold: a long was liquidated
}

// ChangeKind says what changed in the catalog.
type ChangeKind uint8

const (
	ChangeState ChangeKind = iota + 1
	ChangeListed
	ChangeDelisted
	ChangeTick
)

// Change is a change of an instrument's entry in the catalog.
type Change struct {
	TimeNanos   int64
	Kind        ChangeKind
	State       tick.State // from then on
	Tick        int64      // from then on, at PriceDigits
	PriceDigits uint8      // from then on
}
