package tick

import "time"

// InstrumentType says what is traded.
type InstrumentType uint8

const (
	TypeSpot InstrumentType = iota
	TypePerpetual
	TypeFuture
	TypeOption
)

func (t InstrumentType) String() string {
	return [...]string{"spot", "perpetual", "future", "option"}[t]
}

// SnapshotKind says how a venue hands out whole books.
type SnapshotKind uint8

const (
	// SnapshotREST: asked for over REST while deltas are buffered, then spliced.
	SnapshotREST SnapshotKind = iota
	// SnapshotInBand: sent on the stream itself, after subscribing or at any time.
	SnapshotInBand
	// SnapshotEvery: every message is a whole book; there are no deltas.
	SnapshotEvery
)

// SequenceKind says how a venue's deltas name their place.
type SequenceKind uint8

const (
	// SequenceNone: no ids; loss shows only in a checksum, or not at all.
	SequenceNone SequenceKind = iota
	// SequenceRange: each delta covers FirstID..LastID, the next begins at LastID+1.
	SequenceRange
	// SequenceChain: each delta names the id of the one before in PrevID.
	SequenceChain
	// SequenceCounter: LastID rises by one a message.
	SequenceCounter
)

// ChecksumKind says how a venue's book checksum is formed.
type ChecksumKind uint8

const (
	ChecksumNone   ChecksumKind = iota
	ChecksumKraken              // CRC32 over digits of top asks, then bids, without point and leading zeros
	ChecksumOKX                 // CRC32 over bid:size:ask:size…, interleaved
)

// SyncRule is a venue's rule for joining snapshots and deltas into a book.
// It travels in the catalog record, so that a log replays under the rule that
// was live.
type SyncRule struct {
	Snapshot SnapshotKind
	Sequence SequenceKind
	// Join: the first delta applied after a snapshot with id L must cover L+Join;
	// older ones are dropped. 1 on Binance spot, 0 on its futures.
	Join uint8
	// QuoteIDs: quotes carry the book's update ids, so that they check the book.
	QuoteIDs bool
	Checksum ChecksumKind
	// ChecksumDepth is the number of levels a side that the checksum covers.
	ChecksumDepth uint8
	// Digits of prices and sizes in the checksum's text; 255 = shortest form.
	ChecksumPriceDigits, ChecksumSizeDigits uint8
	// Truncate: levels a side beyond which we forget, because the venue does
	// not tell that they left; 0 = never.
	Truncate uint16
	// MayCross: the venue's book crosses for moments by design.
	MayCross bool
	// QuotesLag: quotes are told at trades only, so they say nothing about depth.
	QuotesLag bool
}

// TradeIDKind says what a venue's trade ids are.
type TradeIDKind uint8

const (
	// TradeIDContiguous: integers that rise by one a trade of the instrument, so a jump is a loss.
	TradeIDContiguous TradeIDKind = iota
	// TradeIDInteger: unique integers, jumps mean nothing.
	TradeIDInteger
	// TradeIDUUID: 128 random bits.
	TradeIDUUID
)

// Instrument is one symbol of one venue.
type Instrument struct {
	ID     uint32 // dense, by order of introduction
	Venue  string // "binance-spot"
	Symbol string // the venue's spelling, upper or lower case as the venue writes it
	// Underlying routes the instrument to its shard: the base asset, or the
	// venue symbol where there is no catalog.
	Underlying string
	Base       string // canonical base asset, "" without a catalog
	Quote      string
	Type       InstrumentType
	// Inverse: sizes are contracts worth ContractSize of the quote asset.
	Inverse      bool
	TradeIDs     TradeIDKind
	PriceDigits  uint8  // scale at introduction
	SizeDigits   uint8  // scale at introduction
	Tick         Number // price step; 0 = unknown
	Lot          Number // size step; 0 = unknown
	ContractSize Number // base (or, inverse, quote) units a contract; 1 for spot
	Sync         SyncRule
	Channels     Channels // those that are subscribed
	// TradeResolution is the unit the venue's trade times are cut to before
	// they become ts, whichever way a trade came.
	TradeResolution time.Duration
	State           State
	ExpiryNanos     int64 // of futures and options, ns since the epoch; 0 = never, or unknown
}
