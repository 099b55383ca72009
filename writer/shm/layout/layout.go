// Package layout is the form of the shared memory: numbers that writer and
// readers agree on. docs/shm.md is the same as tables, for who writes a reader
// in another language; layout_test.go holds the two together.
//
//	DIR/directory          header | rings | instruments | images
//	DIR/ring-EPOCH-SHARD   header | slots
//
// Everything is little-endian. Words are of 8 bytes and lie at multiples of 8:
// whoever reads one sees all of one store.
package layout

// Version changes with every change that a reader of before would misread. New
// kinds of messages, and new meanings of bytes that were zero, do not change it.
const Version = 1

// Magic numbers are text: "TICKPDIR", "TICKRING".
const (
	DirectoryMagic uint64 = 0x524944504b434954
	RingMagic      uint64 = 0x474e49524b434954
)

// DirectoryName is the file that says what else there is.
const DirectoryName = "directory"

// Of a directory's header: offsets in bytes.
const (
	DirMagic           = 0  // u64
	DirVersion         = 8  // u32
	DirHeaderSize      = 12 // u32
	DirEpoch           = 16 // u64: larger with every start of a writer
	DirPid             = 24 // u64: of the writer
	DirBegun           = 32 // i64: ns since the epoch
	DirHeartbeat       = 40 // i64, atomic: ns since the epoch, the writer's clock
	DirState           = 48 // u64, atomic
	DirRingCount       = 56 // u32
	DirLevels          = 60 // u32: levels a side in an image
	DirCapacity        = 64 // u32: instruments that have room
	DirInstrumentSize  = 68 // u32
	DirInstruments     = 72 // u64, atomic: entries that may be in use, from 0
	DirRingsAt         = 80 // u64
	DirInstrumentsAt   = 88 // u64
	DirImagesAt        = 96 // u64
	DirImageSize       = 104
	DirFileSize        = 112
	DirLeftOut         = 120 // u64, atomic: instruments that found no room
	DirInstance        = 128 // 32 bytes of text
	DirHeaderBytes     = 4096
	DirInstanceBytes   = 32
	HeartbeatNanos     = int64(100e6) // between two
	HeartbeatStale     = int64(3e9)   // a writer that is silent for so long has died, or stands still
	InstrumentCountMax = 1 << 20
	LevelsMax          = 50
	RingsMax           = 256
)

// States of a directory.
const (
	StateRunning  = 1
	StateStopped  = 2 // in order: nothing more comes in this epoch
	StateReplaced = 3 // a later writer has begun, in another file of the same name
)

// Of a ring's entry in a directory.
const (
	EntryRingName  = 0  // 48 bytes of text
	EntryRingSlots = 48 // u64
	EntryRingFile  = 56 // u64: bytes
	RingEntryBytes = 64
	RingNameBytes  = 48
)

// Of an instrument's entry. Its place is its id.
const (
	InSeq          = 0  // u64, atomic: odd while it is written, 0 = empty
	InID           = 8  // u32
	InShard        = 12 // u16: the ring that its messages are in
	InType         = 14 // u8: 0 spot, 1 perpetual, 2 future, 3 option
	InInverse      = 15 // u8
	InPriceDigits  = 16 // u8: at the beginning; messages say their own
	InSizeDigits   = 17 // u8
	InState        = 18 // u8
	InChannels     = 19 // u8: bits
	InTruncate     = 20 // u16: levels a side that the venue tells of; 0 = all
	InTickDigits   = 22 // u8
	InLotDigits    = 23 // u8
	InTick         = 24 // i64
	InLot          = 32 // i64
	InContract     = 40 // i64
	InContractDig  = 48 // u8
	InExpiry       = 56 // i64: ns since the epoch, 0 = never or unknown
	InVenue        = 64 // text of 24 bytes, and so on
	InBase         = 88
	InQuote        = 112
	InUnderlying   = 136
	InSymbol       = 160 // 64 bytes
	InstrumentSize = 256
	InTextBytes    = 24
	InSymbolBytes  = 64
)

// Of an image: words of 8 bytes.
const (
	ImSeq       = 0  // atomic: odd while it is written, 0 = never
	ImPosition  = 1  // in the ring: messages before it are in the image
	ImHead      = 2  // see Image*Shift
	ImReceive   = 3  // i64: receive time of the last packet of the shard
	ImOffset    = 4  // i64: the venue's clock minus ours
	ImLastID    = 5  // of the book, the venue's
	ImDepthTs   = 6  // i64: event time of the last good depth
	ImLevels    = 7  // u16 bids, u16 asks in the image
	ImTotals    = 8  // u32 bids, u32 asks in the book
	ImQuoteHead = 9  // as a message's first word; 0 = none yet
	ImQuoteTs   = 10 // i64, and so on as a quote's message
	ImTradeHead = 16 // as a message's first word; 0 = none yet
	ImTradeTs   = 17 // i64, and so on as a trade's message
	ImHeadWords = 24
)

