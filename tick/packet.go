// Package tick is the vocabulary that every stage speaks.
//
// A venue message about one instrument becomes one packet: one or more
// 64-byte units without pointers. Packets flow from feeds to shards, rows
// (row.go) from shards to writers, both over rings of units. The memory of a
// packet belongs to the ring or buffer it lies in; the typed views below
// point into it and are dead once it is released.
//
//	unit 0:  [ header 32 bytes | body by kind 32 bytes ]
//	unit 1…: depth, snapshot, quote: 4 levels of 16 bytes (price, size) each
package tick

import (
	"math"
	"unsafe"
)

// UnitSize is the size of a unit in bytes: one cache line.
const UnitSize = 64

// Unit is one cache line of a packet or row.
type Unit [8]uint64

// Kind says what a packet is. The zero Kind is never valid.
type Kind uint8

// The kinds of packets. Numbers are part of the log format: append only.
const (
	KindInvalid         Kind = iota
	KindTrade                // Trade
	KindTradeCorrection      // Trade: the id's new price and size; size 0 busts it
	KindQuote                // Depth with exactly one bid and one ask
	KindDepth                // Depth: absolute sizes, size 0 removes the level
	KindSnapshot             // Depth: the whole book; PrevID is the epoch it answers
	KindMark                 // Mark
	KindOpenInterest         // OpenInterest
	KindLiquidation          // Trade: a forced order's side, price and size
	KindL3Add                // Order
	KindL3Modify             // Order
	KindL3Cancel             // Order
	KindL3Execute            // Order
	KindStatus               // Status
	KindCatalog              // Catalog: the definition of an instrument
	KindRescale              // Rescale: the scale this line uses from here on
	KindUp                   // ChannelEvent: the venue delivers the channel from here on
	KindDown                 // ChannelEvent: the channel ended, Reason says why
	KindGap                  // ChannelEvent: the session knows of loss on the channel
	KindClockStep            // ClockStep
	KindTick                 // Header alone: logical now becomes ReceiveNanos
	KindBarrier              // Barrier
	KindConfig               // Config
	KindBackfillEnd          // BackfillEnd: what came of a CmdBackfill
	kindPacketEnd
)

// Channel is the channel that packets of the kind belong to, 0 for those that
// are no data of one.
func (k Kind) Channel() Channels {
	switch k {
	case KindTrade, KindTradeCorrection:
		return ChannelTrades
	case KindQuote:
		return ChannelQuotes
	case KindDepth, KindSnapshot:
		return ChannelDepth
	case KindMark:
		return ChannelFunding
	case KindOpenInterest:
		return ChannelOpenInterest
	case KindLiquidation:
		return ChannelLiquidations
	}
	return 0
}

// Flags qualify a packet.
type Flags uint8

const (
	// FlagSell marks a trade whose aggressor sold; without it the aggressor bought.
	FlagSell Flags = 1 << iota
	// FlagBackfill marks trades that were not pushed as they happened: trade
	// snapshots sent on subscribing, and REST answers.
	FlagBackfill
	// FlagFirst opens a message that was cut into fragments.
	FlagFirst
	// FlagLast ends it. A message that fits one packet has both.
	FlagLast
	// FlagNotMarket marks a trade that consumes an id of the venue's sequence
	// but is no market trade (Binance futures: X other than MARKET).
	FlagNotMarket
	// FlagKnown marks a catalog packet that repeats what a sink's table has, after
	// a restart: it is no row.
	FlagKnown
	// FlagFetched marks a trade of an answer to a CmdBackfill. It counts only for
	// a gap that is being made good: answers hold others, too.
	FlagFetched
)

// Header opens every packet.
type Header struct {
	Kind       Kind
	Flags      Flags
	Line       uint16 // the connection (or REST worker) it came by
	Instrument uint32 // dense id
	Ordinal    uint64 // number of the frame on its line, from 1
	// ExchangeNanos is the venue's matching time, else its send time, in ns
	// since the epoch; 0 where the venue gave none.
	ExchangeNanos int64
	// ReceiveNanos is when the frame was complete in this process, in ns since
	// the epoch.
	ReceiveNanos int64
}

// ID is a trade or order id: an integer in Lo, or 128 bits of a UUID.
type ID struct{ Hi, Lo uint64 }

// Trade is one execution. Price and Size are scaled by the instrument's digits.
type Trade struct {
	Header
	ID    ID
	Price int64
	Size  int64
}

// Level is one price of a book side; Size is absolute, 0 removes the level.
type Level struct{ Price, Size int64 }

