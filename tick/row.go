package tick

import "unsafe"

// Rows are what a shard tells the sinks, in the same 64-byte units as
// packets. Each says one row of one table; digits travel with the row because
// an instrument's scale may grow. Definitions reach the sinks as the catalog
// packets themselves, ahead of the first row that needs them.
const (
	RowTrade        Kind = 64 + iota // TradeRow → trades
	RowQuote                         // QuoteRow → quotes
	RowBook                          // BookRow → book
	RowBar                           // BarRow → bars
	RowWindow                        // WindowRow → windows
	RowGap                           // GapRow → gaps
	RowHealth                        // HealthRow → feed_health, made outside the shards
	CmdResync                        // Resync → the feed of the instrument
	RowFunding                       // FundingRow → funding
	RowOpenInterest                  // OpenInterestRow → open_interest
	RowLiquidation                   // TradeRow → liquidations; ID is not used
	RowStatus                        // StatusRow → status
	RowNbbo                          // NbboRow → nbbo
	RowPosition                      // PositionRow → no table: where the rows before it come from
	CmdBackfill                      // BackfillCommand → the feed of the instrument
	RowDepth                         // BookRow → no table: a change of a valid book, or all of it, for a shard's follower
	RowValidity                      // ValidityRow → no table: whether the book is the venue's, likewise
)

// RowFlags qualify a row.
type RowFlags uint8

const (
	RowSell     RowFlags = 1 << iota // trades: the aggressor sold
	RowLate                          // trades: beyond the lateness
	RowValid                         // quotes, book, nbbo
	RowFinal                         // bars, windows
	RowComplete                      // bars, windows
	RowRepaired                      // gaps
	RowFromBook                      // quotes: from our book, not the venue's channel
	RowCrossed                       // nbbo: the best bid is at or above the best ask
)

// Flags of RowDepth.
const (
	RowWhole RowFlags = 1 << iota // the book anew: forget the levels before
	RowMore                       // the message goes on in the next row
)

// TimeSource says what clock a row's ts is of.
type TimeSource uint8

const (
	TimeExchange TimeSource = iota // the venue's
	TimeReceive                    // ours, because the venue gave none or nonsense
	TimeEstimate                   // ours moved by the estimated offset
)

func (s TimeSource) String() string { return [...]string{"exchange", "recv", "est"}[s] }

// RowHeader opens every row.
type RowHeader struct {
	Kind                    Kind
	Flags                   RowFlags
	PriceDigits, SizeDigits uint8
	Instrument              uint32
	Ord                     uint32 // ordinal among rows of equal identity
	Source                  TimeSource
	_                       [3]byte
	TsNanos                 int64
	ReceiveNanos            int64
}

// TradeRow is one trade.
type TradeRow struct {
	RowHeader
	ID          ID
	Price, Size int64
}

// QuoteRow is one best bid and offer; sizes 0 where a side is empty.
type QuoteRow struct {
	RowHeader
	Seq                        uint64
	Bid, BidSize, Ask, AskSize int64
	_                          [56]byte
}

// BookRow is the top of a book; its levels follow in the next units, bids first.
type BookRow struct {
	RowHeader
	Seq              uint64
	Bids, LevelCount uint16
	_                [20]byte
}

// ValidityRow says whether a book is the venue's, and why not.
type ValidityRow struct {
	RowHeader // RowValid
	Reason    Reason
	_         [31]byte
}

// BarRow is one bar; TsNanos is its start. Volumes have SizeDigits, notional
// PriceDigits+SizeDigits, InverseBase InverseDigits decimal places.
type BarRow struct {
	RowHeader
	IntervalNanos          int64
	Open, High, Low, Close int64
	Volume, Notional       Int128
	BuyVolume, SellVolume  Int128
	InverseBase            Int128 // Σ size × contract size / price, inverse instruments only
	Trades                 uint64
	Rev                    uint32
	_                      [28]byte
}