// Of the word ImHead.
const (
	ImageValid = 1 << 0 // the book is the venue's
	// Bits 8…15 the reason why not, 16…23 digits of prices, 24…31 of sizes,
	// 32…63 the instrument.
)

// ImageWords is the size of an image of so many levels a side.
func ImageWords(levels int) int { return (ImHeadWords + 4*levels + 7) / 8 * 8 }

// Of a ring's header: offsets in bytes.
const (
	RingVersion     = 8  // u32
	RingHeaderSize  = 12 // u32
	RingEpoch       = 16 // u64
	RingShard       = 24 // u32
	RingSlotSize    = 28 // u32
	RingSlots       = 32 // u64: a power of two
	RingFileSize    = 40 // u64
	RingPublished   = 64 // u64, atomic: all messages before it are in the images; alone in its cache line
	RingHeaderBytes = 4096
)

// Slots.
const (
	SlotBytes    = 64
	SlotWords    = 8
	PayloadWords = 7 // of a slot, behind its mark
	// MessageSlotsMax bounds a message.
	MessageSlotsMax = 250
	MessageWordsMax = MessageSlotsMax * PayloadWords
	RingSlotsMin    = 1024
	RingSlotsMax    = 1 << 30
)

// A mark is the first word of a slot: position<<8 | what.
const (
	MarkWriting = 0   // the slot is being written
	MarkMore    = 255 // it belongs to the message that began before it
	// 1…MessageSlotsMax: a message of so many slots begins.
)

// Kind says what a message is.
type Kind uint8

// Kinds. Numbers are never used again; readers pass over those they do not
// know, whose length the mark tells.
const (
	KindTrade        Kind = 1
	KindQuote        Kind = 2
	KindDepth        Kind = 3
	KindValidity     Kind = 4
	KindBar          Kind = 5
	KindWindow       Kind = 6
	KindGap          Kind = 7
	KindNbbo         Kind = 8
	KindFunding      Kind = 9
	KindOpenInterest Kind = 10
	KindLiquidation  Kind = 11
	KindStatus       Kind = 12
	KindInstrument   Kind = 13
	KindEnd          Kind = 14 // of the epoch: the writer stopped in order
	KindSignal       Kind = 32 // reserved, to 47
)

var kindNames = map[Kind]string{KindTrade: "trade", KindQuote: "quote", KindDepth: "depth", KindValidity: "validity", KindBar: "bar",
	KindWindow: "window", KindGap: "gap", KindNbbo: "nbbo", KindFunding: "funding", KindOpenInterest: "open_interest",
	KindLiquidation: "liquidation", KindStatus: "status", KindInstrument: "instrument", KindEnd: "end"}

func (k Kind) String() string {
	if name := kindNames[k]; name != "" {
		return name
	}
	return "unknown"
}

// KindOf returns the kind of a name, 0 if there is none.
func KindOf(name string) Kind {
	for k, n := range kindNames {
		if n == name {
			return k
		}
	}
	return 0
}

// KindNames are all names, in the order of their numbers.
func KindNames() (names []string) {
	for k := range KindEnd {
		names = append(names, (k + 1).String())
	}
	return names
}

// Flags of a message: the second byte of its first word. The first two bits say
// what clock its time is of: 0 the venue's, 1 ours because the venue gave none or
// nonsense, 2 ours moved by the estimated offset.
const (
	SourceMask   = 3
	FlagValid    = 1 << 2 // quote, nbbo, validity
	FlagSell     = 1 << 3 // trade, liquidation: the aggressor sold; the order sells
	FlagLate     = 1 << 4 // trade: later than its bars could take it
	FlagWhole    = 1 << 3 // depth: the book anew, forget the levels before
	FlagMore     = 1 << 4 // depth: the next message of the instrument goes on with it
	FlagBook     = 1 << 3 // quote: of our book, the venue's quotes are not subscribed
	FlagCross    = 1 << 3 // nbbo: the best bid is at or above the best ask
	FlagRepair   = 1 << 3 // gap: all that was missed has come
	FlagFinal    = 1 << 4 // bar, window
	FlagComplete = 1 << 5 // bar, window
)

// Head packs a message's first word.
func Head(k Kind, flags, priceDigits, sizeDigits uint8, instrument uint32) uint64 {
	return uint64(k) | uint64(flags)<<8 | uint64(priceDigits)<<16 | uint64(sizeDigits)<<24 | uint64(instrument)<<32
}

// DepthHeadWords are those before a depth message's levels.
const DepthHeadWords = 5

// DepthLevelsMax is how many levels a depth message has at most.
const DepthLevelsMax = (MessageWordsMax - DepthHeadWords) / 2