// Depth heads a depth, snapshot or quote packet; its levels follow in the
// next units, bids first.
type Depth struct {
	Header
	FirstID, LastID uint64 // the venue's update ids this message covers
	PrevID          uint64 // id of the message before (chains); epoch in a snapshot
	Checksum        uint32 // the venue's checksum after applying; 0 = none
	Bids            uint16 // levels that are bids; the rest are asks
	LevelCount      uint16
}

// Absent stands in a Mark for a number that the message does not tell: venues
// spread them over streams, or send only what changed.
const Absent = math.MinInt64

// Mark carries a derivative's reference prices and funding, each Absent where
// the message does not tell it. Their digits are the message's own: reference
// prices are averages, finer than the instrument's prices.
type Mark struct {
	Header
	Mark, Index        int64 // at PriceDigits
	FundingRate        int64 // at RateDigits, of one funding interval; 0.0001 is 0.01 %
	NextFundingSeconds uint32
	PriceDigits        uint8
	RateDigits         uint8
	_                  [2]byte
}

// OpenInterest is in the venue's quantity, at the message's own digits.
type OpenInterest struct {
	Header
	Size       int64
	SizeDigits uint8
	_          [23]byte
}

// Order is an order-by-order event; two units.
type Order struct {
	Header
	ID       ID
	Price    int64
	Size     int64
	Priority int64  // the venue's queue position or time, larger is later
	TradeID  ID     // executions only
	FirstID  uint64 // the venue's event ids
	PrevID   uint64
	_        [24]byte
}

// Status is a trading-state change of an instrument.
type Status struct {
	Header
	State State
	_     [31]byte
}

// Rescale declares the digits that this line uses for this instrument from
// here on. Digits only grow.
type Rescale struct {
	Header
	PriceDigits, SizeDigits uint8
	_                       [30]byte
}

// ChannelEvent is the body of up, down and gap.
type ChannelEvent struct {
	Header
	Channel Channels // exactly one
	Reason  Reason
	_       [6]byte
	Lost    uint64 // messages known to be missing; 0 = unknown
	// HeardNanos, of down and gap, is the receive time up to which the line is
	// known to have had all of the channel: a socket may have been dead for a
	// while before that is noticed. 0 = not told, as in logs of before.
	HeardNanos int64
	_          [8]byte
}

// ClockStep sets logical now from From to the packet's ReceiveNanos.
type ClockStep struct {
	Header
	FromNanos int64
	_         [24]byte
}

// Barrier asks for a snapshot of the state at this place of the log.
type Barrier struct {
	Header
	Number uint64
	_      [24]byte
}

// Config names the configuration that is live from here on.
type Config struct {
	Header
	Hash [32]byte
}

// BackfillEnd says what came of a CmdBackfill: of its trades, those that could
// be had came before it on its line.
type BackfillEnd struct {
	Header
	// Epoch of the command; 0 in a capture, where From and To find the gap.
	Epoch uint64
	// From and To are what was asked for, both ends included: ids, or with ByTime
	// exchange times in ns.
	From, To uint64
	Outcome  Backfill
	ByTime   bool
	_        [2]byte
	Proven   uint32 // ids between From and To that aggregates prove to exist
}

// MaxLevels bounds the levels of one packet; a larger message is cut into
// fragments, so that a ring need not be sized for the largest book.
const MaxLevels = 4096

const levelsPerUnit = UnitSize / 16

// KindOf returns the kind of the packet that begins at u.
func (u *Unit) KindOf() Kind { return (*Header)(unsafe.Pointer(u)).Kind }

// Header views the packet's header.
func (u *Unit) Header() *Header { return (*Header)(unsafe.Pointer(u)) }

// Trade views a trade, correction or liquidation.
func (u *Unit) Trade() *Trade { return (*Trade)(unsafe.Pointer(u)) }

// Mark views reference prices and funding.
func (u *Unit) Mark() *Mark { return (*Mark)(unsafe.Pointer(u)) }

// OpenInterest views an open interest.
func (u *Unit) OpenInterest() *OpenInterest { return (*OpenInterest)(unsafe.Pointer(u)) }

// Status views a change of trading state.
func (u *Unit) Status() *Status { return (*Status)(unsafe.Pointer(u)) }

// Depth views the head of a depth, snapshot or quote packet.
func (u *Unit) Depth() *Depth { return (*Depth)(unsafe.Pointer(u)) }

// Rescale views a rescale.
func (u *Unit) Rescale() *Rescale { return (*Rescale)(unsafe.Pointer(u)) }