// InverseDigits are the decimal places of BarRow.InverseBase.
const InverseDigits = 16

// WindowRow is a VWAP window ending at TsNanos: its value is Notional/Volume.
// It says which window it is of, so that a reader needs no list of them.
type WindowRow struct {
	RowHeader
	Volume, Notional Int128
	SpanNanos        int64 // 0 = the session
	StepNanos        int64
	Trades           uint64
	Rev              uint32
	_                [36]byte
}

// GapRow is an interval in which a channel was not seen, TsNanos..EndNanos
// in exchange time; EndNanos 0 while it is open.
type GapRow struct {
	RowHeader
	EndNanos int64
	Lost     int64 // messages; -1 = unknown
	Channel  Channels
	Reason   Reason
	Backfill Backfill // what became of the missed trades; trades only
	_        [13]byte
}

// BackfillCommand asks for the trades that were missed in a gap, whose row has
// the header's TsNanos and Ord. It is an output: in replay nobody answers it,
// and what was answered live is in the capture.
type BackfillCommand struct {
	RowHeader
	Epoch uint64 // the BackfillEnd must carry it
	// FromID and ToID are the first and last id that is missing where ids count
	// up; both 0 elsewhere.
	FromID, ToID uint64
	// EndNanos is the exchange time of the trade that ended the gap; TsNanos is
	// that of the last one before it.
	EndNanos int64
}

// Resync is a shard's command to fetch the instrument's book anew. It is an
// output: in replay nobody answers it.
type Resync struct {
	RowHeader
	Epoch  uint64 // the snapshot must carry it
	Line   uint16 // whose stream broke
	Reason Reason
	_      [21]byte
}

// FundingRow is what is known of a derivative's reference prices and funding
// at TsNanos; Absent numbers were not told yet.
type FundingRow struct {
	RowHeader
	Mark, Index, Rate                   int64
	NextFundingNanos                    int64 // 0 = not told
	MarkDigits, IndexDigits, RateDigits uint8
	_                                   [61]byte
}

// OpenInterestRow is in the venue's quantity, at the header's SizeDigits.
type OpenInterestRow struct {
	RowHeader
	Size int64
	_    [24]byte
}

// StatusRow is a change of an instrument's trading state.
type StatusRow struct {
	RowHeader
	State, Before State
	_             [30]byte
}

// NbboRow is the best bid and offer over all venues that trade the same base,
// quote and type, of which Instrument is one. Sizes are in the base asset.
// Every number has digits of its own: those of the venue that it is of.
// BidInstrument and AskInstrument say whose they are where the size is not 0.
type NbboRow struct {
	RowHeader
	Bid, BidSize, Ask, AskSize   int64
	BidInstrument, AskInstrument uint32
	Venues                       uint16 // whose quotes counted
	BidDigits, BidSizeDigits     uint8
	AskDigits, AskSizeDigits     uint8
	_                            [50]byte
}

// PositionRow says that the rows before it, in its ring, come from the shard's
// log up to Position. It is no row of a table: a sink that keeps rows durably
// notes it, so that a recovery knows which rows need not be made again; the
// others pass over it.
type PositionRow struct {
	RowHeader
	Position uint64 // in the shard's log, in units
	Epoch    uint64 // of the log; positions of a later one are later
	Shard    uint16 // NoShard = what made them is no shard: its positions are its own
	_        [14]byte
}

// NoShard is the producer of rows that no shard made: the lines' health, the
// sinks' own losses. No log makes them again.
const NoShard = 1<<16 - 1

// HealthRow is the state of one line over the interval that ends at TsNanos.
// Counters are totals since the process began.
type HealthRow struct {
	RowHeader
	VenueText     [24]byte
	LineText      [40]byte
	Frames, Bytes uint64
	DecodeErrors  uint64
	Reconnects    uint64
	AgeNanos      int64 // since the last frame
	OffsetNanos   int64 // the venue's clock minus ours, estimated
	// Of a line that shares its streams with another: messages that it brought
	// first, that it brought after the other, and that only the other brought.
	First, Second, Missed uint64
	LeadNanos             int64 // median time by which what it brought first came before the other's copy
	Up                    bool
	KernelStamped         bool // the last frame's receive time is the kernel's stamp
	_                     [14]byte
}

func (u *Unit) TradeRow() *TradeRow               { return (*TradeRow)(unsafe.Pointer(u)) }
func (u *Unit) QuoteRow() *QuoteRow               { return (*QuoteRow)(unsafe.Pointer(u)) }
func (u *Unit) BookRow() *BookRow                 { return (*BookRow)(unsafe.Pointer(u)) }
func (u *Unit) BarRow() *BarRow                   { return (*BarRow)(unsafe.Pointer(u)) }
func (u *Unit) WindowRow() *WindowRow             { return (*WindowRow)(unsafe.Pointer(u)) }
func (u *Unit) GapRow() *GapRow                   { return (*GapRow)(unsafe.Pointer(u)) }
func (u *Unit) Resync() *Resync                   { return (*Resync)(unsafe.Pointer(u)) }
func (u *Unit) BackfillCommand() *BackfillCommand { return (*BackfillCommand)(unsafe.Pointer(u)) }
func (u *Unit) HealthRow() *HealthRow             { return (*HealthRow)(unsafe.Pointer(u)) }
func (u *Unit) FundingRow() *FundingRow           { return (*FundingRow)(unsafe.Pointer(u)) }
func (u *Unit) OpenInterestRow() *OpenInterestRow { return (*OpenInterestRow)(unsafe.Pointer(u)) }
func (u *Unit) StatusRow() *StatusRow             { return (*StatusRow)(unsafe.Pointer(u)) }
func (u *Unit) NbboRow() *NbboRow                 { return (*NbboRow)(unsafe.Pointer(u)) }
func (u *Unit) PositionRow() *PositionRow         { return (*PositionRow)(unsafe.Pointer(u)) }
func (u *Unit) ValidityRow() *ValidityRow         { return (*ValidityRow)(unsafe.Pointer(u)) }
func (u *Unit) RowHeader() *RowHeader             { return (*RowHeader)(unsafe.Pointer(u)) }

const (
	quoteRowUnits  = int(unsafe.Sizeof(QuoteRow{})) / UnitSize
	barRowUnits    = int(unsafe.Sizeof(BarRow{})) / UnitSize
	windowRowUnits = int(unsafe.Sizeof(WindowRow{})) / UnitSize
	healthRowUnits = int(unsafe.Sizeof(HealthRow{})) / UnitSize
	fundingUnits   = int(unsafe.Sizeof(FundingRow{})) / UnitSize
	nbboUnits      = int(unsafe.Sizeof(NbboRow{})) / UnitSize
)

// RowLevels returns the levels of the book row that begins at p[0], bids first.
func RowLevels(p []Unit) []Level {
	n := int(p[0].BookRow().LevelCount)
	if n == 0 {
		return nil
	}
	body := p[1:DepthUnits(n)]
	return unsafe.Slice((*Level)(unsafe.Pointer(&body[0])), n)
}

// NewRow appends a zeroed row, without levels, and returns its first unit.
func NewRow(dst []Unit, kind Kind) ([]Unit, *Unit) {
	at, n := len(dst), int(unitsOf[kind])
	if kind == RowBook || kind == RowDepth {
		n = 1
	}
	if n > cap(dst)-at {
		dst = growRows(dst, n)
	}
	dst = dst[:at+n]
	p := dst[at:]
	p[0] = Unit{}
	for i := 1; i < len(p); i++ { // most have one or two
		p[i] = Unit{}
	}
	p[0].RowHeader().Kind = kind
	return dst, &p[0]
}

// growRows makes room for n more units.
func growRows(dst []Unit, n int) []Unit {
	grown, _ := AppendUnits(dst, n)
	return grown[:len(dst)]
}