// Event views an up, down or gap.
func (u *Unit) Event() *ChannelEvent { return (*ChannelEvent)(unsafe.Pointer(u)) }

// ClockStep views a clock step.
func (u *Unit) ClockStep() *ClockStep { return (*ClockStep)(unsafe.Pointer(u)) }

// Barrier views a barrier.
func (u *Unit) Barrier() *Barrier { return (*Barrier)(unsafe.Pointer(u)) }

// Config views a change of the configuration.
func (u *Unit) Config() *Config { return (*Config)(unsafe.Pointer(u)) }

// BackfillEnd views the end of a backfill.
func (u *Unit) BackfillEnd() *BackfillEnd { return (*BackfillEnd)(unsafe.Pointer(u)) }

// DepthUnits is the size in units of a depth packet with n levels.
func DepthUnits(n int) int { return 1 + (n+levelsPerUnit-1)/levelsPerUnit }

// unitsOf is how many units a packet or row of a kind takes, 0 where that
// depends on its levels or the kind is invalid.
var unitsOf = [256]uint8{
	KindTrade: 1, KindTradeCorrection: 1, KindMark: 1, KindOpenInterest: 1, KindLiquidation: 1,
	KindL3Add: 2, KindL3Modify: 2, KindL3Cancel: 2, KindL3Execute: 2,
	KindStatus: 1, KindCatalog: uint8(CatalogUnits), KindRescale: 1, KindUp: 1, KindDown: 1, KindGap: 1,
	KindClockStep: 1, KindTick: 1, KindBarrier: 1, KindConfig: 1, KindBackfillEnd: 1,

	RowTrade: 1, RowGap: 1, CmdResync: 1, CmdBackfill: 1, RowOpenInterest: 1, RowLiquidation: 1, RowStatus: 1, RowPosition: 1,
	RowValidity: 1, RowFunding: uint8(fundingUnits), RowNbbo: uint8(nbboUnits), RowQuote: uint8(quoteRowUnits), RowBar: uint8(barRowUnits),
	RowWindow: uint8(windowRowUnits), RowHealth: uint8(healthRowUnits),
}

// PacketUnits returns how many units the packet or row that begins at u
// takes, 0 for an invalid kind.
func PacketUnits(u *Unit) int {
	if n := unitsOf[u.KindOf()]; n != 0 {
		return int(n)
	}
	return levelUnits(u)
}

// levelUnits is for those with levels.
func levelUnits(u *Unit) int {
	switch u.KindOf() {
	case KindDepth, KindSnapshot, KindQuote:
		return DepthUnits(int(u.Depth().LevelCount))
	case RowBook, RowDepth:
		return DepthUnits(int(u.BookRow().LevelCount))
	}
	return 0
}

// Levels returns the levels of the depth packet that begins at p[0], bids
// first; they lie in p.
func Levels(p []Unit) []Level {
	n := int(p[0].Depth().LevelCount)
	if n == 0 {
		return nil
	}
	body := p[1:DepthUnits(n)]
	return unsafe.Slice((*Level)(unsafe.Pointer(&body[0])), n)
}

// TopOf returns the best bid and ask of the quote that begins at p[0].
func TopOf(p []Unit) *[2]Level { return (*[2]Level)(unsafe.Pointer(&p[1])) }

// Levels returns the levels behind the head of a packet that is whole in memory.
func (d *Depth) Levels() []Level {
	return Levels(unsafe.Slice((*Unit)(unsafe.Pointer(d)), DepthUnits(int(d.LevelCount))))
}

// AppendUnits extends dst by n zeroed units and returns it with the new part.
func AppendUnits(dst []Unit, n int) (all, added []Unit) {
	at := len(dst)
	if cap(dst)-at < n {
		grown := make([]Unit, at, 2*cap(dst)+n)
		copy(grown, dst)
		dst = grown
	}
	dst = dst[:at+n]
	added = dst[at:]
	clear(added)
	return dst, added
}

// AppendEvent appends an up, down or gap packet.
func AppendEvent(dst []Unit, h Header, channel Channels, reason Reason) []Unit {
	dst, p := AppendUnits(dst, 1)
	e := p[0].Event()
	e.Header, e.Channel, e.Reason = h, channel, reason
	return dst
}

// AppendRescale appends a rescale packet.
func AppendRescale(dst []Unit, h Header, priceDigits, sizeDigits uint8) []Unit {
	h.Kind, h.Flags = KindRescale, 0
	dst, p := AppendUnits(dst, 1)
	r := p[0].Rescale()
	r.Header, r.PriceDigits, r.SizeDigits = h, priceDigits, sizeDigits
	return dst
}
